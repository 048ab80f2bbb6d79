//! The network as boxes and arrows: image encoder on the left, report decoder on the right.

use super::numbers::{grouped, short_count};
use super::svg::{Anchor, HAIRLINE, INK, MUTED, Sheet, TextStyle};

const WIDTH: f64 = 1040.0;
const BOX_WIDTH: f64 = 408.0;
const MARGIN: f64 = 32.0;
/// Where the first box of a column begins.
const TOP: f64 = 124.0;
/// Between two boxes: the arrow, with the shape that passes along it.
const GAP: f64 = 34.0;
const PLAIN_HEIGHT: f64 = 52.0;
/// A box whose parts are drawn in it.
const PARTS_HEIGHT: f64 = 86.0;
const ARROW: &str = "#94a3b8";
const MEMORY: &str = "#0f766e";

/// The part whose arrow comes from the encoder.
const CROSS_ATTENTION: &str = "cross-attention";

/// One layer of the network, as it is drawn. Layers come in the order in which data passes
/// through them, within each column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBox {
    /// The column.
    pub column: Column,
    /// What the layer is; chooses the colour.
    pub role: LayerRole,
    /// The name, such as `encoder 1`.
    pub name: String,
    /// How it is set up, in a few words, such as `8 heads of 32 · FFN 1024`.
    pub detail: String,
    /// Parts drawn inside the box from left to right, such as `self-attention`,
    /// `cross-attention`, `feed-forward`; may be empty. A part called `cross-attention` gets an
    /// arrow from the last layer of the encoder column.
    pub parts: Vec<String>,
    /// The shape that leaves it, such as `(B, 196, 256)`.
    pub output_shape: String,
    /// Trainable values; weights that are shared with an earlier box count there alone.
    pub parameters: u64,
}

/// The two columns of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Left: from the image to the memory that the decoder reads.
    Encoder,
    /// Right: from the tokens so far to the logits of the next one.
    Decoder,
}

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerRole {
    /// An input: no weights.
    Input,
    /// Convolution, batch norm, activation, pooling.
    Convolution,
    /// Embeddings, positions and projections.
    Embedding,
    /// A transformer layer.
    Transformer,
    /// What makes the logits.
    Head,
}

impl LayerRole {
    fn colour(self) -> &'static str {
        match self {
            Self::Input => "#64748b",
            Self::Convolution => "#0369a1",
            Self::Embedding => "#7c3aed",
            Self::Transformer => "#1d4ed8",
            Self::Head => "#b45309",
        }
    }

    fn tint(self) -> &'static str {
        match self {
            Self::Input => "#f8fafc",
            Self::Convolution => "#f0f9ff",
            Self::Embedding => "#f7f4ff",
            Self::Transformer => "#f1f5ff",
            Self::Head => "#fff8ed",
        }
    }
}

impl LayerBox {
    fn height(&self) -> f64 {
        if self.parts.is_empty() { PLAIN_HEIGHT } else { PARTS_HEIGHT }
    }
}

/// Draws the network as SVG, 1040 pixels wide and as high as it has layers. The title names the
/// number of all parameters, each box its own.
pub fn architecture(layers: &[LayerBox]) -> String {
    let total: u64 = layers.iter().map(|layer| layer.parameters).sum();
    let encoder = column(layers, Column::Encoder);
    let decoder = column(layers, Column::Decoder);
    let height = (bottom(&encoder) - GAP).max(bottom(&decoder)) + MARGIN;
    let mut sheet = Sheet::card(WIDTH, height);

    let title = format!("{} parameters", grouped(total));
    let heading = TextStyle::new(19.0, INK).weight(650);
    sheet.text(MARGIN, 44.0, heading, &title);
    let note = "The shape beside an arrow is what passes along it (B images, T tokens). Beside each name: trainable values and their share.";
    sheet.text(MARGIN, 66.0, TextStyle::new(12.5, MUTED), note);

    let left = MARGIN;
    let right = WIDTH - MARGIN - BOX_WIDTH;
    draw_column(&mut sheet, left, "Image encoder", &encoder, total);
    draw_column(&mut sheet, right, "Report decoder", &decoder, total);
    draw_memory(&mut sheet, left + BOX_WIDTH, right, &encoder, &decoder);

    let description = layers
        .iter()
        .map(|l| format!("{} {} ({})", l.name, l.output_shape, grouped(l.parameters)))
        .collect::<Vec<_>>()
        .join(", ");
    sheet.finish(&format!("Network with {title}"), &description)
}

/// The layers of one column, each with the y of its upper edge.
fn column(layers: &[LayerBox], column: Column) -> Vec<(f64, &LayerBox)> {
    let mut top = TOP;
    let mut placed = Vec::new();
    for layer in layers.iter().filter(|layer| layer.column == column) {
        placed.push((top, layer));
        top += layer.height() + GAP;
    }
    placed
}

/// The lower end of the arrow that leaves the last box.
fn bottom(placed: &[(f64, &LayerBox)]) -> f64 {
    placed.last().map_or(TOP, |(top, layer)| top + layer.height() + GAP)
}

fn draw_column(sheet: &mut Sheet, left: f64, name: &str, placed: &[(f64, &LayerBox)], total: u64) {
    let parameters: u64 = placed.iter().map(|(_, layer)| layer.parameters).sum();
    let style = TextStyle::new(13.5, INK).weight(650);
    sheet.text(left, TOP - 16.0, style, name);
    let style = TextStyle::new(12.0, MUTED).anchor(Anchor::End);
    let text = with_share(parameters, total);
    sheet.text(left + BOX_WIDTH, TOP - 16.0, style, &text);
    for (at, (top, layer)) in placed.iter().enumerate() {
        draw_box(sheet, (left, *top), layer, total);
        let from = top + layer.height();
        let middle = left + BOX_WIDTH / 2.0;
        let last_of_encoder = layer.column == Column::Encoder && at + 1 == placed.len();
        if !last_of_encoder {
            arrow_down(sheet, middle, from + 3.0, from + GAP - 4.0);
            let style = TextStyle::new(11.5, MUTED).mono();
            let room = BOX_WIDTH / 2.0 - 16.0;
            let shape = style.fit(&layer.output_shape, room);
            sheet.text(middle + 14.0, from + GAP / 2.0 + 4.0, style, &shape);
        }
    }
}

fn draw_box(sheet: &mut Sheet, (left, top): (f64, f64), layer: &LayerBox, total: u64) {
    let (height, colour) = (layer.height(), layer.role.colour());
    sheet.tag(&format!(
        r#"rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{height}" rx="9" fill="{}" stroke="{HAIRLINE}""#,
        layer.role.tint()
    ));
    sheet.tag(&format!(
        r#"rect x="{}" y="{}" width="4" height="{}" rx="2" fill="{colour}""#,
        left + 8.0,
        top + 10.0,
        height - 20.0
    ));
    let text = left + 22.0;
    let parameters = if layer.parameters == 0 { String::new() } else { with_share(layer.parameters, total) };
    let count = TextStyle::new(12.0, MUTED).anchor(Anchor::End);
    sheet.text(left + BOX_WIDTH - 14.0, top + 22.0, count, &parameters);
    let name = TextStyle::new(13.5, INK).weight(600);
    let room = BOX_WIDTH - 52.0 - count.width(&parameters);
    sheet.text(text, top + 22.0, name, &name.fit(&layer.name, room));
    let detail = TextStyle::new(12.0, MUTED);
    let fitted = detail.fit(&layer.detail, BOX_WIDTH - 36.0);
    sheet.text(text, top + 40.0, detail, &fitted);
    for (part, (x, width)) in layer.parts.iter().zip(part_places(layer.parts.len())) {
        let (x, y) = (left + x, top + 52.0);
        let stroke = if part == CROSS_ATTENTION { MEMORY } else { "#cbd5e1" };
        sheet.tag(&format!(
            r##"rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="24" rx="6" fill="#ffffff" stroke="{stroke}""##
        ));
        let style = TextStyle::new(11.5, INK).anchor(Anchor::Middle);
        let fitted = style.fit(part, width - 8.0);
        sheet.text(x + width / 2.0, y + 16.0, style, &fitted);
    }
}

/// Where the parts of a box lie: (x from the left edge of the box, width).
fn part_places(parts: usize) -> impl Iterator<Item = (f64, f64)> {
    let space = 8.0;
    let room = BOX_WIDTH - 22.0 - 14.0;
    let width = (room - space * (parts as f64 - 1.0)) / parts as f64;
    (0..parts).map(move |at| (22.0 + at as f64 * (width + space), width))
}

/// The line from the last encoder layer to every cross-attention: out of the box to the right, up
/// or down between the columns, and into each decoder layer from below its part.
fn draw_memory(sheet: &mut Sheet, from_x: f64, to_x: f64, encoder: &[(f64, &LayerBox)], decoder: &[(f64, &LayerBox)]) {
    let Some((top, source)) = encoder.last() else {
        return;
    };
    let targets: Vec<(f64, f64)> = decoder
        .iter()
        .filter_map(|(top, layer)| {
            let at = layer.parts.iter().position(|part| part == CROSS_ATTENTION)?;
            let (x, width) = part_places(layer.parts.len()).nth(at)?;
            // Off its middle, where the arrow to the next layer begins.
            Some((to_x + x + width.min(48.0) / 2.0, top + layer.height()))
        })
        .collect();
    if targets.is_empty() {
        return;
    }
    let start = top + source.height() / 2.0;
    let bus = f64::midpoint(from_x, to_x);
    let mut ys: Vec<f64> = targets.iter().map(|(_, y)| y + 13.0).collect();
    ys.push(start);
    let high = ys.iter().copied().fold(f64::INFINITY, f64::min);
    let low = ys.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    sheet.line((from_x + 3.0, start), (bus, start), MEMORY, 1.75);
    sheet.tag(&format!(
        r#"path d="M{bus:.1} {high:.1}V{low:.1}" stroke="{MEMORY}" stroke-width="1.75" stroke-linecap="round""#
    ));
    sheet.dot((bus, start), 2.0, MEMORY, MEMORY);
    for (x, bottom) in targets {
        let y = bottom + 13.0;
        // Into the part from below, through the lower padding of its box.
        let end = bottom - 9.0;
        sheet.tag(&format!(
            r#"path d="M{bus:.1} {y:.1}H{:.1}Q{x:.1} {y:.1} {x:.1} {:.1}V{:.1}" fill="none" stroke="{MEMORY}" stroke-width="1.75" stroke-linecap="round""#,
            x - 8.0,
            y - 8.0,
            end + 6.0
        ));
        head_up(sheet, x, end, MEMORY);
    }
    let style = TextStyle::new(11.5, MEMORY).weight(600);
    sheet.text(from_x + 10.0, start - 8.0, style, "memory");
    let style = TextStyle::new(11.5, MUTED).mono();
    let shape = style.fit(&source.output_shape, to_x - from_x - 20.0);
    sheet.text(from_x + 10.0, start + 17.0, style, &shape);
}

fn arrow_down(sheet: &mut Sheet, x: f64, from: f64, to: f64) {
    sheet.line((x, from), (x, to - 5.0), ARROW, 1.5);
    sheet.tag(&format!(r#"path d="M{:.1} {:.1}h8l-4 6.5z" fill="{ARROW}""#, x - 4.0, to - 6.5));
}

fn head_up(sheet: &mut Sheet, x: f64, tip: f64, colour: &str) {
    sheet.tag(&format!(r#"path d="M{:.1} {:.1}h8l-4 -6.5z" fill="{colour}""#, x - 4.0, tip + 6.5));
}

/// `1.2 M · 14 %`.
fn with_share(parameters: u64, total: u64) -> String {
    if total == 0 {
        return short_count(parameters);
    }
    let share = parameters as f64 / total as f64 * 100.0;
    let share = if share > 0.0 && share < 0.5 { "<1".to_owned() } else { format!("{share:.0}") };
    format!("{} · {share} %", short_count(parameters))
}

#[cfg(test)]
mod tests {
    use super::super::svg::assert_well_formed;
    use super::*;

    fn layer(column: Column, name: &str, parts: &[&str], parameters: u64) -> LayerBox {
        LayerBox {
            column,
            role: LayerRole::Transformer,
            name: name.to_owned(),
            detail: "8 heads of 32".to_owned(),
            parts: parts.iter().map(|&part| part.to_owned()).collect(),
            output_shape: format!("({name}, 256)"),
            parameters,
        }
    }

    fn network() -> Vec<LayerBox> {
        let decoder_parts = ["self-attention", CROSS_ATTENTION, "feed-forward"];
        vec![
            layer(Column::Encoder, "image", &[], 0),
            layer(Column::Encoder, "encoder 1", &["self-attention"], 1_234_567),
            layer(Column::Decoder, "tokens & positions", &[], 1_000),
            layer(Column::Decoder, "decoder 1", &decoder_parts, 20_000),
            layer(Column::Decoder, "decoder 2", &decoder_parts, 20_000),
        ]
    }

    #[test]
    fn every_layer_is_named_with_its_shape_and_share_and_the_title_has_the_sum() {
        let svg = architecture(&network());
        assert_well_formed(&svg);
        assert!(svg.contains(">1,275,567 parameters<"));
        assert!(svg.contains(">1.2 M · 97 %<"));
        assert!(svg.contains(">1.0 k · &lt;1 %<"));
        assert!(svg.contains(">tokens &amp; positions<"));
        for layer in network() {
            let shape = super::super::svg::escape(&layer.output_shape);
            assert!(svg.contains(&format!(">{shape}<")), "{}", layer.name);
        }
    }

    #[test]
    fn each_cross_attention_gets_an_arrow_from_the_memory() {
        let arrows = |svg: &str| svg.matches(&format!("-6.5z\" fill=\"{MEMORY}\"")).count();
        assert_eq!(arrows(&architecture(&network())), 2);
        let encoder_only: Vec<LayerBox> = network().into_iter().take(2).collect();
        let svg = architecture(&encoder_only);
        assert_well_formed(&svg);
        assert_eq!(arrows(&svg), 0);
    }

    #[test]
    fn boxes_of_a_column_never_overlap_and_stay_on_the_card() {
        let network: Vec<LayerBox> =
            (0..30).map(|at| layer(Column::Decoder, &format!("decoder {at}"), &["a", "b"], 1)).collect();
        let placed = column(&network, Column::Decoder);
        for pair in placed.windows(2) {
            assert!(pair[0].0 + pair[0].1.height() < pair[1].0);
        }
        let svg = architecture(&network);
        assert_well_formed(&svg);
        let height: f64 = svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(bottom(&placed) < height);
    }

    #[test]
    fn no_layers_make_an_empty_card() {
        let svg = architecture(&[]);
        assert_well_formed(&svg);
        assert!(svg.contains("0 parameters"));
    }
}
