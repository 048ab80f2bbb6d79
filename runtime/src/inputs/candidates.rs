//! What was found, before it is known whether every id is there once.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Input, InputError, Refused, names};

/// An image, and which row named it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub input: Input,
    pub row: Option<Row>,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub list: PathBuf,
    pub line: usize,
}

impl Row {
    /// The id of a row that names no image.
    pub(super) fn id(&self) -> String {
        format!("{}:{}", names::acceptable(&self.list), self.line)
    }

    /// The row's place, for a message.
    pub(super) fn told(&self) -> String {
        format!("`{}`, line {}", self.list.display(), self.line)
    }
}

/// Images and refusals in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub images: Vec<Candidate>,
    refused: Vec<Refused>,
}

impl Candidates {
    /// A file of a folder or one that was named, with its id relative to `root`.
    pub(super) fn file(&mut self, path: &Path, root: &Path) {
        let within = path.strip_prefix(root).unwrap_or(path);
        match names::id(within) {
            Ok(id) => self.images.push(Candidate { input: Input { id, path: path.to_owned() }, row: None }),
            Err(problem) => {
                let id = names::acceptable(within);
                self.refuse(id.clone(), format!("`{id}`: {problem}"));
            }
        }
    }

    /// A file that a row names.
    pub(super) fn listed(&mut self, input: Input, row: Row) {
        self.images.push(Candidate { input, row: Some(row) });
    }

    /// Something that can be no input.
    pub(super) fn refuse(&mut self, id: String, problem: String) {
        self.refused.push(Refused { id, problem });
    }

    /// From here on, what is added belongs together.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.images.len(), self.refused.len())
    }

    /// Puts what was added since into the order of ids: a folder is listed in any order.
    pub(super) fn sort_since(&mut self, (images, refused): (usize, usize)) {
        self.images[images..].sort_by(|a, b| (&a.input.id, &a.input.path).cmp(&(&b.input.id, &b.input.path)));
        self.refused[refused..].sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// The first file of an id stays, and the first row of a file. Rows that come later are refused under ids of their own;
    /// files that come later are told: they may be moved.
    pub(super) fn one_of_each_id(self, told: &mut Vec<InputError>) -> (Vec<Input>, Vec<Refused>) {
        let Self { images: candidates, refused: without_image } = self;
        let mut images: Vec<Candidate> = Vec::with_capacity(candidates.len());
        let mut places: HashMap<String, usize> = HashMap::with_capacity(candidates.len());
        let mut rows: HashMap<(PathBuf, PathBuf), usize> = HashMap::new();
        let mut refused = Vec::new();
        for candidate in candidates {
            let key = candidate.row.as_ref().map(|row| (row.list.clone(), names::plain(&candidate.input.path)));
            let same_row = key.as_ref().and_then(|key| rows.get(key));
            if let Some(&first) = same_row.or_else(|| places.get(&candidate.input.id)) {
                match second(&images[first], candidate) {
                    Ok(row) => refused.push(row),
                    Err(file) => told.push(file),
                }
            } else {
                places.insert(candidate.input.id.clone(), images.len());
                rows.extend(key.map(|key| (key, images.len())));
                images.push(candidate);
            }
        }
        refused.extend(without_image);
        let mut taken: HashSet<String> = places.into_keys().collect();
        for refused in &mut refused {
            refused.id = names::untaken(std::mem::take(&mut refused.id), |id| taken.contains(id));
            taken.insert(refused.id.clone());
        }
        (images.into_iter().map(|candidate| candidate.input).collect(), refused)
    }
}

/// What is said of a row, or of a file, whose id is there already.
fn second(first: &Candidate, second: Candidate) -> Result<Refused, InputError> {
    let is_same_file = same_file(first, &second);
    let Candidate { input: Input { id, path }, row } = second;
    let same_id = InputError::SameId { id: first.input.id.clone(), first: first.input.path.clone(), second: path };
    let Some(row) = row else { return Err(same_id) };
    let problem = match &first.row {
        Some(before) if before.list == row.list && is_same_file => {
            format!("it names the same image as line {}, `{id}`\nhint: delete one of the rows", before.line)
        }
        _ => same_id.to_string(),
    };
    Ok(Refused { id: row.id(), problem: format!("{}: {problem}", row.told()) })
}

fn same_file(first: &Candidate, second: &Candidate) -> bool {
    names::plain(&first.input.path) == names::plain(&second.input.path)
}
