//! A list of images: a table with a column of paths.
//!
//! Ids are the paths relative to the list's folder. For what lies elsewhere (absolute paths, `..`) they are relative to the
//! deepest folder that holds all of it: every other command refuses ids that are absolute or leave their folder.

use std::path::{Path, PathBuf};

use xreport_models::image_lookup::{Extension, Found, ImageLookup, LookupError};
use xreport_models::table::{Breaks, Row as TableRow, RowFault, Table, TableError};

use super::candidates::{Candidates, Row};
use super::{Input, InputError, names};

/// Columns that may hold the path, the first that is there.
const PATH_COLUMNS: [&str; 4] = ["path", "image", "file", "id"];
/// Of these, the one whose cells are ids: their extension does not tell them apart.
const ID: &str = "id";
/// Columns that may hold line breaks: where there is one, a quote that is not closed may reach over lines.
const TEXTS: [&str; 4] = ["text", "report", "findings", "impression"];

/// Adds what the list at `path` names.
pub(super) fn read(path: &Path, candidates: &mut Candidates) -> Result<(), InputError> {
    // A pipe or device could block or never end.
    let metadata = std::fs::metadata(path).map_err(|source| InputError::Read { path: path.to_owned(), source })?;
    if !metadata.is_file() {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "a list is a file, and this is none");
        return Err(InputError::Read { path: path.to_owned(), source });
    }
    let known = [&PATH_COLUMNS[..], &TEXTS[..]].concat();
    let table = Table::open(path, &known)?;
    let (name, column) = path_column(&table)?;
    let extension = if name == ID { Extension::Ignored } else { Extension::Optional };
    let has_texts = table.names().iter().any(|name| TEXTS.contains(&name.to_lowercase().as_str()));
    let breaks = if has_texts { Breaks::InCells } else { Breaks::EndRows };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut lookup = ImageLookup::new(folder);
    let mut elsewhere = Vec::new();
    for row in table.rows(breaks) {
        let place = Row { list: path.to_owned(), line: row.line() };
        let found = cell(&row, column).and_then(|cell| found(&mut lookup, folder, cell, extension));
        match found {
            Ok(Found { path, name: Some(id) }) if !leaves(&id) => candidates.listed(Input { id, path }, place),
            // Its id depends on the others': it keeps its place in the list.
            Ok(Found { path, .. }) => {
                elsewhere.push(candidates.images.len());
                candidates.listed(Input { id: String::new(), path }, place);
            }
            Err(problem) => candidates.refuse(place.id(), format!("{}: {problem}", place.told())),
        }
    }
    name_what_lies_elsewhere(candidates, &elsewhere, folder);
    Ok(())
}

fn path_column(table: &Table) -> Result<(&'static str, usize), TableError> {
    for name in PATH_COLUMNS {
        if let Some(place) = table.find(name)? {
            return Ok((name, place));
        }
    }
    let missing = format!("with paths: expected one of {}", PATH_COLUMNS.join(", "));
    Err(table.without(&missing, "the first line names the columns; the paths are relative to the list's folder"))
}

/// The path in a row, or what is wrong with the row.
fn cell(row: &TableRow, column: usize) -> Result<&str, String> {
    row.check().map_err(|fault| fault.to_string())?;
    match row.cell(column) {
        Ok("") => Err("no path".into()),
        Ok(path) => Ok(names::checked(path)?),
        Err(RowFault::NotUtf8) => Err("the path is not UTF-8\nhint: save the list as \"CSV UTF-8\"".into()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// The file that a cell means. One that is not there stays what it is called: it fails when it is read.
fn found(lookup: &mut ImageLookup, folder: &Path, cell: &str, extension: Extension) -> Result<Found, String> {
    match lookup.find(cell, extension) {
        Ok(found) => Ok(found),
        Err(LookupError::Missing) => Ok(missing(folder, cell)),
        Err(error) => Err(error.to_string()),
    }
}

fn missing(folder: &Path, cell: &str) -> Found {
    let slashed = cell.replace('\\', "/");
    // A path of Windows, read elsewhere, is no path here: it goes without its drive.
    let without_drive = slashed.split_once(":/").filter(|(drive, _)| drive.len() == 1).map(|(_, path)| path);
    let is_relative = without_drive.is_some() || !(slashed.starts_with('/') || leaves(&slashed));
    let name = names::acceptable(&names::plain(Path::new(without_drive.unwrap_or(&slashed))));
    Found { path: folder.join(cell), name: is_relative.then_some(name) }
}

/// Whether a relative path leaves its folder, or goes through a folder's parent.
fn leaves(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// Gives ids to those whose path is absolute or has `..`: relative to the list's folder where they lie in it, else to the
/// deepest folder that holds all the others.
fn name_what_lies_elsewhere(candidates: &mut Candidates, places: &[usize], folder: &Path) {
    let folder = names::absolute(folder);
    let paths: Vec<PathBuf> =
        places.iter().map(|&place| names::absolute(&candidates.images[place].input.path)).collect();
    let outside = paths.iter().filter(|path| !path.starts_with(&folder)).filter_map(|path| path.parent());
    let root = outside.map(Path::to_owned).reduce(|root, other| shared(&root, &other)).unwrap_or_default();
    for (&place, path) in places.iter().zip(&paths) {
        let within = path.strip_prefix(&folder).or_else(|_| path.strip_prefix(&root)).unwrap_or(path);
        candidates.images[place].input.id = names::acceptable(within);
    }
}

/// The deepest folder that holds both.
fn shared(one: &Path, other: &Path) -> PathBuf {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
}
