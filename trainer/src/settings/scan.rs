//! Where each key stands: serde_json gives no positions, so a second look over the text does.

/// A key as it stands in the text.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// The top-level key.
    pub section: String,
    /// The key inside it; `None` for the top-level key itself.
    pub name: Option<String>,
    /// From 1.
    pub line: usize,
}

/// The keys of the outermost object and of the objects directly inside it, in the text's order,
/// repeated keys included. `text` must be valid JSON.
pub fn key_positions(text: &str) -> Vec<KeyPosition> {
    let bytes = text.as_bytes();
    let mut positions = Vec::new();
    let mut containers = Vec::new();
    let mut section = String::new();
    let (mut at, mut line) = (0, 1);
    let mut key_is_next = false;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => line += 1,
            open @ (b'{' | b'[') => {
                containers.push(open);
                key_is_next = open == b'{';
            }
            b'}' | b']' => {
                containers.pop();
                key_is_next = false;
            }
            b',' => key_is_next = containers.last() == Some(&b'{'),
            b'"' => {
                let end = string_end(bytes, at);
                if std::mem::take(&mut key_is_next) {
                    let key: String = serde_json::from_str(&text[at..end]).expect("a key of valid JSON");
                    match containers[..] {
                        [b'{'] => {
                            section = key;
                            positions.push(KeyPosition { section: section.clone(), name: None, line });
                        }
                        [b'{', b'{'] => positions.push(KeyPosition { section: section.clone(), name: Some(key), line }),
                        _ => {}
                    }
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    positions
}

/// One past the closing quote of the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while bytes[at] != b'"' {
        // A backslash takes the next byte with it, a quote included.
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(String, usize)> {
        serde_json::from_str::<serde_json::Value>(text).unwrap();
        key_positions(text)
            .into_iter()
            .map(|key| match key.name {
                Some(name) => (format!("{}.{name}", key.section), key.line),
                None => (key.section, key.line),
            })
            .collect()
    }

    #[test]
    fn keys_are_found_on_their_lines() {
        let text = "{\n \"a\": {\"X\": [1,\n2], \"Y\": \"{\\\"N\\\": 1,\"},\n\n\"b\":\n{\n\"Z\": 1}}";
        let expected = [("a", 2), ("a.X", 2), ("a.Y", 3), ("b", 5), ("b.Z", 7)];
        assert_eq!(lines(text), expected.map(|(key, line)| (key.to_owned(), line)));
    }

    #[test]
    fn repeated_escaped_and_deep_keys() {
        let text = r#"{"a": {"X": 1, "\u0058": 2, "D": {"deep": [{"deeper": 0}]}, "E\"": 3}, "a": [{"in": 1}]}"#;
        let names: Vec<_> = lines(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a.X", "a.X", "a.D", "a.E\"", "a"]);
    }

    #[test]
    fn anything_but_an_object_has_no_keys() {
        for text in ["[]", "3", "\"{\"", "[{\"a\": 1}]", "{}"] {
            assert!(key_positions(text).is_empty(), "{text}");
        }
    }
}
