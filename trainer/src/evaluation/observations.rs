//! What the drafts claim against what was drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::Case;
use crate::phantoms::{
    BestConstant, Observation, Pair, Scores, best_constant, observations_in, read_findings, score::score,
};

/// Different texts that are tried as the best constant report.
const CONSTANTS_TRIED: usize = 2000;

/// The model beside what needs no model.
#[derive(Debug, Clone, Serialize)]
pub struct ObservationResults {
    /// The model's drafts.
    pub model: Scores,
    /// The reference reports themselves: how well the reader of texts reads.
    pub references: Scores,
    /// The single reference report that scores best when it stands for every image.
    pub best_constant: BestConstant,
    /// The model's drafts, each held against another image's truth: what it would score blind.
    pub shuffled: Scores,
}

/// Compares the drafts with `findings.csv`; `None` where the data set has none.
pub(super) fn compare(findings: &Path, cases: &[Case]) -> anyhow::Result<Option<ObservationResults>> {
    if !findings.is_file() {
        return Ok(None);
    }
    let drawn = read_findings(findings)?;
    let known: Vec<(&Case, &BTreeSet<Observation>)> =
        cases.iter().filter_map(|case| Some((case, &drawn.get(&case.study.id)?.observations))).collect();
    anyhow::ensure!(!known.is_empty(), "no id of `{}` is in the data set", findings.display());
    let pairs = |text: &dyn Fn(usize) -> String| -> Vec<Pair> {
        known.iter().enumerate().map(|(index, (_, truth))| Pair::from_text((*truth).clone(), &text(index))).collect()
    };
    let truths: Vec<BTreeSet<Observation>> = known.iter().map(|(_, truth)| (*truth).clone()).collect();
    let references = known.iter().map(|(case, _)| case.study.text.as_str());
    let Some(best_constant) = best_constant(references, &truths, CONSTANTS_TRIED) else { return Ok(None) };
    // A third of the way round: no image keeps its own draft, and follow-ups of one patient are far apart.
    let shift = (known.len() / 3).max(1);
    Ok(Some(ObservationResults {
        model: score(&pairs(&|index| known[index].0.draft.text.clone())),
        references: score(&pairs(&|index| known[index].0.study.text.clone())),
        shuffled: score(&pairs(&|index| known[(index + shift) % known.len()].0.draft.text.clone())),
        best_constant,
    }))
}

/// How each observation of a study fared in its draft.
pub(super) fn outcomes(truth: &BTreeSet<Observation>, text: &str) -> BTreeMap<Observation, super::page::Outcome> {
    use super::page::Outcome;
    let claimed = observations_in(text);
    let mut outcomes = BTreeMap::new();
    for &observation in truth {
        outcomes.insert(observation, if claimed.contains(&observation) { Outcome::Found } else { Outcome::Missed });
    }
    for &claim in claimed.difference(truth) {
        let other_side = truth.iter().any(|drawn| drawn.kind() == claim.kind() && drawn.side() != claim.side());
        let same_side = truth.iter().any(|drawn| drawn.kind() == claim.kind() && drawn.side() == claim.side());
        let outcome = if other_side && !same_side { Outcome::WrongSide } else { Outcome::Invented };
        outcomes.insert(claim, outcome);
    }
    outcomes
}
