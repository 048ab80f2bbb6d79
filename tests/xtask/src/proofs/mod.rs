//! `cargo xtask prove`: the long proofs, a file each.
//!
//! To add one: a file here with a function of the type [`Run`], and a line in [`PROOFS`].

mod at_length;
mod batch;
mod batch_bad_files;
mod batch_kill;
mod batch_memory;
mod batch_obstacles;
mod blind;
mod cache;
mod checkpoints;
mod decode_peer;
mod decode_peers;
pub mod deps;
mod evidence;
mod figures;
mod guess_ahead;
mod loss_parity;
mod onnx_python;
pub mod overfit;
mod parity;
mod peer;
pub mod programs;
pub mod radiographs;
mod random;
mod ranks;
mod resume_kill;
mod safetensors;
mod score;
mod serve;
mod serve_api;
mod slim;
mod train_peers;
mod validate;
mod words;
mod workshop;

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
        name: "parity",
        about: "an exported bundle computes what libtorch computes, and writes what it writes [--texts N]",
        run: parity::run,
    },
    Proof {
        name: "onnx-python",
        about: "Python's onnx accepts the graphs, its onnxruntime says the same tokens [--images N] [--python PATH]",
        run: onnx_python::run,
    },
    Proof {
        name: "resume-kill",
        about: "a training that is killed ten times ends as one that is not [--kills N] [--seed S] [--epochs N]",
        run: resume_kill::run,
    },
    Proof {
        name: "batch-kill",
        about: "a batch that is killed 20 times, and shards of it, give what a run gives that is let alone [--images N] [--kills N] [--seed S] [--bundle DIR]",
        run: batch_kill::run,
    },
    Proof {
        name: "batch-memory",
        about: "10,000 images take no more memory than 500 [--images N] [--bundle DIR]",
        run: batch_memory::run,
    },
    Proof {
        name: "serve",
        about: "the reading room under 32 callers, under kills between edit and signature, under steady load [--clients N] [--seconds S] [--kills N] [--steady S] [--workers N] [--images N] [--seed S] [--bundle DIR]",
        run: serve::run,
    },
    Proof {
        name: "serve-api",
        about: "the reading room answers as its description says, whatever schemathesis asks --python PATH [--examples N] [--seed S] [--bundle DIR]",
        run: serve_api::run,
    },
    Proof {
        name: "batch-bad-files",
        about: "5 bad files of 100 do not slow the others [--images N] [--rounds N] [--bundle DIR]",
        run: batch_bad_files::run,
    },
    Proof {
        name: "batch-obstacles",
        about: "of 1,000 images with every obstacle among them the others are drafted, each obstacle is named once [--images N] [--bundle DIR]",
        run: batch_obstacles::run,
    },
    Proof {
        name: "slim",
        about: "size, start and memory of the deployed program [--bundle DIR] [--processes N]",
        run: slim::run,
    },
    Proof {
        name: "fuzz-smoke",
        about: "no changed DICOM file, image, bundle or table brings its reader down [--seconds N, for each]",
        run: at_length::fuzz_smoke,
    },
    Proof {
        name: "dicom-files",
        about: "every DICOM file that pydicom ships is rendered as pydicom renders it, or told; writes tests/dicom-files.md",
        run: at_length::dicom_files,
    },
    Proof {
        name: "fewer-bits",
        about: "radiographs of 10 and 12 bits in files that say otherwise: the same drafts, or a refusal [--images N]",
        run: at_length::fewer_bits,
    },
    Proof {
        name: "hostile",
        about: "files made to harm are told within a second and 500 MB, their neighbours are drafted [--seconds S]",
        run: at_length::hostile,
    },
    Proof {
        name: "decode-peer",
        about: "decoding speed beside Python's onnxruntime, same graph [--rounds N] [--shared] [--python PATH]",
        run: decode_peer::run,
    },
    Proof {
        name: "decode-peers",
        about: "decoding speed beside PyTorch, Hugging Face and CTranslate2 --python PATH [--rounds N]",
        run: decode_peers::run,
    },
    Proof {
        name: "guess-ahead",
        about: "guessing tokens ahead changes no text; its speed, whatever it is [--images N] [--rounds N] [--steps N]",
        run: guess_ahead::run,
    },
    Proof {
        name: "train-peers",
        about: "training speed beside PyTorch, eager and compiled --python PATH [--rounds N] [--setting NAME] [--shared]",
        run: train_peers::run,
    },
    Proof {
        name: "loss-parity",
        about: "a training step's loss is PyTorch's, from the same weights and batches --python PATH [--steps N] [--setting NAME]",
        run: loss_parity::run,
    },
    Proof {
        name: "ranks",
        about: "two processes under torchrun make the steps of one with the double batch, and tell of a kill --python PATH",
        run: ranks::run,
    },
    Proof { name: "cache", about: "300,000 images open in a second and 200 MB [--images N]", run: cache::run },
    Proof {
        name: "score",
        about: "100,000 pairs of reports scored in time, beside pycocoevalcap [--pairs N] [--python PATH]",
        run: score::run,
    },
    Proof {
        name: "blind",
        about: "a model trained on reports of other images is told from one that looks [--steps N] [--samples N]",
        run: blind::run,
    },
    Proof {
        name: "overfit",
        about: "a network that learns 32 real pairs by heart reproduces them through the deployed runtime",
        run: overfit::run,
    },
    Proof {
        name: "radiographs",
        about: "trained on real radiographs, the deployed texts tell pneumonia from its absence [--corpus DIR] [--draws N] [--choosing PERCENT]",
        run: radiographs::run,
    },
    Proof {
        name: "evidence",
        about: "where the model looked for a finding is where it was drawn [--samples N] [--seed S] [--bundle DIR]",
        run: evidence::run,
    },
    Proof {
        name: "validate",
        about: "100,000 rows are validated in minutes, what was hidden is found [--samples N] [--shared] [--python PATH]",
        run: validate::run,
    },
];

/// `prove --list`, or `prove NAME [ARGS]`; whether the proof holds.
pub fn run(workspace: &Workspace, words: &[String]) -> Result<bool> {
    let Some((name, arguments)) = words.split_first() else {
        bail!("prove what?\nhint: `cargo xtask prove --list` names the proofs");
    };
    if name == "--list" {
        for proof in PROOFS {
            println!("{:<15} {}", proof.name, proof.about);
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
