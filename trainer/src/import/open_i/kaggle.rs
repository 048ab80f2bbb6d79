//! Kaggle's edition of Open-i: `indiana_reports.csv` and `indiana_projections.csv`.
//!
//! ```csv
//! uid,MeSH,Problems,image,indication,comparison,findings,impression
//! uid,filename,projection
//! ```

use std::collections::HashMap;
use std::path::Path;

use super::super::csv_source::CsvSource;
use super::super::error::ImportError;

/// The name that the projections have beside the reports.
pub(super) const PROJECTIONS: &str = "indiana_projections.csv";

/// The files of each study with their views, and the view of each image.
#[derive(Debug, Default)]
pub(super) struct Projections {
    /// By uid: file name and view, in the order of the table.
    studies: HashMap<String, Vec<(String, String)>>,
    /// By [`image_key`]: the view.
    views: HashMap<String, String>,
}

impl Projections {
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        let mut table = CsvSource::open(path, b',')?;
        let columns = table.columns(["uid", "filename", "projection"])?;
        let mut projections = Self::default();
        while table.advance()? {
            let line = table.line();
            let not_text = || ImportError::table(path, format!("line {line} is not UTF-8\nhint: fetch the file again"));
            let [uid, file, view] = table.cells(columns).ok_or_else(not_text)?;
            projections.views.insert(image_key(file), view.to_owned());
            projections.studies.entry(uid.to_owned()).or_default().push((file.to_owned(), view.to_owned()));
        }
        Ok(projections)
    }

    /// The images of a study: file names and views.
    pub(super) fn of(&self, uid: &str) -> &[(String, String)] {
        self.studies.get(uid).map_or(&[], Vec::as_slice)
    }

    /// The view of an image, by its key.
    pub(super) fn view(&self, key: &str) -> Option<&str> {
        self.views.get(key).map(String::as_str)
    }
}

/// One name for an image in all editions: the XML's `CXR3029_IM-1404-1001`, the archive's `CXR3029_IM-1404-1001.png` and
/// Kaggle's `3029_IM-1404-1001.dcm.png`. The first study doubles its number: `CXR1_1_IM-0001-3001`.
pub(super) fn image_key(name: &str) -> String {
    let name = name.strip_prefix("CXR").unwrap_or(name);
    let stem = |name: &str, extension: &str| {
        let at = name.len().checked_sub(extension.len())?;
        name.get(at..)?.eq_ignore_ascii_case(extension).then(|| name[..at].to_owned())
    };
    let mut key = name.to_owned();
    for extension in [".png", ".jpg", ".jpeg", ".dcm"] {
        key = stem(&key, extension).unwrap_or(key);
    }
    if let Some((number, rest)) = key.split_once('_')
        && let Some(rest) = rest.strip_prefix(number).and_then(|rest| rest.strip_prefix('_'))
    {
        return format!("{number}_{rest}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_key_in_all_editions() {
        for name in ["CXR3029_IM-1404-1001", "CXR3029_IM-1404-1001.png", "3029_IM-1404-1001.dcm.png"] {
            assert_eq!(image_key(name), "3029_IM-1404-1001");
        }
        for name in ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-3001.png", "1_IM-0001-3001.dcm.png"] {
            assert_eq!(image_key(name), "1_IM-0001-3001");
        }
        assert_eq!(image_key("CXR21_IM-0729-1001-0001.png"), "21_IM-0729-1001-0001");
        assert_eq!(image_key("é"), "é");
    }
}
