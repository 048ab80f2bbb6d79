//! The sections that show texts.

use std::collections::HashMap;
use std::fmt::Write;

use super::super::Validation;
use super::super::findings::percent;
use super::note;
use super::pictures::beginning;
use crate::data::Study;
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// Texts of each kind that are shown.
const SHOWN: usize = 6;
/// Letters of a text that are shown.
const LETTERS: usize = 700;
/// Ids that are named with a text.
const IDS: usize = 40;

/// Reports on several rows, and those that are nearly the same.
pub fn reports(validation: &Validation, studies: &[Study]) -> String {
    let repeats = &validation.texts.repeats;
    let mut html = String::new();
    let _ = write!(
        html,
        "<dl class=\"facts tiles\">\n{}{}{}{}</dl>\n",
        tile("Different texts", repeats.distinct),
        tile("Rows with a repeated text", repeats.repeated_reports),
        tile("Texts of more than one patient", repeats.across_patients),
        tile("Texts on both sides of the split", repeats.across_sides),
    );
    if !repeats.groups.is_empty() {
        let _ = writeln!(html, "<h3>Word for word ({})</h3>", grouped(repeats.groups.len() as u64));
        for group in repeats.groups.iter().take(SHOWN) {
            let text = beginning(&studies[group.studies[0]].text, LETTERS);
            let _ = writeln!(
                html,
                "<article class=\"quote\"><header><b>{} rows</b>{}</header><p>{}</p>{}</article>",
                grouped(group.rows as u64),
                patients(group.patients),
                escape(&text),
                ids(&group.studies, studies)
            );
        }
        html.push_str(&more(repeats.groups.len(), "texts"));
    }
    if !repeats.near_groups.is_empty() {
        let _ = writeln!(html, "<h3>Nearly the same ({})</h3>", grouped(repeats.near_groups.len() as u64));
        html.push_str(&note(
            "Four of five runs of three words are shared, or more. What is only in one of the two is marked.",
        ));
        for group in repeats.near_groups.iter().take(SHOWN) {
            let (first, second) = (&studies[group.studies[0]].text, &studies[group.studies[1]].text);
            let _ = writeln!(
                html,
                "<article class=\"quote\"><header><b>{} different texts</b> on {} rows{}</header><p>{}</p><p>{}</p>{}</article>",
                grouped(group.studies.len() as u64),
                grouped(group.rows as u64),
                patients(group.patients),
                marked(first, second),
                marked(second, first),
                ids(&group.studies, studies)
            );
        }
        html.push_str(&more(repeats.near_groups.len(), "groups"));
    }
    html
}

fn tile(name: &str, count: usize) -> String {
    format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", grouped(count as u64))
}

fn patients(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " of one patient".to_owned(),
        many => format!(" of <span class=\"alarm\">{many} patients</span>"),
    }
}

fn more(all: usize, what: &str) -> String {
    match all.saturating_sub(SHOWN) {
        0 => String::new(),
        more => note(&format!("And {} more {what}; validation.csv lists all of them.", grouped(more as u64))),
    }
}

fn ids(of: &[usize], studies: &[Study]) -> String {
    let named: Vec<String> = of.iter().take(IDS).map(|&at| escape(&studies[at].id)).collect();
    let more = if of.len() > IDS { format!(" and {} more", of.len() - IDS) } else { String::new() };
    format!("<details><summary>ids</summary><p class=\"ids\">{}{more}</p></details>", named.join(", "))
}

/// The beginning of `text`, with the pieces marked that `other` has fewer of.
fn marked(text: &str, other: &str) -> String {
    let mut left: HashMap<String, usize> = HashMap::new();
    for piece in other.split_whitespace() {
        *left.entry(piece.to_lowercase()).or_default() += 1;
    }
    let shown = beginning(text, LETTERS);
    let mut html = String::with_capacity(2 * shown.len());
    for piece in shown.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        match left.get_mut(&word.to_lowercase()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                html.push_str(&escape(piece));
            }
            // The sign that the text goes on.
            _ if matches!(word, "" | "…") => html.push_str(&escape(piece)),
            _ => {
                let _ = write!(html, "<mark>{}</mark>{}", escape(word), escape(&piece[word.len()..]));
            }
        }
    }
    html
}

/// The most frequent sentences.
pub fn sentences(validation: &Validation) -> String {
    let frequent = &validation.texts.sentences.frequent;
    if frequent.is_empty() {
        return String::new();
    }
    let reports = validation.texts.words.all.len().max(1);
    let most = frequent.first().map_or(1, |sentence| sentence.reports.max(1));
    let rows: String = frequent
        .iter()
        .map(|sentence| {
            let share = f64::from(sentence.reports) / reports as f64;
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"wide\"><span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{:.1}%\"></i></span></td>\
                 <td>{}</td><td>{}</td></tr>\n",
                escape(&beginning(&sentence.text, 160)),
                f64::from(sentence.reports) / f64::from(most) * 100.0,
                grouped(u64::from(sentence.reports)),
                percent(share)
            )
        })
        .collect();
    format!(
        "<div class=\"frame\" tabindex=\"0\">\n<table class=\"rank\">\n<thead><tr><td></td><td></td><th scope=\"col\">Reports</th>\
         <th scope=\"col\">Share</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_in_one_text_is_marked_and_everything_is_escaped() {
        assert_eq!(
            marked("Heart <b>normal</b>, lungs clear.", "lungs clear"),
            "<mark>Heart</mark> <mark>&lt;b&gt;normal&lt;/b&gt;,</mark> lungs <mark>clear.</mark>"
        );
        assert_eq!(marked("clear clear", "clear"), "clear <mark>clear</mark>");
    }
}
