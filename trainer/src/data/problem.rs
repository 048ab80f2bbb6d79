//! Studies that cannot be used: one by one, and summed up for a reader.
//!
//! Texts and patients never appear here; a study is named by its line and, where a file has to be
//! looked for, by its id.

use std::fmt::Write as _;

use xreport_models::spelling;
use xreport_models::table;

use super::no_text::NoText;

/// Why one study was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The row itself cannot be used.
    Row {
        /// Line of the table, from 1.
        line: usize,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// The row has the id of an earlier one.
    RepeatedId {
        /// Line of the table, from 1.
        line: usize,
        /// The id as written.
        id: String,
        /// Line of the row that is kept.
        first_line: usize,
    },
    /// The id is no path inside the image folder.
    BadId {
        /// Line of the table, from 1.
        line: usize,
        /// What is wrong with it; it names the id.
        reason: String,
    },
    /// No image answers to the id.
    MissingImage {
        /// Line of the table, from 1.
        line: usize,
        /// The id as written.
        id: String,
    },
    /// Several images answer to the id.
    AmbiguousImage {
        /// Line of the table, from 1.
        line: usize,
        /// The id as written.
        id: String,
        /// Two of the files, relative to the image folder.
        files: [String; 2],
    },
    /// The image cannot be decoded.
    UnreadableImage {
        /// The file, relative to the image folder.
        file: String,
        /// What the decoder said; it names the file.
        reason: String,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// The `id` cell is empty.
    EmptyId,
    /// The `text` cell holds no text.
    NoText(NoText),
    /// More or fewer cells than the header has.
    Fields {
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A quoted cell is not closed, or goes on after its closing quote.
    Quotes,
    /// A cell that is needed is not UTF-8.
    NotUtf8,
    /// A cell that is needed holds a NUL character.
    Nul,
    /// The `split` cell names no part.
    Part,
}

impl From<table::RowFault> for RowFault {
    fn from(fault: table::RowFault) -> Self {
        match fault {
            table::RowFault::Cells { expected, found } => Self::Fields { expected, found },
            table::RowFault::Quotes => Self::Quotes,
            table::RowFault::NotUtf8 => Self::NotUtf8,
            table::RowFault::Nul => Self::Nul,
        }
    }
}

/// One kind of problem, as it is summed up.
struct Kind {
    title: &'static str,
    hint: &'static str,
}

impl Problem {
    fn kind(&self) -> Kind {
        let (title, hint) = match self {
            Self::Row { fault, .. } => fault.kind(),
            Self::RepeatedId { .. } => ("rows repeat the id of an earlier row", "keep one row per image"),
            Self::BadId { .. } => ("ids are no paths", "an id is the image's path inside the `images` folder"),
            Self::MissingImage { .. } => {
                ("images are missing", "an id is the image's path inside the `images` folder, its extension optional")
            }
            Self::AmbiguousImage { .. } => ("ids fit several images", "rename or remove one of the files"),
            Self::UnreadableImage { .. } => ("images cannot be read", "copy or export these files again"),
        };
        Kind { title, hint }
    }

    /// The study in few words: "line 3, `p1/frontal`".
    fn example(&self) -> String {
        match self {
            Self::Row { line, fault: RowFault::Fields { expected, found } } => {
                format!("line {line}: expected {expected} cells, found {found}")
            }
            Self::Row { line, fault: RowFault::NoText(NoText::Placeholder(word)) } => format!("line {line} ({word})"),
            Self::Row { line, .. } => format!("line {line}"),
            Self::RepeatedId { line, id, first_line } => {
                format!("line {line}: `{}` is on line {first_line}", shown(id))
            }
            Self::BadId { line, reason } => format!("line {line}: {}", shown(reason)),
            Self::MissingImage { line, id } => format!("line {line}: `{}`", shown(id)),
            Self::AmbiguousImage { line, id, files } => {
                format!("line {line}: `{}` fits {}", shown(id), spelling::both(&shown(&files[0]), &shown(&files[1])))
            }
            Self::UnreadableImage { reason, .. } => shown(reason),
        }
    }
}

impl RowFault {
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::EmptyId => ("rows have no id", "fill the `id` cell or delete the row"),
            Self::NoText(NoText::Empty) => ("rows have no text", "fill the `text` cell or delete the row"),
            Self::NoText(NoText::Blank) => (
                "rows have a text of nothing but characters that cannot be seen",
                "fill the `text` cell or delete the row: it looks empty, and the tokenizer finds nothing in it",
            ),
            Self::NoText(NoText::Placeholder(_)) => (
                "rows have a word for a missing value in place of a text",
                "another program wrote it there: fill the `text` cell or delete the row",
            ),
            Self::NoText(NoText::Marks) => {
                ("rows have a text without a letter or digit", "fill the `text` cell or delete the row")
            }
            Self::Fields { .. } => (
                "rows have more or fewer cells than the header",
                "a text that holds the delimiter stands in double quotes",
            ),
            Self::Quotes => (
                "rows have quotes that do not pair up",
                "a quoted text starts right after the delimiter; write a quote inside it twice: \"\"",
            ),
            Self::NotUtf8 => ("rows are not UTF-8", "save the table as UTF-8"),
            Self::Nul => ("rows hold a NUL character", "no text does: export the table again"),
            Self::Part => {
                ("rows name no part of the data", "the `split` cell is train, validation (val, validate) or test")
            }
        }
    }
}

/// A name as it may go to a terminal: one line, of bounded length, without control characters.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 120;
    let line: String = name
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The problems of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// What is wrong, after a number: `images are missing`.
    pub title: &'static str,
    /// How a user can mend it.
    pub hint: &'static str,
    /// How many there are.
    pub count: usize,
    /// The first few, in few words each.
    pub examples: Vec<String>,
    /// Whether the examples are line numbers and hardly more, so that many fit into a message.
    pub by_line: bool,
}

/// All problems by kind, the most frequent kind first, with the first `examples` of each.
pub fn tallies(problems: &[Problem], examples: usize) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    for problem in problems {
        let Kind { title, hint } = problem.kind();
        let at = tallies.iter().position(|tally| tally.title == title).unwrap_or_else(|| {
            let by_line = matches!(problem, Problem::Row { fault, .. } if !matches!(fault, RowFault::Fields { .. }));
            tallies.push(Tally { title, hint, count: 0, examples: Vec::new(), by_line });
            tallies.len() - 1
        });
        tallies[at].count += 1;
        if tallies[at].examples.len() < examples {
            tallies[at].examples.push(problem.example());
        }
    }
    tallies.sort_by_key(|tally| std::cmp::Reverse(tally.count));
    tallies
}

/// All problems by kind, with counts and the first few of each; empty where there are none.
///
/// ```text
/// 4 studies left out
///   3 images are missing: line 3: `c_1`; line 9: `c_4`; line 12: `c_9`
///     hint: an id is the image's path inside the `images` folder, its extension optional
///   1 rows have no text: line 14
///     hint: fill the `text` cell or delete the row
/// ```
pub fn summary(problems: &[Problem]) -> String {
    const EXAMPLES: usize = 3;
    const LINES: usize = 20;
    if problems.is_empty() {
        return String::new();
    }
    let mut text = format!("{} studies left out", problems.len());
    for Tally { title, hint, count, mut examples, by_line } in tallies(problems, LINES) {
        examples.truncate(if by_line { LINES } else { EXAMPLES });
        let more = match count.saturating_sub(examples.len()) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let examples = examples.join("; ");
        write!(text, "\n  {count} {title}: {examples}{more}\n    hint: {hint}").expect("a string takes text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_by_kind_the_largest_first() {
        let missing = |line| Problem::MissingImage { line, id: format!("c_{line}") };
        let empty = Problem::Row { line: 4, fault: RowFault::NoText(NoText::Empty) };
        let mut problems = vec![empty];
        problems.extend((5..10).map(missing));
        assert_eq!(
            summary(&problems),
            "6 studies left out\n  \
             5 images are missing: line 5: `c_5`; line 6: `c_6`; line 7: `c_7`; and 2 more\n    \
             hint: an id is the image's path inside the `images` folder, its extension optional\n  \
             1 rows have no text: line 4\n    \
             hint: fill the `text` cell or delete the row"
        );
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn rows_with_a_placeholder_are_named_by_line_and_word() {
        let nan = |line| Problem::Row { line, fault: RowFault::NoText(NoText::Placeholder("nan")) };
        let mut problems: Vec<Problem> = (2..7).map(nan).collect();
        problems.push(Problem::Row { line: 9, fault: RowFault::NoText(NoText::Marks) });
        assert_eq!(
            summary(&problems),
            "6 studies left out\n  \
             5 rows have a word for a missing value in place of a text: line 2 (nan); line 3 (nan); line 4 (nan); line 5 (nan); \
             line 6 (nan)\n    \
             hint: another program wrote it there: fill the `text` cell or delete the row\n  \
             1 rows have a text without a letter or digit: line 9\n    \
             hint: fill the `text` cell or delete the row"
        );
        let many: Vec<Problem> = (2..40).map(nan).collect();
        assert!(summary(&many).contains("line 21 (nan); and 18 more"), "{}", summary(&many));
    }

    #[test]
    fn names_from_files_cannot_disturb_a_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), 121);
        assert_eq!(shown(""), "");
    }
}
