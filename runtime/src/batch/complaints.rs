//! What a watcher says of entries that it cannot read.

use std::collections::BTreeSet;

/// What stands in the way now and was told already: a watcher looks often, and each thing is told once, until it is
/// mended and breaks again.
#[derive(Debug, Default)]
pub struct Complaints<T> {
    told: BTreeSet<T>,
}

impl<T: Ord + Clone> Complaints<T> {
    /// Tells all that stands in the way `now`; what of it is new.
    pub fn news(&mut self, now: impl IntoIterator<Item = T>) -> Vec<T> {
        let now: BTreeSet<T> = now.into_iter().collect();
        let news = now.difference(&self.told).cloned().collect();
        self.told = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_until_it_is_mended() {
        let mut complaints = Complaints::default();
        assert_eq!(complaints.news(["b", "a"]), ["a", "b"]);
        assert_eq!(complaints.news(["a", "c", "b"]), ["c"]);
        assert!(complaints.news(["b", "c"]).is_empty());
        assert_eq!(complaints.news(["a"]), ["a"], "it was mended and broke again");
    }
}
