//! Values on the command line that commands of both programs take, checked as they are read.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// What stands for stdout where a command can write its results there.
pub const STDOUT: &str = "-";

/// Reads the path of a file or folder that a command writes. `-` is refused: it would become a file of that name, where
/// other programs take it for stdout.
pub fn output_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if is_stdout(&path) {
            return Err(format!(
                "a file or folder expected: this is not written to stdout\n  hint: name a file, as in /tmp/output; `./{STDOUT}` names one called `{STDOUT}`"
            ));
        }
        Ok(path)
    })
}

/// Whether a path is `-`; `./-` is a file.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_dash_is_no_output_and_a_file_of_that_name_is() {
        let command = clap::Command::new("test");
        let read = |text: &str| output_path().parse_ref(&command, None, OsStr::new(text));
        assert!(read("-").is_err_and(|error| error.to_string().contains("`./-` names one called `-`")));
        for path in ["./-", "out.csv", "a/-", "-x"] {
            assert_eq!(read(path).ok().as_deref(), Some(Path::new(path)));
        }
    }
}
