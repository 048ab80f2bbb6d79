//! A sheet of SVG to draw on, and the escaping that all written text goes through.

use std::fmt::Write;

/// The fonts of a page, and of a picture on it; nothing is fetched.
const SANS: &str =
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif";
const MONO: &str = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/// Ink for titles and names.
pub(super) const INK: &str = "#0f172a";
/// Ink for labels and captions; 4.5:1 and more on white.
pub(super) const MUTED: &str = "#5b677a";
/// Grid lines and borders.
pub(super) const HAIRLINE: &str = "#e2e8f0";

/// Makes `text` safe between tags and inside quoted attributes of HTML and SVG. Control characters,
/// which XML does not allow, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other if other.is_control() => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// Which point of a text lies at its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextStyle {
    /// Font size in pixels.
    pub size: f64,
    pub weight: u16,
    pub fill: &'static str,
    pub anchor: Anchor,
    pub mono: bool,
}

impl TextStyle {
    pub(super) const fn new(size: f64, fill: &'static str) -> Self {
        Self { size, weight: 400, fill, anchor: Anchor::Start, mono: false }
    }

    pub(super) const fn weight(self, weight: u16) -> Self {
        Self { weight, ..self }
    }

    pub(super) const fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(super) const fn mono(self) -> Self {
        Self { mono: true, ..self }
    }

    /// The width that `text` will roughly have in pixels. Fonts differ from screen to screen, so
    /// this errs on the wide side.
    pub(super) fn width(self, text: &str) -> f64 {
        let per_character = match (self.mono, self.weight >= 600) {
            (true, _) => 0.61,
            (false, true) => 0.59,
            (false, false) => 0.54,
        };
        text.chars().count() as f64 * self.size * per_character
    }

    /// `text`, cut with an ellipsis where it would be wider than `width` pixels.
    pub(super) fn fit(self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut kept: String = text.to_owned();
        while !kept.is_empty() && self.width(&kept) + self.size > width {
            kept.pop();
        }
        format!("{}…", kept.trim_end())
    }
}

/// A sheet of `width` × `height` pixels; y grows downwards.
#[derive(Debug)]
pub(super) struct Sheet {
    width: f64,
    height: f64,
    body: String,
}

impl Sheet {
    /// A white card with rounded corners.
    pub(super) fn card(width: f64, height: f64) -> Self {
        let mut sheet = Self { width, height, body: String::new() };
        sheet.tag(&format!(
            r##"rect x="0.5" y="0.5" width="{:.1}" height="{:.1}" rx="14" fill="#ffffff" stroke="{HAIRLINE}""##,
            width - 1.0,
            height - 1.0
        ));
        sheet
    }

    /// A sheet without a card, for a picture that stands on a page.
    pub(super) fn bare(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// One closed element; `inside` is what stands between `<` and `/>`, written by this crate.
    pub(super) fn tag(&mut self, inside: &str) {
        self.body.push('<');
        self.body.push_str(inside);
        self.body.push_str("/>\n");
    }

    /// One line of text with its baseline at `y`; it is escaped here.
    pub(super) fn text(&mut self, x: f64, y: f64, style: TextStyle, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let mono = if style.mono { format!(r#" font-family="{MONO}""#) } else { String::new() };
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{}" font-weight="{}" fill="{}" text-anchor="{anchor}"{mono}>{}</text>"#,
            style.size,
            style.weight,
            style.fill,
            escape(text)
        );
    }

    /// A straight line from `a` to `b`.
    pub(super) fn line(&mut self, a: (f64, f64), b: (f64, f64), stroke: &str, width: f64) {
        self.tag(&format!(
            r#"line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{stroke}" stroke-width="{width}""#,
            a.0, a.1, b.0, b.1
        ));
    }

    /// A dot; `fill` and `stroke` are colours.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, stroke: &str) {
        self.tag(&format!(
            r#"circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="2""#
        ));
    }

    /// A line through `points`, with gaps where a point is missing. A point alone between two gaps
    /// becomes a dot.
    pub(super) fn curve(&mut self, points: impl IntoIterator<Item = Option<(f64, f64)>>, stroke: &str, width: f64) {
        let mut run: Vec<(f64, f64)> = Vec::new();
        for point in points.into_iter().chain([None]) {
            if let Some(point) = point {
                run.push(point);
                continue;
            }
            match run.as_slice() {
                [] => {}
                [alone] => self.dot(*alone, width + 1.0, stroke, "none"),
                [first, rest @ ..] => {
                    let mut path = format!("M{:.1} {:.1}", first.0, first.1);
                    for (x, y) in rest {
                        let _ = write!(path, "L{x:.1} {y:.1}");
                    }
                    self.tag(&format!(
                        r#"path d="{path}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round""#
                    ));
                }
            }
            run.clear();
        }
    }

    /// The whole picture. `title` and `description` are what a screen reader says.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             role=\"img\" aria-label=\"{title}\" font-family=\"{SANS}\" style=\"max-width:100%;height:auto\">\n\
             <title>{title}</title>\n<desc>{description}</desc>\n{body}</svg>\n",
            w = self.width,
            h = self.height,
            title = escape(title),
            description = escape(description),
            body = self.body,
        )
    }
}

/// Checks that `svg` is well-formed as far as this crate can break it: tags close in order,
/// quotes are even, and no coordinate is NaN or infinite.
#[cfg(test)]
pub(super) fn assert_well_formed(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    let mut open: Vec<&str> = Vec::new();
    for tag in svg.split('<').skip(1) {
        let tag = tag.split_once('>').expect("every tag ends").0;
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().expect("a tag has a name"));
            continue;
        }
        for value in tag.split('"').skip(1).step_by(2) {
            assert!(!value.contains("NaN") && !value.contains("inf"), "{tag}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_for_both_places_and_stays_valid_xml() {
        assert_eq!(
            escape("<b a='1' c=\"2\">&\u{0}\u{8}é\n"),
            "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\u{fffd}\u{fffd}é\n"
        );
    }

    #[test]
    fn a_long_text_is_cut_to_its_width() {
        let style = TextStyle::new(12.0, INK);
        let cut = style.fit("a rather long description of a layer", 100.0);
        assert!(cut.ends_with('…') && style.width(&cut) <= 100.0, "{cut}");
        assert_eq!(style.fit("short", 100.0), "short");
    }

    #[test]
    fn a_curve_breaks_at_missing_points() {
        let mut sheet = Sheet::card(10.0, 10.0);
        let points = [Some((1.0, 1.0)), Some((2.0, 2.0)), None, Some((3.0, 3.0))];
        sheet.curve(points, "red", 1.0);
        let svg = sheet.finish("a", "b");
        assert_well_formed(&svg);
        assert_eq!(svg.matches("<path").count(), 1);
        assert!(svg.contains("M1.0 1.0L2.0 2.0\""));
        assert_eq!(svg.matches("<circle").count(), 1);
    }
}
