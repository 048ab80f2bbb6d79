//! The words that keep their dot, and those that fall into two.

/// Keep their dot wherever they stand and however they are written.
const ABBREVIATIONS: &str = " adm al ala apr ariz assn assoc aug ave bancorp bhd bid bldg blvd bros calif capt cf cmdr co \
    col colo conn corp cos cpl ct dak dec dept dr drs elec esq est etc ext feb fla fri ft ga gen gov govs hon inc ind \
    intl jan jr jul jun kan kans ky lt ltd maj mar md messrs mich minn mlle mme mo mon mont mr mrs ms mt natl neb nev \
    nov oct okla penn ph ph.d plc pres prof profs pvt rd rep reps rev rt sen sens sep sept seq sgt sq sr st ste supt \
    tel tenn thu thurs tue tues univ va vs vt wed wis wisc wyo ";

/// Keep their dot where they begin with a capital: a `mass.` in the lung ends its sentence.
const CAPITAL_ABBREVIATIONS: &str = " ark az del ill la mass miss ore pa tex wash ";

/// Keep their dot before a number.
const NUMBERED: &str = " art ca fig figs no nos op pp ";

/// Begin a sentence, so that a single letter before them is no initial.
const STARTERS: &str = " A About According Additionally After An As At But Earlier He Her Here However If In It Last \
    Many More Now Once One Other Our She Since So Some Such That The Then There These They This We What When While Yet \
    You ";

fn holds(list: &str, word: &str) -> bool {
    !word.is_empty() && !word.contains(' ') && list.contains(&format!(" {word} "))
}

pub(super) fn is_abbreviation(word: &str) -> bool {
    let lower = word.to_lowercase();
    holds(ABBREVIATIONS, &lower) || word.starts_with(char::is_uppercase) && holds(CAPITAL_ABBREVIATIONS, &lower)
}

pub(super) fn is_numbered_abbreviation(word: &str) -> bool {
    holds(NUMBERED, &word.to_lowercase())
}

pub(super) fn is_sentence_starter(word: &str) -> bool {
    holds(STARTERS, word)
}

/// The parts of a word that counts as two, such as `cannot`.
pub(super) fn split_contraction(word: &str) -> Option<(&str, &str)> {
    let at = match word.to_lowercase().as_str() {
        "cannot" | "gonna" | "gotta" | "wanna" | "lemme" | "gimme" => 3,
        _ => return None,
    };
    Some(word.split_at(at))
}
