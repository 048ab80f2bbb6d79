//! Parts of a job for several machines.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Part `index` of `count`.
///
/// An input belongs to the part that its id's hash names, not its place in a list: images that arrive while the parts
/// start one after another still belong to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Why the scheduler's variables do not name a part.
#[derive(Debug, Error)]
pub enum ShardError {
    /// No scheduler is known here.
    #[error(
        "--shard auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set\nhint: start it from a Slurm array or a Kubernetes Indexed Job, or name the part as in `--shard 0/4`"
    )]
    NoScheduler,
    /// One of them is missing or no number.
    #[error("--shard auto: {variable}: a number expected, found {found}\nhint: {hint}")]
    Variable {
        /// Name of the variable.
        variable: &'static str,
        /// Its value, or that there is none.
        found: String,
        /// What sets it.
        hint: &'static str,
    },
    /// The numbers do not fit each other.
    #[error(
        "--shard auto: task {task} is none of {count} parts that begin at {first} in steps of {step}\nhint: use an array without gaps (--array=0-{last}), or name the part as in `--shard 0/{count}`", last = count.saturating_sub(1)
    )]
    Gaps {
        /// The task.
        task: u32,
        /// Tasks in all.
        count: u32,
        /// The first one's number.
        first: u32,
        /// From one number to the next.
        step: u32,
    },
}

impl Shard {
    /// Part `index`, from 0, of `count`; `None` where there is no such part.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// From 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Parts in all.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the input belongs to this part.
    pub fn holds(self, id: &str) -> bool {
        let hash = Sha256::digest(id.as_bytes());
        let number = u64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"));
        number % u64::from(self.count) == u64::from(self.index)
    }

    /// The part that a Slurm array (`SLURM_ARRAY_TASK_ID`, `_COUNT`, `_MIN`, `_STEP`) or a Kubernetes Indexed Job
    /// (`JOB_COMPLETION_INDEX`, which Kubernetes sets, and `JOB_COMPLETION_COUNT`, which the manifest sets) gives.
    pub fn of_scheduler(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ShardError> {
        let number = |name: &'static str, hint: &'static str| {
            let found = variable(name);
            found.as_deref().and_then(|text| text.trim().parse::<u32>().ok()).ok_or_else(|| ShardError::Variable {
                variable: name,
                found: found.map_or("nothing".into(), |text| format!("`{text}`")),
                hint,
            })
        };
        if variable("SLURM_ARRAY_TASK_ID").is_some() {
            let hint = "Slurm sets it in array jobs: sbatch --array=0-3";
            let task = number("SLURM_ARRAY_TASK_ID", hint)?;
            let count = number("SLURM_ARRAY_TASK_COUNT", hint)?;
            let optional = |name, default| if variable(name).is_some() { number(name, hint) } else { Ok(default) };
            let (first, step) = (optional("SLURM_ARRAY_TASK_MIN", 0)?, optional("SLURM_ARRAY_TASK_STEP", 1)?.max(1));
            let gaps = ShardError::Gaps { task, count, first, step };
            let offset = task.checked_sub(first).filter(|offset| offset % step == 0);
            offset.and_then(|offset| Self::new(offset / step, count)).ok_or(gaps)
        } else if variable("JOB_COMPLETION_INDEX").is_some() {
            let task = number("JOB_COMPLETION_INDEX", "Kubernetes sets it in a Job with completionMode: Indexed")?;
            let hint = "Kubernetes does not set it: give the container `completions` of the Job in its `env`";
            let count = number("JOB_COMPLETION_COUNT", hint)?;
            Self::new(task, count).ok_or(ShardError::Gaps { task, count, first: 0, step: 1 })
        } else {
            Err(ShardError::NoScheduler)
        }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        part.and_then(|(index, count)| Self::new(index, count))
            .ok_or_else(|| format!("expected i/N with i from 0 to N-1, as in 0/4, found `{text}`"))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(pairs: &[(&str, &str)]) -> Result<String, String> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Shard::of_scheduler(find).map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_id_belongs_to_one_part_and_the_parts_are_alike() {
        let mut sizes = [0; 4];
        for id in (0..1000).map(|index| format!("a/{index}.png")) {
            let holders: Vec<u32> = (0..4).filter(|&index| Shard::new(index, 4).expect("a part").holds(&id)).collect();
            assert_eq!(holders.len(), 1);
            sizes[holders[0] as usize] += 1;
        }
        assert!(sizes.iter().all(|size| (200..300).contains(size)), "{sizes:?}");
    }

    #[test]
    fn parts_are_read() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, count: 4 }));
        for wrong in ["4/4", "0/0", "1", "-1/4", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn slurms_numbers_need_not_begin_at_0() {
        let task =
            |id| auto(&[("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "1")]);
        assert_eq!(task("1"), Ok("0/4".into()));
        assert_eq!(task("4"), Ok("3/4".into()));
        assert!(task("5").expect_err("a gap").contains("--array=0-3"));
        let stepped = [("SLURM_ARRAY_TASK_ID", "10"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "2")];
        assert!(auto(&stepped).is_err());
        assert_eq!(auto(&[&stepped[..], &[("SLURM_ARRAY_TASK_STEP", "4")]].concat()), Ok("2/3".into()));
        assert!(auto(&[("SLURM_ARRAY_TASK_ID", "1")]).expect_err("no count").contains("SLURM_ARRAY_TASK_COUNT"));
    }

    #[test]
    fn kubernetes_index_wants_a_count() {
        assert_eq!(auto(&[("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETION_COUNT", "4")]), Ok("2/4".into()));
        assert!(auto(&[("JOB_COMPLETION_INDEX", "2")]).expect_err("no count").contains("JOB_COMPLETION_COUNT"));
        assert!(auto(&[("JOB_COMPLETION_INDEX", "4"), ("JOB_COMPLETION_COUNT", "4")]).is_err());
        assert!(auto(&[]).expect_err("no scheduler").contains("hint: "));
    }
}
