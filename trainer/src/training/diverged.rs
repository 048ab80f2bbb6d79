//! Runs that leave the range of numbers, and what is left of them.

use std::path::{Path, PathBuf};

use super::checkpoint::{self, BEST, LAST};
use crate::export::{ExportOptions, export_checkpoint};
use crate::ranks::say;

/// What is no number any more.
#[derive(Debug, Clone, PartialEq)]
pub enum Lost {
    /// The loss of a batch.
    Loss {
        /// Infinite or NaN.
        value: f64,
        /// How many studies the batch has.
        studies: usize,
        /// File with their ids.
        file: PathBuf,
    },
    /// The norm of the gradient, though the loss is one.
    Gradient(f64),
    /// The loss on the studies that are held out.
    Validation(f64),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loss { value, studies, file } => {
                write!(f, "the loss is {value}; the {studies} studies of its batch stand in `{}`", file.display())
            }
            Self::Gradient(norm) => write!(f, "the gradient's norm is {norm}"),
            Self::Validation(loss) => write!(f, "the validation loss is {loss}"),
        }
    }
}

/// A run cannot go on: a number that it computes with is none any more.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "training diverged at step {step}: {lost}\n\
     hint: the usual cause is a learning rate that is too high: train anew with training.LEARNING_RATE well below {learning_rate} \
     (a tenth), or with more training.WARMUP_STEPS or a smaller training.GRADIENT_CLIP; where the rate is usual, look at the \
     images of that batch"
)]
pub struct Diverged {
    /// The step that could not be made, or after which the validation failed, from 1.
    pub step: u64,
    /// What is no number.
    pub lost: Lost,
    /// training.LEARNING_RATE.
    pub learning_rate: f64,
}

/// Ends a run that diverged with what was saved of it while its numbers were good: a bundle of the best state, or the word
/// that there is none. What failed stays the run's error.
pub fn keep_what_was_good(folder: &Path) {
    let Some(saved) = [BEST, LAST].into_iter().find(|name| folder.join(name).is_file()) else {
        say("no state was saved before the training diverged: there is no bundle".to_owned());
        return;
    };
    let step = checkpoint::read(&folder.join(saved)).map(|stored| stored.state.step);
    let at = step.map_or_else(|_| String::new(), |step| format!(" (step {step})"));
    let out = folder.join("bundle");
    match export_checkpoint(folder, &out, &ExportOptions::default()) {
        Ok(_) => say(format!(
            "the last good state{at} is kept in `{}`; bundle of it -> {}",
            folder.join(saved).display(),
            out.display()
        )),
        Err(error) => say(format!(
            "the last state{at} is kept in `{}`; there is no bundle of it: {error:#}",
            folder.join(saved).display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_where_why_and_what_to_do() {
        let lost = Lost::Loss { value: f64::NAN, studies: 8, file: "run/bad_batch.json".into() };
        let text = Diverged { step: 7, lost, learning_rate: 1.0 }.to_string();
        assert!(text.starts_with("training diverged at step 7: the loss is NaN; the 8 studies"), "{text}");
        assert!(text.contains("hint: ") && text.contains("training.LEARNING_RATE well below 1 "), "{text}");
        assert!(
            Diverged { step: 7, lost: Lost::Gradient(f64::INFINITY), learning_rate: 0.1 }
                .to_string()
                .contains("norm is inf")
        );
    }
}
