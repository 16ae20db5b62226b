//! What can go wrong, for the person who reads it.

use crate::digest::Digest;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no image. Every message names what was fetched, from where, why it failed and what to do; none has a
/// password or a query in it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A URL was given without a checksum.
    #[error(
        "{what}: no checksum is given for {from}; nothing would tell a changed or broken download from the right one. \
         Give the checksum that its publisher names"
    )]
    NoChecksum {
        /// The fetch's name.
        what: String,
        /// Where it would have come from.
        from: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("{what}: cannot {doing} {}: {error}", path.display())]
    File {
        /// The fetch's name.
        what: String,
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// This machine's certificate authorities or proxy settings are of no use.
    #[error("{what}: HTTPS cannot be used on this machine: {why}")]
    Machine {
        /// The fetch's name.
        what: String,
        /// Why.
        why: String,
    },
    /// The server answered, and asking again would change nothing.
    #[error("{what}: {from} answers {status}. {hint}")]
    Refused {
        /// The fetch's name.
        what: String,
        /// The address that answered.
        from: String,
        /// Status and its reason.
        status: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server's answer cannot be followed or understood.
    #[error("{what}: {from}: {why}")]
    Answer {
        /// The fetch's name.
        what: String,
        /// The address that answered.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// It was asked as often as the settings allow, and failed each time.
    #[error(
        "{what}: {from} failed {attempts} times in a row, at last: {why}. What has arrived is kept: the next attempt asks \
         for the rest"
    )]
    Unreachable {
        /// The fetch's name.
        what: String,
        /// The address that was asked for.
        from: String,
        /// How many times.
        attempts: u32,
        /// The last failure.
        why: String,
    },
    /// It took longer than the settings allow in all.
    #[error(
        "{what}: fetching {from} was given up after {after:?}. What has arrived is kept: the next attempt asks for the rest"
    )]
    TimedOut {
        /// The fetch's name.
        what: String,
        /// The address that was asked for.
        from: String,
        /// The time that it had.
        after: Duration,
    },
    /// The file became another one again and again while it was downloaded.
    #[error(
        "{what}: {from} changes while it is being downloaded ({why}); it was begun anew {restarts} times. Use the address of \
         a release that stays as it is"
    )]
    Unstable {
        /// The fetch's name.
        what: String,
        /// The address that was asked for.
        from: String,
        /// How it showed.
        why: String,
        /// How many times it was begun anew.
        restarts: u32,
    },
    /// What came is something else than a disk image.
    #[error("{what}: {from} is not a disk image: {why}")]
    NotAnImage {
        /// The fetch's name.
        what: String,
        /// Where it came from.
        from: String,
        /// What it is, and what to do.
        why: String,
    },
    /// What came has another digest than it should have. It was removed.
    #[error(
        "{what}: {from} is not what the checksum says: expected {expected}, got {got}. Nothing of it was kept or used. \
         Compare the checksum with what the publisher names today{}", match note { Some(note) => format!("; {note}"), None => String::new() }
    )]
    Mismatch {
        /// The fetch's name.
        what: String,
        /// Where it came from.
        from: String,
        /// The digest that it should have.
        expected: Box<Digest>,
        /// The digest that it has.
        got: Box<Digest>,
        /// Something about the transfer that may be the reason.
        note: Option<String>,
    },
    /// The checksum file does not say what the digest is.
    #[error("{what}: the checksum file {from}: {why}")]
    Checksums {
        /// The fetch's name.
        what: String,
        /// Where the checksum file came from.
        from: String,
        /// What is wrong.
        why: String,
    },
    /// The signature of the checksum file is not good, or cannot be verified.
    #[error("{what}: the signature of {from} is not accepted: {why}")]
    Signature {
        /// The fetch's name.
        what: String,
        /// Where the checksum file came from.
        from: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The file cannot be unpacked. Nothing of it was kept.
    #[error("{what}: {from} cannot be unpacked: {why}")]
    Packed {
        /// The fetch's name.
        what: String,
        /// Where it came from.
        from: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The disk has too little room, or would have.
    #[error(
        "{what}: no room to {doing} in {}: {} needed, {} free, of which {} are to stay free. Make room, or use a cache on \
         another disk{}", place.display(), bytes(*needed), bytes(*free), bytes(*kept), note
    )]
    NoRoom {
        /// The fetch's name.
        what: String,
        /// What was being done, as a verb.
        doing: &'static str,
        /// The folder.
        place: PathBuf,
        /// Bytes that are needed, at least.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes that the settings keep free.
        kept: u64,
        /// What became of the download.
        note: &'static str,
    },
}

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// What was asked for is wrong: address, checksum, key, or the file itself. Asking again gives the same.
    Input,
    /// A server, the network or this machine's disk is in the way.
    Circumstances,
}

impl FetchError {
    /// Whether the input is to be changed, or something else.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::NoChecksum { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::NotAnImage { .. }
            | Self::Mismatch { .. }
            | Self::Checksums { .. }
            | Self::Signature { .. }
            | Self::Packed { .. } => Blame::Input,
            Self::File { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
                Blame::Input
            }
            Self::File { .. }
            | Self::Machine { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Unstable { .. }
            | Self::NoRoom { .. } => Blame::Circumstances,
        }
    }
}

/// A number of bytes as a person reads it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let unit = (count.ilog2() / 10).clamp(1, 5);
    // In tenths, rounded up: what is needed is never understated.
    let tenths = (u128::from(count) * 10).div_ceil(1 << (10 * unit));
    format!(
        "{}.{} {}",
        tenths / 10,
        tenths % 10,
        UNITS[unit as usize - 1]
    )
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1025), "1.1 KiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}
