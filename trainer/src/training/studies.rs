//! The record of the studies that a run learns from, kept beside its checkpoint: what a resumed run finds changed is named.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use xreport_models::atomic::write_file;

/// File in the checkpoint's folder. Like the verification set it never enters a bundle.
pub const FILE: &str = "studies.json";
/// Ids that a message names of each kind of change.
const NAMED: usize = 3;

/// Each study's id with the start of a SHA-256 over its text and pixels.
pub type Studies = BTreeMap<String, String>;

/// Writes the record beside the checkpoint in `folder`.
pub fn save(folder: &Path, studies: &Studies) -> anyhow::Result<()> {
    let text = serde_json::to_string(studies).context("ids cannot be written as JSON")?;
    Ok(write_file(folder.join(FILE), text.as_bytes())?)
}

/// What has changed since the record beside the checkpoint in `folder` was written; `None` without a readable record.
pub fn differences(folder: &Path, now: &Studies) -> Option<String> {
    let then: Studies = serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()?;
    let (mut gone, mut new, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, digest) in &then {
        match now.get(id) {
            None => gone.push(id.as_str()),
            Some(other) if other != digest => changed.push(id.as_str()),
            Some(_) => {}
        }
    }
    new.extend(now.keys().filter(|id| !then.contains_key(*id)).map(String::as_str));
    let told = |ids: &[&str], what: &str| {
        let named = ids[..ids.len().min(NAMED)].join("`, `");
        let more = if ids.len() > NAMED { ", …" } else { "" };
        (!ids.is_empty()).then(|| format!("{} {what}: `{named}`{more}", ids.len()))
    };
    let kinds = [
        told(&gone, "studies are gone or cannot be read"),
        told(&new, "are new"),
        told(&changed, "have another text or image"),
    ];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    Some(if kinds.is_empty() { "the same studies, prepared otherwise".to_owned() } else { kinds.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_counted_and_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let record = |pairs: &[(&str, &str)]| -> Studies {
            pairs.iter().map(|(id, digest)| ((*id).to_owned(), (*digest).to_owned())).collect()
        };
        assert_eq!(differences(folder.path(), &record(&[])), None);
        let then = record(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5"), ("f", "6")]);
        save(folder.path(), &then).expect("written");
        assert!(differences(folder.path(), &then).expect("a record").contains("the same studies"));
        let told = differences(folder.path(), &record(&[("a", "9"), ("f", "6"), ("g", "7")])).expect("a record");
        assert_eq!(
            told,
            "4 studies are gone or cannot be read: `b`, `c`, `d`, …; 1 are new: `g`; 1 have another text or image: `a`"
        );
    }
}
