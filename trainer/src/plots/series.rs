//! Long rows of (step, loss) made ready for a picture: its range, thinned, smoothed.

/// The losses that the axis has to hold. A rare spike (the highest 1 %) is drawn at the upper edge,
/// or it would press everything else flat. `None` without a finite loss.
pub(super) fn loss_range(points: &[(u64, f64)]) -> Option<(f64, f64)> {
    let mut losses: Vec<f64> = points.iter().map(|p| p.1).filter(|l| l.is_finite()).collect();
    if losses.is_empty() {
        return None;
    }
    losses.sort_by(f64::total_cmp);
    let low = losses[0];
    let high = losses[((losses.len() - 1) * 99).div_ceil(100)];
    // With zero in sight the height of the curve means what it seems to mean.
    let low = if low > 0.0 && low < 0.4 * high { 0.0 } else { low };
    Some((low, high))
}

/// The loss without its noise, at one step per column and at the last one: the mean of the middle
/// half of a fiftieth of the steps around, which neither lags behind nor follows a spike. At the
/// beginning the window is only as wide as the steps before allow, at the end it reaches back
/// alone. `None` where no loss in the window is finite.
pub(super) fn smoothed(points: &[(u64, f64)], columns: usize) -> Vec<Option<(f64, f64)>> {
    let half = points.len() / 100;
    let every = points.len().div_ceil(columns).max(1);
    let last = points.len().saturating_sub(1);
    let sampled = (0..last).step_by(every).chain([last]);
    sampled
        .filter(|&at| at < points.len())
        .map(|at| {
            let reach = half.min(at);
            let window = &points[at - reach..(at + reach + 1).min(points.len())];
            middle_mean(window).map(|mean| (points[at].0 as f64, mean))
        })
        .collect()
}

/// The mean of the finite losses without their lowest and their highest quarter.
fn middle_mean(window: &[(u64, f64)]) -> Option<f64> {
    let mut losses: Vec<f64> = window.iter().map(|p| p.1).filter(|l| l.is_finite()).collect();
    losses.sort_by(f64::total_cmp);
    let quarter = losses.len() / 4;
    let middle = &losses[quarter..losses.len() - quarter];
    (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
}

/// At most two points per column, the lowest and the highest loss in their order, so that no peak
/// is lost. Short curves stay as they are.
pub(super) fn thinned(points: &[(u64, f64)], columns: usize) -> Vec<Option<(f64, f64)>> {
    if points.len() <= 2 * columns {
        return points.iter().map(|&(step, loss)| loss.is_finite().then_some((step as f64, loss))).collect();
    }
    let per_column = points.len().div_ceil(columns);
    let mut kept = Vec::with_capacity(2 * columns);
    for column in points.chunks(per_column) {
        let finite = || column.iter().enumerate().filter(|(_, p)| p.1.is_finite());
        let low = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let high = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let (Some(low), Some(high)) = (low, high) else {
            kept.push(None);
            continue;
        };
        let (earlier, later) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        kept.push(Some((earlier.1.0 as f64, earlier.1.1)));
        if later.0 != earlier.0 {
            kept.push(Some((later.1.0 as f64, later.1.1)));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smoothed_curve_follows_the_data_without_lag_noise_or_spikes() {
        let noise = |step: u64| if step.is_multiple_of(2) { 0.1 } else { -0.1 };
        let line = |step: f64| 5.0 - 0.004 * step;
        let mut points: Vec<(u64, f64)> = (0..1000).map(|step| (step, line(step as f64) + noise(step))).collect();
        points[500].1 = 1e6;
        points[501].1 = f64::NAN;
        let smooth = smoothed(&points, 200);
        assert_eq!(smooth[0], Some((0.0, 5.1)), "nothing lies before it");
        assert_eq!(smooth.len(), 201);
        assert!((smooth[200].unwrap().0 - 999.0).abs() < 1e-9);
        for point in &smooth[2..198] {
            let (step, value) = point.unwrap();
            assert!((value - line(step)).abs() < 0.025, "step {step}: {value}");
        }
        assert_eq!(smoothed(&[], 200), []);
    }

    #[test]
    fn a_spike_does_not_flatten_the_rest() {
        let mut points: Vec<(u64, f64)> = (0..1000).map(|step| (step, 2.0)).collect();
        points[500].1 = 1e6;
        assert_eq!(loss_range(&points), Some((2.0, 2.0)));
        assert_eq!(loss_range(&points[500..503]), Some((0.0, 1e6)), "few points: all are shown");
    }
}
