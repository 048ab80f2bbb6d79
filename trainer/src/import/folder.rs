//! The data folder that an import writes: its own, or none.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::ImportError;

/// The note of an import in its data folder: first that it has begun, at the end its [`Report`](super::Report).
pub const IMPORT_FILE: &str = "XREPORT_import.json";

/// Takes possession of `out`: a folder that is new, empty, or holds an earlier (perhaps unfinished) import of the same
/// corpus from the same source with the same options.
pub(super) fn claim(out: &Path, corpus: &str, source: &Path, options: &Value) -> Result<(), ImportError> {
    fs::create_dir_all(out).map_err(ImportError::write("create", out))?;
    let marker = out.join(IMPORT_FILE);
    match fs::read(&marker) {
        Ok(bytes) => return check(&marker, &bytes, out, corpus, source, options),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(ImportError::read(&marker)(error)),
    }
    if let Some(found) = first_entry(out).map_err(ImportError::read(out))? {
        return Err(ImportError::NotEmpty { path: out.to_owned(), found });
    }
    let begun = serde_json::json!({"corpus": corpus, "source": named(source), "options": options, "finished": false});
    xreport_models::atomic::write_file(&marker, format!("{begun:#}\n").as_bytes())?;
    Ok(())
}

/// How a source stands in the note: absolute, so that one folder is one source wherever the command is typed.
pub(super) fn named(source: &Path) -> String {
    let path = source.canonicalize().or_else(|_| std::path::absolute(source)).unwrap_or_else(|_| PathBuf::from(source));
    path.to_string_lossy().into_owned()
}

fn check(
    marker: &Path,
    bytes: &[u8],
    out: &Path,
    corpus: &str,
    source: &Path,
    options: &Value,
) -> Result<(), ImportError> {
    let damaged = |problem: String| ImportError::Marker { path: marker.to_owned(), problem };
    let note: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let word = |key: &str| {
        note[key].as_str().map(str::to_owned).ok_or_else(|| damaged(format!("expected a word `{key}`, found none")))
    };
    let (was_corpus, was_source) = (word("corpus")?, word("source")?);
    let source = named(source);
    if was_corpus == corpus && was_source == source && note["options"] == *options {
        return Ok(());
    }
    Err(ImportError::OtherImport {
        path: out.to_owned(),
        expected: format!("{corpus} from `{source}` with {options}"),
        found: format!("{was_corpus} from `{was_source}` with {}", note["options"]),
    })
}

fn first_entry(folder: &Path) -> std::io::Result<Option<String>> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort_unstable();
    Ok(names.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_new_or_empty_or_the_same_imports() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("a/b");
        let (one, two) = (place.path().join("one"), place.path().join("two"));
        let all = serde_json::json!({"views": "all"});
        claim(&out, "pneumonia", &one, &all).unwrap();
        claim(&out, "pneumonia", &one, &all).unwrap();
        let error = claim(&out, "pneumonia", &two, &all).unwrap_err().to_string();
        assert!(error.contains("holds an import of pneumonia") && error.contains("hint: "), "{error}");
        assert!(matches!(claim(&out, "open-i", &one, &all), Err(ImportError::OtherImport { .. })));
        let frontal = serde_json::json!({"views": "frontal"});
        assert!(matches!(claim(&out, "pneumonia", &one, &frontal), Err(ImportError::OtherImport { .. })));
    }

    #[test]
    fn somebody_elses_folder_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("letter.txt"), "mine").unwrap();
        let error = claim(place.path(), "pairs", Path::new("x"), &Value::Null).unwrap_err().to_string();
        assert!(error.contains("`letter.txt`") && error.contains("hint: "), "{error}");
        assert!(!place.path().join(IMPORT_FILE).exists());
        for bytes in ["", "{", "{}", "[]"] {
            fs::write(place.path().join(IMPORT_FILE), bytes).unwrap();
            let refused = claim(place.path(), "pairs", Path::new("x"), &Value::Null).unwrap_err();
            assert!(matches!(refused, ImportError::Marker { .. }), "{bytes}: {refused}");
        }
    }
}
