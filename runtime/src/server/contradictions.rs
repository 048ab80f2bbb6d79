//! Rows of a report that contradict each other: shown as warnings, never acted upon.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mentions::{Mention, calls_all_normal, mentions};
use crate::rows::Section;

/// Two rows that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contradiction {
    /// Numbers of the rows.
    pub rows: [u32; 2],
    /// What does not go together.
    pub text: String,
}

/// A row as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The row's number.
    pub row: u32,
    /// The part that it stands in, where the report has parts.
    pub section: Option<Section>,
    /// The sentence.
    pub text: &'a str,
}

/// Every pair of rows that contradict each other, once.
pub fn contradictions(statements: &[Statement<'_>]) -> Vec<Contradiction> {
    let read: Vec<_> = statements.iter().map(|statement| (statement, mentions(statement.text))).collect();
    let mut found = Vec::new();
    for (place, (one, its)) in read.iter().enumerate() {
        for (other, others) in &read[place + 1..] {
            let text = between(&one_of(one, its), &one_of(other, others), &read);
            found.extend(text.map(|text| Contradiction { rows: [one.row, other.row], text }));
        }
    }
    found
}

/// A statement with what was read of it.
struct Reading<'a> {
    statement: &'a Statement<'a>,
    mentions: &'a [Mention],
}

fn one_of<'a>(statement: &'a Statement<'a>, mentions: &'a [Mention]) -> Reading<'a> {
    Reading { statement, mentions }
}

fn between(one: &Reading, other: &Reading, all: &[(&Statement, Vec<Mention>)]) -> Option<String> {
    for its in one.mentions {
        for others in other.mentions.iter().filter(|others| others.finding == its.finding) {
            if its.present != others.present && its.side.meets(others.side) {
                return Some(format!("One row states {0}, the other denies it.", its.finding));
            }
            if its.present && others.present && its.side.opposes(others.side) && apart(one, other, *others, all) {
                return Some(format!("{} on the left in one row, on the right in the other.", capital(its.finding)));
            }
        }
    }
    let normal = |reading: &Reading| {
        reading.statement.section != Some(Section::Findings) && calls_all_normal(reading.statement.text)
    };
    let abnormal = |reading: &Reading| reading.mentions.iter().find(|mention| mention.present).map(|it| it.finding);
    let pair = if normal(other) { abnormal(one) } else { None };
    let pair = pair.or_else(|| if normal(one) { abnormal(other) } else { None });
    pair.map(|finding| format!("One row states {finding}, the other calls the picture normal."))
}

/// Left in one row and right in another contradict each other between the parts of a report, where the other part does not
/// name that side as well. Within one part there may simply be something on both sides.
fn apart(one: &Reading, other: &Reading, others: Mention, all: &[(&Statement, Vec<Mention>)]) -> bool {
    let (section, other_section) = (one.statement.section, other.statement.section);
    section.is_some()
        && other_section.is_some()
        && section != other_section
        && !all.iter().any(|(statement, mentions)| {
            statement.section == section
                && mentions.iter().any(|it| it.present && it.finding == others.finding && !it.side.opposes(others.side))
        })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[(Option<Section>, &str)]) -> Vec<([u32; 2], String)> {
        let statements: Vec<_> =
            rows.iter().zip(1..).map(|(&(section, text), row)| Statement { row, section, text }).collect();
        contradictions(&statements).into_iter().map(|it| (it.rows, it.text)).collect()
    }

    const FINDINGS: Option<Section> = Some(Section::Findings);
    const IMPRESSION: Option<Section> = Some(Section::Impression);

    #[test]
    fn a_denial_beside_a_statement_is_told() {
        let seen = found(&[(None, "No pleural effusion."), (None, "Small left effusion."), (None, "No pneumothorax.")]);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].0, [1, 2]);
        assert!(seen[0].1.contains("effusion"), "{seen:?}");
    }

    #[test]
    fn a_denial_on_the_other_side_is_none() {
        assert_eq!(found(&[(None, "No right effusion."), (None, "Small left effusion.")]), []);
    }

    #[test]
    fn left_in_the_findings_and_right_in_the_impression_are_told() {
        let seen = found(&[(FINDINGS, "Nodule in the left upper zone."), (IMPRESSION, "Right nodule.")]);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].1.contains("left") && seen[0].1.contains("right"), "{seen:?}");
        let both = [(FINDINGS, "Left effusion."), (FINDINGS, "Right effusion."), (IMPRESSION, "Right effusion.")];
        assert_eq!(found(&both), [], "both sides have one");
    }

    #[test]
    fn a_normal_impression_beside_a_finding_is_told() {
        let seen = found(&[(FINDINGS, "Large right pneumothorax."), (IMPRESSION, "No acute abnormality.")]);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].1.contains("pneumothorax") && seen[0].1.contains("normal"), "{seen:?}");
    }

    #[test]
    fn a_report_that_agrees_has_none() {
        let rows = [
            (FINDINGS, "Heart size is normal."),
            (FINDINGS, "There is a small left pleural effusion."),
            (FINDINGS, "No pneumothorax."),
            (IMPRESSION, "Small left pleural effusion."),
        ];
        assert_eq!(found(&rows), []);
    }
}
