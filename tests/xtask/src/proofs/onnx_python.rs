//! The bundle's graphs in Python's hands: its checker accepts them, its ONNX Runtime says the same tokens.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::checkpoints::demo_or_quick;
use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::words::Words;
use crate::workspace::Workspace;

/// The proof: `[--images N] [--python PATH]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("onnx-python", arguments, &["--images", "--python"], &[])?;
    let images = words.number("--images", 64usize)?;
    let python = programs::python(workspace, words.python()?.as_deref())?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "onnx-python")?;
    let bundle = demo_or_quick(workspace, &programs, &folder)?.join("bundle");

    // Drawn at the model's own size: preprocessing then changes nothing.
    let size = image_size(&fs::read_to_string(bundle.join("bundle.json")).context("the bundle's manifest")?)?;
    let draw = format!("dataset phantoms --out phantoms --samples {images} --seed 3 --size {size}");
    output(&mut programs.command("xreport-train", &folder, &draw)?)?;
    let draft = "generate phantoms/images --token-ids --format jsonl --device cpu --out rows.jsonl --model";
    output(programs.command("xreport", &folder, draft)?.arg(&bundle))?;

    let mut check = Command::new(python);
    check.arg(workspace.path("tests/python/check_bundle.py")).arg(&bundle).args(["phantoms/images", "rows.jsonl"]);
    let checked = check.current_dir(&folder).output().context("Python cannot be started")?;
    fs::write(folder.join("report.json"), &checked.stdout).context("the report cannot be written")?;
    let report: Value = serde_json::from_slice(&checked.stdout)
        .with_context(|| format!("the check failed\n{}", String::from_utf8_lossy(&checked.stderr).trim()))?;
    let mut figures = Figures::default();
    tell(&report, images, &mut figures)?;
    println!("   all of it: {}", folder.join("report.json").display());
    Ok(figures.conclude() && report["holds"] == true && checked.status.success())
}

/// Width and height that the manifest states; phantoms are square.
fn image_size(manifest: &str) -> Result<u64> {
    let manifest: Value = serde_json::from_str(manifest)?;
    let side = |axis: &str| manifest["preprocessing"][axis].as_u64().context("the manifest states no image size");
    let (width, height) = (side("width")?, side("height")?);
    ensure!(width == height && width >= 64, "a square model of 64 pixels or more expected, found {width}x{height}");
    Ok(width)
}

fn tell(report: &Value, images: usize, figures: &mut Figures) -> Result<()> {
    figures.inform("Python's onnx", report["versions"]["onnx"].as_str().unwrap_or("?"));
    figures.inform("Python's onnxruntime", report["versions"]["onnxruntime"].as_str().unwrap_or("?"));
    for (name, refusal) in report["graphs"].as_object().context("the report names no graphs")? {
        let found = refusal.as_str().map_or("accepted", |_| "refused");
        figures.target(&format!("check_model(full_check=True) on {name}"), found, "accepted", refusal.is_null());
    }
    for (name, variant) in report["variants"].as_object().context("the report names no variants")? {
        let count = |key: &str| variant[key].as_u64().unwrap_or(0);
        let ties = count("ties");
        let found = format!("{} of {} ({} tokens, {ties} at a tie)", count("equal"), count("images"), count("tokens"));
        let met = count("images") == images as u64 && count("equal") + ties == images as u64;
        figures.target(&format!("{name}: texts with the same token ids"), found, "all", met);
    }
    let distinct = report["distinct_texts"].as_u64().unwrap_or(0);
    figures.target("different texts among them", distinct.to_string(), "more than one", distinct > 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(equal: u64) -> Value {
        serde_json::json!({
            "graphs": {"encoder.onnx": null}, "versions": {"onnx": "1"}, "distinct_texts": 9,
            "variants": {"fp32-cpu": {"images": 64, "tokens": 900, "equal": equal, "ties": 0}},
        })
    }

    #[test]
    fn one_different_text_fails() {
        for (equal, holds) in [(64, true), (63, false)] {
            let mut figures = Figures::default();
            tell(&report(equal), 64, &mut figures).expect("complete");
            assert_eq!(figures.conclude(), holds, "{equal}");
        }
    }

    #[test]
    fn a_refused_graph_fails() {
        let mut refused = report(64);
        refused["graphs"]["encoder.onnx"] = "no such operator".into();
        let mut figures = Figures::default();
        tell(&refused, 64, &mut figures).expect("complete");
        assert!(!figures.conclude());
    }

    #[test]
    fn the_size_is_the_preprocessings() {
        assert_eq!(image_size(r#"{"preprocessing": {"width": 128, "height": 128}}"#).expect("square"), 128);
        assert!(image_size(r#"{"preprocessing": {"width": 128, "height": 64}}"#).is_err());
        assert!(image_size("{}").is_err());
    }
}
