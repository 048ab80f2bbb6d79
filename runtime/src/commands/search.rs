//! Options of `xreport generate` on how reports are searched for.

use clap::Args;
use xreport_runtime::decoding::{DecodingOptions, Sampling};
use xreport_runtime::drafting::Drafter;

/// How reports are searched for; greedily without any of these.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArguments {
    /// Hypotheses that a beam search follows; 1 is greedy
    #[arg(long, default_value_t = 1, value_name = "N")]
    beams: usize,
    /// Reports given back for each image, the best and its alternatives; at most the beams
    #[arg(long, default_value_t = 1, value_name = "N")]
    n_best: usize,
    /// A beam search ranks by log-probability over length to this power
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    length_penalty: f64,
    /// Draw tokens at random, from scores divided by this
    #[arg(long, value_name = "X")]
    temperature: Option<f32>,
    /// Draw at random from the best N tokens
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw at random from the best tokens that together have probability X
    #[arg(long, value_name = "X")]
    top_p: Option<f32>,
    /// Seed of random draws; with it each image's draws follow from its id alone
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Divide the scores of tokens that were said already by this
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    repetition_penalty: f32,
    /// Never say a sequence of N tokens twice; 0 lets it
    #[arg(long, default_value_t = 0, value_name = "N")]
    no_repeat_ngram: usize,
    /// Shortest report in tokens
    #[arg(long, default_value_t = 0, value_name = "N")]
    min_tokens: usize,
    /// Text with which every report begins, such as "Findings:"
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
}

impl SearchArguments {
    /// Rows of the model that a report takes.
    pub fn beams(&self) -> usize {
        self.beams
    }

    /// Has the drafter search so.
    pub fn set(&self, drafter: &mut Drafter) -> anyhow::Result<()> {
        let any = self.temperature.is_some() || self.top_k.is_some() || self.top_p.is_some();
        let sampling = any.then(|| {
            let usual = Sampling::default();
            Sampling {
                seed: self.seed,
                temperature: self.temperature.unwrap_or(usual.temperature),
                top_k: self.top_k.unwrap_or(usual.top_k),
                top_p: self.top_p.unwrap_or(usual.top_p),
            }
        });
        let options = DecodingOptions {
            max_tokens: drafter.options().max_tokens,
            min_tokens: self.min_tokens,
            beams: self.beams,
            n_best: self.n_best,
            length_penalty: self.length_penalty,
            sampling,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram: self.no_repeat_ngram,
            prefix: self.prefix.as_deref().map_or_else(|| Ok(Vec::new()), |prefix| drafter.prefix_tokens(prefix))?,
        };
        Ok(drafter.set_options(options)?)
    }
}
