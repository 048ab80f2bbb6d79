//! The reliability plot: how often reports of a confidence are right.

use super::axis::Axis;
use super::svg::{Anchor, HAIRLINE, INK, MUTED, Sheet, TextStyle};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 470.0;
const DOT: &str = "#1d4ed8";
const DIAGONAL: &str = "#94a3b8";
const TICK: TextStyle = TextStyle::new(11.0, MUTED);

/// Draws (confidence, share of right reports, reports) of each bin as SVG, 560 × 470 pixels; both shares in [0, 1]. Dots
/// are as large as their bin has reports; on the diagonal a model is as often right as it is sure.
pub fn reliability(bins: &[(f64, f64, usize)]) -> String {
    let mut sheet = Sheet::card(WIDTH, HEIGHT);
    sheet.text(32.0, 40.0, TextStyle::new(17.0, INK).weight(650), "Confidence and being right");
    let across = Axis::round(0.0, 1.0, 5, (72.0, WIDTH - 32.0));
    let up = Axis::round(0.0, 1.0, 5, (HEIGHT - 72.0, 64.0));
    for &tick in &up.ticks {
        sheet.line((across.from, up.pixel(tick)), (across.to, up.pixel(tick)), HAIRLINE, 1.0);
        sheet.text(
            across.from - 9.0,
            up.pixel(tick) + 4.0,
            TICK.anchor(Anchor::End),
            &format!("{:.0} %", tick * 100.0),
        );
    }
    for &tick in &across.ticks {
        sheet.text(across.pixel(tick), up.from + 20.0, TICK.anchor(Anchor::Middle), &format!("{:.0} %", tick * 100.0));
    }
    sheet.line((across.from, up.from), (across.to, up.to), DIAGONAL, 1.5);
    let points = || bins.iter().filter(|(confidence, right, _)| confidence.is_finite() && right.is_finite());
    sheet.curve(points().map(|&(confidence, right, _)| Some((across.pixel(confidence), up.pixel(right)))), DOT, 1.5);
    let most = bins.iter().map(|bin| bin.2).max().unwrap_or(1).max(1) as f64;
    for &(confidence, right, reports) in points() {
        let radius = (30.0 + 40.0 * (reports as f64 / most).sqrt()).round() / 10.0;
        sheet.dot((across.pixel(confidence), up.pixel(right)), radius, DOT, "#ffffff");
    }
    let below = TextStyle::new(12.5, MUTED).anchor(Anchor::Middle);
    sheet.text(
        f64::midpoint(across.from, across.to),
        HEIGHT - 24.0,
        below,
        "confidence: e to the mean log-probability",
    );
    sheet.text(32.0, 58.0, TextStyle::new(12.0, MUTED), "share of right reports");
    let told: Vec<String> = bins
        .iter()
        .map(|(confidence, right, reports)| format!("{reports} reports: confidence {confidence:.2}, right {right:.2}"))
        .collect();
    sheet.finish("Confidence and being right", &told.join(". "))
}

#[cfg(test)]
mod tests {
    use super::super::svg::assert_well_formed;
    use super::*;

    #[test]
    fn every_bin_is_a_dot_and_none_is_no_picture_to_fear() {
        let svg = reliability(&[(0.5, 0.1, 10), (0.9, 0.8, 12), (f64::NAN, 0.5, 1)]);
        assert_well_formed(&svg);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("12 reports: confidence 0.90, right 0.80"));
        assert_well_formed(&reliability(&[]));
    }
}
