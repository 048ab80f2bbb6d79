//! Pairs of images and texts from a table of one's own: CSV or XLSX, its columns named by the user.

mod rows;

use std::path::{Path, PathBuf};

use serde_json::json;
use xreport_models::image::KNOWN_EXTENSIONS;
use xreport_models::image_lookup::{Extension, ImageLookup};
use xreport_models::study_id::StudyId;

use super::csv_source::no_column;
use super::error::ImportError;
use super::hold_out::HoldOut;
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use crate::data::{IMAGE_FOLDER, Part, no_text};
use rows::{Cells, Sink};

/// How to import it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that the table's paths are relative to; by default the table's own, and `images` in it.
    pub images: Option<PathBuf>,
    /// The sheet of an XLSX file; the first by default.
    pub sheet: Option<String>,
    /// The column of the image paths; their extension may be missing.
    pub image: String,
    /// The columns whose texts, in this order, make the text of a row.
    pub text: Vec<String>,
    /// The column of the patients.
    pub patient: Option<String>,
    /// The column of the studies.
    pub study: Option<String>,
    /// The column of the views.
    pub view: Option<String>,
    /// The column of the parts: train, validation (val, validate) or test.
    pub split: Option<String>,
    /// Who is held out where no column says it: patients; where none are named, rows.
    pub hold_out: HoldOut,
    /// What every result of a model trained on these texts should say; one line.
    pub notice: Option<String>,
}

impl Options {
    /// The columns that are wanted, with the option that names each.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Options { image, text, patient, study, view, split, .. } = self;
        let required = std::iter::once(("image", image)).chain(text.iter().map(|name| ("text", name)));
        let optional = [("patient", patient), ("study", study), ("view", view), ("split", split)];
        let optional = optional.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?)));
        required.chain(optional).map(|(what, name)| (what, name.as_str()))
    }
}

/// Imports the table `source`.
pub fn import(source: &Path, options: &Options, target: &Target<'_>) -> Result<Report, ImportError> {
    options.hold_out.check()?;
    if options.split.is_some() && options.hold_out != HoldOut::NOBODY {
        return Err(ImportError::Options(
            "the split is drawn or in a column, not both\n\
             hint: leave out --split-column, or --test-percent, --validation-percent and --seed"
                .to_owned(),
        ));
    }
    if !source.is_file() {
        return Err(ImportError::Missing {
            what: "the table",
            path: source.to_owned(),
            hint: "name a CSV or XLSX file",
        });
    }
    let folder = options.images.clone().unwrap_or_else(|| source.parent().unwrap_or(Path::new("")).to_owned());
    if target.placement.is_some() && options.images.is_some() && !folder.is_dir() {
        return Err(ImportError::Missing { what: "the folder of the images", path: folder, hint: "check --images" });
    }
    let lookup = ImageLookup::new(&folder);
    let mut import = Import { source, options, target, folder, lookup, begun: None };
    let wanted: Vec<&str> = options.columns().map(|(_, name)| name).collect();
    rows::read(source, &wanted, options.sheet.as_deref(), &mut import)?;
    match import.begun {
        Some((session, _)) => session.finish(),
        None => Err(ImportError::table(source, "it is empty\nhint: the first line names the columns")),
    }
}

struct Import<'a> {
    source: &'a Path,
    options: &'a Options,
    target: &'a Target<'a>,
    folder: PathBuf,
    lookup: ImageLookup,
    begun: Option<(Session<'a>, Places)>,
}

/// Where the columns are.
#[derive(Default)]
struct Places {
    image: usize,
    text: Vec<usize>,
    patient: Option<usize>,
    study: Option<usize>,
    view: Option<usize>,
    split: Option<usize>,
}

impl Import<'_> {
    fn places(&self, names: &[String]) -> Result<Places, ImportError> {
        let mut places = Places::default();
        for (what, wanted) in self.options.columns() {
            let mut found = (0..names.len()).filter(|&at| names[at].trim().eq_ignore_ascii_case(wanted));
            let place = found.next().ok_or_else(|| no_column(self.source, wanted, names))?;
            if found.next().is_some() {
                let problem = format!("the column `{wanted}` is there twice\nhint: rename or delete one of them");
                return Err(ImportError::table(self.source, problem));
            }
            match what {
                "image" => places.image = place,
                "text" => places.text.push(place),
                "patient" => places.patient = Some(place),
                "study" => places.study = Some(place),
                "view" => places.view = Some(place),
                _ => places.split = Some(place),
            }
        }
        Ok(places)
    }
}

impl Sink for Import<'_> {
    fn header(&mut self, names: &[String]) -> Result<(), ImportError> {
        let places = self.places(names)?;
        let notice = self.options.notice.as_ref().map_or_else(String::new, |notice| format!("{}\n", notice.trim()));
        let mut session = Session::begin(
            self.target,
            Corpus {
                name: "pairs",
                source: self.source,
                options: json!({
                    "columns": self.options.columns().map(|(what, name)| json!([what, name])).collect::<Vec<_>>(),
                    "sheet": self.options.sheet, "hold_out": self.options.hold_out,
                }),
                columns: Columns::Plain,
                notice: &notice,
            },
        )?;
        session.count("rows", 0);
        self.begun = Some((session, places));
        Ok(())
    }

    fn row(&mut self, number: u64, cells: &Cells<'_>, position: (u64, u64)) -> Result<(), ImportError> {
        let (session, places) = self.begun.as_mut().expect("the header comes first");
        session.at(position.0, position.1);
        session.count("rows", 1);
        let item = format!("line {number}");
        let cells = match cells {
            Cells::Even(cells) => cells,
            Cells::Uneven => return session.leave_out(Reason::Cells, &item, ""),
            Cells::Quotes => return session.leave_out(Reason::Quotes, &item, ""),
            Cells::NotUtf8 => return session.leave_out(Reason::NotUtf8, &item, ""),
        };
        let cell = |place: Option<usize>| place.map_or("", |at| cells[at]);
        let image = cells[places.image];
        if image.is_empty() {
            return session.leave_out(Reason::EmptyCell, &item, "");
        }
        let texts: Vec<_> = places.text.iter().map(|&at| cells[at]).filter(|text| no_text(text).is_none()).collect();
        if texts.is_empty() {
            return session.leave_out(Reason::NoText, &item, "");
        }
        let id = match relative(image, &self.folder) {
            Ok(id) => id,
            Err(problem) => return session.leave_out(Reason::BadPath, &item, &problem),
        };
        let patient = cell(places.patient);
        let part = match places.split {
            Some(at) => Part::from_cell(cells[at]),
            None => Some(self.options.hold_out.part(if patient.is_empty() { id.as_str() } else { patient })),
        };
        let Some(part) = part else {
            return session.leave_out(Reason::UnknownPart, &item, "");
        };
        let found = if session.places_images() { find(image, &id, &self.folder, &mut self.lookup) } else { None };
        // Without its image a row keeps the extension that the table gives it.
        let extension =
            found.as_deref().unwrap_or(Path::new(image)).extension().and_then(|extension| extension.to_str());
        let file = match extension {
            Some(extension) if !id.as_str().ends_with(&format!(".{extension}")) => format!("{id}.{extension}"),
            _ => id.as_str().to_owned(),
        };
        let row = Row {
            file: &file,
            text: &texts.join(" "),
            own: &[],
            view: cell(places.view),
            patient,
            study: cell(places.study),
            text_source: "report",
        };
        session.row(&row, part, found.as_deref())
    }
}

/// The id of an image: its path below the image folder.
fn relative(image: &str, folder: &Path) -> Result<StudyId, String> {
    let below = if Path::new(image).is_absolute() {
        let absolute = std::path::absolute(folder).map_err(|error| error.to_string())?;
        let path = Path::new(image).strip_prefix(&absolute).map_err(|_| "an absolute path elsewhere".to_owned())?;
        path.to_string_lossy().into_owned()
    } else {
        image.to_owned()
    };
    StudyId::normalise(&below).map_err(|error| error.to_string())
}

/// The file that the table means: below the folder or below `images` in it; as it is written, or with one of the usual
/// extensions, or with its accents in another form.
fn find(image: &str, id: &StudyId, folder: &Path, lookup: &mut ImageLookup) -> Option<PathBuf> {
    let written = image.replace('\\', "/");
    let written = if Path::new(&written).is_absolute() { PathBuf::from(&written) } else { folder.join(&written) };
    let bases = [folder.join(id.as_str()), folder.join(IMAGE_FOLDER).join(id.as_str())];
    let with_extension = |base: &PathBuf| {
        KNOWN_EXTENSIONS.iter().chain(&["dcm"]).find_map(|extension| {
            let mut path = base.as_os_str().to_owned();
            path.push(format!(".{extension}"));
            Some(PathBuf::from(path)).filter(|path| path.is_file())
        })
    };
    // `images/NAME.EXT` of a table that says `NAME.EXT`.
    let name = written.file_name().map(|name| bases[1].with_file_name(name));
    let found = std::iter::once(written).chain(name).find(|path| path.is_file());
    let found = found.or_else(|| bases.iter().find_map(with_extension));
    found.or_else(|| lookup.find(image, Extension::Optional).ok().map(|found| found.path).filter(|path| path.is_file()))
}

#[cfg(test)]
mod tests;
