//! The result in plain words.

use std::fmt::Write;

/// How good the news is; chooses the colour of the verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// The model beats its controls.
    Good,
    /// It beats some of them.
    #[default]
    Mixed,
    /// It is no better than a text that never looked at the image.
    Bad,
}

/// The verdict: one sentence, and the figures behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How good the news is.
    pub tone: Tone,
    /// The sentence.
    pub headline: String,
    /// The figures behind it.
    pub detail: String,
}

/// What a verdict rests on. All shares lie in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerdictScores {
    /// Number of images.
    pub images: u64,
    /// Micro-F1 of the observations: the model.
    pub model_f1: f64,
    /// The same of the best report that is given to every image.
    pub constant_f1: f64,
    /// The same of the model when every image got the report of another.
    pub shuffled_f1: f64,
    /// Of the sided findings that were reported, the share on the right side; `None` where the
    /// data names no sides.
    pub laterality: Option<f64>,
}

/// Says what the scores mean. A lead counts when it is greater than 1/√images, about two standard
/// errors of a share in the worst case, and at least 0.02.
pub fn verdict(scores: &VerdictScores) -> Verdict {
    let margin = (1.0 / (scores.images.max(1) as f64).sqrt()).max(0.02);
    let beats_constant = scores.model_f1 - scores.constant_f1 > margin;
    let looks = scores.model_f1 - scores.shuffled_f1 > margin;
    let (tone, headline) = match (beats_constant, looks) {
        (true, true) if scores.laterality.is_some_and(|share| share < 0.75) => {
            (Tone::Mixed, "The model looks at the image, but it often confuses left and right.")
        }
        (true, true) => (Tone::Good, "The model looks at the image, and clearly beats reports that do not."),
        (false, true) => (Tone::Mixed, "The model looks at the image, but one fixed text for everyone scores as well."),
        (true, false) => {
            (Tone::Mixed, "The model beats a fixed text, but swapping the images hardly changes its score.")
        }
        (false, false) => (Tone::Bad, "The model is no better than one fixed text: it has not learned to look."),
    };
    let mut detail = format!(
        "Observation micro-F1 is {:.2} over {} images; the best constant report reaches {:.2}, and the \
         model's own reports dealt to the wrong images {:.2}.",
        scores.model_f1, scores.images, scores.constant_f1, scores.shuffled_f1
    );
    if let Some(share) = scores.laterality {
        let _ = write!(detail, " Where it names a side, the side is right in {:.0} % of the cases.", share * 100.0);
    }
    Verdict { tone, headline: headline.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: VerdictScores =
        VerdictScores { images: 400, model_f1: 0.91, constant_f1: 0.31, shuffled_f1: 0.33, laterality: Some(0.99) };

    #[test]
    fn each_control_that_is_not_beaten_lowers_the_verdict() {
        assert_eq!(verdict(&GOOD).tone, Tone::Good);
        let blind = VerdictScores { shuffled_f1: 0.9, ..GOOD };
        assert_eq!(verdict(&blind).tone, Tone::Mixed);
        let constant = VerdictScores { constant_f1: 0.9, ..GOOD };
        assert_eq!(verdict(&constant).tone, Tone::Mixed);
        let neither = VerdictScores { shuffled_f1: 0.9, ..constant };
        assert_eq!(verdict(&neither).tone, Tone::Bad);
        let sideless = VerdictScores { laterality: Some(0.5), ..GOOD };
        assert_eq!(verdict(&sideless).tone, Tone::Mixed);
    }

    #[test]
    fn a_lead_on_few_images_does_not_count() {
        let few = VerdictScores { images: 9, model_f1: 0.6, ..GOOD };
        assert_eq!(verdict(&few).tone, Tone::Bad);
        let many = VerdictScores { images: 900, ..few };
        assert_eq!(verdict(&many).tone, Tone::Good);
    }

    #[test]
    fn a_score_that_is_no_number_beats_nothing() {
        let broken = VerdictScores { model_f1: f64::NAN, ..GOOD };
        assert_eq!(verdict(&broken).tone, Tone::Bad);
    }
}
