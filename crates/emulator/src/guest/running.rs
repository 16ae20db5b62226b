//! A guest as its daemon sees it.

use super::GuestError;

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
    /// [`RunningGuest::stop`] was called.
    Stopped,
    /// Process 1 ended on its own.
    Crashed {
        /// What is known about it.
        reason: String,
    },
}

/// A running guest. Dropping it ends the guest.
#[derive(Debug)]
pub struct RunningGuest {
    /// 169.254.169.254:80 inside the guest. Serve the IMDS on it. Blocking mode: call `set_nonblocking` before giving it to tokio.
    pub imds: std::net::TcpListener,
    /// The EC2 endpoint's address inside the guest.
    pub endpoint: std::net::TcpListener,
}

impl RunningGuest {
    /// A raw byte stream to the guest's SSH server.
    ///
    /// # Errors
    /// `ConnectionRefused` before the boot agent has put keys and users in place, as on EC2, and after the guest has ended.
    pub async fn connect_ssh(&self) -> std::io::Result<tokio::net::UnixStream> {
        unimplemented!()
    }

    /// Stops the guest and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn stop(&self, _how: StopKind) -> Result<(), GuestError> {
        unimplemented!()
    }

    /// Tells when and why the guest ended; `None` while it runs.
    pub fn exited(&self) -> tokio::sync::watch::Receiver<Option<GuestExit>> {
        unimplemented!()
    }

    /// Process 1's id on the host.
    pub fn pid(&self) -> u32 {
        unimplemented!()
    }
}
