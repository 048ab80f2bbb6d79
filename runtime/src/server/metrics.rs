//! What the server counts, as Prometheus reads it. No name, id or text is ever a label.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers by hundreds of their status: 2 to 5.
    answers: [AtomicU64; 6],
    /// Studies that were taken.
    pub taken: Counter,
    /// Files that were refused: no image, or not for this model.
    pub refused: Counter,
    /// Submissions that found the queue full.
    pub turned_away: Counter,
    /// Drafts in the records.
    pub drafted: Counter,
    /// Studies that could not be drafted or recorded.
    pub failed: Counter,
    /// Studies that nobody wanted any more.
    pub cancelled: Counter,
    /// Reports signed.
    pub signed: Counter,
    /// Tokens drafted.
    pub tokens: Counter,
    /// Thousandths of seconds of encoding and decoding.
    pub drafting_milliseconds: Counter,
    /// Bytes of images that were handed in.
    pub bytes: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is so at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Studies that wait for their turn.
    pub waiting: usize,
    /// Studies from their submission to their draft.
    pub under_way: usize,
    /// How many of these there may be.
    pub most_under_way: usize,
    /// Bytes of images that are held in memory.
    pub image_bytes: u64,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        self.answers[usize::from(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds that a draft takes, on average; a guess before the first.
    pub fn seconds_each(&self) -> f64 {
        let drafted = self.drafted.get();
        if drafted == 0 { 0.5 } else { self.drafting_milliseconds.get() as f64 / 1000.0 / drafted as f64 }
    }

    /// The text exposition format, version 0.0.4.
    pub fn exposition(&self, now: Now) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
            let _ =
                writeln!(text, "# HELP xreport_{name} {help}\n# TYPE xreport_{name} {kind}\nxreport_{name} {value}");
        };
        let counters: [(&str, &str, &Counter); 9] = [
            ("studies_taken_total", "Studies that were taken.", &self.taken),
            ("studies_refused_total", "Files that were no image, or not for this model.", &self.refused),
            ("studies_turned_away_total", "Submissions that found the queue full.", &self.turned_away),
            ("drafts_total", "Drafts in the records.", &self.drafted),
            ("drafts_failed_total", "Studies that could not be drafted or recorded.", &self.failed),
            ("drafts_cancelled_total", "Studies that nobody wanted any more.", &self.cancelled),
            ("reports_signed_total", "Reports signed.", &self.signed),
            ("tokens_total", "Tokens drafted.", &self.tokens),
            ("image_bytes_total", "Bytes of images that were handed in.", &self.bytes),
        ];
        for (name, help, counter) in counters {
            metric(name, "counter", help, &counter.get());
        }
        let seconds = self.drafting_milliseconds.get() as f64 / 1000.0;
        metric("drafting_seconds_total", "counter", "Seconds of encoding and decoding.", &seconds);
        metric("studies_waiting", "gauge", "Studies that wait for their turn.", &now.waiting);
        metric("studies_under_way", "gauge", "Studies between submission and draft.", &now.under_way);
        metric("studies_under_way_limit", "gauge", "How many of these there may be.", &now.most_under_way);
        metric("images_in_memory_bytes", "gauge", "Bytes of images that are held in memory.", &now.image_bytes);
        text += "# HELP xreport_answers_total Answers by the hundreds of their status.\n";
        text += "# TYPE xreport_answers_total counter\n";
        for (hundreds, count) in self.answers.iter().enumerate().skip(2) {
            let _ =
                writeln!(text, "xreport_answers_total{{status=\"{hundreds}xx\"}} {}", count.load(Ordering::Relaxed));
        }
        text
    }
}
