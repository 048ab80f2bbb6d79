//! A bundle that is not whole, or not one, is refused before anything runs, and the file is named.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Value, json};
use xreport_models::bundle::{Bundle, sha256_hex};

use crate::trained::{copy, trained, with_model};
use crate::workplace::Workplace;

/// A file in which single bytes are changed and put back.
struct Flipped(fs::File);

impl Flipped {
    fn open(path: &Path) -> Self {
        Self(fs::OpenOptions::new().read(true).write(true).open(path).unwrap())
    }

    /// Flips the bits of `mask` in the byte at `place`.
    fn flip(&mut self, place: u64, mask: u8) {
        let mut byte = [0];
        self.0.seek(SeekFrom::Start(place)).unwrap();
        self.0.read_exact(&mut byte).unwrap();
        self.0.seek(SeekFrom::Start(place)).unwrap();
        self.0.write_all(&[byte[0] ^ mask]).unwrap();
    }
}

/// Flips each of `places` in `file` with each mask; every time the bundle is refused and the file named.
fn refused_at(bundle: &Path, file: &str, places: impl Iterator<Item = u64>, masks: &[u8]) {
    let mut flipped = Flipped::open(&bundle.join(file));
    for place in places {
        for &mask in masks {
            flipped.flip(place, mask);
            let error =
                Bundle::load(bundle).err().unwrap_or_else(|| panic!("`{file}`, byte {place} ^ {mask:#x}: loads"));
            assert!(error.to_string().contains(file), "`{file}`, byte {place} ^ {mask:#x}: {error}");
            flipped.flip(place, mask);
        }
    }
    assert!(Bundle::load(bundle).is_ok(), "put back, `{file}` is whole");
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn any_byte_of_the_manifest_and_of_the_card_counts() {
    let place = with_model();
    let bundle = place.path("model");
    // 0x01 turns digits into digits, 0x20 letters into letters of the other case, 0x80 text into no text.
    refused_at(&bundle, "bundle.json", 0..length(&bundle.join("bundle.json")), &[0x01, 0x20, 0x80]);
    refused_at(&bundle, "MODEL_CARD.md", 0..length(&bundle.join("MODEL_CARD.md")), &[0x01]);
}

#[test]
fn bytes_of_every_other_file_count() {
    let place = with_model();
    let bundle = place.path("model");
    for file in ["encoder.onnx", "decoder.onnx", "decoder-cuda.onnx", "evidence.onnx", "weights.bin", "tokenizer.json"]
    {
        let length = length(&bundle.join(file));
        let ends = (0..8).chain(length - 8..length).chain([length / 2]);
        refused_at(&bundle, file, ends.chain((0..length).step_by(997)), &[0x10]);
    }
}

/// The real program refuses `bundle`: exit code 2, nothing written, `named` in the message.
#[track_caller]
fn refused(place: &Workplace, bundle: &str, named: &str) -> String {
    let run = place.xreport(&format!("generate data/images --model {bundle} --out drafts/out.csv")).expect_code(2);
    assert!(run.stdout.is_empty() && run.stderr.contains(named), "`{named}` expected\n{run}");
    assert!(run.stderr.contains("hint: "), "{run}");
    assert!(!place.has("drafts"), "nothing is written");
    place.xreport(&format!("verify {bundle}")).expect_code(2);
    run.stderr
}

#[test]
fn the_program_refuses_a_damaged_longer_shorter_or_missing_file() {
    let place = with_model();
    for file in place.files("model") {
        let path = place.path("model").join(&file);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 3] ^= 4;
        for bytes in [&changed[..], &whole[..whole.len() - 1], &[&whole[..], b"\n"].concat(), b""] {
            fs::write(&path, bytes).unwrap();
            refused(&place, "model", &file);
        }
        fs::remove_file(&path).unwrap();
        refused(&place, "model", &file);
        fs::create_dir(&path).unwrap();
        refused(&place, "model", &file);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, whole).unwrap();
    }
    place.xreport("generate data/images --model model --out drafts/out.csv").expect_code(0);
}

/// Changes a manifest and gives it the hash that its new content asks for, as a forger would.
fn reseal(bundle: &Path, change: impl FnOnce(&mut Value)) {
    let path = bundle.join("bundle.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    let zeros = "0".repeat(64);
    manifest["manifest_sha256"] = json!(zeros);
    let blank = serde_json::to_string_pretty(&manifest).unwrap() + "\n";
    fs::write(&path, blank.replace(&zeros, &sha256_hex(blank.as_bytes()))).unwrap();
}

/// Enters a file as it now is into a manifest's list.
fn record(bundle: &Path, manifest: &mut Value, file: &str) {
    let bytes = fs::read(bundle.join(file)).unwrap();
    manifest["files"][file] = json!({"bytes": bytes.len(), "sha256": sha256_hex(&bytes)});
}

#[test]
fn resealing_alone_breaks_nothing() {
    // Else the tests below would see refusals for another reason than they think.
    let place = with_model();
    reseal(&place.path("model"), |manifest| manifest["name"] = json!("renamed"));
    let info = place.xreport("info model").expect_code(0);
    assert!(info.stdout.contains("renamed"), "{info}");
    place.xreport("verify model").expect_code(0);
}

#[test]
fn a_graph_of_another_bundle_is_refused_even_where_its_hash_is_entered() {
    let place = with_model();
    let vocabulary = trained().place.json("checkpoint/bundle/bundle.json")["architecture"]["vocabulary"].clone();
    let settings = trained().place.path("settings.json");
    fs::copy(settings, place.path("settings.json")).unwrap();
    place
        .train(&format!("init --settings settings.json --set training.SEED=9 --vocabulary {vocabulary} --out other"))
        .expect_code(0);
    for file in ["encoder.onnx", "decoder.onnx", "decoder-cuda.onnx", "evidence.onnx"] {
        copy(&trained().bundle(), &place.path("mixed"));
        let mixed = place.path("mixed");
        fs::copy(place.path("other/bundle").join(file), mixed.join(file)).unwrap();
        let said = refused(&place, "mixed", file);
        assert!(said.contains("SHA-256 expected") || said.contains("bytes expected"), "{said}");
        reseal(&mixed, |manifest| record(&mixed, manifest, file));
        let said = refused(&place, "mixed", file);
        assert!(said.contains("bundle id expected"), "{said}");
    }
}

#[test]
fn a_newer_format_is_refused_with_the_remedy() {
    let place = with_model();
    let text = place.read("model/bundle.json");
    // A newer program would seal it; a layout that is not even known must not matter.
    reseal(&place.path("model"), |manifest| manifest["format_version"] = json!(4));
    let said = refused(&place, "model", "bundle.json");
    assert!(said.contains("format version 4, this program reads up to 3") && said.contains("update xreport"), "{said}");
    place.write("model/bundle.json", r#"{"format_version": 9, "all": "else is different"}"#);
    let said = refused(&place, "model", "bundle.json");
    assert!(said.contains("format version 9"), "{said}");
    place.write("model/bundle.json", text.replacen("\"format_version\": 3,", "", 1));
    let said = refused(&place, "model", "bundle.json");
    assert!(said.contains("no `format_version`"), "{said}");
}

#[test]
fn a_path_out_of_the_folder_is_refused() {
    let place = with_model();
    place.write("secret", "not part of the bundle");
    let bundle = place.path("model");
    let absolute = place.path("secret").display().to_string();
    let names = ["../secret", "..", ".", "", "a/b", "a\\b", "./weights.bin", "C:secret", "weights.bin/", &absolute];
    for name in names {
        fs::remove_dir_all(&bundle).unwrap();
        copy(&trained().bundle(), &bundle);
        reseal(&bundle, |manifest| {
            let hash = sha256_hex(b"not part of the bundle");
            manifest["files"][name] = json!({"bytes": 22, "sha256": hash});
        });
        let said = refused(&place, "model", "bundle.json");
        assert!(said.contains(&format!("names the file `{name}`")), "{said}");
    }
    // A graph's file is one of the files.
    for name in ["../encoder.onnx", "unknown.onnx"] {
        fs::remove_dir_all(&bundle).unwrap();
        copy(&trained().bundle(), &bundle);
        fs::copy(bundle.join("encoder.onnx"), place.path("encoder.onnx")).unwrap();
        reseal(&bundle, |manifest| manifest["variants"][0]["encoder"] = json!(name));
        refused(&place, "model", name);
    }
}

#[test]
fn weights_that_the_manifest_does_not_name_are_refused() {
    let place = with_model();
    let bundle = place.path("model");
    fs::copy(bundle.join("weights.bin"), bundle.join("weights.bix")).unwrap();
    let graph = fs::read(bundle.join("decoder.onnx")).unwrap();
    let (mut renamed, mut at) = (graph.clone(), 0);
    while let Some(found) = renamed[at..].windows(11).position(|window| window == b"weights.bin") {
        at += found + 11;
        renamed[at - 1] = b'x';
    }
    assert_ne!(renamed, graph, "the graph names its weights");
    fs::write(bundle.join("decoder.onnx"), renamed).unwrap();
    reseal(&bundle, |manifest| record(&bundle, manifest, "decoder.onnx"));
    let said = refused(&place, "model", "decoder.onnx");
    assert!(said.contains("reads weights from `weights.bix`"), "{said}");
}

#[test]
fn a_manifest_that_contradicts_its_graphs_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("encoder.onnx", |manifest| manifest["architecture"]["image_height"] = json!(64)),
        ("decoder.onnx", |manifest| manifest["graphs"]["decoder.onnx"]["inputs"][0]["name"] = json!("ids")),
        ("bundle.json", |manifest| manifest["vocabulary"] = json!({"mode": "full", "size": 30522})),
        ("bundle.json", |manifest| manifest["unheard_of"] = json!(1)),
    ];
    for (named, change) in changes {
        let place = with_model();
        reseal(&place.path("model"), change);
        refused(&place, "model", named);
    }
}

/// No bundle at all.
#[test]
fn an_empty_folder_is_no_bundle() {
    let place = with_model();
    fs::create_dir(place.path("empty")).unwrap();
    let said = refused(&place, "empty", "no bundle at `empty`");
    assert!(said.contains("name a bundle folder or a checkpoint folder"), "{said}");
}
