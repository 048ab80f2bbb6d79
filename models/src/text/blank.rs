//! Texts without a token.

use tokenizers::normalizers::BertNormalizer;
use tokenizers::{NormalizedString, Normalizer as _};

/// Whether a text has no token: it is empty, or holds nothing but white space and what the tokenizer of uncased BERT drops
/// (control characters, soft hyphens and other format characters, U+FFFD, combining marks on their own).
///
/// Whatever else stands in a text becomes a token, if only `[UNK]`. The rules are the tokenizer's own: its normalizer is
/// asked, so that no second list of characters can drift from it.
pub fn is_blank(text: &str) -> bool {
    // Nearly every text ends here.
    if text.bytes().any(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let mut normalized = NormalizedString::from(text);
    match BertNormalizer::default().normalize(&mut normalized) {
        Ok(()) => normalized.get().chars().all(char::is_whitespace),
        Err(_) => text.chars().all(char::is_whitespace),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::bert;
    use super::*;

    /// The judgement is the tokenizer's: a text is blank where nothing stands between its first and its last token.
    #[test]
    fn a_text_is_blank_where_the_tokenizer_finds_no_token() {
        let tokenizer = bert();
        let blank = [
            "",
            " ",
            "\r\n\t",
            "\u{a0}\u{3000}\u{2028}",
            "\u{200b}",
            "\u{ad}",
            "\u{feff}\u{200e}\u{200d}",
            "\0\u{1}\u{7f}",
        ];
        let blank = blank.into_iter().chain(["\u{fffd}\u{fffd}", "\u{301}", " \u{ad} \u{300}", "\u{e000}"]);
        let spoken = ["a", "-", "\u{ad}a", "é", "胸", "🫁", "٣", "…", "\u{200b}.", "[SEP]"];
        for (text, expected) in blank.map(|text| (text, true)).chain(spoken.map(|text| (text, false))) {
            assert_eq!(is_blank(text), expected, "{text:?}");
            assert_eq!(tokenizer.encode(text).unwrap().len() == 2, expected, "{text:?}");
        }
        for letter in (0..0x3100).chain(0xe000..0x1_0100).filter_map(char::from_u32) {
            let text = letter.to_string();
            assert_eq!(is_blank(&text), tokenizer.encode(&text).unwrap().len() == 2, "{letter:?}");
        }
    }
}
