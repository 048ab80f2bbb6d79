//! Writes the report of a phantom: true to what was drawn, in varied wording.
//!
//! A report reads `Findings: … Impression: …`, in sentence case. The findings part states every drawn
//! observation in full (side, size, zone) and some of what is absent; the impression says it again in
//! short. No template claims what [`Findings`] does not say.

mod wording;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::findings::{Findings, Location};
use super::observation::{Device, EffusionSize, Side, Zone};
use wording::{
    BONES, CENTRAL_LINE, CONSOLIDATION, CONSOLIDATION_BOTH_SIDES, CONSOLIDATION_CROSSED, CONSOLIDATION_ONE_SIDE,
    EFFUSION, EFFUSIONS_EQUAL, EFFUSIONS_UNEQUAL, ENDOTRACHEAL_TUBE, HEART_ENLARGED, HEART_NORMAL, LARGE_EFFUSION,
    LUNGS_CLEAR, NO_CONSOLIDATION, NO_DEVICES, NO_EFFUSION, NO_NODULE, NO_PNEUMOTHORAX, NODULE, NORMAL_IMPRESSION,
    PACEMAKER, PLEURA_CLEAR, PNEUMOTHORAX, SMALL_EFFUSION,
};

/// Absent findings are mentioned only while the findings part is shorter than this many word pieces.
const NEGATIVES_UP_TO: usize = 46;
/// A whole report takes this many word pieces at most.
const REPORT_UP_TO: usize = 80;
/// The impression names this many findings at most.
const IMPRESSION_UP_TO: usize = 3;

/// Writes a report of 10 to 55 words, 80 word pieces at most.
pub fn write(findings: &Findings, rng: &mut impl Rng) -> String {
    let mut parts = [heart(findings, rng), lungs(findings, rng), pleura(findings, rng), devices(findings, rng)];
    if rng.random_bool(0.25) {
        // Some readers begin with lines and tubes.
        parts.rotate_right(1);
    }
    let mut sentences: Vec<String> = Vec::new();
    let stated: usize = parts.iter().flat_map(|part| &part.present).map(|text| pieces(text)).sum();
    let mut room = NEGATIVES_UP_TO.saturating_sub(stated);
    for part in parts {
        sentences.extend(part.present);
        for absent in part.absent {
            if pieces(&absent) <= room {
                room -= pieces(&absent);
                sentences.push(absent);
            }
        }
    }
    if sentences.is_empty() {
        sentences.push(pick(&LUNGS_CLEAR, rng).to_owned());
    }
    if room >= 8 && rng.random_bool(0.4) {
        sentences.push(pick(&BONES, rng).to_owned());
    }
    let report = format!("Findings: {} Impression:", sentences.join(" "));
    let impression = impression(findings, REPORT_UP_TO.saturating_sub(pieces(&report)), rng);
    format!("{report} {impression}")
}

/// What a report says about one region.
#[derive(Default)]
struct Region {
    /// Sentences about what was drawn: always written.
    present: Vec<String>,
    /// Sentences about what is absent: written while there is room.
    absent: Vec<String>,
}

fn heart(findings: &Findings, rng: &mut impl Rng) -> Region {
    if findings.cardiomegaly {
        return Region { present: vec![pick(&HEART_ENLARGED, rng).to_owned()], ..Region::default() };
    }
    Region { absent: sometimes(&HEART_NORMAL, 0.85, rng), ..Region::default() }
}

fn lungs(findings: &Findings, rng: &mut impl Rng) -> Region {
    let mut region = Region::default();
    let places: Vec<Location> = findings.consolidations.iter().copied().collect();
    match places[..] {
        [] => {}
        [place] => region.present.push(consolidation(place, rng)),
        [first, second] => region.present.push(two_consolidations(first, second, rng)),
        _ => region.present.extend(places.iter().map(|&place| consolidation(place, rng))),
    }
    region.present.extend(findings.nodule.map(|place| nodule(place, rng)));
    region.absent = match (places.is_empty(), findings.nodule.is_none()) {
        (true, true) => sometimes(&LUNGS_CLEAR, 0.95, rng),
        (true, false) => sometimes(&NO_CONSOLIDATION, 0.6, rng),
        (false, true) => sometimes(&NO_NODULE, 0.3, rng),
        (false, false) => Vec::new(),
    };
    region
}

fn pleura(findings: &Findings, rng: &mut impl Rng) -> Region {
    let mut region = Region::default();
    region.present.extend(effusions(findings, rng));
    region.present.extend(findings.pneumothorax.map(|side| pneumothorax(side, rng)));
    region.absent = match (findings.effusions.is_empty(), findings.pneumothorax.is_none()) {
        (true, true) => sometimes(&PLEURA_CLEAR, 0.9, rng),
        (true, false) => sometimes(&NO_EFFUSION, 0.7, rng),
        (false, true) => sometimes(&NO_PNEUMOTHORAX, 0.7, rng),
        (false, false) => Vec::new(),
    };
    region
}

fn devices(findings: &Findings, rng: &mut impl Rng) -> Region {
    let present = findings.devices.iter().map(|&device| device_sentence(device, rng).to_owned()).collect();
    let absent = if findings.devices.is_empty() { sometimes(&NO_DEVICES, 0.12, rng) } else { Vec::new() };
    Region { present, absent }
}

fn consolidation(place: Location, rng: &mut impl Rng) -> String {
    fill_place(pick(&CONSOLIDATION, rng), place)
}

fn two_consolidations(first: Location, second: Location, rng: &mut impl Rng) -> String {
    let (a, b) = if rng.random_bool(0.5) { (first, second) } else { (second, first) };
    if a.zone == b.zone {
        return fill_place(pick(&CONSOLIDATION_BOTH_SIDES, rng), a);
    }
    if a.side == b.side {
        return fill_place(pick(&CONSOLIDATION_ONE_SIDE, rng), a).replace("{other}", b.zone.word());
    }
    let other = format!("{} {}", b.side.word(), b.zone.word());
    fill_place(pick(&CONSOLIDATION_CROSSED, rng), a).replace("{other}", &other)
}

fn nodule(place: Location, rng: &mut impl Rng) -> String {
    fill_place(pick(&NODULE, rng), place)
}

fn effusions(findings: &Findings, rng: &mut impl Rng) -> Option<String> {
    let drawn: Vec<(Side, EffusionSize)> = findings.effusions.iter().map(|(&side, &size)| (side, size)).collect();
    match drawn[..] {
        [] => None,
        [(side, size)] => Some(effusion(side, size, rng)),
        [(_, first), (_, second), ..] if first == second => Some(fill_size(pick(&EFFUSIONS_EQUAL, rng), first)),
        [first, second, ..] => {
            let (a, b) = if rng.random_bool(0.5) { (first, second) } else { (second, first) };
            let text = fill_size(&fill_side(pick(&EFFUSIONS_UNEQUAL, rng), a.0), a.1);
            Some(text.replace("{side2}", b.0.word()).replace("{size2}", b.1.word()))
        }
    }
}

fn effusion(side: Side, size: EffusionSize, rng: &mut impl Rng) -> String {
    let special = match size {
        EffusionSize::Small => SMALL_EFFUSION,
        EffusionSize::Large => LARGE_EFFUSION,
    };
    let template = if rng.random_bool(0.3) { pick(&special, rng) } else { pick(&EFFUSION, rng) };
    fill_size(&fill_side(template, side), size)
}

fn pneumothorax(side: Side, rng: &mut impl Rng) -> String {
    fill_side(pick(&PNEUMOTHORAX, rng), side)
}

fn device_sentence(device: Device, rng: &mut impl Rng) -> &'static str {
    pick(
        match device {
            Device::CentralLine => &CENTRAL_LINE,
            Device::EndotrachealTube => &ENDOTRACHEAL_TUBE,
            Device::Pacemaker => &PACEMAKER,
        },
        rng,
    )
}

/// The short summary: up to three findings, in up to `room` word pieces. Devices are left out of it
/// unless they are all there is.
fn impression(findings: &Findings, mut room: usize, rng: &mut impl Rng) -> String {
    let mut items = Vec::new();
    items.extend(findings.cardiomegaly.then(|| "cardiomegaly".to_owned()));
    items.extend(findings.consolidations.iter().map(|&place| fill_place("{side} {zone} zone consolidation", place)));
    items.extend(findings.nodule.map(|place| fill_place("{side} {zone} zone nodule", place)));
    let sizes: Vec<EffusionSize> = findings.effusions.values().copied().collect();
    if let [size, second] = sizes[..]
        && size == second
    {
        items.push(fill_size("{size} bilateral pleural effusions", size));
    } else {
        items.extend(
            findings
                .effusions
                .iter()
                .map(|(&side, &size)| fill_size(&fill_side("{size} {side} pleural effusion", side), size)),
        );
    }
    items.extend(findings.pneumothorax.map(|side| fill_side("{side} pneumothorax", side)));
    if items.is_empty() {
        let normal = pick(&NORMAL_IMPRESSION[..], rng);
        return if findings.devices.is_empty() {
            normal.to_owned()
        } else {
            pick(&["No acute cardiopulmonary abnormality.", "Support devices in place."], rng).to_owned()
        };
    }
    // In the order of the findings, as readers list them; which are left out is chance.
    while items.len() > IMPRESSION_UP_TO {
        items.remove(rng.random_range(0..items.len()));
    }
    let fitting = items.iter().take_while(|item| {
        // With a full stop, a comma or an "and".
        let needed = pieces(item) + 1;
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    let fitting = fitting.count().max(1);
    items.truncate(fitting);
    if rng.random_bool(0.5) {
        return items.iter().map(|item| format!("{}.", sentence_case(item))).collect::<Vec<_>>().join(" ");
    }
    let last = items.pop().expect("the list is not empty");
    let list = if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) };
    format!("{}.", sentence_case(&list))
}

/// About how many word pieces a text takes: one for each word and mark, more for what a general
/// vocabulary does not know.
fn pieces(text: &str) -> usize {
    const RARE: [(&str, usize); 29] = [
        ("pneumothorax", 5),
        ("cardiopulmonary", 5),
        ("endotracheal", 4),
        ("hemidiaphragm", 4),
        ("cardiomegaly", 3),
        ("cardiothoracic", 3),
        ("costophrenic", 3),
        ("hemithorax", 3),
        ("unremarkable", 3),
        ("catheter", 2),
        ("effusion", 2),
        ("mediastinum", 2),
        ("opacity", 2),
        ("pleural", 2),
        ("abnormality", 1),
        ("aerated", 1),
        ("blunted", 1),
        ("blunting", 1),
        ("bony thorax", 1),
        ("carina", 1),
        ("cava", 1),
        ("nodular", 1),
        ("nodule", 1),
        ("obscures", 1),
        ("pacemaker", 1),
        ("patchy", 1),
        ("radiograph", 1),
        ("vena ", 1),
        ("venous", 1),
    ];
    let text = text.to_lowercase();
    let more: usize = RARE.iter().map(|&(word, more)| more * text.matches(word).count()).sum();
    text.split_whitespace().count() + text.matches(['.', ',', ':']).count() + more
}

fn pick<'a>(templates: &[&'a str], rng: &mut impl Rng) -> &'a str {
    templates.choose(rng).expect("every list of templates has entries")
}

fn sometimes(templates: &[&str], share: f64, rng: &mut impl Rng) -> Vec<String> {
    if rng.random_bool(share) { vec![pick(templates, rng).to_owned()] } else { Vec::new() }
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn fill_side(template: &str, side: Side) -> String {
    template.replace("{side}", side.word()).replace("{Side}", &sentence_case(side.word()))
}

fn fill_size(template: &str, size: EffusionSize) -> String {
    template.replace("{size}", size.word()).replace("{Size}", &sentence_case(size.word()))
}

fn fill_zone(template: &str, zone: Zone) -> String {
    template.replace("{zone}", zone.word())
}

fn fill_place(template: &str, place: Location) -> String {
    fill_zone(&fill_side(template, place.side), place.zone)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::read::observations_in;
    use super::*;

    #[test]
    fn every_report_reads_back_as_what_was_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for index in 0..20_000 {
            let findings = Findings::sample(&mut rng);
            let text = write(&findings, &mut rng);
            assert_eq!(observations_in(&text), findings.observations(), "report {index}: {text}");
        }
    }

    /// Rare combinations, each in many wordings: what sampling might meet too seldom.
    #[test]
    fn pairs_of_findings_of_one_kind_read_back_too() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut cases = Vec::new();
        for first in Location::all() {
            for second in Location::all().filter(|&second| second > first) {
                cases.push(Findings { consolidations: BTreeSet::from([first, second]), ..Findings::default() });
            }
        }
        for right in EffusionSize::ALL {
            for left in EffusionSize::ALL {
                let effusions = BTreeMap::from([(Side::Right, right), (Side::Left, left)]);
                cases.push(Findings { effusions, cardiomegaly: true, ..Findings::default() });
            }
        }
        for findings in cases {
            for _ in 0..200 {
                let text = write(&findings, &mut rng);
                assert_eq!(observations_in(&text), findings.observations(), "{text}");
            }
        }
    }

    #[test]
    fn the_findings_part_alone_states_everything() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..5000 {
            let findings = Findings::sample(&mut rng);
            let text = write(&findings, &mut rng);
            let (body, _) = text.split_once(" Impression: ").expect("every report has an impression");
            assert_eq!(observations_in(body), findings.observations(), "{text}");
        }
    }

    #[test]
    fn reports_are_short_varied_and_fully_filled_in() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut distinct = BTreeSet::new();
        for _ in 0..20_000 {
            let text = write(&Findings::sample(&mut rng), &mut rng);
            assert!(!text.contains(['{', '}']), "{text}");
            assert!((10..=REPORT_UP_TO).contains(&pieces(&text)), "{} pieces: {text}", pieces(&text));
            distinct.insert(text);
        }
        assert!(distinct.len() > 10_000, "{} different reports of 20,000", distinct.len());
    }
}
