//! Every key of `settings/configurations.json` is alive: changed, it changes what the programs do.
//!
//! One short run per key, beside one run that all are compared with ([`baseline`]).
#![allow(clippy::float_cmp, reason = "runs are deterministic: what is the same is the same to the last bit")]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Value, json};
use xreport_tests::{root, skipped};

use crate::checkpoint::Checkpoint;
use crate::scenes;
use crate::trained::copy;
use crate::watched::{Watched, metrics};
use crate::workplace::{Workplace, tiny_settings};

const STUDIES: usize = 20;

/// What a training run left.
struct Trained {
    place: Workplace,
    stderr: String,
    checkpoint: Checkpoint,
    metrics: Vec<Value>,
    manifest: Value,
}

impl Trained {
    fn new(place: Workplace, changes: &[(&str, Value)]) -> Self {
        place.set_up(STUDIES, changes);
        let run = place.train("train --data data --settings settings.json --out run").expect_code(0);
        Self {
            checkpoint: Checkpoint::read(&place.path("run/last.safetensors")),
            metrics: metrics(place.path("run")),
            manifest: place.json("run/bundle/bundle.json"),
            stderr: run.stderr,
            place,
        }
    }

    /// A number that each step states, in order of the steps.
    fn by_step(&self, key: &str) -> Vec<f64> {
        let steps = self.metrics.iter().filter(|line| line["kind"] == "step");
        steps.map(|line| line[key].as_f64().unwrap()).collect()
    }

    fn first_loss(&self) -> f64 {
        self.by_step("loss")[0]
    }

    fn epochs(&self) -> usize {
        self.by_epoch("training_loss").len()
    }

    /// A number that each epoch states.
    fn by_epoch(&self, key: &str) -> Vec<f64> {
        let epochs = self.metrics.iter().filter(|line| line["kind"] == "epoch");
        epochs.map(|line| line[key].as_f64().unwrap()).collect()
    }

    fn architecture(&self, key: &str) -> &Value {
        &self.manifest["architecture"][key]
    }

    /// Bytes of a file in the checkpoint's folder.
    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.place.path("run").join(file)).unwrap()
    }
}

/// The run that no key is changed in.
fn baseline() -> &'static Trained {
    static BASELINE: OnceLock<Trained> = OnceLock::new();
    BASELINE.get_or_init(|| Trained::new(Workplace::beside_the_build(), &[]))
}

/// Trains with `changes`; the run and the one without.
fn changed(changes: &[(&str, Value)]) -> (Trained, &'static Trained) {
    let baseline = baseline();
    (Trained::new(Workplace::new(), changes), baseline)
}

/// A test for each key, named in words, and [`TESTED`], the list of all keys that have one.
macro_rules! each_key {
    ($($key:literal $test:ident $body:block)*) => {
        $(#[test] fn $test() $body)*
        const TESTED: &[&str] = &[$($key),*];
    };
}

each_key! {
    "dataset.SAMPLE_SIZE" sample_size_draws_a_share_or_a_count {
        let (run, base) = changed(&[("dataset.SAMPLE_SIZE", json!(0.5))]);
        assert!(base.stderr.contains("16 studies to train on, 4 to validate on"), "{}", base.stderr);
        assert!(run.stderr.contains("8 studies to train on, 2 to validate on"), "{}", run.stderr);
        assert!((run.by_step("images").iter().sum::<f64>() - 8.0).abs() < 1e-9);
        let (run, _) = changed(&[("dataset.SAMPLE_SIZE", json!(15))]);
        assert!(run.stderr.contains("12 studies to train on, 3 to validate on"), "{}", run.stderr);
    }
    "dataset.VALIDATION_SIZE" validation_size_holds_out_a_share_or_nothing {
        let (run, _) = changed(&[("dataset.VALIDATION_SIZE", json!(0.5))]);
        assert!(run.stderr.contains("10 studies to train on, 10 to validate on"), "{}", run.stderr);
        // A rate at which the loss does not fall from epoch to epoch: nothing is validated, so that the last state is the best.
        let wild = [("training.LEARNING_RATE", json!(0.2)), ("training.EPOCHS", json!(4))];
        let none = ("dataset.VALIDATION_SIZE", json!(0));
        let (run, _) = changed(&[none, ("training.EARLY_STOPPING_PATIENCE", json!(1)), wild[0].clone(), wild[1].clone()]);
        assert!(run.stderr.contains("20 studies to train on, 0 to validate on"), "{}", run.stderr);
        assert!(run.stderr.contains("none held out") && !run.stderr.contains("validation loss"), "{}", run.stderr);
        assert!(run.stderr.contains("EARLY_STOPPING_PATIENCE has no effect"), "{}", run.stderr);
        assert_eq!(run.epochs(), 4);
        assert_eq!(run.checkpoint.state["best"], run.checkpoint.state["latest"]);
        assert_eq!(run.checkpoint.state["best"]["epoch"], 4);
    }
    "dataset.IMG_NORMALIZE" img_normalize_changes_what_the_network_sees_and_what_is_exported {
        let (run, base) = changed(&[("dataset.IMG_NORMALIZE", json!(false))]);
        assert_ne!(run.first_loss(), base.first_loss());
        assert_ne!(run.bytes("bundle/encoder.onnx").len(), base.bytes("bundle/encoder.onnx").len());
    }
    "dataset.IMG_AUGMENT" img_augment_changes_training_images_alone {
        let (run, base) = changed(&[("dataset.IMG_AUGMENT", json!(true))]);
        assert_ne!(run.first_loss(), base.first_loss());
        assert_eq!(run.checkpoint.state["data_fingerprint"], base.checkpoint.state["data_fingerprint"]);
        assert_eq!(run.bytes("verification.safetensors"), base.bytes("verification.safetensors"));
    }
    "dataset.IMG_PLAIN_EPOCHS" img_plain_epochs_leaves_the_last_images_as_they_are {
        let augmented = ("dataset.IMG_AUGMENT", json!(true));
        let three = |plain: usize| {
            let plain = ("dataset.IMG_PLAIN_EPOCHS", json!(plain));
            changed(&[augmented.clone(), plain, ("training.EPOCHS", json!(3))]).0
        };
        let losses = [0, 1, 2, 3].map(|plain| three(plain).by_step("loss"));
        let steps = losses[0].len() / 3;
        let same = |a: usize, b: usize| losses[a].iter().zip(&losses[b]).take_while(|(a, b)| a == b).count();
        assert_eq!([same(0, 1), same(1, 2), same(2, 3)], [2 * steps, steps, 0]);
        let (never, _) = changed(&[("training.EPOCHS", json!(3))]);
        assert_eq!(losses[3], never.by_step("loss"), "three of three are plain");
    }
    "dataset.BALANCE_TEXTS" balance_texts_changes_which_studies_are_drawn {
        let (run, base) = changed(&[("dataset.BALANCE_TEXTS", json!(1.0))]);
        assert_eq!(run.by_step("images"), base.by_step("images"));
        assert_ne!(run.first_loss(), base.first_loss());
    }
    "dataset.MAX_REPORT_SIZE" max_report_size_cuts_reports_and_bounds_the_bundle {
        let (run, base) = changed(&[("dataset.MAX_REPORT_SIZE", json!(10))]);
        // One text of four is longer than ten tokens with its ends.
        assert!(run.stderr.contains("5 of 20 reports are longer than MAX_REPORT_SIZE (10 tokens)"), "{}", run.stderr);
        assert!(!base.stderr.contains("MAX_REPORT_SIZE"), "{}", base.stderr);
        assert_eq!(run.manifest["decoding"]["max_tokens"], 9);
        assert_eq!(base.manifest["decoding"]["max_tokens"], 23);
    }
    "dataset.SPLIT_SEED" split_seed_chooses_who_is_held_out {
        let (run, base) = changed(&[("dataset.SPLIT_SEED", json!(43))]);
        assert_ne!(run.bytes("verification.safetensors"), base.bytes("verification.safetensors"));
        assert_ne!(run.first_loss(), base.first_loss());
        assert!(run.stderr.contains("16 studies to train on, 4 to validate on"), "{}", run.stderr);
    }
    "dataset.IMG_FIT" img_fit_fills_the_input_or_keeps_proportions {
        let (run, base) = changed(&[("dataset.IMG_FIT", json!("stretch"))]);
        assert_eq!(base.manifest["preprocessing"]["fit"], "letterbox");
        assert_eq!(run.manifest["preprocessing"]["fit"], "stretch");
        assert_ne!(run.bytes("verification.safetensors"), base.bytes("verification.safetensors"));
    }
    "dataset.VOCABULARY" vocabulary_is_the_corpus_own_or_full {
        let (run, base) = changed(&[("dataset.VOCABULARY", json!("full"))]);
        assert_eq!(run.manifest["vocabulary"], json!({"mode": "full", "size": 30522}));
        assert_eq!(run.architecture("vocabulary"), 30522);
        assert!(base.architecture("vocabulary").as_u64().unwrap() < 40);
    }
    "model.IMG_SHAPE" img_shape_is_height_width_and_channels {
        let (run, base) = changed(&[("model.IMG_SHAPE", json!([48, 40, 3]))]);
        for (key, size) in [("image_height", 48), ("image_width", 40), ("image_channels", 3), ("image_tokens", 120)] {
            assert_eq!(run.architecture(key), size, "{key}");
        }
        assert_eq!(base.architecture("image_tokens"), 64);
        let preprocessing = &run.manifest["preprocessing"];
        assert_eq!([&preprocessing["height"], &preprocessing["width"], &preprocessing["channels"]], [48, 40, 3]);
    }
    "model.CONV_CHANNELS" conv_channels_are_one_block_each {
        let (run, base) = changed(&[("model.CONV_CHANNELS", json!([8, 8, 16]))]);
        assert_eq!(run.architecture("conv_channels"), &json!([8, 8, 16]));
        assert_eq!(run.architecture("image_tokens"), 16);
        assert_ne!(run.checkpoint.shapes(), base.checkpoint.shapes());
    }
    "model.EMBEDDING_DIMS" embedding_dims_is_the_width {
        let (run, _) = changed(&[("model.EMBEDDING_DIMS", json!(48))]);
        assert_eq!(run.architecture("embedding_dims"), 48);
        let wide = |shape: &&Vec<u64>| shape.contains(&48);
        assert!(run.checkpoint.shapes().values().filter(wide).count() > 10);
        assert_eq!(run.architecture("head_dims"), 24);
    }
    "model.NUM_HEADS" num_heads_divide_the_width {
        let (run, base) = changed(&[("model.NUM_HEADS", json!(4))]);
        assert_eq!([run.architecture("heads"), run.architecture("head_dims")], [4, 8]);
        assert_eq!([base.architecture("heads"), base.architecture("head_dims")], [2, 16]);
        assert_ne!(run.first_loss(), base.first_loss());
    }
    "model.HEAD_DIMS" head_dims_may_be_wider_than_their_share {
        let (run, base) = changed(&[("model.HEAD_DIMS", json!(32))]);
        assert_eq!([run.architecture("heads"), run.architecture("head_dims")], [2, 32]);
        assert_ne!(run.checkpoint.shapes(), base.checkpoint.shapes());
    }
    "model.FFN_EXPANSION" ffn_expansion_widens_the_feed_forward_layers {
        let (run, base) = changed(&[("model.FFN_EXPANSION", json!(2))]);
        assert_eq!([run.architecture("ffn_dims"), base.architecture("ffn_dims")], [64, 128]);
        assert_ne!(run.checkpoint.shapes(), base.checkpoint.shapes());
    }
    "model.NUM_ENCODERS" num_encoders_is_the_number_of_encoder_layers {
        let (run, base) = changed(&[("model.NUM_ENCODERS", json!(3))]);
        assert_eq!([run.architecture("encoders"), run.architecture("decoders")], [3, 2]);
        assert!(run.checkpoint.shapes().len() > base.checkpoint.shapes().len());
        assert!(run.bytes("bundle/encoder.onnx").len() > base.bytes("bundle/encoder.onnx").len());
    }
    "model.NUM_DECODERS" num_decoders_is_the_number_of_decoder_layers {
        let (run, base) = changed(&[("model.NUM_DECODERS", json!(1))]);
        assert_eq!([run.architecture("encoders"), run.architecture("decoders")], [1, 1]);
        assert!(run.checkpoint.shapes().len() < base.checkpoint.shapes().len());
        let outputs = |run: &Trained| run.manifest["graphs"]["encoder.onnx"]["outputs"].as_array().unwrap().len();
        assert_eq!([outputs(&run), outputs(base)], [2, 4]);
    }
    "model.DROPOUT" dropout_drops_in_training_and_not_in_validation {
        let (run, base) = changed(&[("model.DROPOUT", json!(0.5)), ("training.LEARNING_RATE", json!(1e-9))]);
        let (without, _) = changed(&[("model.DROPOUT", json!(0)), ("training.LEARNING_RATE", json!(1e-9))]);
        assert_ne!(run.first_loss(), base.first_loss());
        assert_ne!(run.first_loss(), without.first_loss());
        // The weights stand still, so what is validated is the same network.
        let validated = |run: &Trained| run.checkpoint.state["latest"]["validation_loss"].as_f64().unwrap();
        assert!((validated(&run) - validated(&without)).abs() < 1e-4);
    }
    "model.SAVE_MODEL_PLOT" save_model_plot_draws_the_network {
        let (run, base) = changed(&[("model.SAVE_MODEL_PLOT", json!(false))]);
        assert!(!run.place.has("run/architecture.svg"));
        assert!(base.place.has("run/architecture.svg"));
    }
    "training.EPOCHS" epochs_are_passes_over_the_data {
        let (run, base) = changed(&[("training.EPOCHS", json!(3))]);
        assert_eq!([base.epochs(), run.epochs()], [1, 3]);
        assert_eq!([base.checkpoint.number("step"), run.checkpoint.number("step")], [2, 6]);
    }
    "training.MAX_STEPS" max_steps_ends_the_run_earlier {
        let (run, _) = changed(&[("training.MAX_STEPS", json!(3)), ("training.EPOCHS", json!(9))]);
        assert_eq!(run.checkpoint.number("step"), 3);
        assert!(run.stderr.contains("training complete: 3 steps"), "{}", run.stderr);
    }
    "training.LEARNING_RATE" learning_rate_is_the_peak {
        let (run, base) = changed(&[("training.LEARNING_RATE", json!(0.02))]);
        let peak = |run: &Trained| run.by_step("learning_rate").into_iter().fold(0.0, f64::max);
        assert!((peak(base) - 0.005).abs() < 1e-12 && (peak(&run) - 0.02).abs() < 1e-12);
        assert!(!run.checkpoint.same_tensors(&base.checkpoint));
    }
    "training.WARMUP_STEPS" warmup_steps_raise_the_rate_slowly {
        let (run, base) = changed(&[("training.WARMUP_STEPS", json!(10))]);
        assert!((base.by_step("learning_rate")[0] - 0.0025).abs() < 1e-12);
        assert!((run.by_step("learning_rate")[0] - 0.0005).abs() < 1e-12);
        assert!(!run.checkpoint.same_tensors(&base.checkpoint));
    }
    "training.FINAL_LEARNING_RATE" final_learning_rate_is_where_the_cosine_ends {
        let (run, _) = changed(&[("training.FINAL_LEARNING_RATE", json!(0.5)), ("training.EPOCHS", json!(3))]);
        let rates = run.by_step("learning_rate");
        assert!((rates.last().unwrap() - 0.0025).abs() < 1e-12, "{rates:?}");
    }
    "training.SCHEDULE_EPOCHS" schedule_epochs_stretch_the_cosine {
        let epochs = ("training.EPOCHS", json!(2));
        let (run, _) = changed(&[("training.SCHEDULE_EPOCHS", json!(4)), epochs.clone()]);
        let (own, _) = changed(&[epochs]);
        assert_eq!(*own.by_step("learning_rate").last().unwrap(), 0.0);
        // 2 of 6 steps after the warm-up: 0.005 × ½(1 + cos 60°).
        assert!((run.by_step("learning_rate").last().unwrap() - 0.00375).abs() < 1e-12);
    }
    "training.WEIGHT_DECAY" weight_decay_shrinks_the_weights {
        let (run, base) = changed(&[("training.WEIGHT_DECAY", json!(1.0))]);
        assert_eq!(run.first_loss(), base.first_loss(), "the same weights at first");
        assert!(!run.checkpoint.same_tensors(&base.checkpoint));
        let sum = |run: &Trained| {
            let shapes = run.checkpoint.shapes().iter().filter(|(name, _)| !name.starts_with("optimizer."));
            let matrices = shapes.filter(|(_, shape)| shape.len() > 1);
            matrices.flat_map(|(name, _)| run.checkpoint.floats(name)).map(|v| f64::from(v) * f64::from(v)).sum::<f64>()
        };
        assert!(sum(&run) < sum(base));
    }
    "training.GRADIENT_CLIP" gradient_clip_bounds_the_gradient {
        let (run, base) = changed(&[("training.GRADIENT_CLIP", json!(0.001))]);
        assert!(run.by_step("gradient_norm")[0] > 0.5, "told before it is clipped");
        let moment = |run: &Trained| run.checkpoint.largest("optimizer.first_moment");
        assert!(moment(&run) < 0.01 * moment(base), "{} {}", moment(&run), moment(base));
    }
    "training.EMA_DECAY" ema_decay_exports_an_average_of_the_weights {
        let (run, base) = changed(&[("training.EMA_DECAY", json!(0.9))]);
        assert_eq!(run.by_step("loss"), base.by_step("loss"), "the optimizer goes on from the raw weights");
        assert_ne!(run.bytes("bundle/weights.bin"), base.bytes("bundle/weights.bin"));
        let average = run.checkpoint.shapes().iter().any(|(name, _)| name == "average.weights");
        assert!(average && !base.checkpoint.shapes().iter().any(|(name, _)| name.starts_with("average")));
    }
    "training.BEST_BY" best_by_chooses_the_state_that_is_kept {
        let epochs = ("training.EPOCHS", json!(4));
        let best = |by: &str, key: &str, sign: f64| {
            let (run, _) = changed(&[("training.BEST_BY", json!(by)), ("training.LEARNING_RATE", json!(0.05)), epochs.clone()]);
            let values = run.by_epoch(key);
            let record = &run.checkpoint.state["best"];
            let kept = record[key].as_f64().unwrap();
            assert!(values.iter().all(|value| sign * kept >= sign * value), "{by}: {kept} of {values:?}");
        };
        // That the two can part ways: `a_state_is_better_by_loss_or_by_accuracy` in the trainer.
        best("loss", "validation_loss", -1.0);
        best("accuracy", "validation_accuracy", 1.0);
    }
    "training.LABEL_SMOOTHING" label_smoothing_spreads_the_target {
        let (run, base) = changed(&[("training.LABEL_SMOOTHING", json!(0.4))]);
        assert_ne!(run.first_loss(), base.first_loss());
        assert_ne!(run.by_step("gradient_norm")[0], base.by_step("gradient_norm")[0]);
    }
    "training.BATCH_SIZE" batch_size_is_the_number_of_studies_per_step {
        let (run, base) = changed(&[("training.BATCH_SIZE", json!(5))]);
        assert_eq!(base.by_step("images"), [8.0, 8.0]);
        // The last one of 16 is not left alone.
        let mut images = run.by_step("images");
        images.sort_by(f64::total_cmp);
        assert_eq!(images, [5.0, 5.0, 6.0]);
    }
    "training.GRADIENT_ACCUMULATION" gradient_accumulation_makes_one_step_of_several_batches {
        let (run, base) = changed(&[("training.BATCH_SIZE", json!(4)), ("training.GRADIENT_ACCUMULATION", json!(2))]);
        assert_eq!(run.by_step("images"), base.by_step("images"));
        // The last step of an epoch takes what is left.
        let (run, _) = changed(&[("training.BATCH_SIZE", json!(4)), ("training.GRADIENT_ACCUMULATION", json!(3))]);
        assert_eq!(run.by_step("images"), [12.0, 4.0]);
        let (lone, _) = changed(&[("training.BATCH_SIZE", json!(4))]);
        assert_eq!(lone.by_step("images"), [4.0; 4]);
    }
    "training.LENGTH_WINDOW" length_window_changes_the_order_of_the_studies {
        let (run, base) = changed(&[("training.LENGTH_WINDOW", json!(1))]);
        assert_eq!(run.by_step("images"), base.by_step("images"));
        assert_ne!(run.first_loss(), base.first_loss());
    }
    "training.MIXED_PRECISION" mixed_precision_computes_in_bfloat16_or_says_why_not {
        let (run, base) = changed(&[("training.MIXED_PRECISION", json!(true))]);
        if run.stderr.contains("this CPU has no bfloat16 arithmetic") {
            skipped("this CPU has no bfloat16 arithmetic");
            return assert_eq!(run.first_loss(), base.first_loss());
        }
        assert!(run.stderr.contains("in bfloat16"), "{}", run.stderr);
        assert_ne!(run.first_loss(), base.first_loss());
        let off = (run.first_loss() - base.first_loss()).abs();
        assert!(off < 0.02 * base.first_loss(), "{} {}", run.first_loss(), base.first_loss());
    }
    "training.USE_TENSORBOARD" use_tensorboard_writes_event_files {
        let (run, base) = changed(&[("training.USE_TENSORBOARD", json!(false))]);
        assert!(!run.place.has("run/tensorboard"));
        assert_eq!(base.place.files("run/tensorboard").len(), 1);
    }
    "training.SAMPLE_REPORTS" sample_reports_stand_in_tensorboard_with_their_images {
        let events = |run: &Trained| {
            let folder = run.place.path("run/tensorboard");
            let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
            std::fs::read(file).unwrap()
        };
        let holds = |bytes: &[u8], words: &str| bytes.windows(words.len()).any(|part| part == words.as_bytes());
        let (run, base) = changed(&[("training.SAMPLE_REPORTS", json!(2))]);
        let (with, without) = (events(&run), events(base));
        for tag in ["samples/1/image", "samples/2/text", "**draft:** ", "**report:** "] {
            assert!(holds(&with, tag) && !holds(&without, tag), "{tag}");
        }
        assert!(!holds(&with, "samples/3/text"));
        assert!(!run.stderr.contains("warning: no sample reports"), "{}", run.stderr);
        assert!(run.checkpoint.same_tensors(&base.checkpoint), "looking changes nothing");
        assert!(run.place.leftovers("run").is_empty() && !run.place.has("run/samples"));
    }
    // What it does on a GPU: tests/gpu-train.sh.
    "training.XLA_STATE" xla_state_is_refused_on_the_cpu {
        refused("training.XLA_STATE", json!(true), "a step is captured on a CUDA device alone");
    }
    "training.ML_DEVICE" ml_device_trains_there_or_says_why_not {
        assert!(baseline().stderr.contains("training on the CPU"), "{}", baseline().stderr);
        refused("training.ML_DEVICE", json!("tpu"), "\"auto\", \"cpu\", \"cuda\" or \"cuda:N\"");
        let place = Workplace::with_data(4, &[("training.ML_DEVICE", json!("cuda"))]);
        let run = place.train("train --data data --settings settings.json --out run");
        if run.code == Some(0) {
            return assert!(run.stderr.contains("training on Cuda(0)"), "{run}");
        }
        let run = run.expect_code(2);
        assert!(run.stderr.contains("ML_DEVICE is `cuda`") && run.stderr.contains("hint: "), "{run}");
        assert!(!place.has("run"));
    }
    "training.NUM_PROCESSORS" num_processors_is_the_number_of_threads {
        let (run, base) = changed(&[("training.NUM_PROCESSORS", json!(2))]);
        assert_eq!([base.checkpoint.number("threads"), run.checkpoint.number("threads")], [1, 2]);
        assert!(base.stderr.contains("with 1 threads") && run.stderr.contains("with 2 threads"), "{}", run.stderr);
    }
    "training.SEED" seed_changes_weights_and_order_but_not_the_split {
        let (run, base) = changed(&[("training.SEED", json!(8))]);
        assert_ne!(run.first_loss(), base.first_loss());
        assert_eq!(run.checkpoint.state["data_fingerprint"], base.checkpoint.state["data_fingerprint"]);
        assert_eq!(run.bytes("verification.safetensors"), base.bytes("verification.safetensors"));
        let (again, _) = changed(&[("training.SEED", json!(8))]);
        assert!(again.checkpoint.same_tensors(&run.checkpoint), "a seed gives the same run each time");
    }
    "training.EARLY_STOPPING_PATIENCE" early_stopping_ends_a_run_that_gets_no_better {
        let place = Workplace::with_data(12, &[
            ("training.EPOCHS", json!(60)), ("training.EARLY_STOPPING_PATIENCE", json!(2)),
        ]);
        // What is held out says the opposite of what is learned: sooner or later it can only get worse.
        let rows = (0..12).map(|index| match index % 3 {
            0 => format!("{},zone right of opacity large,validation\n", scenes::id(index)),
            _ => format!("{},large opacity of right zone,train\n", scenes::id(index)),
        });
        place.write("data/XREPORT_dataset.csv", format!("id,text,split\n{}", rows.collect::<String>()));
        let run = place.train("train --data data --settings settings.json --out run").expect_code(0);
        assert!(run.stderr.contains("training ended early"), "{run}");
        let state = Checkpoint::read(&place.path("run/last.safetensors")).state;
        let best = state["best"]["epoch"].as_u64().unwrap();
        assert_eq!(state["epoch"].as_u64(), Some(best + 2), "two epochs after the best");
    }
    "training.SAVE_EVERY_STEPS" save_every_steps_saves_within_an_epoch {
        assert_eq!(batches_seen("training.SAVE_EVERY_STEPS", json!(0)), BTreeSet::from([0]));
        let every_fourth = batches_seen("training.SAVE_EVERY_STEPS", json!(4));
        assert!(every_fourth.iter().any(|&batch| batch > 0), "{every_fourth:?}");
        assert!(every_fourth.iter().all(|batch| batch % 4 == 0), "{every_fourth:?}");
    }
    "training.SAVE_EVERY_MINUTES" save_every_minutes_saves_within_an_epoch {
        // Six thousandths of a second: after every step or two.
        let often = batches_seen("training.SAVE_EVERY_MINUTES", json!(0.0001));
        assert!(often.iter().any(|&batch| batch > 0), "{often:?}");
    }
    "training.KEEP_LAST" keep_last_keeps_the_ends_of_epochs_and_resume_goes_back_to_one {
        let (run, _) = changed(&[("training.KEEP_LAST", json!(2)), ("training.EPOCHS", json!(4))]);
        let kept = |place: &Workplace| -> Vec<String> {
            place.files("run").into_iter().filter(|file| file.starts_with("epoch-")).collect()
        };
        let names: Vec<String> = [3, 4].map(|epoch| format!("epoch-{epoch:07}.safetensors")).to_vec();
        assert_eq!(kept(&run.place), names);
        assert_eq!(Checkpoint::read(&run.place.path("run").join(&names[0])).number("epoch"), 3);
        run.place.train(&format!("resume run --from {}", names[0])).expect_code(0);
        let again = Checkpoint::read(&run.place.path("run/last.safetensors"));
        assert!(again.same_tensors(&run.checkpoint), "the fourth epoch comes out as before");
    }
    "evaluation.BATCH_SIZE" evaluation_batch_size_drafts_so_many_together {
        // The 8-bit form that is taken depends on how many reports are decoded together.
        let place = Workplace::new();
        copy(&baseline().place.path("data"), &place.path("data"));
        copy(&baseline().place.path("run"), &place.path("run"));
        place.train("export run --out model --precision fp32,int8").expect_code(0);
        let variant = |batch: usize| {
            place.write("settings.json", tiny_settings(&[("evaluation.BATCH_SIZE", json!(batch))]));
            let line = "evaluate --model model --data data --settings settings.json --out results --precision int8";
            place.train(line).expect_code(0);
            place.json("results/results.json")["variant"].clone()
        };
        assert_eq!([variant(1), variant(20)], [json!("int8-cpu"), json!("int8-batch-cpu")]);
    }
    "evaluation.SAMPLE_SIZE" evaluation_sample_size_draws_a_share_or_a_count {
        for (size, studies) in [(json!(0.5), 10), (json!(7), 7)] {
            let place = evaluated("evaluation.SAMPLE_SIZE", size);
            assert_eq!(place.json("results/results.json")["studies"], studies);
        }
    }
    "evaluation.VALIDATION_SIZE" evaluation_validation_size_takes_a_share_as_training_did {
        let place = evaluated("evaluation.VALIDATION_SIZE", json!(0.2));
        assert_eq!(place.json("results/results.json")["studies"], 4);
    }
}

/// The batches of the states that a watcher sees on the disk: those done within the running epoch. Without `key` saved at
/// the ends of epochs alone.
fn batches_seen(key: &str, value: Value) -> BTreeSet<u64> {
    let place = Workplace::with_data(
        40,
        &[
            ("training.EPOCHS", json!(3)),
            ("training.BATCH_SIZE", json!(1)),
            ("training.SAVE_EVERY_STEPS", json!(0)),
            (key, value),
        ],
    );
    let line = "train --data data --settings settings.json --out run";
    let mut run = Watched::start(&mut place.command("xreport-train", line));
    let mut batches = BTreeSet::new();
    run.until(|| {
        let saved = Checkpoint::find(&place.path("run/last.safetensors"));
        batches.extend(saved.map(|saved| saved.number("batch")));
        false
    });
    run.end().0.expect_code(0);
    batches
}

/// Training with this value is refused, and the message holds `said`.
#[track_caller]
fn refused(key: &str, value: Value, said: &str) {
    let place = Workplace::with_data(2, &[(key, value)]);
    let run = place.train("train --data data --settings settings.json --out run").expect_code(2);
    assert!(run.stderr.contains(&format!("`{key}`")) && run.stderr.contains(said), "{run}");
    assert!(run.stderr.contains("settings.json:") && run.stderr.contains("hint: "), "{run}");
    assert!(!place.has("run"));
}

/// The baseline's bundle evaluated on its data with one key changed; the results are in `results`.
fn evaluated(key: &str, value: Value) -> Workplace {
    let place = Workplace::new();
    copy(&baseline().place.path("data"), &place.path("data"));
    copy(&baseline().place.path("run/bundle"), &place.path("model"));
    place.write("settings.json", tiny_settings(&[(key, value)]));
    let line = "evaluate --model model --data data --settings settings.json --out results --device cpu";
    place.train(line).expect_code(0);
    place
}

#[test]
fn no_key_is_without_its_test() {
    let file = std::fs::read_to_string(root().join("settings/configurations.json")).unwrap();
    let settings: Value = serde_json::from_str(&file).unwrap();
    let sections = settings.as_object().unwrap().iter();
    let keys: BTreeSet<String> = sections
        .flat_map(|(section, keys)| keys.as_object().unwrap().keys().map(move |key| format!("{section}.{key}")))
        .collect();
    assert_eq!(keys, TESTED.iter().map(ToString::to_string).collect());
}
