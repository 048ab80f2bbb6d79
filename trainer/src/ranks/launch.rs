//! What a launcher says in the environment: which process this is, of how many, and where they meet.

use super::error::RanksError;

/// Seconds that processes wait for each other at the start, unless XREPORT_JOIN_SECONDS says otherwise. Nodes of a
/// cluster may start minutes apart.
const JOIN_SECONDS: u64 = 300;

/// One process of several, as its environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// RANK, from 0.
    pub rank: usize,
    /// WORLD_SIZE, above 1.
    pub world: usize,
    /// LOCAL_RANK: which of its machine's processes, and so which GPU.
    pub local_rank: usize,
    /// How many processes run on this machine.
    pub local_world: usize,
    /// MASTER_ADDR.
    pub host: String,
    /// MASTER_PORT.
    pub port: u16,
    /// Whether torchrun's agent serves the store (TORCHELASTIC_USE_AGENT_STORE); else rank 0 does.
    pub agent_serves: bool,
    /// How often torchrun has started the processes anew.
    pub restarts: u64,
    /// Names this start of the run: keys of another one in the same store are not ours.
    pub run: String,
    /// How long to wait for the others at the start.
    pub join_seconds: u64,
}

impl Launch {
    /// Reads the environment; `None` for a process that trains alone.
    pub fn from_environment() -> Result<Option<Self>, RanksError> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, RanksError> {
        let wrong = |problem: String| RanksError::Environment { problem };
        let number = |name: &str| -> Result<Option<u64>, RanksError> {
            variable(name)
                .map(|text| {
                    let parsed = text.trim().parse::<u64>();
                    parsed.map_err(|_| wrong(format!("{name} is `{text}`, a whole number expected")))
                })
                .transpose()
        };
        let (rank, world) = match (number("RANK")?, number("WORLD_SIZE")?) {
            (None, None | Some(1)) => return Ok(None),
            (Some(rank), Some(world)) => (rank as usize, world as usize),
            (None, Some(world)) => return Err(wrong(format!("WORLD_SIZE is {world}, but RANK is not set"))),
            (Some(rank), None) => return Err(wrong(format!("RANK is {rank}, but WORLD_SIZE is not set"))),
        };
        if rank >= world {
            return Err(wrong(format!("RANK is {rank}, but of WORLD_SIZE {world} the last is {}", world.max(1) - 1)));
        }
        if world == 1 {
            return Ok(None);
        }
        let needed = |name: &str| {
            variable(name)
                .ok_or_else(|| wrong(format!("WORLD_SIZE is {world}, but {name} is not set: where do they meet?")))
        };
        let host = needed("MASTER_ADDR")?;
        needed("MASTER_PORT")?;
        let port = number("MASTER_PORT")?.unwrap_or_default();
        let port = u16::try_from(port).ok().filter(|&port| port > 0);
        let port = port.ok_or_else(|| wrong("MASTER_PORT is no port: 1 to 65535 expected".to_owned()))?;
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let local_world = match number("LOCAL_WORLD_SIZE")? {
            Some(processes) => (processes as usize).max(1),
            None if is_here => world,
            None => 1,
        };
        let restarts = number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
        Ok(Some(Self {
            rank,
            world,
            local_rank: number("LOCAL_RANK")?.map_or(rank % local_world, |local| local as usize),
            local_world,
            host,
            port,
            agent_serves: variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True"),
            restarts,
            run: format!("{}/{restarts}", variable("TORCHELASTIC_RUN_ID").unwrap_or_else(|| "run".to_owned())),
            join_seconds: number("XREPORT_JOIN_SECONDS")?.unwrap_or(JOIN_SECONDS),
        }))
    }

    /// Whether this process serves the store.
    pub fn serves(&self) -> bool {
        self.rank == 0 && !self.agent_serves
    }

    /// Where the processes meet, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Launch>, RanksError> {
        let pairs: Vec<(&str, &str)> = text.split_whitespace().map(|pair| pair.split_once('=').expect("A=b")).collect();
        Launch::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_process_alone_needs_nothing() {
        for alone in ["", "WORLD_SIZE=1", "RANK=0 WORLD_SIZE=1", "LOCAL_RANK=0 MASTER_PORT=29500"] {
            assert_eq!(read(alone), Ok(None), "{alone}");
        }
    }

    #[test]
    fn torchruns_environment_is_understood() {
        let launch = read(
            "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=node1 MASTER_PORT=29400 \
             TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2 TORCHELASTIC_RUN_ID=abc",
        );
        let launch = launch.expect("valid").expect("several");
        assert_eq!((launch.rank, launch.world, launch.local_rank, launch.local_world), (3, 4, 1, 2));
        assert_eq!((launch.address().as_str(), launch.run.as_str()), ("node1:29400", "abc/2"));
        let first = |extra: &str| read(&format!("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=1 {extra}"));
        let serves = |extra: &str| first(extra).expect("valid").expect("several").serves();
        assert!(serves("") && serves("TORCHELASTIC_USE_AGENT_STORE=False"));
        assert!(!serves("TORCHELASTIC_USE_AGENT_STORE=True"), "the agent serves it");
        let bare = read("RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1").expect("valid").expect("several");
        assert_eq!((bare.local_rank, bare.local_world), (1, 2), "on one machine all are local");
    }

    #[test]
    fn half_an_environment_is_told() {
        for (text, said) in [
            ("WORLD_SIZE=2", "WORLD_SIZE is 2, but RANK is not set"),
            ("RANK=1", "RANK is 1, but WORLD_SIZE is not set"),
            ("RANK=2 WORLD_SIZE=2", "RANK is 2, but of WORLD_SIZE 2 the last is 1"),
            ("RANK=x WORLD_SIZE=2", "RANK is `x`, a whole number expected"),
            ("RANK=0 WORLD_SIZE=2", "MASTER_ADDR is not set"),
            ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_PORT is not set"),
            ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT is no port"),
        ] {
            let told = read(text).expect_err("refused").to_string();
            assert!(told.contains(said) && told.contains("hint: "), "{text}: {told}");
        }
    }
}
