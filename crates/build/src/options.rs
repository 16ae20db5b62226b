//! How a run is to be done, as given on the command line.

use crate::journal::Invocation;
use crate::pause::Pauses;
use crate::selection::Choice;
use cloud::RegionName;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
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

/// How many cells build at once unless the command line says. Eight instances are well below what a new account may run
/// (32 vCPUs of standard types), and CreateImage and DescribeInstances are far from being throttled.
pub const USUAL_JOBS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// What one cell's failure means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterFailure {
    /// They go on, but for those that start from it.
    #[default]
    OthersGoOn,
    /// Those that have begun go on; no other begins (`--fail-fast`).
    NoneBegins,
}

/// Which cells are built, how many at once, and where it is waited for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellOptions {
    /// Which cells.
    pub choice: Choice,
    /// How many at once, at most.
    pub jobs: NonZeroUsize,
    /// What one cell's failure means for the others.
    pub after_failure: AfterFailure,
    /// Where it is waited for a person.
    pub pauses: Pauses,
}

impl Default for CellOptions {
    fn default() -> Self {
        Self {
            choice: Choice::default(),
            jobs: USUAL_JOBS,
            after_failure: AfterFailure::default(),
            pauses: Pauses::default(),
        }
    }
}

/// How a run is to be done.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where it runs.
    pub venue: Venue,
    /// The region that cells without one of their own build in.
    pub region: RegionName,
    /// Which cells are built, and how.
    pub cells: CellOptions,
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
