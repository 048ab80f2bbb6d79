//! The words that the reader knows.

use super::super::observation::{Device, EffusionSize, Kind, Side, Zone};

/// What a phrase names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concept {
    /// A finding of this kind.
    Finding(Kind),
    /// This device.
    Device(Device),
    /// A phrase that looks like a finding but is none.
    Ignored,
}

/// Phrases, the longer before the shorter where they begin alike.
const PHRASES: [(&[&str], Concept); 52] = {
    use Concept::{Finding, Ignored};
    use Device::{CentralLine, EndotrachealTube, Pacemaker};
    use Kind::{Cardiomegaly, Consolidation, Effusion, Nodule, Pneumothorax, SupportDevice};
    [
        (&["pericardial", "effusion"], Ignored),
        (&["pleural", "effusion"], Finding(Effusion)),
        (&["pleural", "effusions"], Finding(Effusion)),
        (&["pleural", "fluid"], Finding(Effusion)),
        (&["effusion"], Finding(Effusion)),
        (&["effusions"], Finding(Effusion)),
        (&["hydrothorax"], Finding(Effusion)),
        (&["pneumothorax"], Finding(Pneumothorax)),
        (&["pneumothoraces"], Finding(Pneumothorax)),
        (&["nodular", "opacity"], Finding(Nodule)),
        (&["nodular", "opacities"], Finding(Nodule)),
        (&["nodular", "lesion"], Finding(Nodule)),
        (&["round", "opacity"], Finding(Nodule)),
        (&["rounded", "opacity"], Finding(Nodule)),
        (&["coin", "lesion"], Finding(Nodule)),
        (&["nodule"], Finding(Nodule)),
        (&["nodules"], Finding(Nodule)),
        (&["mass"], Finding(Nodule)),
        (&["masses"], Finding(Nodule)),
        (&["airspace", "consolidation"], Finding(Consolidation)),
        (&["airspace", "opacity"], Finding(Consolidation)),
        (&["airspace", "opacities"], Finding(Consolidation)),
        (&["airspace", "disease"], Finding(Consolidation)),
        (&["consolidation"], Finding(Consolidation)),
        (&["consolidations"], Finding(Consolidation)),
        (&["opacity"], Finding(Consolidation)),
        (&["opacities"], Finding(Consolidation)),
        (&["opacification"], Finding(Consolidation)),
        (&["infiltrate"], Finding(Consolidation)),
        (&["infiltrates"], Finding(Consolidation)),
        (&["pneumonia"], Finding(Consolidation)),
        (&["cardiomegaly"], Finding(Cardiomegaly)),
        (&["central", "venous", "line"], Concept::Device(CentralLine)),
        (&["central", "venous", "catheter"], Concept::Device(CentralLine)),
        (&["central", "line"], Concept::Device(CentralLine)),
        (&["central", "catheter"], Concept::Device(CentralLine)),
        (&["jugular", "line"], Concept::Device(CentralLine)),
        (&["jugular", "catheter"], Concept::Device(CentralLine)),
        (&["subclavian", "line"], Concept::Device(CentralLine)),
        (&["subclavian", "catheter"], Concept::Device(CentralLine)),
        (&["cvc"], Concept::Device(CentralLine)),
        (&["endotracheal", "tube"], Concept::Device(EndotrachealTube)),
        (&["et", "tube"], Concept::Device(EndotrachealTube)),
        (&["ett"], Concept::Device(EndotrachealTube)),
        (&["pacemaker"], Concept::Device(Pacemaker)),
        (&["pacer"], Concept::Device(Pacemaker)),
        (&["pacing", "device"], Concept::Device(Pacemaker)),
        (&["support", "device"], Finding(SupportDevice)),
        (&["support", "devices"], Finding(SupportDevice)),
        (&["lines"], Finding(SupportDevice)),
        (&["tubes"], Finding(SupportDevice)),
        (&["catheter"], Finding(SupportDevice)),
    ]
};

/// The concept that `words` begins with, and how many words name it.
pub fn concept_at(words: &[String]) -> Option<(Concept, usize)> {
    PHRASES
        .iter()
        .find(|(phrase, _)| words.len() >= phrase.len() && phrase.iter().zip(words).all(|(a, b)| a == b))
        .map(|&(phrase, concept)| (concept, phrase.len()))
}

/// Sides that a word names.
pub fn sides(word: &str) -> Option<&'static [Side]> {
    match word {
        "right" => Some(&[Side::Right]),
        "left" => Some(&[Side::Left]),
        "bilateral" | "bilaterally" | "both" | "bibasal" | "bibasilar" | "biapical" => Some(&Side::ALL),
        _ => None,
    }
}

/// The zone that a word names.
pub fn zone(word: &str) -> Option<Zone> {
    match word {
        "upper" | "apical" | "apex" | "apices" | "biapical" => Some(Zone::Upper),
        "mid" | "middle" | "midzone" | "perihilar" => Some(Zone::Mid),
        "lower" | "base" | "bases" | "basal" | "basilar" | "bibasal" | "bibasilar" => Some(Zone::Lower),
        _ => None,
    }
}

/// The size that a word names.
pub fn size(word: &str) -> Option<EffusionSize> {
    match word {
        "small" | "tiny" | "trace" | "minimal" | "minor" | "little" => Some(EffusionSize::Small),
        "large" | "massive" | "big" | "extensive" | "sizeable" => Some(EffusionSize::Large),
        _ => None,
    }
}

/// Words for the heart as a whole.
pub fn is_heart(word: &str) -> bool {
    matches!(word, "heart" | "cardiac" | "cardiothoracic" | "cardiomediastinal")
}

/// Words for being too large.
pub fn is_enlarged(word: &str) -> bool {
    matches!(word, "enlarged" | "enlargement" | "increased" | "widened" | "enlarging")
}

/// Words that part a sentence into clauses.
pub fn is_separator(word: &str) -> bool {
    matches!(
        word,
        "," | "and" | "or" | "nor" | "with" | "without" | "but" | "plus" | "while" | "whereas" | "however" | "/"
    )
}

/// Words that end a negation whatever comes next.
pub fn ends_negation(word: &str) -> bool {
    matches!(word, "but" | "however" | "although" | "though" | "except" | "while" | "whereas" | "yet" | "there")
}

/// Words that show a clause to be a statement of its own.
pub fn is_verb(word: &str) -> bool {
    matches!(word, "is" | "are" | "was" | "were" | "seen" | "present" | "noted" | "shows" | "projects" | "lies" | "has")
}

/// Words between a finding and its place.
pub fn is_preposition(word: &str) -> bool {
    matches!(word, "in" | "on" | "at" | "of" | "over" | "within" | "involving" | "involves")
}
