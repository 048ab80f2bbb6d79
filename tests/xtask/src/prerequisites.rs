//! What the set-up needs from the system, and how to install what is missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// pip 21 is the first that takes several `--platform`.
const OLDEST_PIP: u32 = 21;

/// The programs that the set-up uses.
pub struct Tools {
    /// A Python 3 with pip, where something has to be downloaded.
    pub python: Option<OsString>,
    /// The C++ compiler, as the `cc` crate chooses it: `CXX`, else `c++`.
    pub compiler: OsString,
}

/// What there is to do decides what is looked for.
#[derive(Clone, Copy)]
pub struct Needs {
    /// Something must be downloaded.
    pub python: bool,
    /// The trainer will be built.
    pub compiler: bool,
}

/// Looks for the programs that are needed.
///
/// # Errors
/// Something is missing: one error that names everything missing and how to install it.
pub fn find(needs: Needs) -> Result<Tools> {
    let mut missing = Vec::new();
    let python = needs.python.then(|| find_python(&mut missing)).flatten();
    let compiler = std::env::var_os("CXX").filter(|name| !name.is_empty()).unwrap_or_else(|| OsString::from("c++"));
    // `CXX="ccache g++"` names a program and its arguments.
    let program = compiler.to_string_lossy().split_whitespace().next().unwrap_or_default().to_owned();
    if needs.compiler && output_of(&OsString::from(program), &["--version"]).is_none() {
        missing.push(format!("a C++ compiler (`{}` does not run)", compiler.to_string_lossy()));
    }
    if missing.is_empty() { Ok(Tools { python, compiler }) } else { bail!(explain(&missing)) }
}

fn find_python(missing: &mut Vec<String>) -> Option<OsString> {
    let mut found = None;
    for name in ["python3", "python"].map(OsString::from) {
        let Some(version) = output_of(&name, &["-c", "import sys; print(sys.version_info[0], sys.executable)"]) else {
            continue;
        };
        if !version.starts_with('3') {
            continue;
        }
        match output_of(&name, &["-m", "pip", "--version"]).as_deref().map(pip_version) {
            Some(Some(version)) if version >= OLDEST_PIP => return Some(name),
            Some(Some(version)) => {
                found.get_or_insert(format!(
                    "a newer pip ({} has pip {version}, expected {OLDEST_PIP} or later: \
                     `python3 -m pip install --upgrade pip`)",
                    name.to_string_lossy()
                ));
            }
            _ => {
                found.get_or_insert(format!("pip (`{} -m pip` does not run)", name.to_string_lossy()));
            }
        }
    }
    missing.push(found.unwrap_or_else(|| "python3 with pip".to_owned()));
    None
}

/// The major version in `pip 23.2.1 from …`.
fn pip_version(text: &str) -> Option<u32> {
    text.strip_prefix("pip ")?.split('.').next()?.trim().parse().ok()
}

fn explain(missing: &[String]) -> String {
    let install = if cfg!(windows) {
        "  Windows: python3 from https://www.python.org; the C++ build tools of Visual Studio"
    } else if cfg!(target_os = "macos") {
        "  macOS: `xcode-select --install` for the compiler, `brew install python` for python3 with pip"
    } else {
        "  Debian, Ubuntu: sudo apt install g++ python3 python3-pip\n  \
         Fedora, RHEL:   sudo dnf install gcc-c++ python3 python3-pip\n  \
         Arch:           sudo pacman -S gcc python python-pip\n  \
         openSUSE:       sudo zypper install gcc-c++ python3 python3-pip"
    };
    format!("the set-up needs {}\nhint: install what is missing, then run it again\n{install}", missing.join(" and "))
}

fn output_of(program: &OsString, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Makes an empty shared library at `path`, named as its file is.
pub fn make_stub(compiler: &OsString, path: &Path) -> Result<()> {
    let name = path.file_name().expect("a library has a file name").to_string_lossy().into_owned();
    let source: PathBuf = path.with_extension("cpp");
    std::fs::write(&source, "")?;
    let text = compiler.to_string_lossy();
    let mut words = text.split_whitespace();
    let output = Command::new(words.next().unwrap_or("c++"))
        .args(words)
        .args(["-shared", "-fPIC", "-nostdlib"])
        .arg(format!("-Wl,-soname,{name}"))
        .arg("-o")
        .arg(path)
        .arg(&source)
        .output()?;
    std::fs::remove_file(&source)?;
    if !output.status.success() {
        bail!(
            "`{text}` cannot make the empty library `{name}` ({})\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_version_is_its_first_number() {
        assert_eq!(pip_version("pip 23.2.1 from /usr/lib/python3/dist-packages/pip (python 3.11)"), Some(23));
        assert_eq!(pip_version("pip 9.0 from x"), Some(9));
        assert_eq!(pip_version("No module named pip"), None);
    }

    #[test]
    fn everything_missing_is_named_with_a_remedy() {
        let text = explain(&["python3 with pip".to_owned(), "a C++ compiler (`c++` does not run)".to_owned()]);
        assert!(text.contains("python3 with pip and a C++ compiler"), "{text}");
        assert!(text.contains("hint: install"), "{text}");
    }
}
