//! Charts that stand inside a page and take its colours: distributions, lines, points.
//!
//! Unlike the pictures that stand alone they have no card of their own, and their colours are the page's variables, so
//! that they follow light and dark. Outside of such a page the values behind the variables hold.

use std::fmt::Write as _;

use super::axis::Axis;
use super::svg::{Anchor, Sheet, TextStyle};

const LABEL: &str = "var(--muted, #5b677a)";
const GRID: &str = "var(--line, #e2e8f0)";
const BASE: &str = "var(--muted, #94a3b8)";
const TICK: TextStyle = TextStyle::new(12.0, LABEL);

/// Colours of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// What is trained on, or all there is.
    Training,
    /// What is held out.
    Validation,
    /// A limit.
    Limit,
}

impl Ink {
    fn colour(self) -> &'static str {
        match self {
            Self::Training => "var(--precision, #2563eb)",
            Self::Validation => "var(--second, #c2410c)",
            Self::Limit => "var(--bad, #a8202b)",
        }
    }
}

/// The frame of a chart: what its axes count, and from where to where.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// What a screen reader says first.
    pub title: &'a str,
    /// What it says then: the figures in a sentence.
    pub description: &'a str,
    /// What the x axis counts.
    pub x_label: &'a str,
    /// What the y axis counts.
    pub y_label: &'a str,
    /// Range of the x axis.
    pub x: (f64, f64),
    /// Largest value of the y axis, which begins at 0.
    pub y_most: f64,
    /// Whether y values are shares, written as percents.
    pub percent: bool,
}

/// A chart in the making.
pub struct Chart<'a> {
    frame: Frame<'a>,
    sheet: Sheet,
    x: Axis,
    y: Axis,
    legend_at: f64,
}

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 38.0;
const BOTTOM: f64 = HEIGHT - 48.0;

impl<'a> Chart<'a> {
    /// Axes and grid, 540 × 270 pixels.
    pub fn new(frame: Frame<'a>) -> Self {
        let mut sheet = Sheet::bare(WIDTH, HEIGHT);
        let x = Axis::exact(frame.x.0, frame.x.1, 6, (LEFT, RIGHT));
        let y = Axis::round(0.0, if frame.y_most > 0.0 { frame.y_most } else { 1.0 }, 4, (BOTTOM, TOP));
        for &tick in &y.ticks {
            sheet.line((LEFT, y.pixel(tick)), (RIGHT, y.pixel(tick)), GRID, 1.0);
            let label = if frame.percent { percent(tick, y.high) } else { y.label(tick) };
            sheet.text(LEFT - 8.0, y.pixel(tick) + 4.0, TICK.anchor(Anchor::End), &label);
        }
        for &tick in &x.ticks {
            sheet.text(x.pixel(tick), BOTTOM + 19.0, TICK.anchor(Anchor::Middle), &x.label(tick));
        }
        let name = TICK.weight(600);
        sheet.text(RIGHT, HEIGHT - 8.0, name.anchor(Anchor::End), frame.x_label);
        sheet.text(4.0, 16.0, name, frame.y_label);
        Self { frame, sheet, x, y, legend_at: RIGHT }
    }

    /// A histogram: `bins` share the x axis evenly; filled, with an outline.
    #[must_use]
    pub fn area(mut self, bins: &[f64], ink: Ink, name: &str) -> Self {
        let step = (self.x.high - self.x.low) / bins.len().max(1) as f64;
        let mut outline = format!("M{:.1} {BOTTOM:.1}", self.x.pixel(self.x.low));
        for (at, &value) in bins.iter().enumerate() {
            let (from, to) = (self.x.low + at as f64 * step, self.x.low + (at + 1) as f64 * step);
            let top = self.y.pixel(value);
            let _ = write!(outline, "L{:.1} {top:.1}L{:.1} {top:.1}", self.x.pixel(from), self.x.pixel(to));
        }
        let _ = write!(outline, "L{:.1} {BOTTOM:.1}", self.x.pixel(self.x.high));
        let colour = ink.colour();
        self.sheet.tag(&format!(
            r#"path d="{outline}" fill="{colour}" fill-opacity="0.18" stroke="{colour}" stroke-width="1.75" stroke-linejoin="round""#
        ));
        self.legend(name, colour);
        self
    }

    /// A line through `points`, x rising.
    #[must_use]
    pub fn line(mut self, points: &[(f64, f64)], ink: Ink, name: &str) -> Self {
        let on_sheet = points.iter().map(|&(x, y)| Some((self.x.pixel(x), self.y.pixel(y)))).collect::<Vec<_>>();
        self.sheet.curve(on_sheet, ink.colour(), 2.25);
        self.legend(name, ink.colour());
        self
    }

    /// A dot for each (x, y, weight); its area grows with the weight, of which `most` is the largest.
    #[must_use]
    pub fn dots(mut self, points: &[(f64, f64, f64)], most: f64, ink: Ink) -> Self {
        for &(x, y, weight) in points {
            let radius = 2.5 + 9.5 * (weight / most.max(1.0)).sqrt();
            let colour = ink.colour();
            self.sheet.tag(&format!(
                r#"circle cx="{:.1}" cy="{:.1}" r="{radius:.1}" fill="{colour}" fill-opacity="0.35" stroke="{colour}" stroke-width="1""#,
                self.x.pixel(x),
                self.y.pixel(y)
            ));
        }
        self
    }

    /// A dashed vertical line at `x` with a word beside it; none where it lies beyond the axis.
    #[must_use]
    pub fn limit(mut self, x: f64, name: &str) -> Self {
        if x >= self.x.low && x <= self.x.high {
            let (at, colour) = (self.x.pixel(x), Ink::Limit.colour());
            self.sheet.tag(&format!(
                r#"line x1="{at:.1}" y1="{TOP:.1}" x2="{at:.1}" y2="{BOTTOM:.1}" stroke="{colour}" stroke-width="1.5" stroke-dasharray="5 4""#
            ));
            let style = TextStyle::new(12.0, colour).weight(600);
            let fits_right = at + 6.0 + style.width(name) < RIGHT;
            let (x, anchor) = if fits_right { (at + 6.0, Anchor::Start) } else { (at - 6.0, Anchor::End) };
            self.sheet.text(x, TOP + 12.0, style.anchor(anchor), name);
        }
        self
    }

    /// A straight line between two points of the chart, drawn as a limit.
    #[must_use]
    pub fn boundary(mut self, points: &[(f64, f64)]) -> Self {
        for pair in points.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|(x, y)| (self.x.pixel(x), self.y.pixel(y)));
            self.sheet.tag(&format!(
                r#"line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{}" stroke-width="1.5" stroke-dasharray="5 4""#,
                a.0, a.1, b.0, b.1, Ink::Limit.colour()
            ));
        }
        self
    }

    fn legend(&mut self, name: &str, colour: &'static str) {
        if name.is_empty() {
            return;
        }
        let style = TextStyle::new(12.0, LABEL);
        let left = self.legend_at - style.width(name);
        self.sheet.text(left, 16.0, style, name);
        self.sheet
            .tag(&format!(r#"rect x="{:.1}" y="6.5" width="11" height="11" rx="3" fill="{colour}""#, left - 17.0));
        self.legend_at = left - 32.0;
    }

    /// The SVG.
    pub fn finish(mut self) -> String {
        self.sheet.line((LEFT, BOTTOM), (RIGHT, BOTTOM), BASE, 1.0);
        self.sheet.finish(self.frame.title, self.frame.description)
    }
}

fn percent(tick: f64, high: f64) -> String {
    let decimals = if high <= 0.01 { 2 } else { usize::from(high <= 0.05) };
    format!("{:.decimals$} %", tick * 100.0)
}

/// Cuts `values` into bins of equal, whole width over `0..=most`; gives the shares and the upper end.
pub fn histogram(values: &[u32], most: u32, wanted: usize) -> (Vec<f64>, f64) {
    let width = (most as usize + 1).div_ceil(wanted.max(1)).max(1);
    let bins = (most as usize + 1).div_ceil(width);
    let mut shares = vec![0.0; bins];
    for &value in values.iter().filter(|&&value| value <= most) {
        shares[value as usize / width] += 1.0 / values.len() as f64;
    }
    (shares, (bins * width) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::svg::assert_well_formed;
    use super::*;

    fn frame() -> Frame<'static> {
        Frame {
            title: "Lengths & more",
            description: "half are short",
            x_label: "tokens",
            y_label: "share of reports",
            x: (0.0, 200.0),
            y_most: 0.3,
            percent: true,
        }
    }

    #[test]
    fn a_chart_is_well_formed_and_takes_the_colours_of_its_page() {
        let svg = Chart::new(frame())
            .area(&[0.1, 0.3, 0.0], Ink::Training, "training")
            .line(&[(0.0, 0.0), (200.0, 0.2)], Ink::Validation, "validation")
            .limit(160.0, "longest")
            .dots(&[(10.0, 0.1, 3.0)], 3.0, Ink::Training)
            .boundary(&[(0.0, 0.1), (10.0, 0.1)])
            .finish();
        assert_well_formed(&svg);
        assert!(svg.contains("Lengths &amp; more") && svg.contains("var(--precision, #2563eb)"));
        assert!(svg.contains(">160<") == svg.contains(">longest<") || svg.contains("longest"));
        assert!(!svg.contains("fill=\"#ffffff\""), "no card");
    }

    #[test]
    fn a_limit_beyond_the_axis_is_left_out_and_an_empty_chart_stands() {
        let svg =
            Chart::new(Frame { y_most: 0.0, ..frame() }).area(&[], Ink::Training, "").limit(500.0, "gone").finish();
        assert_well_formed(&svg);
        assert!(!svg.contains("gone"));
    }

    #[test]
    fn histograms_count_every_value_once() {
        let (shares, end) = histogram(&[0, 1, 9, 10, 10], 10, 4);
        assert_eq!((shares.len(), end), (4, 12.0));
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((shares[3] - 0.6).abs() < 1e-12);
        assert_eq!(histogram(&[], 0, 40).0, [0.0]);
    }
}
