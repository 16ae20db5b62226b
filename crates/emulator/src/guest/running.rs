//! A guest as its daemon sees it.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::control::{self, ExitReason, FromGuest, ToGuest};
use super::host::{GuestError, GuestMode};
use super::launcher::LAUNCHER;
use super::spec::GuestSpec;
use super::sys::{self, Watched};

/// How long a graceful stop may take before the guest is killed. Process 1 has a shorter limit for its processes.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// How a guest is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// Processes get SIGTERM and time to end: EC2's StopInstances.
    Graceful,
    /// Everything is killed at once: EC2's `Force`, and termination.
    Forced,
}

/// Why a guest is no longer running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestExit {
    /// `shutdown`, `poweroff` or `halt` was run in the guest.
    ShutDownFromInside,
    /// `reboot` was run in the guest. The instance is to be started again.
    RebootFromInside,
    /// [`RunningGuest::stop`] was called, or the guest was dropped.
    Stopped,
    /// Process 1 ended on its own.
    Crashed {
        /// What is known about it.
        reason: String,
    },
}

/// A running guest. Dropping it ends the guest at once; so does the end of the daemon, however it comes.
#[derive(Debug)]
pub struct RunningGuest {
    /// 169.254.169.254:80 inside the guest. Serve the IMDS on it. Blocking mode: call `set_nonblocking` before giving it to tokio.
    pub imds: TcpListener,
    /// The EC2 endpoint's address inside the guest.
    pub endpoint: TcpListener,
    instance_id: String,
    pid: u32,
    control: Arc<Watched>,
    /// The launcher kills process 1 when this is closed.
    lifeline: Mutex<Option<OwnedFd>>,
    ssh_ready: watch::Receiver<bool>,
    exit: watch::Receiver<Option<GuestExit>>,
}

impl RunningGuest {
    /// A raw byte stream to the guest's SSH server.
    ///
    /// # Errors
    /// `ConnectionRefused` before the boot agent has put keys and users in place, as on EC2, and after the guest has ended.
    pub async fn connect_ssh(&self) -> io::Result<tokio::net::UnixStream> {
        self.connect_ssh_from("127.0.0.1 65535 127.0.0.1 22").await
    }

    /// Like [`connect_ssh`](Self::connect_ssh), with what the guest's `SSH_CONNECTION` says: client address and port, server
    /// address and port, separated by spaces.
    ///
    /// # Errors
    /// As [`connect_ssh`](Self::connect_ssh).
    pub async fn connect_ssh_from(&self, peer: &str) -> io::Result<tokio::net::UnixStream> {
        if !*self.ssh_ready.borrow() || self.exit.borrow().is_some() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::net::UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs.into_std()?);
        let message = ToGuest::Ssh {
            peer: peer.to_owned(),
        };
        self.control
            .async_io(Interest::WRITABLE, |socket| {
                control::send(socket, &message, &[&theirs])
            })
            .await
            .map_err(|e| io::Error::new(io::ErrorKind::ConnectionRefused, e))?;
        Ok(ours)
    }

    /// Whether SSH connections are accepted; changes once, from false to true.
    pub fn ssh_ready(&self) -> watch::Receiver<bool> {
        self.ssh_ready.clone()
    }

    /// Stops the guest and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn stop(&self, how: StopKind) -> Result<(), GuestError> {
        let mut exit = self.exit.clone();
        if how == StopKind::Graceful && exit.borrow().is_none() {
            let told = self
                .control
                .async_io(Interest::WRITABLE, |socket| {
                    control::send(socket, &ToGuest::Stop, &[])
                })
                .await;
            // A guest that cannot be told, or does not obey in time, is killed below.
            if told.is_ok() {
                let _ = tokio::time::timeout(LONGEST_STOP, exit.wait_for(Option::is_some)).await;
            }
        }
        drop(
            self.lifeline
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        exit.wait_for(Option::is_some)
            .await
            .map(drop)
            .map_err(|_| GuestError::Control {
                instance_id: self.instance_id.clone(),
                source: io::Error::other("its launcher was lost sight of"),
            })
    }

    /// Tells when and why the guest ended; `None` while it runs.
    pub fn exited(&self) -> watch::Receiver<Option<GuestExit>> {
        self.exit.clone()
    }

    /// Process 1's id on the host.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

/// Starts the launcher and waits until the guest listens.
pub(super) async fn start(spec: GuestSpec, mode: GuestMode) -> Result<RunningGuest, GuestError> {
    let instance_id = spec.instance_id.clone();
    let failed = |reason: String| GuestError::Start {
        instance_id: instance_id.clone(),
        reason,
    };
    let console_path = spec.instance_dir.join("console.log");
    let console = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(&console_path)
        .and_then(|file| file.set_len(0).map(|()| file))
        .map_err(GuestError::file("open the console log", &console_path))?;
    let (ours, theirs) = control::pair().map_err(|e| failed(format!("no control socket: {e}")))?;
    let (lifeline_read, lifeline) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| failed(format!("no lifeline: {e}")))?;
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0(LAUNCHER)
        .arg(&spec.instance_id)
        .env_clear()
        .current_dir("/");
    command
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(lifeline_read))
        .stderr(Stdio::from(console));
    let launcher = Command::from(command)
        .spawn()
        .map_err(|e| failed(format!("cannot start its launcher: {e}")))?;
    // The launcher's own copies must be the only ones, or its end would not be seen.
    control::send(
        &ours,
        &ToGuest::Start {
            spec: Box::new(spec),
            mode,
        },
        &[],
    )
    .map_err(|e| failed(format!("cannot tell its launcher: {e}")))?;
    let control = sys::watch(Arc::new(ours))
        .map_err(|e| failed(format!("its control socket cannot be watched: {e}")))?;
    let control = Arc::new(control);

    let (mut pid, mut listeners) = (None, None);
    while pid.is_none() || listeners.is_none() {
        match next(&control).await {
            Ok(Some((FromGuest::Process { id }, _))) => pid = Some(id),
            Ok(Some((FromGuest::Listening, descriptors))) => {
                listeners = <[OwnedFd; 2]>::try_from(descriptors).ok()
            }
            Ok(Some((FromGuest::Failed { reason }, _))) => return Err(failed(reason)),
            Ok(Some((FromGuest::SshReady | FromGuest::Capable, _))) => {}
            Ok(Some((FromGuest::Exited(reason), _))) => {
                return Err(failed(format!(
                    "process 1 ended ({reason:?}); see {}",
                    console_path.display()
                )));
            }
            Ok(None) => {
                return Err(failed(format!(
                    "its launcher ended; see {}",
                    console_path.display()
                )));
            }
            Err(error) => {
                return Err(failed(format!(
                    "its launcher cannot be understood: {error}"
                )));
            }
        }
    }
    let (Some(pid), Some([imds, endpoint])) = (pid, listeners) else {
        return Err(failed("its launcher passed no listeners".to_owned()));
    };
    let (ssh_sender, ssh_ready) = watch::channel(false);
    let (exit_sender, exit) = watch::channel(None);
    tokio::spawn(follow(
        Arc::clone(&control),
        launcher,
        ssh_sender,
        exit_sender,
    ));
    Ok(RunningGuest {
        imds: imds.into(),
        endpoint: endpoint.into(),
        instance_id,
        pid,
        control,
        lifeline: Mutex::new(Some(lifeline)),
        ssh_ready,
        exit,
    })
}

async fn next(control: &Watched) -> io::Result<Option<(FromGuest, Vec<OwnedFd>)>> {
    control
        .async_io(Interest::READABLE, |socket| {
            control::receive::<FromGuest>(socket.as_fd())
        })
        .await
}

/// Hears what a started guest says until its launcher is gone.
async fn follow(
    control: Arc<Watched>,
    mut launcher: Child,
    ssh_ready: watch::Sender<bool>,
    exit: watch::Sender<Option<GuestExit>>,
) {
    let mut why = GuestExit::Crashed {
        reason: "its launcher was killed".to_owned(),
    };
    loop {
        match next(&control).await {
            Ok(Some((FromGuest::SshReady, _))) => {
                ssh_ready.send_replace(true);
            }
            Ok(Some((FromGuest::Exited(reason), _))) => {
                why = match reason {
                    ExitReason::Stopped => GuestExit::Stopped,
                    ExitReason::PowerOff => GuestExit::ShutDownFromInside,
                    ExitReason::Reboot => GuestExit::RebootFromInside,
                    ExitReason::Crashed { reason } => GuestExit::Crashed { reason },
                };
            }
            Ok(Some((FromGuest::Failed { reason }, _))) => why = GuestExit::Crashed { reason },
            Ok(Some((
                FromGuest::Listening | FromGuest::Process { .. } | FromGuest::Capable,
                _,
            ))) => {}
            Ok(None) => break,
            Err(error) => {
                why = GuestExit::Crashed {
                    reason: format!("its launcher cannot be understood: {error}"),
                };
                break;
            }
        }
    }
    // The control socket is closed by the kernel when the launcher ends, so this does not wait for long. Should its status have
    // been collected elsewhere, it is gone all the same.
    let _ = launcher.wait().await;
    exit.send_replace(Some(why));
}
