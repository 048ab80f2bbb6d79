//! One report of the Open-i archive.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// A report as its XML file says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct XmlReport {
    /// `CXR3029`.
    pub(super) study: String,
    /// The text of `AbstractText` labelled FINDINGS, as it is written.
    pub(super) findings: String,
    /// Likewise IMPRESSION.
    pub(super) impression: String,
    /// The `id` of each `parentImage`: `CXR3029_IM-1404-1001`.
    pub(super) images: Vec<String>,
}

/// Reads one file. What is wrong with it is told in few words.
pub(super) fn read(bytes: &[u8]) -> Result<XmlReport, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let mut report = XmlReport::default();
    // The section whose text is being read.
    let mut section: Option<Section> = None;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                section = open(&start, &mut report)?.or(section);
            }
            Event::Empty(start) => {
                open(&start, &mut report)?;
            }
            Event::End(end) if end.name().as_ref() == "AbstractText" => section = None,
            Event::Text(words) => append(&mut report, section, &words.xml10_content()),
            Event::CData(words) => append(&mut report, section, &words.xml10_content()),
            Event::GeneralRef(entity) => {
                let name = entity.xml10_content();
                let character = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                match (character, resolve_predefined_entity(&name)) {
                    (Some(character), _) => append(&mut report, section, character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => append(&mut report, section, text),
                    (None, None) => return Err(format!("it uses the entity `&{name};`, which is not declared")),
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if report.study.is_empty() {
        return Err("it has no `uId`".to_owned());
    }
    Ok(report)
}

#[derive(Debug, Clone, Copy)]
enum Section {
    Findings,
    Impression,
    Other,
}

/// Takes what an element's attributes say; the section that it opens, if it opens one.
fn open(start: &BytesStart<'_>, report: &mut XmlReport) -> Result<Option<Section>, String> {
    let attribute = |name: &str| -> Result<Option<String>, String> {
        let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
        found
            .map(|found| {
                Ok(found
                    .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                    .map_err(|error| error.to_string())?
                    .into_owned())
            })
            .transpose()
    };
    match start.name().as_ref() {
        "uId" => {
            if let Some(id) = attribute("id")? {
                report.study = id;
            }
        }
        "parentImage" => report.images.extend(attribute("id")?),
        "AbstractText" => {
            let label = attribute("Label")?.unwrap_or_default();
            let section = match label.to_ascii_uppercase().as_str() {
                "FINDINGS" => Section::Findings,
                "IMPRESSION" => Section::Impression,
                _ => Section::Other,
            };
            // A second one of the same label goes on where the first ended.
            if let Some(text) = text_of(report, section).filter(|text| !text.is_empty()) {
                text.push(' ');
            }
            return Ok(Some(section));
        }
        _ => {}
    }
    Ok(None)
}

fn text_of(report: &mut XmlReport, section: Section) -> Option<&mut String> {
    match section {
        Section::Findings => Some(&mut report.findings),
        Section::Impression => Some(&mut report.impression),
        Section::Other => None,
    }
}

fn append(report: &mut XmlReport, section: Option<Section>, words: &str) {
    if let Some(text) = section.and_then(|section| text_of(report, section)) {
        text.push_str(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the archive's manner, with the pieces that matter.
    const REPORT: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<eCitation>
  <uId id="CXR7"/>
  <MedlineCitation><Article><Abstract>
    <AbstractText Label="COMPARISON">None.</AbstractText>
    <AbstractText Label="FINDINGS">Heart &lt; 50 %, size &amp; shape &#233;gal. <![CDATA[No <edema>.]]></AbstractText>
    <AbstractText Label="IMPRESSION"/>
    <AbstractText Label="Impression">Normal.</AbstractText>
  </Abstract></Article></MedlineCitation>
  <parentImage id="CXR7_IM-1-1001"><caption>PA</caption></parentImage>
  <parentImage id="CXR7_IM-1-2001"/>
</eCitation>"#;

    #[test]
    fn sections_and_images_are_read_with_entities_resolved() {
        let report = read(REPORT.as_bytes()).unwrap();
        assert_eq!(report.study, "CXR7");
        assert_eq!(report.findings, "Heart < 50 %, size & shape égal. No <edema>.");
        assert_eq!(report.impression, "Normal.");
        assert_eq!(report.images, ["CXR7_IM-1-1001", "CXR7_IM-1-2001"]);
    }

    #[test]
    fn broken_files_are_told_and_entities_are_never_expanded() {
        for (text, said) in [
            ("", "no `uId`"),
            ("<eCitation></eCitation>", "no `uId`"),
            (&REPORT[..REPORT.len() - 40], ""),
            ("<a><uId id=\"CXR1\"/></b>", ""),
            ("<a><uId id=\"CXR1\"/><AbstractText Label=\"FINDINGS\">&lol9;</AbstractText></a>", "&lol9;"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(read(b"<a>\xff</a>").unwrap_err().contains("UTF-8"));
        // 200,000 open elements: the reader does not recurse.
        let deep = "<a>".repeat(200_000);
        assert!(read(deep.as_bytes()).is_err());
    }
}
