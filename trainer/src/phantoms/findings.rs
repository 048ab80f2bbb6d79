//! What a phantom shows: the truth that drawing and report both start from.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::observation::{Device, EffusionSize, Kind, Observation, Side, Zone};

/// Share of phantoms without any finding.
pub const NORMAL_SHARE: f64 = 0.3;

/// A place in a lung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Which lung.
    pub side: Side,
    /// Which third of it.
    pub zone: Zone,
}

impl Location {
    /// All six places.
    pub fn all() -> impl Iterator<Item = Self> {
        Side::ALL.into_iter().flat_map(|side| Zone::ALL.map(|zone| Self { side, zone }))
    }
}

/// Exactly what is drawn on one phantom. [`Findings::default`] is a normal chest.
///
/// [`Findings::sample`] never combines what would hide each other: a pneumothorax shares its side with
/// no effusion and no upper-zone lesion, an effusion with no lower-zone lesion, a pacemaker generator
/// with nothing in the left upper zone, and a lung third holds one lesion at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Enlarged heart.
    pub cardiomegaly: bool,
    /// Pleural effusions by side.
    pub effusions: BTreeMap<Side, EffusionSize>,
    /// Pneumothorax, on one side at most.
    pub pneumothorax: Option<Side>,
    /// Consolidations, at most one in each place.
    pub consolidations: BTreeSet<Location>,
    /// A single nodule.
    pub nodule: Option<Location>,
    /// Support devices.
    pub devices: BTreeSet<Device>,
}

/// Kinds with their weight in the draw: the ones with many places more often, so that each label gets
/// its share of the samples.
const KIND_WEIGHTS: [(Kind, f64); 6] = [
    (Kind::Cardiomegaly, 0.13),
    (Kind::Effusion, 0.20),
    (Kind::Pneumothorax, 0.13),
    (Kind::Consolidation, 0.20),
    (Kind::Nodule, 0.20),
    (Kind::SupportDevice, 0.14),
];

impl Findings {
    /// Draws findings: 30 % of the time none, otherwise one to three kinds of finding.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let mut findings = Self::default();
        if rng.random_bool(NORMAL_SHARE) {
            return findings;
        }
        let roll: f64 = rng.random();
        let wanted = if roll < 0.48 {
            1
        } else if roll < 0.83 {
            2
        } else {
            3
        };
        for kind in sample_kinds(wanted, rng) {
            findings.add(kind, rng);
        }
        findings
    }

    /// Adds one finding of a kind where there is room for it.
    fn add(&mut self, kind: Kind, rng: &mut impl Rng) {
        match kind {
            Kind::Cardiomegaly => {
                // A large effusion on the left would hide the very border that is to be seen.
                if self.effusions.get(&Side::Left) != Some(&EffusionSize::Large) {
                    self.cardiomegaly = true;
                }
            }
            Kind::Effusion => self.add_effusions(rng),
            Kind::Pneumothorax => {
                let free: Vec<Side> = Side::ALL.into_iter().filter(|&side| self.has_room_for_air(side)).collect();
                self.pneumothorax = free.choose(rng).copied();
            }
            Kind::Consolidation => {
                let wanted = if rng.random_bool(0.25) { 2 } else { 1 };
                self.consolidations.extend(sample_some(self.free_locations(), wanted, rng));
            }
            Kind::Nodule => self.nodule = self.free_locations().choose(rng).copied(),
            Kind::SupportDevice => {
                let wanted = if rng.random_bool(0.2) { 2 } else { 1 };
                let free: Vec<Device> = Device::ALL
                    .into_iter()
                    .filter(|&device| device != Device::Pacemaker || self.has_room_for_generator())
                    .collect();
                self.devices.extend(sample_some(free, wanted, rng));
            }
        }
    }

    fn add_effusions(&mut self, rng: &mut impl Rng) {
        let free: Vec<Side> = Side::ALL.into_iter().filter(|&side| self.has_room_for_fluid(side)).collect();
        let wanted = if rng.random_bool(0.22) { 2 } else { 1 };
        for side in sample_some(free, wanted, rng) {
            let may_be_large = side == Side::Right || !self.cardiomegaly;
            let large = may_be_large && rng.random_bool(0.5);
            let size = if large { EffusionSize::Large } else { EffusionSize::Small };
            self.effusions.insert(side, size);
        }
    }

    fn lesions(&self) -> impl Iterator<Item = Location> + '_ {
        self.consolidations.iter().copied().chain(self.nodule)
    }

    fn has_lesion(&self, side: Side, zone: Zone) -> bool {
        self.lesions().any(|lesion| lesion == Location { side, zone })
    }

    fn has_room_for_air(&self, side: Side) -> bool {
        let under_generator = side == Side::Left && self.devices.contains(&Device::Pacemaker);
        !under_generator && !self.effusions.contains_key(&side) && !self.has_lesion(side, Zone::Upper)
    }

    fn has_room_for_fluid(&self, side: Side) -> bool {
        self.pneumothorax != Some(side) && !self.has_lesion(side, Zone::Lower)
    }

    fn has_room_for_generator(&self) -> bool {
        self.pneumothorax != Some(Side::Left) && !self.has_lesion(Side::Left, Zone::Upper)
    }

    fn free_locations(&self) -> Vec<Location> {
        Location::all()
            .filter(|&Location { side, zone }| {
                let hidden = match zone {
                    Zone::Upper => {
                        self.pneumothorax == Some(side)
                            || (side == Side::Left && self.devices.contains(&Device::Pacemaker))
                    }
                    Zone::Mid => false,
                    Zone::Lower => self.effusions.contains_key(&side),
                };
                !hidden && !self.has_lesion(side, zone)
            })
            .collect()
    }

    /// Whether nothing is drawn.
    pub fn is_normal(&self) -> bool {
        *self == Self::default()
    }

    /// The drawn observations, all of them complete.
    pub fn observations(&self) -> BTreeSet<Observation> {
        let mut all = BTreeSet::new();
        if self.cardiomegaly {
            all.insert(Observation::Cardiomegaly);
        }
        for (&side, &size) in &self.effusions {
            all.insert(Observation::Effusion { side: Some(side), size: Some(size) });
        }
        if let Some(side) = self.pneumothorax {
            all.insert(Observation::Pneumothorax { side: Some(side) });
        }
        for &Location { side, zone } in &self.consolidations {
            all.insert(Observation::Consolidation { side: Some(side), zone: Some(zone) });
        }
        if let Some(Location { side, zone }) = self.nodule {
            all.insert(Observation::Nodule { side: Some(side), zone: Some(zone) });
        }
        for &device in &self.devices {
            all.insert(Observation::SupportDevice { device: Some(device) });
        }
        all
    }
}

/// Draws `wanted` different kinds by their weights.
fn sample_kinds(wanted: usize, rng: &mut impl Rng) -> Vec<Kind> {
    let mut open = KIND_WEIGHTS.to_vec();
    let mut kinds = Vec::with_capacity(wanted);
    while kinds.len() < wanted {
        let total: f64 = open.iter().map(|&(_, weight)| weight).sum();
        let mut roll = total * rng.random::<f64>();
        let index = open.iter().position(|&(_, weight)| {
            roll -= weight;
            roll < 0.0
        });
        // Rounding may leave a hair's breadth beyond the last weight.
        kinds.push(open.remove(index.unwrap_or(open.len() - 1)).0);
    }
    kinds
}

/// Draws up to `wanted` of `all`, each at most once.
fn sample_some<T>(mut all: Vec<T>, wanted: usize, rng: &mut impl Rng) -> Vec<T> {
    let wanted = wanted.min(all.len());
    all.partial_shuffle(rng, wanted);
    // `partial_shuffle` leaves its choice at the end.
    all.split_off(all.len() - wanted)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn many(count: usize) -> Vec<Findings> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        (0..count).map(|_| Findings::sample(&mut rng)).collect()
    }

    #[test]
    fn prevalences_leave_enough_of_every_label_in_four_thousand() {
        let drawn = many(4000);
        let normal = drawn.iter().filter(|findings| findings.is_normal()).count();
        assert!((1120..=1280).contains(&normal), "{normal} normal phantoms");
        for observation in Observation::all() {
            let count = drawn.iter().filter(|f| f.observations().contains(&observation)).count();
            assert!(count >= 100, "{observation}: only {count} of 4000");
        }
    }

    #[test]
    fn nothing_hides_anything() {
        for findings in many(4000) {
            if let Some(side) = findings.pneumothorax {
                assert!(!findings.effusions.contains_key(&side), "{findings:?}");
                assert!(!findings.has_lesion(side, Zone::Upper), "{findings:?}");
            }
            for &side in findings.effusions.keys() {
                assert!(!findings.has_lesion(side, Zone::Lower), "{findings:?}");
            }
            let lesions: BTreeSet<Location> = findings.lesions().collect();
            assert_eq!(lesions.len(), findings.lesions().count(), "{findings:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_findings() {
        assert_eq!(many(50), many(50));
        assert_eq!(Findings::default().observations(), BTreeSet::new());
    }
}
