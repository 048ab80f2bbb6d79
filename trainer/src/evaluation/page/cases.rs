//! The gallery of example cases.

use std::fmt::Write;

use crate::page::base64;
use crate::plots::svg::escape;

/// One image with what its report says and what the program wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// The id of the image in the data set.
    pub id: String,
    /// The bytes of a PNG file; `None` where there is no picture to show.
    pub png: Option<Vec<u8>>,
    /// The reference report.
    pub reference: String,
    /// Sentences of the reference that name findings.
    pub reference_marks: Vec<Mark>,
    /// The generated report.
    pub generated: String,
    /// Sentences of the generated report that name findings.
    pub generated_marks: Vec<Mark>,
    /// The findings of both, compared.
    pub observations: Vec<Observed>,
    /// A line of small print, such as time and mean log-probability; may be empty.
    pub note: String,
}

/// A sentence that names a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// First byte of the sentence in its text.
    pub from: usize,
    /// The byte after its last.
    pub to: usize,
    /// How the texts agree on it.
    pub outcome: Outcome,
}

/// A finding of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The finding, such as `left pleural effusion`.
    pub name: String,
    /// How the generated report did on it.
    pub outcome: Outcome,
}

/// How a generated report did on one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there and was reported.
    Found,
    /// It is there and was not reported.
    Missed,
    /// It was reported and is not there.
    Invented,
    /// It is there and was reported on the other side.
    WrongSide,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Found, Self::Missed, Self::Invented, Self::WrongSide];

    /// Class of the style sheet, sign and word: no outcome is told by its colour alone.
    fn look(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Found => ("found", "✓", "found"),
            Self::Missed => ("missed", "○", "missed"),
            Self::Invented => ("invented", "✕", "invented"),
            Self::WrongSide => ("side", "⇄", "wrong side"),
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Found => "in both texts",
            Self::Missed => "only in the reference",
            Self::Invented => "only in the generated text",
            Self::WrongSide => "reported on the other side",
        }
    }
}

/// All cases under one heading, with the legend of the chips; nothing without cases.
pub(super) fn gallery(cases: &[Case], choice: &str) -> String {
    if cases.is_empty() {
        return String::new();
    }
    let legend = Outcome::ALL
        .iter()
        .map(|&outcome| {
            let (class, sign, word) = outcome.look();
            format!(
                "<li><span class=\"chip {class}\"><b aria-hidden=\"true\">{sign}</b> {word}</span> {}</li>\n",
                outcome.meaning()
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let choice = if choice.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape(choice)) };
    let cases: String = cases.iter().map(case).collect();
    format!("<section>\n<h2>Example cases</h2>\n{choice}<ul class=\"legend\">\n{legend}</ul>\n{cases}</section>\n")
}

fn case(case: &Case) -> String {
    let picture = match &case.png {
        Some(png) => format!(
            "<img src=\"data:image/png;base64,{}\" alt=\"Chest image {}; the reference report beside it describes it\">",
            base64::encode(png),
            escape(&case.id)
        ),
        None => "<div class=\"no-picture\">no picture</div>".to_owned(),
    };
    let mut chips = String::new();
    for observed in &case.observations {
        let (class, sign, word) = observed.outcome.look();
        let _ = writeln!(
            chips,
            "<li class=\"chip {class}\"><b aria-hidden=\"true\">{sign}</b> {}<span class=\"outcome\">{word}</span></li>",
            escape(&observed.name)
        );
    }
    let chips = if chips.is_empty() {
        "<p class=\"note\">No finding in either text.</p>\n".to_owned()
    } else {
        format!("<ul class=\"chips\" aria-label=\"Findings\">\n{chips}</ul>\n")
    };
    let note =
        if case.note.is_empty() { String::new() } else { format!("<p class=\"small\">{}</p>\n", escape(&case.note)) };
    format!(
        "<article class=\"case\">\n<figure>{picture}</figure>\n<div>\n<h3>{}</h3>\n{chips}\
         <div class=\"texts\">\n<div>\n<h4>Reference</h4>\n<p class=\"report\">{}</p>\n</div>\n\
         <div>\n<h4>Generated <em>draft</em></h4>\n<p class=\"report\">{}</p>\n</div>\n</div>\n{note}</div>\n</article>\n",
        escape(&case.id),
        marked(&case.reference, &case.reference_marks),
        marked(&case.generated, &case.generated_marks)
    )
}

/// The text with its marked sentences coloured; a sign and a word for those who see no colours.
fn marked(text: &str, marks: &[Mark]) -> String {
    if text.trim().is_empty() {
        return "<span class=\"empty\">(no text)</span>".to_owned();
    }
    let mut html = String::new();
    let mut done = 0;
    for mark in marks {
        // Sentences follow each other; what does not fit the text is no sentence of it.
        let (Some(before), Some(sentence)) = (text.get(done..mark.from), text.get(mark.from..mark.to)) else {
            continue;
        };
        let space = sentence.len() - sentence.trim_start().len();
        let (class, sign, word) = mark.outcome.look();
        let _ = write!(
            html,
            "{}{}<mark class=\"{class}\" title=\"{word}\"><b aria-hidden=\"true\">{sign}</b> {}</mark>",
            escape(before),
            &sentence[..space],
            escape(&sentence[space..])
        );
        done = mark.to;
    }
    html.push_str(&escape(&text[done..]));
    html.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Case {
        Case {
            id: "a/7".to_owned(),
            png: Some(b"foo".to_vec()),
            reference: "Left effusion. <b>Clear</b>.".to_owned(),
            reference_marks: vec![Mark { from: 0, to: 14, outcome: Outcome::Missed }],
            generated_marks: vec![Mark { from: 0, to: 99, outcome: Outcome::Found }],
            generated: " ".to_owned(),
            observations: Outcome::ALL
                .iter()
                .map(|&outcome| Observed { name: format!("{outcome:?}"), outcome })
                .collect(),
            note: String::new(),
        }
    }

    #[test]
    fn each_outcome_has_its_own_class_sign_and_word() {
        let html = gallery(&[example()], "");
        for outcome in Outcome::ALL {
            let (class, sign, word) = outcome.look();
            let chip = format!(
                "<li class=\"chip {class}\"><b aria-hidden=\"true\">{sign}</b> {outcome:?}<span class=\"outcome\">{word}</span>"
            );
            assert!(html.contains(&chip), "{chip}");
        }
    }

    #[test]
    fn the_picture_is_inside_and_has_a_text_for_those_who_cannot_see_it() {
        let html = case(&example());
        assert!(html.contains("src=\"data:image/png;base64,Zm9v\" alt=\"Chest image a/7"));
        let none = Case { png: None, ..example() };
        assert!(!case(&none).contains("<img"));
    }

    #[test]
    fn marked_sentences_have_class_sign_and_title_and_the_rest_stays() {
        let html = case(&example());
        let sentence = "<mark class=\"missed\" title=\"missed\"><b aria-hidden=\"true\">○</b> Left effusion.</mark>";
        assert!(html.contains(&format!("{sentence} &lt;b&gt;Clear&lt;/b&gt;.</p>")), "{html}");
        let cut = marked("Äh. Ja.", &[Mark { from: 1, to: 3, outcome: Outcome::Found }]);
        assert_eq!(cut, "Äh. Ja.", "a mark within a letter is passed over");
    }

    #[test]
    fn an_empty_report_is_said_to_be_empty() {
        assert!(case(&example()).contains("(no text)"));
    }
}
