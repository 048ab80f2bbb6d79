//! From one sentence to the observations it claims.

use super::super::observation::{Device, EffusionSize, Kind, Observation, Side, Zone};
use super::lexicon::{self, Concept};

/// Splits a text into sentences of lower-case words. Commas and slashes stay as words of their own.
pub fn split(text: &str) -> Vec<Vec<String>> {
    let letters: Vec<char> = text.chars().collect();
    let mut sentences = vec![Vec::new()];
    let mut word = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let in_number = letter == '.'
            && letters.get(index + 1).is_some_and(char::is_ascii_digit)
            && word.ends_with(|last: char| last.is_ascii_digit());
        if letter.is_alphanumeric() || in_number {
            word.extend(letter.to_lowercase());
            continue;
        }
        let sentence = sentences.last_mut().expect("there is always a sentence");
        if !word.is_empty() {
            sentence.push(std::mem::take(&mut word));
        }
        match letter {
            '.' | ';' | '!' | '?' => sentences.push(Vec::new()),
            ':' if sentence.last().is_some_and(|last| is_heading(last)) => sentences.push(Vec::new()),
            ',' | ':' | '(' | ')' => sentence.push(",".to_owned()),
            '/' => sentence.push("/".to_owned()),
            _ => {}
        }
    }
    if !word.is_empty() {
        sentences.last_mut().expect("there is always a sentence").push(word);
    }
    sentences
}

fn is_heading(word: &str) -> bool {
    matches!(word, "findings" | "impression" | "conclusion" | "comparison" | "indication" | "technique")
}

/// What a sentence claims.
pub fn observations(words: &[String]) -> Vec<Observation> {
    let mentions = mentions(words);
    let negated = negated(words, &mentions);
    let fragments = fragments(words, &mentions);
    let mut sites: Vec<Vec<Site>> = vec![Vec::new(); mentions.len()];
    for (index, fragment) in fragments.iter().enumerate() {
        let site = Site::read(&words[fragment.start..fragment.end]);
        if let Some(mention) = fragment.mention {
            sites[mention].push(site);
        } else if !site.is_empty()
            && let Some(mention) = owner(&fragments, &mentions, index, site)
        {
            sites[mention].push(site);
        }
    }
    let mut claimed = Vec::new();
    for (index, mention) in mentions.iter().enumerate() {
        if negated[mention.at] {
            continue;
        }
        claimed.extend(mention.observations(&sites[index]));
    }
    claimed
}

/// A place in a sentence that names a finding.
#[derive(Debug, Clone, Copy)]
struct Mention {
    at: usize,
    len: usize,
    kind: Kind,
    device: Option<Device>,
    /// Named by a sign of it ("blunted costophrenic angle") rather than by its name.
    implied_size: Option<EffusionSize>,
}

impl Mention {
    fn end(&self) -> usize {
        self.at + self.len
    }

    fn observations(&self, sites: &[Site]) -> Vec<Observation> {
        match self.kind {
            Kind::Cardiomegaly => return vec![Observation::Cardiomegaly],
            Kind::SupportDevice => return vec![Observation::SupportDevice { device: self.device }],
            _ => {}
        }
        let mut found = Vec::new();
        for site in complete(sites) {
            let sides: Vec<Option<Side>> = match site.sides {
                Some(sides) => sides.iter().copied().map(Some).collect(),
                None => vec![None],
            };
            for side in sides {
                found.push(match self.kind {
                    Kind::Effusion => Observation::Effusion { side, size: site.size.or(self.implied_size) },
                    Kind::Pneumothorax => Observation::Pneumothorax { side },
                    Kind::Nodule => Observation::Nodule { side, zone: site.zone },
                    _ => Observation::Consolidation { side, zone: site.zone },
                });
            }
        }
        found
    }
}

/// Finds all mentions, in order.
fn mentions(words: &[String]) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some((concept, len)) = lexicon::concept_at(&words[at..]) else {
            if lexicon::is_enlarged(&words[at]) && is_about_the_heart(words, at) {
                found.push(Mention { at, len: 1, kind: Kind::Cardiomegaly, device: None, implied_size: None });
            }
            at += 1;
            continue;
        };
        match concept {
            Concept::Finding(kind) => {
                found.push(Mention { at, len, kind, device: None, implied_size: None });
            }
            Concept::Device(device) => {
                found.push(Mention { at, len, kind: Kind::SupportDevice, device: Some(device), implied_size: None });
            }
            Concept::Ignored => {}
        }
        at += len;
    }
    let names_fluid = found.iter().any(|mention| mention.kind == Kind::Effusion);
    if !names_fluid && let Some(at) = blunted_angle(words) {
        let implied_size = Some(EffusionSize::Small);
        found.push(Mention { at, len: 1, kind: Kind::Effusion, device: None, implied_size });
        found.sort_by_key(|mention| mention.at);
    }
    found
}

/// Whether the word for "enlarged" at `at` speaks of the heart: the heart is named within a few words,
/// and neither another finding nor a "normal" stands between.
fn is_about_the_heart(words: &[String], at: usize) -> bool {
    const NEAR: usize = 6;
    let parts = |index: usize| {
        matches!(words[index].as_str(), "but" | "normal" | "lung" | "lungs" | "hilum")
            || lexicon::concept_at(&words[index..]).is_some()
    };
    let names_heart = |index: usize| lexicon::is_heart(&words[index]);
    let before = (at.saturating_sub(NEAR)..at).rev().take_while(|&index| !parts(index)).any(names_heart);
    let end = (at + NEAR).min(words.len());
    before || (at + 1..end).take_while(|&index| !parts(index)).any(names_heart)
}

fn blunted_angle(words: &[String]) -> Option<usize> {
    let angle = words.iter().position(|word| word == "costophrenic")?;
    let blunted = words.iter().any(|word| matches!(word.as_str(), "blunted" | "blunting" | "blunt"));
    blunted.then_some(angle)
}

/// Marks the words that a negation covers.
fn negated(words: &[String], mentions: &[Mention]) -> Vec<bool> {
    let mut negated = vec![false; words.len()];
    for at in 0..words.len() {
        match cue(words, at) {
            Some(Cue::Forward) => {
                let end = forward_end(words, at + 1);
                negated[at..end].fill(true);
            }
            Some(Cue::Backward) => {
                let start = backward_start(words, at, mentions);
                negated[start..=at].fill(true);
            }
            None => {}
        }
    }
    negated
}

enum Cue {
    Forward,
    Backward,
}

fn cue(words: &[String], at: usize) -> Option<Cue> {
    let next = |offset: usize| words.get(at + offset).map_or("", String::as_str);
    match words[at].as_str() {
        // "No change in the effusion" is no denial of it.
        "no" => {
            let of_change = |word: &str| matches!(word, "change" | "changes" | "increase" | "decrease");
            let skipped = matches!(next(1), "significant" | "interval" | "relevant");
            let of_change = of_change(next(1)) || (skipped && of_change(next(2)));
            (!of_change).then_some(Cue::Forward)
        }
        "without" | "neither" | "nor" => Some(Cue::Forward),
        "negative" if next(1) == "for" => Some(Cue::Forward),
        "absence" | "free" | "clear" | "resolution" if next(1) == "of" => Some(Cue::Forward),
        "not" | "never" => {
            let mut after =
                words[at + 1..].iter().skip_while(|word| matches!(word.as_str(), "be" | "been" | "clearly"));
            let passive = after.next().is_some_and(|word| {
                matches!(
                    word.as_str(),
                    "seen"
                        | "present"
                        | "identified"
                        | "visible"
                        | "evident"
                        | "noted"
                        | "demonstrated"
                        | "detected"
                        | "apparent"
                        | "found"
                        | "shown"
                )
            });
            Some(if passive { Cue::Backward } else { Cue::Forward })
        }
        "absent" | "excluded" | "resolved" | "unlikely" => Some(Cue::Backward),
        "ruled" if next(1) == "out" => Some(Cue::Backward),
        _ => None,
    }
}

/// Where a negation that looks forward ends: at a contrast, or where a new statement begins after a
/// comma or an "and" ("no consolidation and the heart is enlarged").
fn forward_end(words: &[String], start: usize) -> usize {
    for at in start..words.len() {
        let word = words[at].as_str();
        if lexicon::ends_negation(word) {
            return at;
        }
        if matches!(word, "," | "and" | "with")
            && let Some(next) = words.get(at + 1)
        {
            let opens = matches!(next.as_str(), "the" | "a" | "an" | "there" | "with" | "no");
            if opens || lexicon::sides(next).is_some() || lexicon::size(next).is_some() {
                return at;
            }
        }
    }
    words.len()
}

/// Where a negation that looks back begins: at the start of its own clause, or of the list that the
/// clause ends ("consolidation and effusion are absent").
fn backward_start(words: &[String], at: usize, mentions: &[Mention]) -> usize {
    let mut start = at;
    let mut named = false;
    while start > 0 {
        let before = start - 1;
        let word = words[before].as_str();
        named = named || mentions.iter().any(|mention| (start..at).contains(&mention.at));
        if lexicon::ends_negation(word) {
            break;
        }
        if named && matches!(word, "," | "and" | "with" | "or") {
            let clause_start =
                words[..before].iter().rposition(|word| matches!(word.as_str(), "," | "and" | "with" | "or"));
            let clause = &words[clause_start.map_or(0, |position| position + 1)..before];
            if clause.iter().any(|word| lexicon::is_verb(word)) {
                break;
            }
        }
        start = before;
    }
    start
}

/// A stretch of a sentence with one mention at most.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    start: usize,
    end: usize,
    mention: Option<usize>,
}

fn fragments(words: &[String], mentions: &[Mention]) -> Vec<Fragment> {
    let mut cuts: Vec<usize> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let inside = mentions.iter().any(|mention| mention.at < at && at < mention.end());
        if lexicon::is_separator(word) && !inside {
            cuts.push(at);
        }
    }
    // Two mentions with no separator between: what follows a preposition belongs to the first,
    // anything else stands before its own.
    for pair in mentions.windows(2) {
        let between = pair[0].end()..pair[1].at;
        if cuts.iter().any(|cut| between.contains(cut)) {
            continue;
        }
        let placed = words[between.clone()].iter().any(|word| lexicon::is_preposition(word));
        cuts.push(if placed { pair[1].at } else { pair[0].end() });
    }
    cuts.push(words.len());
    cuts.sort_unstable();
    let mut start = 0;
    let mut fragments = Vec::new();
    for cut in cuts {
        let mention = mentions.iter().position(|mention| (start..cut).contains(&mention.at));
        if cut > start {
            fragments.push(Fragment { start, end: cut, mention });
        }
        start = cut;
    }
    fragments
}

/// The mention that a fragment without one belongs to.
fn owner(fragments: &[Fragment], mentions: &[Mention], index: usize, site: Site) -> Option<usize> {
    let before = fragments[..index].iter().rev().find(|fragment| fragment.mention.is_some());
    let after = fragments[index + 1..].iter().find(|fragment| fragment.mention.is_some());
    let previous = before.and_then(|fragment| fragment.mention).filter(|&mention| {
        let kind = mentions[mention].kind;
        kind.is_sided()
            && (site.size.is_none() || kind == Kind::Effusion)
            && (site.zone.is_none() || kind != Kind::Effusion)
    });
    let next = after.and_then(|fragment| fragment.mention).filter(|&mention| mentions[mention].kind.is_sided());
    match (previous, next) {
        (Some(previous), Some(next)) => {
            // "Left upper zone nodule, small left and large right effusions": a mention that ends its
            // own fragment has its words before it, so what follows belongs to the next.
            let fragment = before.expect("there is a previous mention");
            let closed =
                mentions[previous].end() == fragment.end && fragment.end - fragment.start > mentions[previous].len;
            Some(if closed && fragments[index + 1].mention.is_some() { next } else { previous })
        }
        (previous, next) => previous.or(next),
    }
}

/// Where a finding lies and how large it is, as far as one fragment says.
#[derive(Debug, Clone, Copy, Default)]
struct Site {
    sides: Option<&'static [Side]>,
    zone: Option<Zone>,
    size: Option<EffusionSize>,
}

impl Site {
    fn read(words: &[String]) -> Self {
        let mut site = Self::default();
        for word in words {
            site.sides = lexicon::sides(word).or(site.sides);
            site.zone = lexicon::zone(word).or(site.zone);
            site.size = lexicon::size(word).or(site.size);
        }
        site
    }

    fn is_empty(self) -> bool {
        self.sides.is_none() && self.zone.is_none() && self.size.is_none()
    }

    fn is_both(self) -> bool {
        self.sides.is_some_and(|sides| sides.len() == 2)
    }
}

/// Lets each site take over what its neighbours say ("small left and right effusions"), and drops a
/// summary that its neighbours spell out ("bilateral effusions, small on the right and …").
fn complete(sites: &[Site]) -> Vec<Site> {
    let spelt_out = sites.iter().any(|site| site.sides.is_some_and(|sides| sides.len() == 1));
    let mut told: Vec<Site> = sites.iter().copied().filter(|site| !site.is_empty()).collect();
    let summary = told.iter().copied().find(|site| site.is_both());
    if spelt_out {
        told.retain(|site| !site.is_both());
    }
    if told.is_empty() {
        return vec![Site::default()];
    }
    let given = told.clone();
    for (index, site) in told.iter_mut().enumerate() {
        let neighbours = || given[index + 1..].iter().chain(given[..index].iter().rev()).chain(&summary);
        site.sides = site.sides.or_else(|| neighbours().find_map(|other| other.sides));
        site.zone = site.zone.or_else(|| neighbours().find_map(|other| other.zone));
        site.size = site.size.or_else(|| neighbours().find_map(|other| other.size));
    }
    told
}
