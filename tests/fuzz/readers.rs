//! What is fuzzed: everything that reads a file from elsewhere. Shared by the libFuzzer targets and by the smoke run of
//! `tests/tests/fuzz_smoke.rs`, which works on a stable compiler.
#![allow(dead_code, reason = "each libFuzzer target uses one of these")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use xreport_models::bundle::Bundle;
use xreport_models::image::{Gate, GateMode, Limits, Preprocessing, Views, decode};
use xreport_models::onnx::header::OnnxHeader;
use xreport_models::spelling;
use xreport_models::study_id::StudyId;
use xreport_models::table::{Breaks, Table};
use xreport_models::text::Tokenizer;

/// A DICOM file without its preamble and magic, so that every input gets past them. Whether it is an image.
pub fn dicom(bytes: &[u8]) -> bool {
    let file = [&[0; 128], &b"DICM"[..], bytes].concat();
    image(&file)
}

/// An image file of any kind: decoded in grey and in colour, and past the gate. Whatever comes of it, it must come.
/// Whether it is an image.
pub fn image(bytes: &[u8]) -> bool {
    let name = Path::new("fuzzed");
    let mut is_image = true;
    for channels in [1, 3] {
        let decoded = decode(bytes, name, channels, &Limits::default());
        is_image &= decoded.is_ok();
        if let Ok(raster) = decoded {
            let expected = raster.width() as usize * raster.height() as usize * usize::from(channels);
            assert_eq!(raster.samples().len(), expected);
        }
    }
    let preprocessing = Preprocessing::grey(16, 16);
    let gate = |mode| preprocessing.admit_bytes(bytes, name, Gate { mode, views: Views::Frontal });
    // Who passes the strict gate passes the others, with the same pixels.
    if let Ok(admitted) = gate(GateMode::Strict) {
        let open = gate(GateMode::Off).expect("the strict gate let it through");
        assert_eq!((admitted.pixels.len(), &admitted.pixels), (preprocessing.len(), &open.pixels));
    }
    is_image
}

/// A JPEG 2000 codestream in a DICOM file that says of it what it says of itself. Whether it is an image.
pub fn jpeg2000(stream: &[u8]) -> bool {
    const SIZ: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
    let size = stream.windows(4).position(|bytes| bytes == SIZ).and_then(|at| stream.get(at + 8..at + 16));
    let side = |at: usize| size.and_then(|size| size.get(at + 2..at + 4)).map_or([16, 0], |side| [side[1], side[0]]);
    let (columns, rows) = (side(0), side(4));
    let short = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
        let tag = [group.to_le_bytes(), element.to_le_bytes()].concat();
        [&tag, &vr[..], &(value.len() as u16).to_le_bytes(), value].concat()
    };
    let file = [
        vec![0; 128],
        b"DICM".to_vec(),
        short(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.4.91"),
        short(0x0008, 0x0060, b"CS", b"DX"),
        short(0x0028, 0x0002, b"US", &[1, 0]),
        short(0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
        short(0x0028, 0x0010, b"US", &rows),
        short(0x0028, 0x0011, b"US", &columns),
        short(0x0028, 0x0100, b"US", &[16, 0]),
        short(0x0028, 0x0101, b"US", &[16, 0]),
        short(0x0028, 0x0103, b"US", &[0, 0]),
        b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0".to_vec(),
        (stream.len() as u32).to_le_bytes().to_vec(),
        stream.to_vec(),
        b"\xFE\xFF\xDD\xE0\0\0\0\0".to_vec(),
    ];
    image(&file.concat())
}

/// A table or list, as any command may be given it. Whether it is one.
pub fn table(bytes: &[u8]) -> bool {
    let known = ["id", "text", "path"];
    let Ok(table) = Table::parse(Path::new("fuzzed"), bytes.to_vec(), &known) else { return false };
    let (hint, lines) = ("columns", bytes.len() + 1);
    for name in known {
        assert_eq!(table.column(name, hint).is_ok(), table.find(name).is_ok_and(|place| place.is_some()));
    }
    for breaks in [Breaks::InCells, Breaks::EndRows] {
        let (mut rows, mut line) = (table.rows(breaks), 0);
        while let Some(row) = rows.next() {
            assert!(row.line() > line && row.line() <= lines, "rows come in the order of their lines");
            line = row.line();
            assert!(rows.bytes_read() <= table.len());
            let whole = row.check().is_ok();
            let cells = (0..=table.names().len()).map(|column| row.cell(column));
            for (column, cell) in cells.enumerate().filter_map(|(column, cell)| Some((column, cell.ok()?))) {
                assert!(!whole || column < table.names().len() || cell.is_empty(), "no cell beyond the header's");
                let composed = spelling::composed(cell);
                assert_eq!(spelling::composed(&composed), composed);
                // Whatever the cell is, the id that comes of it can be written into a table again.
                if let Ok(id) = StudyId::normalise(cell) {
                    assert!(!id.as_str().is_empty() && !id.as_str().starts_with('/'));
                }
            }
        }
    }
    !table.names().is_empty()
}

/// A bundle's files: the first byte says which one it is. Whether it is accepted.
pub fn bundle(bytes: &[u8]) -> bool {
    let Some((which, content)) = bytes.split_first() else { return false };
    match which % 4 {
        0 => OnnxHeader::read(content).is_ok(),
        1 => Tokenizer::from_json(content).is_ok(),
        2 => load_manifest(content),
        _ => load_manifest(&sealed(content)),
    }
}

/// Loads the bundle of format version 1 with another manifest.
fn load_manifest(manifest: &[u8]) -> bool {
    // Beside the build where cargo tells the place: one folder, used again by each run.
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let beside = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = beside.join("xreport-fuzzed-bundle");
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        for entry in std::fs::read_dir(bundle_folder()).expect("the bundle is part of the tree") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
        }
        folder
    });
    std::fs::write(folder.join("bundle.json"), manifest).expect("written");
    Bundle::load(folder).is_ok()
}

/// The bundle of format version 1 that stays in the tests for ever.
pub fn bundle_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    [here.join("bundles/v1"), here.join("../bundles/v1")]
        .into_iter()
        .find(|folder| folder.is_dir())
        .expect("the bundle is part of the tree")
}

/// A manifest with its own hash made right again, so that what lies behind the hash is reached.
fn sealed(manifest: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"\"manifest_sha256\": \"";
    let mut sealed = manifest.to_vec();
    let Some(at) = sealed.windows(FIELD.len()).rposition(|window| window == FIELD) else { return sealed };
    let digits = at + FIELD.len()..at + FIELD.len() + 64;
    if digits.end > sealed.len() {
        return sealed;
    }
    sealed[digits.clone()].fill(b'0');
    let hash = format!("{:x}", Sha256::digest(&sealed));
    sealed[digits].copy_from_slice(hash.as_bytes());
    sealed
}
