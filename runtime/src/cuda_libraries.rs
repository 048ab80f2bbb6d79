//! Which of CUDA's libraries are missing, by name: ONNX Runtime itself says only that its provider does not load.

use libloading::Library;
use ort::ep::cuda::{CUDA_DYLIBS, CUDNN_DYLIBS};

use crate::failure::message;
use crate::platform::CUDA_DRIVER;

/// A library that does not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLibrary {
    /// Its file name.
    pub name: &'static str,
    /// What the system's loader said.
    pub problem: String,
    /// What brings it.
    pub from: &'static str,
}

/// The driver's, CUDA's and cuDNN's libraries that ONNX Runtime's CUDA provider needs and that do not load here.
pub fn missing() -> Vec<MissingLibrary> {
    let parts: [(&[&'static str], &'static str); 3] = [
        (&[CUDA_DRIVER], "the NVIDIA driver"),
        (CUDA_DYLIBS, "CUDA 13 (on the loader's path)"),
        (CUDNN_DYLIBS, "cuDNN 9 for CUDA 13 (on the loader's path)"),
    ];
    let each = parts.iter().flat_map(|(names, from)| names.iter().map(move |&name| (name, *from)));
    each.filter_map(|(name, from)| {
        let problem = problem(name)?;
        Some(MissingLibrary { name, problem, from })
    })
    .collect()
}

/// Why a library does not load. One that does stays loaded: the next one may need it.
#[allow(unsafe_code, reason = "loading a library runs its initialisers; these are NVIDIA's own")]
fn problem(name: &str) -> Option<String> {
    // SAFETY: nothing is called in it, and it is never unloaded.
    match unsafe { Library::new(name) } {
        Ok(library) => {
            std::mem::forget(library);
            None
        }
        Err(error) => Some(message(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_named_with_the_loaders_words() {
        let said = problem("libno-such-library.so.7").expect("it is not there");
        assert!(said.contains("libno-such-library"), "{said}");
        assert!(missing().iter().all(|library| !library.problem.is_empty()));
    }
}
