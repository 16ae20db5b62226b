//! The process between the daemon and a guest's process 1.
//!
//! It is this executable, started again: single-threaded, with an empty environment and no descriptors but its own. It makes the
//! namespaces, forks process 1 into them and then only waits: for process 1 to end, or for the daemon to be gone.
//!
//! ```text
//!  started ── Start ──► staged ──► namespaces made ── fork ──► waiting ── process 1 ended ──► Exited sent
//!     │                    │              │                       │
//!     └────────────────────┴──────────────┴── error ► Failed sent └── daemon gone ──► process 1 killed
//! ```
//!
//! Process 1 is a fork without exec. Its memory therefore still belongs to the host's user namespace, and being not dumpable it
//! can be neither traced nor opened through `/proc` by root in the guest.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::base_layer::tools_folder;
use super::control::{self, ExitReason, FromGuest, ToGuest};
use super::host::{FIRST_GUEST_ID, GUEST_IDS, GuestMode};
use super::init;
use super::mounts::{self, Sources};
use super::network;
use super::spec::{BootAgent, GuestSpec};
use super::sys::{self, Forked, StandardStream};

/// The name (`argv[0]`) under which the executable is a launcher.
pub const LAUNCHER: &str = "qib-guest";

/// The launcher's standard input is the control socket, its standard output the read end of a pipe whose other end only the
/// daemon holds, its standard error the console log. So it needs no descriptor numbers told, and a person who runs it by hand
/// gets an error instead of a guest.
pub fn main() -> ! {
    let code = match run() {
        Ok(()) => 0,
        Err(reason) => {
            // Standard error is the console log; there is no one else to tell if the control socket is not there.
            let _ = rustix::io::write(io::stderr(), format!("{LAUNCHER}: {reason}\n").as_bytes());
            1
        }
    };
    sys::exit_now(code)
}

fn run() -> Result<(), String> {
    sys::close_inherited()
        .map_err(|e| format!("cannot close the descriptors it was started with: {e}"))?;
    let control =
        sys::inherited(0).map_err(|e| format!("started without a control socket: {e}"))?;
    let lifeline = sys::inherited(1).map_err(|e| format!("started without a lifeline: {e}"))?;
    let (message, _) = control::receive::<ToGuest>(&control)
        .map_err(|e| format!("standard input is no control socket ({e}); guests are started by the local EC2, not by hand"))?
        .ok_or("the daemon went away before it said what to start")?;
    let done = match message {
        ToGuest::Start { spec, mode } => launch(&spec, mode, &control, &lifeline),
        ToGuest::Probe { mode } => probe(mode, &control),
        ToGuest::Ssh { .. } | ToGuest::Stop => {
            Err("the first message was not the guest's specification".to_owned())
        }
    };
    done.inspect_err(|reason| {
        // If the daemon is gone there is no one to tell.
        let _ = control::send(
            &control,
            &FromGuest::Failed {
                reason: reason.clone(),
            },
            &[],
        );
    })
}

fn launch(
    spec: &GuestSpec,
    mode: GuestMode,
    control: &OwnedFd,
    lifeline: &OwnedFd,
) -> Result<(), String> {
    detach_from_starter().map_err(|e| format!("cannot leave the daemon's session: {e}"))?;
    let layer = spec.instance_dir.join("layer");
    let tools = tools_folder(&spec.base_layer).map_err(|e| e.to_string())?;
    let sources = Sources {
        layer: &layer,
        image_layers: &spec.image_layers,
        tools: &tools,
        base: &spec.base_layer,
    };
    make_namespaces(Some(&sources), mode)?;
    match sys::fork().map_err(|e| format!("cannot fork process 1: {e}"))? {
        Forked::Child => {
            let control = control.try_clone().map_err(|e| e.to_string())?;
            be_process_one(spec, mode, control)
        }
        Forked::Parent(child) => {
            protect().map_err(|e| format!("cannot make the launcher untraceable: {e}"))?;
            let id = FromGuest::Process {
                id: child.as_raw_nonzero().get().unsigned_abs(),
            };
            control::send(control, &id, &[])
                .map_err(|e| format!("cannot reach the daemon: {e}"))?;
            let reason =
                wait_for(child, lifeline).map_err(|e| format!("cannot wait for process 1: {e}"))?;
            // The daemon may be gone: then nobody waits for the reason.
            let _ = control::send(control, &FromGuest::Exited(reason), &[]);
            Ok(())
        }
    }
}

/// Does all that a guest needs, over empty folders.
fn probe(mode: GuestMode, control: &OwnedFd) -> Result<(), String> {
    make_namespaces(None, mode)?;
    match sys::fork().map_err(|e| format!("cannot fork process 1: {e}"))? {
        Forked::Child => {
            let tried = sys::set_up_loopback(&[])
                .map_err(|e| format!("cannot set up the guest's network: {e}"))
                .and_then(|()| {
                    mounts::enter(0, mode, BootAgent::HostCloudInit, "probe")
                        .map(drop)
                        .map_err(|e| e.to_string())
                });
            let answer = match tried {
                Ok(()) => FromGuest::Capable,
                Err(reason) => FromGuest::Failed { reason },
            };
            // Without an answer the daemon sees the launcher end.
            let _ = control::send(control, &answer, &[]);
            sys::exit_now(0)
        }
        Forked::Parent(child) => rustix::process::waitpid(Some(child), WaitOptions::empty())
            .map(drop)
            .map_err(|e| e.to_string()),
    }
}

fn detach_from_starter() -> io::Result<()> {
    sys::reset_signal_actions()?;
    rustix::process::setsid()?;
    let null = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    sys::redirect_standard(StandardStream::Input, null.as_fd())?;
    sys::redirect_standard(StandardStream::Output, null.as_fd())
}

/// Without sources, empty folders are staged.
fn make_namespaces(sources: Option<&Sources<'_>>, mode: GuestMode) -> Result<(), String> {
    let stage = |id_map| match sources {
        Some(sources) => mounts::stage(sources, id_map),
        None => mounts::stage_nothing(id_map),
    };
    let user_namespace = new_user_namespace(mode)?;
    let rest = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    let enter = || -> Result<(), String> {
        rustix::thread::move_into_link_name_space(
            user_namespace.as_fd(),
            Some(LinkNameSpaceType::User),
        )
        .map_err(|e| format!("cannot enter the guest's user namespace: {e}"))?;
        if mode == GuestMode::Root {
            sys::become_user(0, 0, &[])
                .map_err(|e| format!("cannot become the guest's root: {e}"))?;
        }
        sys::unshare(rest)
            .map_err(|e| format!("cannot make mount, pid, network, ipc and uts namespaces: {e}"))
    };
    match mode {
        GuestMode::Root => {
            // Only the host's root may make idmapped mounts, so the sources are staged first; the guest's mount namespace is a
            // copy of this one.
            sys::unshare(UnshareFlags::NEWNS)
                .map_err(|e| format!("cannot make a mount namespace: {e}"))?;
            stage(Some(user_namespace.as_fd())).map_err(|e| e.to_string())?;
            enter()
        }
        GuestMode::Rootless => {
            enter()?;
            stage(None).map_err(|e| e.to_string())
        }
    }
}

/// Makes a user namespace with the mode's id map. A helper process holds it until it is open here.
fn new_user_namespace(mode: GuestMode) -> Result<OwnedFd, String> {
    let failed = |what: &'static str| {
        move |e: io::Error| format!("cannot {what} the guest's user namespace: {e}")
    };
    let (ready_read, ready_write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    let (user, group) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    match sys::fork().map_err(failed("fork a holder for"))? {
        Forked::Child => {
            drop(ready_read);
            // Should the launcher be killed in the middle of this, nobody else would end it.
            let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            let code = match (bound, sys::unshare(UnshareFlags::NEWUSER)) {
                (Ok(()), Ok(())) => b'y',
                (_, _) => b'n',
            };
            let _ = rustix::io::write(&ready_write, &[code]);
            loop {
                // Until the parent kills this process.
                rustix::event::pause();
            }
        }
        Forked::Parent(holder) => {
            drop(ready_write);
            let opened = map_and_open(holder, ready_read, mode, user, group);
            rustix::process::kill_process(holder, Signal::KILL).map_err(|e| e.to_string())?;
            rustix::process::waitpid(Some(holder), WaitOptions::empty())
                .map_err(|e| e.to_string())?;
            opened.map_err(failed("make"))
        }
    }
}

fn map_and_open(
    holder: Pid,
    ready: OwnedFd,
    mode: GuestMode,
    user: u32,
    group: u32,
) -> io::Result<OwnedFd> {
    let mut answer = [0];
    fs::File::from(ready).read_exact(&mut answer)?;
    if answer != *b"y" {
        return Err(io::Error::from(rustix::io::Errno::PERM));
    }
    let process = Path::new("/proc").join(holder.as_raw_nonzero().to_string());
    let (users, groups) = match mode {
        GuestMode::Root => {
            let map = format!("0 {FIRST_GUEST_ID} {GUEST_IDS}\n");
            (map.clone(), map)
        }
        GuestMode::Rootless => {
            // The kernel lets an unprivileged process map its group only if nobody in the namespace can drop groups.
            fs::write(process.join("setgroups"), "deny")?;
            (format!("0 {user} 1\n"), format!("0 {group} 1\n"))
        }
    };
    fs::write(process.join("uid_map"), users)?;
    fs::write(process.join("gid_map"), groups)?;
    Ok(fs::File::open(process.join("ns/user"))?.into())
}

fn protect() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    )?)
}

fn be_process_one(spec: &GuestSpec, mode: GuestMode, control: OwnedFd) -> ! {
    let prepared = prepare(spec, mode, &control);
    match prepared {
        Ok(console) => init::run(spec, mode, control, console),
        Err(reason) => {
            let _ = control::send(&control, &FromGuest::Failed { reason }, &[]);
            sys::exit_now(1)
        }
    }
}

fn prepare(
    spec: &GuestSpec,
    mode: GuestMode,
    control: &OwnedFd,
) -> Result<mounts::Console, String> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| e.to_string())?;
    let listeners = network::set_up(spec.private_ip, &spec.ipv6, spec.endpoint)
        .map_err(|e| format!("cannot set up the guest's network: {e}"))?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(|e| format!("cannot set the host name: {e}"))?;
    let console = mounts::enter(spec.image_layers.len(), mode, spec.agent, &spec.instance_id)
        .map_err(|e| e.to_string())?;
    protect().map_err(|e| format!("cannot make process 1 untraceable: {e}"))?;
    sys::limit_processes(init::MOST_PROCESSES)
        .map_err(|e| format!("cannot limit the number of processes: {e}"))?;
    let (imds, endpoint) = (
        OwnedFd::from(listeners.imds),
        OwnedFd::from(listeners.endpoint),
    );
    control::send(control, &FromGuest::Listening, &[&imds, &endpoint])
        .map_err(|e| format!("cannot reach the daemon: {e}"))?;
    Ok(console)
}

fn wait_for(child: Pid, lifeline: &OwnedFd) -> io::Result<ExitReason> {
    let process = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
    let mut killed = false;
    loop {
        let mut events = [
            PollFd::new(&process, PollFlags::IN),
            PollFd::new(lifeline, PollFlags::empty()),
        ];
        let watched = if killed {
            &mut events[..1]
        } else {
            &mut events[..]
        };
        match rustix::event::poll(watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !events[0].revents().is_empty() {
            break;
        }
        if !events[1].revents().is_empty() && !killed {
            rustix::process::pidfd_send_signal(&process, Signal::KILL)?;
            killed = true;
        }
    }
    let (_, status) = rustix::process::waitpid(Some(child), WaitOptions::empty())?
        .ok_or_else(|| io::Error::other("process 1 ended but left no status"))?;
    Ok(if killed {
        ExitReason::Stopped
    } else {
        reason_of(ExitStatus::from_raw(status.as_raw()))
    })
}

/// A pid namespace's process 1 dies of SIGHUP when `reboot(2)` is called for a restart and of SIGINT for a halt or power-off.
/// <https://man7.org/linux/man-pages/man2/reboot.2.html>, "Behavior inside PID namespaces".
fn reason_of(status: ExitStatus) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(init::EXIT_STOPPED), _) => ExitReason::Stopped,
        (Some(init::EXIT_POWER_OFF), _) | (None, Some(libc::SIGINT)) => ExitReason::PowerOff,
        (Some(init::EXIT_REBOOT), _) | (None, Some(libc::SIGHUP)) => ExitReason::Reboot,
        _ => ExitReason::Crashed {
            reason: status.to_string(),
        },
    }
}

/// Whether a process that was started under this name is to be a launcher.
pub fn is_launcher(name: &OsStr) -> bool {
    name == LAUNCHER
}
