//! When a file of a watched folder is whole.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Look;

/// Files that were seen and not yet taken. Network shares send no events, and a copy has no end that one could see:
/// a file counts as whole when neither size nor time has changed for a while.
#[derive(Debug)]
pub struct Settling {
    quiet: Duration,
    seen: HashMap<String, (Look, Instant)>,
}

impl Settling {
    /// Files are whole when they have not changed for `quiet`.
    pub fn new(quiet: Duration) -> Self {
        Self { quiet, seen: HashMap::new() }
    }

    /// Tells how the file looks `now`; whether it is whole.
    pub fn is_whole(&mut self, id: &str, look: Look, now: Instant) -> bool {
        match self.seen.get(id) {
            Some((before, since)) if *before == look => now.duration_since(*since) >= self.quiet,
            _ => {
                self.seen.insert(id.to_owned(), (look, now));
                false
            }
        }
    }

    /// Forgets files that were taken or are gone: all but those that `keep` wants.
    pub fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.seen.retain(|id, _| keep(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_not_whole_until_it_rests() {
        let mut settling = Settling::new(Duration::from_secs(5));
        let start = Instant::now();
        let mut look =
            |bytes, second| settling.is_whole("a", Look { bytes, modified: None }, start + Duration::from_secs(second));
        assert!(!look(10, 0));
        assert!(!look(20, 3));
        assert!(!look(30, 7));
        assert!(!look(30, 11));
        assert!(look(30, 12));
        assert!(!look(31, 13), "it goes on growing");
        settling.keep(|_| false);
        assert!(settling.seen.is_empty());
    }
}
