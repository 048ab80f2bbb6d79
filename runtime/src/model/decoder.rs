//! The decoder graph as a [`StepModel`]: caches bound in place, the best token fed back without a copy.

use ort::session::Session;
use xreport_models::bundle::{Architecture, DType};

use super::buffers::Buffers;
use super::encoder::Encoded;
use super::verifier::Verifier;
use crate::decoding::{StepError, StepModel, VerifyModel};
use crate::device::Device;

/// Batches whose buffers are kept for the next time that their size is wanted.
const SPARE_BATCHES: usize = 6;

/// One decoder session and the buffers of the batch that it works on.
#[derive(Debug)]
pub struct Decoder {
    session: Session,
    architecture: Architecture,
    floats: DType,
    device: Device,
    batch: Option<Buffers>,
    spare: Vec<Buffers>,
    verifier: Option<Verifier>,
}

impl Decoder {
    pub(super) fn new(session: Session, architecture: &Architecture, floats: DType, device: Device) -> Self {
        Self { session, architecture: architecture.clone(), floats, device, batch: None, spare: vec![], verifier: None }
    }

    pub(super) fn set_verifier(&mut self, session: Session) {
        self.verifier = Some(Verifier::new(session));
    }

    /// Makes a batch of `rows` rows the present one; each row then wants its image ([`Decoder::fill`]) and its start.
    pub fn attach(&mut self, rows: usize) -> Result<(), StepError> {
        if self.batch.as_ref().is_some_and(|batch| batch.rows() == rows) {
            return Ok(());
        }
        let batch = match self.spare.iter().position(|batch| batch.rows() == rows) {
            Some(place) => self.spare.remove(place),
            None => Buffers::allocate(&self.session, &self.architecture, self.floats, self.device, rows)?,
        };
        self.put_aside(batch);
        Ok(())
    }

    /// Goes on with other buffers and keeps the present ones.
    fn put_aside(&mut self, next: Buffers) {
        if let Some(before) = self.batch.replace(next) {
            self.keep(before);
        }
    }

    /// Keeps buffers for a batch of their size; of many sizes the last ones.
    fn keep(&mut self, buffers: Buffers) {
        self.spare.push(buffers);
        if self.spare.len() > SPARE_BATCHES {
            self.spare.remove(0);
        }
    }

    /// Gives a row the keys and values of image `image` of the encoded ones.
    pub fn fill(&mut self, row: usize, encoded: &Encoded, image: usize) -> Result<(), StepError> {
        Ok(self.batch_mut().fill(row, encoded, image)?)
    }

    fn batch(&self) -> &Buffers {
        self.batch.as_ref().expect("a batch is attached before the first step")
    }

    fn batch_mut(&mut self) -> &mut Buffers {
        self.batch.as_mut().expect("a batch is attached before the first step")
    }

    /// Overrides the next input token of each row, `[B]`: teacher forcing.
    pub fn feed(&mut self, ids: &[i64]) -> Result<(), StepError> {
        self.batch_mut().ids_mut().copy_from_slice(ids);
        Ok(())
    }
}

impl StepModel for Decoder {
    fn rows(&self) -> usize {
        self.batch().rows()
    }

    fn positions(&self) -> usize {
        self.architecture.max_positions
    }

    fn start_row(&mut self, row: usize, start: i64) {
        let batch = self.batch_mut();
        batch.ids_mut()[row] = start;
        batch.positions_mut()[row] = 0;
    }

    fn step(&mut self) -> Result<(), StepError> {
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        Ok(batch.step(&mut self.session)?)
    }

    fn next_ids(&self) -> &[i64] {
        self.batch().ids()
    }

    fn log_probabilities(&self) -> &[f32] {
        self.batch().log_probabilities()
    }

    fn logits(&self) -> Option<&[f32]> {
        self.batch().logits()
    }

    fn feed_row(&mut self, row: usize, token: i64) {
        self.batch_mut().ids_mut()[row] = token;
    }

    fn copy_row(&mut self, from: usize, to: usize) -> Result<(), StepError> {
        if self.device != Device::Cpu {
            return Err(StepError::OnDevice("beam search"));
        }
        self.batch_mut().copy_row(from, to);
        Ok(())
    }

    fn keep_rows(&mut self, rows: &[usize]) -> Result<bool, StepError> {
        if self.device != Device::Cpu {
            return Ok(false);
        }
        let before = self.batch.take().expect("a batch is attached before the first step");
        self.attach(rows.len())?;
        self.batch_mut().take_rows(&before, rows);
        self.keep(before);
        Ok(true)
    }
}

impl VerifyModel for Decoder {
    fn verify(&mut self, tokens: &[i64], place: usize) -> Result<(), StepError> {
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        assert_eq!(batch.rows(), 1, "guesses are checked for one report at a time");
        Ok(self.verifier.as_mut().expect("guessing was prepared").verify(batch, tokens, place)?)
    }

    fn top_ids(&self) -> &[i64] {
        self.verifier.as_ref().expect("guessing was prepared").top_ids()
    }

    fn top_log_probabilities(&self) -> &[f32] {
        self.verifier.as_ref().expect("guessing was prepared").top_log_probabilities()
    }

    fn resume_at(&mut self, token: i64, place: usize) {
        let batch = self.batch_mut();
        batch.ids_mut()[0] = token;
        batch.positions_mut()[0] = place as i32;
    }
}
