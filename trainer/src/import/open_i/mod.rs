//! The Indiana University chest X-ray collection, known as Open-i or IU X-Ray.
//!
//! Two editions hold the same texts: the National Library of Medicine's XML reports (`NLMCXR_reports.tgz`, or the folder
//! that it unpacks to) with PNG images, and Kaggle's `indiana_reports.csv` with `indiana_projections.csv`. Only the latter
//! says which image is frontal; it is used beside the XML, too. The corpus names no patients: a study stands for one.

mod kaggle;
mod marks;
mod xml;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::csv_source::{CsvSource, open};
use super::error::ImportError;
use super::hold_out::HoldOut;
use super::image_index::ImageIndex;
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use super::text::{Sections, Views};
use crate::data::{no_text, text_or_nothing};
use kaggle::{PROJECTIONS, Projections, image_key};
pub use marks::Marks;

/// No report of the corpus comes near it: a larger file is something else.
const LARGEST_REPORT: u64 = 4 << 20;

const NOTICE: &str = "trained on Open-i, the Indiana University chest X-ray collection (CC BY-NC-ND 4.0)

The reports and images: Indiana University and the National Library of Medicine, https://openi.nlm.nih.gov; each report
names the licence CC BY-NC-ND 4.0 (http://creativecommons.org/licenses/by-nc-nd/4.0/). Described in: D. Demner-Fushman et
al., \"Preparing a collection of radiology examinations for distribution and retrieval\", JAMIA 23 (2016).
";

/// How to import it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the images are; by default the source itself where it is a folder, else `images` beside it.
    pub images: Option<PathBuf>,
    /// Kaggle's table of views; by default the one beside or in the source.
    pub projections: Option<PathBuf>,
    /// Which images are taken; frontal ones need the projections.
    pub views: Views,
    /// Which sections make the text.
    pub sections: Sections,
    /// What becomes of `XXXX`.
    pub marks: Marks,
    /// Who is held out: studies, for want of patients.
    pub hold_out: HoldOut,
}

/// A report of either edition.
struct StudyReport {
    /// `CXR3029`.
    study: String,
    findings: String,
    impression: String,
    /// Names of its images.
    images: Vec<String>,
}

/// What a report is joined with.
struct Import<'a> {
    options: &'a Options,
    projections: Option<Projections>,
    images: Option<ImageIndex>,
}

/// Imports `source`: `NLMCXR_reports.tgz`, a folder of XML reports, or Kaggle's `indiana_reports.csv`.
pub fn import(source: &Path, options: &Options, target: &Target<'_>) -> Result<Report, ImportError> {
    options.hold_out.check()?;
    if !source.exists() {
        return Err(ImportError::Missing {
            what: "the reports",
            path: source.to_owned(),
            hint: "name NLMCXR_reports.tgz, a folder of XML reports, or Kaggle's indiana_reports.csv",
        });
    }
    let is_csv = source.is_file() && is_csv(source);
    let projections = find_projections(source, options, is_csv)?;
    let images = match target.placement {
        Some(_) => Some(find_images(source, options)?),
        None => None,
    };
    let import = Import { options, projections: projections.as_deref().map(Projections::read).transpose()?, images };
    let mut session = Session::begin(
        target,
        Corpus {
            name: "open-i",
            source,
            options: json!({
                "views": options.views, "sections": options.sections, "marks": options.marks,
                "projections": import.projections.is_some(), "hold_out": options.hold_out,
            }),
            columns: Columns::Sections,
            notice: NOTICE,
        },
    )?;
    for what in [REPORTS, WITH_FINDINGS, WITH_IMPRESSION] {
        session.count(what, 0);
    }
    if is_csv {
        import.table(source, &mut session)?;
    } else if source.is_dir() {
        import.folder(source, &mut session)?;
    } else {
        import.archive(source, &mut session)?;
    }
    if let Some(images) = import.images.as_ref().filter(|images| images.repeated > 0) {
        session.note(format!("{} images have the name of another one in the image folder", images.repeated));
    }
    session.finish()
}

const REPORTS: &str = "reports";
const WITH_FINDINGS: &str = "with findings";
const WITH_IMPRESSION: &str = "with impression";

fn find_projections(source: &Path, options: &Options, is_csv: bool) -> Result<Option<PathBuf>, ImportError> {
    let folder = if source.is_dir() { source } else { source.parent().unwrap_or(Path::new("")) };
    let beside = folder.join(PROJECTIONS);
    let found = options.projections.clone().or_else(|| super::csv_source::plain_or_gz(&beside));
    if found.is_none() && (is_csv || options.views == Views::Frontal) {
        return Err(ImportError::Missing {
            what: "the table that says which images are frontal",
            path: beside,
            hint: "the XML reports do not say it: name Kaggle's indiana_projections.csv with --projections, or (with XML \
                   reports) take every image with --views all",
        });
    }
    Ok(found)
}

fn find_images(source: &Path, options: &Options) -> Result<ImageIndex, ImportError> {
    let beside = source.parent().unwrap_or(Path::new("")).join("images");
    let folder = options.images.clone().unwrap_or(if source.is_dir() { source.to_owned() } else { beside });
    let missing = |path: PathBuf| ImportError::Missing {
        what: "the images of the corpus",
        path,
        hint: "unpack NLMCXR_png.tgz and name its folder with --images, or write the table alone with --without-images",
    };
    if !folder.is_dir() {
        return Err(missing(folder));
    }
    let index = ImageIndex::read(&folder, &|name| Some(image_key(name)))?;
    if index.len() == 0 { Err(missing(folder.join("CXR1_1_IM-0001-3001.png"))) } else { Ok(index) }
}

impl Import<'_> {
    /// Kaggle's table.
    fn table(&self, source: &Path, session: &mut Session<'_>) -> Result<(), ImportError> {
        let projections = self.projections.as_ref().expect("asked for before the session began");
        let mut table = CsvSource::open(source, b',')?;
        let [uid, findings, impression] = table.columns(["uid", "findings", "impression"])?;
        while table.advance()? {
            let (done, total) = table.position();
            session.at(done, total);
            let line = format!("line {}", table.line());
            if !table.is_even() {
                session.leave_out(Reason::Cells, &line, "")?;
                continue;
            }
            let raw = (table.cells([uid]), table.raw_cell(findings), table.raw_cell(impression));
            let (Some([uid]), Some(findings), Some(impression)) = raw else {
                session.leave_out(Reason::NotUtf8, &line, "")?;
                continue;
            };
            let report = StudyReport {
                study: format!("CXR{uid}"),
                findings: findings.to_owned(),
                impression: impression.to_owned(),
                images: projections.of(uid).iter().map(|(file, _)| file.clone()).collect(),
            };
            self.report(report, session)?;
        }
        Ok(())
    }

    /// A folder of XML files, and the folders in it.
    fn folder(&self, source: &Path, session: &mut Session<'_>) -> Result<(), ImportError> {
        let mut files = Vec::new();
        collect_xml(source, &mut files)?;
        if files.is_empty() {
            return Err(ImportError::Missing {
                what: "an XML report",
                path: source.join("1.xml"),
                hint: "name the folder that NLMCXR_reports.tgz unpacks to, or the archive itself",
            });
        }
        for (at, file) in files.iter().enumerate() {
            session.at(at as u64, files.len() as u64);
            let name = file.strip_prefix(source).unwrap_or(file).to_string_lossy().into_owned();
            match fs::File::open(file) {
                Ok(mut content) => self.xml(&name, &mut content, session)?,
                Err(error) => session.leave_out(Reason::Unreadable, &name, &error.to_string())?,
            }
        }
        session.at(files.len() as u64, files.len() as u64);
        Ok(())
    }

    /// A `.tgz` or `.tar`: nothing is unpacked.
    fn archive(&self, source: &Path, session: &mut Session<'_>) -> Result<(), ImportError> {
        let metered = open(source)?;
        let (done, total) = (metered.done, metered.total);
        let mut archive = tar::Archive::new(metered.content);
        for entry in archive.entries().map_err(ImportError::read(source))? {
            let mut entry = entry.map_err(ImportError::read(source))?;
            session.at(done.get(), total);
            let path = entry.path().map_err(ImportError::read(source))?.into_owned();
            if entry.header().entry_type().is_file() && is_report(&path) {
                let name = path.to_string_lossy().into_owned();
                // What the archive itself cannot give is the archive's fault, not the report's.
                let mut bytes = Vec::new();
                entry.by_ref().take(LARGEST_REPORT + 1).read_to_end(&mut bytes).map_err(ImportError::read(source))?;
                self.xml(&name, &mut bytes.as_slice(), session)?;
            }
        }
        // The end of the compressed stream is where its checksum is.
        let mut rest = archive.into_inner();
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(ImportError::read(source))?;
        Ok(())
    }

    fn xml(&self, name: &str, content: &mut dyn Read, session: &mut Session<'_>) -> Result<(), ImportError> {
        let mut bytes = Vec::new();
        if let Err(error) = content.take(LARGEST_REPORT + 1).read_to_end(&mut bytes) {
            return session.leave_out(Reason::Unreadable, name, &error.to_string());
        }
        let read = if bytes.len() as u64 > LARGEST_REPORT {
            Err(format!("it is larger than {} MiB", LARGEST_REPORT >> 20))
        } else {
            xml::read(&bytes)
        };
        match read {
            Ok(xml::XmlReport { study, findings, impression, images }) => {
                self.report(StudyReport { study, findings, impression, images }, session)
            }
            Err(problem) => session.leave_out(Reason::Unreadable, name, &problem),
        }
    }

    /// One row per image of the report.
    fn report(&self, report: StudyReport, session: &mut Session<'_>) -> Result<(), ImportError> {
        let has = |text: &str| u64::from(no_text(text).is_none());
        session.count(REPORTS, 1);
        session.count(WITH_FINDINGS, has(&report.findings));
        session.count(WITH_IMPRESSION, has(&report.impression));
        let StudyReport { study, findings, impression, images } = report;
        if self.options.sections.text(&findings, &impression).is_empty() {
            return session.leave_out(Reason::NoText, &study, "");
        }
        let [findings, impression] =
            [findings, impression].map(|text| self.options.marks.apply(text_or_nothing(&text)));
        let text = self.options.sections.text(&findings, &impression);
        if text.is_empty() {
            return session.leave_out(Reason::OnlyMarks, &study, "");
        }
        if images.is_empty() {
            return session.leave_out(Reason::NoImageNamed, &study, "");
        }
        let part = self.options.hold_out.part(&study);
        for image in &images {
            let key = image_key(image);
            let view = self.projections.as_ref().and_then(|projections| projections.view(&key)).unwrap_or_default();
            if self.options.views == Views::Frontal && !view.eq_ignore_ascii_case("frontal") {
                let reason = if view.is_empty() { Reason::UnknownView } else { Reason::OtherView };
                session.leave_out(reason, image, view)?;
                continue;
            }
            let found = self.images.as_ref().and_then(|images| images.find(&key));
            let named = if Path::new(image).extension().is_some() { image.clone() } else { format!("{image}.png") };
            let row = Row {
                file: found.as_ref().map_or(&named, |(name, _)| name),
                text: &text,
                own: &[&findings, &impression],
                view,
                patient: &study,
                study: &study,
                text_source: "report",
            };
            session.row(&row, part, found.as_ref().map(|(_, path)| path.as_path()))?;
        }
        Ok(())
    }
}

/// Whether a file is a table by its name, compressed or not.
fn is_csv(path: &Path) -> bool {
    let has = |path: &Path, wanted: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
    has(path, "csv") || (has(path, "gz") && path.file_stem().is_some_and(|stem| has(Path::new(stem), "csv")))
}

fn is_report(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

fn collect_xml(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(ImportError::read(folder))? {
        paths.push(entry.map_err(ImportError::read(folder))?);
    }
    paths.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in paths {
        let path = entry.path();
        if entry.file_type().map_err(ImportError::read(&path))?.is_dir() {
            collect_xml(&path, files)?;
        } else if is_report(&path) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
