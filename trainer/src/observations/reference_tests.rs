//! Against CheXpert's sample and the gold labels of Open-i (`../shared/data/labels`, `../shared/data/open-i`).

use std::collections::{HashMap, HashSet};

use super::{Label, Observation, Rates, Uncertain, read};
use crate::shared_data::shared;

#[test]
fn the_sample_reports_of_chexpert_have_its_labels() {
    let Some(path) = shared("data/labels/chexpert_labeled_reports.csv") else { return };
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let names: Vec<&str> = header.iter().skip(1).collect();
    assert_eq!(names, Observation::ALL.map(Observation::name), "the order of the table is ours");
    let mut reports = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let labelled = read(&row[0]);
        for observation in Observation::ALL {
            let expected = match &row[observation as usize + 1] {
                "" => None,
                "1.0" => Some(Label::Positive),
                "0.0" => Some(Label::Negative),
                "-1.0" => Some(Label::Uncertain),
                other => panic!("{other}"),
            };
            assert_eq!(labelled.label(observation), expected, "{observation} in {:?}", &row[0]);
        }
        reports += 1;
    }
    assert_eq!(reports, 4);
}

/// The classes that the gold labels (NIH names) and CheXpert share.
const SHARED: [(&str, Observation); 7] = [
    ("Atelectasis", Observation::Atelectasis),
    ("Cardiomegaly", Observation::Cardiomegaly),
    ("Effusion", Observation::PleuralEffusion),
    ("Pneumonia", Observation::Pneumonia),
    ("Pneumothorax", Observation::Pneumothorax),
    ("Consolidation", Observation::Consolidation),
    ("Edema", Observation::Edema),
];

/// Rates of the seven classes, and of all together, over the reports that `chosen` picks.
fn rates(labels: &[(HashMap<String, bool>, super::Labelled)], uncertain: Uncertain) -> Vec<(&'static str, Rates)> {
    let mut all = [0; 3];
    let mut rows: Vec<(&str, Rates)> = SHARED
        .into_iter()
        .map(|(name, observation)| {
            let mut counts = [0; 3];
            for (gold, labelled) in labels {
                match (uncertain.is_positive(labelled.label(observation)), gold[name]) {
                    (true, true) => counts[0] += 1,
                    (true, false) => counts[1] += 1,
                    (false, true) => counts[2] += 1,
                    (false, false) => {}
                }
            }
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
            (name, Rates::new(counts[0], counts[1], counts[2]))
        })
        .collect();
    rows.push(("micro", Rates::new(all[0], all[1], all[2])));
    rows
}

/// The lexicon was tuned on the reports outside NegBio's test list; those on it were held out. Prints the table of the
/// README with `--nocapture`.
#[test]
fn seven_classes_of_the_open_i_gold_labels_are_found() {
    let paths = ["labels/openi_gld_std14.csv", "labels/openi-testset.txt", "open-i/indiana_reports.csv"];
    let [Some(gold), Some(held_out), Some(reports)] = paths.map(|path| shared(format!("data/{path}"))) else { return };
    let held_out: HashSet<String> = std::fs::read_to_string(held_out).unwrap().lines().map(str::to_owned).collect();
    let mut reader = csv::Reader::from_path(reports).unwrap();
    let texts: HashMap<String, String> = reader
        .deserialize::<HashMap<String, String>>()
        .map(|row| {
            let row = row.unwrap();
            (format!("CXR{}", row["uid"]), format!("{}\n\n{}", row["findings"], row["impression"]))
        })
        .collect();
    let (mut tuned, mut unseen) = (Vec::new(), Vec::new());
    for row in csv::Reader::from_path(gold).unwrap().deserialize::<HashMap<String, String>>() {
        let row = row.unwrap();
        let id = &row["filename"];
        let gold = row.iter().map(|(name, cell)| (name.clone(), cell == "1")).collect();
        let part = if held_out.contains(id) { &mut unseen } else { &mut tuned };
        part.push((gold, read(&texts[id])));
    }
    assert_eq!((tuned.len(), unseen.len()), (3080, 771));
    let all: Vec<_> = tuned.iter().chain(&unseen).cloned().collect();
    for (part, labels) in [("all 3,851", &all), ("tuned on 3,080", &tuned), ("held out 771", &unseen)] {
        let rows = rates(labels, Uncertain::Negative);
        println!("\n{part}");
        for (name, rates) in &rows {
            let Rates { precision, recall, f1, support, .. } = rates;
            println!("| {name} | {precision:.3} | {recall:.3} | {f1:.3} | {support} |");
        }
        let micro = rows.last().expect("the list ends with the mean").1;
        assert!(micro.f1 >= 0.90, "{part}: {micro:?}");
    }
}
