//! How this host can run guests.

use std::path::{Path, PathBuf};

use super::{GuestSpec, RunningGuest};

/// Which ids a guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMode {
    /// Guest ids 0 to 65535 map to an unprivileged range of the host's ids. Needs root.
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
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done, as "cannot …".
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

/// How this host can run guests.
#[derive(Clone, Debug)]
pub struct GuestHost {
    mode: GuestMode,
}

impl GuestHost {
    /// Finds out whether and how this host can run guests, before anything starts.
    ///
    /// # Errors
    /// Names the missing setting and what to do about it.
    pub fn probe() -> Result<GuestHost, HostProblem> {
        unimplemented!()
    }

    /// Which ids guests have here.
    pub fn mode(&self) -> GuestMode {
        self.mode
    }

    /// What the catalogue's images consist of on this host: a hash over os-release and the package list.
    pub fn content_id(&self) -> String {
        unimplemented!()
    }

    /// Makes the layer every guest shares below its image. Does nothing if it is there and up to date.
    ///
    /// # Errors
    /// If the host's `/etc` or package database cannot be copied.
    pub fn prepare_base_layer(&self, _dir: &Path) -> Result<(), GuestError> {
        unimplemented!()
    }

    /// Starts a guest. Returns when its network namespace and listeners exist; booting goes on afterwards, so the caller must
    /// serve the IMDS at once.
    ///
    /// # Errors
    /// If the guest could not be set up.
    pub async fn start(&self, _spec: GuestSpec) -> Result<RunningGuest, GuestError> {
        unimplemented!()
    }

    /// Turns the upper layer of a stopped instance into an immutable image layer. The instance goes on from
    /// `[image_layer] + image_layers`: give that list in its next [`GuestSpec`].
    ///
    /// # Errors
    /// If the instance has no layer, or `image_layer` is on another file system or exists.
    pub fn freeze(&self, _instance_dir: &Path, _image_layer: &Path) -> Result<(), GuestError> {
        unimplemented!()
    }

    /// Removes a layer or a whole instance folder, whatever its files' owners and modes are.
    ///
    /// # Errors
    /// If something cannot be removed. A folder that is not there is removed already.
    pub fn remove_layer(&self, _dir: &Path) -> Result<(), GuestError> {
        unimplemented!()
    }
}
