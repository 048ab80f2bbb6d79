//! The training curve: loss per step, and validation loss and token accuracy per epoch.

use super::axis::Axis;
use super::numbers::{grouped, measured};
use super::series::{loss_range, smoothed, thinned};
use super::svg::{Anchor, HAIRLINE, INK, MUTED, Sheet, TextStyle};

const WIDTH: f64 = 1040.0;
const HEIGHT: f64 = 500.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 388.0;

const RAW: &str = "#a9c6f5";
const TRAINING: &str = "#1d4ed8";
const VALIDATION: &str = "#b45309";
const ACCURACY: &str = "#0f766e";
const ALARM: &str = "#dc2626";

const TICK: TextStyle = TextStyle::new(11.0, MUTED);

/// What a training curve shows. All of it may be empty, and any value may be NaN: then the curve
/// has a gap there, and the caption says how many steps it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CurveData {
    /// The heading, such as the name of the checkpoint.
    pub title: String,
    /// (step, training loss), steps rising.
    pub training: Vec<(u64, f64)>,
    /// One entry per epoch, epochs rising.
    pub validation: Vec<EpochPoint>,
    /// Epochs have ended, and no study was held out to validate by.
    pub unvalidated: bool,
    /// The epoch whose state was kept as the best; marked where it is known.
    pub best_epoch: Option<u64>,
}

/// The validation at the end of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochPoint {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Mean loss per token on the validation set.
    pub loss: f64,
    /// Share of validation tokens that were predicted right, in [0, 1].
    pub token_accuracy: f64,
}

/// Draws `data` as SVG, 1040 × 500 pixels.
///
/// Left: the training loss of each step, faint, and its running mean. Right: validation
/// loss and token accuracy per epoch, each on an axis of its own. Long trainings are thinned to
/// the pixels at hand in a way that keeps every peak, so the picture stays small (about 100 kB for
/// 100,000 steps).
pub fn training_curve(data: &CurveData) -> String {
    let mut sheet = Sheet::card(WIDTH, HEIGHT);
    let title = if data.title.is_empty() { "Training curve".to_owned() } else { data.title.clone() };
    let heading = TextStyle::new(19.0, INK).weight(650);
    sheet.text(32.0, 44.0, heading, &heading.fit(&title, WIDTH - 64.0));

    draw_training(&mut sheet, &data.training);
    draw_epochs(
        &mut sheet,
        &Panel {
            name: "Validation loss",
            colour: VALIDATION,
            left: 720.0,
            right: WIDTH - 32.0,
            top: TOP,
            bottom: 220.0,
        },
        data,
        |point| point.loss,
    );
    draw_epochs(
        &mut sheet,
        &Panel {
            name: "Validation token accuracy",
            colour: ACCURACY,
            left: 720.0,
            right: WIDTH - 32.0,
            top: 272.0,
            bottom: BOTTOM,
        },
        data,
        |point| point.token_accuracy,
    );

    let caption = caption(data);
    sheet.line((32.0, 436.0), (WIDTH - 32.0, 436.0), HAIRLINE, 1.0);
    let style = TextStyle::new(12.5, MUTED);
    for (line, y) in caption.iter().zip([458.0, 478.0]) {
        sheet.text(32.0, y, style, &style.fit(line, WIDTH - 64.0));
    }
    sheet.finish(&title, &caption.join(". "))
}

struct Panel {
    name: &'static str,
    colour: &'static str,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Panel {
    /// Grid, tick labels and the axis line. `below` is what the x axis counts; empty where the
    /// panel below has the labels.
    fn draw_axes(&self, sheet: &mut Sheet, x: &Axis, y: &Axis, below: &str, percent: bool) {
        for &tick in &y.ticks {
            let at = y.pixel(tick);
            sheet.line((self.left, at), (self.right, at), "#edf1f6", 1.0);
            let label = if percent { format!("{:.0} %", tick * 100.0) } else { y.label(tick) };
            let style = TICK.anchor(Anchor::End);
            sheet.text(self.left - 9.0, at + 4.0, style, &label);
        }
        let base = self.bottom;
        sheet.line((self.left, base), (self.right, base), "#94a3b8", 1.0);
        for &tick in &x.ticks {
            let at = x.pixel(tick);
            sheet.line((at, base), (at, base + 4.0), "#94a3b8", 1.0);
            if !below.is_empty() {
                let style = TICK.anchor(Anchor::Middle);
                sheet.text(at, base + 17.0, style, &x.label(tick));
            }
        }
        if !below.is_empty() {
            let style = TICK.anchor(Anchor::End).weight(600);
            sheet.text(self.right, base + 33.0, style, below);
        }
    }

    fn say_empty(&self, sheet: &mut Sheet, text: &str) {
        let style = TextStyle::new(13.0, MUTED).anchor(Anchor::Middle);
        let middle = f64::midpoint(self.left, self.right);
        let height = f64::midpoint(self.top, self.bottom) + 4.0;
        sheet.text(middle, height, style, text);
        let base = self.bottom;
        sheet.line((self.left, base), (self.right, base), "#94a3b8", 1.0);
    }
}

fn draw_training(sheet: &mut Sheet, points: &[(u64, f64)]) {
    let panel = Panel { name: "Training loss", colour: TRAINING, left: 80.0, right: 632.0, top: TOP, bottom: BOTTOM };
    let name = TextStyle::new(13.0, INK).weight(600);
    sheet.text(panel.left, panel.top - 16.0, name, panel.name);
    let Some((low, high)) = loss_range(points) else {
        let text = if points.is_empty() { "no step has been logged yet" } else { "no step had a finite loss" };
        panel.say_empty(sheet, text);
        return;
    };
    draw_training_legend(sheet, &panel);

    let (first, last) = (points[0].0 as f64, points[points.len() - 1].0 as f64);
    let x = Axis::counted(first, last, 6, (panel.left, panel.right));
    let y = Axis::round(low, high, 5, (panel.bottom, panel.top));
    panel.draw_axes(sheet, &x, &y, "step", false);

    let columns = (panel.right - panel.left) as usize;
    let on_sheet = |point: Option<(f64, f64)>| point.map(|(a, b)| (x.pixel(a), y.pixel(b)));
    let raw = thinned(points, columns);
    sheet.curve(raw.into_iter().map(on_sheet), RAW, 1.0);
    let smooth = smoothed(points, columns);
    sheet.curve(smooth.into_iter().map(on_sheet), TRAINING, 2.25);

    let mut last_mark = f64::NEG_INFINITY;
    for (step, _) in points.iter().filter(|(_, loss)| !loss.is_finite()) {
        let at = x.pixel(*step as f64);
        if at - last_mark >= 1.0 {
            sheet.line((at, panel.bottom - 9.0), (at, panel.bottom), ALARM, 1.5);
            last_mark = at;
        }
    }
}

fn draw_training_legend(sheet: &mut Sheet, panel: &Panel) {
    let at = panel.top - 20.0;
    let style = TextStyle::new(11.5, MUTED);
    let left = panel.right - 176.0;
    sheet.line((left, at), (left + 20.0, at), RAW, 1.5);
    sheet.text(left + 26.0, at + 4.0, style, "each step");
    sheet.line((left + 92.0, at), (left + 112.0, at), TRAINING, 2.5);
    sheet.text(left + 118.0, at + 4.0, style, "smoothed");
}

fn draw_epochs(sheet: &mut Sheet, panel: &Panel, data: &CurveData, value: impl Fn(&EpochPoint) -> f64) {
    sheet.dot((panel.left + 4.0, panel.top - 20.0), 3.5, panel.colour, panel.colour);
    let name = TextStyle::new(13.0, INK).weight(600);
    sheet.text(panel.left + 16.0, panel.top - 16.0, name, panel.name);
    let points = &data.validation;
    let finite: Vec<f64> = points.iter().map(&value).filter(|v| v.is_finite()).collect();
    if finite.is_empty() {
        let text = match (points.is_empty(), data.unvalidated) {
            (false, _) => "no epoch had a finite value",
            (true, true) => "no study was held out",
            (true, false) => "no epoch has ended yet",
        };
        panel.say_empty(sheet, text);
        return;
    }
    let percent = panel.colour == ACCURACY;
    let (low, high) = range(&finite);
    let (first, last) = (points[0].epoch as f64, points[points.len() - 1].epoch as f64);
    let x = Axis::counted(first, last, 8, (panel.left + 8.0, panel.right - 8.0));
    let y = if percent {
        // Whole percents, never beyond 0 and 100: a narrower axis would claim what it cannot hold.
        let margin = if high - low < 0.04 { 0.02 } else { 0.0 };
        Axis::round((low - margin).max(0.0), (high + margin).min(1.0), 3, (panel.bottom, panel.top))
    } else {
        Axis::round(low, high, 3, (panel.bottom, panel.top))
    };
    let below = if percent { "epoch" } else { "" };
    panel.draw_axes(sheet, &x, &y, below, percent);

    let on_sheet = |point: &EpochPoint| {
        let value = value(point);
        let at = (x.pixel(point.epoch as f64), y.pixel(value));
        value.is_finite().then_some(at)
    };
    let best = best(data);
    if let Some((at, _)) = best.and_then(on_sheet) {
        sheet.tag(&format!(
            r##"line x1="{at:.1}" y1="{:.1}" x2="{at:.1}" y2="{:.1}" stroke="#94a3b8" stroke-dasharray="3 4""##,
            panel.top, panel.bottom
        ));
    }
    sheet.curve(points.iter().map(on_sheet), panel.colour, 2.0);
    if points.len() <= 40 {
        for at in points.iter().filter_map(on_sheet) {
            sheet.dot(at, 2.5, panel.colour, panel.colour);
        }
    }
    if let Some(at) = best.and_then(on_sheet) {
        sheet.dot(at, 5.0, "#ffffff", panel.colour);
    }
}

/// Lowest and highest of `values`, which are finite and not empty.
fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

/// Up to two lines: where the training stands, and what is to be noted about it.
fn caption(data: &CurveData) -> Vec<String> {
    let epoch_text = |point: &EpochPoint| {
        format!(
            "epoch {}: validation loss {}, token accuracy {}",
            point.epoch,
            measured(point.loss),
            percent(point.token_accuracy)
        )
    };
    let mut last = Vec::new();
    if let Some((step, _)) = data.training.last() {
        // The whole curve in one column: the first step, and the last one.
        let end = smoothed(&data.training, 1).last().copied().flatten();
        last.push(format!(
            "Step {}: training loss {} (smoothed)",
            grouped(*step),
            measured(end.map_or(f64::NAN, |(_, loss)| loss))
        ));
    }
    last.extend(data.validation.last().map(epoch_text));
    if last.is_empty() {
        return vec!["Nothing has been logged yet.".to_owned()];
    }

    let mut notes = Vec::new();
    if let Some(best) = best(data) {
        notes.push(format!("Kept as best, {}", epoch_text(best)));
    }
    let broken = data.training.iter().filter(|p| !p.1.is_finite()).count();
    if broken > 0 {
        notes.push(format!(
            "{} of {} steps had no finite loss (red)",
            grouped(broken as u64),
            grouped(data.training.len() as u64)
        ));
    }
    [last, notes].into_iter().filter(|parts| !parts.is_empty()).map(|parts| parts.join("  ·  ")).collect()
}

fn best(data: &CurveData) -> Option<&EpochPoint> {
    let kept = data.best_epoch?;
    data.validation.iter().find(|point| point.epoch == kept)
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::svg::assert_well_formed;
    use super::*;

    fn epoch(epoch: u64, loss: f64, token_accuracy: f64) -> EpochPoint {
        EpochPoint { epoch, loss, token_accuracy }
    }

    #[test]
    fn an_empty_training_says_so() {
        let svg = training_curve(&CurveData::default());
        assert_well_formed(&svg);
        assert!(svg.contains("no step has been logged yet"));
        assert!(svg.contains("no epoch has ended yet"));
        assert!(svg.contains("Nothing has been logged yet."));
    }

    #[test]
    fn a_training_without_validation_says_so() {
        let data = CurveData { training: vec![(1, 6.2)], unvalidated: true, ..CurveData::default() };
        let svg = training_curve(&data);
        assert_well_formed(&svg);
        assert!(svg.contains("no study was held out") && !svg.contains("no epoch has ended yet"));
    }

    #[test]
    fn one_point_is_drawn_as_a_dot() {
        let svg = training_curve(&CurveData {
            title: "first & only".to_owned(),
            training: vec![(1, 6.2)],
            validation: vec![epoch(1, 5.1, 0.25)],
            best_epoch: Some(1),
            unvalidated: false,
        });
        assert_well_formed(&svg);
        assert!(svg.contains("first &amp; only"));
        assert!(svg.contains("Step 1: training loss 6.20 (smoothed)"));
        assert!(svg.contains("Kept as best, epoch 1: validation loss 5.10, token accuracy 25.0 %"));
        assert!(svg.matches("<circle").count() >= 4);
    }

    #[test]
    fn a_long_training_stays_small_and_keeps_its_peaks() {
        let mut training: Vec<(u64, f64)> = (0..100_000).map(|step| (step, 1.0)).collect();
        training[54_321].1 = 9.0;
        let kept = thinned(&training, 500);
        assert!(kept.len() <= 1000);
        assert!(kept.contains(&Some((54_321.0, 9.0))));
        let svg = training_curve(&CurveData { training, ..CurveData::default() });
        assert_well_formed(&svg);
        assert!(svg.len() < 200_000, "{}", svg.len());
    }

    #[test]
    fn losses_that_are_no_number_leave_a_gap_and_are_counted() {
        let mut training: Vec<(u64, f64)> = (0..50).map(|step| (step, 2.0)).collect();
        training[20].1 = f64::NAN;
        training[21].1 = f64::INFINITY;
        let svg = training_curve(&CurveData {
            training,
            validation: vec![epoch(1, f64::NAN, f64::NAN), epoch(2, 1.0, 0.5)],
            ..CurveData::default()
        });
        assert_well_formed(&svg);
        assert!(svg.contains("2 of 50 steps had no finite loss"));
        assert_eq!(svg.matches(RAW).count(), 2 + 1, "two runs and the legend");

        let all = training_curve(&CurveData { training: vec![(0, f64::NAN), (1, f64::NAN)], ..CurveData::default() });
        assert_well_formed(&all);
        assert!(all.contains("no step had a finite loss"));
    }
}
