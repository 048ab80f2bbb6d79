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
    compile_cuda_graph(&link);
}

/// Our own code for training on the CPU.
const KERNELS: [&str; 4] =
    ["native/conv_block.cpp", "native/head_loss.cpp", "native/adamw.cpp", "native/allocator.cpp"];

/// Compiles what tch does not reach (c10d's store, a sum over processes that autograd goes back through, pinned memory) and
/// our kernels for training on the CPU.
fn compile_shim(libtorch: &Path) {
    println!("cargo::rerun-if-changed=native");
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // As torch-sys compiles its own shim: libtorch's strings have the new layout.
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        // Whatever profile Rust is built in: the kernels are as much a library as libtorch.
        .opt_level(3)
        .debug(false)
        .warnings(false)
        // The same bits wherever the compiler might have fused a product and a sum; square roots and roundings as vectors.
        .flags(["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"])
        .files(KERNELS)
        .file("native/shim.cpp")
        .compile("xreport_native");
    println!("cargo::rustc-link-search=native={}", libtorch.join("lib").display());
    for library in ["torch_cpu", "c10"] {
        println!("cargo::rustc-link-lib={library}");
    }
}

/// Compiles what captures training steps on CUDA into a library of its own, which the program carries: its symbols are in
/// libtorch's CUDA library, which this program does not link. Without CUDA's headers the library is an empty file.
fn compile_cuda_graph(libtorch: &Path) {
    const SOURCE: &str = "native/cuda_graph.cpp";
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts")).join("libxreport_cuda.so");
    let headers = libtorch.with_file_name("cuda-headers");
    println!("cargo::rerun-if-changed={}", headers.join("cuda_runtime_api.h").display());
    if !headers.join("cuda_runtime_api.h").is_file() {
        return std::fs::write(&out, []).expect("cargo's folder can be written");
    }
    let include = libtorch.join("include");
    let compiler = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .include(headers)
        .pic(true)
        .opt_level(1)
        .debug(false)
        .warnings(false)
        .get_compiler();
    let mut command = compiler.to_command();
    // Undefined symbols are allowed: they are found when it is loaded.
    let status = command.args(["-shared", "-s", SOURCE, "-o"]).arg(&out).status();
    if !status.is_ok_and(|status| status.success()) {
        fail("`native/cuda_graph.cpp` cannot be compiled", "see the compiler's words above");
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
