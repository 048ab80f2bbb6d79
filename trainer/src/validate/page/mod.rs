//! The page of a validation: what is in the data set, for a reader who has never seen the code.

mod charts;
mod pictures;
mod sections;
mod words;

use std::fmt::Write;

use super::Validation;
use super::findings::{Finding, Gravity, Section};
use super::thumbnails::Thumbnails;
use crate::data::Study;
use crate::page::{Frame, document};
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

pub(super) use pictures::Chosen;

const STYLE: &str = include_str!("style.css");

impl Section {
    /// Heading and anchor.
    fn heading(self) -> (&'static str, &'static str) {
        match self {
            Self::Rows => ("Rows and images", "rows"),
            Self::Patients => ("Patients and split", "patients"),
            Self::Images => ("Repeated images", "images"),
            Self::Reports => ("Repeated reports", "reports"),
            Self::Length => ("Length of reports", "length"),
            Self::Vocabulary => ("Vocabulary", "vocabulary"),
            Self::Sentences => ("Frequent sentences", "sentences"),
            Self::Observations => ("Observations", "observations"),
            Self::Sizes => ("Sizes and files", "sizes"),
            Self::Grey => ("Grey values", "grey"),
            Self::Outliers => ("Images that stand apart", "outliers"),
            Self::Views => ("Views", "views"),
        }
    }
}

impl Gravity {
    /// Class of the style sheet, sign and word: no gravity is told by its colour alone.
    fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Error => ("is-error", "✕", "error"),
            Self::Warning => ("is-warning", "!", "warning"),
            Self::Note => ("is-note", "i", "note"),
            Self::Fine => ("is-fine", "✓", "in order"),
        }
    }
}

/// Writes the page.
pub(super) fn render(validation: &Validation, studies: &[Study], chosen: &Chosen, pictures: &Thumbnails) -> String {
    let mut body = header(validation);
    body.push_str(&verdict(&validation.findings));
    body.push_str(&notices(validation));
    body.push_str(&checklist(&validation.findings));
    body.push_str(&pictures::samples(studies, chosen, pictures));
    for finding in &validation.findings {
        let (title, anchor) = finding.section.heading();
        let content = match finding.section {
            Section::Rows => sections::rows(validation),
            Section::Patients => sections::patients(validation),
            Section::Images => pictures::repeated(validation, studies, pictures),
            Section::Reports => words::reports(validation, studies),
            Section::Length => charts::length(validation),
            Section::Vocabulary => charts::vocabulary(validation),
            Section::Sentences => words::sentences(validation),
            Section::Observations => sections::observations(validation),
            Section::Sizes => charts::sizes(validation),
            Section::Grey => charts::grey(validation),
            Section::Outliers => pictures::outliers(validation, chosen, pictures),
            Section::Views => sections::views(validation),
        };
        let _ = write!(body, "<section id=\"{anchor}\">\n<h2>{title}</h2>\n{}{content}</section>\n", opening(finding));
    }
    body.push_str(&sections::method(validation));
    let frame = Frame {
        title: &format!("{} – XREPORT data validation", validation.data),
        style: STYLE,
        footer: "XREPORT data validation · shows images and texts of patients: keep it as you keep the data",
    };
    document(frame, &body)
}

fn header(validation: &Validation) -> String {
    let counts = &validation.counts;
    let patients = match validation.patients.named {
        0 => "not named".to_owned(),
        named => grouped(named as u64),
    };
    let split = if counts.split_in_table { "from the table" } else { "as a training would draw it" };
    let mut facts = vec![
        ("Rows", grouped(counts.rows as u64)),
        ("Usable", grouped(counts.usable as u64)),
        ("Patients", patients),
        ("Training", grouped(counts.train as u64)),
        ("Validation", grouped(counts.validation as u64)),
    ];
    if counts.test > 0 {
        facts.push(("Test", grouped(counts.test as u64)));
    }
    facts.push(("Split", split.to_owned()));
    facts.push(("Date", validation.date.clone()));
    let mut html = format!(
        "<header>\n<p class=\"kicker\">XREPORT data validation</p>\n<h1>{}</h1>\n<dl class=\"facts\">\n",
        escape(&validation.data)
    );
    for (name, value) in facts {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    html.push_str("</dl>\n</header>\n");
    html
}

/// The whole in one sentence.
fn verdict(findings: &[Finding]) -> String {
    let count = |gravity| findings.iter().filter(|finding| finding.gravity == gravity).count();
    let (errors, warnings) = (count(Gravity::Error), count(Gravity::Warning));
    let things = |count: usize| if count == 1 { "one thing".to_owned() } else { format!("{count} things") };
    let (class, headline) = match (errors, warnings) {
        (0, 0) => ("good", "Nothing stands in the way of training on this data set.".to_owned()),
        (0, _) => {
            ("mixed", format!("This data set can be trained on, but {} should be looked at first.", things(warnings)))
        }
        (_, 0) => (
            "bad",
            format!("{} must be mended before figures from this data set mean anything.", capital(&things(errors))),
        ),
        _ => (
            "bad",
            format!(
                "{} must be mended before figures from this data set mean anything; {} more should be looked at.",
                capital(&things(errors)),
                if warnings == 1 { "one".to_owned() } else { warnings.to_string() }
            ),
        ),
    };
    let gravest = findings.iter().min_by_key(|finding| finding.gravity).filter(|one| one.gravity <= Gravity::Warning);
    let detail = gravest.map_or_else(String::new, |finding| format!("<p>{}</p>\n", escape(&finding.found)));
    format!("<section class=\"verdict {class}\" aria-label=\"Verdict\">\n<h2>{headline}</h2>\n{detail}</section>\n")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn notices(validation: &Validation) -> String {
    let mut notices = Vec::new();
    if let Some(made) = validation.text_sources.get("label") {
        notices.push((
            "Texts made from labels.".to_owned(),
            format!(
                "{} of the texts were written by a program from labels, not by a radiologist who looked at the image: \
                 nothing here says how good real reports would be.",
                grouped(*made as u64)
            ),
        ));
    }
    if let Some(problem) = &validation.counts.split_problem {
        notices.push((
            "The data set could not be split as a training would.".to_owned(),
            format!("{problem}. What follows takes the table's own parts."),
        ));
    }
    notices.push((
        "Keep this page as you keep the data.".to_owned(),
        "It shows images and texts of patients. It names images by their id, and no patient.".to_owned(),
    ));
    let items: String = notices
        .iter()
        .map(|(first, rest)| format!("<li><strong>{}</strong> {}</li>\n", escape(first), escape(rest)))
        .collect();
    format!("<ul class=\"notices\" role=\"note\" aria-label=\"Notices\">\n{items}</ul>\n")
}

/// Every section with its finding, the gravest first.
fn checklist(findings: &[Finding]) -> String {
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by_key(|finding| finding.gravity);
    let items: String = ordered
        .iter()
        .map(|finding| {
            let ((title, anchor), (class, _, word)) = (finding.section.heading(), finding.gravity.look());
            format!(
                "<li><span class=\"tag {class}\">{word}</span><span><a href=\"#{anchor}\">{title}</a></span><span>{}</span></li>\n",
                escape(&finding.found)
            )
        })
        .collect();
    format!("<section>\n<h2>What was found</h2>\n<ul class=\"checklist\">\n{items}</ul>\n</section>\n")
}

/// The sentence that a section opens with.
fn opening(finding: &Finding) -> String {
    let (class, sign, word) = finding.gravity.look();
    let to_do = if finding.to_do.is_empty() {
        String::new()
    } else {
        format!("<span class=\"do\">{}</span>", escape(&finding.to_do))
    };
    format!(
        "<div class=\"finding {class}\"><span class=\"sign\" role=\"img\" aria-label=\"{word}\">{sign}</span>\
         <strong>{}</strong>{to_do}</div>\n",
        escape(&finding.found)
    )
}

/// A sentence of small print.
fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}
