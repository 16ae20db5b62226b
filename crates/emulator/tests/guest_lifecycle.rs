//! Guests from their first boot to their image, through the real OpenSSH client.

mod guest_support;

use std::process::ExitCode;
use std::sync::Arc;

use emulator::guest::{GuestExit, StopKind};
use guest_support::{World, until};

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    guest_support::main(cases![a_command_runs])
}

async fn a_command_runs(world: Arc<World>) {
    let machine = world.boot("i-0first", &[], b"").await;
    println!("{}", machine.ok("id; pwd; hostname; echo $HOME $SSH_CONNECTION; ls -la / ; sudo id").await);
    machine.guest.stop(StopKind::Graceful).await.unwrap();
    assert_eq!(until(machine.guest.exited()).await, GuestExit::Stopped);
}
