//! Sizes, depths and formats of the image files, and the views that the table names.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Side;
use super::scan::ImageFacts;
use crate::data::{Further, Study};

/// Grey levels below which an image has lost some on its way: 8 bits hold 256.
const FEW_LEVELS: u32 = 64;

/// Sizes, depths and formats.
#[derive(Debug, Clone, Serialize)]
pub struct Shapes {
    /// Smallest and largest width in pixels.
    pub width: [u32; 2],
    /// Smallest and largest height in pixels.
    pub height: [u32; 2],
    /// Sizes as (width, height, images), the most frequent first.
    pub sizes: Vec<(u32, u32, usize)>,
    /// Input of the model, height and width: model.IMG_SHAPE.
    pub input: [usize; 2],
    /// Images smaller than that input in both directions: they are enlarged.
    pub enlarged: usize,
    /// Images more than twice as long as wide, or as wide as long.
    pub elongated: usize,
    /// Kinds of files, the most frequent first.
    pub files: Vec<FileKind>,
    /// Images that use fewer than 64 grey levels, blank ones left out.
    pub few_levels: usize,
    /// Images of more than 8 bits that use no more than 256 grey levels.
    pub empty_depth: usize,
}

/// A kind of image file.
#[derive(Debug, Clone, Serialize)]
pub struct FileKind {
    /// Format, such as `PNG`.
    pub format: &'static str,
    /// Bits per sample in the file.
    pub bits: Option<u8>,
    /// Whether it has colour channels.
    pub colour: bool,
    /// Images.
    pub images: usize,
}

/// One view with its images by side.
#[derive(Debug, Clone, Serialize)]
pub struct ViewCount {
    /// As in the table, in capitals; empty for rows that name none.
    pub view: String,
    /// Images to train on, of the validation, and of the test.
    pub images: [usize; 3],
}

/// Looks at sizes and files. `input` is (height, width) of the model.
pub fn look(images: &[(usize, ImageFacts)], input: [usize; 2]) -> Shapes {
    let mut sizes: HashMap<(u32, u32), usize> = HashMap::new();
    let mut files: BTreeMap<_, usize> = BTreeMap::new();
    for (_, facts) in images {
        *sizes.entry((facts.width, facts.height)).or_default() += 1;
        *files.entry(facts.encoding).or_default() += 1;
    }
    let mut sizes: Vec<_> = sizes.into_iter().map(|((width, height), count)| (width, height, count)).collect();
    sizes.sort_unstable_by_key(|&(width, height, count)| (std::cmp::Reverse(count), width, height));
    let mut files: Vec<FileKind> = files
        .into_iter()
        .map(|(kind, images)| FileKind { format: kind.format, bits: kind.bits, colour: kind.colour, images })
        .collect();
    files.sort_by_key(|kind| std::cmp::Reverse(kind.images));
    let range = |values: &mut dyn Iterator<Item = u32>| {
        values.fold([u32::MAX, 0], |[least, most], value| [least.min(value), most.max(value)])
    };
    let count = |holds: &dyn Fn(&ImageFacts) -> bool| images.iter().filter(|(_, facts)| holds(facts)).count();
    Shapes {
        width: range(&mut sizes.iter().map(|size| size.0)),
        height: range(&mut sizes.iter().map(|size| size.1)),
        input,
        // With the aspect ratio kept, an image that is as large in one direction is not enlarged.
        enlarged: count(&|facts| (facts.width as usize) < input[1] && (facts.height as usize) < input[0]),
        elongated: count(&|facts| {
            let (width, height) = (f64::from(facts.width), f64::from(facts.height));
            width > 2.0 * height || height > 2.0 * width
        }),
        few_levels: count(&|facts| facts.levels > 1 && facts.levels < FEW_LEVELS),
        empty_depth: count(&|facts| facts.levels <= 256 && facts.encoding.bits.is_some_and(|bits| bits > 8)),
        sizes,
        files,
    }
}

/// Counts the views of the table, the most frequent first; `None` where it has no such column.
pub fn views(view: Option<&Further>, studies: &[Study], sides: &[Side]) -> Option<Vec<ViewCount>> {
    let view = view?;
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for (study, side) in studies.iter().zip(sides) {
        let name = view.get(&study.id).map(str::to_uppercase).unwrap_or_default();
        counts.entry(name).or_default()[*side as usize] += 1;
    }
    let mut views: Vec<ViewCount> = counts.into_iter().map(|(view, images)| ViewCount { view, images }).collect();
    views.sort_by_key(|view| (view.view.is_empty(), std::cmp::Reverse(view.images.iter().sum::<usize>())));
    Some(views)
}

impl ViewCount {
    /// Whether it is a view from the side.
    pub fn is_lateral(&self) -> bool {
        matches!(
            self.view.as_str(),
            "L" | "LL" | "RL" | "LAT" | "LATERAL" | "LLAT" | "RLAT" | "LEFT LATERAL" | "RIGHT LATERAL"
        )
    }
}
