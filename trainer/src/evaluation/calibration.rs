//! Whether the model knows when it is wrong: its confidence beside whether the report was right.

use serde::Serialize;

/// Bins of the reliability plot.
const BINS: usize = 10;

/// A bin of reports with like confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Reports in it.
    pub reports: usize,
    /// Their mean confidence, in (0, 1].
    pub confidence: f64,
    /// Share of them that were right, in [0, 1].
    pub right: f64,
}

/// Confidence against being right. Confidence is the geometric mean of the tokens' probabilities, e to the mean
/// log-probability; a report is right when it states the observations of its reference, no more and no fewer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// What "right" was taken to mean.
    pub right_means: String,
    /// Share of reports that were right.
    pub right: f64,
    /// Mean confidence.
    pub confidence: f64,
    /// Area under the ROC curve: how often a right report has a higher confidence than a wrong one. 0.5 is chance;
    /// `None` where all reports are right, or all wrong.
    pub area: Option<f64>,
    /// Mean distance between confidence and share of right reports over the bins, weighted by reports (expected
    /// calibration error).
    pub error: f64,
    /// Bins of equally many reports, least confident first.
    pub bins: Vec<Bin>,
}

/// From (mean log-probability, right) of each report; at least one.
pub(super) fn calibration(reports: &[(f64, bool)], right_means: &str) -> Calibration {
    let mut sorted: Vec<(f64, bool)> = reports.iter().map(|&(log, right)| (log.exp(), right)).collect();
    let area = area(&mut sorted);
    let count = sorted.len();
    let bins: Vec<Bin> = (0..BINS)
        .map(|bin| &sorted[bin * count / BINS..(bin + 1) * count / BINS])
        .filter(|members| !members.is_empty())
        .map(bin_of)
        .collect();
    let all = bin_of(&sorted);
    let distances: f64 = bins.iter().map(|bin| (bin.confidence - bin.right).abs() * bin.reports as f64).sum();
    Calibration {
        right_means: right_means.to_owned(),
        right: all.right,
        confidence: all.confidence,
        area,
        error: distances / count.max(1) as f64,
        bins,
    }
}

fn bin_of(members: &[(f64, bool)]) -> Bin {
    let count = members.len().max(1) as f64;
    Bin {
        reports: members.len(),
        confidence: members.iter().map(|member| member.0).sum::<f64>() / count,
        right: members.iter().filter(|member| member.1).count() as f64 / count,
    }
}

/// Mann and Whitney's: pairs of a right and a wrong report in which the right one is more confident, ties half; `None`
/// where there is no pair. Leaves the reports sorted, least confident first.
pub(super) fn area(reports: &mut [(f64, bool)]) -> Option<f64> {
    reports.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sorted = &*reports;
    let right = sorted.iter().filter(|report| report.1).count();
    let wrong = sorted.len() - right;
    if right == 0 || wrong == 0 {
        return None;
    }
    let (mut wrong_below, mut ordered) = (0.0, 0.0);
    for equal in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let wrong_here = equal.iter().filter(|report| !report.1).count() as f64;
        let right_here = equal.len() as f64 - wrong_here;
        ordered += right_here * (wrong_below + wrong_here / 2.0);
        wrong_below += wrong_here;
    }
    Some(ordered / (right as f64 * wrong as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_ordered_pairs_and_halves_ties() {
        let area = |reports: &[(f64, bool)]| calibration(reports, "").area;
        assert_eq!(area(&[(-2.0, false), (-1.0, true)]), Some(1.0));
        assert_eq!(area(&[(-2.0, true), (-1.0, false)]), Some(0.0));
        assert_eq!(area(&[(-1.0, true), (-1.0, false)]), Some(0.5));
        assert_eq!(area(&[(-3.0, false), (-2.0, true), (-1.0, false), (0.0, true)]), Some(0.75));
        assert_eq!(area(&[(-1.0, true)]), None);
    }

    #[test]
    fn a_model_that_is_as_often_right_as_it_is_sure_has_no_error() {
        let sure = (0.75f64).ln();
        let reports: Vec<(f64, bool)> = (0..40).map(|n| (sure, n % 4 != 0)).collect();
        let found = calibration(&reports, "all right");
        assert!(found.error < 1e-9 && (found.right - 0.75).abs() < 1e-9, "{found:?}");
        let boasting: Vec<(f64, bool)> = (0..40).map(|n| (0.0, n % 4 == 0)).collect();
        assert!((calibration(&boasting, "").error - 0.75).abs() < 1e-9);
    }

    #[test]
    fn bins_hold_all_reports_also_where_there_are_few() {
        for count in [1, 9, 10, 11, 105] {
            let reports: Vec<(f64, bool)> = (0..count).map(|n| (-f64::from(n), n % 2 == 0)).collect();
            let found = calibration(&reports, "");
            assert_eq!(found.bins.iter().map(|bin| bin.reports).sum::<usize>(), count as usize);
            assert!(found.bins.windows(2).all(|pair| pair[0].confidence <= pair[1].confidence));
        }
    }
}
