//! The phrases that name an observation.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Observation;
use super::words::Word;

/// What a phrase names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concept {
    /// These observations.
    Names(&'static [Observation]),
    /// The heart or the mediastinum, which may be enlarged or not.
    Anatomy(Observation),
    /// Another abnormality: it rules out "No Finding", and is none of the other 13.
    Other,
    /// It looks like an observation and is none.
    Nothing,
}

use Concept::{Anatomy, Names, Nothing, Other};
use Observation::{
    Atelectasis, Cardiomegaly, Consolidation, Edema, EnlargedCardiomediastinum, Fracture, LungLesion, LungOpacity,
    PleuralEffusion, PleuralOther, Pneumonia, Pneumothorax, SupportDevices,
};

/// Phrases by concept. A `*` stands for any ending of a word; words are split at hyphens before.
const PHRASES: &[(Concept, &[&str])] = &[
    (
        Names(&[Cardiomegaly]),
        &["cardiomegal*", "megalocardia", "cardiac enlargement", "heart enlargement", "cardiac hypertrophy"],
    ),
    (
        Anatomy(Cardiomegaly),
        &[
            "heart",
            "heart size",
            "heart and lungs",
            "heart silhouette",
            "heart shadow",
            "heart contour*",
            "heart border*",
            "cardiac silhouette*",
            "cardiac shadow*",
            "cardiac contour*",
            "cardiac size",
            "cardiac",
            "cardiothoracic ratio",
            "cardiac border*",
            "cardio pericardial silhouette",
            "cardiopericardial silhouette",
        ],
    ),
    (
        Anatomy(EnlargedCardiomediastinum),
        &[
            "cardiomediastin*",
            "cardio mediastin*",
            "cardiomediastinal silhouette*",
            "cardiomediastinal contour*",
            "mediastin*",
            "mediastinal contour*",
            "mediastinal silhouette*",
            "mediastinal width",
            "superior mediastinum",
        ],
    ),
    (Names(&[Edema]), &["edema", "oedema", "edematous"]),
    (Names(&[Consolidation]), &["consolidat*", "air bronchogram*"]),
    (Names(&[Consolidation, LungOpacity]), &["airspace consolidat*", "air space consolidat*"]),
    (
        Names(&[Pneumonia]),
        &[
            "pneumonia*",
            "pneumonic",
            "bronchopneumonia*",
            "infection",
            "infections",
            "infectious",
            "infective",
            "pneumonitis",
        ],
    ),
    (Names(&[Atelectasis]), &["atelecta*", "atelectesis", "atelectatic", "collapse", "collapsed"]),
    (Names(&[Pneumothorax]), &["pneumothora*", "ptx", "hydropneumothora*"]),
    (
        Names(&[PleuralEffusion]),
        &[
            "effusion*",
            "pleural effusion*",
            "pleural fluid",
            "pleural fusion",
            "fluid in the pleural space*",
            "hydrothorax",
            "hemothorax",
            "haemothorax",
            "hydropneumothora*",
            "parapneumonic effusion*",
        ],
    ),
    (
        Names(&[PleuralOther]),
        &[
            "pleural thickening*",
            "pleural plaque*",
            "pleural scar*",
            "pleural parenchymal scar*",
            "pleuroparenchymal scar*",
            "pleural calcification*",
            "pleural based density",
            "fibrothorax",
            "apical cap*",
            "apical pleural thickening",
            "pleural reaction",
            "thickening of the pleura",
            "empyema",
            "mesothelioma",
        ],
    ),
    (
        Names(&[LungOpacity]),
        &[
            "opacit*",
            "opacif*",
            "opaque",
            "airspace disease*",
            "air space disease*",
            "airspace process*",
            "infiltrat*",
            "ground glass",
            "haziness",
            "interstitial marking*",
            "interstitial prominence",
            "interstitial pattern",
            "interstitial lung",
            "interstitial disease",
            "interstitial change*",
            "interstitial thickening",
            "reticular marking*",
            "reticular pattern",
            "reticulation*",
            "reticulonodular*",
            "decreased translucency",
            "increased density",
            "densities",
            "scar",
            "scars",
            "scarring",
            "scaring",
            "fibrosis",
            "fibrotic",
            "peribronchial thickening",
            "bronchial wall thickening",
        ],
    ),
    (
        Names(&[LungLesion]),
        &[
            "nodule*",
            "nodular",
            "nodularity",
            "mass",
            "masses",
            "lung lesion*",
            "pulmonary lesion*",
            "coin lesion*",
            "cavitary lesion*",
            "cavitat*",
            "cavity",
            "cavities",
            "tumor*",
            "tumour*",
            "neoplas*",
            "carcinoma*",
            "malignan*",
            "lung cancer",
            "metastas*",
            "metastatic",
            "lesion",
            "lesions",
            "round opacit*",
            "rounded opacit*",
            "nodular opacit*",
            "nodular densit*",
        ],
    ),
    (Names(&[Fracture]), &["fractur*", "fx", "broken rib*"]),
    (
        Names(&[SupportDevices]),
        &[
            "pacemaker*",
            "pacer",
            "pacing",
            "picc",
            "central line*",
            "central venous line*",
            "picc line*",
            "lines",
            "line tip",
            "line in place",
            "jugular line*",
            "subclavian line*",
            "arterial line*",
            "venous line*",
            "catheter*",
            "tube",
            "tubes",
            "tubing",
            "ett",
            "drain",
            "drains",
            "valve",
            "valves",
            "hardware",
            "device*",
            "icd",
            "aicd",
            "defibrillator*",
            "port",
            "ports",
            "portacath",
            "mediport",
            "port a cath",
            "stent*",
            "screw*",
            "plate and screw*",
            "rods",
            "arthroplast*",
            "prosthe*",
            "sternotomy wire*",
            "sternal wire*",
            "cerclage wire*",
            "clip",
            "clips",
            "coil",
            "coils",
            "cannula*",
            "electrode*",
            "stimulator*",
            "pump",
            "leads",
            "generator",
            "monitor*",
            "wires",
            "sutures",
            "staple*",
            "instrumentation",
            "implant*",
        ],
    ),
    (
        Other,
        &[
            // The field's labellers count heart failure as edema; a report that states it need not state edema.
            "heart failure",
            "cardiac failure",
            "chf",
            "cardiac decompensation",
            "fluid overload",
            "volume overload",
            "left ventric* enlargement",
            "granulomatous infection*",
            "granulomatous disease",
            "fungal infection*",
            "tuberculosis infection",
            "tuberculous infection",
            "histoplasmosis infection",
            "prior infection",
            "previous infection",
            "old infection",
            "remote infection",
            "chronic infection",
            "emphysem*",
            "copd",
            "hyperinflat*",
            "hyperexpan*",
            "hyperaerat*",
            "overinflat*",
            "hypoinflat*",
            "bronchitis",
            "bronchitic",
            "bronchiectasis",
            "asthma",
            "bronchiolitis",
            "scoliosis",
            "kypho*",
            "degenerat*",
            "spondylosis",
            "spondylitic",
            "osteophyt*",
            "arthritis",
            "arthropathy",
            "osteopeni*",
            "osteoporosis",
            "demineraliz*",
            "calcif*",
            "calcinosis",
            "granuloma*",
            "atheroscler*",
            "arterioscler*",
            "tortuous",
            "tortuosity",
            "ectatic",
            "ectasia",
            "aneurysm*",
            "hernia*",
            "eventration",
            "elevation",
            "elevated",
            "blunt*",
            "thickening",
            "volume loss",
            "deformit*",
            "bullae",
            "bullous",
            "bleb*",
            "adenopathy",
            "lymphadenopathy",
            "pneumomediastinum",
            "pneumoperitoneum",
            "free air",
            "subcutaneous air",
            "congestion",
            "congested",
            "cephalization",
            "engorge*",
            "plethora",
            "vascular prominence",
            "prominent pulmonary vascul*",
            "cuffing",
            "hypertension",
            "aspiration",
            "hemorrhage",
            "contusion*",
            "sarcoid*",
            "tuberculosis",
            "low lung volumes",
            "bullet*",
            "foreign body",
            "shrapnel",
            "dislocat*",
            "subluxat*",
            "compress*",
            "sclerosis",
            "sclerotic",
            "pectus",
            "dextrocardia",
            "situs inversus",
        ],
    ),
    (
        Nothing,
        &[
            "pericardial effusion*",
            "pericardial fluid",
            "joint effusion*",
            "subcutaneous edema",
            "soft tissue edema",
            "soft tissue mass*",
            "heart rate",
            "heart disease",
            "heart murmur",
            "heart transplant",
            "heart surgery",
            "heart border",
            "cardiac surgery",
            "cardiac monitor*",
            "cardiac pacemaker*",
            "cardiac event*",
            "cardiac apex",
            "cardiac disease",
            "acute cardiac",
            "mediastinal adenopathy",
            "mediastinal lymph*",
            "mediastinal clip*",
            "mediastinal mass*",
            "mediastinal shift",
            "mediastinal granuloma*",
            "mediastinal calcif*",
            "mediastinal surgical*",
            "mediastinal sutures",
            "mediastinal vascul*",
            "mediastinal structures",
            "vertebral body collapse",
            "vertebral collapse",
            "collapsed vertebra*",
            "ventriculoperitoneal",
            "port of",
            "body mass",
            "mass effect",
            "bony lesion*",
            "bone lesion*",
            "lytic lesion*",
            "osseous lesion*",
            "blastic lesion*",
            "skeletal lesion*",
            "sclerotic lesion*",
            "calcified nodul*",
            "densely calcified nodul*",
            "calcified lung nodul*",
            "calcified pulmonary nodul*",
            "calcified lesion*",
            "skin lesion*",
            "nipple shadow*",
            "kerley b lines",
            "kerley lines",
            "septal lines",
            "b lines",
            "fissure lines",
            "thoracic cavity",
            "chest cavity",
            "pleural cavity",
            "pleural cavities",
            "abdominal cavity",
            "glenoid cavity",
            "infection control",
            "tracheal tube cuff",
            "monitor for",
            "monitoring",
            "tube current",
        ],
    ),
];

/// A phrase that a sentence holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub concept: Concept,
    /// Words from, to.
    pub from: usize,
    pub to: usize,
}

/// Prefixes are looked up by their first letters.
const PREFIX: usize = 4;

struct Phrase {
    concept: Concept,
    words: Vec<(&'static str, bool)>,
}

#[derive(Default)]
struct Index {
    exact: HashMap<&'static str, Vec<Phrase>>,
    prefix: HashMap<&'static str, Vec<Phrase>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for &(concept, phrases) in PHRASES {
        for phrase in phrases {
            let words: Vec<(&str, bool)> = phrase
                .split(' ')
                .map(|word| word.strip_suffix('*').map_or((word, false), |stem| (stem, true)))
                .collect();
            let (first, open) = words[0];
            let phrase = Phrase { concept, words };
            if open {
                let key = first.get(..PREFIX).expect("an open word has four letters");
                index.prefix.entry(key).or_default().push(phrase);
            } else {
                index.exact.entry(first).or_default().push(phrase);
            }
        }
    }
    index
});

/// All phrases of a sentence, the longest at each place, none within another.
pub(super) fn find(words: &[Word<'_>]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match longest(&words[at..]) {
            Some((concept, length)) => {
                found.push(Found { concept, from: at, to: at + length });
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn longest(words: &[Word<'_>]) -> Option<(Concept, usize)> {
    let first = words[0].text;
    let exact = INDEX.exact.get(first).into_iter().flatten();
    let prefix = first.get(..PREFIX).and_then(|key| INDEX.prefix.get(key)).into_iter().flatten();
    exact
        .chain(prefix)
        .filter(|phrase| {
            phrase.words.len() <= words.len()
                && phrase
                    .words
                    .iter()
                    .zip(words)
                    .all(|(&(word, open), found)| if open { found.text.starts_with(word) } else { found.text == word })
        })
        .map(|phrase| (phrase.concept, phrase.words.len()))
        .max_by_key(|&(_, length)| length)
}
