//! What the local EC2 needs of whatever runs its instances: namespace guests, or in tests a guest in memory.

use crate::guest::{GuestExit, GuestHost, GuestSpec, RunningGuest, StopKind};
use crate::imported::unpack::{self, Base, Unpacked};
use crate::imported::{self, volume::Volume};
use async_trait::async_trait;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// A guest could not be started, ended or captured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuntimeError(pub String);

/// Runs instances.
#[async_trait]
pub trait GuestRuntime: Send + Sync + 'static {
    /// What the catalogue's images consist of here.
    fn content_id(&self) -> String;

    /// How guests run, in a word for `local status`.
    fn mode(&self) -> String;

    /// Starts a guest; returns when its listeners exist.
    async fn start(&self, spec: GuestSpec) -> Result<StartedGuest, RuntimeError>;

    /// Turns a stopped instance's own layer into `layer`.
    fn freeze(&self, instance_dir: &Path, layer: &Path) -> Result<(), RuntimeError>;

    /// Makes the layer `layer` of the files on a disk that was written by blocks. `base` is the base layer. Guests that are
    /// only remembered have no files.
    fn unpack(
        &self,
        _disk: &Volume,
        _base: &Path,
        _layer: &Path,
    ) -> Result<Unpacked, RuntimeError> {
        Ok(Unpacked::default())
    }

    /// Removes a layer or an instance's folder. One that is not there is removed already.
    fn remove_layer(&self, dir: &Path) -> Result<(), RuntimeError>;
}

/// A guest that has been started.
pub struct StartedGuest {
    /// Where its metadata service is to be served.
    pub imds: TcpListener,
    /// Where the API is to be served to it.
    pub endpoint: TcpListener,
    /// The guest.
    pub guest: Arc<dyn Guest>,
}

/// A running guest.
#[async_trait]
pub trait Guest: Send + Sync {
    /// A stream to its SSH server.
    async fn connect_ssh(&self) -> io::Result<UnixStream>;

    /// Ends it and waits until it is gone.
    async fn stop(&self, how: StopKind) -> Result<(), RuntimeError>;

    /// Tells when and why it ended.
    fn exited(&self) -> watch::Receiver<Option<GuestExit>>;

    /// Whether packets from outside reach it.
    fn has_network(&self) -> bool {
        true
    }
}

/// A guest whose network never came up: whom it connects to it never hears from.
pub(crate) struct Unplugged {
    /// The guest.
    pub(crate) guest: Arc<dyn Guest>,
    /// Its metadata service's and the API's listeners. While they are open nobody refuses the guest, and nobody answers.
    pub(crate) _unanswered: [TcpListener; 2],
}

#[async_trait]
impl Guest for Unplugged {
    async fn connect_ssh(&self) -> io::Result<UnixStream> {
        Err(io::ErrorKind::NetworkUnreachable.into())
    }

    async fn stop(&self, how: StopKind) -> Result<(), RuntimeError> {
        self.guest.stop(how).await
    }

    fn exited(&self) -> watch::Receiver<Option<GuestExit>> {
        self.guest.exited()
    }

    fn has_network(&self) -> bool {
        false
    }
}

#[async_trait]
impl GuestRuntime for GuestHost {
    fn content_id(&self) -> String {
        GuestHost::content_id(self).to_owned()
    }

    fn mode(&self) -> String {
        format!("{:?}", GuestHost::mode(self)).to_lowercase()
    }

    async fn start(&self, spec: GuestSpec) -> Result<StartedGuest, RuntimeError> {
        let guest = GuestHost::start(self, spec)
            .await
            .map_err(|e| RuntimeError(e.to_string()))?;
        let listener = |l: &TcpListener| {
            l.try_clone()
                .map_err(|e| RuntimeError(format!("cannot take over a guest's listener: {e}")))
        };
        Ok(StartedGuest {
            imds: listener(&guest.imds)?,
            endpoint: listener(&guest.endpoint)?,
            guest: Arc::new(guest),
        })
    }

    fn freeze(&self, instance_dir: &Path, layer: &Path) -> Result<(), RuntimeError> {
        GuestHost::freeze(self, instance_dir, layer).map_err(|e| RuntimeError(e.to_string()))
    }

    fn unpack(&self, disk: &Volume, base: &Path, layer: &Path) -> Result<Unpacked, RuntimeError> {
        let base = Base {
            root: base.join("root"),
            usr: "/usr".into(),
            mode: GuestHost::mode(self),
        };
        let root = imported::find_root(disk).map_err(|e| RuntimeError(e.to_string()))?;
        unpack::unpack(disk, root, &base, layer)
            .map_err(|e| RuntimeError(format!("the image's files cannot be read: {e}")))
    }

    fn remove_layer(&self, dir: &Path) -> Result<(), RuntimeError> {
        GuestHost::remove_layer(self, dir).map_err(|e| RuntimeError(e.to_string()))
    }
}

#[async_trait]
impl Guest for RunningGuest {
    async fn connect_ssh(&self) -> io::Result<UnixStream> {
        RunningGuest::connect_ssh(self).await
    }

    async fn stop(&self, how: StopKind) -> Result<(), RuntimeError> {
        RunningGuest::stop(self, how)
            .await
            .map_err(|e| RuntimeError(e.to_string()))
    }

    fn exited(&self) -> watch::Receiver<Option<GuestExit>> {
        RunningGuest::exited(self)
    }
}
