//! Stopping a run from outside.
//!
//! Cancellation never interrupts a call that creates something: such a call is short, bounded by the adapter's
//! timeouts, and giving it up half-way would leave open whether its effect comes later. It interrupts waits and
//! provisioning, and is looked at between effects.

use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

/// Why a run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Ctrl-C (SIGINT).
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// Asks a run to stop.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<watch::Sender<Option<Cancelled>>>);

/// Tells whether the run is to stop.
#[derive(Clone, Debug)]
pub struct Cancellation(watch::Receiver<Option<Cancelled>>);

/// A canceller and what listens to it.
pub fn cancellation() -> (Canceller, Cancellation) {
    let (sender, receiver) = watch::channel(None);
    (Canceller(Arc::new(sender)), Cancellation(receiver))
}

impl Canceller {
    /// Asks to stop; the first reason stays.
    pub fn cancel(&self, why: Cancelled) {
        self.0.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                *state = Some(why);
            }
            first
        });
    }
}

impl Cancellation {
    /// Why to stop, if one has been asked to.
    pub fn requested(&self) -> Option<Cancelled> {
        *self.0.borrow()
    }

    /// Errs once one has been asked to stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        self.requested().map_or(Ok(()), Err)
    }

    /// Comes back when one is asked to stop, and never otherwise.
    pub async fn cancelled(&self) -> Cancelled {
        let mut receiver = self.0.clone();
        let seen = receiver
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|state| *state);
        match seen {
            Some(why) => why,
            // The canceller is gone: nobody can ask any more.
            None => std::future::pending().await,
        }
    }

    /// Runs `work` until it ends or one is asked to stop; then `work` is dropped where it stands.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Result<T, Cancelled> {
        tokio::select! {
            biased;
            why = self.cancelled() => Err(why),
            value = work => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_a_wait_ends() {
        let (canceller, cancellation) = cancellation();
        assert_eq!(cancellation.check(), Ok(()));
        canceller.cancel(Cancelled::Interrupted);
        canceller.cancel(Cancelled::Terminated);
        assert_eq!(
            cancellation.race(std::future::pending::<()>()).await,
            Err(Cancelled::Interrupted)
        );
    }

    #[tokio::test]
    async fn work_ends_by_itself_when_the_canceller_is_gone() {
        let (canceller, cancellation) = cancellation();
        drop(canceller);
        assert_eq!(cancellation.race(async { 7 }).await, Ok(7));
    }
}
