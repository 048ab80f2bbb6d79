//! A report's sections, by the rules of MIMIC-CXR's official section file.
//!
//! - A heading stands at the start of a line, after one space: capital letters, spaces and `()/,-`, then a colon and white
//!   space. Where that white space is the end of the line, the line below is text whatever it looks like: its start is
//!   taken.
//! - What comes before the first heading is the preamble; a report without a heading is one section, `full report`.
//! - Empty findings and impressions are dropped. If neither remains, what follows the first blank line (`\n \n`) of the last
//!   section is the section `last_paragraph`.
//! - Of several sections of a name the last counts: an addendum comes first in these files.

use super::headings::{COMPARISON, FINDINGS, IMPRESSION, normalise};

const LAST_PARAGRAPH: &str = "last_paragraph";
/// What separates paragraphs: lines begin with a space in these files.
const BLANK_LINE: &str = "\n \n";

/// A report cut at its headings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sections<'a> {
    /// Name and text, in the order of the report.
    parts: Vec<(String, &'a str)>,
}

impl<'a> Sections<'a> {
    /// Cuts a report whose lines end with `\n` alone.
    pub(super) fn of(report: &'a str) -> Self {
        let mut parts = cut(report);
        parts.retain(|(name, text)| !(matches!(name.as_str(), IMPRESSION | FINDINGS) && text.trim().is_empty()));
        if !parts.iter().any(|(name, _)| matches!(name.as_str(), IMPRESSION | FINDINGS))
            && let Some((_, last)) = parts.last_mut()
            && let Some((before, after)) = last.split_once(BLANK_LINE)
        {
            *last = before;
            parts.push((LAST_PARAGRAPH.to_owned(), after));
        }
        Self { parts }
    }

    /// The text of the last section of this name, without white space around it.
    pub(super) fn last(&self, name: &str) -> Option<&'a str> {
        self.parts.iter().rev().find(|(known, _)| known == name).map(|(_, text)| text.trim())
    }

    /// Findings.
    pub(super) fn findings(&self) -> &'a str {
        self.last(FINDINGS).unwrap_or_default()
    }

    /// Impression.
    pub(super) fn impression(&self) -> &'a str {
        self.last(IMPRESSION).unwrap_or_default()
    }

    /// The last paragraph of a report with neither; not of one whose last section is empty after its blank line.
    pub(super) fn last_paragraph(&self) -> Option<&'a str> {
        self.last(LAST_PARAGRAPH).filter(|text| !text.is_empty())
    }

    /// The one section that the official file selects, with its name: impression, findings, last paragraph or comparison,
    /// the first of these names that is there.
    pub(super) fn selected(&self) -> Option<(&'static str, &'a str)> {
        let there = |name: &'static str| self.last(name).map(|text| (name, text));
        [IMPRESSION, FINDINGS, LAST_PARAGRAPH, COMPARISON].into_iter().find_map(there)
    }
}

/// All sections, empty ones too.
fn cut(report: &str) -> Vec<(String, &str)> {
    let Some(mut heading) = find_heading(report, 0) else {
        return vec![("full report".to_owned(), report)];
    };
    let mut parts = vec![("preamble".to_owned(), &report[..heading.name_start])];
    loop {
        let begin = heading.text_start;
        let next = find_heading(report, begin);
        let end = next.as_ref().map_or(report.len(), |next| next.line_start);
        parts.push((normalise(&report[heading.name_start..heading.name_end]), &report[begin..end]));
        match next {
            Some(next) => heading = next,
            None => return parts,
        }
    }
}

/// Where a heading stands, in bytes.
struct Heading {
    /// The line end before it.
    line_start: usize,
    name_start: usize,
    name_end: usize,
    text_start: usize,
}

fn find_heading(report: &str, from: usize) -> Option<Heading> {
    let mut at = from;
    while let Some(found) = report[at..].find("\n ") {
        let line_start = at + found;
        let name_start = line_start + 2;
        let rest = &report[name_start..];
        let length = rest.find(|letter: char| !is_heading_letter(letter)).unwrap_or(rest.len());
        let name_end = name_start + length;
        let mut after = report[name_end..].chars();
        if length > 0
            && after.next() == Some(':')
            && let Some(space) = after.next().filter(|letter| letter.is_whitespace())
        {
            return Some(Heading { line_start, name_start, name_end, text_start: name_end + 1 + space.len_utf8() });
        }
        at = line_start + 1;
    }
    None
}

fn is_heading_letter(letter: char) -> bool {
    letter.is_ascii_uppercase() || matches!(letter, ' ' | '(' | ')' | '/' | ',' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(report: &str) -> Vec<(String, String)> {
        Sections::of(report).parts.into_iter().map(|(name, text)| (name, text.trim().to_owned())).collect()
    }

    #[test]
    fn a_usual_report_is_cut_at_its_headings() {
        let report = "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n \
            INDICATION:  ___F with cough // pneumonia?\n \n FINDINGS: \n \n The lungs are clear.\n Heart: normal.\n \n \
            IMPRESSION:  No acute process.\n";
        let sections = Sections::of(report);
        assert_eq!(sections.findings(), "The lungs are clear.\n Heart: normal.");
        assert_eq!(sections.impression(), "No acute process.");
        assert_eq!(sections.selected(), Some(("impression", "No acute process.")));
        let names: Vec<_> = sections.parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["preamble", "examination", "indication", "findings", "impression"]);
    }

    #[test]
    fn a_report_without_headings_has_its_last_paragraph() {
        let sections = Sections::of(" FINAL REPORT\n \n The lungs are clear.\n \n Heart is normal.\n");
        assert_eq!((sections.findings(), sections.impression()), ("", ""));
        assert_eq!(sections.last_paragraph(), Some("The lungs are clear.\n \n Heart is normal."));
        assert_eq!(Sections::of("One line.").parts, [("full report".to_owned(), "One line.")]);
        assert_eq!(Sections::of("One line.").selected(), None);
        assert_eq!(Sections::of("").selected(), None);
    }

    #[test]
    fn the_last_paragraph_is_taken_from_the_last_section() {
        let report = " FINAL REPORT\n INDICATION:  Fall.\n \n COMPARISON:  None.\n \n No fracture is seen.\n \n End.";
        let sections = Sections::of(report);
        assert_eq!(sections.last_paragraph(), Some("No fracture is seen.\n \n End."));
        assert_eq!(sections.last("comparison"), Some("None."));
        assert_eq!(sections.selected().unwrap().0, "last_paragraph");
        let only = Sections::of(" FINAL REPORT\n COMPARISON:  ___. No change since.");
        assert_eq!(only.selected(), Some(("comparison", "___. No change since.")));
    }

    #[test]
    fn an_addendum_and_a_wet_read_do_not_hide_the_report() {
        let report = " ADDENDUM  IMPRESSION: was dictated late.\n IMPRESSION:  Addended: no change.\n \
            ______________________________________________________________________________\n \
            FINAL REPORT\n FINDINGS:  Clear.\n \n IMPRESSION:  Normal.\n";
        let sections = Sections::of(report);
        assert_eq!((sections.findings(), sections.impression()), ("Clear.", "Normal."));
        let wet =
            " WET READ: ___ ___ 9:00 PM\n  No pneumothorax.\n ____\n FINAL REPORT\n IMPRESSION:  Tube in place.\n";
        assert_eq!(Sections::of(wet).impression(), "Tube in place.");
    }

    #[test]
    fn a_heading_over_another_and_empty_sections() {
        // The title of the study stands above the first real section.
        let title = "\n CHEST, PA LATERAL:\n \n INDICATION:   Cough.\n \n IMPRESSION:  Clear.";
        assert_eq!(
            names(title),
            [("preamble", ""), ("indication", "Cough."), ("impression", "Clear.")].map(|(a, b)| (a.into(), b.into()))
        );
        // A heading right under an empty one is read as its text: the official rule.
        let stacked = "\n FINDINGS:\n IMPRESSION: Both.\n";
        assert_eq!(Sections::of(stacked).findings(), "IMPRESSION: Both.");
        // Two lines: what breaks a line within a heading is no heading.
        let broken = "\n FINDINGS AND\n IMPRESSION:  One text.";
        assert_eq!(Sections::of(broken).impression(), "One text.");
        let empty = "\n FINDINGS:  \n \n IMPRESSION:  Stable.\n";
        assert_eq!((Sections::of(empty).findings(), Sections::of(empty).impression()), ("", "Stable."));
        let none = "\n FINDINGS:  \n \n IMPRESSION:\n";
        assert_eq!(Sections::of(none).selected(), None);
    }

    #[test]
    fn what_looks_like_a_heading_and_is_none() {
        for report in [
            "\n Findings: lower case.",
            "\nFINDINGS: no space before it.",
            "\n  FINDINGS:no space after it.",
            "\n AP 2: a digit.",
            "FINDINGS: the first line has none before it.",
            "\n : no name.",
        ] {
            let sections = Sections::of(report);
            assert_eq!(sections.parts[0].0, "full report", "{report}");
        }
        // Two spaces: the second belongs to the name.
        assert_eq!(Sections::of("\n  FINDINGS: clear.").findings(), "clear.");
        // Letters of many bytes around it.
        assert_eq!(Sections::of("é\n é FINDINGS: no.\n FINDINGS:\u{a0}é").findings(), "é");
    }
}
