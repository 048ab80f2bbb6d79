//! Reading the table: delimiters, lines, faults, over bytes as they may come.

use std::path::Path;

use super::table::*;
use super::*;

fn read_bytes(bytes: &[u8]) -> Result<Table, TableError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reports.csv");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// `(line, id, text)` of the usable rows.
fn rows(bytes: &[u8]) -> Vec<(usize, String, String)> {
    let table = read_bytes(bytes).unwrap_or_else(|error| panic!("{error}"));
    assert!(table.problems.is_empty(), "{:?}", table.problems);
    let fields = |row: Row| (row.line, row.id, row.text);
    table.rows.into_iter().map(fields).collect()
}

fn faults(bytes: &[u8]) -> Vec<(usize, RowFault)> {
    let fault = |problem| match problem {
        Problem::Row { line, fault } => (line, fault),
        other => panic!("{other:?}"),
    };
    let table = read_bytes(bytes).unwrap_or_else(|error| panic!("{error}"));
    table.problems.into_iter().map(fault).collect()
}

fn row(line: usize, id: &str, text: &str) -> (usize, String, String) {
    (line, id.to_owned(), text.to_owned())
}

#[test]
fn the_delimiter_is_told_from_the_header_alone() {
    let expected = [row(2, "a", "one, two; three"), row(3, "b", "four")];
    for text in [
        "id,text\na,\"one, two; three\"\nb,four\n",
        "id;text\na;\"one, two; three\"\nb;four",
        "id\ttext\na\tone, two; three\nb\tfour\n",
        "\u{feff}ID , Text\r\n a,\" one, two; three \"\r\nb,four\r\n",
        "id,text\ra,\"one, two; three\"\rb,four\r",
    ] {
        assert_eq!(rows(text.as_bytes()), expected, "{text:?}");
    }
    // A header cell that itself holds more of another delimiter.
    let odd = "why, when, where, who;text;id\nx, y;four;b\n";
    assert_eq!(rows(odd.as_bytes()), [row(2, "b", "four")]);
}

#[test]
fn lines_are_counted_through_line_breaks_and_empty_lines() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "id,text\n\na,\"one\ntwo\"\n\n\nb,\"\"\"four\"\"\"\n".replace('\n', end);
        let inner = format!("one{end}two");
        let expected = [row(3, "a", &inner), row(7, "b", "\"four\"")];
        assert_eq!(rows(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn optional_columns_are_read_in_any_order() {
    let text = "split,Patient,text,note,id\nval,p1,t,,a\nTRAIN,,t,,b\ntest,p1,t,,c\n";
    let table = read_bytes(text.as_bytes()).unwrap();
    let found: Vec<_> = table.rows.iter().map(|row| (row.patient.as_deref(), row.part)).collect();
    assert_eq!(
        found,
        [(Some("p1"), Some(Part::Validation)), (None, Some(Part::Train)), (Some("p1"), Some(Part::Test)),]
    );
    assert_eq!(read_bytes(b"id,text\na,t").unwrap().rows[0].part, None);
}

#[test]
fn rows_that_cannot_be_used_are_named_by_line_and_the_rest_goes_on() {
    let text = b"id,text,split\n\
        ,t,train\n\
        a, ,train\n\
        b,t\n\
        c,one, two,train\n\
        d,t,later\n\
        e,t\xfft,train\n\
        f,t,\n\
        g,t,train\n";
    assert_eq!(
        faults(text),
        [
            (2, RowFault::EmptyId),
            (3, RowFault::NoText(NoText::Empty)),
            (4, RowFault::Fields { expected: 3, found: 2 }),
            (5, RowFault::Fields { expected: 3, found: 4 }),
            (6, RowFault::Part),
            (7, RowFault::NotUtf8),
            (8, RowFault::Part),
        ]
    );
    assert_eq!(read_bytes(text).unwrap().rows[0].id, "g");
    // Another column may hold what it likes.
    let other = b"id,text,note\na,t,\xff\n";
    assert_eq!(rows(other), [row(2, "a", "t")]);
}

#[test]
fn quotes_that_do_not_pair_up_never_swallow_rows_in_silence() {
    let open = b"id,text\na,fine\nb,\"never closed\nc,lost\n";
    assert_eq!(faults(open), [(3, RowFault::Quotes)]);
    let early = b"id,text\na,\"a \"quoted\" word\"\nb,\"ends\" here\nc,fine\n";
    assert_eq!(faults(early), [(2, RowFault::Quotes), (3, RowFault::Quotes)]);
    // An opened quote that a later row's quote closes.
    let across = b"id,text\na,\"open\nb,\"closes, here\"\nc,fine\n";
    assert_eq!(faults(across)[0], (2, RowFault::Quotes));
    let spaced = b"id,text\na, \"clear\"\n";
    assert_eq!(faults(spaced), [(2, RowFault::Quotes)]);
    // Inches inside an unquoted field, doubled quotes inside a quoted one: both right.
    let right = b"id,text\na,a 5\" tube\nb,\"a 5\"\" tube\"\nc,\"\"\"x\"\"\"";
    let texts: Vec<_> = rows(right).into_iter().map(|row| row.2).collect();
    assert_eq!(texts, ["a 5\" tube", "a 5\" tube", "\"x\""]);
}

#[test]
fn missing_columns_are_told_with_those_found_but_never_with_data() {
    let message = |text: &str| read_bytes(text.as_bytes()).err().unwrap().to_string();
    let named = message("image,report\na,t\n");
    assert!(named.contains("no column `id`, found `image`, `report`"), "{named}");
    assert!(message("id,report\n").contains("no column `text`"));
    assert!(message("").contains("found an empty file"));
    // No header: the first line is a study.
    let headless = message("p10000032,\"Clear lungs, no effusion or pneumothorax.\"\n");
    assert!(!headless.contains("p1000") && !headless.contains("lungs"), "{headless}");
    assert!(headless.contains("hint: the first line names the columns"));
    assert!(message("id,text,Text\n").contains("column `text` twice"));
}

#[test]
fn what_excel_calls_unicode_text_is_read_and_missing_files_are_told() {
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let text = "\u{feff}id\ttext\r\n\u{e9}\tClear; no, effusion.\r\n";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        assert_eq!(rows(&utf16), [row(2, "\u{e9}", "Clear; no, effusion.")]);
    }
    assert_eq!(rows(b"sep=;\r\nid;text\r\na;one\r\n;\r\n"), [row(3, "a", "one")]);
    assert_eq!(faults(b"id,text\na,t\0t\n"), [(2, RowFault::Nul)]);
    let missing = read(Path::new("no/such.csv")).err().unwrap();
    assert!(missing.to_string().contains("no/such.csv"));
}

#[test]
fn the_table_is_found_by_name_and_never_guessed_between_two() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let none = locate(data, None).unwrap_err().to_string();
    assert!(none.contains("XREPORT_dataset.csv") && none.contains("--csv"));
    std::fs::write(data.join("reports.csv"), "").unwrap();
    assert_eq!(locate(data, None).unwrap(), data.join("reports.csv"));
    std::fs::write(data.join("XREPORT_dataset.csv"), "").unwrap();
    assert!(matches!(locate(data, None), Err(TableError::Both { .. })));
    let named = Path::new("elsewhere/my.csv");
    assert_eq!(locate(data, Some(named)).unwrap(), named);
    std::fs::remove_file(data.join("reports.csv")).unwrap();
    assert_eq!(locate(data, None).unwrap(), data.join("XREPORT_dataset.csv"));
}

#[test]
fn cells_that_hold_no_text_are_named_by_line() {
    let text = "id,text\na,nan\nb,Clear.\nc,\u{200b}\nd,-\ne,No.\nf,\"[SEP]\"\n";
    assert_eq!(
        faults(text.as_bytes()),
        [
            (2, RowFault::NoText(NoText::Placeholder("nan"))),
            (4, RowFault::NoText(NoText::Blank)),
            (5, RowFault::NoText(NoText::Marks)),
        ]
    );
    let texts: Vec<_> = read_bytes(text.as_bytes()).unwrap().rows.into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["Clear.", "No.", "[SEP]"]);
}
