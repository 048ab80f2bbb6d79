//! The labeller of real reports ([`crate::observations`]) on phantom reports, whose truth is known.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{EffusionSize, Findings, Kind, Observation, Side, report};
use crate::observations::{Grade, Label, Labelled, Observation as Label14, Sides, read};

/// What says in CheXpert's terms that a kind is there. A drawn consolidation may be called an airspace opacity.
fn said(kind: Kind) -> &'static [Label14] {
    match kind {
        Kind::Cardiomegaly => &[Label14::Cardiomegaly],
        Kind::Effusion => &[Label14::PleuralEffusion],
        Kind::Pneumothorax => &[Label14::Pneumothorax],
        Kind::Consolidation => &[Label14::Consolidation, Label14::LungOpacity],
        Kind::Nodule => &[Label14::LungLesion],
        Kind::SupportDevice => &[Label14::SupportDevices],
    }
}

/// Sides of the positive mentions of a kind.
fn sides(labelled: &Labelled, kind: Kind) -> Sides {
    let mut sides = Sides::default();
    for mention in &labelled.mentions {
        if mention.label == Label::Positive && said(kind).contains(&mention.observation) {
            sides.left |= mention.sides.left;
            sides.right |= mention.sides.right;
        }
    }
    sides
}

fn drawn_sides(drawn: &BTreeSet<Observation>, kind: Kind) -> Sides {
    let has = |side| drawn.iter().any(|one| one.kind() == kind && one.side() == Some(side));
    Sides { left: has(Side::Left), right: has(Side::Right) }
}

#[test]
fn labels_read_from_phantom_reports_are_what_was_drawn() {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let (mut right, mut all, mut right_sides, mut all_sides, mut right_sizes, mut all_sizes) = (0, 0, 0, 0, 0, 0);
    let mut examples = Vec::new();
    for _ in 0..5000 {
        let findings = Findings::sample(&mut rng);
        let text = report::write(&findings, &mut rng);
        let (drawn, labelled) = (findings.observations(), read(&text));
        for kind in Kind::ALL {
            let there = drawn.iter().any(|one| one.kind() == kind);
            let claimed = said(kind).iter().any(|&one| labelled.label(one) == Some(Label::Positive));
            all += 1;
            right += usize::from(there == claimed);
            if there != claimed && examples.len() < 5 {
                examples.push(format!("{kind:?} drawn: {there}, read: {claimed}: {text}"));
            }
            if there && claimed && kind.is_sided() {
                all_sides += 1;
                let agrees = sides(&labelled, kind) == drawn_sides(&drawn, kind);
                right_sides += usize::from(agrees);
                if !agrees && examples.len() < 5 {
                    examples.push(format!("sides of {kind:?}: {:?}: {text}", sides(&labelled, kind)));
                }
            }
        }
        if let [(_, size)] = findings.effusions.iter().collect::<Vec<_>>()[..] {
            let mut grades = labelled.mentions.iter().filter(|one| one.observation == Label14::PleuralEffusion);
            let read = grades.find_map(|one| one.grade);
            let expected = if *size == EffusionSize::Small { Grade::Small } else { Grade::Large };
            all_sizes += 1;
            right_sizes += usize::from(read == Some(expected));
        }
    }
    let share = |right: usize, all: usize| right as f64 / all as f64;
    let shares = [share(right, all), share(right_sides, all_sides), share(right_sizes, all_sizes)];
    println!("kinds, sides, sizes: {shares:?} of {all}, {all_sides}, {all_sizes}");
    assert!(shares.iter().all(|&share| share >= 0.99), "{shares:?}\n{}", examples.join("\n"));
}
