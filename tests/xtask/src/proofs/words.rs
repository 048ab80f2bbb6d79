//! The words after a proof's name: `--option VALUE` and `--switch`.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// The options that were given, by name.
#[derive(Debug, Default)]
pub struct Words {
    given: Vec<(String, Option<String>)>,
}

impl Words {
    /// Reads `arguments`; `valued` and `switches` are the options that the proof `name` knows, with their dashes.
    pub fn parse(name: &str, arguments: &[String], valued: &[&str], switches: &[&str]) -> Result<Self> {
        let mut words = Self::default();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            let value = if valued.contains(&word.as_str()) {
                Some(rest.next().with_context(|| format!("`{word}` wants a value"))?.clone())
            } else if switches.contains(&word.as_str()) {
                None
            } else {
                let known: Vec<_> = valued.iter().chain(switches).copied().collect();
                let known = if known.is_empty() { "no options".to_owned() } else { known.join(", ") };
                bail!("`{name}` does not know `{word}`\nhint: it takes {known}");
            };
            words.given.push((word.clone(), value));
        }
        Ok(words)
    }

    /// Whether the switch was given.
    pub fn has(&self, switch: &str) -> bool {
        self.given.iter().any(|(name, _)| name == switch)
    }

    /// The last value of `option`, as typed.
    pub fn text(&self, option: &str) -> Option<&str> {
        self.given.iter().rev().find(|(name, _)| name == option)?.1.as_deref()
    }

    /// The Python interpreter that `--python` names. Proofs run programs from folders of their own: a path is made whole.
    pub fn python(&self) -> Result<Option<String>> {
        let Some(named) = self.text("--python") else { return Ok(None) };
        if !named.contains('/') {
            return Ok(Some(named.to_owned()));
        }
        let whole = std::path::absolute(named).with_context(|| format!("`--python {named}` is no path"))?;
        Ok(Some(whole.to_str().context("the path of `--python` is not UTF-8")?.to_owned()))
    }

    /// The last value of `option` as a number, or `default`.
    pub fn number<T: FromStr>(&self, option: &str, default: T) -> Result<T> {
        self.text(option).map_or(Ok(default), |text| {
            text.parse().ok().with_context(|| format!("`{option}` wants a number, found `{text}`"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart_and_unknown_ones_refused() {
        let parse = |text: &str| {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            Words::parse("slim", &words, &["--rounds"], &["--shared"])
        };
        let words = parse("--rounds 3 --shared --rounds 4").expect("valid");
        assert_eq!(words.number("--rounds", 5).expect("a number"), 4);
        assert!(words.has("--shared"));
        assert_eq!(parse("").expect("valid").number("--rounds", 5).expect("the default"), 5);
        assert!(parse("--rounds x").expect("read later").number("--rounds", 5).is_err());
        for wrong in ["--rounds", "--round 3", "3"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
