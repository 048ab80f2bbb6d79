use super::tokens;

fn check(text: &str, expected: &str) {
    assert_eq!(tokens(text).join(" "), expected, "{text:?}");
}

/// The expected tokens are what `edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase` (CoreNLP 3.4.1) makes
/// of these texts, without pycocoevalcap's punctuation.
#[test]
fn peculiar_words_become_the_tokens_of_the_original() {
    check(
        "The heart (mildly enlarged) is 1.5 cm x 2 cm; see note: \"normal\".",
        "the heart -lrb- mildly enlarged -rrb- is 1.5 cm x 2 cm see note normal",
    );
    check("No effusion/pneumothorax. T12-L1 a/b/c/d", "no effusion/pneumothorax t12-l1 a/b/c / d");
    check("Don't can't cannot patient's lungs' It'S", "do n't ca n't can not patient 's lungs it 's");
    check(
        "5mm 3.2cm 1.5x2.5 120/80mmHg 37.9C 8-1/2 786.2,786.07",
        "5mm 3.2 cm 1.5 x2 .5 120/80mmhg 37.9 c 8-1/2 786.2,786.07",
    );
    check("normal.The 3.There L1.5 x-ray.the post-op/pre-op", "normal.the 3 there l1 .5 x-ray the post-op/pre-op");
    check("10-20 10–20 -5 2+3 1.0-4.5 12:30-13:00 5%", "10-20 10 20 -5 2 +3 1.0-4 .5 12:30 -13:00 5 %");
    check(
        "in the lung mass. Mass. General. seen by Dr. A. B. Smith at 5 p.m. The end.",
        "in the lung mass mass. general seen by dr. a. b. smith at 5 p.m. the end",
    );
    check("Fig. 3 and Fig. one, No. 2, no. lungs", "fig. 3 and fig one no. 2 no lungs");
    check("seen on J. The lungs, on J. Lungs, type I.", "seen on j the lungs on j. lungs type i.");
    check("?! ??? ? .... -- — – ___ ** <br> <5 &amp; &lt;", "?! ??? ___ ** <br> < 5 & <");
    check(
        "O'Brien d'Ivoire o'clock '90s '28 R&D A&E a@b.c #tag http://x.y/z.",
        "o'brien d'ivoire o'clock '90s '28 r&d a&e a@b.c #tag http://x.y/z",
    );
    check("½ 2½ ±5 5°C µg “quoted” can’t €5", "1/2 2 1/2 ± 5 5 ° c µg quoted ca n't $ 5");
}

#[test]
fn any_text_is_taken() {
    check("", "");
    check(" \n\t ", "");
    check(".", "");
    check("Normal", "normal");
    check("胸部正常。 Übergröße café рентген 😀", "胸部正常 。 übergröße café рентген");
    check("'", "");
    check("a'", "a");
    check("-", "");
    check("<", "<");
    check("&", "&");
    check("@", "@");
    check("\u{0}a\u{feff}b\u{200b}c", "a b c");
    let long = "x".repeat(100_000);
    check(&long, &long);
    for odd in ["a%", "<a ", "&", "a.", "'", "-", "1/", "a'", "@a", "http://"] {
        let _ = tokens(&odd.repeat(100_000));
    }
}
