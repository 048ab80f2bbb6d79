//! What an evaluation sets beside the model.

use std::fs;

use serde_json::Value;
use xreport_tests::Run;

use crate::scenes;
use crate::trained::{STUDIES, copy, trained, with_model};

const SYSTEMS: [&str; 6] = [
    "model",
    "best constant report, by words",
    "best constant report, by observations",
    "random training report",
    "nearest neighbour",
    "shuffled images",
];

#[test]
fn baselines_intervals_and_calibration_stand_beside_the_model() {
    let place = with_model();
    let words = "evaluate --model model --data data --out results --set evaluation.VALIDATION_SIZE=0.5";
    let run = place.train(words).expect_code(0);
    let results = place.json("results/results.json");
    let baselines = &results["baselines"];
    let systems = baselines["systems"].as_array().unwrap();
    assert_eq!(systems.iter().map(|system| system["name"].as_str().unwrap()).collect::<Vec<_>>(), SYSTEMS);
    assert_eq!(results["studies"], STUDIES / 2);
    assert_eq!(baselines["training_reports"], STUDIES / 2, "the studies that are not evaluated");
    assert!(systems[0]["figures"][0]["lead"].is_null());
    for system in &systems[1..] {
        for figure in system["figures"].as_array().unwrap() {
            let lead = &figure["lead"];
            let number = |key: &str| lead[key].as_f64().unwrap();
            assert!(number("low") <= number("difference") && number("difference") <= number("high"), "{system}");
        }
    }
    assert_eq!(baselines["verdict"].as_array().unwrap().len(), SYSTEMS.len() - 1);
    let bins = results["calibration"]["bins"].as_array().unwrap();
    assert_eq!(bins.iter().filter_map(|bin| bin["reports"].as_u64()).sum::<u64>(), STUDIES as u64 / 2);
    let treatments: Vec<&Value> = results["text"].as_array().unwrap().iter().map(|text| &text["text"]).collect();
    assert_eq!(treatments, ["r2gen", "ptb", "plain"]);
    let page = place.read("results/index.html");
    for shown in
        ["Nearest neighbour", "The model&#39;s lead", "95 % interval", "Does it know when it is wrong?", "<mark class="]
    {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(run.stdout.contains("nearest neighbour") && run.stdout.contains("95 % interval"), "{run}");
    let again = place.train(&words.replace("--out results", "--out again")).expect_code(0);
    assert_eq!(place.json("again/results.json")["baselines"], *baselines, "seeded\n{again}");
}

#[test]
fn two_evaluations_stand_side_by_side() {
    let place = with_model();
    let words = "evaluate --model model --data data";
    place.train(&format!("{words} --out first")).expect_code(0);
    place.train(&format!("{words} --out second --against first/results.json")).expect_code(0);
    let page = place.read("second/index.html");
    assert!(page.contains("Beside ") && page.contains("+0.000"));
    assert!(!place.read("first/index.html").contains("Beside "));
    place.write("none.json", "{}");
    let run = place.train(&format!("{words} --out third --against none.json")).expect_code(2);
    assert!(run.stderr.contains("none.json") && run.stderr.contains("hint: "), "{run}");
}

#[test]
fn training_reports_are_never_the_evaluated_ones_unless_there_are_no_others() {
    let place = with_model();
    // Everything is evaluated: the references stand in, and the page says so.
    place.train("evaluate --model model --data data --out all").expect_code(0);
    let training = &place.json("all/results.json")["baselines"]["training"];
    assert!(training.as_str().unwrap().contains("favours it"), "{training}");
    let run = place.train("evaluate --model model --data data --training data --out same").expect_code(2);
    assert!(run.stderr.contains("no training study in `data`") && run.stderr.contains("hint: "), "{run}");
    copy(&trained().place.path("data"), &place.path("other"));
    let table = place.read("other/XREPORT_dataset.csv");
    fs::write(place.path("other/XREPORT_dataset.csv"), table.lines().take(9).collect::<Vec<_>>().join("\n")).unwrap();
    place.train("evaluate --model model --data data --training other --out named").expect_code(0);
    let baselines = &place.json("named/results.json")["baselines"];
    assert_eq!((&baselines["training"], &baselines["training_reports"]), (&"`other`".into(), &8.into()));
}

#[test]
fn a_question_is_answered_over_all_and_by_view_and_hangs_on_what_is_covered() {
    let place = with_model();
    // The words stand in half of the texts; the other references deny them, which no draft does: it is silent.
    let mut table = String::from("id,text,view\n");
    for index in 0..STUDIES {
        let (id, view) = (scenes::id(index), ["AP", "PA"][index / 2 % 2]);
        let text = if index % 2 == 0 { scenes::text(index) } else { "There is no in the right." };
        table.push_str(&format!("{id},\"{text}\",{view}\n"));
    }
    place.write("data/asked.csv", table);
    let words = "evaluate --model model --data data --csv data/asked.csv --out asked --statement";
    let run = |more: &[&str]| Run::of(place.command("xreport-train", words).args(more));
    let ask = |more: &[&str]| {
        run(&[&["In the right"], more].concat()).expect_code(0);
        place.json("asked/results.json")["statement"].clone()
    };
    let answered = ask(&[]);
    let groups = answered["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["all studies", "view AP", "view PA"]);
    assert_eq!((&groups[0]["studies"], &groups[0]["affirmed"]), (&STUDIES.into(), &(STUDIES / 2).into()));
    assert_eq!(answered["silent"], STUDIES / 2);
    let accuracy = |statement: &Value| statement["groups"][0]["model"]["accuracy"]["value"].as_f64().unwrap();
    let area = groups[0]["model"]["area"]["value"].as_f64().unwrap();
    assert!(accuracy(&answered) > 0.9 && area > 0.9, "{answered:#}");
    assert!(place.read("asked/index.html").contains("“in the right”: affirmed or denied"));
    // The discs lie in the middle of each half: with all but the border covered, nothing of them is left.
    let blinded = ask(&["--mask", "centre"]);
    assert!(accuracy(&blinded) < accuracy(&answered), "{blinded:#}");
    let run = run(&["no such words"]).expect_code(2);
    assert!(run.stderr.contains("no such words") && run.stderr.contains("hint: "), "{run}");
}
