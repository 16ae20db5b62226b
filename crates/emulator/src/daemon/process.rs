//! Starting the daemon in the background, and ending it.

use super::lock::{ControlLock, DaemonLock};
use super::status::{Status, status};
use super::{DaemonError, detach, serve};
use crate::config::EmulatorConfig;
use crate::files;
use crate::guest::GuestHost;
use crate::runtime::GuestRuntime;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// First argument of the middle process, second the folder.
const DETACH: &str = "__local-ec2-detach";
/// First argument of the daemon, second the folder.
const DAEMON: &str = "__local-ec2-daemon";

/// Entry point of the re-executed binary. Call it in `main` right after
/// [`run_if_guest_process`](crate::guest::run_if_guest_process), before any thread or runtime exists.
///
/// Returns only if this process is not the daemon; otherwise the process ends in here.
pub fn run_if_daemon_process() {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next();
    let Some(dir) = arguments.next().map(PathBuf::from) else {
        return;
    };
    match role.as_deref().and_then(OsStr::to_str) {
        Some(DETACH) => leave(detach_from_caller(&dir)),
        Some(DAEMON) => leave(daemon(&dir)),
        _ => {}
    }
}

#[expect(
    clippy::exit,
    reason = "the process is another program than its main says"
)]
fn leave(outcome: ExitCode) {
    std::process::exit(if outcome == ExitCode::SUCCESS { 0 } else { 1 });
}

/// The middle process: a new session, then the daemon in it.
fn detach_from_caller(dir: &Path) -> ExitCode {
    detach::close_inherited();
    // Fails only for a leader of a process group, which a child just spawned is not.
    let _ = rustix::process::setsid();
    let spawned = std::env::current_exe().and_then(|exe| {
        Command::new(exe)
            .args([OsStr::new(DAEMON), dir.as_os_str()])
            .spawn()
    });
    match spawned {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            report(&format!("error cannot start the daemon: {e}"));
            ExitCode::FAILURE
        }
    }
}

/// The daemon. Its standard output is the pipe that the caller waits at.
fn daemon(dir: &Path) -> ExitCode {
    detach::close_inherited();
    // The folder it was started in may be removed or unmounted while the daemon lives.
    let _ = std::env::set_current_dir("/");
    serve::log_to_standard_error();
    let outcome = serve::serve(dir, || {
        report("ready");
        let silence = || -> std::io::Result<()> {
            let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&null)?;
            Ok(())
        };
        if let Err(e) = silence() {
            tracing::warn!("cannot let go of the caller's pipe: {e}");
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e}");
            report(&format!("error {e}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the waiting caller. If it does not wait any more nobody needs to be told.
fn report(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Starts the daemon of a folder unless it runs, and waits until it is ready. `config` is written to the folder first; none
/// leaves the folder's own.
///
/// # Errors
/// What is missing on this host, or what the daemon said when it failed.
pub fn start_detached(dir: &Path, config: Option<&EmulatorConfig>) -> Result<Status, DaemonError> {
    files::make_dir(dir, 0o711).map_err(DaemonError::io("make the local EC2's folder", dir))?;
    let dir = dir
        .canonicalize()
        .map_err(DaemonError::io("find the local EC2's folder", dir))?;
    let _held = ControlLock::take(&dir)?;
    let now = status(&dir)?;
    if now.running {
        return Ok(now);
    }
    if let Some(config) = config {
        config.write(&dir)?;
    }
    let log = dir.join("daemon.log");
    let errors = files::append(&log).map_err(DaemonError::io("open the daemon's log", &log))?;
    let exe = std::env::current_exe().map_err(DaemonError::io(
        "find this program's file",
        Path::new("/proc/self/exe"),
    ))?;
    let mut middle = Command::new(&exe)
        .args([OsString::from(DETACH), dir.clone().into_os_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(DaemonError::io(
            "start this program in the background",
            &exe,
        ))?;
    let mut said = String::new();
    if let Some(mut pipe) = middle.stdout.take() {
        // Ends when the daemon lets go of the pipe: after "ready", or when it ends.
        pipe.read_to_string(&mut said)
            .map_err(DaemonError::io("wait for the daemon", &log))?;
    }
    middle
        .wait()
        .map_err(DaemonError::io("wait for the daemon", &log))?;
    match said.trim() {
        "ready" => status(&dir),
        other => {
            let why = other
                .strip_prefix("error ")
                .unwrap_or("it ended without a word")
                .to_owned();
            Err(DaemonError::Failed { why, log })
        }
    }
}

/// Ends the daemon of a folder and waits until it is gone. Its instances are kept and boot again with it. False if none runs.
///
/// # Errors
/// If it cannot be told or does not end.
pub fn stop(dir: &Path) -> Result<bool, DaemonError> {
    if !dir.is_dir() {
        return Ok(false);
    }
    let _held = ControlLock::take(dir)?;
    stop_held(dir)
}

fn stop_held(dir: &Path) -> Result<bool, DaemonError> {
    let now = status(dir)?;
    let Some(pid) = now
        .pid
        .and_then(|p| Pid::from_raw(i32::try_from(p).ok()?))
        .filter(|_| now.running)
    else {
        return Ok(false);
    };
    let tell = || -> rustix::io::Result<()> {
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        // The descriptor names the process that has this id now. It is the daemon if the daemon is still there.
        pidfd_send_signal(&process, Signal::TERM)
    };
    if DaemonLock::is_held(dir)? {
        match tell() {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(e) => {
                return Err(DaemonError::io("end the daemon", &dir.join("daemon.json"))(
                    e.into(),
                ));
            }
        }
    }
    DaemonLock::wait_until_free(dir)?;
    Ok(true)
}

/// Ends the daemon of a folder and removes everything in the folder but its settings: instances, images, the account's
/// key, faults.
///
/// # Errors
/// If something cannot be removed.
pub fn reset(dir: &Path) -> Result<(), DaemonError> {
    if !dir.is_dir() {
        return Ok(());
    }
    let held = ControlLock::take(dir)?;
    stop_held(dir)?;
    // Guests' files belong to ids that only the guest's own code can remove.
    let runtime = GuestHost::probe().map_err(|p| DaemonError::Host {
        missing: p.missing,
        remedy: p.remedy,
    })?;
    let entries =
        std::fs::read_dir(dir).map_err(DaemonError::io("look into the local EC2's folder", dir))?;
    for entry in entries {
        let path = entry
            .map_err(DaemonError::io("look into the local EC2's folder", dir))?
            .path();
        if path.is_dir() {
            let failed = |e: crate::runtime::RuntimeError| {
                DaemonError::io("remove", &path)(std::io::Error::other(e))
            };
            GuestRuntime::remove_layer(&runtime, &path).map_err(failed)?;
        } else if path
            .file_name()
            // The settings are the user's.
            .is_some_and(|n| n != "control.lock" && n != "config.json")
        {
            std::fs::remove_file(&path).map_err(DaemonError::io("remove", &path))?;
        }
    }
    drop(held);
    Ok(())
}
