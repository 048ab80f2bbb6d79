//! What was found, in plain sentences: one for each section of the page, with what to do about it.

use serde::Serialize;

use super::{Validation, exposure::Oddity};
use crate::plots::numbers::grouped;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// The data cannot be used as they are.
    Error,
    /// Training works, and its figures will mislead or its texts suffer.
    Warning,
    /// Good to know.
    Note,
    /// As it should be.
    Fine,
}

/// The sections of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Rows and images that can be used.
    Rows,
    /// Patients and the split.
    Patients,
    /// The same picture more than once.
    Images,
    /// Reports that are repeated.
    Reports,
    /// Lengths of reports.
    Length,
    /// Words and tokens.
    Vocabulary,
    /// Sentences.
    Sentences,
    /// Observations.
    Observations,
    /// Sizes and files.
    Sizes,
    /// Grey values.
    Grey,
    /// Images that stand apart.
    Outliers,
    /// Views.
    Views,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub section: Section,
    /// How grave it is.
    pub gravity: Gravity,
    /// What was found, one plain sentence.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub to_do: String,
}

/// A finding for each section, in the order of the page.
pub fn all(validation: &Validation) -> Vec<Finding> {
    use Section::{
        Grey, Images, Length, Observations, Outliers, Patients, Reports, Rows, Sentences, Sizes, Views, Vocabulary,
    };
    let say = |section, (gravity, found, to_do): Said| Finding { section, gravity, found, to_do: to_do.to_owned() };
    vec![
        say(Rows, rows(validation)),
        say(Patients, patients(validation)),
        say(Images, images(validation)),
        say(Reports, reports(validation)),
        say(Length, length(validation)),
        say(Vocabulary, vocabulary(validation)),
        say(Sentences, sentences(validation)),
        say(Observations, observations(validation)),
        say(Sizes, sizes(validation)),
        say(Grey, grey(validation)),
        say(Outliers, outliers(validation)),
        say(Views, views(validation)),
    ]
}

type Said = (Gravity, String, &'static str);

/// `1 image is`, `12 images are`: the words for one and for many, with the number.
fn number(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count as u64), if count == 1 { one } else { many })
}

/// A share as people say it.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 10.0 {
        format!("{percent:.0}\u{a0}%")
    } else if percent >= 0.1 {
        format!("{percent:.1}\u{a0}%")
    } else {
        "less than 0.1\u{a0}%".to_owned()
    }
}

fn rows(validation: &Validation) -> Said {
    let counts = &validation.counts;
    let left_out = validation.left_out();
    if left_out > 0 {
        let found = format!(
            "{} of {} cannot be used, because text or image is missing or unreadable.",
            grouped(left_out as u64),
            number(counts.rows, "row", "rows")
        );
        return (Gravity::Error, found, "Mend or remove the rows listed below; training passes over them in any case.");
    }
    let found = format!("All {} have a report and a readable image.", number(counts.rows, "row", "rows"));
    if counts.unused_images > 0 {
        let unused = number(counts.unused_images, "image has no row", "images have no row");
        return (
            Gravity::Note,
            format!("{found} {unused} in the table."),
            "Add their reports if there are any, or leave them out.",
        );
    }
    (Gravity::Fine, found, "")
}

fn patients(validation: &Validation) -> Said {
    let patients = &validation.patients;
    let crossing = patients.crossing.len();
    if crossing > 0 {
        return (
            Gravity::Error,
            format!(
                "{} on more than one side of the split: what a model learnt about them by heart would count as skill.",
                number(crossing, "patient has images", "patients have images")
            ),
            "Give all images of a patient the same value in the `split` column, or remove the column: then XREPORT splits by patient.",
        );
    }
    if !patients.sharing.is_empty() {
        let names: usize = patients.sharing.iter().map(|sharing| sharing.patients).sum();
        return (
            Gravity::Warning,
            format!(
                "{names} patients share pictures with one another, so some of them are probably one person under two names."
            ),
            "Check the names of these images; as long as they differ, the split may put one person on both sides.",
        );
    }
    if patients.named == 0 {
        return (
            Gravity::Warning,
            "The table names no patients, so images of one person may be trained on and tested on.".to_owned(),
            "Add a `patient` column: the split then keeps the images of a patient together.",
        );
    }
    let named = number(patients.named, "patient", "patients");
    if patients.studies_without > 0 {
        let without = number(patients.studies_without, "image names", "images name");
        return (
            Gravity::Warning,
            format!("{named} are kept on one side each, but {without} no patient."),
            "Fill the `patient` column: an image without a patient is split on its own.",
        );
    }
    (Gravity::Fine, format!("Each of {named} is on one side of the split only."), "")
}

fn images(validation: &Validation) -> Said {
    let repeated = &validation.repeated_images;
    let (identical, near, mirrored) = (&repeated.identical, &repeated.near, &repeated.mirrored);
    if identical.is_empty() && near.is_empty() && mirrored.is_empty() {
        return (Gravity::Fine, "Every image shows another picture.".to_owned(), "");
    }
    let mut found = Vec::new();
    if !identical.is_empty() {
        let images: usize = identical.iter().map(|group| group.ids.len()).sum();
        let groups = number(identical.len(), "group", "groups");
        found.push(format!(
            "{} are identical to another one, pixel for pixel ({groups})",
            number(images, "image", "images")
        ));
    }
    if !near.is_empty() {
        found.push(format!("{} nearly the same picture", number(near.len(), "group shows", "groups show")));
    }
    if !mirrored.is_empty() {
        found.push(format!("{} each other's mirror image", number(mirrored.len(), "group is", "groups are")));
    }
    let across = identical.iter().chain(near).filter(|group| group.across_sides).count();
    if across > 0 {
        found.push(format!(
            "{} both trained on and held out",
            number(across, "of these groups is", "of these groups are")
        ));
    }
    let mut found = found.join("; ");
    found.push('.');
    (
        Gravity::Warning,
        found,
        "Keep one image of each group, or give the group one patient; a mirrored image has left and right swapped: remove it.",
    )
}

fn reports(validation: &Validation) -> Said {
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

fn length(validation: &Validation) -> Said {
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

fn vocabulary(validation: &Validation) -> Said {
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

fn sentences(validation: &Validation) -> Said {
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

fn observations(validation: &Validation) -> Said {
    let shifted: Vec<&str> = validation.observations.iter().filter(|one| one.shifted).map(|one| one.name).collect();
    let named = validation.observations.iter().filter(|one| one.name != "No Finding");
    let seen = named.clone().filter(|one| one.positive > 0).count();
    let rare = named.clone().filter(|one| (1..20).contains(&one.positive)).count();
    let known = validation.observations.len() - 1;
    let mut found = format!("The reports claim {seen} of the {known} observations looked for");
    if rare > 0 {
        found.push_str(&format!(", {rare} of them in fewer than 20 reports: too few to learn from or to measure"));
    }
    found.push('.');
    if shifted.is_empty() {
        let gravity = if rare > 0 { Gravity::Note } else { Gravity::Fine };
        return (gravity, found, if rare > 0 { "Do not quote figures for the rare ones." } else { "" });
    }
    found.push_str(&format!(" More or less frequent in validation than in training: {}.", shifted.join(", ")));
    (
        Gravity::Warning,
        found,
        "Check how the split was made: training and validation should come from the same patients' mix.",
    )
}

fn sizes(validation: &Validation) -> Said {
    let shapes = &validation.shapes;
    let images = validation.counts.usable;
    if images == 0 {
        return (Gravity::Error, "No image could be read.".to_owned(), "See the rows above.");
    }
    let [height, width] = shapes.input;
    let most = shapes.sizes.first().map_or((0, 0, 0), |&size| size);
    let mut found = if shapes.sizes.len() == 1 {
        format!("All images have {} × {} pixels.", most.0, most.1)
    } else {
        format!(
            "The images have {} sizes, from {} to {} pixels wide and {} to {} high.",
            grouped(shapes.sizes.len() as u64),
            shapes.width[0],
            shapes.width[1],
            shapes.height[0],
            shapes.height[1]
        )
    };
    if shapes.few_levels > 0 {
        let few = number(shapes.few_levels, "image uses", "images use");
        found.push_str(&format!(" {few} fewer than 64 grey levels: detail was lost before they came here."));
    }
    if shapes.enlarged > 0 {
        let share = percent(shapes.enlarged as f64 / images as f64);
        found.push_str(&format!(
            " {share} of them are smaller than the model's input of {width} × {height} and are enlarged."
        ));
        return (
            Gravity::Note,
            found,
            "Enlarging adds no detail; take larger originals if there are any, or a smaller model.IMG_SHAPE.",
        );
    }
    if shapes.few_levels > 0 {
        return (Gravity::Note, found, "Export them again from the source, if it is at hand.");
    }
    (Gravity::Fine, found, "")
}

fn grey(validation: &Validation) -> Said {
    let intensity = &validation.intensity;
    let (Some(distance), Some(chance)) = (intensity.distance, intensity.distance_by_chance) else {
        return (Gravity::Note, "There are no two sides to compare.".to_owned(), "");
    };
    let far = format!("{distance:.1} of 255 grey values");
    if distance > chance.max(1.0) {
        return (
            Gravity::Warning,
            format!(
                "Training and validation images differ in their grey values by {far} on average; by chance it would be {chance:.1} at most."
            ),
            "Look for another scanner, another export or other borders on one side: a model may learn that instead of the findings.",
        );
    }
    (
        Gravity::Fine,
        format!(
            "Training and validation images are alike in their grey values: they differ by {far}, no more than by chance (up to {chance:.1})."
        ),
        "",
    )
}

fn outliers(validation: &Validation) -> Said {
    let outliers = &validation.outliers;
    if outliers.is_empty() {
        return (Gravity::Fine, "No image stands apart in brightness, contrast or general look.".to_owned(), "");
    }
    let kinds = [Oddity::Blank, Oddity::Inverted, Oddity::Dark, Oddity::Bright, Oddity::Flat, Oddity::Unlike];
    let counted: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| {
            let count = outliers.iter().filter(|outlier| outlier.oddity == kind).count();
            (count > 0).then(|| format!("{count} {}", kind.words()))
        })
        .collect();
    let found = format!(
        "{} from the others: {}.",
        number(outliers.len(), "image stands apart", "images stand apart"),
        counted.join(", ")
    );
    let grave = outliers.iter().any(|outlier| matches!(outlier.oddity, Oddity::Blank | Oddity::Inverted));
    let gravity = if grave { Gravity::Warning } else { Gravity::Note };
    (
        gravity,
        found,
        "Look at them: blank and inverted ones should go or be exported again, other views and other body parts should go.",
    )
}

fn views(validation: &Validation) -> Said {
    let Some(views) = &validation.views else {
        return (
            Gravity::Note,
            "The table has no `view` column, so frontal and lateral images cannot be told apart.".to_owned(),
            "Add a `view` column (PA, AP, LATERAL) if you know it.",
        );
    };
    let count = |holds: &dyn Fn(&super::shape::ViewCount) -> bool| -> usize {
        views.iter().filter(|view| holds(view)).map(|view| view.images.iter().sum::<usize>()).sum()
    };
    let all = count(&|_| true).max(1);
    let (lateral, unknown) = (count(&super::shape::ViewCount::is_lateral), count(&|view| view.view.is_empty()));
    let mut found = format!(
        "The table names {}",
        number(views.iter().filter(|view| !view.view.is_empty()).count(), "view", "views")
    );
    if lateral > 0 {
        found.push_str(&format!("; {} of the images are lateral", percent(lateral as f64 / all as f64)));
    }
    if unknown > 0 {
        found.push_str(&format!("; {} of them name none", grouped(unknown as u64)));
    }
    found.push('.');
    if lateral > 0 {
        return (
            Gravity::Note,
            found,
            "A model for frontal images learns better without lateral ones, unless each report names the view that it describes.",
        );
    }
    (Gravity::Fine, found, "")
}
