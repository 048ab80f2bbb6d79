//! What is said of the reports.

use std::fmt::Write as _;

use super::super::Validation;
use super::{Gravity, Said, number, percent};
use crate::observations::Observation;
use crate::plots::numbers::grouped;

pub(super) fn reports(validation: &Validation) -> Said {
    let repeats = &validation.texts.repeats;
    let rows = validation.texts.words.all.len();
    let share = repeats.repeated_reports as f64 / rows.max(1) as f64;
    let labelled = validation.text_sources.contains_key("label");
    if repeats.repeated_reports == 0 && repeats.near_groups.is_empty() {
        return (Gravity::Fine, "No report stands twice.".to_owned(), "");
    }
    let near = match repeats.near_groups.len() {
        0 => String::new(),
        near => format!(" {} of different reports are nearly the same.", number(near, "group", "groups")),
    };
    let found = format!(
        "{} of the reports ({} of {}) stand on more than one row, word for word: there are {} different texts.{near}",
        percent(share),
        grouped(repeats.repeated_reports as u64),
        grouped(rows as u64),
        grouped(repeats.distinct as u64),
    );
    if labelled {
        return (
            Gravity::Note,
            found,
            "These texts are made from labels, so they repeat by design; figures on word overlap mean nothing here.",
        );
    }
    if share < 0.05 {
        return (Gravity::Note, found, "So few repeats do no harm; see whether those below are meant.");
    }
    (
        Gravity::Warning,
        found,
        "Check whether these are copied notes or templates: a model learns the most frequent text first, and a score \
         against repeated texts flatters it. Views of one study may share a report if they share a patient.",
    )
}

pub(super) fn length(validation: &Validation) -> Said {
    let texts = &validation.texts;
    let rows = texts.tokens.all.len().max(1);
    let share = texts.cut_reports as f64 / rows as f64;
    let held = format!("MAX_REPORT_SIZE = {}", texts.max_report_size);
    if texts.cut_reports == 0 {
        let found = format!(
            "Every report fits into {held} tokens; half of them have {} or fewer, the longest {}.",
            texts.tokens.median, texts.tokens.most
        );
        return (Gravity::Fine, found, "");
    }
    let found = format!(
        "{} of the reports ({}) are longer than {held} tokens and lose their end; the longest has {}.",
        percent(share),
        grouped(texts.cut_reports as u64),
        grouped(u64::from(texts.tokens.most))
    );
    if share < 0.02 {
        return (
            Gravity::Note,
            found,
            "This is little; a larger dataset.MAX_REPORT_SIZE would keep them whole, and training takes longer.",
        );
    }
    (
        Gravity::Warning,
        found,
        "Raise dataset.MAX_REPORT_SIZE to the size that the table below names, or shorten the reports: the impression often stands at the end.",
    )
}

pub(super) fn vocabulary(validation: &Validation) -> Said {
    let vocabulary = &validation.texts.vocabulary;
    let used = format!("The reports use {} different tokens", grouped(vocabulary.distinct_tokens as u64));
    let unknown = vocabulary.unknown_to_tokenizer;
    if unknown > 0.005 {
        let found =
            format!("{used}; {} of all tokens are unknown to the tokenizer and become [UNK].", percent(unknown));
        return (
            Gravity::Warning,
            found,
            "Look for characters that are no English text: broken encodings, symbols, another language.",
        );
    }
    let unseen = vocabulary.unseen_in_training.unwrap_or(0.0);
    let found = match vocabulary.unseen_in_training {
        Some(0.0) => format!("{used}, and the training reports have every one that the validation reports use."),
        Some(unseen) => format!(
            "{used}, and {} of the tokens in the validation reports stand in no training report: a model cannot write them.",
            percent(unseen)
        ),
        None => format!("{used}."),
    };
    if unseen > 0.01 {
        return (
            Gravity::Note,
            found,
            "More reports, or VOCABULARY = full in the settings, which embeds all tokens but learns nothing about those it never sees.",
        );
    }
    (Gravity::Fine, found, "")
}

pub(super) fn sentences(validation: &Validation) -> Said {
    let sentences = &validation.texts.sentences;
    let found = format!(
        "The reports are made of {} sentences, {} of them different; {} of all sentences also stand in another report.",
        grouped(sentences.count),
        grouped(sentences.distinct as u64),
        percent(sentences.repeated_share)
    );
    let most = sentences.frequent.first().map_or(0, |sentence| sentence.reports as usize);
    if most * 2 > validation.texts.words.all.len() && most > 1 {
        return (
            Gravity::Note,
            found,
            "One sentence stands in more than half of the reports: compare every score with that of a constant report.",
        );
    }
    (Gravity::Fine, found, "")
}

pub(super) fn observations(validation: &Validation) -> Said {
    let shifted: Vec<&str> =
        validation.observations.iter().filter(|one| one.shifted).map(|one| one.name.name()).collect();
    let named = validation.observations.iter().filter(|one| one.name != Observation::NoFinding);
    let seen = named.clone().filter(|one| one.positive > 0).count();
    let rare = named.clone().filter(|one| (1..20).contains(&one.positive)).count();
    let known = validation.observations.len() - 1;
    let mut found = format!("The reports claim {seen} of the {known} observations looked for");
    if rare > 0 {
        let _ = write!(found, ", {rare} of them in fewer than 20 reports: too few to learn from or to measure");
    }
    found.push('.');
    if shifted.is_empty() {
        let gravity = if rare > 0 { Gravity::Note } else { Gravity::Fine };
        return (gravity, found, if rare > 0 { "Do not quote figures for the rare ones." } else { "" });
    }
    let _ = write!(found, " More or less frequent in validation than in training: {}.", shifted.join(", "));
    (
        Gravity::Warning,
        found,
        "Check how the split was made: training and validation should come from the same patients' mix.",
    )
}
