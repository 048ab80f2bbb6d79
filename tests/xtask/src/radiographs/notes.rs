//! What the bundle's card says of the evaluations.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::Workspace;

/// Stands above the tables.
const DATA: &str = "\
## Trained on, tested on

Radiographs whose texts were **made from labels**, not written by radiologists:

- children of one to five years from one hospital, pneumonia (labelled bacterial or viral) or normal: D. Kermany, K. Zhang,
  M. Goldbaum, \"Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for Classification\", Mendeley Data,
  https://data.mendeley.com/datasets/rscbjbr9sj, CC BY 4.0, and Cell 172 (2018), doi:10.1016/j.cell.2018.02.010. 224 px copies;
- patients of the NIH Clinical Center, mostly adults, with pneumonia or without any of fourteen findings, by labels mined from
  reports by machine (about nine in ten right, as their makers say): X. Wang et al., \"ChestX-ray8\", CVPR 2017,
  https://nihcc.app.box.com/v/ChestXray-NIHCC. 256 px copies of 773 of its 112,120 images.

Held out before training, by person, and never trained on: a tenth of the children, a fifth of the patients of the NIH. They
chose no state of a training, but the preset's values (batches, epochs, how images are changed) were chosen while figures of
held-out children were looked at, these among them: the children's figures flatter by what that brings. Made by
`cargo xtask radiographs PNEUMONIA NIH`; nothing else entered it.
";

/// Stands below them.
const LIMITS: &str = "\
## What it cannot do

It affirms or denies pneumonia, and calls a child's bacterial or viral as its labels did. It does not know what else is on an
image: it was never told. A normal text means that nothing of its labels was seen, no more. Split by person inside a
corpus, figures flatter: films of one hospital are alike in more than their lungs. On films from elsewhere, of other ages or
other machines, expect less, as the lines above on swapped sources show. It is a proof that the pipeline learns from real
radiographs, of no diagnostic value, and **not for diagnostic use**.
";

/// The tables, with a title each and the folder of the evaluation.
const EVALUATIONS: [(&str, &str); 5] = [
    ("As it is", "results"),
    ("Borders covered (an eighth of the image along each side)", "results-border-covered"),
    ("Borders alone (all else covered)", "results-border-alone"),
    (
        "Sources swapped: the same network trained on the children alone, tested on the adults",
        "results-children-on-adults",
    ),
    ("Sources swapped: trained on the adults alone, tested on the children", "results-adults-on-children"),
];

/// The notes, of the evaluations in the recipe's folder.
pub fn of(workspace: &Workspace) -> Result<String> {
    let mut text = format!(
        "{DATA}\n## Does it tell pneumonia?\n\nThe words \"{}\", affirmed or denied, with 95 % intervals (bootstrap by \
         person). Area: under the ROC curve, by the probability of the words; 0.5 is chance. Beside it the training image \
         that looks most alike (its report), the answer that most training reports give, and a training report drawn at \
         random.\n",
        super::STATEMENT
    );
    let read = |folder: &str| -> Result<Value> {
        let path = workspace.path(super::FOLDER).join(folder).join("results.json");
        let bytes = fs::read(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("`{}` is no JSON", path.display()))
    };
    let results = EVALUATIONS.iter().map(|(_, folder)| read(folder)).collect::<Result<Vec<_>>>()?;
    for ((title, _), results) in EVALUATIONS.iter().zip(&results) {
        write!(text, "\n### {title}\n\n{}", table(results)?)?;
    }
    write!(text, "\n## Does a shortcut explain it?\n\n")?;
    for source in ["source children", "source adults"] {
        writeln!(text, "{}", shortcut(source, &results[..3])?)?;
    }
    write!(text, "\n{LIMITS}")?;
    Ok(text)
}

/// Above this, an area is more than chance for our purpose.
const MORE_THAN_CHANCE: f64 = 0.6;

/// What covering borders, or all but borders, does to the area of a group: `results` as it is, with borders covered, and
/// with borders alone.
fn shortcut(group: &str, results: &[Value]) -> Result<String> {
    let area = |results: &Value| {
        let mut groups = results["statement"]["groups"].as_array().into_iter().flatten();
        let found =
            groups.find(|found| found["name"] == group).and_then(|found| found["model"]["area"]["value"].as_f64());
        found.with_context(|| format!("no area of the group `{group}`"))
    };
    let [whole, covered, alone] = [area(&results[0])?, area(&results[1])?, area(&results[2])?];
    let said = if alone > MORE_THAN_CHANCE && covered < MORE_THAN_CHANCE {
        "**The border explains the score**: side marks, collimation, tubes and the position of the patient, not the lungs. The \
         figures of this group say nothing about finding pneumonia."
    } else if covered > MORE_THAN_CHANCE && alone < MORE_THAN_CHANCE {
        "The border does not explain the score; what is within does."
    } else {
        "Both parts carry something of the score."
    };
    Ok(format!("- {group}: area {whole:.3}; borders covered {covered:.3}; borders alone {alone:.3}. {said}"))
}

/// A row for each group of an evaluation.
fn table(results: &Value) -> Result<String> {
    let groups = results["statement"]["groups"].as_array().context("the evaluation was asked no question")?;
    let mut text = String::from(
        "| persons held out | images, with pneumonia | area | accuracy | balanced | sensitivity | specificity | nearest, \
         balanced | most usual, accuracy | at random, accuracy |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for group in groups {
        let model = &group["model"];
        let cells = [
            group["name"].as_str().unwrap_or_default().to_owned(),
            format!("{}, {}", group["studies"], group["affirmed"]),
            with_interval(&model["area"]),
            with_interval(&model["accuracy"]),
            with_interval(&model["balanced"]),
            value(&model["sensitivity"]["value"]),
            value(&model["specificity"]["value"]),
            value(&group["nearest"]["balanced"]["value"]),
            value(&group["constant"]["accuracy"]["value"]),
            value(&group["random_accuracy"]),
        ];
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    Ok(text)
}

fn value(found: &Value) -> String {
    found.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn with_interval(found: &Value) -> String {
    if found.is_null() {
        return "–".to_owned();
    }
    format!("{} ({} to {})", value(&found["value"]), value(&found["low"]), value(&found["high"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_that_explains_the_score_is_named() {
        let results = |areas: [f64; 3]| {
            areas.map(|area| {
                let model = serde_json::json!({"area": {"value": area}});
                serde_json::json!({"statement": {"groups": [{"name": "a", "model": model}]}})
            })
        };
        let said = |areas| shortcut("a", &results(areas)).expect("the group is there");
        assert!(said([0.74, 0.50, 0.72]).contains("**The border explains the score**"));
        assert!(said([0.99, 0.93, 0.37]).contains("does not explain"));
        assert!(said([0.99, 0.93, 0.7]).contains("Both parts"));
        assert!(shortcut("b", &results([0.9; 3])).is_err());
    }

    #[test]
    fn a_row_says_what_was_measured_and_dashes_what_was_not() {
        let measured = serde_json::json!({"value": 0.91234, "low": 0.9, "high": 0.92});
        let model = serde_json::json!({"area": null, "accuracy": measured, "balanced": null});
        let group =
            serde_json::json!({"name": "view AP", "studies": 7, "affirmed": 7, "model": model, "random_accuracy": 0.5});
        let text = table(&serde_json::json!({"statement": {"groups": [group]}})).expect("a table");
        let row = text.lines().last().expect("a row");
        assert!(row.starts_with("| view AP | 7, 7 | – | 0.912 (0.900 to 0.920) | – |"), "{row}");
        assert!(row.ends_with("| 0.500 |"), "{row}");
        assert!(table(&serde_json::json!({"statement": null})).is_err());
    }
}
