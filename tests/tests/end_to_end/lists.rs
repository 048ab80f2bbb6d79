//! One table for every command: in any form that spreadsheets and databases write, with ids that all of them take.

use std::fs;

use crate::scenes;
use crate::trained::with_model;
use crate::workplace::{Workplace, tiny_settings};

/// A table in the forms in which it may come; what has no commas of its own can have any delimiter.
fn forms(plain: &str) -> Vec<(&'static str, Vec<u8>)> {
    let with = |delimiter: &str| plain.replace(',', delimiter);
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    vec![
        ("commas", plain.as_bytes().to_vec()),
        ("semicolons", with(";").into_bytes()),
        ("tabs", with("\t").into_bytes()),
        ("a byte order mark", format!("\u{feff}{plain}").into_bytes()),
        ("CR LF", plain.replace('\n', "\r\n").into_bytes()),
        ("CR", plain.replace('\n', "\r").into_bytes()),
        ("Excel's Unicode text", utf16(&with("\t").replace('\n', "\r\n"), u16::to_le_bytes)),
        ("UTF-16, big end first", utf16(plain, u16::to_be_bytes)),
        ("Excel's line sep=", format!("sep=;\r\n{}", with(";").replace('\n', "\r\n")).into_bytes()),
        ("blank lines at the end", format!("{}\n;;\n\n", with(";")).into_bytes()),
        ("a spelled header", plain.replacen("id,text", " \"ID\" ,Text ", 1).into_bytes()),
    ]
}

#[test]
fn a_data_set_in_any_form_is_drafted_scored_and_validated_alike() {
    let place = with_model();
    // Texts without commas, so that every delimiter is free.
    let table: String = (0..3).map(|index| format!("{},{}\n", scenes::id(index), scenes::text(index % 2))).collect();
    let (mut drafts, mut scores) = (Vec::new(), Vec::new());
    for (form, bytes) in forms(&format!("id,text\n{table}")) {
        place.write("data/XREPORT_dataset.csv", bytes);
        let run = place.xreport("generate data/XREPORT_dataset.csv --model model --out drafts.csv --fresh");
        assert_eq!(run.code, Some(0), "{form}\n{run}");
        let said = |column: &str| place.csv("drafts.csv").iter().map(|row| row[column].to_owned()).collect::<Vec<_>>();
        assert_eq!(said("id"), (0..3).map(|index| format!("{}.png", scenes::id(index))).collect::<Vec<_>>(), "{form}");
        drafts.push(said("text"));
        let score = "score --generated drafts.csv --references data/XREPORT_dataset.csv --json";
        scores.push(place.train(score).expect_code(0).stdout);
        let page = place.train("dataset validate --data data --out page.html");
        assert!(page.code.is_some_and(|code| code < 2), "{form}\n{page}");
    }
    assert!(drafts.iter().all(|texts| *texts == drafts[0]) && scores.iter().all(|score| *score == scores[0]));
}

#[test]
fn ids_with_spaces_and_accents_in_either_form_meet_everywhere() {
    let place = with_model();
    let image = |index: usize| fs::read(place.path(format!("data/images/s0{index}.png"))).unwrap();
    // In the folder as macOS writes them, in the table as everybody else does, and the other way round.
    let names = ["Mu\u{308}ller Ro\u{308}ntgen 1.png", "\u{e9}.png", "胸部.PNG", "a b/c d.png"];
    let ids = ["M\u{fc}ller R\u{f6}ntgen 1", "e\u{301}.png", "images/胸部", "./a b\\c d "];
    let mut table = "id;text\n".to_owned();
    for (index, (name, id)) in names.iter().zip(ids).enumerate() {
        place.write(&format!("own/images/{name}"), image(index));
        table += &format!("{id};{}\n", scenes::text(index));
    }
    place.write("own/XREPORT_dataset.csv", table);
    for input in ["own/images", "own/XREPORT_dataset.csv"] {
        place.xreport(&format!("generate {input} --model model --out drafts.csv --fresh")).expect_code(0);
        let score = place.train("score --generated drafts.csv --references own/XREPORT_dataset.csv").expect_code(0);
        assert!(score.stdout.starts_with("4 pairs"), "{input}\n{score}");
    }
    place.write("settings.json", tiny_settings(&[]));
    let trained = place.train("train --data own --settings settings.json --out run").expect_code(0);
    assert!(trained.stderr.starts_with("4 studies\n"), "{trained}");
}

#[test]
fn a_list_of_absolute_paths_makes_ids_that_score_takes() {
    let place = with_model();
    let path = |index: usize| place.path("data/images").join(format!("{}.png", scenes::id(index)));
    let list: String = (0..3).map(|index| format!("{}\r\n", path(index).display())).collect();
    place.write("elsewhere/list.csv", format!("Path\r\n{list}"));
    place.write("list.csv", format!("Path\r\n{list}"));
    for (list, prefix) in [("elsewhere/list.csv", ""), ("list.csv", "data/images/")] {
        place.xreport(&format!("generate {list} --model model --out drafts.csv --fresh")).expect_code(0);
        let ids: Vec<_> = place.csv("drafts.csv").iter().map(|row| row["id"].to_owned()).collect();
        assert_eq!(ids, ["s00", "s01", "s02"].map(|id| format!("{prefix}{id}.png")));
        let references: String = ids.iter().map(|id| format!("{id},A text.\n")).collect();
        place.write("references.csv", format!("id,text\n{references}"));
        place.train("score --generated drafts.csv --references references.csv").expect_code(0);
    }
}

#[test]
fn a_list_without_a_header_says_what_is_missing() {
    let place: Workplace = with_model();
    place.write("list.csv", "data/images/s00.png\ndata/images/s01.png\n");
    let run = place.xreport("generate list.csv --model model --out drafts.csv").expect_code(2);
    for said in ["`list.csv` has no column with paths", "looks like data", "a line with the names of the columns"] {
        assert!(run.stderr.contains(said), "`{said}` expected\n{run}");
    }
    assert!(!run.stderr.contains("s00"), "what may be a patient's name is not shown\n{run}");
}
