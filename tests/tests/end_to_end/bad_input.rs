//! Images and tables that cannot be used: each is named, the others are done, nothing is left half-written.

use std::fs;
use std::path::Path;

use serde_json::json;
use xreport_tests::{Run, skipped};

use crate::checkpoint::Checkpoint;
use crate::scenes;
use crate::trained::{trained, with_model};
use crate::watched::Watched;
use crate::workplace::{Workplace, tiny_settings};

/// Every kind of image file that is none, with what is said of it.
const BAD_IMAGES: [(&str, &str); 6] = [
    ("half.jpg", "is damaged"),
    ("cut.png", "is damaged"),
    ("empty.png", "is empty"),
    ("enormous.png", "is too large: found 100000×100000 pixels"),
    ("prose.png", "is not an image"),
    ("garbled.png", "is damaged"),
];

/// Writes [`BAD_IMAGES`], and a folder whose name looks like an image's.
fn write_bad_images(folder: &Path) {
    fs::create_dir_all(folder.join("folder.png")).unwrap();
    let image = scenes::image(1);
    for name in ["half.jpg", "cut.png", "garbled.png"] {
        let path = folder.join(name);
        image.save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        if name == "garbled.png" {
            bytes[half..half + 40].fill(0);
        } else {
            bytes.truncate(half);
        }
        fs::write(path, bytes).unwrap();
    }
    fs::write(folder.join("empty.png"), "").unwrap();
    fs::write(folder.join("enormous.png"), png_that_claims(100_000)).unwrap();
    fs::write(folder.join("prose.png"), "The lungs are clear.\n").unwrap();
}

/// A small PNG file whose header claims a square of that side.
fn png_that_claims(side: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    // 0 bytes of deflated data: what is claimed never comes.
    let nothing = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    for (kind, content) in [(b"IHDR", &header[..]), (b"IDAT", &nothing[..]), (b"IEND", &[][..])] {
        let chunk = [&kind[..], content].concat();
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(&chunk);
        png.extend(crc32(&chunk).to_be_bytes());
    }
    png
}

/// The checksum of PNG's chunks (ISO 3309).
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1)))
    })
}

/// Runs a program and checks its peak memory where the system tells it.
pub fn within_memory(place: &Workplace, program: &str, line: &str) -> Run {
    const MEGABYTES: u64 = 500;
    let (run, peak) = Watched::start(&mut place.command(program, line)).end();
    match peak {
        Some(kilobytes) => assert!(kilobytes < MEGABYTES * 1000, "{kilobytes} kB at the peak\n{run}"),
        None => skipped("this system does not tell a process's peak memory"),
    }
    run
}

#[test]
fn bad_images_fail_by_name_and_the_others_are_drafted() {
    let place = with_model();
    write_bad_images(&place.path("data/images"));
    for (out, index) in [("drafts.csv", "drafts.csv"), ("reports", "reports/index.csv")] {
        let line = format!("generate data/images --model model --out {out}");
        let run = within_memory(&place, "xreport", &line).expect_code(1);
        let rows = place.csv(index);
        assert!(run.stderr.contains("32 reports drafted, 6 failed"), "{run}");
        assert_eq!(rows.len(), 32 + BAD_IMAGES.len());
        for (name, said) in BAD_IMAGES {
            let row = rows.iter().find(|row| &row["id"] == name).unwrap_or_else(|| panic!("no row for {name}"));
            assert_eq!((&row["status"], &row["text"], &row["tokens"]), ("failed", "", ""));
            assert!(row["error"].contains(name) && row["error"].contains(said), "{name}: {}", &row["error"]);
            assert!(run.stderr.contains(&row["error"]), "{run}");
        }
        let good = rows.iter().filter(|row| &row["status"] == "ok" && !row["text"].is_empty());
        assert_eq!(good.count(), 32);
    }
    // No text file for what failed; the index and the ledger beside them.
    assert_eq!(place.files("reports").len(), 32 + 2);
    assert!(place.leftovers("").is_empty());
}

#[test]
fn bad_images_that_are_named_or_listed_fail_alike() {
    let place = with_model();
    write_bad_images(&place.path("bad"));
    place.write("list.csv", "path\nbad/cut.png\nbad/absent.png\nbad/folder.png\ndata/images/s00.png\n");
    let run = place.xreport("generate list.csv bad/empty.png --model model --out drafts.csv").expect_code(1);
    assert!(run.stderr.contains("1 reports drafted, 4 failed"), "{run}");
    for (row, said) in place.csv("drafts.csv").iter().zip(["is damaged", "does not exist", "is a folder"]) {
        assert!(row["error"].contains(said), "{}", &row["error"]);
    }
    let run = place.xreport("generate bad/prose.png --model model --out alone.csv").expect_code(1);
    assert!(run.stderr.contains("0 reports drafted, 1 failed"), "{run}");
}

#[test]
fn lists_that_cannot_be_read_are_refused_by_name() {
    let place = with_model();
    place.write("no-column.csv", "study,report\ndata/images/s00.png,x\n");
    place.write("not-text.csv", b"p\xffth\ndata/images/s00.png\n");
    place.write("void.csv", "");
    for (list, said) in [
        ("no-column.csv", "expected one of path, image, file, id, found `study`, `report`"),
        ("not-text.csv", "UTF-8"),
        ("void.csv", "no column with paths"),
    ] {
        let run = place.xreport(&format!("generate {list} --model model --out drafts.csv")).expect_code(2);
        assert!(run.stderr.contains(&format!("`{list}`")) && run.stderr.contains(said), "`{said}` expected\n{run}");
        assert!(!place.has("drafts.csv"));
    }
}

#[test]
fn an_empty_folder_is_told_and_nothing_is_written() {
    let place = with_model();
    fs::create_dir_all(place.path("void/in/void")).unwrap();
    place.write("void/readme.txt", "nothing here");
    let run = place.xreport("generate void --model model --out reports").expect_code(1);
    assert!(run.stderr.contains("no image found in `void` (1 other files)"), "{run}");
    assert!(!place.has("reports"));
}

#[test]
fn an_output_that_cannot_be_written_is_refused_and_stays_as_it_was() {
    let place = with_model();
    place.write("taken", "a file in the folder's place");
    fs::create_dir(place.path("taken.csv")).unwrap();
    for out in ["taken", "taken/deeper", "taken/drafts.csv", "taken.csv"] {
        let run = place.xreport(&format!("generate data/images --model model --out {out}")).expect_code(2);
        assert!(run.stderr.contains(&format!("cannot write `{out}")), "{run}");
    }
    assert_eq!(place.read("taken"), "a file in the folder's place");
    assert!(place.leftovers("").is_empty(), "{:?}", place.leftovers(""));

    let run = place.train("evaluate --model model --data data --out taken").expect_code(2);
    assert!(run.stderr.contains("taken"), "{run}");
    place.write("settings.json", tiny_settings(&[]));
    let run = place.train("train --data data --settings settings.json --out taken").expect_code(2);
    assert!(run.stderr.contains("taken"), "{run}");
    let run = place.train(&format!("export {} --out taken", trained().place.path("checkpoint").display()));
    let run = run.expect_code(2);
    assert!(run.stderr.contains("taken"), "{run}");
    assert_eq!(place.read("taken"), "a file in the folder's place");
    assert!(place.leftovers("").is_empty(), "{:?}", place.leftovers(""));
}

#[cfg(unix)]
#[test]
fn a_folder_without_write_permission_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = with_model();
    fs::create_dir(place.path("locked")).unwrap();
    let allow = |mode| fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    if fs::write(place.path("locked/probe"), "").is_ok() {
        return skipped("this user may write everywhere (root); see the read-only disk of `full_disk`");
    }
    for line in [
        "generate data/images --model model --out locked/drafts.csv",
        "generate data/images --model model --out locked/reports",
    ] {
        let run = place.xreport(line).expect_code(2);
        assert!(run.stderr.contains("cannot write `locked/") && run.stderr.contains("hint: "), "{run}");
    }
    place.write("settings.json", tiny_settings(&[]));
    let run = place.train("train --data data --settings settings.json --out locked/run").expect_code(2);
    assert!(run.stderr.contains("locked/run"), "{run}");
    allow(0o755);
    assert!(place.files("locked").is_empty());
}

/// A data set of which some rows and images cannot be used.
#[test]
fn training_leaves_out_what_cannot_be_used_and_names_it() {
    let place = Workplace::with_data(12, &[]);
    write_bad_images(&place.path("data/images"));
    let mut table = place.read("data/XREPORT_dataset.csv").into_bytes();
    for (name, _) in BAD_IMAGES {
        table.extend(format!("{name},A text.\n").bytes());
    }
    table.extend(b"unknown-one,A text.\nunknown-two.png,A text.\nfolder.png,A text.\n");
    table.extend(b"s00,A second row for one image.\n,No id.\ns11x,\n../../secret,A text.\n");
    place.write("data/XREPORT_dataset.csv", &table);
    let bad_bytes = table.split(|&byte| byte == b'\n').count();
    table.extend(b"s01x,Not \xff UTF-8.\n");
    place.write("data/XREPORT_dataset.csv", table);

    let run = within_memory(&place, "xreport-train", "train --data data --settings settings.json --out run");
    let run = run.expect_code(0);
    assert!(run.stderr.starts_with("18 studies"), "{run}");
    for named in ["`unknown-one`", "`unknown-two.png`", "`folder.png`", "../../secret", "3 images are missing"] {
        assert!(run.stderr.contains(named), "`{named}` expected\n{run}");
    }
    assert!(run.stderr.contains(&format!("line {bad_bytes}")), "line {bad_bytes} is not UTF-8\n{run}");
    assert!(run.stderr.contains("6 images cannot be read"), "{run}");
    // A summary names some of many; every kind of problem is among them.
    let named = BAD_IMAGES.iter().filter(|(name, _)| run.stderr.contains(name)).count();
    assert!(named >= 3, "{run}");
    assert_eq!(Checkpoint::read(&place.path("run/last.safetensors")).number("epoch"), 1);
    let counts = run.stderr.lines().find(|line| line.contains("studies to train on")).unwrap();
    let numbers = counts.split(' ').filter_map(|word| word.parse::<usize>().ok()).take(2);
    assert_eq!(numbers.sum::<usize>(), 12, "{counts}");

    let run = place.train("evaluate --model run --data data --out results").expect_code(0);
    assert_eq!(place.json("results/results.json")["unreadable"], 6, "{run}");
    assert_eq!(place.csv("results/reports.csv").len(), 12);
}

#[test]
fn data_sets_that_are_none_are_refused_and_no_checkpoint_is_begun() {
    let place = Workplace::new();
    place.write("settings.json", tiny_settings(&[]));
    scenes::write(&place.path("good"), 4);
    place.write("no-columns/XREPORT_dataset.csv", "image,report\ns00,text\n");
    place.write("no-text/reports.csv", "id,comment\ns00,text\n");
    place.write("utf32/reports.csv", b"\xff\xfe\0\0i\0\0\0d\0\0\0");
    place.write("sheet/reports.csv", b"PK\x03\x04\x14\0\x06\0");
    place.write("both/reports.csv", "id,text\n");
    place.write("both/XREPORT_dataset.csv", "id,text\n");
    place.write("unknown/reports.csv", "id,text\nnobody,text\nno-one,text\n");
    for data in ["no-columns", "no-text", "utf32", "sheet", "both", "unknown", "void"] {
        fs::create_dir_all(place.path(data).join("images")).unwrap();
    }
    place.write("no-images/reports.csv", "id,text\ns00,text\n");
    place.write("broken/reports.csv", "id,text\ns00,text\ns01,text\n");
    place.write("broken/images/s00.png", "no image");
    place.write("broken/images/s01.png", "no image");
    for (data, said) in [
        ("no-columns", "no-columns/XREPORT_dataset.csv` has no column `id`, found `image`, `report`"),
        ("no-text", "no-text/reports.csv` has no column `text`"),
        ("utf32", "utf32/reports.csv` is UTF-32"),
        ("sheet", "sheet/reports.csv` is an XLSX"),
        ("both", "two data-set tables in `both`"),
        ("void", "no data-set table in `void`"),
        ("absent", "no data-set table in `absent`"),
        ("unknown", "no usable study in `unknown/reports.csv`"),
        ("no-images", "cannot read the image folder `no-images/images`"),
        ("broken", "no training study has a readable image"),
    ] {
        let line = format!("train --data {data} --settings settings.json --out run");
        let run = place.train(&line).expect_code(2);
        assert!(run.stderr.contains(said), "`{said}` expected\n{run}");
        assert!(!place.has("run/last.safetensors"));
    }
    let named = place.train("train --data good --csv absent.csv --settings settings.json --out run").expect_code(2);
    assert!(named.stderr.contains("absent.csv"), "{named}");
}

#[test]
fn one_patients_image_alone_cannot_be_divided() {
    let place = Workplace::with_data(1, &[("dataset.VALIDATION_SIZE", json!(0.5))]);
    let run = place.train("train --data data --settings settings.json --out run").expect_code(2);
    assert!(run.stderr.contains("cannot hold studies out") && run.stderr.contains("hint: "), "{run}");
}
