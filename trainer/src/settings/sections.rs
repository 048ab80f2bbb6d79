//! The four sections: every key with its unit, range and default.

use serde::{Deserialize, Serialize};
use xreport_models::image::Fit;

use super::values::{BestBy, DeviceRequest, SampleSize, VocabularyChoice};

/// What is learned from: which studies, and how images and reports come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields, default)]
pub struct DatasetSettings {
    /// How much of the data set is used, training and validation together. Default 1.0.
    pub sample_size: SampleSize,
    /// Share of the sample held out for validation, 0 to 0.9; 0 holds nothing out. Default 0.2.
    /// Without effect where the data set's `split` column names validation studies.
    pub validation_size: f64,
    /// `true`: the network standardises each image to mean 0 and deviation 1; `false`: grey
    /// values are scaled to 0..1. Default true.
    pub img_normalize: bool,
    /// Random rotation, shift, scale, contrast and noise on training images, and a covered patch on half of them. Default
    /// false.
    pub img_augment: bool,
    /// Epochs at the end, up to 1,000,000, whose images stay as they are all the same. Default 0.
    pub img_plain_epochs: usize,
    /// How much more often than its share a rare report is trained on, 0 to 1: a report that n studies share is drawn
    /// with weight n^-BALANCE_TEXTS. Default 0.0.
    pub balance_texts: f64,
    /// Longest report in tokens, [CLS] and [SEP] included, 8 to 1024. Default 160.
    pub max_report_size: usize,
    /// Seed of sampling and split. Default 42.
    pub split_seed: u64,
    /// How an image that is not square is fitted. Default letterbox.
    pub img_fit: Fit,
    /// Which token ids the model knows. Default corpus.
    pub vocabulary: VocabularyChoice,
}

impl Default for DatasetSettings {
    fn default() -> Self {
        Self {
            sample_size: SampleSize::ALL,
            validation_size: 0.2,
            img_normalize: true,
            img_augment: false,
            img_plain_epochs: 0,
            balance_texts: 0.0,
            max_report_size: 160,
            split_seed: 42,
            img_fit: Fit::Letterbox,
            vocabulary: VocabularyChoice::Corpus,
        }
    }
}

/// The network's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Height H and width W in pixels (16 to 4096), channels C (1 or 3). Default [224, 224, 1].
    pub img_shape: [usize; 3],
    /// Output channels of each convolution block, 1 to 8 blocks; each block halves height and
    /// width, rounded down. Default [32, 64, 128, 256].
    pub conv_channels: Vec<usize>,
    /// Width D of the transformer, 8 to 8192. Default 256.
    pub embedding_dims: usize,
    /// Attention heads, 1 to 128. Default 8.
    pub num_heads: usize,
    /// Width of one head, a multiple of 8 up to 1024; 0 is EMBEDDING_DIMS / NUM_HEADS, see
    /// [`ModelSettings::head_dims`]. Default 0.
    pub head_dims: usize,
    /// Width of the feed-forward layers in multiples of EMBEDDING_DIMS, 1 to 16. Default 4.
    pub ffn_expansion: usize,
    /// Transformer encoder layers, 0 to 24. Default 3.
    pub num_encoders: usize,
    /// Transformer decoder layers, 1 to 24. Default 3.
    pub num_decoders: usize,
    /// Share of activations dropped in training, 0 to 0.9. Default 0.1.
    pub dropout: f64,
    /// Whether a picture of the architecture is saved with the checkpoint. Default true.
    pub save_model_plot: bool,
}

impl ModelSettings {
    /// Width of one attention head, HEAD_DIMS = 0 resolved.
    pub fn head_dims(&self) -> usize {
        match self.head_dims {
            0 => self.embedding_dims / self.num_heads,
            explicit => explicit,
        }
    }

    /// Height and width of the grid of image tokens, after all pooling.
    pub fn token_grid(&self) -> [usize; 2] {
        let [height, width, _] = self.img_shape;
        let blocks = self.conv_channels.len();
        [height >> blocks, width >> blocks]
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            img_shape: [224, 224, 1],
            conv_channels: vec![32, 64, 128, 256],
            embedding_dims: 256,
            num_heads: 8,
            head_dims: 0,
            ffn_expansion: 4,
            num_encoders: 3,
            num_decoders: 3,
            dropout: 0.1,
            save_model_plot: true,
        }
    }
}

/// The training run. It ends at EPOCHS or MAX_STEPS, whichever comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields, default)]
pub struct TrainingSettings {
    /// Passes over the training studies, 1 to 1,000,000. Default 10.
    pub epochs: usize,
    /// Optimizer steps after which training ends, up to 1,000,000,000; 0 is no limit. Default 0.
    pub max_steps: usize,
    /// Highest learning rate, reached after the warm-up, above 0 and up to 1. Default 0.0005.
    pub learning_rate: f64,
    /// Optimizer steps of linear warm-up, up to 1,000,000,000. Default 100.
    pub warmup_steps: usize,
    /// Learning rate at the end of the cosine as a share of LEARNING_RATE, 0 to 1; 1 keeps it
    /// constant after the warm-up. Default 0.0.
    pub final_learning_rate: f64,
    /// Epochs over which the learning rate falls, up to 1,000,000; 0 is EPOCHS (or MAX_STEPS). Set it to train in parts:
    /// the parts together then equal one long run. Default 0.
    pub schedule_epochs: usize,
    /// AdamW's decoupled weight decay, 0 to 1. Default 0.01.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient, 0 to 1000; 0 does not clip. Default 1.0.
    pub gradient_clip: f64,
    /// Share of the averaged weights that each step keeps, 0 to 0.99999; the average is what is validated and exported.
    /// 0 keeps no average. Default 0.0.
    pub ema_decay: f64,
    /// What makes a state the best: the validation's `loss` or its token `accuracy`. Default loss.
    pub best_by: BestBy,
    /// Probability mass spread over all tokens in the loss, 0 to 0.5. Default 0.0.
    pub label_smoothing: f64,
    /// Studies per optimizer step, 1 to 4096. Default 16.
    pub batch_size: usize,
    /// Batches whose gradients make one optimizer step, 1 to 1024, weighted by their tokens: the effective batch is so many
    /// times BATCH_SIZE, in the memory of one. Default 1.
    pub gradient_accumulation: usize,
    /// Batches among which studies with reports of like length are brought together, 1 to 10,000; 1 leaves the order to
    /// chance alone. Default 16.
    pub length_window: usize,
    /// bfloat16 arithmetic with float32 master weights. Default false.
    pub mixed_precision: bool,
    /// Whether curves are written for TensorBoard. Default true.
    pub use_tensorboard: bool,
    /// Held-out reports that TensorBoard shows after each epoch, with their images, up to 64. Default 4.
    pub sample_reports: usize,
    /// Compiled training step: one captured CUDA graph. Default false.
    pub xla_state: bool,
    /// Where to train. Default auto.
    pub ml_device: DeviceRequest,
    /// Threads for arithmetic and image loading, up to 1024; 0 is one per core, see
    /// [`TrainingSettings::threads`]. Default 0.
    pub num_processors: usize,
    /// Seed of weights, shuffling, dropout and augmentation. Default 7.
    pub seed: u64,
    /// Epochs without a better validation (BEST_BY) after which training ends, up to 1,000,000; 0
    /// never ends early. Default 0.
    pub early_stopping_patience: usize,
    /// Optimizer steps between two saves of the last checkpoint, up to 1,000,000,000; 0 saves at
    /// epoch ends alone. Default 200.
    pub save_every_steps: usize,
    /// Minutes after which the last checkpoint is saved again within an epoch, up to 10,000; 0 goes by steps alone.
    /// Default 10.
    pub save_every_minutes: f64,
    /// How many older states are kept, each an epoch's end, up to 1000. Default 0.
    pub keep_last: usize,
}

impl TrainingSettings {
    /// The number of threads, NUM_PROCESSORS = 0 resolved to the cores this process may use.
    pub fn threads(&self) -> usize {
        match self.num_processors {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            explicit => explicit,
        }
    }
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            epochs: 10,
            max_steps: 0,
            learning_rate: 5e-4,
            warmup_steps: 100,
            final_learning_rate: 0.0,
            schedule_epochs: 0,
            weight_decay: 0.01,
            gradient_clip: 1.0,
            ema_decay: 0.0,
            best_by: BestBy::Loss,
            label_smoothing: 0.0,
            batch_size: 16,
            gradient_accumulation: 1,
            length_window: 16,
            mixed_precision: false,
            use_tensorboard: true,
            sample_reports: 4,
            xla_state: false,
            ml_device: DeviceRequest::Auto,
            num_processors: 0,
            seed: 7,
            early_stopping_patience: 0,
            save_every_steps: 200,
            save_every_minutes: 10.0,
            keep_last: 0,
        }
    }
}

/// What `evaluate` scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields, default)]
pub struct EvaluationSettings {
    /// Images decoded together, 1 to 4096. Default 16.
    pub batch_size: usize,
    /// How much of the data set is looked at before VALIDATION_SIZE is taken. Default 1.0.
    pub sample_size: SampleSize,
    /// Share of that which is evaluated, above 0 and up to 1, drawn as training's split is.
    /// Default 1.0.
    pub validation_size: f64,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self { batch_size: 16, sample_size: SampleSize::ALL, validation_size: 1.0 }
    }
}
