//! MIMIC-CXR and MIMIC-CXR-JPG (Johnson et al.; PhysioNet, credentialed access).
//!
//! ```text
//! files/p10/p10000032/s50414267.txt                       the report (mimic-cxr-reports.zip, unpacked)
//! files/p10/p10000032/s50414267/02aa804e-….jpg or .dcm    its images
//! mimic-cxr-2.0.0-split.csv(.gz)                          dicom_id, study_id, subject_id, split
//! mimic-cxr-2.0.0-metadata.csv(.gz)                       dicom_id, …, ViewPosition, …
//! ```
//!
//! The split table leads: one row per image, the official parts kept. Sections follow the rules of the official section
//! file. The ids of the data set are `p10/s50414267/02aa804e-…`: the patient's number stands in the column `patient` alone,
//! so that no message about an image names a patient.

mod corrected;
mod headings;
mod lists;
mod sections;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::csv_source::CsvSource;
use super::error::ImportError;
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use super::text::{Views, one_line};
use crate::data::{Part, text_or_nothing};
use corrected::Correction;
use lists::is_frontal;
use sections::Sections;

const NOTICE: &str = "trained on MIMIC-CXR (PhysioNet, credentialed access: neither its texts nor models that repeat them \
may be passed on)

The reports and images: A. Johnson, T. Pollard, R. Mark, S. Berkowitz, S. Horng, \"MIMIC-CXR Database\", PhysioNet,
https://doi.org/10.13026/C2JT1Q, under the PhysioNet Credentialed Health Data License; and A. E. W. Johnson et al.,
\"MIMIC-CXR, a de-identified publicly available database of chest radiographs with free-text reports\", Scientific Data 6
(2019). Whoever uses this data set must have signed its data use agreement.
";

/// No report of the corpus comes near it: a larger file is something else.
const LARGEST_REPORT: u64 = 1 << 20;
/// What an image may be, the first that is there.
const EXTENSIONS: [&str; 4] = ["jpg", "png", "dcm", "jpeg"];

/// Which text a report gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Text {
    /// Its findings; studies without are left out.
    Findings,
    /// Its impression; studies without are left out.
    Impression,
    /// Findings and impression, or one of them; where there is neither, the last paragraph, or what the official list sets
    /// by hand.
    Both,
    /// The one section of the official file `mimic_cxr_sections`: impression, else findings, else the last paragraph, else
    /// the comparison; or what the official list sets by hand.
    Selected,
}

/// How to import it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `files/` with the images is, where that is not the source.
    pub images: Option<PathBuf>,
    /// The table of the parts; by default the one in the source or beside the images.
    pub split: Option<PathBuf>,
    /// The table of the views; likewise.
    pub metadata: Option<PathBuf>,
    /// Which images are taken.
    pub views: Views,
    /// Which text a report gives.
    pub text: Text,
}

/// The text of a study, with what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct StudyText {
    text: String,
    findings: String,
    impression: String,
    source: &'static str,
}

/// Imports the corpus in the folder `source`, which holds `files/`.
pub fn import(source: &Path, options: &Options, target: &Target<'_>) -> Result<Report, ImportError> {
    let images = options.images.as_deref().unwrap_or(source);
    for folder in [source, images] {
        let files = folder.join("files");
        if !files.is_dir() {
            return Err(ImportError::Missing {
                what: "the corpus's folder of reports and images",
                path: files,
                hint: "name the folder that holds `files/p10`, `files/p11`, …; mimic-cxr-reports.zip must be unpacked there",
            });
        }
    }
    let missing =
        |name: &str, hint| ImportError::Missing { what: "a table of the corpus", path: source.join(name), hint };
    let folders = [source, images];
    let split = lists::find(options.split.as_deref(), lists::SPLIT, &folders)
        .ok_or_else(|| missing(lists::SPLIT, "it comes with MIMIC-CXR-JPG; name it with --split"))?;
    let metadata = lists::find(options.metadata.as_deref(), lists::METADATA, &folders);
    if metadata.is_none() && options.views == Views::Frontal {
        let hint = "it comes with MIMIC-CXR-JPG and says which images are frontal; name it with --metadata, or take every \
                    image with --views all";
        return Err(missing(lists::METADATA, hint));
    }
    let views = metadata.as_deref().map(lists::Views::read).transpose()?;
    let mut table = CsvSource::open(&split, b',')?;
    let columns = table.columns(["dicom_id", "study_id", "subject_id", "split"])?;
    let mut session = Session::begin(
        target,
        Corpus {
            name: "mimic-cxr",
            source,
            options: json!({"views": options.views, "text": options.text}),
            columns: Columns::Sections,
            notice: NOTICE,
        },
    )?;
    let mut import = Import { source, images, options, views, study: String::new(), text: Err(Reason::MissingReport) };
    for what in ["images listed", "studies", "with findings", "with impression"] {
        session.count(what, 0);
    }
    while table.advance()? {
        let (done, total) = table.position();
        session.at(done, total);
        session.count("images listed", 1);
        let line = format!("line {}", table.line());
        match table.cells(columns) {
            None => session.leave_out(Reason::NotUtf8, &line, "")?,
            Some(cells) if cells.iter().any(|cell| cell.is_empty()) => {
                session.leave_out(Reason::EmptyCell, &line, "")?;
            }
            Some([dicom, study, subject, split]) => {
                let image = Image { line, dicom, study, subject, split };
                import.image(&image, &mut session)?;
            }
        }
    }
    session.finish()
}

/// A row of the split table.
struct Image<'a> {
    line: String,
    dicom: &'a str,
    study: &'a str,
    subject: &'a str,
    split: &'a str,
}

struct Import<'a> {
    source: &'a Path,
    images: &'a Path,
    options: &'a Options,
    views: Option<lists::Views>,
    /// The study that was read last: its images stand together in the table.
    study: String,
    text: Result<StudyText, Reason>,
}

impl Import<'_> {
    fn image(&mut self, image: &Image<'_>, session: &mut Session<'_>) -> Result<(), ImportError> {
        let Some(part) = Part::from_cell(image.split) else {
            return session.leave_out(Reason::UnknownPart, &image.line, "");
        };
        // Nothing but digits and the letters of an id ever becomes a path.
        let is_number = |text: &str| text.len() >= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_dicom = image.dicom.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_number(image.study) || !is_number(image.subject) || !is_dicom {
            return session.leave_out(Reason::BadPath, &image.line, "");
        }
        let group = format!("p{}", &image.subject[..2]);
        let study = format!("s{}", image.study);
        let folder = format!("files/{group}/p{}/{study}", image.subject);
        if self.study != study {
            self.text = self.read(&folder, image.study, session);
            self.study.clone_from(&study);
        }
        let item = format!("{group}/{study}/{}", image.dicom);
        let view = self.views.as_ref().map_or("", |views| views.of(image.dicom));
        if self.options.views == Views::Frontal && !is_frontal(view) {
            let reason = if view.is_empty() { Reason::UnknownView } else { Reason::OtherView };
            return session.leave_out(reason, &item, view);
        }
        let text = match &self.text {
            Ok(text) => text,
            Err(reason) => return session.leave_out(*reason, &item, ""),
        };
        let folder = self.images.join(folder);
        let found = EXTENSIONS
            .iter()
            .map(|extension| (*extension, folder.join(format!("{}.{extension}", image.dicom))))
            .find(|(_, path)| session.places_images() && path.is_file());
        let extension = found.as_ref().map_or(EXTENSIONS[0], |(extension, _)| extension);
        let row = Row {
            file: &format!("{item}.{extension}"),
            text: &text.text,
            own: &[&text.findings, &text.impression],
            view,
            patient: image.subject,
            study: image.study,
            text_source: text.source,
        };
        session.row(&row, part, found.as_ref().map(|(_, path)| path.as_path()))
    }

    /// The text of a study; else why it has none.
    fn read(&self, folder: &str, study: &str, session: &mut Session<'_>) -> Result<StudyText, Reason> {
        session.count("studies", 1);
        let path = self.source.join(format!("{folder}.txt"));
        let mut bytes = Vec::new();
        match fs::File::open(path).map(|file| file.take(LARGEST_REPORT + 1).read_to_end(&mut bytes)) {
            Ok(Ok(_)) if bytes.len() as u64 <= LARGEST_REPORT => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Reason::MissingReport),
            Ok(_) | Err(_) => return Err(Reason::Unreadable),
        }
        let report = String::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?.replace("\r\n", "\n").replace('\r', "\n");
        let sections = Sections::of(&report);
        session.count("with findings", u64::from(!sections.findings().is_empty()));
        session.count("with impression", u64::from(!sections.impression().is_empty()));
        study_text(&report, &sections, study.parse().ok(), self.options.text)
    }
}

/// What a report gives, cut into its sections; `number` is the study's.
fn study_text(report: &str, sections: &Sections<'_>, number: Option<u32>, wanted: Text) -> Result<StudyText, Reason> {
    if let Some(correction) = number.and_then(corrected::of) {
        if matches!(wanted, Text::Findings | Text::Impression) {
            return Err(Reason::HandCorrected);
        }
        let text = match correction {
            Correction::Section(name) => sections.last(name).unwrap_or_default(),
            Correction::Characters(begin, end) => corrected::characters(report, begin, end),
        };
        return StudyText { text: one_line(text), source: "report: set by hand", ..StudyText::default() }.if_any();
    }
    let [findings, impression] =
        [sections.findings(), sections.impression()].map(|text| one_line(text_or_nothing(text)));
    let both = super::Sections::Both.text(&findings, &impression);
    let (text, source) = match wanted {
        Text::Findings => (findings.clone(), "report"),
        Text::Impression => (impression.clone(), "report"),
        Text::Both if both.is_empty() => {
            (one_line(sections.last_paragraph().unwrap_or_default()), "report: last paragraph")
        }
        Text::Both => (both, "report"),
        Text::Selected => match sections.selected() {
            Some((name, text)) => (
                one_line(text),
                match name {
                    headings::IMPRESSION => "report: impression",
                    headings::FINDINGS => "report: findings",
                    headings::COMPARISON => "report: comparison",
                    _ => "report: last paragraph",
                },
            ),
            None => return Err(Reason::NoText),
        },
    };
    StudyText { text, findings, impression, source }.if_any()
}

impl StudyText {
    fn if_any(self) -> Result<Self, Reason> {
        if self.text.is_empty() { Err(Reason::NoText) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests;
