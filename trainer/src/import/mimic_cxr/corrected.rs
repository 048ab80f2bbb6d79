//! Studies whose text the makers of MIMIC-CXR chose by hand, since their headings mislead.
//!
//! Public in MIT-LCP/mimic-cxr, `txt/`: 23 studies whose conclusion stands under another heading, and 31 whose text is given
//! by its first and last character (eight of them have none). The official section file lists none of these.

/// What holds the text of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    /// The last section of this name.
    Section(&'static str),
    /// The characters from the first number to before the second.
    Characters(usize, usize),
}

/// The number of the study, and the section.
const SECTIONS: [(u32, &str); 23] = [
    (50_058_765, "indication"),
    (50_743_547, "examination"),
    (50_808_053, "technique"),
    (50_913_680, "recommendations"),
    (51_491_012, "history"),
    (51_966_317, "indication"),
    (53_202_765, "technique"),
    (53_356_173, "examination"),
    (54_365_831, "indication"),
    (54_654_948, "indication"),
    (55_124_749, "indication"),
    (55_157_853, "examination"),
    (56_451_190, "note"),
    (56_482_935, "recommendations"),
    (57_936_451, "indication"),
    (58_157_373, "recommendations"),
    (58_375_018, "recommendations"),
    (59_067_458, "recommendations"),
    (59_087_630, "recommendations"),
    (59_215_320, "examination"),
    (59_279_892, "technique"),
    (59_363_654, "examination"),
    (59_768_032, "recommendations"),
];

/// The number of the study, and where its text begins and ends, in characters; both 0 where it has none.
const CHARACTERS: [(u32, usize, usize); 31] = [
    (50_196_495, 59, 399),
    (50_525_523, 201, 349),
    (50_798_377, 0, 0),
    (51_410_602, 47, 320),
    (52_035_334, 0, 0),
    (52_119_491, 179, 454),
    (52_648_681, 292, 631),
    (52_674_888, 145, 296),
    (53_071_062, 0, 0),
    (53_182_247, 59, 412),
    (53_488_209, 149, 475),
    (53_514_462, 73, 377),
    (53_607_029, 0, 0),
    (54_168_089, 0, 0),
    (54_231_141, 0, 0),
    (54_875_119, 234, 988),
    (54_986_978, 59, 306),
    (55_258_338, 192, 568),
    (56_412_866, 522, 822),
    (56_579_911, 59, 218),
    (56_724_958, 0, 0),
    (56_760_320, 219, 457),
    (57_150_433, 61, 394),
    (57_564_132, 233, 554),
    (58_235_663, 0, 0),
    (59_003_148, 262, 505),
    (59_330_497, 140, 655),
    (59_505_494, 59, 450),
    (59_562_049, 158, 348),
    (59_889_364, 172, 453),
    (59_982_525, 313, 717),
];

/// The correction of the study with this number, if it is one of those.
pub(super) fn of(study: u32) -> Option<Correction> {
    let section = SECTIONS.iter().find(|(number, _)| *number == study).map(|(_, name)| Correction::Section(name));
    section.or_else(|| {
        let (_, begin, end) = CHARACTERS.iter().find(|(number, ..)| *number == study)?;
        Some(Correction::Characters(*begin, *end))
    })
}

/// The characters `begin..end` of a report, as far as it has them.
pub(super) fn characters(report: &str, begin: usize, end: usize) -> &str {
    let at = |count: usize| report.char_indices().nth(count).map_or(report.len(), |(at, _)| at);
    &report[at(begin)..at(end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_study_is_there_once_and_is_found() {
        let mut numbers: Vec<_> = SECTIONS.iter().map(|(n, _)| *n).chain(CHARACTERS.iter().map(|(n, ..)| *n)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 54);
        assert_eq!(CHARACTERS.iter().filter(|(_, begin, end)| begin == end).count(), 8);
        assert!(CHARACTERS.iter().all(|(_, begin, end)| begin <= end));
        assert_eq!(of(51_491_012), Some(Correction::Section("history")));
        assert_eq!(of(50_525_523), Some(Correction::Characters(201, 349)));
        assert_eq!(of(58_235_663), Some(Correction::Characters(0, 0)));
        assert_eq!(of(1), None);
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(characters("éabc", 1, 3), "ab");
        assert_eq!(characters("éabc", 2, 99), "bc");
        assert_eq!(characters("éabc", 0, 0), "");
        assert_eq!(characters("é", 7, 9), "");
    }
}
