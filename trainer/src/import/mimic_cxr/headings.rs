//! What the headings of MIMIC-CXR's reports stand for.
//!
//! The official section file (MIT-LCP/mimic-cxr, `txt/`) brings some hundred spellings down to a few names: a table of
//! whole headings comes first, then words that a heading contains, then words that describe the views (a report whose
//! only heading is CHEST, TWO VIEWS has its findings under it). Headings that one of the later rules already brings to
//! the right name are not repeated in the table here.

/// The section whose text is the radiologist's conclusion.
pub(super) const IMPRESSION: &str = "impression";
/// The section whose text is what was seen.
pub(super) const FINDINGS: &str = "findings";
/// The section that names earlier images; some reports have nothing but it.
pub(super) const COMPARISON: &str = "comparison";

/// Whole headings, in lower case, by the name that they stand for.
const WHOLE: [(&str, &[&str]); 8] = [
    (
        IMPRESSION,
        &[
            "conclusion",
            // Slips of the keyboard.
            "imoression",
            "imperssion",
            "impession",
            "impresion",
            "impressoin",
            "impresson",
            "imprression",
            "imprssion",
            "mpression",
            // Of one report, whose INDICATION lost its first letter; the official table has it so.
            "ndication",
        ],
    ),
    (FINDINGS, &["finding", "findgings", "findindgs", "findins", "findngs", "findnings", "finidngs"]),
    (COMPARISON, &["reference exam", "comparision", "comparisions", "comparrison", "comparsion"]),
    ("history", &["clinical information", "pfi"]),
    ("indication", &["clinical indication", "reason for exam", "reason for examination", "idication"]),
    ("examination", &["exam", "type of examination"]),
    ("recommendations", &["recommendation", "recommendation(s)"]),
    ("wet read", &["wetread"]),
];

/// Words that decide wherever they stand in a heading, the first that is there.
const CONTAINED: [&str; 5] = [IMPRESSION, FINDINGS, "history", COMPARISON, "addendum"];

/// Words about the views, which make a heading that of the findings.
const VIEWS: [&str; 18] = [
    "ap and lateral",
    "ap view",
    "bone window",
    "chest",
    "frontal and",
    "frontal semi-upright",
    "frontal upright",
    "frontal view",
    "lateral and ap",
    "lateral and pa",
    "lateral view",
    "one view",
    "pa and lat",
    "pa and lateral",
    "pa view",
    "portable",
    "ribs",
    "two views",
];

/// The name that a heading stands for; the heading itself, in lower case, where no rule knows it.
pub(super) fn normalise(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let whole = WHOLE.iter().find(|(_, headings)| headings.contains(&heading.as_str())).map(|(name, _)| *name);
    let contained = || CONTAINED.into_iter().find(|word| heading.contains(word));
    let view = || VIEWS.iter().any(|word| heading.contains(word)).then_some(FINDINGS);
    match whole.or_else(contained).or_else(view) {
        Some(name) => name.to_owned(),
        None => heading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_come_down_to_their_names() {
        for (heading, name) in [
            ("IMPRESSION", "impression"),
            (" Findings and Impression ", "impression"),
            ("FINDINGS/ IMPRESSION", "impression"),
            ("REFERENCE FINDINGS", "findings"),
            ("CONCLUSION", "impression"),
            ("IMPRSSION", "impression"),
            ("NDICATION", "impression"),
            ("FINDING", "findings"),
            ("CHEST, TWO VIEWS", "findings"),
            ("PA AND LATERAL VIEWS OF THE RIBS", "findings"),
            ("PORTABLE AP FILM", "findings"),
            ("SINGLE FRONTAL VIEW", "findings"),
            ("CLINICAL HISTORY", "history"),
            ("CLINICAL INFORMATION", "history"),
            ("COMPARISONS", "comparison"),
            ("COMPARISON FILM", "comparison"),
            ("REASON FOR EXAMINATION", "indication"),
            ("INDICATION", "indication"),
            ("EXAM", "examination"),
            ("EXAMINATION", "examination"),
            ("RECOMMENDATION(S)", "recommendations"),
            ("WETREAD", "wet read"),
            ("ADDENDUM BEGINS", "addendum"),
            ("NOTIFICATION", "notification"),
            ("TECHNIQUE", "technique"),
            // The word wins over the views.
            ("CHEST FINDINGS", "findings"),
            ("CHEST COMPARISON", "comparison"),
        ] {
            assert_eq!(normalise(heading), name, "{heading}");
        }
    }
}
