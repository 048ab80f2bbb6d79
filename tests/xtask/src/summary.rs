//! Counts tests in the output of cargo's test runner.

use std::collections::BTreeSet;
use std::fmt;

/// How a visible skip begins, on stderr: `skipped: NAME OF THE TEST: reason`.
const SKIPPED: &str = "skipped: ";

/// Sums over all test programs of one run.
#[derive(Debug, Default)]
pub struct Summary {
    passed: usize,
    ignored: usize,
    failed: usize,
    failed_tests: Vec<String>,
    skips: BTreeSet<String>,
    failed_programs: usize,
    targets_failed: usize,
    crashed: usize,
}

impl Summary {
    /// Takes in one line of the runner's output, stdout or stderr.
    pub fn line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.failed_programs += usize::from(counts.starts_with("FAILED"));
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed_tests.push(name.to_owned());
        } else if let Some(skip) = line.strip_prefix(SKIPPED) {
            // One test may miss several things: it counts once, by its name where it gives one.
            let key = skip.split_once(": ").map_or(skip, |(test, _)| test);
            self.skips.insert(key.to_owned());
        } else if let Some(targets) = targets_failed(line) {
            self.targets_failed = targets;
        }
    }

    /// Takes in how the runner ended. A test program that crashed, or did not build, has no counts:
    /// each counts as one failure.
    pub fn end(&mut self, success: bool) {
        self.crashed = self.targets_failed.saturating_sub(self.failed_programs);
        if !success && self.failed == 0 {
            self.crashed = self.crashed.max(1);
        }
        self.failed += self.crashed;
    }

    /// Whether all tests passed.
    pub fn is_success(&self) -> bool {
        self.failed == 0
    }

    /// What went wrong, a line each.
    pub fn problems(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.failed_tests.iter().map(|name| format!("failed: {name}")).collect();
        if self.crashed > 0 {
            let programs = self.crashed;
            lines.push(format!("failed: {programs} of the test programs crashed or did not build, see above"));
        }
        lines
    }
}

/// `N passed, N failed, N skipped`: a test that found its data missing is skipped, not passed.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skips = self.skips.len().min(self.passed);
        write!(f, "{} passed, {} failed, {} skipped", self.passed - skips, self.failed, self.ignored + skips)
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(counts: &str, what: &str) -> usize {
    counts
        .split(['.', ';'])
        .filter_map(|part| part.trim().split_once(' '))
        .find(|(_, name)| *name == what)
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(0)
}

/// The number in cargo's `error: 2 targets failed:`, which may be coloured.
fn targets_failed(line: &str) -> Option<usize> {
    let before = line.strip_suffix(" targets failed:").or_else(|| line.strip_suffix(" target failed:"))?;
    before.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(lines: &str, success: bool) -> Summary {
        let mut summary = Summary::default();
        lines.lines().for_each(|line| summary.line(line));
        summary.end(success);
        summary
    }

    #[test]
    fn programs_are_summed_and_skips_are_not_passes() {
        let all = summary(
            "test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             skipped: score::open_i: `../shared/a` is not here\n\
             skipped: score::open_i: `../shared/b` is not here\n\
             test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.20s\n\
             test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            true,
        );
        assert!(all.is_success());
        assert_eq!(all.to_string(), "12 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn failures_are_named() {
        let all = summary(
            "test bundle::loads ... FAILED\n\
             test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            false,
        );
        assert!(!all.is_success());
        assert_eq!(all.problems(), ["failed: bundle::loads"]);
        assert_eq!(all.to_string(), "4 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_crash_without_counts_is_a_failure() {
        let all = summary(
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            false,
        );
        assert!(!all.is_success());
        assert_eq!(all.to_string(), "4 passed, 1 failed, 0 skipped");
        assert!(all.problems()[0].contains("crashed"));
    }

    #[test]
    fn a_crash_beside_a_failed_test_counts_as_well() {
        let all = summary(
            "test a ... FAILED\n\
             test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n\
             \u{1b}[91merror\u{1b}[0m: 2 targets failed:",
            false,
        );
        assert_eq!(all.to_string(), "4 passed, 2 failed, 0 skipped");
        assert_eq!(all.problems().len(), 2);
    }
}
