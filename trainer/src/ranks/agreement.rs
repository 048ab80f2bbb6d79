//! What must be the same in every process of a training, compared before the first step.

use std::fs::File;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::error::RanksError;

/// Named values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    entries: Vec<(String, String)>,
}

impl Agreement {
    /// Adds a value under a name that messages use.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "numbers and words are named at the call")]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.entries.push((name.to_owned(), value.to_string()));
        self
    }

    /// Version and build of this program: the same source, compiled elsewhere, may add up in another order.
    pub fn of_program() -> Self {
        let build = build().unwrap_or_else(|_| "cannot be read".to_owned());
        Self::default().with("version", env!("CARGO_PKG_VERSION")).with("build", build)
    }

    /// As it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings are plain JSON")
    }

    /// Compares what the ranks say, in their order, with rank 0.
    pub fn compare(said: &[Vec<u8>]) -> Result<(), RanksError> {
        let read = |bytes: &Vec<u8>| serde_json::from_slice::<Self>(bytes).unwrap_or_default();
        let mut all = said.iter().map(read);
        let first = all.next().unwrap_or_default();
        let mut differences = Vec::new();
        for (index, other) in all.enumerate() {
            let rank = index + 1;
            let names = |agreement: &Self| agreement.entries.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if names(&first) != names(&other) {
                differences.push(format!("rank {rank} does something else than rank 0"));
                continue;
            }
            for ((name, here), (_, there)) in first.entries.iter().zip(&other.entries) {
                if here != there {
                    differences.push(format!("{name} is {here} on rank 0, {there} on rank {rank}"));
                }
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(RanksError::Differ { differences: differences.join("; ") }) }
    }
}

/// Size and checksum of the running program.
fn build() -> std::io::Result<String> {
    let mut file = File::open(std::env::current_exe()?)?;
    let (mut checksum, mut length, mut buffer) = (0, 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{checksum:08x} ({length} bytes)"));
        }
        checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
        length += read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_its_rank() {
        let of = |seed: &str| Agreement::default().with("training.SEED", seed).with("data", "d").to_bytes();
        assert_eq!(Agreement::compare(&[of("7"), of("7")]), Ok(()));
        let told = Agreement::compare(&[of("7"), of("7"), of("8")]).expect_err("they differ").to_string();
        assert!(told.contains("training.SEED is 7 on rank 0, 8 on rank 2"), "{told}");
        let other = Agreement::default().with("step", 3).to_bytes();
        let told = Agreement::compare(&[of("7"), other]).expect_err("they differ").to_string();
        assert!(told.contains("rank 1 does something else"), "{told}");
    }

    #[test]
    fn a_program_knows_itself() {
        let [here, again] = [(); 2].map(|()| Agreement::of_program());
        assert_eq!(here, again);
        assert!(here.entries.iter().all(|(_, value)| !value.contains("cannot")), "{here:?}");
    }
}
