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
//!
//! Why a guest cannot change the host:
//!
//! - The host's uid 0 is mapped in no guest, so files, `/proc/sys`, sysrq and devices refuse a guest's root as they refuse anyone.
//! - Layers below the upper one, and the host's `/usr`, are read-only mounts; overlays belong to the guest's user namespace.
//! - After `pivot_root` no host path is reachable but `/usr`, and no descriptor of the host's is open in any guest process.
//! - Process 1 and the launcher are not dumpable and their memory belongs to the host's user namespace: no tracing, no `/proc` access.
//! - What is *not* limited: memory, disk space and CPU time. Processes are, see `init::MOST_PROCESSES`.

mod accounts;
mod base_layer;
mod boot_agent;
mod control;
mod host;
mod init;
mod launcher;
mod layers;
mod mounts;
mod network;
mod probe;
mod running;
mod spec;
mod ssh_server;
mod sys;
mod tools;

pub use host::{FIRST_GUEST_ID, GUEST_IDS, GuestError, GuestHost, GuestMode, HostProblem};
pub use running::{GuestExit, RunningGuest, StopKind};
pub use spec::{BootAgent, GuestSpec};

/// Entry point of the re-executed binary. Call it first in `main`, before any thread or runtime exists.
///
/// Returns only if this process is neither a guest's launcher nor one of the commands a guest finds in its `/usr`
/// (`sudo`, `shutdown`, `cloud-init` …), which are the same executable under another name.
pub fn run_if_guest_process() {
    let name = std::env::args_os().next().unwrap_or_default();
    if sys::has_set_user_id_powers() || tools::is_tool_program() {
        tools::main(&name)
    }
    if launcher::is_launcher(&name) {
        launcher::main()
    }
}
