//! The two tables of a phantom data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::draw::FindingBox;
use super::super::observation::Observation;
use super::error::PhantomError;
use super::{FINDINGS_FILE, REPORTS_FILE, Row, put};

/// Writes reports and findings.
pub(super) fn write_tables(folder: &Path, rows: &[Row]) -> Result<(), PhantomError> {
    let reports = rows.iter().map(|row| [row.id.clone(), row.text.clone(), format!("phantom-{:06}", row.patient + 1)]);
    write_table(&folder.join(REPORTS_FILE), ["id", "text", "patient"], reports)?;
    let findings = rows.iter().map(|row| {
        let join = |parts: Vec<String>| parts.join("|");
        let labels = join(row.boxes.iter().map(|one| one.observation.to_string()).collect());
        let boxes =
            join(row.boxes.iter().map(|b| format!("{}@{},{},{},{}", b.observation, b.x0, b.y0, b.x1, b.y1)).collect());
        [row.id.clone(), labels, boxes]
    });
    write_table(&folder.join(FINDINGS_FILE), ["id", "observations", "boxes"], findings)
}

fn write_table(path: &Path, header: [&str; 3], rows: impl Iterator<Item = [String; 3]>) -> Result<(), PhantomError> {
    let csv_error = |source| PhantomError::Csv { path: path.to_owned(), source };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(csv_error)?;
    for row in rows {
        writer.write_record(&row).map_err(csv_error)?;
    }
    let bytes = writer.into_inner().map_err(|error| csv_error(error.into_error().into()))?;
    put(path, &bytes)
}

/// What is drawn on one film, as `findings.csv` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    /// The drawn observations; empty for a normal film.
    pub observations: BTreeSet<Observation>,
    /// One box for each, in pixels of the film as it was written.
    pub boxes: Vec<FindingBox>,
}

/// Reads `findings.csv`: what is drawn on each film, by id.
pub fn read_findings(path: &Path) -> Result<BTreeMap<String, Drawn>, PhantomError> {
    let csv_error = |source| PhantomError::Csv { path: path.to_owned(), source };
    let mut reader = csv::Reader::from_path(path).map_err(csv_error)?;
    let wrong = |line: u64, found: &str, expected| PhantomError::Row {
        path: path.to_owned(),
        line,
        found: found.to_owned(),
        expected,
    };
    let header = reader.headers().map_err(csv_error)?;
    if !header.iter().eq(["id", "observations", "boxes"]) {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(wrong(1, &found, "the columns `id,observations,boxes`"));
    }
    let mut all = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        let (id, labels, boxes) = (&record[0], &record[1], &record[2]);
        let label_error = |source| PhantomError::Observation { path: path.to_owned(), line, id: id.to_owned(), source };
        let parts = |text| str::split(text, '|').filter(|part| !part.is_empty());
        let observations = parts(labels).map(str::parse).collect::<Result<_, _>>().map_err(label_error)?;
        let boxes = parts(boxes)
            .map(|text| parse_box(text).ok_or_else(|| wrong(line, text, "a box such as `cardiomegaly@80,90,200,180`")))
            .collect::<Result<_, _>>()?;
        if all.insert(id.to_owned(), Drawn { observations, boxes }).is_some() {
            return Err(wrong(line, id, "an id that no other row has"));
        }
    }
    Ok(all)
}

fn parse_box(text: &str) -> Option<FindingBox> {
    let (label, corners) = text.split_once('@')?;
    let corners: Vec<u32> = corners.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [x0, y0, x1, y1] = corners[..] else { return None };
    (x0 < x1 && y0 < y1).then_some(FindingBox { observation: label.parse().ok()?, x0, y0, x1, y1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Drawn>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FINDINGS_FILE);
        std::fs::write(&path, text).expect("written");
        read_findings(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_read() {
        let all = read(
            "id,observations,boxes\na,,\nb,cardiomegaly|nodule:left:mid,\"cardiomegaly@1,2,30,40|nodule:left:mid@5,6,7,8\"\n",
        )
        .expect("readable");
        assert_eq!(all["a"], Drawn::default());
        assert_eq!(all["b"].observations.len(), 2);
        assert_eq!((all["b"].boxes[1].x0, all["b"].boxes[1].y1), (5, 8));
    }

    #[test]
    fn wrong_rows_are_named_with_their_line() {
        let header = "id,observations,boxes\n";
        for (text, expected) in [
            ("id,findings\n".to_owned(), "the columns"),
            (format!("{header}a,fracture,\n"), "line 2, id `a`: `fracture`"),
            (format!("{header}a,,\na,,\n"), "line 3: found `a`"),
            (format!("{header}a,cardiomegaly,\"cardiomegaly@1,2,3\"\n"), "line 2: found `cardiomegaly@1,2,3`"),
            (format!("{header}a,cardiomegaly,\"cardiomegaly@9,2,3,4\"\n"), "expected a box"),
            (format!("{header}a\n"), "findings.csv"),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
