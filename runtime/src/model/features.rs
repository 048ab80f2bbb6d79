//! What the encoder makes of an image, as one vector: to find images that look alike to the model.

use super::{Model, ModelError};

impl Model {
    /// One vector per image, `f32 [rows, heads · head_dims]`: the last decoder's cross-attention values, mean over the
    /// image tokens, scaled to length 1. `pixels` are as for [`Model::encode`].
    ///
    /// # Errors
    /// ONNX Runtime's, and a bundle whose values are not f32 on the CPU.
    pub fn features(&mut self, rows: usize, pixels: Vec<u8>) -> Result<Vec<Vec<f32>>, ModelError> {
        let arch = &self.architecture;
        let encoded = self.encoder.encode(rows, pixels)?;
        // For each layer its keys and its values.
        let (_, values) = encoded.outputs()[2 * arch.decoders - 1].try_extract_tensor::<f32>()?;
        // [B, heads, S, head_dims]
        let (tokens, dims) = (arch.image_tokens, arch.head_dims);
        let per_image = values.chunks(arch.heads * tokens * dims);
        Ok(per_image
            .map(|image| unit(image.chunks(tokens * dims).flat_map(|head| mean(head, dims)).collect()))
            .collect())
    }
}

/// Mean of rows of `dims` numbers.
fn mean(rows: &[f32], dims: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dims];
    for row in rows.chunks(dims) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let count = (rows.len() / dims.max(1)).max(1) as f32;
    sum.into_iter().map(|sum| sum / count).collect()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in &mut vector {
            *value /= length;
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_means_of_length_one() {
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
        assert_eq!(unit(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(unit(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
