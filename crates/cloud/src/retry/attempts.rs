//! One call with all its attempts.

use super::{CallNature, Decision, Ledger, OPERATION_TIME};
use crate::clock::{Clock, between};
use crate::port::Result;
use crate::{CloudError, ErrorKind};
use futures::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all calls of an account share.
pub(super) struct Attempts {
    clock: Arc<dyn Clock>,
    seed: u64,
    calls: AtomicU64,
}

impl Attempts {
    pub(super) fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            clock,
            seed,
            calls: AtomicU64::new(0),
        }
    }

    /// Makes `call`, again as its nature and its errors allow.
    pub(super) async fn of<T, F>(
        &self,
        operation: &'static str,
        resource: &str,
        nature: CallNature,
        call: impl Fn() -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let begun = self.clock.now();
        let mut ledger = Ledger::new(nature, begun, self.seed, operation, resource, number);
        loop {
            let left = between(self.clock.now(), ledger.deadline());
            let attempt = pin!(call());
            // Every attempt has timeouts of its own in the adapter; this one is for the sum of them.
            let error = match select(attempt, self.clock.sleep(left)).await {
                Either::Left((Ok(value), _)) => return Ok(value),
                Either::Left((Err(error), _)) => error,
                Either::Right(((), _)) => unanswered(operation, resource),
            };
            match ledger.judge(error.kind, self.clock.now()) {
                Decision::Repeat(pause) => self.clock.sleep(pause).await,
                Decision::GiveUp(_) => return Err(ledger.closed(error, self.clock.now())),
            }
        }
    }
}

/// The error of a call that was cut off: what it did is not known.
fn unanswered(operation: &'static str, resource: &str) -> CloudError {
    CloudError {
        operation,
        resource: (!resource.is_empty()).then(|| resource.to_owned()),
        kind: ErrorKind::Transient,
        code: String::new(),
        message: format!(
            "no answer in the {} min that a call may take",
            OPERATION_TIME.as_secs() / 60
        ),
        request_id: None,
    }
}
