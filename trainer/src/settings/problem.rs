//! What can be wrong with settings, and how it is told.

use std::fmt;
use std::path::PathBuf;

/// Settings could not be had. Every message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is missing, a folder, or may not be read.
    #[error("cannot read the settings `{}`: {source}\nhint: {}", path.display(), read_hint(source))]
    Read {
        /// The file as asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be a settings file by its size.
    #[error(
        "the settings `{}` are too large: expected at most {limit} bytes, found more\n\
         hint: name the JSON file with the settings, not data or a checkpoint", path.display()
    )]
    TooLarge {
        /// The file as asked for.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error(
        "{}:{line}: the settings are not UTF-8 text\nhint: save the file as UTF-8", path.display()
    )]
    NotText {
        /// The file as asked for.
        path: PathBuf,
        /// The line of the first wrong byte, from 1.
        line: usize,
    },
    /// The text is not JSON.
    #[error("{name}:{line}:{column}: the settings are not valid JSON: {message}\nhint: {hint}")]
    Syntax {
        /// The file's name.
        name: String,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What the parser expected or found.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// The text is JSON, but these settings cannot be used. Never empty.
    #[error("{}", Listing(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the key was given.
    pub origin: Origin,
    /// `section.KEY`, or the section alone.
    pub key: String,
    /// What would have been right.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What to do.
    pub hint: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line (from 1) of a file.
    Line(String, usize),
    /// `--set` on the command line.
    CommandLine,
    /// Given nowhere: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(name, line) => write!(f, "{name}:{line}"),
            Self::CommandLine => f.write_str("--set"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: `{}`\n  expected: {}\n  found: {}\n  hint: {}",
            self.origin, self.key, self.expected, self.found, self.hint
        )
    }
}

struct Listing<'a>(&'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{plural} in the settings", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

fn read_hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => {
            "check the path; `settings/configurations.json` holds every key with its default"
        }
        std::io::ErrorKind::IsADirectory => "name the file, not its folder",
        _ => "check the file's permissions",
    }
}

/// The candidate that `word` was most likely meant to be: the same but for case, or few typing
/// slips away (a third of the letters at most).
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (edit_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance with swapped neighbours counted as one slip (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substitute.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_as_a_typist_makes_them() {
        for (a, b, distance) in [
            ("epochs", "epochs", 0),
            ("epocsh", "epochs", 1),
            ("epoch", "epochs", 1),
            ("batchsize", "batch_size", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_near_or_none() {
        let keys = ["EPOCHS", "BATCH_SIZE", "SEED"];
        assert_eq!(nearest("epocsh", keys.into_iter()), Some("EPOCHS"));
        assert_eq!(nearest("BATCHSIZE", keys.into_iter()), Some("BATCH_SIZE"));
        assert_eq!(nearest("TEMPERATURE", keys.into_iter()), None);
        assert_eq!(nearest("SEDE", keys.into_iter()), Some("SEED"));
    }
}
