//! The verifier graph: several tokens of one row in one call, over the decoder's own cache.

use std::fmt;

use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;
use xreport_models::bundle::interface;

use super::buffers::Buffers;

/// The verifier's session, and a binding for each number of tokens that was wanted so far.
pub(super) struct Verifier {
    session: Session,
    calls: Vec<Call>,
    /// The buffers that they are bound to.
    bound_to: u64,
    latest: usize,
}

/// Tensors for a number of tokens.
struct Call {
    binding: IoBinding,
    ids: Tensor<i64>,
    places: Tensor<i32>,
    position: Tensor<i32>,
    top_ids: Tensor<i64>,
    top_log_probabilities: Tensor<f32>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier of up to {} tokens", self.calls.len())
    }
}

impl Verifier {
    pub fn new(session: Session) -> Self {
        Self { session, calls: Vec::new(), bound_to: 0, latest: 0 }
    }

    /// Runs it for `tokens`, the first at position `place`, over the caches of these buffers, which have one row.
    pub fn verify(&mut self, buffers: &mut Buffers, tokens: &[i64], place: usize) -> Result<(), ort::Error> {
        if self.bound_to != buffers.number() {
            self.calls.clear();
            self.bound_to = buffers.number();
        }
        while self.calls.len() < tokens.len() {
            let call = Call::new(&self.session, buffers, self.calls.len() + 1)?;
            self.calls.push(call);
        }
        self.latest = tokens.len() - 1;
        let call = &mut self.calls[self.latest];
        call.ids.extract_tensor_mut().1.copy_from_slice(tokens);
        for (index, its) in call.places.extract_tensor_mut().1.iter_mut().enumerate() {
            *its = (place + index) as i32;
        }
        call.position.extract_tensor_mut().1[0] = (place + self.latest) as i32;
        self.session.run_binding(&call.binding)?;
        Ok(())
    }

    /// `[N, 2]` of the latest call.
    pub fn top_ids(&self) -> &[i64] {
        self.calls[self.latest].top_ids.extract_tensor().1
    }

    /// `[N, 2]` of the latest call.
    pub fn top_log_probabilities(&self) -> &[f32] {
        self.calls[self.latest].top_log_probabilities.extract_tensor().1
    }
}

impl Call {
    fn new(session: &Session, buffers: &mut Buffers, tokens: usize) -> Result<Self, ort::Error> {
        let host = Allocator::default();
        let mut binding = session.create_binding()?;
        let ids = Tensor::<i64>::new(&host, [1, tokens])?;
        let places = Tensor::<i32>::new(&host, [1, tokens])?;
        let position = Tensor::<i32>::new(&host, [1usize])?;
        let mut top_ids = Tensor::<i64>::new(&host, [1, tokens, 2])?;
        let mut top_log_probabilities = Tensor::<f32>::new(&host, [1, tokens, 2])?;
        binding.bind_input(interface::INPUT_IDS, &ids)?;
        binding.bind_input(interface::PLACES, &places)?;
        binding.bind_input(interface::POSITION, &position)?;
        binding.bind_output(interface::TOP_IDS, &mut top_ids)?;
        binding.bind_output(interface::TOP_LOG_PROBABILITIES, &mut top_log_probabilities)?;
        buffers.bind_state(&mut binding)?;
        Ok(Self { binding, ids, places, position, top_ids, top_log_probabilities })
    }
}
