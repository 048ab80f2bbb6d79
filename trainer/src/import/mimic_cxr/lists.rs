//! The tables of MIMIC-CXR-JPG: which images there are, their parts and views.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::csv_source::{CsvSource, plain_or_gz};
use super::super::error::ImportError;

/// Every image with its official part; comes with MIMIC-CXR-JPG.
pub(super) const SPLIT: &str = "mimic-cxr-2.0.0-split.csv";
/// Every image with its view.
pub(super) const METADATA: &str = "mimic-cxr-2.0.0-metadata.csv";

/// The table `named`, or the one of this name in one of the folders, compressed or not.
pub(super) fn find(named: Option<&Path>, name: &str, folders: &[&Path]) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => folders.iter().find_map(|folder| plain_or_gz(&folder.join(name))),
    }
}

/// The view of each image. Ids are held as numbers and views once each: 377,110 images take some 20 MB.
pub(super) struct Views {
    names: Vec<String>,
    views: HashMap<u128, u8>,
}

impl Views {
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        let mut table = CsvSource::open(path, b',')?;
        let columns = table.columns(["dicom_id", "ViewPosition"])?;
        let mut views = Self { names: Vec::new(), views: HashMap::new() };
        while table.advance()? {
            let line = table.line();
            let wrong =
                |what: &str| ImportError::table(path, format!("line {line}: {what}\nhint: fetch the file again"));
            let [dicom, view] = table.cells(columns).ok_or_else(|| wrong("it is not UTF-8"))?;
            let place = views.names.iter().position(|known| known == view).unwrap_or_else(|| {
                views.names.push(view.to_owned());
                views.names.len() - 1
            });
            let place = u8::try_from(place).map_err(|_| wrong("more than 256 different views"))?;
            views.views.insert(key(dicom), place);
        }
        Ok(views)
    }

    /// The view as the table has it: `PA`, `AP`, `LATERAL`, `LL` and others; empty where it states none.
    pub(super) fn of(&self, dicom: &str) -> &str {
        self.views.get(&key(dicom)).map_or("", |place| &self.names[usize::from(*place)])
    }
}

/// An id such as `02aa804e-bde0afdd-112c0b34-7bc16630-4e381014` is 160 bits of a hash: 128 of them tell images apart.
fn key(dicom: &str) -> u128 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(dicom);
    u128::from_be_bytes(digest[..16].try_into().expect("a digest is longer"))
}

/// Whether a view position is frontal. Decubitus and lordotic ones (`AP LLD`, `AP AXIAL`) are not the view that a model
/// will meet, and no published test set has them.
pub(super) fn is_frontal(view: &str) -> bool {
    matches!(view, "AP" | "PA")
}
