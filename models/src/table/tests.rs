//! Whole tables, over bytes as they may come.

use super::*;

const KNOWN: [&str; 3] = ["id", "text", "path"];

fn table(bytes: &[u8]) -> Table {
    Table::parse(Path::new("t.csv"), bytes.to_vec(), &KNOWN).unwrap_or_else(|error| panic!("{error}"))
}

/// `(line, first cell, second cell)` of the rows, or what is wrong with them.
fn rows(bytes: &[u8], breaks: Breaks) -> Vec<(usize, Result<[String; 2], RowFault>)> {
    let cells = |row: &Row| {
        row.check()?;
        Ok([row.cell(0)?.to_owned(), row.cell(1)?.to_owned()])
    };
    table(bytes).rows(breaks).map(|row| (row.line(), cells(&row))).collect()
}

fn row(line: usize, id: &str, text: &str) -> (usize, Result<[String; 2], RowFault>) {
    (line, Ok([id.to_owned(), text.to_owned()]))
}

#[test]
fn one_table_in_every_form_reads_alike() {
    let plain = "id,text\na,\"one, two; three\"\n\nb,é\n";
    let expected = [row(2, "a", "one, two; three"), row(4, "b", "é")];
    for delimiter in [",", ";", "\t", "|"] {
        // The comma of the text is none of the delimiters: it stands before a space.
        let text = plain.replace("d,t", &format!("d{delimiter}t")).replace("a,\"", &format!("a{delimiter}\""));
        let text = text.replace("b,é", &format!("b{delimiter}é"));
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            for trailing in ["", end, &format!("{delimiter}{end}"), &format!(" {end}{delimiter}{delimiter}{end}{end}")]
            {
                let text = format!("{text}{trailing}");
                let utf16 = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
                    format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
                };
                for bytes in [
                    text.clone().into_bytes(),
                    format!("\u{feff}{text}").into_bytes(),
                    utf16("\u{feff}", u16::to_le_bytes),
                    utf16("\u{feff}", u16::to_be_bytes),
                    utf16("", u16::to_le_bytes),
                ] {
                    for breaks in [Breaks::InCells, Breaks::EndRows] {
                        assert_eq!(rows(&bytes, breaks), expected, "{text:?}");
                    }
                }
            }
            let separator = format!("sep={delimiter}{end}{text}");
            assert_eq!(rows(separator.as_bytes(), Breaks::InCells), [row(3, "a", "one, two; three"), row(5, "b", "é")]);
        }
    }
}

#[test]
fn a_row_that_cannot_be_read_is_named_by_its_line_and_the_others_go_on() {
    let text = b"id,text\na,one,two\nb\nc,\xe9\nd,\0\ne, \"five\"\nf,six\n";
    let expected = [
        (2, Err(RowFault::Cells { expected: 2, found: 3 })),
        (3, Err(RowFault::Cells { expected: 2, found: 1 })),
        (4, Err(RowFault::NotUtf8)),
        (5, Err(RowFault::Nul)),
        (6, Err(RowFault::Quotes)),
        row(7, "f", "six"),
    ];
    for breaks in [Breaks::InCells, Breaks::EndRows] {
        assert_eq!(rows(text, breaks), expected);
    }
}

#[test]
fn a_quote_that_is_never_closed_spoils_its_line_alone_where_cells_hold_no_breaks() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "id,text\na,\"open\n\nb,two\nc,\"three\"\n".replace('\n', end);
        let lines = rows(text.as_bytes(), Breaks::EndRows);
        assert_eq!(lines, [(2, Err(RowFault::Quotes)), row(4, "b", "two"), row(5, "c", "three")], "{text:?}");
        assert_eq!(rows(text.as_bytes(), Breaks::InCells)[0], (2, Err(RowFault::Quotes)));
    }
    // A cell that is closed on another line is no fault of its own.
    assert_eq!(rows(b"id,text\na,\"one\ntwo\"\n", Breaks::EndRows), [row(2, "a", "one\ntwo")]);
}

#[test]
fn a_header_of_one_column_takes_whole_lines() {
    let table = table(b"\"Path\"\r\nDoe, John/1.png\r\na;b\tc|d.png\r\n");
    let cells: Vec<_> = table.rows(Breaks::EndRows).map(|row| row.cell(0).unwrap().to_owned()).collect();
    assert_eq!(table.find("path").unwrap(), Some(0));
    assert_eq!(cells, ["Doe, John/1.png", "a;b\tc|d.png"]);
}

#[test]
fn columns_are_found_in_any_spelling_and_missing_ones_told() {
    let spelled = table("\u{feff} ID ;\"Text\"; 'Größe'\n".as_bytes());
    assert_eq!((spelled.find("id").unwrap(), spelled.find("text").unwrap()), (Some(0), Some(1)));
    assert_eq!(spelled.find("größe").unwrap(), Some(2));
    let message = spelled.column("path", "one of these").unwrap_err().to_string();
    assert!(
        message.contains("`t.csv` has no column `path`, found `ID`, `Text`, `Größe`\nhint: one of these"),
        "{message}"
    );
    assert!(table(b"id,ID\n").find("id").unwrap_err().to_string().contains("the column `id` twice"));
    assert!(table(b"").column("id", "").unwrap_err().to_string().contains("found an empty file"));
    // No header: the first line is a study.
    let headless = table(b"p10000032/a.png\np10000033/b.png\n").column("path", "the column is `path`").unwrap_err();
    let headless = headless.to_string();
    assert!(headless.contains("looks like data: a line with the names") && !headless.contains("p1000"), "{headless}");
}

#[test]
fn files_that_are_no_table_are_told() {
    let missing = Table::open(Path::new("no/such.csv"), &KNOWN).unwrap_err().to_string();
    assert!(missing.contains("cannot read the table `no/such.csv`") && missing.contains("hint: "), "{missing}");
    let sheet = Table::parse(Path::new("t.csv"), b"PK\x03\x04...".to_vec(), &KNOWN).unwrap_err().to_string();
    assert!(sheet.contains("`t.csv` is an XLSX") && sheet.contains("hint: save it as"), "{sheet}");
}

#[test]
fn debug_output_shows_no_cell() {
    let table = table(b"id,text\nsecret,words\n");
    let shown = format!("{table:?} {:?}", table.rows(Breaks::InCells).next().unwrap());
    assert!(!shown.contains("secret") && !shown.contains("words"), "{shown}");
}
