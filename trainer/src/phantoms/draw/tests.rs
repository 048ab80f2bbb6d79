//! Whether findings show on the film, where and how they should.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::observation::{Device, Zone};
use super::*;

const SIZE: u32 = 128;

/// The same person, pose and exposure, with these findings.
fn film(findings: &Findings, seed: u64) -> Phantom {
    let anatomy = Anatomy::sample(&mut ChaCha8Rng::seed_from_u64(seed));
    draw(findings, &anatomy, SIZE, &mut ChaCha8Rng::seed_from_u64(seed + 1000))
}

fn mean(image: &GrayImage, [x0, y0, x1, y1]: [u32; 4]) -> f64 {
    let sum: f64 = (y0..y1).flat_map(|y| (x0..x1).map(move |x| f64::from(image.get_pixel(x, y).0[0]))).sum();
    sum / f64::from((x1 - x0) * (y1 - y0))
}

/// How much brighter the finding makes the upper `part` of its own box, and the mirror image of that.
fn change(findings: &Findings, part: f32, seed: u64) -> (f64, f64) {
    let (with, without) = (film(findings, seed), film(&Findings::default(), seed));
    let [FindingBox { x0, y0, x1, y1, .. }] = with.boxes[..] else { panic!("one box: {:?}", with.boxes) };
    let y1 = y0 + ((y1 - y0) as f32 * part) as u32;
    let change = |area| mean(&with.image, area) - mean(&without.image, area);
    (change([x0, y0, x1, y1]), change([SIZE - x1, y0, SIZE - x0, y1]))
}

#[track_caller]
fn shows_on_its_side(findings: &Findings, part: f32, least: f64) {
    for seed in 0..20 {
        let (own, mirrored) = change(findings, part, seed);
        assert!(own * least.signum() > least.abs(), "seed {seed}: {own} in the box of {findings:?}");
        assert!(own.abs() > 3.0 * mirrored.abs(), "seed {seed}: {own}, mirrored {mirrored}: {findings:?}");
    }
}

#[test]
fn findings_show_where_their_boxes_say_and_not_on_the_other_side() {
    for place in Location::all() {
        shows_on_its_side(&Findings { consolidations: [place].into(), ..Findings::default() }, 1.0, 10.0);
        shows_on_its_side(&Findings { nodule: Some(place), ..Findings::default() }, 1.0, 15.0);
    }
    for side in Side::ALL {
        for (size, least) in [(EffusionSize::Small, 5.0), (EffusionSize::Large, 15.0)] {
            shows_on_its_side(&Findings { effusions: [(side, size)].into(), ..Findings::default() }, 1.0, least);
        }
        // Darker where the lung has left the apex; further down it is denser instead.
        shows_on_its_side(&Findings { pneumothorax: Some(side), ..Findings::default() }, 0.2, -2.0);
    }
}

#[test]
fn an_enlarged_heart_and_devices_show() {
    for seed in 0..20 {
        let enlarged = Findings { cardiomegaly: true, ..Findings::default() };
        assert!(change(&enlarged, 1.0, seed).0 > 10.0, "seed {seed}");
        for device in Device::ALL {
            let findings = Findings { devices: [device].into(), ..Findings::default() };
            assert!(change(&findings, 1.0, seed).0 > 1.0, "seed {seed}: {device:?}");
        }
    }
}

#[test]
fn zones_lie_one_below_the_other() {
    for side in Side::ALL {
        for seed in 0..20 {
            let centre = |zone| {
                let findings = Findings { nodule: Some(Location { side, zone }), ..Findings::default() };
                let [one] = film(&findings, seed).boxes[..] else { panic!("one box") };
                u32::midpoint(one.y0, one.y1)
            };
            let [upper, mid, lower] = Zone::ALL.map(centre);
            assert!(upper + 12 < mid && mid + 12 < lower, "{side:?}: {upper} {mid} {lower}");
        }
    }
}

#[test]
fn a_large_effusion_reaches_higher_than_a_small_one() {
    for side in Side::ALL {
        for seed in 0..20 {
            let top = |size| {
                let findings = Findings { effusions: [(side, size)].into(), ..Findings::default() };
                film(&findings, seed).boxes[0].y0
            };
            assert!(top(EffusionSize::Large) + 15 < top(EffusionSize::Small), "{side:?}, seed {seed}");
        }
    }
}
