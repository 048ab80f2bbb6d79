//! The sentences that reports are made of.
//!
//! Placeholders: `{side}`, `{zone}`, `{size}` and, capitalised at the start of a sentence, `{Side}` and
//! `{Size}`; `{side2}` and `{size2}` for a second effusion, `{other}` for a second place.

pub(super) const HEART_ENLARGED: [&str; 6] = [
    "The heart is enlarged.",
    "The cardiac silhouette is enlarged.",
    "There is cardiomegaly.",
    "Cardiomegaly is present.",
    "Heart size is increased.",
    "The cardiothoracic ratio is increased.",
];
pub(super) const HEART_NORMAL: [&str; 6] = [
    "The heart is normal in size.",
    "Heart size is normal.",
    "The heart is not enlarged.",
    "The cardiac silhouette is normal.",
    "No cardiomegaly.",
    "Heart and mediastinum are unremarkable.",
];
pub(super) const NO_CONSOLIDATION: [&str; 4] = [
    "No focal consolidation.",
    "There is no consolidation.",
    "No airspace opacity is seen.",
    "The lungs are clear of consolidation.",
];
pub(super) const NO_NODULE: [&str; 3] =
    ["No pulmonary nodule.", "There is no nodule or mass.", "No suspicious nodule is seen."];
pub(super) const LUNGS_CLEAR: [&str; 5] = [
    "The lungs are clear.",
    "Both lungs are clear.",
    "The lungs are clear without consolidation or nodule.",
    "No focal consolidation or nodule.",
    "The lungs are well aerated and clear.",
];
pub(super) const NO_EFFUSION: [&str; 5] = [
    "No pleural effusion.",
    "There is no pleural effusion.",
    "The costophrenic angles are sharp.",
    "Both costophrenic angles are clear.",
    "Pleural effusion is not seen.",
];
pub(super) const NO_PNEUMOTHORAX: [&str; 4] = [
    "No pneumothorax.",
    "There is no pneumothorax.",
    "There is no evidence of pneumothorax.",
    "Pneumothorax is not identified.",
];
pub(super) const PLEURA_CLEAR: [&str; 5] = [
    "No pleural effusion or pneumothorax.",
    "There is no pneumothorax or pleural effusion.",
    "Neither pleural effusion nor pneumothorax is seen.",
    "The pleural spaces are clear.",
    "No effusion and no pneumothorax.",
];
pub(super) const NO_DEVICES: [&str; 3] = ["No support devices.", "No lines or tubes.", "There are no support devices."];
pub(super) const BONES: [&str; 4] =
    ["The bones are intact.", "No acute bony abnormality.", "The bony thorax is unremarkable.", "The ribs are intact."];
pub(super) const NORMAL_IMPRESSION: [&str; 5] = [
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No acute disease.",
    "No acute cardiopulmonary disease.",
    "Normal chest.",
];
pub(super) const CONSOLIDATION: [&str; 7] = [
    "There is consolidation in the {side} {zone} zone.",
    "{Side} {zone} zone consolidation is seen.",
    "Patchy consolidation is present in the {zone} zone of the {side} lung.",
    "Patchy airspace opacity in the {side} {zone} zone.",
    "Focal opacity in the {zone} zone of the {side} lung is consistent with consolidation.",
    "An area of consolidation projects over the {side} {zone} lung zone.",
    "There is {side} {zone} zone airspace consolidation.",
];
pub(super) const CONSOLIDATION_BOTH_SIDES: [&str; 4] = [
    "Bilateral {zone} zone consolidation is seen.",
    "There is bilateral consolidation in the {zone} zones.",
    "There is consolidation in the {zone} zones of both lungs.",
    "Patchy consolidation in the left and right {zone} zones.",
];
pub(super) const CONSOLIDATION_ONE_SIDE: [&str; 3] = [
    "There is consolidation in the {side} {zone} and {other} zones.",
    "Patchy consolidation in the {zone} and {other} zones of the {side} lung.",
    "Consolidation involves the {zone} and {other} zones on the {side}.",
];
pub(super) const CONSOLIDATION_CROSSED: [&str; 3] = [
    "There is consolidation in the {side} {zone} and {other} zones.",
    "Patchy consolidation is seen in the {side} {zone} zone and the {other} zone.",
    "{Side} {zone} zone and {other} zone consolidation.",
];
pub(super) const NODULE: [&str; 7] = [
    "There is a nodule in the {side} {zone} zone.",
    "A round nodule is seen in the {zone} zone of the {side} lung.",
    "{Side} {zone} zone pulmonary nodule.",
    "A nodular opacity projects over the {side} {zone} zone.",
    "A well defined nodule lies in the {side} {zone} lung zone.",
    "A solitary {side} {zone} zone nodule is present.",
    "There is a rounded opacity in the {side} {zone} zone.",
];
pub(super) const EFFUSIONS_EQUAL: [&str; 4] = [
    "There are {size} bilateral pleural effusions.",
    "Bilateral {size} pleural effusions.",
    "{Size} pleural effusions are present on both sides.",
    "{Size} bilateral effusions are seen.",
];
pub(super) const EFFUSIONS_UNEQUAL: [&str; 3] = [
    "There is a {size} {side} and a {size2} {side2} pleural effusion.",
    "Bilateral pleural effusions, {size} on the {side} and {size2} on the {side2}.",
    "{Size} {side} and {size2} {side2} pleural effusions are seen.",
];
pub(super) const EFFUSION: [&str; 5] = [
    "There is a {size} {side} pleural effusion.",
    "{Size} {side} pleural effusion.",
    "A {size} pleural effusion is seen on the {side}.",
    "{Side} pleural effusion, {size} in volume.",
    "A {size} {side} sided pleural effusion is present.",
];
pub(super) const SMALL_EFFUSION: [&str; 2] = [
    "The {side} costophrenic angle is blunted by a small pleural effusion.",
    "Blunting of the {side} costophrenic angle indicates a small effusion.",
];
pub(super) const LARGE_EFFUSION: [&str; 2] = [
    "A large {side} pleural effusion obscures the hemidiaphragm.",
    "A large pleural effusion fills the base of the {side} hemithorax.",
];
pub(super) const PNEUMOTHORAX: [&str; 6] = [
    "There is a {side} pneumothorax.",
    "{Side} pneumothorax with a visible pleural line.",
    "A {side} sided pneumothorax is seen.",
    "Pneumothorax is present on the {side}.",
    "A thin pleural line marks a {side} pneumothorax.",
    "{Side} apical pneumothorax.",
];
pub(super) const CENTRAL_LINE: [&str; 4] = [
    "A central venous line ends in the superior vena cava.",
    "A right central line is in place.",
    "A central venous catheter projects over the superior vena cava.",
    "The tip of a central line lies in the superior vena cava.",
];
pub(super) const ENDOTRACHEAL_TUBE: [&str; 4] = [
    "An endotracheal tube is in place.",
    "An endotracheal tube ends above the carina.",
    "The tip of the endotracheal tube lies above the carina.",
    "Endotracheal tube in good position.",
];
pub(super) const PACEMAKER: [&str; 4] = [
    "A pacemaker is in place.",
    "A left chest pacemaker with leads to the right heart.",
    "A left sided pacemaker is present.",
    "A pacemaker projects over the left upper chest.",
];
