//! Compares what texts claim with what was drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::observation::{Kind, Observation, Side};
use super::read::observations_in;

/// What was drawn on one image, and what a text claims about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The drawn observations.
    pub truth: BTreeSet<Observation>,
    /// The claimed observations.
    pub claimed: BTreeSet<Observation>,
}

impl Pair {
    /// Reads the claims out of a generated text.
    pub fn from_text(truth: BTreeSet<Observation>, text: &str) -> Self {
        Self { truth, claimed: observations_in(text) }
    }
}

/// Precision, recall and F1 over counted observations, each 0 to 1; 0 where the denominator is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rates {
    /// Share of the claims that are true.
    pub precision: f64,
    /// Share of the drawn observations that are claimed.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Drawn observations.
    pub support: u64,
    /// Claims.
    pub claims: u64,
}

/// Counts from which [`Rates`] follow.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    hits: u64,
    support: u64,
    claims: u64,
}

impl Counts {
    fn add(&mut self, drawn: bool, claimed: bool) {
        self.hits += u64::from(drawn && claimed);
        self.support += u64::from(drawn);
        self.claims += u64::from(claimed);
    }

    fn rates(self) -> Rates {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Rates {
            precision: share(self.hits, self.claims),
            recall: share(self.hits, self.support),
            f1: share(2 * self.hits, self.claims + self.support),
            support: self.support,
            claims: self.claims,
        }
    }
}

/// How often the stated side is the drawn one.
///
/// A case is a pair and a sided kind (effusion, pneumothorax, consolidation, nodule) of which the truth
/// holds observations on exactly one side, and of which the text claims at least one with a stated
/// side. It is right when the sides stated for that kind are exactly the drawn side: naming both sides
/// is wrong. Size and zone do not matter; claims without a side are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Laterality {
    /// Share of right cases, 0 to 1; `None` without cases.
    pub accuracy: Option<f64>,
    /// Right cases.
    pub right: u64,
    /// All cases.
    pub cases: u64,
}

/// All scores over a set of pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Pairs that were compared.
    pub pairs: u64,
    /// Micro average over all observations of all pairs. An observation counts as found only when it
    /// is claimed in full: kind, side, size, zone, device.
    pub micro: Rates,
    /// The same for each kind, all six of them.
    pub by_kind: BTreeMap<Kind, Rates>,
    /// The same for the kind alone, whatever side, size and zone: one observation a pair and kind.
    pub micro_kind_only: Rates,
    /// Normal images: a pair counts as drawn normal without drawn observations, as claimed normal
    /// without claims.
    pub normal: Rates,
    /// Share of pairs whose claims are exactly the truth.
    pub exact: f64,
    /// Sides.
    pub laterality: Laterality,
}

/// Scores pairs. Without pairs every rate is 0.
pub fn score(pairs: &[Pair]) -> Scores {
    let mut micro = Counts::default();
    let mut kinds_only = Counts::default();
    let mut normal = Counts::default();
    let mut by_kind: BTreeMap<Kind, Counts> = Kind::ALL.map(|kind| (kind, Counts::default())).into();
    let mut laterality = Laterality::default();
    let mut exact = 0_u64;
    for Pair { truth, claimed } in pairs {
        for &observation in truth.union(claimed) {
            let (drawn, said) = (truth.contains(&observation), claimed.contains(&observation));
            micro.add(drawn, said);
            by_kind.entry(observation.kind()).or_default().add(drawn, said);
        }
        for kind in Kind::ALL {
            kinds_only.add(has_kind(truth, kind), has_kind(claimed, kind));
            add_laterality(&mut laterality, &sides(truth, kind), &sides(claimed, kind));
        }
        normal.add(truth.is_empty(), claimed.is_empty());
        exact += u64::from(truth == claimed);
    }
    laterality.accuracy = (laterality.cases > 0).then(|| laterality.right as f64 / laterality.cases as f64);
    Scores {
        pairs: pairs.len() as u64,
        micro: micro.rates(),
        by_kind: by_kind.into_iter().map(|(kind, counts)| (kind, counts.rates())).collect(),
        micro_kind_only: kinds_only.rates(),
        normal: normal.rates(),
        exact: if pairs.is_empty() { 0.0 } else { exact as f64 / pairs.len() as f64 },
        laterality,
    }
}

fn has_kind(observations: &BTreeSet<Observation>, kind: Kind) -> bool {
    observations.iter().any(|observation| observation.kind() == kind)
}

fn sides(observations: &BTreeSet<Observation>, kind: Kind) -> BTreeSet<Side> {
    observations.iter().filter(|one| one.kind() == kind).filter_map(|one| one.side()).collect()
}

fn add_laterality(laterality: &mut Laterality, drawn: &BTreeSet<Side>, stated: &BTreeSet<Side>) {
    if drawn.len() == 1 && !stated.is_empty() {
        laterality.cases += 1;
        laterality.right += u64::from(drawn == stated);
    }
}

/// The one text that scores best when it is given for every image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestConstant {
    /// The text.
    pub text: String,
    /// Its scores against all truths.
    pub scores: Scores,
}

/// Finds the text with the highest micro-F1 when it stands for every image; of equals, the first.
///
/// `texts` are the candidates, such as the training reports; the first `limit` different ones are tried.
/// `None` without candidates.
pub fn best_constant<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    truths: &[BTreeSet<Observation>],
    limit: usize,
) -> Option<BestConstant> {
    let mut drawn: BTreeMap<Observation, u64> = BTreeMap::new();
    for &observation in truths.iter().flatten() {
        *drawn.entry(observation).or_default() += 1;
    }
    let support: u64 = drawn.values().sum();
    let mut tried = BTreeSet::new();
    let mut best: Option<(f64, &str, BTreeSet<Observation>)> = None;
    for text in texts {
        if tried.len() == limit {
            break;
        }
        if !tried.insert(text) {
            continue;
        }
        let claimed = observations_in(text);
        // For a constant text the counts follow from how often each observation was drawn.
        let hits = claimed.iter().filter_map(|observation| drawn.get(observation)).sum();
        let claims = claimed.len() as u64 * truths.len() as u64;
        let f1 = Counts { hits, support, claims }.rates().f1;
        if best.as_ref().is_none_or(|(highest, ..)| f1 > *highest) {
            best = Some((f1, text, claimed));
        }
    }
    best.map(|(_, text, claimed)| {
        let pairs: Vec<Pair> =
            truths.iter().map(|truth| Pair { truth: truth.clone(), claimed: claimed.clone() }).collect();
        BestConstant { text: text.to_owned(), scores: score(&pairs) }
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::findings::Findings;
    use super::super::report;
    use super::*;

    fn set(labels: &[&str]) -> BTreeSet<Observation> {
        labels.iter().map(|label| label.parse().expect("a valid label")).collect()
    }

    fn pair(truth: &[&str], claimed: &[&str]) -> Pair {
        Pair { truth: set(truth), claimed: set(claimed) }
    }

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
    }

    #[test]
    fn counted_by_hand() {
        let scores = score(&[
            pair(&["cardiomegaly", "effusion:left:small"], &["cardiomegaly", "effusion:left:large"]),
            pair(&["nodule:right:upper"], &[]),
            pair(&[], &["pneumothorax:left"]),
            pair(&[], &[]),
        ]);
        // 3 drawn, 3 claimed, 1 in both.
        close(scores.micro.precision, 1.0 / 3.0);
        close(scores.micro.recall, 1.0 / 3.0);
        close(scores.micro.f1, 1.0 / 3.0);
        assert_eq!((scores.micro.support, scores.micro.claims, scores.pairs), (3, 3, 4));
        close(scores.by_kind[&Kind::Cardiomegaly].f1, 1.0);
        close(scores.by_kind[&Kind::Effusion].f1, 0.0);
        assert_eq!(scores.by_kind[&Kind::Consolidation], Rates::default());
        // Kinds alone: 3 drawn, 3 claimed, 2 in both.
        close(scores.micro_kind_only.f1, 2.0 / 3.0);
        // Two drawn normal, two claimed normal, one of them rightly.
        close(scores.normal.precision, 0.5);
        close(scores.normal.recall, 0.5);
        close(scores.exact, 0.25);
    }

    #[test]
    fn unequal_precision_and_recall() {
        let scores = score(&[pair(&["cardiomegaly"], &["cardiomegaly", "nodule:left:mid", "pneumothorax:right"])]);
        close(scores.micro.precision, 1.0 / 3.0);
        close(scores.micro.recall, 1.0);
        close(scores.micro.f1, 0.5);
    }

    #[test]
    fn sides_by_their_definition() {
        let right_and_cases = |truth: &[&str], claimed: &[&str]| {
            let laterality = score(&[pair(truth, claimed)]).laterality;
            (laterality.right, laterality.cases)
        };
        assert_eq!(right_and_cases(&["effusion:left:small"], &["effusion:left:large"]), (1, 1));
        assert_eq!(right_and_cases(&["effusion:left:small"], &["effusion:right:small"]), (0, 1));
        assert_eq!(right_and_cases(&["effusion:left:small"], &["effusion:left:small", "effusion:right:small"]), (0, 1));
        assert_eq!(right_and_cases(&["effusion:left:small"], &["effusion:unknown:small"]), (0, 0));
        assert_eq!(right_and_cases(&["effusion:left:small"], &["pneumothorax:right"]), (0, 0));
        assert_eq!(right_and_cases(&["effusion:left:small", "effusion:right:small"], &["effusion:left:small"]), (0, 0));
        assert_eq!(right_and_cases(&["cardiomegaly"], &["cardiomegaly"]), (0, 0));
        assert_eq!(score(&[]).laterality.accuracy, None);
    }

    #[test]
    fn vague_claims_are_false_ones() {
        let scores = score(&[pair(&["effusion:left:small"], &["effusion:unknown:small"])]);
        assert_eq!((scores.micro.precision, scores.micro.recall), (0.0, 0.0));
    }

    #[test]
    fn true_reports_score_one_and_shuffled_reports_collapse() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let drawn: Vec<Findings> = (0..1000).map(|_| Findings::sample(&mut rng)).collect();
        let texts: Vec<String> = drawn.iter().map(|findings| report::write(findings, &mut rng)).collect();
        let pairs = |shift: usize| -> Vec<Pair> {
            let text = |index: usize| &texts[(index + shift) % texts.len()];
            drawn.iter().enumerate().map(|(index, f)| Pair::from_text(f.observations(), text(index))).collect()
        };
        let own = score(&pairs(0));
        assert_eq!((own.micro.f1, own.exact, own.laterality.accuracy), (1.0, 1.0, Some(1.0)));
        let foreign = score(&pairs(1));
        assert!(foreign.micro.f1 < 0.15, "{}", foreign.micro.f1);
        let sides = foreign.laterality.accuracy.expect("there are cases");
        assert!((0.3..0.6).contains(&sides), "{sides}");
    }

    #[test]
    fn the_best_constant_is_the_commonest_claim() {
        let truths = [
            set(&["cardiomegaly"]),
            set(&["cardiomegaly", "nodule:left:mid"]),
            set(&["nodule:left:mid"]),
            set(&["cardiomegaly"]),
        ];
        let texts = ["No acute disease.", "Left mid zone nodule.", "Cardiomegaly.", "The heart is enlarged."];
        let best = best_constant(texts, &truths, 100).expect("there are candidates");
        assert_eq!(best.text, "Cardiomegaly.");
        // 5 drawn, 4 claimed, 3 in both.
        close(best.scores.micro.f1, 6.0 / 9.0);
        let first_two = best_constant(texts, &truths, 2).expect("there are candidates");
        assert_eq!(first_two.text, "Left mid zone nodule.");
        assert_eq!(best_constant([], &truths, 100), None);
    }

    #[test]
    fn scores_serialise_with_plain_names() {
        fn is_serialise<T: Serialize>(_: &T) {}
        is_serialise(&score(&[]));
    }
}
