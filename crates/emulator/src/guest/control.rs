//! What the daemon, a guest's launcher and its process 1 say to each other.
//!
//! They share one `SOCK_SEQPACKET` pair: a message arrives whole or not at all, with its descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::host::GuestMode;
use super::spec::GuestSpec;

/// Longest message. A specification with 200 layers is about 30 KiB.
const LONGEST_MESSAGE: usize = 128 * 1024;
/// Most descriptors in one message.
const MOST_DESCRIPTORS: usize = 2;

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToGuest {
    /// To the launcher, first of all.
    Start {
        /// What to start.
        spec: Box<GuestSpec>,
        /// Which ids it has.
        mode: GuestMode,
    },
    /// To the launcher instead of `Start`: find out whether guests can run here.
    Probe {
        /// With which ids.
        mode: GuestMode,
    },
    /// To process 1, with one descriptor: a stream that wants the SSH server.
    Ssh {
        /// `address port address port`, for `SSH_CONNECTION`.
        peer: String,
    },
    /// To process 1: end all processes and then yourself.
    Stop,
}

/// To the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromGuest {
    /// From a process 1 that only tried: everything a guest needs works.
    Capable,
    /// From process 1, with two descriptors: the IMDS's and the endpoint's listener.
    Listening,
    /// From the launcher, beside `Listening`: process 1's id on the host.
    Process {
        /// The id.
        id: u32,
    },
    /// From process 1: SSH connections are served from now on.
    SshReady,
    /// From either: the guest could not be set up.
    Failed {
        /// What was being done and why it failed.
        reason: String,
    },
    /// From the launcher, last of all.
    Exited(ExitReason),
}

/// Why process 1 ended, as its launcher saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// `Stop` was obeyed, or the launcher killed it because the daemon is gone.
    Stopped,
    /// A power-off was asked for in the guest.
    PowerOff,
    /// A reboot was asked for in the guest.
    Reboot,
    /// Anything else.
    Crashed {
        /// Exit code or signal.
        reason: String,
    },
}

/// Makes a connected pair.
///
/// # Errors
/// As `socketpair`'s.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends one message with its descriptors.
///
/// # Errors
/// `BrokenPipe` if the other side is gone; `WouldBlock` on a non-blocking socket whose buffer is full.
pub fn send<M: Serialize>(
    socket: impl AsFd,
    message: &M,
    descriptors: &[&OwnedFd],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > LONGEST_MESSAGE {
        return Err(io::Error::other(format!(
            "a control message of {} bytes is over the limit of {LONGEST_MESSAGE}",
            bytes.len()
        )));
    }
    let borrowed: Vec<_> = descriptors.iter().map(|d| d.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other(format!(
            "a control message carries at most {MOST_DESCRIPTORS} descriptors"
        )));
    }
    rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives one message; `None` when the other side is gone.
///
/// # Errors
/// As `recvmsg`'s, and if the message is not one of `M`.
pub fn receive<M: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut receive = || {
        let mut bytes = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(
            socket.as_fd(),
            &mut bytes,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    };
    let received = match receive() {
        // Of a peer that closes its end with a message of ours unread, Linux tells this once, ahead of what the peer had sent.
        Err(Errno::CONNRESET) => receive(),
        received => received,
    }?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let message = bytes.get(..received.bytes).unwrap_or_default();
    Ok(Some((serde_json::from_slice(message)?, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_said_last_is_heard_although_it_did_not_read_what_it_was_told() {
        let (ours, theirs) = pair().unwrap();
        send(&theirs, &FromGuest::Exited(ExitReason::Reboot), &[]).unwrap();
        send(&ours, &ToGuest::Stop, &[]).unwrap();
        drop(theirs);
        let heard = receive::<FromGuest>(&ours).unwrap().map(|(said, _)| said);
        assert!(
            matches!(heard, Some(FromGuest::Exited(ExitReason::Reboot))),
            "{heard:?}"
        );
        assert!(receive::<FromGuest>(&ours).unwrap().is_none());
    }
}
