//! Process 1's children: those it started, and the orphans that every process 1 inherits.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::WaitOptions;
use tokio::sync::{oneshot, watch};

/// A process that was started, and its end.
#[derive(Debug)]
pub struct Started {
    /// For its pipes and id. Never wait on it: [`Children::reap`] takes its status.
    pub child: Child,
    /// Its status, when it has ended.
    pub status: oneshot::Receiver<ExitStatus>,
}

/// All children, and who waits for which.
#[derive(Debug)]
pub struct Children {
    waiting: Mutex<HashMap<u32, oneshot::Sender<ExitStatus>>>,
    any_left: watch::Sender<bool>,
}

impl Children {
    /// Nobody yet.
    pub fn new() -> Children {
        Children {
            waiting: Mutex::new(HashMap::new()),
            any_left: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<ExitStatus>>> {
        // The map is consistent after each statement, so a panic elsewhere cannot have left it half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process. Reaping waits meanwhile, or the process could be reaped before its id is known here, and one whose exec
    /// failed before the standard library has read its status.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        let mut waiting = self.lock();
        let child = command.spawn()?;
        let (sender, status) = oneshot::channel();
        waiting.insert(child.id(), sender);
        self.any_left.send_replace(true);
        Ok(Started { child, status })
    }

    /// Takes the status of every child that has ended. To be called after each SIGCHLD.
    pub fn reap(&self) {
        let mut waiting = self.lock();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((process, status))) => {
                    let id = process.as_raw_nonzero().get().unsigned_abs();
                    if let Some(sender) = waiting.remove(&id) {
                        // Whoever started it may have lost interest.
                        let _ = sender.send(ExitStatus::from_raw(status.as_raw()));
                    }
                }
                Ok(None) => break,
                Err(rustix::io::Errno::INTR) => {}
                // ECHILD: none left.
                Err(_) => {
                    self.any_left.send_replace(false);
                    break;
                }
            }
        }
    }

    /// Waits until no child is left.
    pub async fn none_left(&self) {
        // Cannot fail: the sender lives as long as `self`.
        let _ = self.any_left.subscribe().wait_for(|left| !left).await;
    }
}
