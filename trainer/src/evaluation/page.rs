//! The result page: one HTML file that tells a reader who has never seen the code how good the
//! model is, against what, and how it fails.
//!
//! The page needs nothing but itself: style and pictures are inside, there is no script, and a
//! content security policy forbids it to load anything. All text is escaped.

mod cases;
mod tables;
mod verdict;

pub use cases::{Case, Mark, Observed, Outcome};
pub use tables::{ObservationScore, Table, TableRow};
pub use verdict::{Tone, Verdict, VerdictScores, verdict};

use crate::page::{Frame, document};
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// Stands on every page.
const DRAFT_NOTICE: &str = "Draft, not for diagnostic use. The texts below were written by a \
     program under test; no one may base a decision about a patient on them.";
/// Stands on pages over the phantom data set.
const PHANTOM_NOTICE: &str = "Trained and tested on drawings (phantoms), not on radiographs. The \
     figures tell how well the program reads drawings; they say nothing about patients.";

/// Everything that the page shows. Empty parts are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The model's name, the heading of the page.
    pub model_name: String,
    /// The id of its bundle.
    pub bundle_id: String,
    /// The data set, in words.
    pub data_set: String,
    /// How many images were evaluated.
    pub images: u64,
    /// The day of the evaluation, such as `2026-11-03`.
    pub date: String,
    /// The result in plain words; [`verdict`] writes one from the scores.
    pub verdict: Verdict,
    /// Whether the model was trained or tested on phantoms; the page then says so.
    pub phantoms: bool,
    /// Further things a reader must know, such as texts that were made from labels.
    pub notices: Vec<String>,
    /// The model beside its controls.
    pub headline: Table,
    /// Further tables of the controls, such as the model's leads with their intervals.
    pub controls: Vec<Table>,
    /// Precision, recall and F1 per observation.
    pub observations: Vec<ObservationScore>,
    /// Further tables, such as word overlap.
    pub tables: Vec<Table>,
    /// Pictures, such as the training curve.
    pub figures: Vec<Figure>,
    /// Example cases, in the order in which they are shown. Each carries its picture: a few dozen
    /// keep the file at a few megabytes.
    pub cases: Vec<Case>,
    /// How these cases were chosen, such as `the first 12 images of the test split`.
    pub cases_choice: String,
    /// Times and other facts of the run: (name, value).
    pub timing: Vec<(String, String)>,
}

/// A picture with its heading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figure {
    /// The heading.
    pub title: String,
    /// SVG from [`crate::plots`]. It is the one text that is *not* escaped.
    pub svg: String,
}

/// Writes the page, a whole HTML document in UTF-8.
pub fn render(page: &Page) -> String {
    let sections = [
        header(page),
        verdict_line(&page.verdict),
        notices(page),
        tables::section("Against its controls", &[std::slice::from_ref(&page.headline), &page.controls].concat()),
        tables::observations(&page.observations),
        cases::gallery(&page.cases, &page.cases_choice),
        tables::section("More figures", &page.tables),
        timing(&page.timing),
        figures(&page.figures),
    ];
    let frame = Frame {
        title: &format!("{} – XREPORT evaluation", page.model_name),
        style: "",
        footer: "XREPORT evaluation · draft reports, not for diagnostic use",
    };
    document(frame, &sections.concat())
}

fn header(page: &Page) -> String {
    let facts = [
        ("Bundle", code(&page.bundle_id)),
        ("Data set", escape(&page.data_set)),
        ("Images", grouped(page.images)),
        ("Date", escape(&page.date)),
    ];
    let facts = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"))
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<header>\n<p class=\"kicker\">XREPORT evaluation</p>\n<h1>{}</h1>\n<dl class=\"facts\">\n{facts}</dl>\n</header>\n",
        escape(&page.model_name)
    )
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("<code>{}</code>", escape(text))
}

fn verdict_line(verdict: &Verdict) -> String {
    if verdict.headline.is_empty() {
        return String::new();
    }
    let class = match verdict.tone {
        Tone::Good => "good",
        Tone::Mixed => "mixed",
        Tone::Bad => "bad",
    };
    format!(
        "<section class=\"verdict {class}\" aria-label=\"Verdict\">\n<h2>{}</h2>\n<p>{}</p>\n</section>\n",
        escape(&verdict.headline),
        escape(&verdict.detail)
    )
}

fn notices(page: &Page) -> String {
    let phantoms = page.phantoms.then_some(PHANTOM_NOTICE);
    let further = page.notices.iter().map(String::as_str);
    let items = [DRAFT_NOTICE]
        .into_iter()
        .chain(phantoms)
        .chain(further)
        .map(|notice| {
            // The first sentence is what has to be seen.
            let (first, rest) = notice.split_once(". ").unwrap_or((notice, ""));
            let stop = if rest.is_empty() { "" } else { "." };
            format!("<li><strong>{}{stop}</strong> {}</li>\n", escape(first), escape(rest))
        })
        .collect::<Vec<_>>()
        .concat();
    format!("<ul class=\"notices\" role=\"note\" aria-label=\"Notices\">\n{items}</ul>\n")
}

fn figures(figures: &[Figure]) -> String {
    figures
        .iter()
        .map(|figure| {
            format!(
                "<section>\n<h2>{}</h2>\n<div class=\"figure\">\n{}</div>\n</section>\n",
                escape(&figure.title),
                figure.svg
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

fn timing(timing: &[(String, String)]) -> String {
    if timing.is_empty() {
        return String::new();
    }
    let facts = timing
        .iter()
        .map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .concat();
    format!("<section>\n<h2>Time</h2>\n<dl class=\"facts tiles\">\n{facts}</dl>\n</section>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let hostile = "<script>alert('x')</script> & \"quoted\"";
        Page {
            model_name: hostile.to_owned(),
            bundle_id: hostile.to_owned(),
            data_set: hostile.to_owned(),
            images: 1_200,
            date: "2026-11-03".to_owned(),
            verdict: Verdict { tone: Tone::Good, headline: hostile.to_owned(), detail: hostile.to_owned() },
            phantoms: true,
            notices: vec![hostile.to_owned()],
            headline: Table {
                title: hostile.to_owned(),
                note: hostile.to_owned(),
                columns: vec![hostile.to_owned()],
                rows: vec![TableRow {
                    name: hostile.to_owned(),
                    note: hostile.to_owned(),
                    cells: vec![hostile.to_owned()],
                    emphasised: true,
                }],
            },
            controls: Vec::new(),
            observations: vec![ObservationScore {
                name: hostile.to_owned(),
                precision: Some(0.9),
                recall: Some(0.8),
                f1: Some(0.847),
                support: 12,
            }],
            tables: Vec::new(),
            figures: vec![Figure { title: hostile.to_owned(), svg: "<svg></svg>".to_owned() }],
            cases: vec![Case {
                id: hostile.to_owned(),
                png: Some(vec![1, 2, 3]),
                reference: hostile.to_owned(),
                reference_marks: vec![Mark { from: 0, to: 4, outcome: Outcome::Missed }],
                generated: hostile.to_owned(),
                generated_marks: Vec::new(),
                observations: vec![Observed { name: hostile.to_owned(), outcome: Outcome::Found }],
                note: hostile.to_owned(),
            }],
            cases_choice: hostile.to_owned(),
            timing: vec![(hostile.to_owned(), hostile.to_owned())],
        }
    }

    #[test]
    fn text_from_reports_is_shown_and_never_run() {
        let html = render(&page());
        assert!(!html.contains("<script"), "no script of any kind");
        assert!(!html.contains("alert('x')"));
        let shown = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;";
        // Once or more for each of the fields above.
        assert!(html.matches(shown).count() >= 19, "{}", html.matches(shown).count());
    }

    #[test]
    fn every_element_that_opens_also_closes() {
        crate::page::assert_elements_close(&render(&page()));
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        crate::page::assert_self_contained(&render(&page()));
    }

    #[test]
    fn the_draft_notice_always_stands_there_and_the_phantom_notice_where_it_applies() {
        let draft = "Draft, not for diagnostic use.";
        let phantoms = "Trained and tested on drawings (phantoms)";
        assert!(render(&page()).contains(draft) && render(&page()).contains(phantoms));
        let radiographs = render(&Page::default());
        assert!(radiographs.contains(draft) && !radiographs.contains(phantoms));
    }

    #[test]
    fn parts_without_content_leave_no_heading_behind() {
        let html = render(&Page::default());
        for heading in ["Against its controls", "Observation by observation", "Example", "Time<"] {
            assert!(!html.contains(heading), "{heading}");
        }
    }
}
