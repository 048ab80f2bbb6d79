//! What is said of the images.

use std::fmt::Write as _;

use super::super::Validation;
use super::super::exposure::Oddity;
use super::super::shape::ViewCount;
use super::{Gravity, Said, number, percent};
use crate::plots::numbers::grouped;

pub(super) fn images(validation: &Validation) -> Said {
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

pub(super) fn sizes(validation: &Validation) -> Said {
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
        let _ = write!(found, " {few} fewer than 64 grey levels: detail was lost before they came here.");
    }
    if shapes.enlarged > 0 {
        let share = percent(shapes.enlarged as f64 / images as f64);
        let _ = write!(
            found,
            " {share} of them are smaller than the model's input of {width} × {height} and are enlarged."
        );
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

pub(super) fn grey(validation: &Validation) -> Said {
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

pub(super) fn outliers(validation: &Validation) -> Said {
    let outliers = &validation.outliers;
    if outliers.is_empty() {
        return (Gravity::Fine, "No image stands apart in brightness, contrast or general look.".to_owned(), "");
    }
    let kinds = [
        Oddity::Blank,
        Oddity::GreyRange,
        Oddity::Inverted,
        Oddity::Dark,
        Oddity::Bright,
        Oddity::Flat,
        Oddity::Unlike,
    ];
    let counted: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| {
            let count = outliers.iter().filter(|outlier| outlier.oddity == kind).count();
            (count > 0).then(|| format!("{count} {}", kind.words()))
        })
        .collect();
    let found = format!(
        "{} from what is usual: {}.",
        number(outliers.len(), "image stands apart", "images stand apart"),
        counted.join(", ")
    );
    let grave =
        outliers.iter().any(|outlier| matches!(outlier.oddity, Oddity::Blank | Oddity::GreyRange | Oddity::Inverted));
    let gravity = if grave { Gravity::Warning } else { Gravity::Note };
    (
        gravity,
        found,
        "Look at them: blank and inverted ones, and those with hardly any grey values (often stored with fewer bits than their files say), should go or be exported again, other views and other body parts should go.",
    )
}

pub(super) fn views(validation: &Validation) -> Said {
    let Some(views) = &validation.views else {
        return (
            Gravity::Note,
            "The table has no `view` column, so frontal and lateral images cannot be told apart.".to_owned(),
            "Add a `view` column (PA, AP, LATERAL) if you know it.",
        );
    };
    let count = |holds: &dyn Fn(&ViewCount) -> bool| -> usize {
        views.iter().filter(|view| holds(view)).map(|view| view.images.iter().sum::<usize>()).sum()
    };
    let all = count(&|_| true).max(1);
    let (lateral, unknown) = (count(&ViewCount::is_lateral), count(&|view| view.view.is_empty()));
    let mut found = format!(
        "The table names {}",
        number(views.iter().filter(|view| !view.view.is_empty()).count(), "view", "views")
    );
    if lateral > 0 {
        let _ = write!(found, "; {} of the images are lateral", percent(lateral as f64 / all as f64));
    }
    if unknown > 0 {
        let _ = write!(found, "; {} of them name none", grouped(unknown as u64));
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
