//! Tells the trainer's programs and tests where libtorch lies, so that they start without an
//! environment variable (`torch-sys` cannot do it: its link arguments do not reach its dependents), and compiles
//! our own shim to libtorch.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return fail(
            "LIBTORCH_USE_PYTORCH is set: torch-sys would take whatever PyTorch python3 finds",
            "unset it; for a PyTorch of your own run `cargo xtask setup --torch DIR`",
        );
    }
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR for build scripts");
    let link =
        Path::new(&package).parent().expect("the trainer is a folder of the workspace").join("target/native/libtorch");
    // While the file is missing, cargo runs this script again on every build.
    println!("cargo::rerun-if-changed={}", link.join("version.py").display());
    if !link.join("lib").is_dir() {
        let problem = format!("libtorch is not set up: `{}` leads nowhere", link.display());
        return fail(&problem, "run `cargo xtask setup` first");
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        search_at_start(&link.join("lib"));
    }
    compile_shim(&link);
}

/// Compiles what tch does not reach: c10d's store, a sum over processes that autograd goes back through, pinned memory.
fn compile_shim(libtorch: &Path) {
    println!("cargo::rerun-if-changed=native/shim.cpp");
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // As torch-sys compiles its own shim: libtorch's strings have the new layout.
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        // Calls into libtorch, nothing that an optimizer could make faster.
        .opt_level(1)
        .debug(false)
        .warnings(false)
        .file("native/shim.cpp")
        .compile("xreport_native");
    println!("cargo::rustc-link-search=native={}", libtorch.join("lib").display());
    for library in ["torch_cpu", "c10"] {
        println!("cargo::rustc-link-lib={library}");
    }
}

/// Writes the folders that the loader searches into every program of this package.
fn search_at_start(libraries: &Path) {
    // RPATH rather than RUNPATH: it goes before LD_LIBRARY_PATH, and a stray libtorch there is not
    // taken.
    println!("cargo::rustc-link-arg=-Wl,--disable-new-dtags");
    // Relative to the program, for a moved tree: target/PROFILE/, target/PROFILE/deps/ (tests),
    // target/TRIPLE/PROFILE/ and its deps/.
    for up in ["..", "../..", "../../.."] {
        rpath(Path::new(&format!("$ORIGIN/{up}/native/libtorch/lib")));
    }
    // Absolute, for a CARGO_TARGET_DIR elsewhere: through the link, which follows a later set-up,
    // and past it, which outlives the tree.
    rpath(libraries);
    if let Ok(resolved) = libraries.canonicalize() {
        rpath(&resolved);
    }
}

fn rpath(folder: &Path) {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
}

/// Makes cargo end the build with a message, without a panic's noise around it.
fn fail(problem: &str, hint: &str) {
    println!("cargo::error={problem}");
    println!("cargo::error=hint: {hint}");
}
