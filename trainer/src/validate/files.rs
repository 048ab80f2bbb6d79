//! The files of a validation: a page to look at, JSON to go on with, and a CSV with a row for every image concerned.

use std::path::Path;

use anyhow::Context;
use xreport_models::atomic::write_file;

use super::repeats::ImageGroup;
use super::{Looked, page, thumbnails};
use crate::data::{Dataset, Problem};

/// The page.
pub const PAGE: &str = "validation.html";
/// All figures.
pub const FIGURES: &str = "validation.json";
/// A row for every image concerned.
pub const ROWS: &str = "validation.csv";

pub(super) fn write_all(out: &Path, dataset: &Dataset, looked: &Looked) -> anyhow::Result<()> {
    let mut figures = serde_json::to_vec_pretty(&looked.validation)?;
    figures.push(b'\n');
    write_file(out.join(FIGURES), &figures)?;
    write_file(out.join(ROWS), &rows(dataset, looked)?)?;
    let chosen = page::Chosen::of(looked);
    let pictures = thumbnails::make(&dataset.studies, &dataset.images, &chosen.pictures());
    write_file(out.join(PAGE), page::render(&looked.validation, &dataset.studies, &chosen, &pictures).as_bytes())?;
    Ok(())
}

/// `id,finding,group,detail`: what to look for in a spreadsheet. Neither texts nor patients stand here.
fn rows(dataset: &Dataset, looked: &Looked) -> anyhow::Result<Vec<u8>> {
    let mut rows = Rows { csv: csv::Writer::from_writer(Vec::new()), groups: 0 };
    rows.csv.write_record(["id", "finding", "group", "detail"])?;
    let validation = &looked.validation;
    for problem in &looked.problems {
        rows.problem(problem)?;
    }
    for patient in &validation.patients.crossing {
        let members =
            patient.ids.iter().flat_map(|(part, ids)| ids.iter().map(move |id| (id.as_str(), (*part).to_owned())));
        rows.group("patient_crosses_split", members)?;
    }
    for patients in &validation.patients.sharing {
        let detail = format!("{} patients share pictures", patients.patients);
        rows.group("patients_share_pictures", patients.ids.iter().map(|id| (id.as_str(), detail.clone())))?;
    }
    let repeated = &validation.repeated_images;
    let kinds = [
        ("identical_image", &repeated.identical),
        ("near_identical_image", &repeated.near),
        ("mirrored_image", &repeated.mirrored),
    ];
    for (finding, groups) in kinds {
        for group in groups {
            let detail = detail(group);
            rows.group(finding, group.ids.iter().map(|id| (id.as_str(), detail.clone())))?;
        }
    }
    let id = |study: &usize| dataset.studies[*study].id.as_str();
    for group in &validation.texts.repeats.groups {
        let detail = format!("the same report on {} rows", group.rows);
        rows.group("repeated_report", group.studies.iter().map(|study| (id(study), detail.clone())))?;
    }
    for group in &validation.texts.repeats.near_groups {
        let members = group.studies.iter().zip(&group.overlaps);
        rows.group(
            "near_identical_report",
            members.map(|(study, overlap)| (id(study), format!("overlap {overlap:.2}"))),
        )?;
    }
    for ((_, tokens), study) in validation.texts.tokens.all.iter().zip(&dataset.studies) {
        if *tokens as usize > validation.texts.max_report_size {
            rows.one(&study.id, "report_is_cut", &format!("{tokens} tokens"))?;
        }
    }
    for outlier in &validation.outliers {
        let detail = format!("mean grey {:.0}, deviation {:.0} of 255", outlier.mean, outlier.deviation);
        rows.one(&outlier.id, &outlier.oddity.words().replace(' ', "_"), &detail)?;
    }
    rows.csv.into_inner().context("a vector takes all bytes")
}

fn detail(group: &ImageGroup) -> String {
    format!("correlation {:.3}, {} patients, {} reports", group.correlation, group.patients, group.reports)
}

struct Rows {
    csv: csv::Writer<Vec<u8>>,
    groups: usize,
}

impl Rows {
    fn one(&mut self, id: &str, finding: &str, detail: &str) -> anyhow::Result<()> {
        Ok(self.csv.write_record([id, finding, "", detail])?)
    }

    fn group<'a>(&mut self, finding: &str, members: impl Iterator<Item = (&'a str, String)>) -> anyhow::Result<()> {
        self.groups += 1;
        let group = self.groups.to_string();
        for (id, detail) in members {
            self.csv.write_record([id, finding, &group, &detail])?;
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> anyhow::Result<()> {
        match problem {
            Problem::Row { line, .. } => self.one("", "row_cannot_be_used", &format!("line {line}")),
            Problem::RepeatedId { line, id, first_line } => {
                self.one(id, "repeated_id", &format!("line {line}, first on line {first_line}"))
            }
            Problem::BadId { line, reason } => self.one("", "id_is_no_path", &format!("line {line}: {reason}")),
            Problem::MissingImage { line, id } => self.one(id, "missing_image", &format!("line {line}")),
            Problem::AmbiguousImage { line, id, files } => {
                self.one(id, "several_images", &format!("line {line}: {} and {}", files[0], files[1]))
            }
            Problem::UnreadableImage { file, reason } => {
                self.one(file, "unreadable_image", reason.lines().next().unwrap_or_default())
            }
        }
    }
}
