//! From a data set's folder to samples: split, images, tokens, vocabulary.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use xreport_models::text::{Tokenizer, Vocabulary};
use xreport_runtime::console;

use super::batches::{Sample, Samples};
use super::run::Data;
use super::studies::Studies;
use crate::data::{self, Dataset, Draw, Loading, Study};
use crate::ranks::say;
use crate::settings::{Settings, VocabularyChoice};

/// The vocabulary of uncased BERT, which DistilBERT uses (Apache-2.0, see models/tokenizer/NOTICE.md).
const VOCAB: &str = include_str!("../../../models/tokenizer/vocab.txt");

/// DistilBERT's uncased tokenizer.
pub fn tokenizer() -> anyhow::Result<Tokenizer> {
    Ok(Tokenizer::from_vocab(VOCAB)?)
}

/// A data set ready to train on.
pub struct Prepared {
    /// Samples of both sides.
    pub data: Data,
    /// Token map, made from the training texts.
    pub vocabulary: Vocabulary,
    /// Hash over ids, texts and pixels of both sides.
    pub fingerprint: String,
    /// The studies of both sides with the digests of what they hold.
    pub studies: Studies,
    /// What its makers ask to be said of models trained on it: the data set's `NOTICE.txt`, if there is one.
    pub notice: Option<String>,
}

/// File in a data set's folder whose first line every result of a model trained on it repeats.
pub const NOTICE_FILE: &str = "NOTICE.txt";

impl Prepared {
    /// Reads the data set at `folder`; what cannot be used is reported on stderr and left out. `vocabulary`: that of the
    /// checkpoint which is resumed.
    pub fn read(
        folder: &Path,
        csv: Option<&Path>,
        settings: &Settings,
        vocabulary: Option<Vocabulary>,
    ) -> anyhow::Result<Self> {
        let dataset = Dataset::open(folder, csv)?;
        say(dataset.summary());
        let dataset_settings = &settings.dataset;
        let draw = Draw {
            sample: dataset_settings.sample_size,
            held_out: dataset_settings.validation_size,
            seed: dataset_settings.split_seed,
        };
        let parts = data::split(&dataset.studies, draw)?;
        if parts.shared_patients > 0 {
            say(format!("warning: {} patients are on more than one side of the `split` column", parts.shared_patients));
        }
        let tagged = |indices: &[usize], training: bool| -> Vec<(Study, bool)> {
            indices.iter().map(|&index| (dataset.studies[index].clone(), training)).collect()
        };
        let mut studies = tagged(&parts.train, true);
        studies.extend(tagged(&parts.validation, false));
        let training_ids: std::collections::HashSet<String> =
            studies.iter().filter(|(_, training)| *training).map(|(study, _)| study.id.clone()).collect();
        let studies = studies.into_iter().map(|(study, _)| study).collect();
        let loaded = load_images(&dataset, folder, studies, settings)?;
        let fingerprint = data::fingerprint(&loaded.studies, &loaded.images);
        let digests = data::study_digests(&loaded.studies, &loaded.images);
        let images = Arc::new(loaded.images);
        let tokenized = tokenize(&loaded.studies, dataset_settings.max_report_size)?;
        let is_training: Vec<bool> = loaded.studies.iter().map(|study| training_ids.contains(&study.id)).collect();
        let vocabulary = match vocabulary {
            Some(vocabulary) => vocabulary,
            None => make_vocabulary(dataset_settings.vocabulary, &tokenized, &is_training)?,
        };
        let side = |training: bool| Samples {
            samples: (0..loaded.studies.len())
                .filter(|&index| is_training[index] == training)
                .map(|index| Sample {
                    id: loaded.studies[index].id.clone(),
                    image: index,
                    tokens: tokenized[index].iter().map(|&id| vocabulary.to_model(id)).collect(),
                })
                .collect(),
            images: Arc::clone(&images),
        };
        let (training, validation) = (side(true), side(false));
        anyhow::ensure!(!training.samples.is_empty(), "no training study has a readable image");
        say(format!(
            "{} studies to train on, {} to validate on, vocabulary {} tokens",
            training.samples.len(),
            validation.samples.len(),
            vocabulary.len()
        ));
        if validation.samples.is_empty() && settings.training.early_stopping_patience > 0 {
            say("warning: EARLY_STOPPING_PATIENCE has no effect: no study is held out to validate by".to_owned());
        }
        let notice = std::fs::read_to_string(folder.join(NOTICE_FILE)).ok();
        let notice = notice.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
        Ok(Self { data: Data { training, validation }, vocabulary, fingerprint, studies: digests, notice })
    }
}

fn load_images(
    dataset: &Dataset,
    folder: &Path,
    studies: Vec<Study>,
    settings: &Settings,
) -> anyhow::Result<data::Loaded> {
    let how = Loading {
        images: dataset.images.clone(),
        preprocessing: settings.preprocessing(),
        threads: settings.training.threads(),
        caches: data::cache_folders(folder),
    };
    let bar = console::progress_bar(0, "images {bar:30} {pos}/{len}  {per_sec}");
    let loaded = data::load(studies, &how, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if !loaded.problems.is_empty() {
        say(data::summary(&loaded.problems));
    }
    if let Some(counts) = data::gate_summary(&loaded) {
        say(counts);
    }
    if let Some(note) = &loaded.note {
        say(format!("note: {note}"));
    }
    Ok(loaded)
}

/// Full token ids of each report, cut to `longest`: a report that is cut has no end token to learn.
fn tokenize(studies: &[Study], longest: usize) -> anyhow::Result<Vec<Vec<u32>>> {
    let tokenizer = tokenizer()?;
    let tokenized: Vec<Vec<u32>> = studies
        .iter()
        .map(|study| tokenizer.encode(&study.text).with_context(|| format!("the report of `{}`", study.id)))
        .collect::<Result<_, _>>()?;
    let cut = tokenized.iter().filter(|ids| ids.len() > longest).count();
    if cut > 0 {
        say(format!(
            "{cut} of {} reports are longer than MAX_REPORT_SIZE ({longest} tokens) and are cut",
            studies.len()
        ));
    }
    Ok(tokenized
        .into_iter()
        .map(|mut ids| {
            ids.truncate(longest);
            ids
        })
        .collect())
}

fn make_vocabulary(
    choice: VocabularyChoice,
    tokenized: &[Vec<u32>],
    is_training: &[bool],
) -> anyhow::Result<Vocabulary> {
    Ok(match choice {
        VocabularyChoice::Full => Vocabulary::full(tokenizer()?.len() as u32)?,
        VocabularyChoice::Corpus => {
            let training = tokenized.iter().zip(is_training).filter(|(_, training)| **training);
            Vocabulary::corpus(training.map(|(ids, _)| ids.as_slice()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(text: &str) -> Study {
        Study { id: "a".into(), file: "a.png".into(), text: text.into(), patient: None, part: None }
    }

    #[test]
    fn a_cut_report_has_no_end_token() {
        let tokenizer = tokenizer().expect("the vocabulary is well formed");
        let end = *tokenizer.encode("x").expect("encodes").last().expect("has an end");
        let studies = [study("The heart is normal in size."), study("Clear.")];
        let tokens = tokenize(&studies, 5).expect("tokenizes");
        assert_eq!(tokens[0].len(), 5);
        assert_ne!(tokens[0].last(), Some(&end));
        assert_eq!(tokens[1].last(), Some(&end));
    }

    #[test]
    fn the_vocabulary_holds_training_words_alone() {
        let tokens = tokenize(&[study("heart"), study("lungs")], 9).expect("tokenizes");
        let corpus = make_vocabulary(VocabularyChoice::Corpus, &tokens, &[true, false]).expect("made");
        assert_eq!(corpus.to_model(tokens[1][1]), corpus.unk());
        assert_ne!(corpus.to_model(tokens[0][1]), corpus.unk());
        let full = make_vocabulary(VocabularyChoice::Full, &tokens, &[true, false]).expect("made");
        assert_eq!(full.len(), 30_522);
    }
}
