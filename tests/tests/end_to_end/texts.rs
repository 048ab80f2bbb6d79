//! Texts that look like something else: names of special tokens, words for a missing value, denials in other words; and
//! training whose numbers leave the range of numbers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::scenes;
use crate::trained::{copy, with_model};
use crate::workplace::Workplace;

/// Writes the data set `data` with these texts, one per image.
fn data_set(place: &Workplace, texts: &[&str]) {
    let images = place.path("data/images");
    fs::create_dir_all(&images).unwrap();
    let mut table = String::from("id,text\n");
    for (index, text) in texts.iter().enumerate() {
        scenes::image(index).save(images.join(format!("{}.png", scenes::id(index)))).unwrap();
        writeln!(table, "{},\"{text}\"", scenes::id(index)).unwrap();
    }
    place.write("data/XREPORT_dataset.csv", table);
}

/// A model that was taught texts with a special token's name between their sections.
fn taught_separators() -> &'static Workplace {
    static TAUGHT: OnceLock<Workplace> = OnceLock::new();
    TAUGHT.get_or_init(|| {
        let place = Workplace::beside_the_build();
        let changes = [("training.EPOCHS", json!(60)), ("model.DROPOUT", json!(0.0))];
        place.set_up(0, &changes);
        let texts = ["Right opacity. [SEP] Small nodule.", "Left opacity. [SEP] Large heart."];
        data_set(&place, &texts.into_iter().cycle().take(24).collect::<Vec<_>>());
        place.train("train --data data --settings settings.json --out checkpoint").expect_code(0);
        place
    })
}

#[test]
fn what_stands_behind_a_special_tokens_name_is_learnt_and_drafted() {
    let place = Workplace::new();
    copy(&taught_separators().path("checkpoint/bundle"), &place.path("model"));
    copy(&taught_separators().path("data"), &place.path("data"));
    place.xreport("generate data/images --model model --out drafts.csv").expect_code(0);
    let rows = place.csv("drafts.csv");
    assert_eq!(rows.len(), 24);
    for row in &rows {
        let text = row["text"].to_lowercase();
        let (_, behind) = text.split_once("[sep]").unwrap_or_else(|| panic!("no separator in {text:?}"));
        assert!(behind.contains("nodule") || behind.contains("heart"), "{text}");
    }
    // As a prefix the name is three tokens that the model knows from its texts.
    let mut begun = place.command("xreport", "generate data/images --model model --out begun.csv");
    xreport_tests::Run::of(begun.args(["--prefix", "[SEP]"])).expect_code(0);
    for row in place.csv("begun.csv") {
        let text = row["text"].to_lowercase();
        assert!(text.starts_with("[sep]") && (text.contains("nodule") || text.contains("heart")), "{text:?}");
    }
}

#[test]
fn a_prefix_that_no_model_can_say_is_refused() {
    let place = with_model();
    let long = "opacity ".repeat(60);
    for (prefix, said) in [
        // This model's texts hold no brackets.
        ("[SEP]", "the model does not know `[`"),
        ("[PAD][PAD]", "the model does not know"),
        ("[cls]", "the model does not know"),
        ("", "found nothing but white space"),
        (" \t", "found nothing but white space"),
        ("\u{200b}\u{ad}", "found nothing but characters that cannot be seen"),
        (&long, "fewer tokens than the longest report has"),
    ] {
        let mut command = place.command("xreport", "generate data/images --model model --out no.csv");
        let run = xreport_tests::Run::of(command.args(["--prefix", prefix])).expect_code(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("hint: "), "{prefix:?}: {run}");
        assert!(!place.has("no.csv"));
    }
}

/// 16 texts of which five are none.
const WITH_PLACEHOLDERS: [&str; 16] = [
    "Right opacity.",
    "nan",
    "Left opacity.",
    "N/A",
    "Right opacity.",
    "Left opacity.",
    "\u{200b}",
    "None",
    "Right opacity.",
    "-",
    "Left opacity.",
    "Right opacity.",
    "No.",
    "Right opacity.",
    "Left opacity.",
    "Right opacity.",
];

#[test]
fn cells_that_hold_no_text_are_named_with_their_rows_and_left_out() {
    let place = Workplace::new();
    place.set_up(0, &[]);
    data_set(&place, &WITH_PLACEHOLDERS);
    let trained = place.train("train --data data --settings settings.json --out checkpoint").expect_code(0);
    let evaluated = place.train("evaluate --model checkpoint --data data --out results").expect_code(0);
    for run in [&trained, &evaluated] {
        for said in [
            "11 studies, 5 images without a usable row",
            "3 rows have a word for a missing value in place of a text: line 3 (nan); line 5 (n/a); line 9 (none)",
            "1 rows have a text of nothing but characters that cannot be seen: line 8",
            "1 rows have a text without a letter or digit: line 11",
        ] {
            assert!(run.stderr.contains(said), "`{said}` expected\n{run}");
        }
    }
    place.train("dataset validate --data data --out seen --settings settings.json");
    let left_out = place.json("seen/validation.json")["counts"]["left_out"].clone();
    let named: Vec<&str> = left_out
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["examples"].as_array().unwrap())
        .map(|line| line.as_str().unwrap())
        .collect();
    assert_eq!(named, ["line 3 (nan)", "line 5 (n/a)", "line 9 (none)", "line 8", "line 11"]);
}

#[test]
fn references_that_hold_no_text_are_named_and_count_as_empty() {
    let place = Workplace::new();
    place.write("generated.csv", "id,text\na,Clear lungs.\nb,Small nodule.\nc,[SEP] clear\n");
    place.write("references.csv", "id,text\na,NaN\nb,Small nodule.\nc,\"[SEP] clear\"\n");
    let run = place.train("score --generated generated.csv --references references.csv").expect_code(0);
    assert!(run.stdout.contains("1 empty references"), "{run}");
    assert!(
        run.stderr.contains("`references.csv`: 1 rows have a word for a missing value")
            && run.stderr.contains("line 2 (nan)"),
        "{run}"
    );
}

#[test]
fn a_question_is_denied_in_whatever_words() {
    let place = Workplace::new();
    place.set_up(0, &[("training.EPOCHS", json!(2))]);
    let denied =
        ["No opacity.", "Clear\nwithout lung opacity.", "Lung opacity is not seen.", "Negative for lung opacity."];
    let texts: Vec<&str> = denied.into_iter().chain(["Lung opacity."]).cycle().take(20).collect();
    data_set(&place, &texts);
    place.train("train --data data --settings settings.json --out checkpoint").expect_code(0);
    let mut command = place.command("xreport-train", "evaluate --model checkpoint --data data --out results --json");
    let run = xreport_tests::Run::of(command.args(["--statement", "lung opacity"]));
    let run = run.expect_code(0);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{run}"));
    let all = &printed["statement"]["groups"][0];
    assert_eq!((&all["studies"], &all["affirmed"]), (&json!(20), &json!(4)), "{run}");
    let run = place.train("evaluate --model checkpoint --data data --out no --statement ...").expect_code(2);
    assert!(run.stderr.contains("--statement") && run.stderr.contains("found no word"), "{run}");
}

#[test]
fn a_learning_rate_that_is_too_high_is_named_and_not_the_program() {
    let place = Workplace::with_data(24, &[("training.EPOCHS", json!(6)), ("training.LEARNING_RATE", json!(1.0))]);
    let run = place.train("train --data data --settings settings.json --out checkpoint").expect_code(2);
    assert!(!run.stderr.contains("fault of the program"), "{run}");
    assert!(run.stderr.contains("training.LEARNING_RATE") && run.stderr.contains("no bundle was written"), "{run}");
    assert!(place.has("checkpoint/last.safetensors") && !place.has("checkpoint/bundle"));
}

/// Makes every weight of a checkpoint file so large that the next step overflows.
fn overflow(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let weights = header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.starts_with("__") && !name.starts_with("optimizer"));
    for (_, entry) in weights {
        let place = |at: usize| 8 + length + entry["data_offsets"][at].as_u64().unwrap() as usize;
        for value in bytes[place(0)..place(1)].as_chunks_mut::<4>().0 {
            *value = 3e38f32.to_le_bytes();
        }
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_run_whose_loss_is_no_number_ends_with_a_bundle_of_its_last_good_state() {
    let place = Workplace::with_data(16, &[("training.EPOCHS", json!(3))]);
    place.train("train --data data --settings settings.json --out run --stop-after-epochs 1").expect_code(0);
    let good = place.json("run/bundle/bundle.json")["id"].clone();
    fs::remove_dir_all(place.path("run/bundle")).unwrap();
    overflow(&place.path("run/last.safetensors"));
    let step = place.json("run/settings.json")["training"]["BATCH_SIZE"].as_u64().map(|size| 16_u64.div_ceil(size));
    assert_eq!(step, Some(2), "one epoch is two steps");
    let run = place.train("resume run").expect_code(2);
    for said in [
        "training diverged at step ",
        "the loss is ",
        "hint: ",
        "training.LEARNING_RATE",
        "the last good state (step ",
        "run/bundle",
    ] {
        assert!(run.stderr.contains(said), "`{said}` expected\n{run}");
    }
    assert_eq!(place.json("run/bundle/bundle.json")["id"], good, "the bundle is that of the state before");
    assert!(place.has("run/bad_batch.json"));
}
