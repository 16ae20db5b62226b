//! AWS ends an instance by itself, when a fault asks for it.
//!
//! ```text
//!  running ──told_after──► notice in the metadata ──after──► terminated (spot_interruption)
//!     └────────────────────after───────────────────────────► terminated (instance_terminated_after_ms)
//! ```

use super::Engine;
use super::actor::{Command, release};
use crate::account::Account;
use crate::account::instance::{Instance, StateReason};
use crate::account::lifecycle::LifeEvent;
use crate::guest::StopKind;
use crate::ids::InstanceId;
use crate::instance_faults::{FaultsOf, SpotInterruption};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Has AWS end an instance later that just came to run, if that is asked for.
pub(super) fn arm(engine: &Arc<Engine>, id: &InstanceId, faults: &FaultsOf) {
    let Some(run) = engine.account().find_instance(id).map(|(_, i)| i.launched) else {
        return;
    };
    let run = Run {
        engine: engine.clone(),
        id: id.clone(),
        launched: run,
    };
    if let Some(after) = faults.terminated_after {
        let run = run.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            run.end(StateReason {
                code: "Server.SpotInstanceTermination".into(),
                message: "Server.ScheduledStop: terminated by AWS (fault)".into(),
            });
        });
    }
    if let Some(spot) = faults.spot_interruption {
        tokio::spawn(run.take_back(spot));
    }
}

/// An instance from one start to its next stop.
#[derive(Clone)]
struct Run {
    engine: Arc<Engine>,
    id: InstanceId,
    launched: Timestamp,
}

impl Run {
    async fn take_back(self, spot: SpotInterruption) {
        tokio::time::sleep(spot.told_after()).await;
        let left = spot.after().saturating_sub(spot.told_after());
        self.tell(left);
        tokio::time::sleep(left).await;
        self.end(StateReason::spot_termination());
    }

    /// Has the metadata service say when the end comes.
    fn tell(&self, left: Duration) {
        self.engine.update(|account| {
            let at = self.engine.clock().now().checked_add(left).ok()?;
            self.instance(account)?.interruption = Some(at);
            Some(())
        });
    }

    fn end(&self, reason: StateReason) {
        let turned = self.engine.update(|account| {
            let instance = self.instance(account)?;
            instance.state = instance.state.after(LifeEvent::Terminate).ok()?;
            instance.since = self.engine.clock().now();
            instance.transition_reason.clone_from(&reason.message);
            instance.state_reason = Some(reason);
            release(account, &self.id);
            Some(())
        });
        if turned.is_some() {
            self.engine
                .actors
                .send(&self.engine, &self.id, Command::Halt(StopKind::Forced));
        }
    }

    /// The instance, if nobody has ended it and it has not been stopped and started since.
    fn instance<'a>(&self, account: &'a mut Account) -> Option<&'a mut Instance> {
        account
            .find_instance_mut(&self.id)
            .filter(|i| i.launched == self.launched && !i.state.is_over())
    }
}
