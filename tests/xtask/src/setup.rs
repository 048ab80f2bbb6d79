//! `cargo xtask setup`: the native libraries into the cache, and the links to them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, damage};
use crate::fetch;
use crate::links;
use crate::pins::{Library, Pins, size, system};
use crate::prerequisites::{self, Needs, Tools};
use crate::python_checks;
use crate::workspace::{PINS, Workspace};

/// Where the links lie, relative to the root. `.cargo/config.toml`, the trainer's `build.rs`
/// and the runtime's search for ONNX Runtime name the same place.
pub const NATIVE: &str = "target/native";

/// As typed.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// A PyTorch of the user's own.
    torch: Option<PathBuf>,
    /// ONNX Runtime with its CUDA provider.
    cuda_runtime: bool,
    /// Back to the pinned CPU libraries.
    cpu: bool,
    /// Python's readers for the checks as well.
    python_checks: bool,
}

impl Options {
    /// Reads `[--torch DIR | --cpu] [--cuda-runtime] [--python-checks]`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--torch" => options.torch = Some(words.next().context("--torch wants a folder")?.into()),
                "--cuda-runtime" => options.cuda_runtime = true,
                "--cpu" => options.cpu = true,
                "--python-checks" => options.python_checks = true,
                other => bail!("`setup` does not know `{other}`\nhint: cargo xtask help"),
            }
        }
        if options.cpu && (options.torch.is_some() || options.cuda_runtime) {
            bail!("--cpu goes back to the pinned CPU libraries: it excludes --torch and --cuda-runtime");
        }
        Ok(options)
    }
}

/// What a link shall lead to.
enum Source<'a> {
    /// A library of the cache, fetched where it is missing.
    Cached(&'a Library),
    /// A `torch` folder of the user's, already checked.
    Own(PathBuf),
}

/// Fetches what is missing, and points the links to it; quick when all is there.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let pins = Pins::load(&workspace.path(PINS))?;
    let cache = Cache::from_environment()?;
    let mut links = Vec::new();
    let torch_link = workspace.path(NATIVE).join("libtorch");
    match choose_torch(&pins, &cache, options, &torch_link)? {
        Some(source) => {
            links.push((torch_link, source));
            // For the part of the trainer that is compiled against CUDA, whatever libtorch it will run with.
            let headers = pins.library("cuda-headers").map(Source::Cached);
            links.extend(headers.map(|headers| (workspace.path(NATIVE).join("cuda-headers"), headers)));
        }
        None => println!("libtorch: training is for linux-x86_64; this is {}, set up for the runtime alone", system()),
    }
    let runtime_link = workspace.path(NATIVE).join("onnxruntime");
    let runtime = choose_runtime(&pins, &cache, options, &runtime_link)?;
    links.push((runtime_link, Source::Cached(runtime)));
    for (link, _) in &links {
        if let Some(gone) = links::target(link).filter(|old| !old.exists()) {
            println!("{} led to {}, which is gone", name_in(workspace, link), gone.display());
        }
    }

    let tools = find_tools(&cache, &links)?;
    let elsewhere = workspace.target_elsewhere().map(|target| target.join("native"));
    for (link, source) in &links {
        let (version, folder) = match source {
            Source::Own(folder) => (format!("{} (your own)", pinned_torch(&pins)?.version), folder.clone()),
            Source::Cached(library) => (library.version.clone(), cached(&cache, &pins, library, &tools)?),
        };
        links::point(link, &folder)?;
        if let Some(elsewhere) = &elsewhere {
            // Programs built there look beside themselves, too.
            links::point(&elsewhere.join(link.file_name().expect("a link has a name")), &folder)?;
        }
        println!("{} {version} -> {}", name_in(workspace, link), folder.display());
    }
    if options.python_checks { python_checks::ensure_linked(workspace) } else { Ok(()) }
}

/// A path as the user sees it from the root.
fn name_in(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(workspace.root()).unwrap_or(path).display().to_string()
}

/// Asked for on the command line or in the environment, else the user's earlier choice if it
/// still stands, else the pinned one. A PyTorch that merely is on the machine is never taken.
fn choose_torch<'a>(pins: &'a Pins, cache: &Cache, options: &Options, link: &Path) -> Result<Option<Source<'a>>> {
    let pinned = pins.library("libtorch");
    if options.cpu {
        return Ok(pinned.map(Source::Cached));
    }
    let named = options
        .torch
        .clone()
        .or_else(|| std::env::var_os("XREPORT_TORCH").filter(|value| !value.is_empty()).map(PathBuf::from));
    if let Some(folder) = named {
        return own_torch(pinned_torch(pins)?, &folder).map(|folder| Some(Source::Own(folder)));
    }
    if let Some(old) = links::target(link).filter(|old| cache.entry_of(old).is_none() && old.exists()) {
        let folder = own_torch(pinned_torch(pins)?, &old)
            .context("the PyTorch that an earlier `setup --torch` linked has changed (`setup --cpu` lets go of it)")?;
        return Ok(Some(Source::Own(folder)));
    }
    Ok(pinned.map(Source::Cached))
}

fn choose_runtime<'a>(pins: &'a Pins, cache: &Cache, options: &Options, link: &Path) -> Result<&'a Library> {
    let chosen_before = || links::target(link).and_then(|old| cache.entry_of(&old));
    let cuda = options.cuda_runtime
        || (!options.cpu && chosen_before().is_some_and(|entry| entry.starts_with("onnxruntime-cuda-")));
    let name = if cuda { "onnxruntime-cuda" } else { "onnxruntime" };
    pins.library(name).with_context(|| {
        format!(
            "`{PINS}` has no {name} for {}\nhint: put ONNX Runtime 1.30's library beside the `xreport` program",
            system()
        )
    })
}

/// The libtorch pin, whatever system it is for: its version and layout hold for all.
fn pinned_torch(pins: &Pins) -> Result<&Library> {
    pins.any("libtorch").with_context(|| format!("`{PINS}` has no libtorch"))
}

/// Checks that `folder`, or the `torch` folder in it, is a PyTorch of the pinned version.
fn own_torch(pinned: &Library, folder: &Path) -> Result<PathBuf> {
    let candidates = [folder.to_path_buf(), folder.join("torch")];
    let Some(torch) = candidates.iter().find(|torch| torch.join("version.py").is_file()) else {
        bail!(
            "`{}` is not PyTorch's `torch` folder: it has no version.py\n\
             hint: python3 -c 'import torch; print(torch.__path__[0])' names it",
            folder.display()
        );
    };
    let version_file = torch.join("version.py");
    let text = std::fs::read_to_string(&version_file).with_context(|| format!("`{}`", version_file.display()))?;
    let found = torch_version(&text).with_context(|| format!("`{}` states no __version__", version_file.display()))?;
    // 2.11.0+cu130 and 2.11.0+cpu are builds of the same 2.11.0.
    if found.split('+').next() != Some(pinned.version.as_str()) {
        bail!(
            "`{}` holds PyTorch {found}, expected {}\n\
             hint: python3 -m pip install torch=={}, or leave --torch and XREPORT_TORCH out for the CPU libraries",
            torch.display(),
            pinned.version,
            pinned.version
        );
    }
    if let Some(missing) = pinned.requires.iter().find(|name| !torch.join(name).exists()) {
        bail!("`{}` holds PyTorch {found} without `{missing}`", torch.display());
    }
    torch.canonicalize().with_context(|| format!("`{}`", torch.display()))
}

/// The value of `__version__ = '…'` in PyTorch's version.py.
fn torch_version(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
    Some(line.split_once('=')?.1.trim().trim_matches(['\'', '"']))
}

fn find_tools(cache: &Cache, links: &[(PathBuf, Source)]) -> Result<Tools> {
    let missing: Vec<&Library> = links
        .iter()
        .filter_map(|(_, source)| match source {
            Source::Cached(library) => Some(*library),
            Source::Own(_) => None,
        })
        .filter(|library| damage(&cache.folder(&library.cache_name())).is_some())
        .collect();
    let trains = links.iter().any(|(link, _)| link.ends_with("libtorch"));
    let tools = prerequisites::find(Needs { python: !missing.is_empty(), compiler: trains })?;
    let bytes: u64 = missing.iter().map(|library| library.bytes()).sum();
    if bytes > 0 {
        println!("{} to download", size(bytes));
    }
    Ok(tools)
}

/// The library's folder in the cache, which is filled where it has to be.
fn cached(cache: &Cache, pins: &Pins, library: &Library, tools: &Tools) -> Result<PathBuf> {
    let entry = cache.ensure(&library.cache_name(), |folder| fetch::fill(library, &pins.python, tools, folder))?;
    let folder = entry.join(&library.folder);
    if library.name == "libtorch" {
        return own_torch(library, &folder);
    }
    if let Some(missing) = library.requires.iter().find(|name| !folder.join(name).exists()) {
        bail!("`{}` lacks `{missing}`\nhint: remove `{}` and run this again", folder.display(), entry.display());
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_contradictions_refused() {
        let options = Options::parse(&words("--torch /opt/torch --cuda-runtime")).expect("valid");
        let expected =
            Options { torch: Some("/opt/torch".into()), cuda_runtime: true, cpu: false, python_checks: false };
        assert_eq!(options, expected);
        assert!(Options::parse(&words("--cpu --python-checks")).expect("valid").python_checks);
        for wrong in ["--torch", "--tocrh x", "--cpu --torch x", "--cpu --cuda-runtime"] {
            assert!(Options::parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_pinned_pytorch_is_taken() {
        let scratch = std::env::temp_dir().join(format!("xtask-torch-{}", std::process::id()));
        let torch = scratch.join("site-packages/torch");
        std::fs::create_dir_all(torch.join("lib")).expect("a folder");
        let pins = Pins::load(&Workspace::find().expect("inside the tree").path(PINS)).expect("valid pins");
        let pinned = pinned_torch(&pins).expect("pinned");
        let state = |version: &str| {
            std::fs::write(torch.join("version.py"), format!("__version__ = '{version}'\ncuda = '13.0'\n"))
                .expect("written");
        };

        let error = own_torch(pinned, &torch).expect_err("no version.py").to_string();
        assert!(error.contains("no version.py"), "{error}");
        for wrong in ["2.10.0+cu130", "2.11.1", "12.11.0"] {
            state(wrong);
            let error = own_torch(pinned, &torch).expect_err(wrong).to_string();
            assert!(error.contains(&format!("holds PyTorch {wrong}, expected 2.11.0")), "{error}");
        }
        state("2.11.0+cu130");
        let error = own_torch(pinned, &torch).expect_err("no libraries").to_string();
        assert!(error.contains("without `include/torch`"), "{error}");
        for name in &pinned.requires {
            if !torch.join(name).exists() {
                std::fs::create_dir_all(torch.join(name)).expect("stands for the library");
            }
        }
        let found = torch.canonicalize().expect("it exists");
        assert_eq!(own_torch(pinned, &torch).expect("the pinned version"), found);
        let parent = torch.parent().expect("site-packages");
        assert_eq!(own_torch(pinned, parent).expect("the folder around it"), found);
        std::fs::remove_dir_all(&scratch).expect("removed");
    }
}
