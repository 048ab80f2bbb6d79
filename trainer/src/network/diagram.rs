//! The network as boxes for the architecture plot.

use super::Network;
use crate::plots::architecture::{Column, LayerBox, LayerRole};

/// One box per layer, with its output shape and parameters.
pub fn diagram(network: &Network) -> Vec<LayerBox> {
    let arch = &network.config.architecture;
    let count = |prefix: &str| network.layout.count(prefix) as u64;
    let (tokens, dims) = (arch.image_tokens, arch.embedding_dims);
    let image = |name: &str, role, detail: String, output_shape: String, parameters| LayerBox {
        column: Column::Encoder,
        role,
        name: name.to_owned(),
        detail,
        parts: Vec::new(),
        output_shape,
        parameters,
    };
    let normalisation = if network.config.standardise { "standardised" } else { "scaled to 0..1" };
    let [mut height, mut width] = [arch.image_height, arch.image_width];
    let shape = format!("B × {height} × {width} × {}", arch.image_channels);
    let mut boxes = vec![image("image", LayerRole::Input, normalisation.to_owned(), shape, 0)];
    for (index, channels) in arch.conv_channels.iter().enumerate() {
        (height, width) = (height / 2, width / 2);
        boxes.push(image(
            &format!("convolution block {}", index + 1),
            LayerRole::Convolution,
            "3×3, batch norm, 2×2 max pooling, ReLU".to_owned(),
            format!("B × {channels} × {height} × {width}"),
            count(&format!("conv.{index}.")),
        ));
    }
    let grid = format!("B × {tokens} × {dims}");
    let projection = count("image_projection.") + count("image_positions");
    let detail = "linear, learned positions".to_owned();
    boxes.push(image("image tokens", LayerRole::Embedding, detail, grid.clone(), projection));
    let heads = format!("{} heads of {}", arch.heads, arch.head_dims);
    for index in 0..arch.encoders {
        let last = index + 1 == arch.encoders;
        boxes.push(LayerBox {
            parts: vec!["self-attention".into(), "feed-forward".into()],
            ..image(
                &format!("encoder {}", index + 1),
                LayerRole::Transformer,
                heads.clone(),
                grid.clone(),
                count(&format!("encoder.{index}.")) + if last { count("image_norm.") } else { 0 },
            )
        });
    }
    boxes.extend(text_boxes(network, &heads));
    boxes
}

fn text_boxes(network: &Network, heads: &str) -> Vec<LayerBox> {
    let arch = &network.config.architecture;
    let count = |prefix: &str| network.layout.count(prefix) as u64;
    let text = format!("B × T × {}", arch.embedding_dims);
    let input = LayerBox {
        column: Column::Decoder,
        role: LayerRole::Input,
        name: "report so far".into(),
        detail: format!("up to {} tokens", arch.max_positions),
        parts: Vec::new(),
        output_shape: "B × T".into(),
        parameters: 0,
    };
    let embedding = LayerBox {
        role: LayerRole::Embedding,
        name: "token + position embedding".into(),
        detail: format!("{} tokens", arch.vocabulary),
        output_shape: text.clone(),
        parameters: count("token_embedding") + count("text_positions"),
        ..input.clone()
    };
    let layers = (0..arch.decoders).map(|index| LayerBox {
        role: LayerRole::Transformer,
        name: format!("decoder {}", index + 1),
        detail: heads.to_owned(),
        parts: vec!["causal attention".into(), "cross-attention".into(), "feed-forward".into()],
        output_shape: text.clone(),
        parameters: count(&format!("decoder.{index}.")),
        ..input.clone()
    });
    let head = LayerBox {
        role: LayerRole::Head,
        name: "vocabulary head".into(),
        detail: "layer norm, linear".into(),
        output_shape: format!("B × T × {}", arch.vocabulary),
        parameters: count("text_norm.") + count("head."),
        ..input.clone()
    };
    [input.clone(), embedding].into_iter().chain(layers).chain([head]).collect()
}
