//! The model card that every bundle carries.

use std::fmt::Write;

use xreport_models::bundle::Manifest;

/// Markdown text of the card; `notes` close it.
pub fn model_card(manifest: &Manifest, notes: Option<&str>) -> String {
    let arch = &manifest.architecture;
    let provenance = &manifest.provenance;
    let mut card = String::new();
    let mut line = |text: String| writeln!(card, "{text}").expect("writing to a string does not fail");
    line(format!("# Model card: {}\n", manifest.name));
    line(format!(
        "**{}.** A text that this model writes is a draft for a physician who reads the image; it is no",
        manifest.notice
    ));
    line("finding, and it must not be used for diagnosis or treatment.\n".into());
    line("## What it is\n".into());
    line(format!(
        "A convolutional image encoder with pooling ({} blocks), {} transformer encoders and {} transformer decoders, {}",
        arch.conv_channels.len(),
        arch.encoders,
        arch.decoders,
        "with cross-attention to the image."
    ));
    line(format!(
        "{} parameters; image {} x {} pixels, {} channel(s); vocabulary {} WordPiece tokens; reports up to {} tokens.\n",
        arch.parameters,
        arch.image_width,
        arch.image_height,
        arch.image_channels,
        arch.vocabulary,
        manifest.decoding.max_tokens
    ));
    line("## Where it comes from\n".into());
    line(format!("Exported by {} after {} training steps.", provenance.exported_by, provenance.step));
    line(format!("Fingerprint of the training data: `{}`.\n", provenance.data_fingerprint));
    line("Settings of the training:\n\n```json".into());
    line(pretty(&provenance.settings));
    line("```\n".into());
    if manifest.variants.iter().any(|variant| variant.agreement.is_some()) {
        line(variants(manifest));
    }
    line("## Measures\n\n```json".into());
    line(pretty(&provenance.metrics));
    line("```\n\n## Limits\n".into());
    line(
        "It knows only what its training reports said, in their words. It does not know the patient's history, earlier"
            .into(),
    );
    line(
        "images or other views, and it states what it is unsure of in the same tone as what it is sure of: the mean"
            .into(),
    );
    line("log-probability beside each draft is a hint, not a guarantee.".into());
    if let Some(notes) = notes {
        line(format!("\n{}", notes.trim()));
    }
    card
}

/// How closely each variant agrees with the trained network.
fn variants(manifest: &Manifest) -> String {
    let mut text = String::from(
        "## Variants\n\nCompared with libtorch in double precision when this bundle was written, on the CPU.\n\n\
         | variant | same most probable token | same greedy text |\n|---|---|---|\n",
    );
    for variant in &manifest.variants {
        let Some(found) = variant.agreement else { continue };
        writeln!(
            text,
            "| {} | {:.2} % of {} | {} of {} |",
            variant.name,
            found.token_agreement * 100.0,
            found.tokens,
            found.equal_texts,
            found.texts
        )
        .expect("writing to a string does not fail");
    }
    text
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written")
}
