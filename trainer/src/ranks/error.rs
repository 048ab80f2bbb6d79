//! Why several processes cannot train together.

use thiserror::Error;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RanksError {
    /// The environment says something that cannot be.
    #[error(
        "{problem}\nhint: torchrun and a Slurm script set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT for every process; unset RANK and WORLD_SIZE to train with one"
    )]
    Environment {
        /// What is wrong with which variable.
        problem: String,
    },
    /// Another program listens there.
    #[error(
        "rank 0 cannot host the store at {address}: the port is taken\nhint: set MASTER_PORT to a free one, the same for all ranks (torchrun: --master-port), or end the program that holds it"
    )]
    PortTaken {
        /// Host and port.
        address: String,
    },
    /// The store cannot be reached, or not served.
    #[error(
        "the store at {address} cannot be {what}: {said}\nhint: MASTER_ADDR and MASTER_PORT must name the machine of rank 0 and a port that the others reach; is rank 0 running, and let through by the firewall?"
    )]
    NoStore {
        /// Host and port.
        address: String,
        /// What was tried.
        what: &'static str,
        /// What libtorch says.
        said: String,
    },
    /// Not all have come.
    #[error(
        "{missing} of {world} processes did not come within {seconds} s\nhint: start all ranks with the same WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and look at the output of those that are missing; XREPORT_JOIN_SECONDS waits longer"
    )]
    Missing {
        /// Which.
        missing: String,
        /// WORLD_SIZE.
        world: usize,
        /// How long they were waited for.
        seconds: u64,
    },
    /// A process gives no more sign of life.
    #[error(
        "rank {rank} of {world} is gone: no sign of life for {seconds} s\nhint: look at the output of that process, and for a kernel message that memory ran out; then go on with `xreport-train resume`, with the same launcher"
    )]
    Gone {
        /// Which.
        rank: usize,
        /// WORLD_SIZE.
        world: usize,
        /// How long nothing was heard of it.
        seconds: u64,
    },
    /// The connection to the store broke.
    #[error(
        "the store at {address} is gone, and with it the process that hosts it (rank 0, or torchrun's agent): {said}\nhint: look at its output; then go on with `xreport-train resume`, with the same launcher"
    )]
    StoreGone {
        /// Host and port.
        address: String,
        /// What libtorch says.
        said: String,
    },
    /// A process ended with an error and said so.
    #[error("rank {rank} has ended: {said}")]
    Ended {
        /// Which.
        rank: usize,
        /// Its message.
        said: String,
    },
    /// The processes are not made for each other.
    #[error(
        "the processes differ: {differences}\nhint: start every rank with the same program, settings, command line and data"
    )]
    Differ {
        /// In what.
        differences: String,
    },
    /// CUDA's collective library does not work.
    #[error(
        "NCCL, which adds up gradients on CUDA, failed in {call}: {said}\nhint: NCCL_DEBUG=INFO tells more; XREPORT_REDUCE=store goes without NCCL, slowly"
    )]
    Nccl {
        /// Which of its functions.
        call: &'static str,
        /// What it says.
        said: String,
    },
}
