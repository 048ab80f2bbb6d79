//! The `.tar.gz`: the same bytes for the same folder, owned by nobody in particular.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::files_below;

/// Packs `folder` under its own name.
pub fn write(folder: &Path, archive: &Path) -> Result<()> {
    let fail = || format!("`{}` cannot be written", archive.display());
    let file = BufWriter::new(File::create(archive).with_context(fail)?);
    let mut tar = Builder::new(GzEncoder::new(file, Compression::best()));
    let name = Path::new(folder.file_name().context("the folder has a name")?);
    for relative in files_below(folder)? {
        let path = folder.join(&relative);
        let mut content = File::open(&path).with_context(|| format!("`{}`", path.display()))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(fs::metadata(&path)?.len());
        // No time, no owner: an archive made twice is the same, and unpacks as whoever unpacks it.
        header.set_mtime(0);
        header.set_mode(if is_program(&relative) { 0o755 } else { 0o644 });
        tar.append_data(&mut header, name.join(&relative), &mut content).with_context(fail)?;
    }
    let file = tar.into_inner().and_then(GzEncoder::finish).with_context(fail)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all()).with_context(fail)
}

fn is_program(relative: &Path) -> bool {
    relative.parent() == Some(Path::new("")) && relative.file_stem() == Some("xreport".as_ref())
}
