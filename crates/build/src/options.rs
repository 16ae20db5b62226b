//! How a run is to be done, as given on the command line.

use crate::journal::Invocation;
use cloud::RegionName;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What happens to a failed cell's instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Everything is removed.
    CleanUp,
    /// The instance, its key and its group stay, and the way in is printed (`--keep-on-failure`).
    Keep,
}

/// Help for somebody who debugs (`--debug`, `--debug-from`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debugging {
    /// None.
    Off,
    /// A long connect timeout, the private key written at launch and its path told, and SSH also from these ranges.
    On {
        /// IPv4 ranges that may also reach SSH, such as a laptop's.
        from: Vec<String>,
    },
}

/// Whether the account is AWS's or the local EC2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Venue {
    /// AWS: every provisioner runs.
    Aws,
    /// The local EC2 (`--local`): a provisioner whose `needs` the guest does not meet is skipped and named.
    Rehearsal,
}

/// How a run is to be done.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where it runs.
    pub venue: Venue,
    /// The region that stages build in.
    pub region: RegionName,
    /// The endpoint that commands in messages must name, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// The EC2 endpoint that an instance in a region reaches, for the script that binds its address.
    pub guest_endpoint: GuestEndpoint,
    /// The port of the guests' SSH server where the pipeline does not say: 22 but for a local EC2 that may not bind it.
    pub ssh_port: u16,
    /// What happens to a failed cell's instance.
    pub on_failure: OnFailure,
    /// Help for debugging.
    pub debugging: Debugging,
    /// Stages whose cache is ignored.
    pub rebuild: BTreeSet<String>,
    /// The SSH agent of whoever runs qib, if there is one.
    pub agent_socket: Option<PathBuf>,
    /// Where journals and keys are kept.
    pub state_dir: PathBuf,
    /// How the run was asked for, for whoever takes it up again.
    pub invocation: Invocation,
}

/// Which EC2 endpoint an instance talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEndpoint {
    /// The region's own, over HTTPS, found by the partition.
    Regional,
    /// This one, such as the local EC2's.
    Fixed(String),
}
