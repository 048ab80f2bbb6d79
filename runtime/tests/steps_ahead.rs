//! A batch that goes several steps by itself says what one says that is looked at after each: the same tokens and the
//! same log-probabilities, bit for bit, in both forms of the demo bundle's decoder, also where rows end and are refilled
//! within a round.

use std::num::NonZeroUsize;
use std::path::Path;

use xreport_models::bundle::{Bundle, VariantRequest};
use xreport_runtime::decoding::{DecodingOptions, StepError, StepModel};
use xreport_runtime::device::{Device, DeviceRequest};
use xreport_runtime::drafting::{Draft, Drafter, Study};
use xreport_runtime::model::{Model, ModelError, SessionOptions, StepsAhead};

fn demo() -> Bundle {
    Bundle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo")).expect("the demo bundle")
}

fn model(bundle: &Bundle, variant: &str, steps: Option<usize>) -> Model {
    let ahead = steps.and_then(NonZeroUsize::new).map(|steps| StepsAhead { steps, cuda_graph: true });
    let variant_request = VariantRequest::default();
    let options = SessionOptions { device: DeviceRequest::Cpu, threads: 1, variant: variant_request, ahead };
    Model::of_variant(bundle, variant, Device::Cpu, &options).expect("a model")
}

/// Patterns of stripes and steps, whose reports are of several lengths.
fn studies(bundle: &Bundle, count: usize) -> Vec<Study> {
    let arch = &bundle.manifest().architecture;
    let (height, width) = (arch.image_height, arch.image_width);
    let pixel = |study: usize, place: usize| {
        let (row, column) = (place / width, place % width);
        let stripes = (row * (study % 5 + 1) + column * (study % 3)) * 7 % 200;
        (if column * 3 > width * (1 + study % 2) { stripes / 2 + study * 9 % 90 } else { stripes }) as u8
    };
    let pixels = |study| (0..height * width).flat_map(|place| vec![pixel(study, place); arch.image_channels]).collect();
    (0..count).map(|study| Study { name: study.to_string(), pixels: pixels(study) }).collect()
}

fn drafts(bundle: &Bundle, variant: &str, steps: Option<usize>, together: usize, longest: usize) -> Vec<Draft> {
    let model = model(bundle, variant, steps);
    let mut drafter = Drafter::with_model(bundle, model, Some(longest)).expect("a drafter");
    let first = drafter.draft_studies(together, studies(bundle, 3)).expect("drafts");
    let all = drafter.draft_studies(together, studies(bundle, 20)).expect("drafts");
    assert!(first.iter().zip(&all).all(|(first, again)| first.sequence == again.sequence), "buffers used again");
    all
}

#[test]
fn steps_ahead_change_no_token_and_no_bit() {
    let bundle = demo();
    let positions = bundle.manifest().architecture.max_positions;
    for variant in ["fp32-cpu", "fp32-cuda"] {
        let plain = drafts(&bundle, variant, None, 6, positions);
        let mut lengths: Vec<usize> = plain.iter().map(|draft| draft.sequence.tokens.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        assert!(lengths.len() > 2, "rows that end at different steps: {lengths:?}");
        for (steps, together) in [(1, 6), (2, 6), (3, 1), (8, 6), (8, 20), (positions + 5, 4)] {
            let ahead = drafts(&bundle, variant, Some(steps), together, positions);
            for (plain, ahead) in plain.iter().zip(&ahead) {
                assert_eq!((&plain.text, &plain.sequence), (&ahead.text, &ahead.sequence), "{variant}, {steps} steps");
            }
        }
        // Cut within a round.
        let [plain, ahead] = [None, Some(8)].map(|steps| drafts(&bundle, variant, steps, 6, 13));
        assert!(plain.iter().zip(&ahead).all(|(plain, ahead)| plain.sequence == ahead.sequence), "{variant}");
    }
}

/// The end of the cache is no end of a round: a report that never ends fills it, and not a place more.
#[test]
fn a_round_ends_where_the_cache_does() {
    let bundle = demo();
    let positions = bundle.manifest().architecture.max_positions;
    let mut model = model(&bundle, "fp32-cpu", Some(7));
    let study = studies(&bundle, 1).remove(0);
    let decoder = model.encode(1, study.pixels).expect("encoded");
    decoder.begin(i64::from(bundle.manifest().vocabulary.start())).expect("begun");
    for step in 0..positions {
        decoder.step().unwrap_or_else(|error| panic!("step {step} of {positions}: {error}"));
    }
    assert!(decoder.at_rest(), "all places are filled, and handed out");
    let beyond = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| decoder.step()));
    assert!(beyond.is_err(), "a step beyond the cache is never taken");
}

#[test]
fn what_looks_at_every_step_is_refused() {
    let bundle = demo();
    let mut drafter = Drafter::with_model(&bundle, model(&bundle, "fp32-cpu", Some(4)), None).expect("a drafter");
    drafter.set_options(DecodingOptions { beams: 2, ..DecodingOptions::default() }).expect("options");
    let refused = drafter.draft_studies(1, studies(&bundle, 1)).expect_err("no scores to rank by");
    assert!(matches!(refused, ModelError::Step(StepError::OnDevice(_))), "{refused}");
}
