//! Axes: round tick values and the way from data to pixels.

/// One axis. `low` < `high` always holds; `from` and `to` are the pixels at which they lie.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
    pub ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// An axis over `low..=high` with about `wanted` round ticks, widened so that it begins and
    /// ends with one.
    pub(super) fn round(low: f64, high: f64, wanted: usize, pixels: (f64, f64)) -> Self {
        let (low, high) = widen(low, high);
        let step = round_step(high - low, wanted);
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        Self::with_step(low, high, step, pixels)
    }

    /// An axis over exactly `low..=high` for what is counted (steps, epochs): ticks are whole.
    pub(super) fn counted(low: f64, high: f64, wanted: usize, pixels: (f64, f64)) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low, low + 1.0) };
        let step = round_step(high - low, wanted).max(1.0).round();
        Self::with_step(low, high, step, pixels)
    }

    /// An axis over exactly `low..=high` with about `wanted` round ticks inside.
    pub(super) fn exact(low: f64, high: f64, wanted: usize, pixels: (f64, f64)) -> Self {
        let (low, high) = widen(low, high);
        Self::with_step(low, high, round_step(high - low, wanted), pixels)
    }

    fn with_step(low: f64, high: f64, step: f64, (from, to): (f64, f64)) -> Self {
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        Self { low, high, from, to, ticks: (first..=last).map(|at| at as f64 * step).collect(), step }
    }

    /// The pixel of `value`; values beyond the axis are drawn at its end.
    pub(super) fn pixel(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// A tick with as many decimals as the distance to the next one needs; thousands as `12k`.
    pub(super) fn label(&self, tick: f64) -> String {
        if self.step >= 1_000.0 && tick != 0.0 {
            let decimals = usize::from(self.step % 1_000.0 != 0.0);
            return format!("{:.decimals$}k", tick / 1e3);
        }
        let decimals = (0..9)
            .find(|&places| {
                let scaled = self.step * 10_f64.powi(places);
                (scaled - scaled.round()).abs() < 1e-6
            })
            .unwrap_or(9) as usize;
        format!("{tick:.decimals$}")
    }
}

/// A range of no length, or one that is no range, becomes one around its value.
fn widen(low: f64, high: f64) -> (f64, f64) {
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    if high - low > low.abs().max(high.abs()) * 1e-9 {
        return (low, high);
    }
    let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - margin, high + margin)
}

/// 1, 2, 2.5 or 5 times a power of ten, so that about `wanted` steps cover `span`.
fn round_step(span: f64, wanted: usize) -> f64 {
    let rough = span / wanted.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let lead = rough / power;
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|&nice| lead <= nice * 1.000_001).unwrap_or(10.0);
    nice * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::counted(3.0, 42.0, 5, (0.0, 100.0));
        assert_eq!(labels(&axis), ["10", "20", "30", "40"]);
        let axis = Axis::counted(0.0, 100_000.0, 5, (0.0, 100.0));
        assert_eq!(labels(&axis), ["0", "20k", "40k", "60k", "80k", "100k"]);
        let axis = Axis::round(0.81, 0.93, 5, (0.0, 100.0));
        let expected = ["0.800", "0.825", "0.850", "0.875", "0.900", "0.925", "0.950"];
        assert_eq!(labels(&axis), expected);
    }

    #[test]
    fn a_round_axis_begins_and_ends_with_a_tick() {
        let axis = Axis::round(0.37, 4.2, 5, (0.0, 100.0));
        assert_eq!(labels(&axis), ["0", "1", "2", "3", "4", "5"]);
        assert!((axis.low - 0.0).abs() < 1e-12 && (axis.high - 5.0).abs() < 1e-12);
        // Already round: stays as it is.
        let axis = Axis::round(0.0, 5.0, 5, (0.0, 100.0));
        assert!((axis.high - 5.0).abs() < 1e-12);
    }

    #[test]
    fn counted_ticks_are_whole_numbers() {
        let axis = Axis::counted(1.0, 3.0, 8, (0.0, 100.0));
        assert_eq!(labels(&axis), ["1", "2", "3"]);
        let axis = Axis::counted(1.0, 1.0, 8, (0.0, 100.0));
        assert_eq!(labels(&axis), ["1", "2"]);
    }

    #[test]
    fn empty_and_broken_ranges_become_axes() {
        for (low, high) in [(2.0, 2.0), (0.0, 0.0), (f64::INFINITY, f64::NEG_INFINITY)] {
            let axis = Axis::round(low, high, 5, (0.0, 100.0));
            assert!(axis.low < axis.high, "{axis:?}");
            assert!((2..20).contains(&axis.ticks.len()), "{axis:?}");
        }
    }

    #[test]
    fn pixels_follow_the_axis_and_stay_on_it() {
        let axis = Axis::round(0.0, 10.0, 5, (200.0, 100.0));
        assert!((axis.pixel(2.5) - 175.0).abs() < 1e-9);
        assert!((axis.pixel(50.0) - 100.0).abs() < 1e-9);
    }
}
