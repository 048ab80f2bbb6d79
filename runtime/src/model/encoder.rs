//! The encoder graph: from images to what the decoder looks at.

use std::fmt;

use ort::session::Session;
use ort::value::{Tensor, Value};
use xreport_models::bundle::{Architecture, interface};

use super::ModelError;

/// The encoder's session.
#[derive(Debug)]
pub struct Encoder {
    session: Session,
    architecture: Architecture,
}

/// Keys and values of several images: for each decoder layer its keys and its values, `[images, heads, S, head_dims]`.
pub struct Encoded {
    images: usize,
    outputs: Vec<Value>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded, {} images", self.images)
    }
}

impl Encoded {
    /// How many images.
    pub fn images(&self) -> usize {
        self.images
    }

    pub(super) fn outputs(&self) -> &[Value] {
        &self.outputs
    }
}

impl Encoder {
    pub(super) fn new(session: Session, architecture: &Architecture) -> Self {
        Self { session, architecture: architecture.clone() }
    }

    /// Encodes images, `u8 [images, H, W, C]` row-major.
    pub fn encode(&mut self, images: usize, pixels: Vec<u8>) -> Result<Encoded, ModelError> {
        let arch = &self.architecture;
        let shape = [images, arch.image_height, arch.image_width, arch.image_channels];
        let pixels = Tensor::from_array((shape, pixels))?;
        let mut outputs = self.session.run(ort::inputs![interface::IMAGE => pixels])?;
        let outputs = (0..arch.decoders)
            .flat_map(|layer| [interface::cross_key(layer), interface::cross_value(layer)])
            .map(|name| outputs.remove(&name).expect("the bundle's interface was checked when it was loaded"))
            .collect();
        Ok(Encoded { images, outputs })
    }
}
