//! A fixed-shape step's tensors, which stay where they are: what it reads and what it found.

use tch::{Device, Kind, Tensor};

use super::shape::Shape;
use crate::network::Batch;

/// A target that counts for nothing: `ignore_index` of libtorch's cross-entropy.
const NO_TARGET: i64 = -100;

/// Buffers of one shape.
#[derive(Debug)]
pub struct Buffers {
    shape: Shape,
    /// As [`Batch::images`].
    images: Tensor,
    /// As [`Batch::inputs`], filled up with [`Batch::PAD`].
    inputs: Tensor,
    /// As [`Batch::places`], filled up with 0.
    places: Tensor,
    /// As [`Batch::targets`], filled up with [`NO_TARGET`].
    targets: Tensor,
    /// The optimizer's three numbers and the average's share, `f32 [4]`.
    changing: Tensor,
    /// Loss, right tokens, norm of the gradient, `f64 [3]`.
    found: Tensor,
}

impl Buffers {
    /// Empty ones; `pixels`: H, W, C.
    pub fn new(shape: Shape, pixels: &[i64], device: Device) -> Self {
        let Shape { images, positions, targets } = shape;
        let zeros = |size: &[i64], kind: Kind| Tensor::zeros(size, (kind, device));
        Self {
            shape,
            images: zeros(&[&[images], pixels].concat(), Kind::Uint8),
            inputs: zeros(&[images, positions], Kind::Int64),
            places: zeros(&[targets], Kind::Int64),
            targets: zeros(&[targets], Kind::Int64),
            changing: zeros(&[4], Kind::Float),
            found: zeros(&[3], Kind::Double),
        }
    }

    /// Takes in a batch that fits, and the step's numbers.
    pub fn fill(&mut self, batch: &Batch, numbers: [f32; 3], taken: f32) {
        let _no_grad = tch::no_grad_guard();
        let (length, count) = (batch.inputs.size()[1], batch.targets.numel() as i64);
        self.images.copy_(&batch.images);
        let _ = self.inputs.fill_(Batch::PAD);
        self.inputs.narrow(1, 0, length).copy_(&batch.inputs);
        // Places count positions row by row, and the rows are longer here.
        let rows = batch.places.divide_scalar_mode(length, "floor");
        let places = &batch.places + rows * (self.shape.positions - length);
        let _ = self.places.fill_(0);
        self.places.narrow(0, 0, count).copy_(&places);
        let _ = self.targets.fill_(NO_TARGET);
        self.targets.narrow(0, 0, count).copy_(&batch.targets);
        let [a, b, c] = numbers;
        self.changing.copy_(&Tensor::from_slice(&[a, b, c, taken]));
    }

    /// The batch, in these very tensors.
    pub fn batch(&self) -> Batch {
        let [images, inputs, places, targets] =
            [&self.images, &self.inputs, &self.places, &self.targets].map(Tensor::shallow_clone);
        Batch { images, inputs, places, targets }
    }

    /// The optimizer's numbers, `f32 [3]`.
    pub fn numbers(&self) -> Tensor {
        self.changing.narrow(0, 0, 3)
    }

    /// The share that the average takes in, `f32 []`.
    pub fn taken(&self) -> Tensor {
        self.changing.select(0, 3)
    }

    /// Keeps what a step found: loss, right tokens, norm.
    pub fn write_found(&self, found: [&Tensor; 3]) {
        for (place, value) in (0..).zip(found) {
            self.found.select(0, place).copy_(&value.detach());
        }
    }

    /// What the latest step found; waits for the device.
    pub fn found(&self) -> [f64; 3] {
        let found = self.found.to_device(Device::Cpu);
        [0, 1, 2].map(|place| found.double_value(&[place]))
    }
}
