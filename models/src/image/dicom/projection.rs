//! Which part of the body a radiograph shows, and from which side: by words that people and machines write there.

/// Body Part Examined: the standard's CHEST and THORAX (PS3.16, annex L), and what is written in their place in other
/// languages. Nothing stated is no concern: many detectors leave it empty.
pub(super) fn is_chest(part: &str) -> bool {
    const WORDS: [&str; 17] = [
        "CHEST", "THORA", "TORAX", "TORAK", "TORAC", "LUNG", "PULMO", "POUMON", "POLMON", "BRUST", "BORST", "BRYST",
        "KLATKA", "ГРУД", "ОГК", "胸", "흉",
    ];
    let plain: String = part.chars().map(without_accent).collect();
    WORDS.iter().any(|word| plain.contains(word))
}

/// A capital letter without the accents that the words above may have.
fn without_accent(letter: char) -> char {
    match letter {
        'Á' | 'À' | 'Â' | 'Ã' | 'Ä' | 'Å' => 'A',
        'Ó' | 'Ò' | 'Ô' | 'Õ' | 'Ö' | 'Ø' => 'O',
        'Ü' | 'Ú' | 'Ù' | 'Û' => 'U',
        other => other,
    }
}

/// View Position (PS3.3, C.8.1.1 and C.8.11.5) or a View Code: lateral and oblique views by the standard's terms, in any
/// order with the side, and by what people write for them. Decubitus views are frontal: the patient lies on the side.
pub(super) fn is_lateral(view: &str) -> bool {
    const TERMS: [&str; 18] = [
        "LL", "RL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LAT", "LATL", "LATR", "OBL", "LOBL", "ROBL", "SAGITTAL",
        "ML", "LM", "MLO",
    ];
    const SIDES: [&str; 8] = ["L", "R", "LT", "RT", "LEFT", "RIGHT", "X", "XT"];
    const BEGINNINGS: [&str; 8] = ["LATERAL", "LATERO", "OBLIQ", "OBLICU", "SCHRAG", "SEITLICH", "PROFIL", "PERFIL"];
    if CODES.iter().any(|(scheme, srt, _)| [*scheme, *srt].contains(&view)) {
        return true;
    }
    let plain: String = view.chars().map(without_accent).collect();
    if plain.contains("DECUB") || plain.contains("DEKUB") {
        return false;
    }
    plain.split(|c: char| !c.is_alphanumeric()).any(|word| {
        TERMS.contains(&word)
            || BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
            || word.strip_suffix("LAT").is_some_and(|side| SIDES.contains(&side))
            || word.ends_with("LATERAL") && !word.starts_with("BI")
    })
}

/// The view as a message names it: a code by its meaning.
pub(super) fn in_words(view: &str) -> String {
    let meaning = CODES.iter().find(|(scheme, srt, _)| [*scheme, *srt].contains(&view)).map(|(.., meaning)| *meaning);
    meaning.unwrap_or(view).to_owned()
}

/// Lateral and oblique views of CID 4010 (PS3.16), in SNOMED CT and in SNOMED RT, with their meaning.
const CODES: [(&str, &str, &str); 24] = [
    ("399198007", "R-10232", "RIGHT LATERAL"),
    ("399173006", "R-10236", "LEFT LATERAL"),
    ("399067008", "R-102CD", "LATERAL"),
    ("399352003", "R-10228", "LATERAL-MEDIAL"),
    ("399260004", "R-10224", "MEDIAL-LATERAL"),
    ("399038007", "R-10210", "RIGHT POSTERIOR OBLIQUE"),
    ("399225005", "R-10250", "OBLIQUE CAUDO-CRANIAL"),
    ("399059000", "R-10216", "POSTERO-ANTERIOR OBLIQUE"),
    ("399135007", "R-10220", "LEFT ANTERIOR OBLIQUE"),
    ("260427002", "R-40783", "LATERAL OBLIQUE"),
    ("399236003", "R-10234", "RIGHT OBLIQUE"),
    ("399368009", "R-10226", "MEDIO-LATERAL OBLIQUE"),
    ("399288005", "R-10248", "OBLIQUE CRANIO-CAUDAL"),
    ("399099002", "R-10230", "LATERO-MEDIAL OBLIQUE"),
    ("399356000", "R-40985", "RIGHT ANTERIOR OBLIQUE"),
    ("399312000", "R-10208", "ANTERO-POSTERIOR OBLIQUE"),
    ("399184004", "R-10238", "LEFT OBLIQUE"),
    ("399182000", "R-102C1", "OBLIQUE"),
    ("260426006", "R-40782", "MEDIAL OBLIQUE"),
    ("399132005", "R-10252", "FRONTAL-OBLIQUE AXIAL"),
    ("399325008", "R-10254", "SAGITTAL-OBLIQUE AXIAL"),
    ("399160007", "R-10204", "FRONTAL OBLIQUE"),
    ("399004004", "R-10246", "OBLIQUE AXIAL"),
    ("399006002", "R-10212", "LEFT POSTERIOR OBLIQUE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateral_and_oblique_views_are_told_from_frontal_ones() {
        for view in [
            "LL",
            "RL",
            "LLO",
            "RLO",
            "LAO",
            "RAO",
            "LPO",
            "RPO",
            "LAT",
            "LATERAL",
            "L LAT",
            "LAT L",
            "LAT-R",
            "LAT/L",
            "L_LAT",
            "LEFT LATERAL",
            "LTLAT",
            "LEFT ANTERIOR OBLIQUE",
            "OBLIQUE",
            "PROFIL",
            "POSTEROLATERAL",
            "399173006",
            "R-10236",
            "LATERALE",
        ] {
            assert!(is_lateral(view), "{view}");
        }
        for view in [
            "PA",
            "AP",
            "AP SUPINE",
            "LLD",
            "RLD",
            "LEFT LATERAL DECUBITUS",
            "LAT DECUB",
            "PA ERECT",
            "BILATERAL",
            "PLAT",
            "",
        ] {
            assert!(!is_lateral(view), "{view}");
        }
        assert_eq!((in_words("399173006"), in_words("LL")), ("LEFT LATERAL".to_owned(), "LL".to_owned()));
    }

    #[test]
    fn the_chest_has_many_names() {
        for part in [
            "CHEST",
            "THORAX",
            "TÓRAX",
            "TORAX",
            "TORACE",
            "LUNG",
            "ГРУДНАЯ КЛЕТКА",
            "胸部",
            "CHESTABDOMEN",
            "T\u{f3}RAX",
        ] {
            assert!(is_chest(&part.to_uppercase()), "{part}");
        }
        for part in ["HIP", "ABDOMEN", "SKULL", "TÓ", "HAND"] {
            assert!(!is_chest(part), "{part}");
        }
    }
}
