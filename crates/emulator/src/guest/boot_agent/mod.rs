//! What carries out user-data in the guest: cloud-init's part.
//!
//! ```text
//!   local ──► IMDS read ──► boothooks ─► bootcmd ─► write_files ─► users ─► ssh ══► SSH up ══► runcmd, scripts ──► boot finished
//!     │           │                                                          ▲                                        ▲
//!     │           └── no IMDS: host keys only ───────────────────────────────┘── nothing to run ─────────────────────┘
//!     └── HostCloudInit: `cloud-init init --local`, `init` ══► SSH up ══► `modules --mode config`, `modules --mode final`
//! ```

mod accounts;
mod built_in;
mod cloud_config;
mod commands;
mod host_cloud_init;
mod host_keys;
mod imds;
mod keys;
pub mod state;
mod user_data;
mod write_files;

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::init::{Event, Guest};
use super::spec::BootAgent;

/// Starts the boot in a thread of its own. It tells when its early and its final stage are done, whether well or badly: a guest
/// whose user-data is broken still comes up, and says so on its console.
///
/// # Errors
/// If the thread cannot be started.
pub fn start(guest: Arc<Guest>, events: UnboundedSender<Event>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("boot-agent".to_owned())
        .spawn(move || {
            // Process 1 lives as long as its receiver does.
            let tell = |event| {
                let _ = events.send(event);
            };
            match guest.spec.agent {
                BootAgent::BuiltIn => built_in::run(&guest, &tell),
                BootAgent::HostCloudInit => host_cloud_init::run(&guest, &tell),
            }
        })
        .map(drop)
}
