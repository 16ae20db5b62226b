//! The host's real cloud-init in a guest.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is an edge, and this one prints its own results"
)]

mod guest_support;

use std::process::ExitCode;
use std::sync::Arc;

use emulator::guest::{BootAgent, GuestMode, StopKind};
use guest_support::{World, eventually};

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    if !std::path::Path::new("/usr/bin/cloud-init").exists() {
        println!("skipped: this host has no cloud-init (`cargo xtask test` installs it)");
        return ExitCode::SUCCESS;
    }
    guest_support::main(cases![the_real_cloud_init_boots_a_guest])
}

const CONFIG: &str = "#cloud-config\nbootcmd: ['echo bootcmd >> /order']\nwrite_files: [{path: /etc/written, content: real}]\n\
                      runcmd: ['echo runcmd >> /order']\n";

async fn the_real_cloud_init_boots_a_guest(world: Arc<World>) {
    if world.host.mode() == GuestMode::Rootless {
        // cloud-init creates users and changes owners, which a rootless guest cannot.
        return;
    }
    let mut spec = world.spec("i-0123456789abcdef0", &[]);
    spec.agent = BootAgent::HostCloudInit;
    let machine = world.start(spec, CONFIG.as_bytes()).await;
    machine.wait_for_ssh().await;
    let status = machine.run("cloud-init status --wait --long").await;
    let console = machine.console_text();
    assert!(
        String::from_utf8_lossy(&status.stdout).contains("status: done"),
        "{status:?}\n{console}"
    );
    assert_eq!(
        machine
            .ok("cat /etc/written; cat /order; id -un; sudo -n id -un")
            .await,
        "realbootcmd\nruncmd\nec2-user\nroot"
    );
    assert!(
        machine
            .ok("cloud-id 2>/dev/null; cat /run/cloud-init/instance-data.json")
            .await
            .contains("i-0123456789abcdef0")
    );
    eventually("host keys on the console", || {
        machine
            .console_text()
            .contains("-----BEGIN SSH HOST KEY KEYS-----")
    })
    .await;
    machine.guest.stop(StopKind::Graceful).await.unwrap();
}
