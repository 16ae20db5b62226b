//! A guest's process 1: it carries out the boot, serves SSH, collects orphans and ends the guest.

mod children;
mod console_log;
mod phase;

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::Interest;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub use children::{Children, Started};
pub use console_log::ConsoleLog;
pub use phase::{Event, Phase, Why};

use super::boot_agent;
use super::control::{self, FromGuest, ToGuest};
use super::host::GuestMode;
use super::mounts::Console;
use super::spec::GuestSpec;
use super::ssh_server::SshServer;
use super::sys::{self, Watched};

/// Exit code of process 1 when the daemon asked for the end.
pub const EXIT_STOPPED: i32 = 0;
/// Exit code of process 1 after a power-off from inside.
pub const EXIT_POWER_OFF: i32 = 10;
/// Exit code of process 1 after a reboot from inside.
pub const EXIT_REBOOT: i32 = 11;
/// Exit code of process 1 when it cannot work.
const EXIT_FAILED: i32 = 1;

/// Processes that one user of a guest may have. A fork bomb ends here and not at the host's limit.
pub const MOST_PROCESSES: u64 = 4096;

/// How long processes have to end after SIGTERM. EC2 gives an operating system minutes; a guest has no file systems to flush.
const TIME_TO_END: Duration = Duration::from_secs(5);
/// How long open SSH channels have to deliver their last bytes once all processes are gone.
const TIME_TO_DRAIN: Duration = Duration::from_millis(500);

/// What the parts of process 1 share.
#[derive(Debug)]
pub struct Guest {
    /// What this guest is.
    pub spec: GuestSpec,
    /// Which ids it has.
    pub mode: GuestMode,
    /// Its processes.
    pub children: Children,
    /// Its console.
    pub console: Arc<ConsoleLog>,
}

/// Signals that ask process 1 for the end, the same numbers as systemd's: `SIGRTMIN+3` halt, `+4` power-off, `+5` reboot.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.html#Signals>
pub fn signal_for(why: Why) -> i32 {
    sys::first_real_time_signal()
        + match why {
            Why::Asked => 3,
            Why::PowerOff => 4,
            Why::Reboot => 5,
        }
}

/// Runs as process 1 until the guest ends.
pub fn run(spec: &GuestSpec, mode: GuestMode, control: OwnedFd, console: Console) -> ! {
    let code = match start(spec, mode, control, console) {
        Ok(Why::Asked) => EXIT_STOPPED,
        Ok(Why::PowerOff) => EXIT_POWER_OFF,
        Ok(Why::Reboot) => EXIT_REBOOT,
        Err(error) => {
            // Standard error is the console log.
            let _ = rustix::io::write(
                io::stderr(),
                format!("process 1 cannot go on: {error}\n").as_bytes(),
            );
            EXIT_FAILED
        }
    };
    sys::exit_now(code)
}

fn start(spec: &GuestSpec, mode: GuestMode, control: OwnedFd, console: Console) -> io::Result<Why> {
    let log = ConsoleLog::new(File::from(sys::inherited(2)?));
    let guest = Arc::new(Guest {
        spec: spec.clone(),
        mode,
        children: Children::new(),
        console: Arc::new(log),
    });
    guest.console.line(&format!(
        "qib local EC2: instance {} starts ({mode:?} guest)",
        spec.instance_id
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let why = runtime.block_on(live(guest, control, console))?;
    // Process 1's end takes every thread with it; nothing is worth waiting for.
    runtime.shutdown_background();
    Ok(why)
}

/// What wakes process 1.
enum Wake {
    Child,
    Event(Event),
    Message(Option<(ToGuest, Vec<OwnedFd>)>),
}

async fn live(guest: Arc<Guest>, control: OwnedFd, console: Console) -> io::Result<Why> {
    let control = sys::watch(Arc::new(control))?;
    let mut child_ended = signal(SignalKind::child())?;
    let mut halt = signal(SignalKind::from_raw(signal_for(Why::Asked)))?;
    let mut power_off = signal(SignalKind::from_raw(signal_for(Why::PowerOff)))?;
    let mut reboot = signal(SignalKind::from_raw(signal_for(Why::Reboot)))?;
    read_console(&guest, console)?;
    let (events, mut agent) = mpsc::unbounded_channel();
    boot_agent::start(Arc::clone(&guest), events.clone())?;

    let mut phase = Phase::Early;
    let mut server = None;
    let mut deadline = None;
    loop {
        let ended = async {
            match deadline {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => Event::OutOfTime,
                    () = guest.children.none_left() => Event::NoProcessLeft,
                },
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            _ = child_ended.recv() => Wake::Child,
            _ = halt.recv() => Wake::Event(Event::End(Why::PowerOff)),
            _ = power_off.recv() => Wake::Event(Event::End(Why::PowerOff)),
            _ = reboot.recv() => Wake::Event(Event::End(Why::Reboot)),
            Some(event) = agent.recv() => Wake::Event(event),
            message = control.async_io(Interest::READABLE, |socket| control::receive::<ToGuest>(socket)) => Wake::Message(message?),
            event = ended => Wake::Event(event),
        };
        let event = match wake {
            Wake::Child => {
                guest.children.reap();
                continue;
            }
            Wake::Message(Some((ToGuest::Ssh { peer }, descriptors))) => {
                accept(server.as_ref(), peer, descriptors);
                continue;
            }
            Wake::Message(Some((ToGuest::Start { .. } | ToGuest::Probe { .. }, _))) => continue,
            Wake::Message(Some((ToGuest::Stop, _)) | None) => Event::End(Why::Asked),
            Wake::Event(event) => event,
        };
        let before = phase;
        phase = phase.after(event);
        if phase == before {
            continue;
        }
        match phase {
            Phase::Early => {}
            Phase::Serving(_) => {
                if server.is_none() {
                    server = open_ssh(&guest, &control).await;
                }
            }
            Phase::Stopping(why) => {
                guest
                    .console
                    .line(&format!("qib local EC2: the guest ends ({why:?})"));
                ask_processes_to_end()?;
                guest.children.reap();
                deadline = Some(tokio::time::Instant::now() + TIME_TO_END);
            }
            Phase::Ended(why) => {
                finish(&guest, server.as_ref()).await;
                return Ok(why);
            }
        }
    }
}

async fn open_ssh(guest: &Arc<Guest>, control: &Watched) -> Option<SshServer> {
    let server = match SshServer::open(Arc::clone(guest)) {
        Ok(server) => server,
        Err(error) => {
            // As on EC2: a guest without SSH runs on, and its console says why.
            guest.console.line(&format!("sshd: not started: {error}"));
            return None;
        }
    };
    let told = control
        .async_io(Interest::WRITABLE, |socket| {
            control::send(socket, &FromGuest::SshReady, &[])
        })
        .await;
    if let Err(error) = told {
        guest
            .console
            .line(&format!("sshd: the daemon could not be told: {error}"));
    }
    guest.console.line("sshd: accepting connections");
    Some(server)
}

fn accept(server: Option<&SshServer>, peer: String, descriptors: Vec<OwnedFd>) {
    // Without a server the descriptors are closed here, which the other side sees as a closed connection.
    if let Some(server) = server {
        for descriptor in descriptors {
            server.serve(descriptor, peer.clone());
        }
    }
}

/// As systemd does: SIGTERM for services, SIGHUP for shells, which ignore SIGTERM, and SIGCONT so that stopped ones hear it.
fn ask_processes_to_end() -> io::Result<()> {
    for signal in [Signal::TERM, Signal::HUP, Signal::CONT] {
        match sys::signal_all_others(signal) {
            // There is no other process.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            other => other?,
        }
    }
    Ok(())
}

async fn finish(guest: &Guest, server: Option<&SshServer>) {
    // No process is left, or none may be.
    let _ = sys::signal_all_others(Signal::KILL);
    guest.children.reap();
    if let Some(server) = server {
        // Those that do not drain in time lose their last bytes, as when a machine's network goes down.
        let _ = tokio::time::timeout(TIME_TO_DRAIN, server.drained()).await;
    }
    rustix::fs::sync();
    guest.console.line("reboot: Power down");
}

/// Copies `/dev/console` to the console log.
fn read_console(guest: &Arc<Guest>, console: Console) -> io::Result<()> {
    let guest = Arc::clone(guest);
    let reader = std::thread::Builder::new().name("console".to_owned());
    reader
        .spawn(move || {
            let Console { master, terminal } = console;
            let mut master = File::from(master);
            let mut buffer = [0; 4096];
            loop {
                match master.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => guest.console.raw(buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        guest.console.line(&format!(
                            "qib local EC2: /dev/console is no longer read: {error}"
                        ));
                        break;
                    }
                }
            }
            drop(terminal);
        })
        .map(drop)
}
