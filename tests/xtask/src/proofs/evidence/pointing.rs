//! Peaks of maps, and the boxes in which they ought to lie. All places in shares of the picture's width and height.

use serde_json::Value;

/// By how much a box is wider than what was drawn, on every side: half a cell of the demo's grid of 8 × 8, for a peak is no
/// finer than the grid.
pub const MARGIN: f64 = 1.0 / 16.0;
/// Places along each side at which chance is counted.
const TRIALS: usize = 64;
/// Words of a sentence that states no finding.
const DENIALS: [&str; 8] = ["no", "not", "neither", "nor", "without", "clear", "sharp", "free"];

/// A kind of finding.
#[derive(Debug)]
pub struct Kind {
    /// As `findings.csv` has it.
    pub name: &'static str,
    /// By which a sentence of a phantom's report states it.
    stems: &'static [&'static str],
}

/// The findings that lie at one place.
pub const KINDS: [Kind; 4] = [
    Kind { name: "effusion", stems: &["effusion"] },
    Kind { name: "nodule", stems: &["nodul", "rounded opacity"] },
    Kind { name: "consolidation", stems: &["consolidation", "airspace opacity"] },
    Kind { name: "pneumothorax", stems: &["pneumothora"] },
];

impl Kind {
    /// Whether a sentence says that it is there.
    fn is_stated_by(&self, sentence: &str) -> bool {
        let sentence = sentence.to_lowercase();
        let denies = sentence.split(|c: char| !c.is_alphabetic()).any(|word| DENIALS.contains(&word));
        !denies && self.stems.iter().any(|stem| sentence.contains(stem))
    }
}

/// A side of the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the left of the picture.
    Right,
    /// On the right of the picture.
    Left,
}

/// Sides that a sentence names.
fn sides(sentence: &str) -> Vec<Side> {
    let sentence = sentence.to_lowercase();
    let has = |word: &str| sentence.split(|c: char| !c.is_alphabetic()).any(|its| its == word);
    let both = has("bilateral") || has("both");
    [("right", Side::Right), ("left", Side::Left)].into_iter().filter(|(w, _)| both || has(w)).map(|it| it.1).collect()
}

/// A finding where it was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    kind: String,
    side: Option<Side>,
    /// Left, upper, right and lower edge.
    edges: [f64; 4],
}

/// Reads `effusion:left:small@10,20,30,40|…` of a picture whose sides have so many pixels.
pub fn drawn(boxes: &str, pixels: f64) -> Option<Vec<Drawn>> {
    let one = |text: &str| {
        let (what, edges) = text.split_once('@')?;
        let mut words = what.split(':');
        let kind = words.next()?.to_owned();
        let side = words.find_map(|word| match word {
            "left" => Some(Side::Left),
            "right" => Some(Side::Right),
            _ => None,
        });
        let edges: Vec<f64> =
            edges.split(',').map(|edge| Some(edge.parse::<f64>().ok()? / pixels)).collect::<Option<_>>()?;
        Some(Drawn { kind, side, edges: edges.try_into().ok()? })
    };
    boxes.split('|').filter(|text| !text.is_empty()).map(one).collect()
}

impl Drawn {
    /// Whether a place lies in it or within a margin around it.
    fn holds(&self, [x, y]: [f64; 2], margin: f64) -> bool {
        let [left, top, right, bottom] = self.edges;
        (left - margin..=right + margin).contains(&x) && (top - margin..=bottom + margin).contains(&y)
    }
}

/// The map of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The sentence.
    pub text: String,
    /// The middle of its highest cell, across and down.
    pub peak: [f64; 2],
}

impl Map {
    /// Of the sentences of a row's `evidence`, in order.
    pub fn all(evidence: &Value) -> Option<Vec<Self>> {
        let number = |key: &str| evidence[key].as_f64();
        let (columns, lines) = (number("columns")?, number("lines")?);
        let (left, top, width, height) = (number("left")?, number("top")?, number("width")?, number("height")?);
        let map = |row: &Value| {
            let values: Vec<f64> = row["values"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
            let best = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))?;
            let (line, column) = (best / columns as usize, best % columns as usize);
            let within =
                |start: f64, length: f64, cell: usize, cells: f64| start + (cell as f64 + 0.5) / cells * length;
            let peak = [within(left, width, column, columns), within(top, height, line, lines)];
            Some(Self { text: row["text"].as_str()?.to_owned(), peak })
        };
        evidence["rows"].as_array()?.iter().map(map).collect()
    }
}

/// Hits among tries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    hits: usize,
    /// Tries.
    pub of: usize,
}

impl Count {
    fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }

    /// Hits over tries; 0 without any.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }
}

/// Of one kind of finding.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Images that show it.
    pub shown: usize,
    /// Peaks on the finding's side of the picture, where it has one side.
    pub on_side: Count,
    /// Peaks in a box that was drawn.
    pub in_box: Count,
    /// Peaks in a box as it was drawn, without a margin.
    pub within: Count,
    /// The picture's centre in one.
    pub centre: Count,
    /// Sum, over the same sentences, of the share of the picture that such boxes cover.
    pub chance: f64,
}

impl Tally {
    /// Counts an image: the first sentence that states the finding, if it is there on a side that the sentence names. What is
    /// not stated, or is not there, has no place to be held against.
    pub fn add(&mut self, kind: &Kind, maps: &[Map], drawn: &[Drawn]) {
        let there: Vec<&Drawn> = drawn.iter().filter(|its| its.kind == kind.name).collect();
        self.shown += usize::from(!there.is_empty());
        let Some(map) = maps.iter().find(|map| kind.is_stated_by(&map.text)) else { return };
        let sides = sides(&map.text);
        let there: Vec<&Drawn> = there.into_iter().filter(|its| its.side.is_some_and(|s| sides.contains(&s))).collect();
        let Some(first) = there.first() else { return };
        let hit = |place: [f64; 2]| there.iter().any(|its| its.holds(place, MARGIN));
        self.within.add(there.iter().any(|its| its.holds(map.peak, 0.0)));
        self.in_box.add(hit(map.peak));
        self.centre.add(hit([0.5, 0.5]));
        let trials = (0..TRIALS * TRIALS).map(|trial| [trial % TRIALS, trial / TRIALS]);
        let hits = trials.filter(|place| hit(place.map(|at| (at as f64 + 0.5) / TRIALS as f64))).count();
        self.chance += hits as f64 / (TRIALS * TRIALS) as f64;
        if there.iter().all(|its| its.side == first.side) {
            let found = map.peak[0].total_cmp(&0.5);
            self.on_side.add(match first.side {
                Some(Side::Right) => found.is_lt(),
                _ => found.is_gt(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_peak_is_held_against_what_is_stated_and_there() {
        let there = drawn("effusion:left:small@128,128,256,256|cardiomegaly@0,0,9,9", 256.0).expect("boxes");
        let evidence = |text: &str, values: [f64; 4]| {
            let all = json!({"columns": 2, "lines": 2, "left": 0.0, "top": 0.0, "width": 1.0, "height": 1.0,
                "rows": [{"row": 1, "text": "No effusion.", "values": values}, {"row": 2, "text": text, "values": values}]});
            Map::all(&all).expect("maps")
        };
        let mut tally = Tally::default();
        tally.add(&KINDS[0], &evidence("Small left pleural effusion.", [0.0, 0.1, 0.2, 3.7]), &there);
        assert_eq!((tally.on_side.share(), tally.in_box.share(), tally.shown), (1.0, 1.0, 1));
        assert!((tally.chance - 0.3164).abs() < 0.01, "{}", tally.chance);
        tally.add(&KINDS[0], &evidence("Small left pleural effusion.", [3.7, 0.1, 0.2, 0.0]), &there);
        assert_eq!((tally.on_side.of, tally.on_side.share(), tally.in_box.share()), (2, 0.5, 0.5));
        for claims_nothing in ["Small right pleural effusion.", "No left effusion.", "Cardiomegaly."] {
            tally.add(&KINDS[0], &evidence(claims_nothing, [0.0; 4]), &there);
        }
        assert_eq!((tally.in_box.of, tally.shown), (2, 5));
    }

    #[test]
    fn both_sides_have_no_side() {
        let there = drawn("effusion:left:small@128,0,256,256|effusion:right:small@0,0,9,9", 256.0).expect("boxes");
        let map = Map { text: "Bilateral effusions.".into(), peak: [0.9, 0.5] };
        let mut tally = Tally::default();
        tally.add(&KINDS[0], &[map], &there);
        assert_eq!((tally.on_side.of, tally.in_box.of), (0, 1));
    }
}
