//! `cargo xtask prove`: the long proofs, a file each.
//!
//! To add one: a file here with a function of the type [`Run`], and a line in [`PROOFS`].

pub mod deps;
pub mod radiographs;

use anyhow::{Result, bail};

use crate::phases::phase;
use crate::workspace::Workspace;

/// Runs a proof with the words after its name, prints its figures, and says whether it holds.
type Run = fn(&Workspace, &[String]) -> Result<bool>;

struct Proof {
    name: &'static str,
    about: &'static str,
    run: Run,
}

const PROOFS: &[Proof] = &[
    Proof {
        name: "deps",
        about: "the runtime needs no libtorch, the models crate neither libtorch nor ONNX Runtime",
        run: deps::run,
    },
    Proof {
        name: "radiographs",
        about: "trained on real radiographs, the deployed texts tell pneumonia from its absence",
        run: radiographs::run,
    },
];

/// `prove --list`, or `prove NAME [ARGS]`; whether the proof holds.
pub fn run(workspace: &Workspace, words: &[String]) -> Result<bool> {
    let Some((name, arguments)) = words.split_first() else {
        bail!("prove what?\nhint: `cargo xtask prove --list` names the proofs");
    };
    if name == "--list" {
        for proof in PROOFS {
            println!("{:<12} {}", proof.name, proof.about);
        }
        return Ok(true);
    }
    let Some(proof) = PROOFS.iter().find(|proof| proof.name == name) else {
        bail!("there is no proof `{name}`\nhint: `cargo xtask prove --list` names the proofs");
    };
    let holds = phase(proof.about, || (proof.run)(workspace, arguments))?;
    println!("{}: {}", proof.name, if holds { "holds" } else { "DOES NOT HOLD" });
    Ok(holds)
}
