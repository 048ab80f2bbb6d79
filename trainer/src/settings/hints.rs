//! What to do about each kind of mistake, in words.

use serde_json::Value;

use super::Settings;
use super::keys::{KEYS, Key, Kind, SECTIONS};
use super::problem::nearest;

/// `[a, b, c]` as "`a`, `b`, `c`".
pub fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// For text that is no JSON; `message` is what the parser said, without the place.
pub fn for_syntax(error: &serde_json::Error, message: &str, text: &str) -> &'static str {
    let line_text = text.lines().nth(error.line().saturating_sub(1));
    let rest = line_text.and_then(|line| line.get(error.column().saturating_sub(1)..)).unwrap_or_default();
    if message.contains("trailing comma") {
        "take out the comma after the last entry"
    } else if message.contains("EOF") {
        "the file ends too early: a brace, bracket or quote is not closed"
    } else if rest.starts_with(['/', '#']) {
        "JSON has no comments: take it out; settings/README.md explains every key"
    } else if rest.starts_with('\'') {
        "JSON wants double quotes"
    } else if message.contains("expected `,`") {
        "put a comma between two entries"
    } else if message.contains("expected value") || message.contains("expected ident") {
        "write a number, true, false, \"text\" or [a list]"
    } else {
        "compare with settings/configurations.json"
    }
}

/// For a section that does not exist, or `--set` without one.
pub fn for_section(written: &str) -> String {
    let name = written.rsplit('.').next().unwrap_or(written);
    let written_section = written.split('.').next().unwrap_or(written);
    if let Some(section) = nearest(written_section, SECTIONS.into_iter()) {
        return format!("did you mean `{section}`?");
    }
    let homes: Vec<_> = KEYS.iter().filter(|key| key.name == name).collect();
    if homes.is_empty() {
        return "settings/README.md lists every section and key".into();
    }
    let paths: Vec<_> = homes.iter().map(|key| key.path()).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    format!("a key needs its section: {}", list(&paths))
}

/// For a key that its section does not have.
pub fn for_unknown_key(section: &str, name: &str) -> String {
    let names = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    if let Some(elsewhere) = KEYS.iter().find(|key| key.name == name) {
        return format!("`{name}` belongs in the section `{}`", elsewhere.section);
    }
    if let Some(near) = nearest(name, names.clone()) {
        return format!("did you mean `{near}`?");
    }
    if let Some(near) = nearest(name, KEYS.iter().map(|key| key.name)) {
        let home = KEYS.iter().find(|key| key.name == near);
        let home = home.map_or(section, |key| key.section);
        return format!("did you mean `{near}` in the section `{home}`?");
    }
    format!("take it out; the keys are {}", list(&names.collect::<Vec<_>>()))
}

/// For a value that `key` does not accept.
pub fn for_value(key: &Key, value: &Value) -> String {
    // "3" or "true" where 3 or true is wanted.
    if let Some(text) = value.as_str()
        && let Ok(plain) = serde_json::from_str::<Value>(&text.to_lowercase())
        && key.kind.accepts(&plain)
    {
        return format!("write {plain} without quotes");
    }
    match (key.kind, value) {
        (Kind::Switch, Value::Number(number)) => {
            format!("write {}", number.as_f64().is_some_and(|x| x != 0.0))
        }
        // 3.0 where 3 is wanted.
        (Kind::Whole { .. } | Kind::SampleSize, Value::Number(number)) => {
            let whole = Value::from(number.as_f64().unwrap_or_default().round() as u64);
            let is_whole = number.as_f64() == whole.as_f64();
            if is_whole && key.kind.accepts(&whole) { format!("write {whole}") } else { default_hint(key) }
        }
        (Kind::Choice(words), Value::String(text)) => match nearest(text, words.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => default_hint(key),
        },
        _ => default_hint(key),
    }
}

fn default_hint(key: &Key) -> String {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    format!("the default is {}", defaults[key.section][key.name])
}
