//! How much arithmetic a training step needs, whoever computes it: what a benchmark's time is held against.

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use xreport_models::bundle::Architecture;

/// Rows and columns of the matrices that are multiplied for comparison.
const SIDE: i64 = 2048;
/// Products of which the fastest counts; the first ones warm up.
const PRODUCTS: usize = 6;
/// A backward pass computes each product's two gradients.
const FORWARD_AND_BACKWARD: f64 = 3.0;

/// Floating-point operations of a training step on reports of these lengths (in positions), padding not counted: two for
/// each multiplication with its addition in convolutions, linear layers, attention and head, forward and backward.
pub fn of_step(arch: &Architecture, lengths: impl Iterator<Item = usize>) -> f64 {
    let image = image(arch);
    let products: f64 = lengths.map(|length| image + text(arch, length as f64)).sum();
    2.0 * FORWARD_AND_BACKWARD * products
}

/// Multiplications of the image half, and of the keys and values that the text half makes of it.
fn image(arch: &Architecture) -> f64 {
    let (mut height, mut width, mut channels) = (arch.image_height, arch.image_width, arch.image_channels);
    let mut sum = 0.0;
    for &outputs in &arch.conv_channels {
        sum += (height * width * 9 * channels * outputs) as f64;
        (height, width, channels) = (height / 2, width / 2, outputs);
    }
    let tokens = arch.image_tokens as f64;
    let dims = arch.embedding_dims as f64;
    let layer = tokens * (attention(arch) + feed_forward(arch)) + 2.0 * tokens * tokens * inner(arch);
    let keys_and_values = tokens * dims * 2.0 * inner(arch);
    sum + tokens * channels as f64 * dims + arch.encoders as f64 * layer + arch.decoders as f64 * keys_and_values
}

/// Multiplications of the text half for a report of `length` positions; causal attention looks at half of their pairs.
fn text(arch: &Architecture, length: f64) -> f64 {
    let dims = arch.embedding_dims as f64;
    let over_text = length * attention(arch) + length * length * inner(arch);
    let over_image = length * 2.0 * dims * inner(arch) + 2.0 * length * arch.image_tokens as f64 * inner(arch);
    let layer = over_text + over_image + length * feed_forward(arch);
    arch.decoders as f64 * layer + length * dims * arch.vocabulary as f64
}

/// All heads side by side.
fn inner(arch: &Architecture) -> f64 {
    (arch.heads * arch.head_dims) as f64
}

/// A token's projections to queries, keys and values, and back.
fn attention(arch: &Architecture) -> f64 {
    4.0 * arch.embedding_dims as f64 * inner(arch)
}

fn feed_forward(arch: &Architecture) -> f64 {
    2.0 * (arch.embedding_dims * arch.ffn_dims) as f64
}

/// Floating-point operations per second of this device's best product of two large matrices of that kind: no network is
/// faster than that.
pub fn of_matrix_product(device: Device, kind: Kind) -> f64 {
    let _no_grad = tch::no_grad_guard();
    let draw = || Tensor::randn([SIDE, SIDE], (Kind::Float, device)).to_kind(kind);
    let (a, b) = (draw(), draw());
    let fastest = (0..PRODUCTS).map(|_| {
        let started = Instant::now();
        let product = a.matmul(&b);
        // Waits for the device.
        let _ = product.select(0, 0).select(0, 0).to_kind(Kind::Double).double_value(&[]);
        started.elapsed().as_secs_f64()
    });
    2.0 * (SIDE as f64).powi(3) / fastest.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Network, NetworkConfig};
    use crate::settings::Settings;

    /// With one token of each kind every weight of a matrix is multiplied once.
    #[test]
    fn linear_layers_multiply_each_weight_once_per_token() {
        let settings = Settings::from_str(
            r#"{"model": {"IMG_SHAPE": [16, 16, 1], "CONV_CHANNELS": [8, 8, 8, 8], "EMBEDDING_DIMS": 32, "NUM_HEADS": 2}}"#,
            "test",
        );
        let network = Network::new(NetworkConfig::new(&settings.expect("valid"), 50));
        let arch = &network.config.architecture;
        assert_eq!(arch.image_tokens, 1);
        // All weights that decay are matrices, or kernels, which are multiplied at each pixel of 16², 8², 4² and 2².
        let matrices = network.layout.decayed() as f64;
        let kernels = [(256.0, 1.0), (64.0, 8.0), (16.0, 8.0), (4.0, 8.0)];
        let more: f64 = kernels.iter().map(|(pixels, inputs)| (pixels - 1.0) * 9.0 * inputs * 8.0).sum();
        // Attention over one token each: a product of a query with its key (causal: half counts), of a share with its value.
        let pairs = arch.encoders as f64 * 2.0 * 32.0 + arch.decoders as f64 * (32.0 + 2.0 * 32.0);
        let expected = matrices + more + pairs;
        let found = of_step(arch, std::iter::once(1)) / 6.0;
        assert!((found - expected).abs() < 0.5, "{found} {expected}");
    }
}
