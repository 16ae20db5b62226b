//! The Elastic IP, once it is leased: bound by the instance or by qib, watched, and freed as soon as SSH is no longer
//! needed.

use super::address_queue::describe;
use super::context::CellContext;
use super::launch::Launched;
use super::lease::HeldLease;
use crate::failure::StepError;
use crate::journal::{AddressBinder, Effect, Recorded};
use cloud::*;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How often the binding and the console are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What the script in the instance writes to the console when it gives up.
const FAILED_MARKER: &str = "qib-bind-address: FAILED";

/// The address of a cell, leased.
#[derive(Clone, Debug)]
pub(super) struct ElasticAddress {
    /// Its allocation.
    pub allocation: AllocationId,
    /// The address itself.
    pub public_ip: Ipv4Addr,
    /// Who binds it.
    pub by: AddressBinder,
    /// How long binding may take.
    pub timeout: Duration,
    /// Its lease.
    pub lease: HeldLease,
}

impl ElasticAddress {
    /// Errs if the lease of the address was lost. To be asked before the address is used.
    pub fn check(&self, context: &CellContext) -> Result<(), StepError> {
        self.lease.check(context)
    }
}

/// Sees to it that the address is bound to the cell's instance. Success is DescribeAddresses showing our own instance
/// id, never the reply of a call.
pub(super) async fn bind(
    context: &CellContext,
    address: &ElasticAddress,
    launched: &Launched,
) -> Result<(), StepError> {
    address.check(context)?;
    let instance = &launched.instance.instance_id;
    let effect = Effect::BindAddress {
        region: context.region().name().clone(),
        allocation: address.allocation.clone(),
        instance: instance.clone(),
        by: address.by,
    };
    let number = match address.by {
        // The instance does it: there is no call of ours, and no result but what the watch shows.
        AddressBinder::UserData => match context.effects().state().earlier(context.cell(), &effect)
        {
            Some((number, _)) => number,
            None => context.effects().announce(context.cell(), effect)?,
        },
        AddressBinder::Api => {
            let made = context
                .effects()
                .make(
                    context.cell(),
                    effect,
                    async || {
                        context
                            .region()
                            .associate_address(&address.allocation, instance)
                            .await
                    },
                    async || bound(context, &address.allocation, instance).await,
                )
                .await?;
            made.number
        }
    };
    let association = watch(context, address, instance).await?;
    let known = context
        .effects()
        .state()
        .effect(number)
        .is_some_and(|entry| entry.state.outcome().is_some());
    if !known {
        context
            .effects()
            .settle(number, &Ok(association), AssociationId::outcome)?;
    }
    context.note(format!(
        "Elastic IP {} is bound to {instance}",
        address.public_ip
    ));
    Ok(())
}

/// The binding of the address to `instance`, if it shows.
async fn bound(
    context: &CellContext,
    allocation: &AllocationId,
    instance: &InstanceId,
) -> Result<Option<AssociationId>, CloudError> {
    let filter = AddressFilter::allocation(allocation);
    let addresses = context.region().addresses(&filter).await?;
    Ok(addresses
        .into_iter()
        .filter_map(|address| address.binding)
        .find(|binding| binding.instance_id.as_ref() == Some(instance))
        .map(|binding| binding.association_id))
}

async fn watch(
    context: &CellContext,
    address: &ElasticAddress,
    instance: &InstanceId,
) -> Result<AssociationId, StepError> {
    let deadline = context.deadline(address.timeout);
    loop {
        address.check(context)?;
        let seen = context.race(look(context, address, instance)).await??;
        if let Some(association) = seen {
            return Ok(association);
        }
        if context.clock().now() >= deadline {
            let log = binding_log(context, instance).await;
            let reason = format!(
                "{} did not show {instance} within {:?}",
                address.public_ip, address.timeout
            );
            return Err(StepError::AddressNotBound { reason, log });
        }
        context.pause(LOOK_EVERY).await?;
    }
}

/// One look at the binding, the instance and, where the instance binds, its console.
async fn look(
    context: &CellContext,
    address: &ElasticAddress,
    instance: &InstanceId,
) -> Result<Option<AssociationId>, StepError> {
    let binding = match describe(context, &address.allocation).await {
        Ok(known) => known.binding,
        Err(StepError::Cloud(error)) if error.is_passing() => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Some(binding) = &binding
        && binding.instance_id.as_ref() == Some(instance)
    {
        return Ok(Some(binding.association_id.clone()));
    }
    let filter = InstanceFilter {
        instance_ids: vec![instance.clone()],
        ..InstanceFilter::default()
    };
    if let Ok(instances) = context.region().instances(&filter).await
        && let Some(seen) = instances.first()
        && !matches!(seen.state, InstanceState::Pending | InstanceState::Running)
    {
        return Err(super::launch::gone(seen));
    }
    if address.by == AddressBinder::UserData {
        let log = binding_log(context, instance).await;
        if let Some(failed) = log.iter().find(|line| line.contains(FAILED_MARKER)) {
            let (_, why) = failed.split_at(failed.find(FAILED_MARKER).unwrap_or(0));
            let reason = format!(
                "the script in the instance gave up: {}",
                why.trim_start_matches(FAILED_MARKER).trim()
            );
            return Err(StepError::AddressNotBound {
                reason,
                log: log.clone(),
            });
        }
    }
    Ok(None)
}

/// What the binding script wrote to the console.
async fn binding_log(context: &CellContext, instance: &InstanceId) -> Vec<String> {
    // Too early, or throttled: the next look sees it. The console is only a diagnosis.
    let console = context
        .region()
        .console_output(instance)
        .await
        .unwrap_or_default();
    let masked = context.run().masked(&console);
    masked
        .lines()
        .filter(|line| line.contains("qib-bind-address"))
        .map(str::to_owned)
        .collect()
}

/// Frees the address, then the lease, so that the next in line can start.
pub(super) async fn free(context: &CellContext) -> Result<(), StepError> {
    for number in context.standing(|effect| matches!(effect, Effect::BindAddress { .. })) {
        context.effects().unmake(number).await?;
    }
    super::lease::give_back_address(context).await
}
