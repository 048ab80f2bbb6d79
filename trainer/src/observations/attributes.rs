//! Side and size of what a sentence names.

use super::words::Word;
use super::{Grade, Sides};

/// What stands around a mention.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    pub sides: Sides,
    pub grade: Option<Grade>,
    pub millimetres: Option<f32>,
}

/// Part one mention's words from those of the next.
const BOUNDARIES: [&str; 9] = [",", ";", "and", "or", "with", "but", "without", "no", ":"];

/// Attributes of the mention at `from..to`; `earliest` and `latest` are the ends of its neighbours. Words before it
/// count up to a boundary, words behind it up to the next mention.
pub(super) fn of(words: &[Word<'_>], from: usize, to: usize, earliest: usize, latest: usize) -> Attributes {
    let start = (earliest..from).rev().find(|&at| words[at].is_any(&BOUNDARIES) && !joins_sides(words, at));
    let start = start.map_or(earliest, |at| at + 1);
    let end = (to..latest).find(|&at| words[at].is_any(&[";", "but", "without", "no"])).unwrap_or(latest);
    // Words before the next mention are its own where a boundary parts them.
    let end = if latest < words.len() {
        (to..end).rev().find(|&at| words[at].is_any(&BOUNDARIES)).unwrap_or(end)
    } else {
        end
    };
    let mut found = Attributes::default();
    for range in [start..from, from..to, to..end] {
        for at in range {
            found.sides.join(sides(words, at));
            found.grade = found.grade.or(grade(words[at]));
            let measured = millimetres(words, at);
            if measured > found.millimetres {
                found.millimetres = measured;
            }
        }
    }
    found
}

/// "left and right", "small left and a large right": both belong to what follows.
fn joins_sides(words: &[Word<'_>], at: usize) -> bool {
    let near = |range: std::ops::Range<usize>| words[range].iter().any(|word| word.is_any(&["left", "right"]));
    words[at].is_any(&["and", "or"]) && near(at.saturating_sub(2)..at) && near(at + 1..words.len().min(at + 4))
}

fn sides(words: &[Word<'_>], at: usize) -> Sides {
    let heart = words
        .get(at + 1)
        .is_some_and(|next| next.is_any(&["heart", "atrium", "atrial"]) || next.text.starts_with("ventric"));
    match words[at].text {
        "left" if !heart => Sides { left: true, right: false },
        "right" if !heart => Sides { left: false, right: true },
        "lingula" | "lingular" => Sides { left: true, right: false },
        "bilateral" | "bilaterally" | "bibasilar" | "bibasal" | "biapical" | "both" | "bases" | "apices" => {
            Sides { left: true, right: true }
        }
        _ => Sides::default(),
    }
}

fn grade(word: Word<'_>) -> Option<Grade> {
    match word.text {
        "trace" | "tiny" | "minimal" | "minimally" | "small" | "slight" | "slightly" | "mild" | "mildly" | "minor"
        | "minute" | "subtle" | "little" => Some(Grade::Small),
        "moderate" | "moderately" => Some(Grade::Moderate),
        "large" | "massive" | "severe" | "severely" | "marked" | "markedly" | "extensive" | "huge" | "big" => {
            Some(Grade::Large)
        }
        _ => None,
    }
}

/// The measure that ends at the unit `words[at]`: "1.5 cm", "2 x 3 cm" has its first number too.
fn millimetres(words: &[Word<'_>], at: usize) -> Option<f32> {
    let scale = match words[at].text {
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => 10.0,
        "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => 1.0,
        _ => return None,
    };
    let number = |at: usize| words.get(at).and_then(|word| word.text.parse::<f32>().ok()).filter(|n| n.is_finite());
    let last = number(at.checked_sub(1)?)?;
    let by = at >= 3 && words[at - 2].is_any(&["x", "by"]);
    let first = if by { number(at - 3) } else { None };
    Some(first.map_or(last, |first| first.max(last)) * scale)
}
