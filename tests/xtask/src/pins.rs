//! The pinned native libraries: `settings/native-libraries.json`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    #[serde(rename = "about")]
    _about: String,
    /// The Python that pip is asked to choose wheels for, whatever Python runs it.
    pub python: PythonTag,
    libraries: Vec<Library>,
}

/// What pip's `--python-version`, `--implementation` and `--abi` are set to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonTag {
    /// As in `3.11`.
    pub version: String,
    /// As in `cp`.
    pub implementation: String,
    /// As in `cp311`.
    pub abi: String,
}

/// One library for one system, made of one or more wheels.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Library {
    /// `libtorch`, `cuda-headers`, `onnxruntime` or `onnxruntime-cuda`.
    pub name: String,
    /// As [`system`] names it.
    pub system: String,
    /// The version that the program insists on.
    pub version: String,
    /// The folder, inside what is unpacked, that `target/native/NAME` leads to.
    pub folder: String,
    /// Files and folders in [`folder`](Self::folder) without which it is not the library.
    pub requires: Vec<String>,
    /// An empty shared library to be made with the C++ compiler, so that the linker is content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stub: Option<String>,
    /// pip's `--platform`, each.
    pub platforms: Vec<String>,
    /// The wheels.
    pub wheels: Vec<Wheel>,
}

/// One wheel on PyPI.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// PyPI's name.
    pub package: String,
    /// The exact version.
    pub version: String,
    /// The wheel's file name.
    pub file: String,
    /// Its size, for the user to know what is coming.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The files that are unpacked; `*` stands for any characters, `/` too.
    pub keep: Vec<String>,
}

impl Pins {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("`{}`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let pins: Self = serde_json::from_str(text)?;
        for library in &pins.libraries {
            for wheel in &library.wheels {
                let is_hash = wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !is_hash {
                    bail!("`{}` has the sha256 `{}`, expected 64 hexadecimal digits", wheel.file, wheel.sha256);
                }
            }
        }
        Ok(pins)
    }

    /// The library `name` for this system, where there is one.
    pub fn library(&self, name: &str) -> Option<&Library> {
        let system = system();
        self.libraries.iter().find(|library| library.name == name && library.system == system)
    }

    /// The library `name` for whichever system has it.
    pub fn any(&self, name: &str) -> Option<&Library> {
        self.libraries.iter().find(|library| library.name == name)
    }
}

impl Library {
    /// The folder's name in the cache: another pin gives another name, so that two source trees
    /// with different pins share a cache without meeting.
    pub fn cache_name(&self) -> String {
        let pin = serde_json::to_vec(self).expect("a record of strings is always JSON");
        format!("{}-{}-{}", self.name, self.version, fingerprint(&pin))
    }

    /// Bytes to download.
    pub fn bytes(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.bytes).sum()
    }
}

/// Tells one pin from another, as part of a folder's name.
pub fn fingerprint(pin: &[u8]) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(pin).iter().take(6) {
        write!(digits, "{byte:02x}").expect("writing to a string cannot fail");
    }
    digits
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("writing to a string cannot fail");
        digits
    })
}

/// This system, as the pins name it: `linux-x86_64`, `windows-x86_64`, …
pub fn system() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 9.95 { format!("{megabytes:.1} MB") } else { format!("{megabytes:.0} MB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{PINS, Workspace};

    fn shipped() -> Pins {
        Pins::load(&Workspace::find().expect("inside the tree").path(PINS)).expect("the shipped pins are valid")
    }

    #[test]
    fn the_shipped_pins_name_the_pair_that_tch_is_built_for() {
        let pins = shipped();
        let library = pins.libraries.iter().find(|library| library.name == "libtorch").expect("libtorch is pinned");
        assert_eq!(library.version, "2.11.0");
        assert_eq!(library.wheels[0].version, library.version);
        let manifest = fs::read_to_string(Workspace::find().expect("inside the tree").path("Cargo.toml"))
            .expect("the workspace has a manifest");
        assert!(manifest.contains(r#"tch = { version = "=0.24.0""#), "tch 0.24.0 goes with torch 2.11.0");
    }

    #[test]
    fn every_library_keeps_what_it_requires() {
        for library in shipped().libraries {
            for required in &library.requires {
                let path = format!("{}/{required}", library.folder);
                let made = library.stub.as_ref() == Some(&path);
                let kept =
                    library.wheels.iter().flat_map(|wheel| &wheel.keep).any(|pattern| {
                        pattern.strip_suffix('*').map_or(*pattern == path, |start| path.starts_with(start))
                    });
                assert!(made || kept, "{} requires {path}, which no wheel keeps", library.name);
            }
        }
    }

    #[test]
    fn another_hash_is_another_folder() {
        let mut pins = shipped();
        let library = &mut pins.libraries[0];
        let before = library.cache_name();
        library.wheels[0].sha256 = "0".repeat(64);
        assert_ne!(library.cache_name(), before);
    }

    #[test]
    fn a_short_hash_and_an_unknown_key_are_refused() {
        let text = fs::read_to_string(Workspace::find().expect("inside the tree").path(PINS)).expect("readable");
        let hash = &shipped().libraries[0].wheels[0].sha256;
        let error = Pins::parse(&text.replace(hash, &hash[..60])).expect_err("a short hash");
        assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
        let error = Pins::parse(&text.replace("\"keep\"", "\"kept\"")).expect_err("an unknown key");
        assert!(error.to_string().contains("unknown field `kept`"), "{error}");
    }
}
