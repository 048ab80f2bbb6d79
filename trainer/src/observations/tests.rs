use super::Observation::{
    Atelectasis, Cardiomegaly, Consolidation, Edema, EnlargedCardiomediastinum, Fracture, LungLesion, LungOpacity,
    NoFinding, PleuralEffusion, PleuralOther, Pneumonia, Pneumothorax, SupportDevices,
};
use super::{Grade, Label, Labelled, Observation, Sides, Uncertain, agreement, read};

const YES: Option<Label> = Some(Label::Positive);
const NO: Option<Label> = Some(Label::Negative);
const MAYBE: Option<Label> = Some(Label::Uncertain);

#[track_caller]
fn check(text: &str, expected: &[(Observation, Option<Label>)]) {
    let labelled = read(text);
    for &(observation, label) in expected {
        assert_eq!(labelled.label(observation), label, "{observation} in {text:?}");
    }
}

#[test]
fn denials_reach_over_a_list_and_no_further() {
    let three = [(Consolidation, NO), (Pneumothorax, NO), (PleuralEffusion, NO)];
    check("No focal consolidation, pneumothorax, or large pleural effusion.", &three);
    check("There is no consolidation, effusion or pneumothorax identified.", &three);
    check("The lungs are clear without evidence of pneumothorax, consolidation, or effusion.", &three);
    check("Neither pleural effusion nor pneumothorax is seen.", &three[1..]);
    check("Negative for pneumothorax and pleural effusion.", &three[1..]);
    check("No pneumothorax, small left effusion.", &[(Pneumothorax, NO), (PleuralEffusion, YES)]);
    check("No pneumothorax, and the heart is enlarged.", &[(Pneumothorax, NO), (Cardiomegaly, YES)]);
    check("No pneumothorax but there is an effusion.", &[(Pneumothorax, NO), (PleuralEffusion, YES)]);
    check("Cardiomegaly without overt edema.", &[(Cardiomegaly, YES), (Edema, NO)]);
    check("Left effusion. No pneumothorax.", &[(PleuralEffusion, YES), (Pneumothorax, NO)]);
}

#[test]
fn denials_stand_behind_too() {
    check("Pleural effusion is not seen.", &[(PleuralEffusion, NO)]);
    check("Pneumothorax and effusion are not definitely identified.", &[(Pneumothorax, NO), (PleuralEffusion, NO)]);
    check("The pneumothorax has resolved.", &[(Pneumothorax, NO)]);
    check("Nodule is no longer visible. The effusion has cleared.", &[(LungLesion, NO), (PleuralEffusion, NO)]);
    check("The right upper lobe opacity is not changed.", &[(LungOpacity, YES)]);
}

#[test]
fn a_statement_about_change_denies_nothing() {
    check("No significant interval change in the left effusion.", &[(PleuralEffusion, YES)]);
    check("Without change, the effusion remains.", &[(PleuralEffusion, YES)]);
    check("No increase in pneumothorax.", &[(Pneumothorax, YES)]);
}

#[test]
fn doubt_goes_before_denial_where_it_is_about_the_denial() {
    check("Cannot exclude pneumonia.", &[(Pneumonia, MAYBE)]);
    check("A small effusion cannot be excluded.", &[(PleuralEffusion, MAYBE)]);
    check("No new consolidation.", &[(Consolidation, MAYBE)]);
    check("Pneumonia is not excluded.", &[(Pneumonia, MAYBE)]);
}

#[test]
fn doubt_reaches_what_it_is_about() {
    check(
        "Airspace disease, may reflect atelectasis or consolidation.",
        &[(LungOpacity, YES), (Atelectasis, MAYBE), (Consolidation, MAYBE)],
    );
    check("Opacity concerning for pneumonia. Pneumothorax is possible.", &[(Pneumonia, MAYBE), (Pneumothorax, MAYBE)]);
    check("Small effusions suspected. Suspected rib fracture.", &[(PleuralEffusion, MAYBE), (Fracture, MAYBE)]);
    check("Possible edema, and the left effusion is larger.", &[(Edema, MAYBE), (PleuralEffusion, YES)]);
    check("Scarring versus atelectasis; probable small effusion.", &[(Atelectasis, YES), (PleuralEffusion, YES)]);
}

#[test]
fn what_was_asked_for_is_not_stated() {
    check("INDICATION: Evaluate for pneumonia.\n\nFINDINGS: Clear lungs.", &[(Pneumonia, None), (NoFinding, YES)]);
    check("History of pneumothorax. Recommend CT to exclude a nodule.", &[(Pneumothorax, None), (LungLesion, None)]);
}

#[test]
fn the_heart_is_read_with_its_state() {
    for enlarged in [
        "The heart is mildly enlarged.",
        "Enlarged cardiac silhouette.",
        "Mild enlargement of the heart.",
        "Heart size is increased.",
        "Stable cardiomegaly.",
        "The cardiothoracic ratio is increased.",
    ] {
        check(enlarged, &[(Cardiomegaly, YES)]);
    }
    for normal in [
        "Heart size normal and lungs are clear.",
        "The heart is not enlarged.",
        "The heart, pulmonary vasculature and mediastinum are within normal limits.",
        "Normal heart size, enlarged aorta.",
        "No cardiomegaly.",
    ] {
        check(normal, &[(Cardiomegaly, NO)]);
    }
    for unclear in
        ["Heart size is at the upper limits of normal.", "Borderline heart size.", "The heart is top normal in size."]
    {
        check(unclear, &[(Cardiomegaly, MAYBE)]);
    }
    check("Stable heart size.", &[(Cardiomegaly, None)]);
    check("Heart size and enlarged aorta.", &[(Cardiomegaly, None)]);
    check("The cardiomediastinal silhouette is widened.", &[(EnlargedCardiomediastinum, YES), (Cardiomegaly, None)]);
    check("The cardiomediastinal silhouette is normal.", &[(EnlargedCardiomediastinum, NO)]);
}

#[test]
fn positive_beats_uncertain_beats_negative() {
    check("No effusion on the right. Possible left effusion.", &[(PleuralEffusion, MAYBE)]);
    check("No effusion on the right. Possible left effusion. There is an effusion.", &[(PleuralEffusion, YES)]);
}

#[test]
fn no_finding_is_what_nothing_else_rules_out() {
    check("Lungs are clear. Pacemaker in place.", &[(NoFinding, YES), (SupportDevices, YES)]);
    check("Possible nodule.", &[(NoFinding, None)]);
    check("Severe emphysema.", &[(NoFinding, None)]);
    check("No emphysema.", &[(NoFinding, YES)]);
    check("Pleural thickening. Old rib fractures.", &[(NoFinding, None), (PleuralOther, YES), (Fracture, YES)]);
}

#[test]
fn look_alikes_are_not_taken() {
    check("Pericardial effusion. Calcified nodule.", &[(PleuralEffusion, None), (LungLesion, None)]);
    check("Prior granulomatous infection.", &[(Pneumonia, None), (NoFinding, None)]);
}

#[test]
fn any_text_is_taken() {
    for empty in ["", " \n ", ".", "...", "1. 2.", "\u{0}", "-/-", "'", "1", ":", "::"] {
        assert_eq!(read(empty), Labelled::default(), "{empty:?}");
    }
    check("Normal", &[(NoFinding, YES)]);
    check("Größe normal. 胸部正常。 Kein Erguß 😀 effusion", &[(PleuralEffusion, YES)]);
    for long in ["no effusion, ", "heart ", "heart effusion may not ", "1. ", "a:", "\n", ","] {
        let _ = read(&long.repeat(40_000));
    }
    assert_eq!(read(&"no effusion, ".repeat(40_000)).label(PleuralEffusion), NO);
}

fn first(text: &str, observation: Observation) -> super::Mention {
    *read(text).mentions.iter().find(|mention| mention.observation == observation).expect("it is mentioned")
}

#[test]
fn side_and_size_belong_to_their_mention() {
    let (left, right) = (Sides { left: true, right: false }, Sides { left: false, right: true });
    let both = Sides { left: true, right: true };
    let text = "Large left pleural effusion with small right pneumothorax.";
    let (effusion, pneumothorax) = (first(text, PleuralEffusion), first(text, Pneumothorax));
    assert_eq!((effusion.sides, effusion.grade), (left, Some(Grade::Large)));
    assert_eq!((pneumothorax.sides, pneumothorax.grade), (right, Some(Grade::Small)));
    assert_eq!(first("A small pleural effusion is seen on the left.", PleuralEffusion).sides, left);
    assert_eq!(first("Consolidation in the right lower lobe.", Consolidation).sides, right);
    assert_eq!(first("There is a small left and a large right pleural effusion.", PleuralEffusion).sides, both);
    assert_eq!(first("Bibasilar atelectasis.", Atelectasis).sides, both);
    assert_eq!(first("Right-sided effusion, left rib fracture.", PleuralEffusion).sides, right);
    assert_eq!(first("Right-sided effusion, left rib fracture.", Fracture).sides, left);
    assert_eq!(first("Leads in the right ventricle.", SupportDevices).sides, Sides::default());
    let nodule = first("A 1.5 x 2.0cm nodule in the left upper lobe.", LungLesion);
    assert_eq!((nodule.sides, nodule.millimetres), (left, Some(20.0)));
    assert_eq!(first("An 8 mm nodule.", LungLesion).millimetres, Some(8.0));
}

#[test]
fn a_mention_knows_its_sentence() {
    let text = "Clear. Small left effusion. Normal.";
    let (from, to) = first(text, PleuralEffusion).sentence;
    assert_eq!(text[from..to].trim(), "Small left effusion.");
}

#[test]
fn agreement_counts_classes_sides_and_sizes() {
    let pair = |generated, reference| (read(generated), read(reference));
    let pairs = [
        pair("Small left effusion.", "Small right effusion."),
        pair("Cardiomegaly. Large right effusion.", "Small right effusion. 10 mm nodule."),
        pair("Possible edema. 11 mm nodule.", "Edema. 10 mm nodule."),
        pair("Normal.", "Normal."),
    ];
    let agreement = agreement(&pairs);
    assert_eq!((agreement.side.agree, agreement.side.compared), (1, 2));
    assert_eq!((agreement.size.agree, agreement.size.compared), (1, 2));
    assert_eq!((agreement.measure.agree, agreement.measure.compared), (1, 1));
    let of = |uncertain, observation: Observation| {
        let classes = &agreement.under(uncertain).classes;
        let rates = classes.iter().find(|class| class.observation == observation).unwrap().rates;
        (rates.true_positives, rates.false_positives, rates.false_negatives)
    };
    assert_eq!(of(Uncertain::Positive, PleuralEffusion), (2, 0, 0));
    assert_eq!(of(Uncertain::Positive, Cardiomegaly), (0, 1, 0));
    assert_eq!(of(Uncertain::Positive, LungLesion), (1, 0, 1));
    assert_eq!(of(Uncertain::Positive, Edema), (1, 0, 0));
    assert_eq!(of(Uncertain::Negative, Edema), (0, 0, 1));
    assert_eq!(of(Uncertain::Positive, NoFinding), (1, 0, 0));
    let five = agreement.uncertain_as_positive.micro_5;
    assert_eq!((five.true_positives, five.false_positives, five.false_negatives), (3, 1, 0));
    assert!((agreement.uncertain_as_positive.macro_5 - 2.0 / 3.0).abs() < 1e-12, "two right, one wrong, two unnamed");
}
