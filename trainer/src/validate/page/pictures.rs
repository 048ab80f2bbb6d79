//! The sections that show images.

use std::fmt::Write;

use super::super::exposure::Outlier;
use super::super::repeats::ImageGroup;
use super::super::thumbnails::Thumbnails;
use super::super::{Looked, Validation};
use super::note;
use crate::data::Study;
use crate::page::base64;
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// Images shown at the top, spread evenly over the data set.
const SAMPLES: usize = 12;
/// Groups of each kind of repeated images.
const GROUPS: usize = 12;
/// Images of one group.
const MEMBERS: usize = 3;
/// Images of each way to stand apart.
const OUTLIERS: usize = 7;

/// Which images the page shows.
pub struct Chosen {
    samples: Vec<usize>,
    /// Positions in the list of outliers.
    outliers: Vec<usize>,
    pictures: Vec<usize>,
}

impl Chosen {
    pub fn of(looked: &Looked) -> Self {
        let readable = &looked.readable;
        let shown = SAMPLES.min(readable.len());
        let samples: Vec<usize> = (0..shown).map(|at| readable[at * readable.len() / shown]).collect();
        let validation = &looked.validation;
        let mut outliers: Vec<usize> = Vec::new();
        for (at, outlier) in validation.outliers.iter().enumerate() {
            let same = outliers.iter().filter(|&&other| validation.outliers[other].oddity == outlier.oddity).count();
            if same < OUTLIERS {
                outliers.push(at);
            }
        }
        let repeated = &validation.repeated_images;
        let groups = [&repeated.identical, &repeated.near, &repeated.mirrored]
            .into_iter()
            .flat_map(|groups| groups.iter().take(GROUPS));
        let mut pictures = samples.clone();
        pictures.extend(outliers.iter().map(|&at| validation.outliers[at].study));
        pictures.extend(groups.flat_map(|group| group.studies.iter().take(MEMBERS)));
        Self { samples, outliers, pictures }
    }

    /// Every study whose picture is needed.
    pub fn pictures(&self) -> Vec<usize> {
        self.pictures.clone()
    }
}

fn picture(study: usize, id: &str, pictures: &Thumbnails) -> String {
    match pictures.get(&study) {
        Some(jpeg) => {
            format!("<img src=\"data:image/jpeg;base64,{}\" alt=\"Image {}\">", base64::encode(jpeg), escape(id))
        }
        None => "<div class=\"no-picture\">no picture</div>".to_owned(),
    }
}

/// A first look at the data.
pub fn samples(studies: &[Study], chosen: &Chosen, pictures: &Thumbnails) -> String {
    if chosen.samples.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<section>\n<h2>A first look</h2>\n{}<div class=\"strip\">\n",
        note(&format!(
            "{} of the images with the beginning of their reports, spread evenly over the data set.",
            chosen.samples.len()
        ))
    );
    for &study in &chosen.samples {
        let Study { id, text, .. } = &studies[study];
        let _ = writeln!(
            html,
            "<figure>{}<figcaption><b>{}</b><span class=\"excerpt\">{}</span></figcaption></figure>",
            picture(study, id, pictures),
            escape(id),
            escape(&beginning(text, 180))
        );
    }
    html.push_str("</div>\n</section>\n");
    html
}

/// The first `letters` of a text, cut at a word.
pub fn beginning(text: &str, letters: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(letters) else { return text.to_owned() };
    let cut = text[..end].rfind(char::is_whitespace).unwrap_or(end);
    format!("{} …", text[..cut].trim_end())
}

/// Groups of repeated images.
pub fn repeated(validation: &Validation, studies: &[Study], pictures: &Thumbnails) -> String {
    let repeated = &validation.repeated_images;
    let parts = [
        (
            "Identical",
            "Their decoded pixels and sizes are equal; the files may differ in format or in what they say beside the pixels.",
            &repeated.identical,
        ),
        (
            "Nearly the same picture",
            "Re-encoded, resized, or with other brightness or contrast: the same exposure all the same.",
            &repeated.near,
        ),
        ("Mirrored", "One is the other with left and right swapped. Only one can be right.", &repeated.mirrored),
    ];
    let mut html = String::new();
    for (title, explanation, groups) in parts {
        if groups.is_empty() {
            continue;
        }
        let _ = write!(
            html,
            "<h3>{title} ({})</h3>\n{}<div class=\"groups\">\n",
            grouped(groups.len() as u64),
            note(explanation)
        );
        for group in groups.iter().take(GROUPS) {
            html.push_str(&group_card(group, studies, pictures));
        }
        html.push_str("</div>\n");
        if groups.len() > GROUPS {
            html.push_str(&note(&format!(
                "And {} more groups; validation.csv lists all of them.",
                grouped((groups.len() - GROUPS) as u64)
            )));
        }
    }
    html
}

fn group_card(group: &ImageGroup, studies: &[Study], pictures: &Thumbnails) -> String {
    let mut facts = vec![format!("{} images", group.studies.len())];
    if group.patients > 1 {
        facts.push(format!("<span class=\"alarm\">{} patients</span>", group.patients));
    }
    if group.reports > 1 {
        facts.push(format!("<span class=\"alarm\">{} different reports</span>", group.reports));
    } else {
        facts.push("one report".to_owned());
    }
    if group.across_sides {
        facts.push("<span class=\"alarm\">trained on and held out</span>".to_owned());
    }
    if group.correlation < 1.0 {
        facts.push(format!("correlation {:.3}", group.correlation));
    }
    let mut html = format!("<div class=\"group\"><p>{}</p><div class=\"row\">", facts.join(" · "));
    for &study in group.studies.iter().take(MEMBERS) {
        let id = &studies[study].id;
        let _ =
            write!(html, "<figure>{}<figcaption>{}</figcaption></figure>", picture(study, id, pictures), escape(id));
    }
    html.push_str("</div>");
    if group.studies.len() > MEMBERS {
        let _ = write!(html, "<p class=\"small\">and {} more</p>", group.studies.len() - MEMBERS);
    }
    html.push_str("</div>\n");
    html
}

/// Images that stand apart.
pub fn outliers(validation: &Validation, chosen: &Chosen, pictures: &Thumbnails) -> String {
    if chosen.outliers.is_empty() {
        return String::new();
    }
    let mut html = String::from("<div class=\"strip\">\n");
    for &at in &chosen.outliers {
        let Outlier { study, id, oddity, mean, deviation, .. } = &validation.outliers[at];
        let _ = writeln!(
            html,
            "<figure>{}<figcaption><b>{}</b><br>{}<br>mean {mean:.0}, deviation {deviation:.0} of 255</figcaption></figure>",
            picture(*study, id, pictures),
            oddity.words(),
            escape(id)
        );
    }
    html.push_str("</div>\n");
    let more = validation.outliers.len() - chosen.outliers.len();
    if more > 0 {
        html.push_str(&note(&format!("And {} more; validation.csv lists all of them.", grouped(more as u64))));
    }
    html
}
