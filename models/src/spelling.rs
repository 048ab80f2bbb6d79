//! Names that look alike and are not: one spelling for `é`, however it is written, and words for the difference where one
//! is left.
//!
//! Unicode writes `é` as one character (U+00E9) or as `e` with an accent behind it (U+0065 U+0301). macOS, some archives
//! and some databases use the second form; keyboards and spreadsheets the first. Ids are compared in the composed form,
//! NFC (Unicode Standard Annex #15).

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in its composed form.
pub fn composed(text: &str) -> Cow<'_, str> {
    if is_nfc_quick(text.chars()) == IsNormalized::Yes { Cow::Borrowed(text) } else { text.nfc().collect() }
}

/// Both names for a message, and how they differ where they look alike:
/// `` `é.png` and `é.png` (they look alike: U+00E9 in the first is U+0065 U+0301 in the second) ``.
pub fn both(first: &str, second: &str) -> String {
    let names = format!("`{first}` and `{second}`");
    if first == second || look(first) != look(second) {
        return names;
    }
    let (one, other) = differing(first, second);
    format!("{names} (they look alike: {} in the first is {} in the second)", code_points(&one), code_points(&other))
}

/// What a name looks like: without characters that are not seen, all spaces alike.
fn look(name: &str) -> String {
    let seen = |letter: &char| !matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    let space = |letter: char| if letter.is_whitespace() { ' ' } else { letter };
    name.nfkc().filter(seen).map(space).collect()
}

/// What is left of both names without what they begin and end with alike.
fn differing(first: &str, second: &str) -> (Vec<char>, Vec<char>) {
    let (mut one, mut other): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
    while one.last().is_some_and(|letter| other.last() == Some(letter)) {
        one.pop();
        other.pop();
    }
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    (one.split_off(same), other.split_off(same))
}

fn code_points(letters: &[char]) -> String {
    const SHOWN: usize = 4;
    if letters.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<_> = letters.iter().take(SHOWN).map(|&letter| format!("U+{:04X}", u32::from(letter))).collect();
    let more = if letters.len() > SHOWN { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_one_form() {
        assert_eq!(composed("e\u{301}"), "\u{e9}");
        assert!(matches!(composed("M\u{fc}ller 胸部"), Cow::Borrowed(_)));
        // Hangul and a letter with two accents.
        assert_eq!(composed("\u{1112}\u{1161}\u{11ab} o\u{323}\u{302}"), "\u{d55c} \u{1ed9}");
    }

    #[test]
    fn two_names_that_look_alike_are_told_apart() {
        let told = both("\u{e9}.png", "e\u{301}.png");
        assert!(told.ends_with("(they look alike: U+00E9 in the first is U+0065 U+0301 in the second)"), "{told}");
        assert!(both("a b", "a\u{a0}b").contains("U+0020 in the first is U+00A0 in the second"));
        assert!(both("ab", "a\u{200b}b").contains("nothing in the first is U+200B in the second"));
        assert_eq!(both("a.png", "b.png"), "`a.png` and `b.png`");
        assert_eq!(both("a.png", "a.png"), "`a.png` and `a.png`");
    }
}
