//! Ids from paths: what every other command accepts as one.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use xreport_models::spelling;

/// The id of a file that lies at `path` within its input, or what is wrong with its name.
pub(super) fn id(path: &Path) -> Result<String, &'static str> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let mut names = Vec::new();
    for part in parts {
        let name = part.to_str().ok_or("its name is not UTF-8, which every table of results is\nhint: rename it")?;
        names.push(checked(name)?);
    }
    Ok(spelling::composed(&names.join("/")).into_owned())
}

/// A name without line breaks and other control characters, which would make two lines of one in a table or a log.
pub(super) fn checked(name: &str) -> Result<&str, &'static str> {
    if name.chars().any(char::is_control) {
        return Err("its name holds a line break or another control character\nhint: rename it");
    }
    Ok(name)
}

/// A relative id of any path, whatever it is: what leads elsewhere goes (`/`, `..`, a drive), what is no text, or a control
/// character, is escaped as in a URL.
pub(super) fn acceptable(path: &Path) -> String {
    let normal = |part: Component<'_>| match part {
        Component::Normal(part) => Some(escaped(part)),
        _ => None,
    };
    spelling::composed(&path.components().filter_map(normal).collect::<Vec<_>>().join("/")).into_owned()
}

fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                let mut bytes = [0; 4];
                text.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
            } else {
                text.push(letter);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

/// The id, with a number behind it where another input has it.
pub(super) fn untaken(id: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&id) {
        return id;
    }
    let mut numbered = (2u64..).map(|number| format!("{id} ({number})"));
    numbered.find(|id| !is_taken(id)).unwrap_or(id)
}

/// A path without `.` and `..`, as it is written: links are not followed.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

/// The plain path from the root of the file system.
pub(super) fn absolute(path: &Path) -> PathBuf {
    // A bare `list.csv` lies in a folder without a name, which the system takes for none.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| plain(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_relative_composed_and_of_one_line() {
        assert_eq!(id(Path::new("a b/Mu\u{308}ller.png")), Ok("a b/M\u{fc}ller.png".into()));
        assert!(id(Path::new("a\nb.png")).unwrap_err().contains("line break"));
        assert!(id(Path::new("a\u{1b}[1mb.png")).is_err());
        assert_eq!(acceptable(Path::new("/x/../a\nb\u{7f}.png")), "x/a%0Ab%7F.png");
        assert_eq!(acceptable(Path::new("../list.csv")), "list.csv");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_keep_their_bytes() {
        let path = crate::platform::file_name(b"r\xc3\xb6/M\xfcller.png");
        assert!(id(path).unwrap_err().contains("not UTF-8"));
        assert_eq!(acceptable(path), "rö/M%FCller.png");
    }

    #[test]
    fn a_taken_id_gets_a_number() {
        let taken = ["a", "a (2)"];
        assert_eq!(untaken("a".into(), |id| taken.contains(&id)), "a (3)");
        assert_eq!(untaken("b".into(), |id| taken.contains(&id)), "b");
    }

    #[test]
    fn a_path_is_made_plain() {
        assert_eq!(plain(Path::new("/a/./b/../c/../../d.png")), Path::new("/d.png"));
        assert_eq!(plain(Path::new("/../a")), Path::new("/a"));
    }
}
