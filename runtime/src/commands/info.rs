//! `xreport info`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use xreport_models::bundle::{Bundle, Manifest};
use xreport_runtime::console;

/// Say what a bundle is.
#[derive(Debug, Args)]
pub struct Info {
    /// Bundle folder or checkpoint folder
    bundle: PathBuf,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Info {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let bundle = Bundle::load(&self.bundle)?;
        let manifest = bundle.manifest();
        if self.json {
            console::print(serde_json::to_string_pretty(manifest)?)?;
        } else {
            console::print(described(manifest))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn described(manifest: &Manifest) -> String {
    let arch = &manifest.architecture;
    let channels: Vec<String> = arch.conv_channels.iter().map(ToString::to_string).collect();
    let variants: Vec<&str> = manifest.variants.iter().map(|variant| variant.name.as_str()).collect();
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    let rows = [
        ("name", manifest.name.clone()),
        ("id", manifest.id.clone()),
        ("notice", manifest.notice.clone()),
        (
            "image",
            format!(
                "{}x{}, {} channel(s), {} image tokens",
                arch.image_width, arch.image_height, arch.image_channels, arch.image_tokens
            ),
        ),
        (
            "network",
            format!(
                "convolutions {}, {} encoders, {} decoders, width {}, {} heads of {}, feed-forward {}",
                channels.join("-"),
                arch.encoders,
                arch.decoders,
                arch.embedding_dims,
                arch.heads,
                arch.head_dims,
                arch.ffn_dims
            ),
        ),
        ("parameters", arch.parameters.to_string()),
        ("vocabulary", format!("{} tokens", arch.vocabulary)),
        ("longest report", format!("{} tokens", manifest.decoding.max_tokens)),
        ("variants", variants.join(", ")),
        ("evidence", if manifest.evidence.is_some() { "says where it looked" } else { "none" }.to_owned()),
        ("size", format!("{:.1} MB in {} files", bytes as f64 / 1e6, manifest.files.len())),
        ("training steps", manifest.provenance.step.to_string()),
        ("exported by", manifest.provenance.exported_by.clone()),
        ("metrics", manifest.provenance.metrics.to_string()),
    ];
    let lines: Vec<String> = rows.iter().map(|(label, value)| format!("{label:<15} {value}")).collect();
    lines.join("\n")
}
