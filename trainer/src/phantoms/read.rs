//! Reads observations out of a text: a reference report, or what a model wrote.
//!
//! The reader works sentence by sentence: it finds words that name a finding, drops those that are
//! negated, and gathers side, size and zone from the words around each. What a text leaves open stays
//! unknown (`effusion:unknown:small`) unless another mention in the same text says it.

mod lexicon;
mod sentence;

use std::collections::BTreeSet;

use super::observation::Observation;

/// The observations that a text claims.
///
/// Case, spacing before punctuation, hyphens and word order do not matter. Negated findings ("no
/// pleural effusion", "pneumothorax is not seen") are left out. A vague mention counts as an
/// observation with unknown parts, which equals no drawn one; it is left out where a fuller mention of
/// the same thing stands in the text, as between an impression and its findings.
pub fn observations_in(text: &str) -> BTreeSet<Observation> {
    let mut claimed = BTreeSet::new();
    for words in sentence::split(text) {
        claimed.extend(sentence::observations(&words));
    }
    let full = claimed.clone();
    claimed.retain(|&vague| !full.iter().any(|&other| other != vague && is_fuller(other, vague)));
    claimed
}

/// Whether `fuller` says all that `vague` says, and more.
fn is_fuller(fuller: Observation, vague: Observation) -> bool {
    fn agrees<T: PartialEq + Copy>(fuller: Option<T>, vague: Option<T>) -> bool {
        vague.is_none() || fuller == vague
    }
    use Observation::{Consolidation, Effusion, Nodule, Pneumothorax, SupportDevice};
    match (fuller, vague) {
        (Effusion { side: s, size: a }, Effusion { side: t, size: b }) => agrees(s, t) && agrees(a, b),
        (Pneumothorax { side: s }, Pneumothorax { side: t }) => agrees(s, t),
        (Consolidation { side: s, zone: a }, Consolidation { side: t, zone: b })
        | (Nodule { side: s, zone: a }, Nodule { side: t, zone: b }) => agrees(s, t) && agrees(a, b),
        (SupportDevice { device: a }, SupportDevice { device: b }) => agrees(a, b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let expected: BTreeSet<Observation> =
            expected.iter().map(|label| label.parse().expect("a valid label")).collect();
        let spelt = |set: &BTreeSet<Observation>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(spelt(&observations_in(text)), spelt(&expected), "{text}");
    }

    #[test]
    fn plain_statements() {
        check("There is a small left pleural effusion.", &["effusion:left:small"]);
        check("large pleural effusion on the right", &["effusion:right:large"]);
        check("Left pleural effusion , small in volume .", &["effusion:left:small"]);
        check("A left-sided pneumothorax is seen.", &["pneumothorax:left"]);
        check("Consolidation in the upper zone of the right lung.", &["consolidation:right:upper"]);
        check("RIGHT MID ZONE NODULE", &["nodule:right:mid"]);
        check("A nodular opacity projects over the left lower zone.", &["nodule:left:lower"]);
        check("The heart is mildly enlarged.", &["cardiomegaly"]);
        check("Enlarged cardiac silhouette.", &["cardiomegaly"]);
        check("An endotracheal tube ends above the carina.", &["support_device:endotracheal_tube"]);
        check(
            "Left chest pacemaker. Right internal jugular line.",
            &["support_device:central_line", "support_device:pacemaker"],
        );
    }

    #[test]
    fn negations() {
        for text in [
            "No pleural effusion or pneumothorax.",
            "No pneumothorax, pleural effusion, or focal consolidation is seen.",
            "There is no evidence of left pneumothorax.",
            "The lungs are clear without consolidation or nodule.",
            "The lungs are clear.",
            "Pleural effusion is not seen.",
            "Neither effusion nor pneumothorax is identified.",
            "Negative for pneumothorax.",
            "Consolidation and effusion are absent.",
            "Pneumothorax has been excluded.",
            "The heart is not enlarged.",
            "Heart size is normal. No cardiomegaly.",
            "The heart is normal in size without enlargement.",
            "The heart is normal and the mediastinum is not widened.",
            "No lines or tubes. No support devices.",
            "no pleural effusion .",
            "The costophrenic angles are sharp.",
            "Resolution of the right pleural effusion.",
            "Pericardial effusion.",
            "",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn negation_ends_where_a_statement_begins() {
        check("No pneumothorax but a small left effusion.", &["effusion:left:small"]);
        check("No consolidation and the heart is enlarged.", &["cardiomegaly"]);
        check("No effusion, there is a right pneumothorax.", &["pneumothorax:right"]);
        check("Left pneumothorax without effusion.", &["pneumothorax:left"]);
        check("Small left effusion is present and pneumothorax is not seen.", &["effusion:left:small"]);
        check("Pneumothorax is not seen and a large right effusion is present.", &["effusion:right:large"]);
        check("No effusion. Left pneumothorax.", &["pneumothorax:left"]);
        check("Heart normal, left effusion increased, large.", &["effusion:left:large"]);
        check("No change in the small left effusion.", &["effusion:left:small"]);
    }

    #[test]
    fn both_sides() {
        let small = &["effusion:left:small", "effusion:right:small"];
        check("Small bilateral pleural effusions.", small);
        check("Bilateral small effusions", small);
        check("Small pleural effusions are present on both sides.", small);
        check("Small left and right pleural effusions.", small);
        let unequal = &["effusion:left:large", "effusion:right:small"];
        check("Bilateral pleural effusions, small on the right and large on the left.", unequal);
        check("There is a small right and a large left pleural effusion.", unequal);
        check("Large pleural effusion on the left and small on the right.", unequal);
        check("Consolidation in both lower zones.", &["consolidation:left:lower", "consolidation:right:lower"]);
        check("Bibasilar consolidation.", &["consolidation:left:lower", "consolidation:right:lower"]);
    }

    #[test]
    fn several_places_and_several_findings() {
        check(
            "Consolidation in the left upper and right lower zones.",
            &["consolidation:left:upper", "consolidation:right:lower"],
        );
        check(
            "Consolidation in the left upper and lower zones.",
            &["consolidation:left:upper", "consolidation:left:lower"],
        );
        check(
            "Consolidation in the upper and mid zones of the right lung.",
            &["consolidation:right:upper", "consolidation:right:mid"],
        );
        check(
            "Small left pleural effusion and right lower zone consolidation.",
            &["effusion:left:small", "consolidation:right:lower"],
        );
        check(
            "Cardiomegaly, left upper zone nodule and small right pleural effusion.",
            &["cardiomegaly", "nodule:left:upper", "effusion:right:small"],
        );
        check(
            "Cardiomegaly, small left and large right pleural effusions.",
            &["cardiomegaly", "effusion:left:small", "effusion:right:large"],
        );
        check(
            "Left upper zone nodule and small left and large right effusions.",
            &["nodule:left:upper", "effusion:left:small", "effusion:right:large"],
        );
        check(
            "Consolidation in the left upper and right lower zones and a nodule in the right mid zone.",
            &["consolidation:left:upper", "consolidation:right:lower", "nodule:right:mid"],
        );
        check(
            "A right central line ends in the superior vena cava, left pneumothorax.",
            &["support_device:central_line", "pneumothorax:left"],
        );
    }

    #[test]
    fn vague_mentions_stay_vague_unless_said_elsewhere() {
        check("Pleural effusion.", &["effusion:unknown:unknown"]);
        check("Left pleural effusion.", &["effusion:left:unknown"]);
        check("Small pleural effusion.", &["effusion:unknown:small"]);
        check("There is a nodule in the upper zone.", &["nodule:unknown:upper"]);
        check("Support devices in place.", &["support_device:unknown"]);
        check("Findings: Small left effusion. Impression: Left effusion.", &["effusion:left:small"]);
        check("Small left effusion. Right effusion.", &["effusion:left:small", "effusion:right:unknown"]);
        check("A focal opacity in the left mid zone is consistent with consolidation.", &["consolidation:left:mid"]);
        check("Blunting of the left costophrenic angle.", &["effusion:left:small"]);
        check("The left costophrenic angle is blunted by a small effusion.", &["effusion:left:small"]);
    }

    #[test]
    fn contradictions_count_as_claimed() {
        check(
            "Small left effusion. Impression: small right effusion.",
            &["effusion:left:small", "effusion:right:small"],
        );
        check("Findings: Right pneumothorax. Impression: No pneumothorax.", &["pneumothorax:right"]);
    }

    #[test]
    fn odd_input_does_no_harm() {
        check("left left left and , , . ; : and", &[]);
        check("effusion effusion effusion", &["effusion:unknown:unknown"]);
        check("A nodule of 1.5 cm in the left upper zone.", &["nodule:left:upper"]);
        check("[CLS] small left pleural", &[]);
        check("Épanchement – ŵ 🫁 left pneumothorax", &["pneumothorax:left"]);
    }
}
