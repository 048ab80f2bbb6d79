//! An error as the programs print it.

use std::error::Error;

/// The message of `error` and those of its causes, but nothing twice: most messages quote their cause themselves.
pub fn message(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text += ": ";
            text += &said;
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Said {
        said: &'static str,
        source: Option<Box<Said>>,
    }

    fn chain(words: &[&'static str]) -> Option<Box<Said>> {
        let (&said, rest) = words.split_first()?;
        Some(Box::new(Said { said, source: chain(rest) }))
    }

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let told = |words: &[&'static str]| message(&*chain(words).expect("at least one"));
        assert_eq!(told(&["not saved", "cannot write `a`", "disk full"]), "not saved: cannot write `a`: disk full");
        assert_eq!(
            told(&["cannot write `a`: disk full\nhint: make room", "disk full"]),
            "cannot write `a`: disk full\nhint: make room"
        );
    }
}
