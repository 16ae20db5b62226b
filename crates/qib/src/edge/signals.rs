//! Ctrl-C, SIGTERM and the terminal's end.

use build::cancel::Cancelled;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP's number, the same on all Linux architectures and in POSIX.1-2017's `kill -1`.
const SIGHUP: u32 = 1;

/// Waits for signals that ask the process to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// From now on these signals do not end the process by themselves. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the handlers cannot be set up.
    pub fn watch() -> io::Result<Self> {
        // Under `nohup` the terminal's end is not a reason to stop, and stays none.
        let ignored = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| ignores(&status, SIGHUP));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if ignored {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Comes back with the next one.
    pub async fn next(&mut self) -> Cancelled {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Cancelled::Interrupted,
            _ = self.terminate.recv() => Cancelled::Terminated,
            // Nobody is there any more who could press Ctrl-C: it must be cleaned up now.
            _ = hang_up => Cancelled::Terminated,
        }
    }
}

/// Whether `/proc/PID/status` says that a signal is ignored: bit `number - 1` of `SigIgn`, see proc_pid_status(5).
fn ignores(status: &str, number: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask >> (number - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| {
            format!("Name:\tqib\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0\n")
        };
        assert!(ignores(&status("0000000000000001"), SIGHUP));
        assert!(!ignores(&status("0000000000001000"), SIGHUP));
        assert!(ignores(&status("0000000000001000"), 13));
        assert!(!ignores("no mask at all", SIGHUP));
    }
}
