//! Several data sets as one: to train on all of them, and to see what a model makes of each.
//!
//! ```text
//! A/XREPORT_dataset.csv, A/images/x.png       id A/x.png, patient A-17, source A
//! B/XREPORT_dataset.csv, B/images/x.png       id B/x.png, patient B-17, source B
//! ```
//!
//! Texts, splits and the columns `labels`, `age`, `view`, `study` and `text_source` stay as they are. The patients of two
//! data sets are taken to be different people.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::ImportError;
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use crate::data::{Dataset, Part, further_columns, summary};
use crate::training::NOTICE_FILE;

/// Columns that are taken along.
const KEPT: [&str; 5] = ["labels", "age", "view", "study", "text_source"];

/// Joins the data sets in the folders `sources`.
pub fn import(sources: &[PathBuf], target: &Target<'_>) -> Result<Report, ImportError> {
    let names = names(sources)?;
    let datasets = sources.iter().map(|source| open(source)).collect::<Result<Vec<_>, _>>()?;
    let notice = notice(sources)?;
    let folders: Vec<_> = sources.iter().map(|source| super::folder::named(source)).collect();
    let corpus = Corpus {
        name: "join",
        source: &sources[0],
        options: json!({"data": folders}),
        columns: Columns::Joined,
        notice: &notice,
    };
    let mut session = Session::begin(target, corpus)?;
    let total = datasets.iter().map(|dataset| dataset.studies.len()).sum::<usize>() as u64;
    let mut done = 0;
    for (name, dataset) in names.iter().zip(&datasets) {
        session.count("studies", (dataset.studies.len() + dataset.problems.len()) as u64);
        for problem in &dataset.problems {
            session.leave_out(Reason::Unusable, name, &summary(std::slice::from_ref(problem)))?;
        }
        let columns = further_columns(&dataset.table, KEPT)
            .map_err(|error| ImportError::table(&dataset.table, error.to_string()))?;
        let mut without_part = 0u64;
        for study in &dataset.studies {
            let kept = columns.each_ref().map(|column| column.as_ref().and_then(|column| column.get(&study.id)));
            let [labels, age, view, its_study, text_source] = kept.map(Option::unwrap_or_default);
            let file = format!("{name}/{}", study.file);
            let patient = study.patient.as_ref().map_or_else(String::new, |patient| format!("{name}-{patient}"));
            let row = Row {
                file: &file,
                text: &study.text,
                own: &[labels, age, name],
                view,
                patient: &patient,
                study: its_study,
                text_source,
            };
            without_part += u64::from(study.part.is_none());
            session.row(&row, study.part.unwrap_or(Part::Train), Some(&dataset.images.join(&study.file)))?;
            done += 1;
            session.at(done, total);
        }
        if without_part > 0 {
            session.note(format!("{without_part} studies of `{name}` name no part of the data: they are for training"));
        }
    }
    session.finish()
}

/// What each data set is called: the name of its folder.
fn names(sources: &[PathBuf]) -> Result<Vec<String>, ImportError> {
    let mut taken = BTreeSet::new();
    let name = |source: &PathBuf| {
        let path = source.canonicalize().map_err(ImportError::read(source))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let fresh = !name.is_empty() && taken.insert(name.clone());
        let told = || {
            ImportError::Options(format!(
                "`{}` has no name of its own among the data sets, which are told apart by their folders' names\n\
                 hint: rename the folder",
                source.display()
            ))
        };
        if fresh { Ok(name) } else { Err(told()) }
    };
    sources.iter().map(name).collect()
}

fn open(source: &Path) -> Result<Dataset, ImportError> {
    Dataset::open(source, None).map_err(|error| ImportError::Options(error.to_string()))
}

/// The notices of all, one after another; their first lines in one, since that one enters every model's notice.
fn notice(sources: &[PathBuf]) -> Result<String, ImportError> {
    let (mut first, mut rest) = (Vec::new(), String::new());
    for source in sources {
        let path = source.join(NOTICE_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ImportError::read(&path)(error)),
        };
        if let Some(line) = text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
            first.push(line.trim_end_matches('.').to_owned());
        }
        rest.push_str(&format!("\n{}\n", text.trim_end()));
    }
    Ok(if first.is_empty() { String::new() } else { format!("{}\n{rest}", first.join("; ")) })
}

#[cfg(test)]
mod tests {
    use super::super::{Placement, Progress};
    use super::*;

    fn data_set(folder: &Path, table: &str, notice: &str) {
        fs::create_dir_all(folder.join("images")).unwrap();
        fs::write(folder.join("XREPORT_dataset.csv"), table).unwrap();
        fs::write(folder.join("images/x.png"), "pixels").unwrap();
        if !notice.is_empty() {
            fs::write(folder.join(NOTICE_FILE), notice).unwrap();
        }
    }

    fn run(sources: &[PathBuf], out: &Path) -> Result<Report, ImportError> {
        let progress = |_: Progress| {};
        import(sources, &Target { out: out.to_owned(), placement: Some(Placement::Auto), progress: &progress })
    }

    #[test]
    fn images_and_patients_of_two_data_sets_are_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let [a, b, out] = ["a", "b", "out"].map(|name| place.path().join(name));
        data_set(
            &a,
            "id,text,labels,age,patient,split\nx.png,Clear.,None,58,17,test\ny.png,Gone.,,,,\n",
            "from A.\nMore.\n",
        );
        data_set(&b, "id,text,patient\nx,Hazy.,17\n", "from B");
        let report = run(&[a.clone(), b.clone()], &out).unwrap();
        assert_eq!((report.rows, report.part_rows, report.part_patients[2]), (2, [1, 0, 1], 1));
        assert_eq!(report.left_out, [(Reason::Unusable, 1)]);
        assert!(report.notes[0].contains("1 studies of `b` name no part"), "{:?}", report.notes);
        let table = fs::read_to_string(out.join("XREPORT_dataset.csv")).unwrap();
        assert!(table.contains("a/x.png,Clear.,None,58,a,,a-17,,test,"), "{table}");
        assert!(table.contains("b/x.png,Hazy.,,,b,,b-17,,train,"), "{table}");
        let notice = fs::read_to_string(out.join(NOTICE_FILE)).unwrap();
        assert!(notice.starts_with("from A; from B\n") && notice.contains("More."), "{notice}");
        // What the trainer makes of it.
        assert_eq!(Dataset::open(&out, None).unwrap().studies.len(), 2);
        // Again: the same import, nothing placed twice.
        assert_eq!(run(&[a, b], &out).unwrap().placed.unwrap().already_there, 2);
    }

    #[test]
    fn data_sets_of_one_name_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let [a, b] = ["one/a", "two/a"].map(|name| place.path().join(name));
        data_set(&a, "id,text\nx,Clear.\n", "");
        data_set(&b, "id,text\nx,Clear.\n", "");
        let error = run(&[a, b], &place.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("two/a` has no name of its own") && error.contains("hint: "), "{error}");
    }
}
