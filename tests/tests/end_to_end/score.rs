//! `score`: two tables of texts from any system.

use serde_json::Value;

use crate::workplace::Workplace;

const REFERENCES: &str = "id,text\n\
    images/p1/a.png,\"Small left pleural effusion. Heart size is normal.\"\n\
    p1/b,\"No acute disease. The lungs are clear.\"\n\
    p2/c,\"1.5 cm nodule in the right upper lobe.\"\n";

const GENERATED: &str = "id;text;status\n\
    p2/c.dcm;1.4 cm nodule in the left upper lobe.;done\n\
    p1\\b.png;No acute disease. The lungs are clear.;done\n\
    p1/a;Small left pleural effusion. The heart is normal.;done\n";

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("references.csv", REFERENCES);
    place.write("generated.csv", GENERATED);
    place
}

fn score(place: &Workplace, more: &str) -> xreport_tests::Run {
    place.train(&format!("score --generated generated.csv --references references.csv {more}"))
}

#[test]
fn texts_of_any_system_are_scored_by_words_and_by_what_they_state() {
    let place = place();
    let run = score(&place, "").expect_code(0);
    for named in
        ["3 pairs", "r2gen", "ptb", "plain", "uncertain as positive", "uncertain as negative", "different reports"]
    {
        assert!(run.stdout.contains(named), "{named}\n{run}");
    }
    let run = score(&place, "--json --text ptb --per-report reports.csv").expect_code(0);
    assert_eq!(run.stdout.lines().count(), 1);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{run}"));
    assert_eq!(printed["pairs"], 3);
    assert_eq!(printed["text"].as_array().unwrap().len(), 1);
    assert_eq!(printed["text"][0]["text"], "ptb");
    let bleu = printed["text"][0]["corpus"]["bleu"][0].as_f64().unwrap();
    assert!(bleu > 0.8 && bleu < 1.0, "{printed}");
    let observations = &printed["observations"];
    assert_eq!(observations["uncertain_as_positive"]["micro_14"]["f1"], 1.0, "{printed}");
    assert_eq!(observations["side"]["agree"], 1, "the nodule changed its side: {printed}");
    assert_eq!(observations["side"]["compared"], 2);
    assert_eq!(observations["measure"]["agree"], 1);
    let rows = place.csv("reports.csv");
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[1]["id"], &rows[1]["ptb_rouge_l"], &rows[1]["generated No Finding"]), ("p1/b", "1.000000", "1"));
}

#[test]
fn what_would_change_a_score_in_silence_is_an_error() {
    let place = place();
    for (file, content, expected) in [
        ("generated.csv", "id,text\np1/a,x\np1/b,y\n", "1 of 3 references have no generated text"),
        ("generated.csv", "id,text\np1/a,x\np1/a.png,y\n", "lines 2 and 3"),
        ("generated.csv", "id,text\nother,x\n", "no id stands in both"),
        ("generated.csv", "id,text\np1/a,x,y\n", "expected 2 cells, found 3"),
        ("generated.csv", "name,words\np1/a,x\n", "no column `id`"),
        ("generated.csv", "", "an empty file"),
        ("generated.csv", "id,text\n/p1/a,x\n", "absolute path"),
        ("generated.csv", "id,text\np1/a,\"never closed\n", "quotes that do not pair up"),
    ] {
        let place_now = Workplace::new();
        place_now.write("references.csv", REFERENCES);
        place_now.write(file, content);
        let run = score(&place_now, "").expect_code(2);
        assert!(run.stderr.contains(expected) && run.stderr.contains("hint: "), "{expected}\n{run}");
        assert_eq!(run.stdout, "");
    }
    let run = score(&place, "--text bert").expect_code(2);
    assert!(run.stderr.contains("r2gen, r2gen-mimic, ptb, plain"), "{run}");
}

#[test]
fn empty_one_word_and_foreign_texts_have_defined_scores() {
    let place = Workplace::new();
    place.write("references.csv", "id,text\na,Normal\nb,\nc,胸部正常。 Größe normal\nd,No effusion.\n");
    place.write("generated.csv", "id,text\na,\nb,Normal\nc,胸部正常。 Größe normal\n");
    let run = score(&place, "--json --missing empty").expect_code(0);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&printed["pairs"], &printed["missing"], &printed["missing_as"]),
        (&4.into(), &1.into(), &"empty".into())
    );
    assert_eq!((&printed["empty_generated"], &printed["empty_references"]), (&2.into(), &1.into()));
    for text in printed["text"].as_array().unwrap() {
        for figure in text["corpus"]["bleu"].as_array().unwrap().iter().chain([&text["corpus"]["rouge_l"]]) {
            assert!((0.0..=1.0).contains(&figure.as_f64().unwrap()), "{text}");
        }
    }
    let run = score(&place, "--json --missing skip").expect_code(0);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&printed["pairs"], &printed["missing_as"]), (&3.into(), &"skip".into()));
}
