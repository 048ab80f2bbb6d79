//! Keys and values in the width that a variant has them.

use half::f16;
use ort::memory::{AllocationDevice, Allocator};
use ort::session::IoBinding;
use ort::value::{Tensor, Value};
use xreport_models::bundle::DType;

use crate::device::Device;

/// A tensor of 32-bit or 16-bit floats, `[B, heads, N, head_dims]`.
pub(super) enum Floats {
    /// 32 bits.
    Full(Tensor<f32>),
    /// 16 bits.
    Half(Tensor<f16>),
}

/// Does the same with whichever tensor it is.
macro_rules! each {
    ($floats:expr, $tensor:ident => $result:expr) => {
        match $floats {
            Floats::Full($tensor) => $result,
            Floats::Half($tensor) => $result,
        }
    };
}

impl Floats {
    /// Zeros in the computer's memory. Places beyond a row's position are masked, but a masked place still is a factor:
    /// it must hold a finite number.
    pub fn zeroed(dtype: DType, shape: [usize; 4]) -> Result<Self, ort::Error> {
        let host = Allocator::default();
        Ok(if dtype == DType::F16 {
            let mut tensor = Tensor::<f16>::new(&host, shape)?;
            tensor.extract_tensor_mut().1.fill(f16::ZERO);
            Self::Half(tensor)
        } else {
            let mut tensor = Tensor::<f32>::new(&host, shape)?;
            tensor.extract_tensor_mut().1.fill(0.0);
            Self::Full(tensor)
        })
    }

    /// The same on a device.
    pub fn on(self, device: Device) -> Result<Self, ort::Error> {
        let Device::Cuda(index) = device else { return Ok(self) };
        Ok(match self {
            Self::Full(tensor) => Self::Full(tensor.to(AllocationDevice::CUDA, index)?),
            Self::Half(tensor) => Self::Half(tensor.to(AllocationDevice::CUDA, index)?),
        })
    }

    pub fn bind_input(&self, binding: &mut IoBinding, name: &str) -> Result<(), ort::Error> {
        each!(self, tensor => binding.bind_input(name, tensor))
    }

    pub fn bind_output(&mut self, binding: &mut IoBinding, name: &str) -> Result<(), ort::Error> {
        each!(self, tensor => binding.bind_output(name, tensor))
    }

    /// Overwrites row `to` with row `from` of an encoder's output of the same width; both in the computer's memory.
    pub fn fill_row(&mut self, to: usize, output: &Value, from: usize) -> Result<(), ort::Error> {
        each!(self, tensor => {
            let (shape, values) = tensor.extract_tensor_mut();
            let row = shape[1..].iter().product::<i64>() as usize;
            let (_, source) = output.try_extract_tensor()?;
            values[to * row..(to + 1) * row].copy_from_slice(&source[from * row..(from + 1) * row]);
        });
        Ok(())
    }

    /// Within each head, overwrites the first `length` places of row `to` with those of row `from`.
    pub fn copy_row(&mut self, from: usize, to: usize, length: usize) {
        each!(self, tensor => {
            let (shape, values) = tensor.extract_tensor_mut();
            let [heads, places, dims] = [shape[1], shape[2], shape[3]].map(|size| size as usize);
            for head in 0..heads {
                let start = |row: usize| (row * heads + head) * places * dims;
                values.copy_within(start(from)..start(from) + length * dims, start(to));
            }
        });
    }

    /// As [`Floats::copy_row`], from another tensor of the same width and row shape.
    pub fn take_row(&mut self, to: usize, other: &Self, from: usize, length: usize) {
        fn copy<T: Copy>(to: &mut [T], source: &[T], [row_to, row_from]: [usize; 2], shape: [usize; 3], length: usize) {
            let [heads, places, dims] = shape;
            for head in 0..heads {
                let [start, from] = [row_to, row_from].map(|row| (row * heads + head) * places * dims);
                to[start..start + length * dims].copy_from_slice(&source[from..from + length * dims]);
            }
        }
        let sizes = |shape: &[i64]| [shape[1], shape[2], shape[3]].map(|size| size as usize);
        match (self, other) {
            (Self::Full(tensor), Self::Full(other)) => {
                let (shape, values) = tensor.extract_tensor_mut();
                copy(values, other.extract_tensor().1, [to, from], sizes(shape), length);
            }
            (Self::Half(tensor), Self::Half(other)) => {
                let (shape, values) = tensor.extract_tensor_mut();
                copy(values, other.extract_tensor().1, [to, from], sizes(shape), length);
            }
            _ => unreachable!("a variant has one width"),
        }
    }

    /// Overwrites another tensor of the same width and shape, wherever the two are.
    pub fn copy_into(&self, other: &mut Self) -> Result<(), ort::Error> {
        match (self, other) {
            (Self::Full(tensor), Self::Full(other)) => tensor.copy_into(other),
            (Self::Half(tensor), Self::Half(other)) => tensor.copy_into(other),
            _ => unreachable!("a variant has one width"),
        }
    }

    /// Places of a row: N.
    pub fn places(&self) -> usize {
        each!(self, tensor => tensor.shape()[2] as usize)
    }
}
