//! How this host can run guests.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::base_layer;
use super::layers;
use super::probe;
use super::running::{self, RunningGuest};
use super::spec::GuestSpec;

/// First of the host's ids that root guests map to: above what systemd-nspawn (524288 to 1878982655) and the usual
/// `/etc/subuid` ranges hand out. <https://systemd.io/UIDS-GIDS/>
pub const FIRST_GUEST_ID: u32 = 1_879_048_192;
/// How many ids a root guest has.
pub const GUEST_IDS: u32 = 65_536;

/// Which ids a guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestMode {
    /// Guest ids 0 to 65535 map to an unprivileged range of the host's ids, 1879048192 to 1879113727. Needs root.
    Root,
    /// Guest id 0 is the calling user; there are no other ids. `chown`, and users other than root, do not work.
    Rootless,
}

/// Why this host cannot run guests.
#[derive(Debug, thiserror::Error)]
#[error("this host cannot run the local EC2's guests: {missing}. {remedy}")]
pub struct HostProblem {
    /// The setting or program that is missing.
    pub missing: String,
    /// What to do about it.
    pub remedy: String,
}

/// A guest, or one of its layers, could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file operation on the host failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was being done: "cannot …".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The guest did not start.
    #[error("guest {instance_id} did not start: {reason}")]
    Start {
        /// The instance.
        instance_id: String,
        /// Why, and where to look.
        reason: String,
    },
    /// The guest could not be told something.
    #[error("guest {instance_id} does not answer: {source}")]
    Control {
        /// The instance.
        instance_id: String,
        /// Why.
        source: std::io::Error,
    },
}

impl GuestError {
    pub(super) fn file(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> GuestError {
        let path = path.to_owned();
        move |source| GuestError::File {
            doing,
            path,
            source,
        }
    }
}

/// How this host can run guests.
#[derive(Clone, Debug)]
pub struct GuestHost {
    mode: GuestMode,
    content_id: String,
}

impl GuestHost {
    /// Finds out whether and how this host can run guests, before anything starts.
    ///
    /// # Errors
    /// Names the missing setting and what to do about it.
    pub fn probe() -> Result<GuestHost, HostProblem> {
        let mode = probe::probe()?;
        let content_id = base_layer::host_content_id().map_err(|e| HostProblem {
            missing: e.to_string(),
            remedy: "The local EC2 names its images after the host's os-release and package list; both must be readable".to_owned(),
        })?;
        Ok(GuestHost { mode, content_id })
    }

    /// Which ids guests have here.
    pub fn mode(&self) -> GuestMode {
        self.mode
    }

    /// What the catalogue's images consist of on this host: a hash over os-release and the package list, 64 hexadecimal digits.
    pub fn content_id(&self) -> &str {
        &self.content_id
    }

    /// Makes the layer every guest shares below its image. Does nothing if it is there and up to date; no guest may run on `dir`
    /// when it is not.
    ///
    /// # Errors
    /// If the host's `/etc` or package database cannot be copied.
    pub fn prepare_base_layer(&self, dir: &Path) -> Result<(), GuestError> {
        base_layer::prepare(dir, self.mode, &self.content_id)
    }

    /// Starts a guest. Returns when its network namespace and listeners exist; booting goes on afterwards, so the caller must
    /// serve the IMDS at once.
    ///
    /// # Errors
    /// If the guest could not be set up. Nothing of it runs then.
    pub async fn start(&self, spec: GuestSpec) -> Result<RunningGuest, GuestError> {
        layers::prepare_upper(&spec.instance_dir, self.mode)?;
        running::start(spec, self.mode).await
    }

    /// Turns the upper layer of a stopped instance into an immutable image layer. The instance goes on from
    /// `[image_layer] + image_layers`: give that list in its next [`GuestSpec`].
    ///
    /// # Errors
    /// If the instance has no layer, or `image_layer` is on another file system or exists.
    pub fn freeze(&self, instance_dir: &Path, image_layer: &Path) -> Result<(), GuestError> {
        layers::freeze(instance_dir, image_layer)
    }

    /// Removes a layer or a whole instance folder, whatever its files' owners and modes are.
    ///
    /// # Errors
    /// If something cannot be removed. A folder that is not there is removed already.
    pub fn remove_layer(&self, dir: &Path) -> Result<(), GuestError> {
        layers::remove(dir)
    }
}
