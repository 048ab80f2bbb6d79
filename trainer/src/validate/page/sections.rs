//! The sections with tables, and how it was all measured.

use std::fmt::Write;

use super::super::findings::percent;
use super::super::likeness::SAME_PICTURE;
use super::super::shingles::NEARLY_THE_SAME;
use super::super::{Side, Validation};
use super::note;
use crate::plots::numbers::grouped;
use crate::plots::svg::escape;

/// Patients that are listed.
const PATIENTS: usize = 12;
/// Ids of one patient and part.
const IDS: usize = 8;

/// Rows that cannot be used, by cause.
pub fn rows(validation: &Validation) -> String {
    let counts = &validation.counts;
    if counts.left_out.is_empty() {
        return String::new();
    }
    let rows: String = counts
        .left_out
        .iter()
        .map(|cause| {
            let more = cause.count.saturating_sub(cause.examples.len());
            let more = if more > 0 { format!("; and {} more", grouped(more as u64)) } else { String::new() };
            format!(
                "<tr><th scope=\"row\">{}<small>{}</small></th><td>{}</td><td class=\"left\">{}{more}</td></tr>\n",
                escape(&cause.what.replacen("are ", "", 1).replacen("have ", "with ", 1)),
                escape(cause.hint),
                grouped(cause.count as u64),
                escape(&cause.examples.join("; "))
            )
        })
        .collect();
    format!(
        "<div class=\"frame\" tabindex=\"0\">\n<table class=\"causes\">\n<thead><tr><td></td><th scope=\"col\">How many</th>\
         <th scope=\"col\" class=\"left\">For example</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

/// Patients on more than one side, and patients who share pictures.
pub fn patients(validation: &Validation) -> String {
    let patients = &validation.patients;
    let mut html = String::new();
    if patients.named > 0 {
        let several: usize =
            patients.images_per_patient.iter().filter(|(images, _)| **images > 1).map(|(_, count)| count).sum();
        let tiles = [
            ("Patients", patients.named),
            ("… with more than one image", several),
            ("Most images of one patient", patients.most_images),
            ("Images without a patient", patients.studies_without),
        ];
        html.push_str("<dl class=\"facts tiles\">\n");
        for (name, count) in tiles {
            let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", grouped(count as u64));
        }
        html.push_str("</dl>\n");
    }
    if !patients.crossing.is_empty() {
        let _ = writeln!(html, "<h3>On more than one side ({})</h3>", grouped(patients.crossing.len() as u64));
        html.push_str(&note("One line per patient, with the ids of the images; patients are not named here."));
        html.push_str(
            "<div class=\"frame\" tabindex=\"0\">\n<table class=\"causes\">\n<thead><tr><td></td><th scope=\"col\" class=\"left\">Train</th>\
             <th scope=\"col\" class=\"left\">Validation</th><th scope=\"col\" class=\"left\">Test</th></tr></thead>\n<tbody>\n",
        );
        for (at, patient) in patients.crossing.iter().take(PATIENTS).enumerate() {
            let cell = |part: &str| patient.ids.get(part).map_or_else(|| "–".to_owned(), |ids| listed(ids));
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">patient {}</th><td class=\"left\">{}</td><td class=\"left\">{}</td><td class=\"left\">{}</td></tr>",
                at + 1,
                cell("train"),
                cell("validation"),
                cell("test")
            );
        }
        html.push_str("</tbody>\n</table>\n</div>\n");
        html.push_str(&more(patients.crossing.len(), "patients"));
    }
    if !patients.sharing.is_empty() {
        let _ = writeln!(
            html,
            "<h3>Different patients with the same picture ({})</h3>",
            grouped(patients.sharing.len() as u64)
        );
        html.push_str(
            "<div class=\"frame\" tabindex=\"0\">\n<table class=\"causes\">\n<thead><tr><td></td><th scope=\"col\" class=\"left\">Images of theirs that show it</th></tr></thead>\n<tbody>\n",
        );
        for sharing in patients.sharing.iter().take(PATIENTS) {
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{} patients</th><td class=\"left\">{}</td></tr>",
                sharing.patients,
                listed(&sharing.ids)
            );
        }
        html.push_str("</tbody>\n</table>\n</div>\n");
        html.push_str(&more(patients.sharing.len(), "groups"));
    }
    html
}

fn listed(ids: &[String]) -> String {
    let shown: Vec<String> = ids.iter().take(IDS).map(|id| escape(id)).collect();
    let more = if ids.len() > IDS { format!(" and {} more", ids.len() - IDS) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn more(all: usize, what: &str) -> String {
    match all.saturating_sub(PATIENTS) {
        0 => String::new(),
        more => note(&format!("And {} more {what}; validation.csv lists all of them.", grouped(more as u64))),
    }
}

/// How often each observation is reported.
pub fn observations(validation: &Validation) -> String {
    let reports = validation.texts.words.all.len().max(1);
    let width = |count: usize| count as f64 / reports as f64 * 100.0;
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    let rows: String = validation
        .observations
        .iter()
        .map(|one| {
            let shifted = if one.shifted { "<small class=\"alarm\">differs</small>" } else { "" };
            format!(
                "<tr><th scope=\"row\">{}{shifted}</th><td class=\"wide\"><span class=\"stack\" aria-hidden=\"true\"><i class=\"p\" style=\"width:{:.1}%\"></i>\
                 <i class=\"u\" style=\"width:{:.1}%\"></i><i class=\"n\" style=\"width:{:.1}%\"></i></span></td>\
                 <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                one.name,
                width(one.positive),
                width(one.uncertain),
                width(one.negative),
                grouped(one.positive as u64),
                grouped(one.uncertain as u64),
                grouped(one.negative as u64),
                share(one.in_training),
                share(one.in_validation)
            )
        })
        .collect();
    format!(
        "{}<ul class=\"legend\"><li><span class=\"key p\"></span>said to be there</li><li><span class=\"key u\"></span>said to be possible</li>\
         <li><span class=\"key n\"></span>said not to be there</li><li><span class=\"key\"></span>not mentioned</li></ul>\n\
         <div class=\"frame\" tabindex=\"0\">\n<table class=\"rank\">\n<thead><tr><td></td><td></td><th scope=\"col\">There</th><th scope=\"col\">Possible</th>\
         <th scope=\"col\">Not there</th><th scope=\"col\">There, training</th><th scope=\"col\">There, validation</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        note(validation.observation_reader)
    )
}

/// Images by view.
pub fn views(validation: &Validation) -> String {
    let Some(views) = &validation.views else { return String::new() };
    let most = views.iter().map(|view| view.images.iter().sum::<usize>()).max().unwrap_or(1).max(1);
    let rows: String = views
        .iter()
        .map(|view| {
            let all: usize = view.images.iter().sum();
            let name = if view.view.is_empty() { "(not named)".to_owned() } else { escape(&view.view) };
            let cell = |side: Side| grouped(view.images[side as usize] as u64);
            format!(
                "<tr><th scope=\"row\">{name}</th><td class=\"wide\"><span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{:.1}%\"></i></span></td>\
                 <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                all as f64 / most as f64 * 100.0,
                grouped(all as u64),
                cell(Side::Train),
                cell(Side::Validation),
                cell(Side::Test)
            )
        })
        .collect();
    format!(
        "<div class=\"frame\" tabindex=\"0\">\n<table class=\"rank\">\n<thead><tr><td></td><td></td><th scope=\"col\">Images</th><th scope=\"col\">Training</th>\
         <th scope=\"col\">Validation</th><th scope=\"col\">Test</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

/// How it was measured.
pub fn method(validation: &Validation) -> String {
    let facts = [
        ("Split", "Sides are those of a training with these settings on the whole data set: the table's `split` column where it names validation rows, else a draw by patient with dataset.SPLIT_SEED.".to_owned()),
        ("Identical images", "SHA-256 over the decoded grey pixels and the size, not over the file: the same picture saved twice is found whatever the format.".to_owned()),
        ("Nearly identical images", format!("A perceptual hash of 256 frequencies, each against the middle of this data set; images that agree in one of 16 bands are compared, and count as one picture when the fine structure of their 32 × 32 likenesses correlates by {SAME_PICTURE} or more. Cropped or turned copies are not found.")),
        ("Nearly identical reports", format!("Overlap of runs of three words (Jaccard) of {NEARLY_THE_SAME} or more; candidates by MinHash, 64 hashes in 16 bands.")),
        ("Grey values", "Histograms of 64 bins in which each image counts alike; the Wasserstein-1 distance of training and validation, and of 40 random splits by patient.".to_owned()),
        ("Images that stand apart", "Mean or deviation of the grey values more than 3.5 robust standard deviations from the median; a negative correlation with the mean of all images looks inverted, one about zero looks unlike the others.".to_owned()),
        ("Time", format!("{:.1} seconds on {} threads.", validation.seconds, validation.threads)),
    ];
    let items: String =
        facts.iter().map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(text))).collect();
    format!("<section>\n<h2>How this was measured</h2>\n<dl class=\"method\">\n{items}</dl>\n</section>\n")
}
