//! The formats' names.

use std::fmt;
use std::str::FromStr;

/// How a disk is laid out in its file or files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's format, versions 2 and 3.
    Qcow2,
    /// VMware's format: stream-optimised, sparse, flat, in one file or several.
    Vmdk,
    /// Virtual PC's format, fixed or dynamic.
    Vhd,
    /// Hyper-V's format.
    Vhdx,
}

impl Format {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Qcow2, Self::Vmdk, Self::Vhd, Self::Vhdx];

    /// The name in a pipeline's file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no disk format that qib reads; they are raw, qcow2, vmdk, vhd and vhdx")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}
