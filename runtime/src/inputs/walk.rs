//! A folder of images, searched whole.

use std::fs::{DirEntry, ReadDir};
use std::io;
use std::path::Path;

use xreport_models::image::is_image_file;

use super::candidates::Candidates;
use super::{InputError, Inputs};

/// Adds the images of `root` and of all folders in it. A folder that cannot be read costs what lies in it.
pub(super) fn folder(root: &Path, candidates: &mut Candidates, inputs: &mut Inputs) {
    folder_by(root, candidates, inputs, &|folder| std::fs::read_dir(folder));
}

/// As [`folder`]; `read` lists a folder, and a test can make it fail.
pub(super) fn folder_by(
    root: &Path,
    candidates: &mut Candidates,
    inputs: &mut Inputs,
    read: &dyn Fn(&Path) -> io::Result<ReadDir>,
) {
    let (before, told) = (candidates.mark(), inputs.unreadable.len());
    let mut walk = Walk { root, candidates, inputs, read };
    walk.search(root);
    candidates.sort_since(before);
    inputs.unreadable[told..].sort_by(|a, b| a.path().cmp(b.path()));
}

struct Walk<'a> {
    root: &'a Path,
    candidates: &'a mut Candidates,
    inputs: &'a mut Inputs,
    read: &'a dyn Fn(&Path) -> io::Result<ReadDir>,
}

impl Walk<'_> {
    fn search(&mut self, folder: &Path) {
        let entries = match (self.read)(folder) {
            Ok(entries) => entries,
            Err(source) => return self.cannot_read(folder, source),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry),
                // What follows in this folder is lost with it: it is told once.
                Err(source) => return self.cannot_read(folder, source),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry) {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return;
        }
        match entry.file_type() {
            // A link to a folder is not followed: it may lead back to where it stands.
            Ok(kind) if kind.is_dir() => self.search(&path),
            Ok(_) if is_image_file(&path) => self.candidates.file(&path, self.root),
            Ok(_) => self.inputs.others += 1,
            Err(source) => self.cannot_read(&path, source),
        }
    }

    fn cannot_read(&mut self, path: &Path, source: io::Error) {
        // What vanishes while the folder is searched is not there, and no obstacle.
        if source.kind() != io::ErrorKind::NotFound || path == self.root {
            self.inputs.unreadable.push(InputError::Read { path: path.to_owned(), source });
        }
    }
}
