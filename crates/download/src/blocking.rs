//! Work that blocks, on threads for it, told when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the one who waited has gone. Looked at between two pieces of work.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// One that says so from the start.
    #[cfg(test)]
    pub(crate) fn stopped() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// An error once nobody waits any more.
    pub(crate) fn check(&self) -> std::io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("it was cancelled"));
        }
        Ok(())
    }
}

/// Sets the flag when it goes.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread that may block. When the future is dropped, `work` is told by its [`Stop`] and ends by itself.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce(&Stop) -> T + Send + 'static) -> T {
    let stop = Stop::default();
    let _waiting = Waiting(stop.clone());
    match tokio::task::spawn_blocking(move || work(&stop)).await {
        Ok(result) => result,
        // The runtime cancels blocking work only when it shuts down, and then nobody polls this.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
