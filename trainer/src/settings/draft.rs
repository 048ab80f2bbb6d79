//! From text to checked values: gathers from a file and from `--set`, keeps every problem, and
//! only then makes [`Settings`].

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Settings;
use super::check::conflicts;
use super::hints::{for_section, for_syntax, for_unknown_key, for_value, list};
use super::keys::{Key, SECTIONS};
use super::problem::{Origin, Problem, SettingsError};
use super::scan::key_positions;

/// Values on their way to becoming settings.
pub struct Draft {
    /// A whole, valid settings object: refused values never enter it.
    values: Value,
    /// Where `section.KEY` was given last.
    origins: HashMap<String, Origin>,
    /// `section.KEY` whose value was refused: conflicts with them would only confuse.
    refused: HashSet<String>,
    problems: Vec<Problem>,
}

impl Draft {
    /// Starts from `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            values: serde_json::to_value(settings).expect("settings are plain JSON"),
            origins: HashMap::new(),
            refused: HashSet::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the values of a settings file named `name`.
    pub fn read(&mut self, text: &str, name: &str) -> Result<(), SettingsError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root: Value = serde_json::from_str(text).map_err(|error| syntax(&error, text, name))?;
        let lines = self.read_positions(text, name);
        let Value::Object(sections) = root else {
            let expected = format!("an object with the sections {}", list(&SECTIONS));
            self.refuse(
                Origin::Line(name.into(), 1),
                "(the whole file)",
                expected,
                describe(&root),
                "put everything in braces: { \"training\": { … } }",
            );
            return Ok(());
        };
        for (section, content) in sections {
            self.read_section(&section, content, &lines);
        }
        Ok(())
    }

    /// The line of each key, repeated keys reported.
    fn read_positions(&mut self, text: &str, name: &str) -> HashMap<String, Origin> {
        let mut lines: HashMap<String, Origin> = HashMap::new();
        for position in key_positions(text) {
            let path = match position.name {
                Some(name) => format!("{}.{name}", position.section),
                None => position.section,
            };
            let origin = Origin::Line(name.to_owned(), position.line);
            if let Some(Origin::Line(_, first)) = lines.get(&path) {
                let found = format!("it stands on line {first} already");
                let hint = "keep one of them";
                self.refuse(origin, &path, "each key once".into(), found, hint);
            } else {
                lines.insert(path, origin);
            }
        }
        lines
    }

    fn read_section(&mut self, section: &str, content: Value, lines: &HashMap<String, Origin>) {
        let origin_of = |path: &str| lines.get(path).cloned().unwrap_or(Origin::Default);
        if !SECTIONS.contains(&section) {
            let expected = format!("one of the sections {}", list(&SECTIONS));
            let hint = for_section(section);
            self.refuse(origin_of(section), section, expected, "unknown section", hint);
            return;
        }
        let Value::Object(content) = content else {
            let expected = "an object of keys and values".into();
            let hint = format!("write \"{section}\": {{ \"KEY\": value, … }}");
            self.refuse(origin_of(section), section, expected, describe(&content), hint);
            return;
        };
        for (name, value) in content {
            let origin = origin_of(&format!("{section}.{name}"));
            self.set_value(section, &name, value, origin);
        }
    }

    /// Takes one `section.KEY=value` of `--set`: the value is read as JSON, else it is a string.
    pub fn set(&mut self, assignment: &str) {
        let Some((path, value)) = assignment.split_once('=') else {
            let expected = "section.KEY=value".into();
            let hint = "write for example --set training.EPOCHS=3";
            self.refuse(Origin::CommandLine, assignment, expected, "no `=`", hint);
            return;
        };
        let (path, value) = (path.trim(), value.trim());
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        match path.split_once('.') {
            Some((section, name)) if SECTIONS.contains(&section) => {
                self.set_value(section, name, value, Origin::CommandLine);
            }
            _ => {
                let expected = format!("section.KEY with one of the sections {}", list(&SECTIONS));
                let hint = for_section(path);
                self.refuse(Origin::CommandLine, path, expected, "unknown key", hint);
            }
        }
    }

    fn set_value(&mut self, section: &str, name: &str, value: Value, origin: Origin) {
        let path = format!("{section}.{name}");
        let Some(key) = Key::find(section, name) else {
            let expected = format!("a key of the section `{section}`");
            let hint = for_unknown_key(section, name);
            self.refuse(origin, &path, expected, "unknown key", hint);
            return;
        };
        if !key.kind.accepts(&value) {
            let hint = for_value(key, &value);
            self.refuse(origin, &path, key.kind.expected(), describe(&value), hint);
            return;
        }
        self.values[section][name] = value;
        self.origins.insert(path, origin);
    }

    fn refuse(
        &mut self,
        origin: Origin,
        path: &str,
        expected: String,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.refused.insert(path.to_owned());
        self.problems.push(Problem { origin, key: path.to_owned(), expected, found: found.into(), hint: hint.into() });
    }

    /// The settings, or everything that is wrong with them.
    pub fn finish(mut self) -> Result<Settings, SettingsError> {
        let settings: Settings =
            serde_json::from_value(self.values.take()).expect("every value was checked by its key");
        self.add_conflicts(&settings);
        if self.problems.is_empty() {
            return Ok(settings);
        }
        self.problems.sort_by_key(|problem| match problem.origin {
            Origin::Line(_, line) => line,
            Origin::CommandLine | Origin::Default => usize::MAX,
        });
        Err(SettingsError::Invalid(self.problems))
    }

    fn add_conflicts(&mut self, settings: &Settings) {
        for conflict in conflicts(settings) {
            if conflict.keys.iter().any(|&key| self.refused.contains(key)) {
                continue;
            }
            let given = conflict.keys.iter().find_map(|&key| Some((key, self.origins.get(key)?.clone())));
            let (key, origin) = given.unwrap_or((conflict.keys[0], Origin::Default));
            self.refuse(origin, key, conflict.expected, conflict.found, conflict.hint);
        }
    }
}

fn syntax(error: &serde_json::Error, text: &str, name: &str) -> SettingsError {
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or(&full).to_owned();
    let hint = for_syntax(error, &message, text);
    SettingsError::Syntax { name: name.to_owned(), line: error.line(), column: error.column(), message, hint }
}

/// The value as it stands in the file, cut to fit a line.
fn describe(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
