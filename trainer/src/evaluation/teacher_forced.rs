//! Loss, perplexity and masked accuracy of a bundle on reference reports, through the deployed graphs.

use serde::Serialize;
use xreport_models::bundle::Bundle;
use xreport_runtime::decoding::StepModel;
use xreport_runtime::model::{Model, ModelError, SessionOptions};

/// Teacher-forced measures over all reference tokens, the end included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenScores {
    /// Mean cross-entropy, nats.
    pub loss: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// Share of tokens that the model would have said.
    pub accuracy: f64,
    /// Tokens.
    pub tokens: usize,
}

/// The scores, and the references in the model's own tokens.
pub struct TeacherForced {
    /// The scores.
    pub scores: TokenScores,
    /// Start token, report, end token unless it was cut.
    pub references: Vec<Vec<u32>>,
}

/// Feeds each reference text to the bundle and scores what the model would have said next.
pub fn score(
    bundle: &Bundle,
    session: &SessionOptions,
    images: &[&[u8]],
    texts: &[&str],
    batch_size: usize,
) -> anyhow::Result<TeacherForced> {
    let manifest = bundle.manifest();
    let tokenizer = bundle.tokenizer()?;
    let longest = manifest.architecture.max_positions;
    let mut references = Vec::with_capacity(texts.len());
    for text in texts {
        let ids = tokenizer.encode(text)?;
        references.push(ids.iter().take(longest).map(|&id| manifest.vocabulary.to_model(id)).collect::<Vec<u32>>());
    }
    // The logits are read on the CPU: this is a measurement, not a service.
    let session = SessionOptions { device: xreport_runtime::device::DeviceRequest::Cpu, ..*session };
    let mut model = Model::new(bundle, &session)?;
    let mut sums = Sums::default();
    for (images, references) in images.chunks(batch_size).zip(references.chunks(batch_size)) {
        score_batch(&mut model, images, references, manifest.architecture.vocabulary, &mut sums)?;
    }
    let loss = sums.loss / sums.tokens.max(1) as f64;
    let scores = TokenScores {
        loss,
        perplexity: loss.exp(),
        accuracy: sums.correct as f64 / sums.tokens.max(1) as f64,
        tokens: sums.tokens,
    };
    Ok(TeacherForced { scores, references })
}

#[derive(Default)]
struct Sums {
    loss: f64,
    correct: usize,
    tokens: usize,
}

fn score_batch(
    model: &mut Model,
    images: &[&[u8]],
    references: &[Vec<u32>],
    vocabulary: usize,
    sums: &mut Sums,
) -> Result<(), ModelError> {
    let decoder = model.encode(images.len(), images.concat())?;
    decoder.begin(0)?;
    let steps = references.iter().map(|reference| reference.len() - 1).max().unwrap_or(0);
    for step in 0..steps {
        let inputs: Vec<i64> =
            references.iter().map(|reference| i64::from(reference.get(step).copied().unwrap_or(0))).collect();
        decoder.feed(&inputs)?;
        decoder.step()?;
        let logits = decoder.logits().expect("the model runs on the CPU");
        for (row, reference) in references.iter().enumerate() {
            let Some(&target) = reference.get(step + 1) else { continue };
            sums.loss += cross_entropy(&logits[row * vocabulary..(row + 1) * vocabulary], target as usize);
            sums.correct += usize::from(decoder.next_ids()[row] == i64::from(target));
            sums.tokens += 1;
        }
    }
    Ok(())
}

/// −log softmax(logits)[target], in nats.
fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    sum.ln() + largest - f64::from(logits[target])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_equal_logits_is_the_log_of_their_number() {
        assert!((cross_entropy(&[5.0; 8], 3) - 8f64.ln()).abs() < 1e-9);
        assert!(cross_entropy(&[1000.0, 0.0], 0).abs() < 1e-9, "large logits do not overflow");
    }
}
