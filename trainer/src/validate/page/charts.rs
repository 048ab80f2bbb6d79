//! The sections with charts.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::Validation;
use super::super::findings::percent;
use super::super::texts::Lengths;
use super::note;
use crate::plots::chart::{Chart, Frame, Ink, histogram};
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// Bars of a distribution.
const BARS: usize = 48;
/// Different sizes that are drawn as they are; more are gathered.
const SIZES: usize = 400;
/// Pixels to which they are gathered.
const GATHERED: u32 = 32;

fn plot(title: &str, svg: &str, small: &str) -> String {
    let small = if small.is_empty() { String::new() } else { format!("<p class=\"small\">{}</p>", escape(small)) };
    format!("<div class=\"plot\"><h3>{}</h3>{svg}{small}</div>\n", escape(title))
}

fn largest(bins: &[f64]) -> f64 {
    bins.iter().copied().fold(0.0, f64::max)
}

/// How long the reports are.
pub fn length(validation: &Validation) -> String {
    let texts = &validation.texts;
    let limit = texts.max_report_size;
    let mut html = format!(
        "<div class=\"plots\">\n{}{}</div>\n",
        distribution("In words", "words", &texts.words, None),
        distribution("In tokens", "tokens, [CLS] and [SEP] included", &texts.tokens, Some(limit))
    );
    let row = |name: &str, of: &Lengths| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            of.least, of.median, of.mean, of.p95, of.p99, of.most
        )
    };
    let _ = write!(
        html,
        "<div class=\"frame\" tabindex=\"0\">\n<table>\n<thead><tr><td></td><th scope=\"col\">Shortest</th><th scope=\"col\">Median</th>\
         <th scope=\"col\">Mean</th><th scope=\"col\">95 % are at most</th><th scope=\"col\">99 % are at most</th>\
         <th scope=\"col\">Longest</th></tr></thead>\n<tbody>\n{}{}</tbody>\n</table>\n</div>\n",
        row("Words", &texts.words),
        row("Tokens", &texts.tokens)
    );
    if texts.cut_reports > 0 {
        html.push_str(&note(&format!(
            "With MAX_REPORT_SIZE = {limit}, {} tokens are cut off in {} reports. {} would hold 99 % of the reports, {} all of them.",
            grouped(texts.cut_tokens),
            grouped(texts.cut_reports as u64),
            texts.tokens.p99,
            texts.tokens.most
        )));
    }
    html
}

fn distribution(title: &str, unit: &str, lengths: &Lengths, limit: Option<usize>) -> String {
    let all: Vec<u32> = lengths.all.iter().map(|&(_, length)| length).collect();
    // A few endless reports must not press the others flat.
    let end = lengths.most.min(2 * lengths.p95);
    let end = end.max(limit.map_or(0, |limit| limit as u32 + limit as u32 / 10));
    let beyond = all.iter().filter(|&&length| length > end).count();
    let (bins, end) = histogram(&all, end, BARS);
    let frame = Frame {
        title,
        description: &format!("median {}, longest {}", lengths.median, lengths.most),
        x_label: unit,
        y_label: "share of reports",
        x: (0.0, end),
        y_most: largest(&bins),
        percent: true,
    };
    let mut chart = Chart::new(frame).area(&bins, Ink::Training, "");
    if let Some(limit) = limit {
        chart = chart.limit(limit as f64, "MAX_REPORT_SIZE");
    }
    let small = if beyond > 0 { format!("{beyond} longer reports lie beyond the right edge.") } else { String::new() };
    plot(title, &chart.finish(), &small)
}

/// How the vocabulary grows.
pub fn vocabulary(validation: &Validation) -> String {
    let facts = &validation.texts.vocabulary;
    let points: Vec<(f64, f64)> =
        facts.growth.iter().map(|&(reports, tokens)| (reports as f64, tokens as f64)).collect();
    let last = points.last().copied().unwrap_or((1.0, 1.0));
    let chart = Chart::new(Frame {
        title: "Growth of the vocabulary",
        description: &format!("{} different tokens after {} reports", last.1, last.0),
        x_label: "reports read, in random order",
        y_label: "different tokens met",
        x: (0.0, last.0),
        y_most: last.1,
        percent: false,
    })
    .line(&points, Ink::Training, "")
    .finish();
    let small = format!(
        "A curve that still climbs says that more reports would bring more words. Over the last tenth of the reports: {} new tokens per 1,000.",
        grouped(facts.new_per_thousand.round() as u64)
    );
    let unseen = facts.unseen_in_training.map_or_else(|| "–".to_owned(), percent);
    let rows = [
        ("Tokens in all", grouped(facts.tokens)),
        ("Different tokens", grouped(facts.distinct_tokens as u64)),
        ("… in the training reports", grouped(facts.distinct_in_training as u64)),
        ("Unknown to the tokenizer, [UNK]", percent(facts.unknown_to_tokenizer)),
        ("Validation tokens that no training report has", unseen),
        ("Validation reports with such a token", grouped(facts.reports_with_unseen as u64)),
    ];
    let rows: String =
        rows.iter().map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n")).collect();
    format!(
        "<div class=\"plots\">\n{}<div class=\"frame\" tabindex=\"0\"><table>\n<tbody>\n{rows}</tbody>\n</table></div>\n</div>\n",
        plot("Growth of the vocabulary", &chart, &small)
    )
}

/// Sizes of the images, and their files.
pub fn sizes(validation: &Validation) -> String {
    let shapes = &validation.shapes;
    if shapes.sizes.is_empty() {
        return String::new();
    }
    let step = if shapes.sizes.len() > SIZES { GATHERED } else { 1 };
    let mut gathered: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for &(width, height, images) in &shapes.sizes {
        *gathered.entry((width / step * step, height / step * step)).or_default() += images;
    }
    let most = gathered.values().copied().max().unwrap_or(1) as f64;
    let points: Vec<(f64, f64, f64)> = gathered
        .iter()
        .map(|(&(width, height), &images)| (f64::from(width), f64::from(height), images as f64))
        .collect();
    let [input_height, input_width] = shapes.input.map(|side| side as f64);
    let chart = Chart::new(Frame {
        title: "Sizes",
        description: &format!("{} to {} pixels wide", shapes.width[0], shapes.width[1]),
        x_label: "width in pixels",
        y_label: "height in pixels",
        x: (0.0, f64::from(shapes.width[1]).max(input_width) * 1.08),
        y_most: f64::from(shapes.height[1]).max(input_height) * 1.04,
        percent: false,
    })
    .boundary(&[(0.0, input_height), (input_width, input_height), (input_width, 0.0)])
    .dots(&points, most, Ink::Training)
    .finish();
    let kinds: String = shapes
        .files
        .iter()
        .map(|kind| {
            let bits = kind.bits.map_or_else(|| "–".to_owned(), |bits| format!("{bits} bits"));
            let colour = if kind.colour { "colour" } else { "grey" };
            format!(
                "<tr><th scope=\"row\">{}</th><td>{bits}</td><td>{colour}</td><td>{}</td></tr>\n",
                kind.format,
                grouped(kind.images as u64)
            )
        })
        .collect();
    let oddities = [
        ("Smaller than the model's input", shapes.enlarged),
        ("Twice as long as wide, or more", shapes.elongated),
        ("Fewer than 64 grey levels", shapes.few_levels),
        ("Deeper than 8 bits, but no more than 256 grey levels", shapes.empty_depth),
    ];
    let oddities: String = oddities
        .iter()
        .map(|(name, count)| {
            format!("<tr><th scope=\"row\" colspan=\"3\">{name}</th><td>{}</td></tr>\n", grouped(*count as u64))
        })
        .collect();
    format!(
        "<div class=\"plots\">\n{}<div class=\"frame\" tabindex=\"0\"><table>\n<thead><tr><td></td><th scope=\"col\">Depth</th>\
         <th scope=\"col\">Kind</th><th scope=\"col\">Images</th></tr></thead>\n<tbody>\n{kinds}{oddities}</tbody>\n</table></div>\n</div>\n",
        plot(
            "Sizes",
            &chart,
            &format!("The larger a dot, the more images. Dashed: the model's input, {input_width} × {input_height}.")
        )
    )
}

/// Grey values of both sides.
pub fn grey(validation: &Validation) -> String {
    let intensity = &validation.intensity;
    let most = largest(&intensity.training).max(largest(&intensity.validation));
    // Black borders may hold half of all pixels: the rest must stay visible.
    let inner = |bins: &[f64]| bins.get(1..bins.len().saturating_sub(1)).map_or(0.0, largest);
    let inside = inner(&intensity.training).max(inner(&intensity.validation));
    let shown = if most > 2.5 * inside && inside > 0.0 { 1.6 * inside } else { most };
    let mut chart = Chart::new(Frame {
        title: "Grey values",
        description: "share of pixels from black to white",
        x_label: "grey value, 0 black to 255 white",
        y_label: "share of pixels",
        x: (0.0, 256.0),
        y_most: shown,
        percent: true,
    })
    .area(&intensity.training, Ink::Training, "training");
    if !intensity.validation.is_empty() {
        chart = chart.area(&intensity.validation, Ink::Validation, "validation");
    }
    let small = if shown < most {
        format!("Bars at the edge are cut: {} of the pixels are black or white there.", percent(most))
    } else {
        String::new()
    };
    let distance = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    format!(
        "<div class=\"plots\">\n{}<div class=\"frame\" tabindex=\"0\"><table>\n<tbody>\n\
         <tr><th scope=\"row\">Distance of the two<small>Wasserstein-1, in grey values of 255: how far a pixel has to move on average</small></th><td>{}</td></tr>\n\
         <tr><th scope=\"row\">What chance would give<small>95 of 100 random splits by patient are at most this far apart</small></th><td>{}</td></tr>\n\
         </tbody>\n</table></div>\n</div>\n",
        plot("Grey values of all pixels, each image counting alike", &chart.finish(), &small),
        distance(intensity.distance),
        distance(intensity.distance_by_chance)
    )
}
