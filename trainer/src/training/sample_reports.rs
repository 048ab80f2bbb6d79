//! A handful of held-out reports after each epoch, written by the deployed runtime from a bundle of the present weights.

use anyhow::Context;
use tch::Device;
use xreport_models::atomic::Staging;
use xreport_models::bundle::{Bundle, Precision, VariantRequest};
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::drafting::Drafter;
use xreport_runtime::model::SessionOptions;

use super::batches::Samples;
use super::prepare::tokenizer;
use super::run::Run;
use crate::data::png;
use crate::export::{Trained, bundle_draft, provenance};

/// Name of the passing bundle's folder.
const NAME: &str = "samples";

/// A held-out study with what the model says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleReport {
    /// Its image as the network sees it, a PNG.
    pub png: Vec<u8>,
    /// What the model writes.
    pub draft: String,
    /// What the data set says, in the model's words.
    pub reference: String,
}

impl Run {
    /// Drafts the first `count` studies of `held_out` through an export of the present state, which is not checked.
    pub fn sample_reports(&self, held_out: &Samples, count: usize) -> anyhow::Result<Vec<SampleReport>> {
        let chosen = &held_out.samples[..count.min(held_out.samples.len())];
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let staging = Staging::beside(self.folder.join(NAME))?;
        let folder = staging.path().join("bundle");
        self.write_bundle(&folder)?;
        let bundle = Bundle::load(&folder)?;
        let session = SessionOptions {
            device: DeviceRequest::Cpu,
            threads: self.training().threads(),
            variant: VariantRequest { precision: Some(Precision::Fp32), batch_size: chosen.len() },
            ahead: None,
        };
        let mut drafter = Drafter::new(&bundle, &session, None)?;
        let images = chosen.iter().map(|sample| held_out.images.get(sample.image)).collect::<Result<Vec<_>, _>>()?;
        let drafts = drafter.draft(&images)?;
        let preprocessing = held_out.images.preprocessing();
        let each = chosen.iter().zip(&images).zip(drafts);
        each.map(|((sample, image), draft)| {
            Ok(SampleReport {
                png: png(image, preprocessing)?,
                draft: draft.text,
                reference: drafter.text(self.state.vocabulary.spoken(&sample.tokens)),
            })
        })
        .collect()
    }

    fn write_bundle(&self, folder: &std::path::Path) -> anyhow::Result<()> {
        let (flat, statistics) = self.tensors.deployed();
        let trained = Trained {
            network: &self.network,
            flat: &flat.to_device(Device::Cpu),
            statistics: &statistics.to_device(Device::Cpu),
            vocabulary: &self.state.vocabulary,
            tokenizer: &tokenizer()?,
            preprocessing: &self.state.settings.preprocessing(),
            name: NAME,
            notice: &self.state.notice,
            precisions: &[Precision::Fp32],
            ngrams: None,
            provenance: provenance(&self.state)?,
            card_notes: None,
        };
        let written = bundle_draft(&trained).write(folder, |_, _| Ok::<_, anyhow::Error>(()));
        written.map(drop).context("the passing bundle of the sample reports")
    }
}
