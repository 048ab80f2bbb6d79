//! Tables of figures, and the bars per observation.

use std::fmt::Write;

use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// A table of figures; the caller formats them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Stands above the table; may be empty.
    pub title: String,
    /// Explains the columns and the rows in a sentence or two; may be empty.
    pub note: String,
    /// The headings of the figures, without the one of the row names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<TableRow>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRow {
    /// Who or what the row is about, such as `best constant report`.
    pub name: String,
    /// A few words in small print below the name; may be empty.
    pub note: String,
    /// One text per column; an empty one is shown as a dash, "not measured".
    pub cells: Vec<String>,
    /// Whether the row is set in bold: the model among its controls.
    pub emphasised: bool,
}

/// How well one observation was reported. A measure is `None` where it is not defined: precision
/// when nothing was reported, recall when nothing was there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservationScore {
    /// The observation, such as `left pleural effusion`.
    pub name: String,
    /// Of those reported, the share that was there, in [0, 1].
    pub precision: Option<f64>,
    /// Of those there, the share that was reported, in [0, 1].
    pub recall: Option<f64>,
    /// The harmonic mean of both, in [0, 1].
    pub f1: Option<f64>,
    /// In how many references it stands.
    pub support: u64,
}

/// A section of tables under one heading; nothing when no table has rows.
pub(super) fn section(heading: &str, tables: &[Table]) -> String {
    let tables: String = tables.iter().filter(|t| !t.rows.is_empty()).map(table).collect();
    if tables.is_empty() {
        return tables;
    }
    format!("<section>\n<h2>{}</h2>\n{tables}</section>\n", escape(heading))
}

fn table(table: &Table) -> String {
    let mut html = String::new();
    if !table.title.is_empty() {
        let _ = writeln!(html, "<h3>{}</h3>", escape(&table.title));
    }
    if !table.note.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(&table.note));
    }
    // The frame scrolls on a narrow screen; tabindex lets the keyboard scroll it too.
    html.push_str("<div class=\"frame\" tabindex=\"0\">\n<table>\n<thead><tr><td></td>");
    for column in &table.columns {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(column));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        let class = if row.emphasised { " class=\"model\"" } else { "" };
        let _ = write!(html, "<tr{class}><th scope=\"row\">{}", escape(&row.name));
        if !row.note.is_empty() {
            let _ = write!(html, "<small>{}</small>", escape(&row.note));
        }
        html.push_str("</th>");
        for at in 0..table.columns.len() {
            match row.cells.get(at).filter(|cell| !cell.is_empty()) {
                Some(cell) => {
                    let _ = write!(html, "<td>{}</td>", escape(cell));
                }
                None => html.push_str("<td><span aria-label=\"not measured\">–</span></td>"),
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}

/// The bars per observation, in the order given; nothing without observations.
pub(super) fn observations(scores: &[ObservationScore]) -> String {
    if scores.is_empty() {
        return String::new();
    }
    let rows = scores
        .iter()
        .map(|score| {
            format!(
                "<tr><th scope=\"row\">{}</th>{}{}{}<td>{}</td></tr>\n",
                escape(&score.name),
                bar(score.precision, "precision"),
                bar(score.recall, "recall"),
                bar(score.f1, "f1"),
                grouped(score.support)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<section>\n<h2>Observation by observation</h2>\n\
         <p class=\"note\">Precision: of the findings that the program reported, how many were there. \
         Recall: of the findings that were there, how many it reported. F1 weighs both; support is the number of \
         references with that finding.</p>\n\
         <div class=\"frame\" tabindex=\"0\">\n<table class=\"bars\">\n<thead><tr><td></td>\
         <th scope=\"col\">Precision</th><th scope=\"col\">Recall</th><th scope=\"col\">F1</th>\
         <th scope=\"col\">Support</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n</section>\n"
    )
}

fn bar(share: Option<f64>, class: &str) -> String {
    let Some(share) = share.filter(|share| share.is_finite()) else {
        return "<td><span aria-label=\"not defined\">–</span></td>".to_owned();
    };
    let width = share.clamp(0.0, 1.0) * 100.0;
    format!(
        "<td><span class=\"bar {class}\" aria-hidden=\"true\"><i style=\"width:{width:.1}%\"></i></span>\
         <span class=\"value\">{share:.2}</span></td>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_their_columns_and_missing_ones_are_dashes() {
        let html = table(&Table {
            columns: vec!["F1".to_owned(), "Side".to_owned(), "Texts".to_owned()],
            rows: vec![TableRow {
                name: "model".to_owned(),
                cells: vec!["0.91".to_owned(), String::new()],
                emphasised: true,
                ..TableRow::default()
            }],
            ..Table::default()
        });
        let row = html.split("<tbody>").nth(1).unwrap();
        assert_eq!(row.matches("<td>").count(), 3);
        assert_eq!(row.matches("not measured").count(), 2);
        assert!(row.contains("class=\"model\"") && row.contains("<td>0.91</td>"));
    }

    #[test]
    fn bars_are_as_long_as_the_share_and_an_undefined_one_is_a_dash() {
        let html = observations(&[ObservationScore {
            name: "nodule".to_owned(),
            precision: None,
            recall: Some(0.0),
            f1: Some(0.625),
            support: 1_400,
        }]);
        assert!(html.contains("width:62.5%") && html.contains(">0.62<") | html.contains(">0.63<"));
        assert!(html.contains("width:0.0%") && html.contains(">0.00<"));
        assert_eq!(html.matches("not defined").count(), 1);
        assert!(html.contains("<td>1,400</td>"));
    }
}
