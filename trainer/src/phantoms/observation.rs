//! What can be seen on a phantom, as small typed values with one canonical spelling each.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A side of the patient. On a frontal film the patient's left lies on the image's right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The patient's right, the image's left.
    Right,
    /// The patient's left, the image's right.
    Left,
}

impl Side {
    /// Both sides, right first.
    pub const ALL: [Self; 2] = [Self::Right, Self::Left];

    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
        }
    }

    /// The word used in reports and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }
}

/// A third of a lung, counted from the apex down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// From the apex to the upper hilum.
    Upper,
    /// At the height of the hilum.
    Mid,
    /// Below the hilum, above the diaphragm.
    Lower,
}

impl Zone {
    /// All zones, from the top down.
    pub const ALL: [Self; 3] = [Self::Upper, Self::Mid, Self::Lower];

    /// The word used in reports and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Mid => "mid",
            Self::Lower => "lower",
        }
    }
}

/// How much pleural fluid there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffusionSize {
    /// Blunts the costophrenic angle.
    Small,
    /// Fills a third to a half of the hemithorax.
    Large,
}

impl EffusionSize {
    /// Both sizes, small first.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// The word used in reports and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// A support device that a phantom can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A central venous line with its tip in the superior vena cava.
    CentralLine,
    /// A tube in the trachea that ends above the carina.
    EndotrachealTube,
    /// A generator over the left upper chest with leads to the right heart.
    Pacemaker,
}

impl Device {
    /// All devices.
    pub const ALL: [Self; 3] = [Self::CentralLine, Self::EndotrachealTube, Self::Pacemaker];

    /// The word used in labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::CentralLine => "central_line",
            Self::EndotrachealTube => "endotracheal_tube",
            Self::Pacemaker => "pacemaker",
        }
    }
}

/// The kind of an observation, without side, size or zone: the rows of a score table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Enlarged heart.
    Cardiomegaly,
    /// Pleural effusion.
    Effusion,
    /// Air in the pleural space.
    Pneumothorax,
    /// Patchy airspace opacity.
    Consolidation,
    /// Small round opacity.
    Nodule,
    /// Line, tube or implant.
    SupportDevice,
}

impl Kind {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 6] = [
        Self::Cardiomegaly,
        Self::Effusion,
        Self::Pneumothorax,
        Self::Consolidation,
        Self::Nodule,
        Self::SupportDevice,
    ];

    /// The word used in labels and score tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cardiomegaly => "cardiomegaly",
            Self::Effusion => "effusion",
            Self::Pneumothorax => "pneumothorax",
            Self::Consolidation => "consolidation",
            Self::Nodule => "nodule",
            Self::SupportDevice => "support_device",
        }
    }

    /// Whether observations of this kind have a side.
    pub fn is_sided(self) -> bool {
        !matches!(self, Self::Cardiomegaly | Self::SupportDevice)
    }
}

/// One observation: drawn on a phantom, or claimed by a text.
///
/// Drawn observations are always complete. A text can be vague ("pleural effusion"): what it leaves
/// out is `None`, spelt `unknown`, and such an observation equals no drawn one.
///
/// Spelling: `cardiomegaly`, `effusion:left:small`, `pneumothorax:right`,
/// `consolidation:right:lower`, `nodule:left:upper`, `support_device:central_line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observation {
    /// Enlarged heart.
    Cardiomegaly,
    /// Pleural effusion.
    Effusion {
        /// Side of the fluid.
        side: Option<Side>,
        /// Amount of fluid.
        size: Option<EffusionSize>,
    },
    /// Pneumothorax.
    Pneumothorax {
        /// Side of the air.
        side: Option<Side>,
    },
    /// Consolidation.
    Consolidation {
        /// Side of the lung.
        side: Option<Side>,
        /// Zone of the lung.
        zone: Option<Zone>,
    },
    /// Nodule.
    Nodule {
        /// Side of the lung.
        side: Option<Side>,
        /// Zone of the lung.
        zone: Option<Zone>,
    },
    /// Support device.
    SupportDevice {
        /// Which one.
        device: Option<Device>,
    },
}

impl Observation {
    /// Every complete observation there is, in canonical order.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Cardiomegaly];
        for side in Side::ALL.map(Some) {
            all.extend(EffusionSize::ALL.map(|size| Self::Effusion { side, size: Some(size) }));
            all.push(Self::Pneumothorax { side });
            all.extend(Zone::ALL.map(|zone| Self::Consolidation { side, zone: Some(zone) }));
            all.extend(Zone::ALL.map(|zone| Self::Nodule { side, zone: Some(zone) }));
        }
        all.extend(Device::ALL.map(|device| Self::SupportDevice { device: Some(device) }));
        all.sort_unstable();
        all
    }

    /// The kind of this observation.
    pub fn kind(self) -> Kind {
        match self {
            Self::Cardiomegaly => Kind::Cardiomegaly,
            Self::Effusion { .. } => Kind::Effusion,
            Self::Pneumothorax { .. } => Kind::Pneumothorax,
            Self::Consolidation { .. } => Kind::Consolidation,
            Self::Nodule { .. } => Kind::Nodule,
            Self::SupportDevice { .. } => Kind::SupportDevice,
        }
    }

    /// The side, where the kind has one and it is known.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Effusion { side, .. }
            | Self::Pneumothorax { side }
            | Self::Consolidation { side, .. }
            | Self::Nodule { side, .. } => side,
            Self::Cardiomegaly | Self::SupportDevice { .. } => None,
        }
    }

    /// Whether nothing about it is unknown.
    pub fn is_complete(self) -> bool {
        match self {
            Self::Cardiomegaly => true,
            Self::Effusion { side, size } => side.is_some() && size.is_some(),
            Self::Pneumothorax { side } => side.is_some(),
            Self::Consolidation { side, zone } | Self::Nodule { side, zone } => side.is_some() && zone.is_some(),
            Self::SupportDevice { device } => device.is_some(),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNKNOWN: &str = "unknown";
        let side = |side: Option<Side>| side.map_or(UNKNOWN, Side::word);
        let zone = |zone: Option<Zone>| zone.map_or(UNKNOWN, Zone::word);
        f.write_str(self.kind().word())?;
        match *self {
            Self::Cardiomegaly => Ok(()),
            Self::Effusion { side: s, size } => {
                write!(f, ":{}:{}", side(s), size.map_or(UNKNOWN, EffusionSize::word))
            }
            Self::Pneumothorax { side: s } => write!(f, ":{}", side(s)),
            Self::Consolidation { side: s, zone: z } | Self::Nodule { side: s, zone: z } => {
                write!(f, ":{}:{}", side(s), zone(z))
            }
            Self::SupportDevice { device } => {
                write!(f, ":{}", device.map_or(UNKNOWN, Device::word))
            }
        }
    }
}

/// A label that names no observation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{label}` is not an observation: expected a label such as `cardiomegaly`, \
     `effusion:left:small` or `nodule:right:upper`"
)]
pub struct ObservationError {
    /// The label as it was found.
    pub label: String,
}

/// Reads one part of a label: `unknown` is `None`, anything but a known word is an error (`Err(())`).
fn part<T: Copy>(text: Option<&&str>, all: &[T], word: fn(T) -> &'static str) -> Result<Option<T>, ()> {
    match text {
        Some(&"unknown") => Ok(None),
        Some(&text) => all.iter().copied().find(|&one| word(one) == text).map(Some).ok_or(()),
        None => Err(()),
    }
}

fn parse(label: &str) -> Result<Observation, ()> {
    let parts: Vec<&str> = label.split(':').collect();
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == parts[0]).ok_or(())?;
    let expected = match kind {
        Kind::Cardiomegaly => 1,
        Kind::Pneumothorax | Kind::SupportDevice => 2,
        Kind::Effusion | Kind::Consolidation | Kind::Nodule => 3,
    };
    if parts.len() != expected {
        return Err(());
    }
    let side = || part(parts.get(1), &Side::ALL, Side::word);
    let zone = || part(parts.get(2), &Zone::ALL, Zone::word);
    Ok(match kind {
        Kind::Cardiomegaly => Observation::Cardiomegaly,
        Kind::Effusion => {
            Observation::Effusion { side: side()?, size: part(parts.get(2), &EffusionSize::ALL, EffusionSize::word)? }
        }
        Kind::Pneumothorax => Observation::Pneumothorax { side: side()? },
        Kind::Consolidation => Observation::Consolidation { side: side()?, zone: zone()? },
        Kind::Nodule => Observation::Nodule { side: side()?, zone: zone()? },
        Kind::SupportDevice => Observation::SupportDevice { device: part(parts.get(1), &Device::ALL, Device::word)? },
    })
}

impl FromStr for Observation {
    type Err = ObservationError;

    fn from_str(label: &str) -> Result<Self, Self::Err> {
        parse(label).map_err(|()| ObservationError { label: label.to_owned() })
    }
}

impl Serialize for Observation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_there_and_back() {
        let all = Observation::all();
        assert_eq!(all.len(), 1 + 2 * (2 + 1 + 3 + 3) + 3);
        for observation in &all {
            assert!(observation.is_complete());
            assert_eq!(observation.to_string().parse(), Ok(*observation));
        }
        let vague = Observation::Effusion { side: None, size: Some(EffusionSize::Small) };
        assert_eq!(vague.to_string(), "effusion:unknown:small");
        assert_eq!("effusion:unknown:small".parse(), Ok(vague));
        assert!(!vague.is_complete());
    }

    #[test]
    fn the_spelling_is_fixed() {
        let spelt: Vec<String> = Observation::all().iter().map(ToString::to_string).collect();
        for label in [
            "cardiomegaly",
            "effusion:left:small",
            "effusion:right:large",
            "pneumothorax:left",
            "consolidation:right:lower",
            "nodule:left:upper",
            "support_device:central_line",
        ] {
            assert!(spelt.iter().any(|one| one == label), "{label}");
        }
    }

    #[test]
    fn wrong_labels_are_refused() {
        for label in ["", "effusion", "effusion:left", "nodule:left:small", "cardiomegaly:left", "fracture"] {
            let error = label.parse::<Observation>().expect_err(label);
            assert!(error.to_string().contains(&format!("`{label}`")), "{error}");
        }
    }
}
