//! A study as a reader sees it: its rows in their present state, told from the trail.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::contradictions::{Contradiction, Statement, contradictions};
use super::records::{Decision, Drafted, Event, Recorded, StudyRecord};
use crate::rows::Section;

/// What stands above a report that is not signed, and in every export.
pub const DRAFT_MARK: &str = "Draft, not for diagnostic use";

/// A row in its present state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// By which it is known; rows stand in the order of the list, not of their numbers.
    pub number: u32,
    /// The part that it stands in, where the draft has parts.
    pub section: Option<Section>,
    /// The sentence now.
    pub text: String,
    /// What the model drafted; none where a reader added the row.
    pub drafted: Option<String>,
    /// Mean natural-log probability of the drafted tokens.
    pub mean_log_probability: Option<f64>,
    /// What lower ranked hypotheses say in its place.
    pub alternatives: Vec<String>,
    /// What the reader has decided; what he adds is decided.
    pub decision: Decision,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Signature {
    /// Name, as typed.
    pub signer: String,
    /// UTC, RFC 3339.
    pub time: String,
    /// The report that was signed.
    pub text: String,
    /// SHA-256 of `text` in UTF-8.
    pub text_sha256: String,
}

/// A drafted study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Study {
    /// 32 hex digits.
    pub id: String,
    /// Name of the file.
    pub name: String,
    /// UTC, RFC 3339.
    pub submitted: String,
    /// Events so far: what the next change must name.
    pub revision: u32,
    /// The draft's rows and those that were added.
    pub rows: Vec<Row>,
    /// Rows that do not go together; struck ones do not count.
    pub contradictions: Vec<Contradiction>,
    /// The report as it would be signed.
    pub text: String,
    /// Where it is signed.
    pub signature: Option<Signature>,
    /// What the input gate let through with a word of warning.
    pub concerns: Vec<String>,
    /// What the bundle says of its drafts.
    pub notice: String,
    /// Draft marker: `Draft, not for diagnostic use`.
    pub mark: String,
    /// Mean natural-log probability of the whole draft.
    pub mean_log_probability: f64,
    /// `end`, or `length` where the longest length cut the draft off.
    pub finish: String,
    /// Seconds that drafting took.
    pub seconds: f64,
    /// Id of the bundle.
    pub bundle: String,
    /// Its variant.
    pub variant: String,
    /// SHA-256 of the image file.
    pub image_sha256: String,
    /// Its size in bytes.
    pub image_bytes: u64,
}

impl Study {
    /// Tells the state from the trail; `None` where it does not begin with a draft.
    pub fn of(record: StudyRecord, trail: &[Recorded]) -> Option<Self> {
        let (first, rest) = trail.split_first()?;
        let Event::Drafted(drafted) = &first.event else { return None };
        let Drafted { rows, mean_log_probability, finish, seconds, concerns, notice } = drafted.clone();
        let rows = rows.into_iter().zip(1..).map(|(row, number)| Row {
            number,
            section: row.section,
            text: row.text.clone(),
            drafted: Some(row.text),
            mean_log_probability: Some(row.mean_log_probability),
            alternatives: row.alternatives,
            decision: Decision::Open,
        });
        let mut study = Self {
            id: record.id,
            name: record.name,
            submitted: record.submitted,
            revision: trail.last().map_or(0, |last| last.revision),
            rows: rows.collect(),
            contradictions: Vec::new(),
            text: String::new(),
            signature: None,
            concerns,
            notice,
            mark: DRAFT_MARK.to_owned(),
            mean_log_probability,
            finish,
            seconds,
            bundle: record.bundle,
            variant: record.variant,
            image_sha256: record.image_sha256,
            image_bytes: record.image_bytes,
        };
        for recorded in rest {
            study.apply(recorded);
        }
        study.text = study.compose();
        study.contradictions = contradictions(&study.statements());
        Some(study)
    }

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::Drafted(_) => {}
            Event::Decided { row, decision, text } => {
                let Some(row) = self.rows.iter_mut().find(|its| its.number == *row) else { return };
                row.decision = *decision;
                match (decision, text) {
                    (Decision::Edited, Some(text)) => row.text.clone_from(text),
                    (Decision::Accepted | Decision::Open, _) => {
                        if let Some(drafted) = &row.drafted {
                            row.text.clone_from(drafted);
                        }
                    }
                    _ => {}
                }
            }
            Event::Added { row, after, section, text } => {
                let place = after.and_then(|after| self.rows.iter().position(|its| its.number == after));
                let added = Row {
                    number: *row,
                    section: *section,
                    text: text.clone(),
                    drafted: None,
                    mean_log_probability: None,
                    alternatives: Vec::new(),
                    decision: Decision::Edited,
                };
                self.rows.insert(place.map_or(0, |place| place + 1), added);
            }
            Event::Signed { signer, text, text_sha256 } => {
                self.signature = Some(Signature {
                    signer: signer.clone(),
                    time: recorded.time.clone(),
                    text: text.clone(),
                    text_sha256: text_sha256.clone(),
                });
            }
        }
    }

    /// Number for the next added row.
    pub fn next_row(&self) -> u32 {
        self.rows.iter().map(|row| row.number).max().unwrap_or(0) + 1
    }

    /// A row by its number.
    pub fn row(&self, number: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.number == number)
    }

    /// Numbers of the rows that nobody has decided on.
    pub fn undecided(&self) -> Vec<u32> {
        self.rows.iter().filter(|row| row.decision == Decision::Open).map(|row| row.number).collect()
    }

    /// Rows that stay.
    fn kept(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.decision != Decision::Struck)
    }

    fn statements(&self) -> Vec<Statement<'_>> {
        self.kept().map(|row| Statement { row: row.number, section: row.section, text: &row.text }).collect()
    }

    /// The report: the rows that stay, a heading and a paragraph for each part.
    fn compose(&self) -> String {
        let mut text = String::new();
        let mut part: Option<Option<Section>> = None;
        for row in self.kept() {
            if part == Some(row.section) {
                text.push(' ');
            } else {
                if part.is_some() {
                    text += "\n\n";
                }
                if let Some(section) = row.section {
                    text += &format!("{}: ", section.title());
                }
                part = Some(row.section);
            }
            text += row.text.trim();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::DraftedRow;

    fn record() -> StudyRecord {
        StudyRecord {
            id: "a".into(),
            submitted: String::new(),
            name: "a.png".into(),
            image_sha256: String::new(),
            image_bytes: 1,
            bundle: "b".into(),
            variant: "v".into(),
        }
    }

    fn study(events: Vec<Event>) -> Study {
        let row = |section, text: &str| DraftedRow {
            section: Some(section),
            text: text.to_owned(),
            mean_log_probability: -0.1,
            tokens: 3,
            token_ids: vec![5, 6, 7],
            alternatives: Vec::new(),
        };
        let rows = vec![
            row(Section::Findings, "The heart is enlarged."),
            row(Section::Findings, "No effusion."),
            row(Section::Impression, "Cardiomegaly."),
        ];
        let drafted = Event::Drafted(Drafted {
            rows,
            mean_log_probability: -0.2,
            finish: "end".into(),
            seconds: 0.1,
            concerns: Vec::new(),
            notice: "n".into(),
        });
        let recorded = |(event, revision): (Event, u32)| Recorded { revision, time: format!("time {revision}"), event };
        let trail: Vec<Recorded> = std::iter::once(drafted).chain(events).zip(1..).map(recorded).collect();
        Study::of(record(), &trail).expect("it begins with a draft")
    }

    #[test]
    fn a_report_follows_from_its_trail() {
        let untouched = study(vec![]);
        assert_eq!(untouched.undecided(), [1, 2, 3]);
        assert_eq!(untouched.text, "Findings: The heart is enlarged. No effusion.\n\nImpression: Cardiomegaly.");
        let decided = |row, decision, text: Option<&str>| Event::Decided { row, decision, text: text.map(Into::into) };
        let changed = study(vec![
            decided(1, Decision::Accepted, None),
            decided(2, Decision::Edited, Some("Small left effusion.")),
            decided(3, Decision::Struck, None),
            Event::Added { row: 4, after: Some(3), section: Some(Section::Impression), text: "Left effusion.".into() },
        ]);
        assert_eq!(changed.undecided(), [] as [u32; 0]);
        assert_eq!((changed.revision, changed.next_row()), (5, 5));
        assert_eq!(changed.text, "Findings: The heart is enlarged. Small left effusion.\n\nImpression: Left effusion.");
        let reopened =
            study(vec![decided(2, Decision::Edited, Some("Small left effusion.")), decided(2, Decision::Open, None)]);
        assert_eq!(reopened.row(2).map(|row| row.text.as_str()), Some("No effusion."));
    }

    #[test]
    fn what_is_struck_contradicts_nothing() {
        let text = Some("Large right effusion.".to_owned());
        let edited = Event::Decided { row: 3, decision: Decision::Edited, text };
        let both = study(vec![edited.clone()]);
        assert_eq!(both.contradictions.iter().map(|it| it.rows).collect::<Vec<_>>(), [[2, 3]]);
        let struck = Event::Decided { row: 2, decision: Decision::Struck, text: None };
        assert_eq!(study(vec![edited, struck]).contradictions, []);
    }
}
