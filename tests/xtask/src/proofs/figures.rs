//! Figures with their targets, and the sums that make a figure of many measurements.

/// The table that a proof ends with.
#[derive(Debug, Default)]
pub struct Figures {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: String,
    found: String,
    /// Target and whether it is met; `None` for a figure that only informs.
    target: Option<(String, bool)>,
}

impl Figures {
    /// A figure that must meet a target.
    pub fn target(&mut self, what: &str, found: impl Into<String>, target: impl Into<String>, met: bool) {
        self.lines.push(Line { what: what.to_owned(), found: found.into(), target: Some((target.into(), met)) });
    }

    /// A figure that only informs.
    pub fn inform(&mut self, what: &str, found: impl Into<String>) {
        self.lines.push(Line { what: what.to_owned(), found: found.into(), target: None });
    }

    /// Prints the table; whether there are targets and all are met.
    pub fn conclude(&self) -> bool {
        print!("{}", self.table());
        let mut targets = self.lines.iter().filter_map(|line| line.target.as_ref()).peekable();
        targets.peek().is_some() && targets.all(|(_, met)| *met)
    }

    fn table(&self) -> String {
        let widest = |text: fn(&Line) -> &str| self.lines.iter().map(|line| text(line).chars().count()).max();
        let (what, found) = (widest(|line| &line.what).unwrap_or(0), widest(|line| &line.found).unwrap_or(0));
        let line = |line: &Line| {
            let target = match &line.target {
                None => String::new(),
                Some((target, true)) => format!("  {target}: met"),
                Some((target, false)) => format!("  {target}: NOT MET"),
            };
            format!("   {:<what$}  {:>found$}{target}\n", line.what, line.found)
        };
        self.lines.iter().map(line).collect()
    }
}

/// The middle value; the mean of the two in the middle where their number is even. NaN without values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 0) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (middle, _) => sorted[middle],
    }
}

/// The median of a round's own ratios: what slows the machine down for a while slows both sides of a round.
pub fn median_ratio(over: &[f64], under: &[f64]) -> f64 {
    let ratios: Vec<_> = over.iter().zip(under).map(|(over, under)| over / under).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]).to_bits(), 3f64.to_bits());
        assert!(median(&[]).is_nan());
        assert_eq!(median_ratio(&[2.0, 30.0, 3.0], &[1.0, 10.0, 1.0]).to_bits(), 3f64.to_bits());
    }

    #[test]
    fn all_targets_must_be_met_and_there_must_be_one() {
        let mut figures = Figures::default();
        figures.inform("images", "64");
        assert!(!figures.conclude());
        figures.target("size", "12.1 MB", "≤ 15 MB", true);
        assert!(figures.conclude());
        figures.target("start", "1.2 s", "< 1 s", false);
        assert!(!figures.conclude());
        let table = figures.table();
        assert!(table.contains("size    12.1 MB  ≤ 15 MB: met\n"), "{table}");
        assert!(table.ends_with("< 1 s: NOT MET\n"), "{table}");
    }
}
