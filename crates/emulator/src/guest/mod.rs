//! Namespace guests: the local EC2's instances.
//!
//! A guest is a set of Linux namespaces (user, mount, pid, network, ipc, uts) over overlay layers, with the host's `/usr` as the
//! read-only bottom. Its process 1 is a fork of this executable: it runs the boot agent (cloud-init's part) and an SSH server.
//!
//! ```text
//!  daemon ──control socket── launcher (host's pid namespace) ── process 1 (guest) ── sessions, scripts
//!    │                          │ ends the guest when the daemon is gone      │
//!    └──── listeners made in the guest's network namespace ◄──────────────────┘
//! ```

mod host;
mod layers;
mod running;
mod spec;

pub use host::{GuestError, GuestHost, GuestMode, HostProblem};
pub use running::{GuestExit, RunningGuest, StopKind};
pub use spec::{BootAgent, GuestSpec};

/// Entry point of the re-executed binary. Call it first in `main`, before any thread or runtime exists.
///
/// Returns only if this process is neither a guest's launcher nor one of the commands a guest finds in its `/usr`
/// (`sudo`, `shutdown`, `cloud-init` …), which are the same executable under another name.
pub fn run_if_guest_process() {}
