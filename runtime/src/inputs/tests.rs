//! What is found, and what stands in the way of its own input alone.

use super::*;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for file in files {
        touch(&folder.path().join(file));
    }
    folder
}

fn touch(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("folder made");
    std::fs::write(path, b"x").expect("file written");
}

fn ids(inputs: &Inputs) -> Vec<&str> {
    inputs.images.iter().map(|image| image.id.as_str()).collect()
}

/// `(id, beginning of the problem)` of what was refused.
fn refused(inputs: &Inputs) -> Vec<(&str, &str)> {
    inputs.refused.iter().map(|refused| (refused.id.as_str(), refused.problem.lines().next().unwrap_or(""))).collect()
}

fn list(folder: &Path, text: &str) -> Inputs {
    let path = folder.join("list.csv");
    std::fs::write(&path, text).expect("file written");
    collect(&[path]).expect("collected")
}

#[test]
fn folders_are_walked_and_other_files_counted() {
    let folder = folder(&["b.png", "a/c.JPG", "a/notes.txt", ".hidden.png", "e\u{301} 1.png"]);
    let inputs = collect(&[folder.path().to_path_buf()]).expect("collected");
    assert_eq!(ids(&inputs), ["a/c.JPG", "b.png", "\u{e9} 1.png"]);
    assert_eq!(inputs.others, 1);
}

#[test]
fn a_list_names_paths_relative_to_itself() {
    let place = folder(&[]);
    let inputs = list(place.path(), "note,Path\nx,sub/a.png\ny,\n");
    assert_eq!(inputs.images, [Input { id: "sub/a.png".into(), path: place.path().join("sub/a.png") }]);
    let [refused] = &inputs.refused[..] else { panic!("a row without a path: {:?}", inputs.refused) };
    assert!(refused.id.ends_with("list.csv:3") && refused.problem.ends_with("line 3: no path"), "{refused:?}");
    assert!(!refused.id.starts_with('/'), "an id that `score` takes: {}", refused.id);
    std::fs::write(place.path().join("other.csv"), "note\nx\n").expect("file written");
    let error = collect(&[place.path().join("other.csv")]).expect_err("no path column").to_string();
    assert!(error.contains("path, image, file, id") && error.contains("note"), "{error}");
}

#[test]
fn a_list_in_any_form_names_the_same_images() {
    let place = folder(&["sub/a.png", "M\u{fc}ller 1.png"]);
    let plain = "path,note\nsub/a.png,x\nM\u{fc}ller 1.png,y\n";
    let excel: Vec<u8> = format!("\u{feff}{}", plain.replace(',', "\t").replace('\n', "\r\n"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes) in [
        ("a.csv", plain.as_bytes().to_vec()),
        ("b.csv", plain.replace(',', ";").into_bytes()),
        ("c.tsv", plain.replace(',', "\t").into_bytes()),
        ("d.CSV", format!("\u{feff}sep=;\r\n{}\r\n;\r\n", plain.replace(',', ";").replace('\n', "\r\n")).into_bytes()),
        ("e.txt", excel),
        ("f.csv", "\" PATH \"\n./sub//a.png\nsub\\..\\Mu\u{308}ller 1.PNG\n".replace("sub\\..\\", "").into_bytes()),
    ] {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).expect("file written");
        if name == "f.csv" {
            // The case of an extension counts where it is written.
            std::fs::rename(place.path().join("M\u{fc}ller 1.png"), place.path().join("M\u{fc}ller 1.PNG"))
                .expect("moved");
        }
        let inputs = collect(&[path]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<_> = ["sub/a.png", "M\u{fc}ller 1.png"].map(str::to_lowercase).into();
        assert_eq!(ids(&inputs).iter().map(|id| id.to_lowercase()).collect::<Vec<_>>(), expected, "{name}");
        assert!(inputs.images.iter().all(|image| image.path.is_file()) && inputs.refused.is_empty(), "{name}");
    }
}

#[test]
fn a_data_sets_table_finds_its_image_folder() {
    let place = folder(&["images/p1/a.png", "images/b.dcm", "images/Mu\u{308}.jpg", "images/c.png", "images/c.jpg"]);
    let inputs =
        list(place.path(), "id;text\np1/a;One.\nimages/b.png;\"Two\nlines.\"\nM\u{fc};Three.\nc;Four.\ngone;Five.\n");
    assert_eq!(ids(&inputs), ["p1/a.png", "images/b.dcm", "M\u{fc}.jpg", "gone"]);
    assert!(inputs.images[..3].iter().all(|image| image.path.is_file()));
    let [(id, problem)] = refused(&inputs)[..] else { panic!("one that is ambiguous: {:?}", inputs.refused) };
    assert!(
        id.ends_with("list.csv:6") && problem.contains("several images answer to it: `c.jpg` and `c.png`"),
        "{problem}"
    );
}

#[test]
fn absolute_paths_get_ids_that_every_command_takes() {
    let place = folder(&["images/p1/a.png", "images/p2/b.png"]);
    let elsewhere = folder(&["scans/c.png", "scans/old/d.png"]);
    let path = |root: &tempfile::TempDir, file: &str| root.path().join(file).display().to_string();
    let text = format!(
        "path\n{}\nimages/p2/b.png\n{}\n{}\nC:\\scans\\e.png\n../{}/scans/f.png\n",
        path(&place, "images/p1/a.png"),
        path(&elsewhere, "scans/c.png"),
        path(&elsewhere, "scans/old/d.png"),
        elsewhere.path().file_name().expect("a name").to_string_lossy(),
    );
    let inputs = list(place.path(), &text);
    assert_eq!(ids(&inputs), ["images/p1/a.png", "images/p2/b.png", "c.png", "old/d.png", "scans/e.png", "f.png"]);
    for id in inputs.ids() {
        xreport_models::study_id::StudyId::normalise(id).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn rows_that_repeat_an_image_are_named_and_the_first_is_drafted() {
    let place = folder(&["a.png", "images/b.png"]);
    let inputs = list(place.path(), "id\na.png\n./a.png\nb\nimages/b.png\na.png\n,\n");
    assert_eq!(ids(&inputs), ["a.png", "b.png", ","]);
    let lines: Vec<_> = refused(&inputs).iter().map(|(id, _)| id.rsplit(':').next().unwrap_or("").to_owned()).collect();
    assert_eq!(lines, ["3", "5", "6"]);
    assert!(
        refused(&inputs)[0].1.contains("line 3: it names the same image as line 2, `a.png`"),
        "{:?}",
        inputs.refused
    );
}

#[test]
fn a_quote_or_a_byte_that_is_wrong_costs_its_own_row() {
    let place = folder(&["a.png", "d.png"]);
    let path = place.path().join("list.csv");
    std::fs::write(
        &path,
        b"path,note\na.png,x\n\"b.png,x\nM\xfcller.png,x\nc\0.png,x\nd.png\nd.png,\xfc\n\"e\n.png\",x\n",
    )
    .expect("file written");
    let inputs = collect(&[path]).expect("collected");
    assert_eq!(ids(&inputs), ["a.png", "d.png"]);
    let problems: Vec<_> =
        refused(&inputs).iter().map(|(_, problem)| problem.split(", ").last().unwrap_or("").to_owned()).collect();
    for (problem, said) in problems.iter().zip([
        "line 3: a quote",
        "line 4: the path is not UTF-8",
        "line 5: it holds a NUL",
        "found 1",
        "line 8: its name holds a line break",
    ]) {
        assert!(problem.contains(said), "`{said}` expected: {problems:?}");
    }
    assert_eq!(problems.len(), 5);
}

#[test]
fn the_second_file_of_an_id_is_refused_and_the_first_drafted() {
    let place = folder(&["x/a.png", "x/b.png", "y/a.png", "y/a.dcm"]);
    let paths = ["x", "y", "y/../x"].map(|name| place.path().join(name));
    let inputs = collect(&paths).expect("collected");
    assert_eq!(ids(&inputs), ["a.png", "b.png", "a.dcm"]);
    assert_eq!(inputs.images[0].path, place.path().join("x/a.png"), "the first of an id stays");
    let [(_, twice), (id, second)] = refused(&inputs)[..] else { panic!("two: {:?}", inputs.refused) };
    assert!(id.ends_with("y/a.png") && second.contains("two inputs answer to the id `a.png`"), "{id}: {second}");
    assert!(twice.contains("is named twice"), "{twice}");
    // A watcher waits for it to go away.
    assert!(matches!(&find(&paths).unreadable[..], [InputError::SameId { id, .. }] if id == "a.png"));
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let place = folder(&["\u{e9}.png", "e\u{301}.png"]);
    let inputs = collect(&[place.path().to_owned()]).expect("collected");
    assert_eq!(ids(&inputs), ["\u{e9}.png"]);
    let [(_, problem)] = refused(&inputs)[..] else { panic!("one: {:?}", inputs.refused) };
    assert!(problem.contains("U+0065 U+0301 in the first is U+00E9 in the second"), "{problem}");
}

#[test]
fn what_cannot_be_read_is_refused_beside_what_can() {
    let place = folder(&["x/a.png"]);
    let [bad, void, none] = ["bad.csv", "void.csv", "rowless.csv"].map(|name| place.path().join(name));
    std::fs::write(&bad, "note,more\n").expect("file written");
    std::fs::write(&void, "").expect("file written");
    std::fs::write(&none, "path\n\n").expect("file written");
    let paths = [place.path().join("gone.png"), place.path().join("x"), bad.clone(), void, none];
    let inputs = collect(&paths).expect("collected");
    assert_eq!(ids(&inputs), ["a.png"]);
    // A list without rows is none that cannot be read.
    let said = ["no such file or folder", "no column with paths", "found an empty file"];
    for ((id, problem), said) in refused(&inputs).iter().zip(said) {
        assert!(problem.contains(said) && !id.starts_with('/'), "`{said}` expected: {id}: {problem}");
    }
    assert_eq!(inputs.refused.len(), 3);
    // Alone they are most likely typed wrong.
    let error = collect(&[place.path().join("gone.png"), bad]).expect_err("nothing to do").to_string();
    assert!(error.contains("no such file") && error.contains("no column with paths"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_read_costs_what_lies_in_it() {
    let place = folder(&["a.png", "lost+found/b.png", "c/d.png"]);
    let read = |folder: &Path| {
        if folder.ends_with("lost+found") {
            return Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        }
        std::fs::read_dir(folder)
    };
    let (mut inputs, mut candidates) = (Inputs::default(), Candidates::default());
    walk::folder_by(place.path(), &mut candidates, &mut inputs, &read);
    let (images, refused) = candidates.one_of_each_id(&mut Vec::new());
    assert_eq!(images.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), ["a.png", "c/d.png"]);
    assert!(refused.is_empty());
    let [error] = &inputs.unreadable[..] else { panic!("one: {:?}", inputs.unreadable) };
    assert!(error.to_string().contains("lost+found") && error.to_string().contains("permission denied"), "{error}");
}

#[cfg(unix)]
#[test]
fn names_that_can_be_no_id_are_refused() {
    let place = folder(&["a.png", "b\nc.png", "tab\there.png"]);
    for name in [&b"M\xfcller.png"[..], b"M\xfdller.png"] {
        touch(&place.path().join(crate::platform::file_name(name)));
    }
    let inputs = collect(&[place.path().to_owned()]).expect("collected");
    assert_eq!(ids(&inputs), ["a.png"]);
    let ids: Vec<_> = refused(&inputs).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, ["M%FCller.png", "M%FDller.png", "b%0Ac.png", "tab%09here.png"]);
    assert!(refused(&inputs).iter().all(|(_, problem)| !problem.contains('\t')), "{:?}", inputs.refused);
}
