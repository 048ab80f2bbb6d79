//! Where sentences end.

/// The sentences of a report, without white space around them and without their full stop; what holds no letter is none.
///
/// A sentence ends at `.` `!` `?` `;` or a line break; a point inside a number (`1.5 cm`) or after a list number (`1.`)
/// ends none.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end(rest);
            let (sentence, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.trim_start_matches(is_end);
            let sentence = sentence.trim();
            if sentence.chars().any(char::is_alphabetic) {
                return Some(sentence);
            }
        }
        None
    })
}

fn is_end(letter: char) -> bool {
    matches!(letter, '.' | '!' | '?' | ';' | '\n' | '\r')
}

/// The byte at which the first sentence of `text` ends.
fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    text.char_indices().filter(|(_, letter)| is_end(*letter)).map(|(at, _)| at).find(|&at| {
        if bytes[at] != b'.' {
            return true;
        }
        let digit_before = at > 0 && bytes[at - 1].is_ascii_digit();
        let digit_after = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let list_number = digit_before && text[..at].trim_start().bytes().all(|byte| byte.is_ascii_digit());
        !(digit_before && digit_after || list_number)
    })
}

/// Lower case, runs of white space as one space: what two sentences must share to count as one.
pub fn folded(sentence: &str) -> String {
    let mut folded = String::with_capacity(sentence.len());
    for word in sentence.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<&str> {
        split(text).collect()
    }

    #[test]
    fn numbers_and_lists_do_not_end_a_sentence() {
        assert_eq!(sentences("A 1.5 cm nodule. No effusion."), ["A 1.5 cm nodule", "No effusion"]);
        assert_eq!(sentences("1. Clear lungs. 2. Normal heart."), ["1. Clear lungs", "2. Normal heart"]);
        assert_eq!(
            sentences("Heart normal; lungs clear\nNo effusion?"),
            ["Heart normal", "lungs clear", "No effusion"]
        );
    }

    #[test]
    fn odd_texts_do_no_harm() {
        assert_eq!(sentences(""), [""; 0]);
        assert_eq!(sentences("... !? ;"), [""; 0]);
        assert_eq!(sentences("Épanchement… à gauche. ŵ"), ["Épanchement… à gauche", "ŵ"]);
        assert_eq!(folded("  Clear \n LUNGS "), "clear lungs");
    }
}
