//! What a guest is made of, as told by whoever starts it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that decides how one guest starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSpec {
    /// EC2's id of the instance, `i-…`. The boot agent keys "first boot" on the id the IMDS gives, not on this one.
    pub instance_id: String,
    /// The instance's own folder: its upper layer `layer/`, overlay work folders and `console.log`.
    /// Must not lie below `/usr` and must be on a file system that can be an overlay's upper layer.
    pub instance_dir: PathBuf,
    /// Made once by [`GuestHost::prepare_base_layer`](super::GuestHost::prepare_base_layer).
    pub base_layer: PathBuf,
    /// Frozen layers of the image the instance boots from, topmost first. Empty for the host's own system.
    pub image_layers: Vec<PathBuf>,
    /// Host name before the boot agent sets the one from the IMDS.
    pub hostname: String,
    /// The image's login user: `ec2-user`, `ubuntu`, `fedora`, …
    pub default_user: String,
    /// The address EC2 would give in the subnet. On the guest's loopback device.
    pub private_ip: Ipv4Addr,
    /// The IPv6 addresses EC2 would give in the subnet. On the guest's loopback device.
    pub ipv6: Vec<Ipv6Addr>,
    /// The EC2 endpoint's address outside; the guest gets a listener on the same address inside.
    pub endpoint: SocketAddr,
    /// What stands in for cloud-init.
    pub agent: BootAgent,
}

/// What carries out user-data in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootAgent {
    /// The emulator's own subset of cloud-init.
    BuiltIn,
    /// The cloud-init installed on the host, run from the guest's `/usr`.
    HostCloudInit,
}
