//! The decoder graph as a [`StepModel`]: caches bound in place, the best token fed back without a copy.

use ort::session::Session;
use xreport_models::bundle::{Architecture, DType};

use super::ahead::AheadBuffers;
use super::buffers::Buffers;
use super::encoder::Encoded;
use super::verifier::Verifier;
use super::{Scores, StepsAhead};
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
    ahead: Option<StepsAhead>,
    batch: Option<Batch>,
    spare: Vec<Batch>,
    verifier: Option<Verifier>,
    scores: Scores,
    /// Whether the last step made the scores of all tokens.
    scored: bool,
}

/// The buffers of a batch, by how it steps.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful of them, moved only when the batch size changes")]
enum Batch {
    /// One step at a time, each of them looked at.
    Fed(Buffers),
    /// Several steps by itself.
    Ahead(AheadBuffers),
}

impl Batch {
    fn rows(&self) -> usize {
        match self {
            Self::Fed(batch) => batch.rows(),
            Self::Ahead(batch) => batch.rows(),
        }
    }
}

impl Decoder {
    pub(super) fn new(
        session: Session,
        architecture: &Architecture,
        floats: DType,
        device: Device,
        scores: Scores,
    ) -> Self {
        let architecture = architecture.clone();
        let (ahead, batch, spare, verifier, scored) = (None, None, Vec::new(), None, false);
        Self { session, architecture, floats, device, ahead, batch, spare, verifier, scores, scored }
    }

    /// From the next batch on, goes so many steps by itself.
    pub(super) fn set_ahead(&mut self, ahead: Option<StepsAhead>) {
        self.ahead = ahead;
    }

    pub(super) fn set_verifier(&mut self, session: Session) {
        self.verifier = Some(Verifier::new(session));
    }

    /// Makes a batch of `rows` rows the present one; each row then wants its image ([`Decoder::fill`]) and its start.
    pub fn attach(&mut self, rows: usize) -> Result<(), StepError> {
        if self.batch.as_ref().is_none_or(|batch| batch.rows() != rows) {
            let batch = match self.spare.iter().position(|batch| batch.rows() == rows) {
                Some(place) => self.spare.remove(place),
                None => self.allocate(rows)?,
            };
            self.put_aside(batch);
        }
        if let Some(Batch::Ahead(batch)) = &mut self.batch {
            batch.prepare(&mut self.session)?;
        }
        Ok(())
    }

    fn allocate(&self, rows: usize) -> Result<Batch, ort::Error> {
        let Self { session, architecture, floats, device, .. } = self;
        Ok(match self.ahead {
            None => Batch::Fed(Buffers::allocate(session, architecture, *floats, *device, rows)?),
            Some(ahead) => Batch::Ahead(AheadBuffers::allocate(session, architecture, *floats, *device, ahead, rows)?),
        })
    }

    /// Goes on with other buffers and keeps the present ones.
    fn put_aside(&mut self, next: Batch) {
        if let Some(before) = self.batch.replace(next) {
            self.keep(before);
        }
    }

    /// Keeps buffers for a batch of their size; of many sizes the last ones.
    fn keep(&mut self, buffers: Batch) {
        self.spare.push(buffers);
        if self.spare.len() > SPARE_BATCHES {
            self.spare.remove(0);
        }
    }

    /// Bytes of weights that a greedy step does not read.
    pub fn spared_bytes(&self) -> u64 {
        self.scores.spared()
    }

    /// Whether a batch may become narrower or wider while it is at work.
    pub fn changes_width(&self) -> bool {
        self.device == Device::Cpu && self.ahead.is_none()
    }

    /// Gives a row the keys and values of image `image` of the encoded ones.
    pub fn fill(&mut self, row: usize, encoded: &Encoded, image: usize) -> Result<(), StepError> {
        Ok(match self.batch_mut() {
            Batch::Fed(batch) => batch.fill(row, encoded, image),
            Batch::Ahead(batch) => batch.fill(row, encoded, image),
        }?)
    }

    fn batch(&self) -> &Batch {
        self.batch.as_ref().expect("a batch is attached before the first step")
    }

    fn batch_mut(&mut self) -> &mut Batch {
        self.batch.as_mut().expect("a batch is attached before the first step")
    }

    /// The present buffers, for what needs each step to be looked at.
    fn fed(&mut self, what: &'static str) -> Result<&mut Buffers, StepError> {
        match self.batch_mut() {
            Batch::Fed(batch) => Ok(batch),
            Batch::Ahead(_) => Err(StepError::OnDevice(what)),
        }
    }

    /// Overrides the next input token of each row, `[B]`: teacher forcing.
    pub fn feed(&mut self, ids: &[i64]) -> Result<(), StepError> {
        self.fed("teacher forcing")?.ids_mut().copy_from_slice(ids);
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
        match self.batch_mut() {
            Batch::Fed(batch) => {
                batch.ids_mut()[row] = start;
                batch.positions_mut()[row] = 0;
            }
            Batch::Ahead(batch) => batch.start_row(row, start),
        }
    }

    fn step(&mut self) -> Result<(), StepError> {
        self.scored = self.scores.wanted();
        let batch = self.batch.as_mut().expect("a batch is attached before the first step");
        Ok(match batch {
            Batch::Fed(batch) => batch.step(&mut self.session),
            Batch::Ahead(batch) => batch.step(&mut self.session),
        }?)
    }

    fn at_rest(&self) -> bool {
        match self.batch() {
            Batch::Fed(_) => true,
            Batch::Ahead(batch) => batch.at_rest(),
        }
    }

    fn give_up_ahead(&mut self) {
        if let Batch::Ahead(batch) = self.batch_mut() {
            batch.give_up_ahead();
        }
    }

    fn next_ids(&self) -> &[i64] {
        match self.batch() {
            Batch::Fed(batch) => batch.ids(),
            Batch::Ahead(batch) => batch.ids(),
        }
    }

    fn log_probabilities(&self) -> &[f32] {
        match self.batch() {
            Batch::Fed(batch) => batch.log_probabilities(),
            Batch::Ahead(batch) => batch.log_probabilities(),
        }
    }

    fn want_scores(&mut self, wanted: bool) {
        self.scores.want(wanted);
    }

    fn logits(&self) -> Option<&[f32]> {
        if !self.scored {
            return None;
        }
        match self.batch() {
            Batch::Fed(batch) => batch.logits(),
            Batch::Ahead(_) => None,
        }
    }

    fn feed_row(&mut self, row: usize, token: i64) {
        match self.batch_mut() {
            Batch::Fed(batch) => batch.ids_mut()[row] = token,
            Batch::Ahead(batch) => batch.feed_row(row, token),
        }
    }

    fn copy_row(&mut self, from: usize, to: usize) -> Result<(), StepError> {
        let on_cpu = self.device == Device::Cpu;
        match self.fed("beam search")? {
            batch if on_cpu => batch.copy_row(from, to),
            _ => return Err(StepError::OnDevice("beam search")),
        }
        Ok(())
    }

    fn keep_rows(&mut self, rows: &[usize]) -> Result<bool, StepError> {
        if !self.changes_width() {
            return Ok(false);
        }
        let before = self.batch.take().expect("a batch is attached before the first step");
        self.attach(rows.len())?;
        if let (Some(Batch::Fed(batch)), Batch::Fed(before)) = (&mut self.batch, &before) {
            batch.take_rows(before, rows);
        }
        self.keep(before);
        Ok(true)
    }
}

impl VerifyModel for Decoder {
    fn verify(&mut self, tokens: &[i64], place: usize) -> Result<(), StepError> {
        let Some(Batch::Fed(batch)) = &mut self.batch else { return Err(StepError::OnDevice("guessing ahead")) };
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
        let batch = self.fed("guessing ahead").expect("guessing was prepared, which wants a batch that is fed");
        batch.ids_mut()[0] = token;
        batch.positions_mut()[0] = place as i32;
    }
}
