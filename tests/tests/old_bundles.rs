//! Bundles of every format version that was ever written still load and run.

use std::fs;
use std::process::Command;

use xreport_models::bundle::{Bundle, FORMAT_VERSION};
use xreport_tests::{Run, command, root};

#[test]
fn every_format_version_is_still_read() {
    for version in 1..=FORMAT_VERSION {
        let folder = root().join(format!("tests/bundles/v{version}"));
        let bundle = Bundle::load(&folder).unwrap_or_else(|error| panic!("format version {version}: {error}"));
        assert_eq!(bundle.manifest().format_version, version, "{}", folder.display());
        let verified = Run::of(command("xreport").arg("verify").arg(&folder)).expect_code(0);
        assert!(verified.stdout.contains("runs on this machine"), "{verified}");
    }
}

#[test]
fn the_shipped_demo_bundle_is_whole_small_and_says_what_it_is() {
    let folder = root().join("models/demo");
    let bundle = Bundle::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(bundle.manifest().notice.contains("phantoms"), "{}", bundle.manifest().notice);
    let bytes: u64 = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").metadata().expect("its size").len())
        .sum();
    assert!(bytes <= 6_000_000, "{bytes} bytes");
    let card = fs::read_to_string(folder.join("MODEL_CARD.md")).expect("a card");
    assert!(card.contains("drawings") && card.contains("draft, not for diagnostic use"), "{card}");
}

/// As after a clone, without any training.
#[test]
fn the_shipped_demo_bundle_drafts_phantoms() {
    let phantoms = tempfile::tempdir().expect("a temporary folder");
    let drawn = ["dataset", "phantoms", "--samples", "2", "--seed", "5", "--out"];
    let set = phantoms.path().join("set");
    let _ = Run::of(command("xreport-train").args(drawn).arg(&set)).expect_code(0);
    let out = phantoms.path().join("reports.csv");
    let mut generate: Command = command("xreport");
    generate.current_dir(phantoms.path()).arg("generate").arg(set.join("images")).arg("--out").arg(&out);
    generate.arg("--model").arg(root().join("models/demo"));
    let run = Run::of(&mut generate).expect_code(0);
    let rows = fs::read_to_string(&out).expect("the rows");
    assert!(rows.contains("Impression:") && rows.contains("trained on drawings"), "{run}\n{rows}");
}
