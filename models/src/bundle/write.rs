//! Writing a bundle: all files into a staging folder, the manifest last, then one rename.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::load::blank_manifest_hash;
use super::manifest::{FileRecord, Manifest};
use super::{BundleError, MANIFEST};
use crate::atomic::{Replace, Staging, write_file};

/// A bundle in memory, ready to be written.
#[derive(Debug)]
pub struct BundleDraft {
    /// The manifest; `files` and `manifest_sha256` are filled in when the bundle is written.
    pub manifest: Manifest,
    /// Every file but the manifest, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl BundleDraft {
    /// Writes the bundle as folder `out`, once `check` is content with it; an older bundle there is replaced in one
    /// step, and a bundle that is refused leaves nothing behind. What the check adds to the draft, such as its measures,
    /// is written as well.
    pub fn write<E: From<BundleError>>(
        mut self,
        out: &Path,
        check: impl FnOnce(&Path, &mut Self) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        let staging = Staging::beside(out).map_err(BundleError::from)?;
        self.write_into(staging.path())?;
        check(staging.path(), &mut self)?;
        self.write_into(staging.path())?;
        staging.commit(Replace::Existing).map_err(BundleError::from)?;
        Ok(self.manifest)
    }

    fn write_into(&mut self, folder: &Path) -> Result<(), BundleError> {
        let recorded = |(name, bytes): (&String, &Vec<u8>)| {
            (name.clone(), FileRecord { bytes: bytes.len() as u64, sha256: sha256_hex(bytes) })
        };
        let files: BTreeMap<String, FileRecord> = self.files.iter().map(recorded).collect();
        let written = std::mem::replace(&mut self.manifest.files, files);
        for (name, record) in &self.manifest.files {
            if written.get(name) != Some(record) {
                write_file(folder.join(name), &self.files[name])?;
            }
        }
        write_file(folder.join(MANIFEST), sealed(&mut self.manifest).as_bytes())?;
        Ok(())
    }
}

/// The manifest's text with its own hash filled in.
fn sealed(manifest: &mut Manifest) -> String {
    manifest.manifest_sha256 = "0".repeat(64);
    let text = |manifest: &Manifest| {
        let mut text = serde_json::to_string_pretty(manifest).expect("a manifest holds only plain JSON values");
        text.push('\n');
        text
    };
    let (blank, _) = blank_manifest_hash(text(manifest).as_bytes()).expect("the field was just written");
    manifest.manifest_sha256 = sha256_hex(&blank);
    text(manifest)
}

/// SHA-256 as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        hex
    })
}
