//! Starting, stopping, rebooting and terminating instances.
//!
//! Which state allows what: [`InstanceState::after`].

use super::instances::{existing, ids, not_found};
use super::params::Scope;
use super::xml::Xml;
use super::{Action, done, instance_view, spot};
use crate::account::instance::{Instance, StateReason};
use crate::account::lifecycle::{InstanceState, LifeEvent};
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::guest::StopKind;
use crate::ids::InstanceId;

fn required_ids(p: &Scope<'_>) -> Result<Vec<InstanceId>, ApiError> {
    let ids = ids(p)?;
    if ids.is_empty() {
        Err(ApiError::missing("InstanceId"))
    } else {
        Ok(ids)
    }
}

/// All instances must be there and allow the event, else none is changed.
fn check(
    cx: &mut Cx<'_>,
    ids: &[InstanceId],
    event: LifeEvent,
    participle: &str,
) -> Result<(), ApiError> {
    let missing: Vec<&InstanceId> = ids.iter().filter(|id| existing(cx, id).is_err()).collect();
    if !missing.is_empty() {
        return Err(not_found(&missing));
    }
    for id in ids {
        let instance = existing(cx, id)?;
        if instance.state.after(event).is_err() {
            let message =
                format!("The instance '{id}' is not in a state from which it can be {participle}.");
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
    }
    Ok(())
}

fn changes(x: &mut Xml, changes: &[(InstanceId, InstanceState, InstanceState)]) {
    x.list("instancesSet", changes, |x, (id, before, after)| {
        x.put("instanceId", id);
        instance_view::state(x, "currentState", *after);
        instance_view::state(x, "previousState", *before);
    });
}

/// Moves an instance on; true if its state changed.
fn turn(
    instance: &mut Instance,
    event: LifeEvent,
    now: jiff::Timestamp,
) -> (InstanceState, InstanceState) {
    let before = instance.state;
    let after = before.after(event).unwrap_or(before);
    if after != before {
        instance.state = after;
        instance.since = now;
        if matches!(event, LifeEvent::Stop | LifeEvent::Terminate) {
            instance.state_reason = Some(StateReason::by_user());
            instance.transition_reason =
                format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT"));
        }
    }
    (before, after)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html>
pub(crate) struct StartInstances {
    ids: Vec<InstanceId>,
}

impl Action for StartInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            ids: required_ids(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check(cx, &self.ids, LifeEvent::Start, "started")?;
        let mut changed = Vec::new();
        for id in self.ids {
            let fresh = cx.account.free_public_ip();
            let now = cx.now;
            let bound = cx.region().elastic_ip(&id).is_some();
            let instance = existing(cx, &id)?;
            let (before, after) = turn(instance, LifeEvent::Start, now);
            if before != after {
                instance.launched = now;
                instance.state_reason = None;
                instance.transition_reason.clear();
                instance.interface.public_ip =
                    (instance.interface.wants_public_ip && !bound).then_some(fresh);
                cx.effects.push(Effect::Boot(id.clone()));
            }
            changed.push((id, before, after));
        }
        let mut x = Xml::new();
        changes(&mut x, &changed);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html>
pub(crate) struct StopInstances {
    ids: Vec<InstanceId>,
    kind: StopKind,
}

impl Action for StopInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html: only for instances launched for it, and none is here.
        if p.flag("Hibernate")? == Some(true) {
            return Err(ApiError::new(
                "UnsupportedHibernationConfiguration",
                "The instance is not configured for hibernation",
            ));
        }
        let forced = p.flag("Force")? == Some(true) || p.flag("SkipOsShutdown")? == Some(true);
        Ok(Self {
            ids: required_ids(p)?,
            kind: if forced {
                StopKind::Forced
            } else {
                StopKind::Graceful
            },
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check(cx, &self.ids, LifeEvent::Stop, "stopped")?;
        for id in &self.ids {
            if existing(cx, id)?.spot.is_some() {
                return Err(spot::cannot_stop(id));
            }
        }
        let mut changed = Vec::new();
        for id in self.ids {
            let now = cx.now;
            let (before, after) = turn(existing(cx, &id)?, LifeEvent::Stop, now);
            if before != after || self.kind == StopKind::Forced {
                cx.effects.push(Effect::Halt(id.clone(), self.kind));
            }
            changed.push((id, before, after));
        }
        let mut x = Xml::new();
        changes(&mut x, &changed);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html>
pub(crate) struct TerminateInstances {
    ids: Vec<InstanceId>,
}

impl Action for TerminateInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // A terminated guest's disk is thrown away, so its processes are never asked to end first.
        p.flag("Force")?;
        p.flag("SkipOsShutdown")?;
        Ok(Self {
            ids: required_ids(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check(cx, &self.ids, LifeEvent::Terminate, "terminated")?;
        let mut changed = Vec::new();
        for id in self.ids {
            let now = cx.now;
            let instance = existing(cx, &id)?;
            if instance.disable_api_termination {
                let message = format!(
                    "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
                );
                return Err(ApiError::new("OperationNotPermitted", message));
            }
            let (before, after) = turn(instance, LifeEvent::Terminate, now);
            if before != after {
                cx.effects.push(Effect::Halt(id.clone(), StopKind::Forced));
            }
            changed.push((id.clone(), before, after));
        }
        for (id, _, _) in changed.iter().filter(|(_, _, after)| after.is_over()) {
            release(cx, id);
        }
        let mut x = Xml::new();
        changes(&mut x, &changed);
        Ok(x)
    }
}

/// Lets go of what a terminated instance held outside itself: its Elastic IP is free again at once.
fn release(cx: &mut Cx<'_>, id: &InstanceId) {
    let region = cx.region();
    for address in region.addresses.values_mut() {
        address.let_go_of(id);
    }
    if let Some(instance) = region.instances.get_mut(id) {
        instance.interface.public_ip = None;
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RebootInstances.html>
pub(crate) struct RebootInstances {
    ids: Vec<InstanceId>,
}

impl Action for RebootInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            ids: required_ids(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check(cx, &self.ids, LifeEvent::Reboot, "rebooted")?;
        cx.effects.extend(self.ids.into_iter().map(Effect::Reboot));
        Ok(done())
    }
}
