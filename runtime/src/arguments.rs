//! Values on the command line that commands of both programs take, checked as they are read.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::platform::STDOUT_AS_FILE;

/// Most threads, and most processes of NUM_PROCESSORS, that are taken: above any machine's cores. Each thread costs memory,
/// and to start a hundred thousand takes a minute.
pub const MOST_THREADS: usize = 1024;

/// What stands for stdout where a command can write its results there.
pub const STDOUT: &str = "-";

/// Reads a number of threads, where 0 is one per core.
///
/// # Errors
/// It is none, or above [`MOST_THREADS`].
pub fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|&threads| threads <= MOST_THREADS);
    threads.ok_or_else(|| format!("expected 1 to {MOST_THREADS}, or 0 for one per core, found `{text}`"))
}

/// Reads the path of a file or folder that a command writes. `-` is refused: it would become a file of that name, where
/// other programs take it for stdout; so is `/dev/stdout`.
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

/// Whether a path means stdout: `-` or `/dev/stdout`; `./-` is a file.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT || STDOUT_AS_FILE.iter().any(|name| path == Path::new(name))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn threads_are_bounded() {
        for (text, expected) in [("0", Some(0)), ("1", Some(1)), ("1024", Some(1024)), ("1025", None), ("100000", None)]
        {
            assert_eq!(threads(text).ok(), expected, "{text}");
        }
        for text in ["", "-1", "2.0", "all", "99999999999999999999999"] {
            let told = threads(text).expect_err("no number of threads");
            assert!(told.contains("expected 1 to 1024") && told.contains(&format!("found `{text}`")), "{told}");
        }
    }

    #[test]
    fn a_dash_is_no_output_and_a_file_of_that_name_is() {
        let command = clap::Command::new("test");
        let read = |text: &str| output_path().parse_ref(&command, None, OsStr::new(text));
        assert!(read("-").is_err_and(|error| error.to_string().contains("`./-` names one called `-`")));
        assert_eq!(read("/dev/stdout").is_err(), cfg!(unix));
        for path in ["./-", "out.csv", "a/-", "-x", "/dev/stdout/x"] {
            assert_eq!(read(path).ok().as_deref(), Some(Path::new(path)));
        }
    }
}
