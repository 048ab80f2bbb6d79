//! Where a run's files lie.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Shard;
use crate::output::Format;

/// The output of a run and the files that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The output: a folder for text files, else a file.
    pub out: PathBuf,
    /// Its form.
    pub format: Format,
    /// The part that this run does; `None` for all.
    pub shard: Option<Shard>,
}

impl Places {
    /// The run's ledger. A whole run's is `OUT/ledger.jsonl` for text files, else `OUT.ledger.jsonl`; a shard's lies
    /// in [`shards`](Self::shards).
    pub fn ledger(&self) -> PathBuf {
        match (self.shard, self.format) {
            (Some(shard), _) => self.shards().join(shard_ledger(shard)),
            (None, Format::Txt) => self.out.join("ledger.jsonl"),
            (None, _) => with_ending(&self.out, ".ledger.jsonl"),
        }
    }

    /// The folder of the shards' ledgers: `OUT/shards` for text files, else `OUT.shards`.
    pub fn shards(&self) -> PathBuf {
        match self.format {
            Format::Txt => self.out.join("shards"),
            _ => with_ending(&self.out, ".shards"),
        }
    }

    /// The one table: the output itself, or the index of text files.
    pub fn table(&self) -> PathBuf {
        match self.format {
            Format::Txt => self.out.join("index.csv"),
            _ => self.out.clone(),
        }
    }
}

/// A shard's file name.
pub(super) fn shard_ledger(shard: Shard) -> String {
    format!("{}-of-{}.ledger.jsonl", shard.index(), shard.count())
}

/// The shard that a file name stands for.
pub(super) fn shard_of_ledger(name: &str) -> Option<Shard> {
    let (index, count) = name.strip_suffix(".ledger.jsonl")?.split_once("-of-")?;
    Shard::new(index.parse().ok()?, count.parse().ok()?)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_beside_a_table_and_inside_a_folder() {
        let mut places = Places { out: "r/a.csv".into(), format: Format::Csv, shard: None };
        assert_eq!(places.ledger(), Path::new("r/a.csv.ledger.jsonl"));
        places.shard = Shard::new(1, 4);
        assert_eq!(places.ledger(), Path::new("r/a.csv.shards/1-of-4.ledger.jsonl"));
        assert_eq!(shard_of_ledger("1-of-4.ledger.jsonl"), places.shard);
        assert_eq!(shard_of_ledger("4-of-4.ledger.jsonl"), None);
        places = Places { out: "r".into(), format: Format::Txt, shard: None };
        assert_eq!((places.ledger(), places.table()), ("r/ledger.jsonl".into(), "r/index.csv".into()));
    }
}
