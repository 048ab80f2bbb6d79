//! Another evaluation's figures beside these.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Evaluation;
use super::page::{Table, TableRow};

/// Another evaluation, as its `results.json` tells it.
pub(super) struct Other {
    named: String,
    results: Value,
}

/// Figures that are compared: name and place in `results.json`.
const FIGURES: [(&str, &str); 12] = [
    ("Claims F1", "/observations/model/micro/f1"),
    ("Observations F1, 14, uncertain as positive", "/agreement/uncertain_as_positive/micro_14/f1"),
    ("Observations F1, 5, uncertain as positive", "/agreement/uncertain_as_positive/micro_5/f1"),
    ("Observations F1, 14, uncertain as negative", "/agreement/uncertain_as_negative/micro_14/f1"),
    ("BLEU-4 (r2gen)", "/text/0/corpus/bleu/3"),
    ("ROUGE-L (r2gen)", "/text/0/corpus/rouge_l"),
    ("CIDEr-D (r2gen)", "/text/0/corpus/cider_d"),
    ("Token accuracy", "/tokens/accuracy"),
    ("Perplexity", "/tokens/perplexity"),
    ("Different reports", "/distinct_reports"),
    ("Area of confidence", "/calibration/area"),
    ("Seconds per report", "/seconds_per_report"),
];

/// Reads a `results.json`.
pub(super) fn read(path: &Path) -> anyhow::Result<Other> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let hint = "hint: `--against` takes the `results.json` of another evaluation";
    let results: Value =
        serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON\n{hint}", path.display()))?;
    ensure!(
        results["bundle"].is_string() && results["tokens"].is_object(),
        "`{}` is no evaluation: it names no bundle, or has no token scores\n{hint}",
        path.display()
    );
    let bundle = results["bundle"].as_str().unwrap_or_default();
    let named = format!(
        "{} ({})",
        results["model"].as_str().unwrap_or("another model"),
        bundle.chars().take(8).collect::<String>()
    );
    Ok(Other { named, results })
}

impl Other {
    /// The table of both.
    pub fn table(&self, evaluation: &Evaluation) -> anyhow::Result<Table> {
        let this = serde_json::to_value(evaluation)?;
        let rows = FIGURES.iter().filter_map(|(name, place)| {
            let (ours, theirs) = (this.pointer(place)?.as_f64(), self.results.pointer(place).and_then(Value::as_f64));
            if ours.is_none() && theirs.is_none() {
                return None;
            }
            let shown = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
            let difference = ours.zip(theirs).map(|(ours, theirs)| format!("{:+.3}", ours - theirs));
            Some(TableRow {
                name: (*name).to_owned(),
                note: String::new(),
                cells: vec![shown(ours), shown(theirs), difference.unwrap_or_default()],
                emphasised: false,
            })
        });
        let same = ["data", "studies"].iter().all(|key| this[*key] == self.results[*key]);
        let note = if same {
            "Both were evaluated on the same number of studies of the same folder."
        } else {
            "The other was evaluated on other data: the differences are not the models' alone."
        };
        Ok(Table {
            title: format!("Beside {}", self.named),
            note: note.to_owned(),
            columns: vec!["This".into(), "The other".into(), "Difference".into()],
            rows: rows.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_evaluation_is_refused_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        for content in ["", "{", "[]", "{\"bundle\": 3}", "{\"bundle\": \"x\"}"] {
            std::fs::write(&path, content).unwrap();
            let error = format!("{:#}", read(&path).err().expect("it is refused"));
            assert!(error.contains("results.json") && error.contains("hint: "), "{error}");
        }
        std::fs::write(&path, "{\"bundle\": \"ä\", \"tokens\": {}}").unwrap();
        assert!(read(&path).is_ok());
    }
}
