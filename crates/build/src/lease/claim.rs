//! Claiming, renewing and releasing a lease.

use super::rule::{Claim, LeaseMove, LeaseView, Observation, is_settled, lease_name, next_move};
use crate::names::RunId;
use cloud::{Clock, CloudError, Depth, ErrorKind, ParameterWrite, Region};
use std::time::Duration;

/// How often a waiter looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A lease that this run holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The parameter that carries it.
    pub name: String,
    /// What stands in it.
    pub claim: Claim,
}

/// Whom one waits behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseProgress {
    /// A living run holds it.
    Behind(Claim),
    /// Another was faster this time: look again.
    Lost,
}

/// Tries once around: looks, and claims if the rule says so. Gives the lease, or whom to wait behind.
///
/// `announce` is called with the parameter's name before it is created.
pub async fn claim_lease<E: From<CloudError>>(
    region: &dyn Region,
    clock: &dyn Clock,
    folder: &str,
    mine: &Claim,
    observed: &mut Option<Observation>,
    mut announce: impl FnMut(&str) -> Result<(), E>,
) -> Result<Result<Lease, LeaseProgress>, E> {
    let view = LeaseView::of(&region.parameters_below(folder, Depth::OneLevel).await?);
    let observation = Observation::update(observed.take(), view, clock.now());
    let step = next_move(&observation, clock.now());
    *observed = Some(observation);
    let generation = match step {
        LeaseMove::WaitBehind(claim) => {
            clock.sleep(LOOK_EVERY).await;
            return Ok(Err(LeaseProgress::Behind(claim)));
        }
        LeaseMove::Claim { generation } => generation,
    };
    let name = lease_name(folder, generation);
    announce(&name)?;
    let value = encode(mine);
    match region
        .put_parameter(&name, &value, ParameterWrite::CreateOnly)
        .await
    {
        Ok(_) => {}
        // Another was faster, or this is the second try of our own lost reply: the value tells.
        Err(error) if error.kind == ErrorKind::Duplicate => {
            let holder = region.parameter(&name).await?;
            if holder.is_none_or(|parameter| parameter.value != value) {
                return Ok(Err(LeaseProgress::Lost));
            }
        }
        Err(error) => return Err(error.into()),
    }
    let dead = observed
        .as_ref()
        .and_then(|observation| observation.view.claim.clone());
    if !is_settled(
        &region.parameters_below(folder, Depth::OneLevel).await?,
        generation,
        dead.as_ref(),
    ) {
        release_lease(region, &name, &mine.run).await?;
        return Ok(Err(LeaseProgress::Lost));
    }
    Ok(Ok(Lease {
        name,
        claim: mine.clone(),
    }))
}

/// Renews: shows others that the holder is alive.
pub async fn renew(region: &dyn Region, lease: &mut Lease) -> Result<(), CloudError> {
    lease.claim.renewal += 1;
    region
        .put_parameter(
            &lease.name,
            &encode(&lease.claim),
            ParameterWrite::Overwrite,
        )
        .await
        .map(|_| ())
}

/// Gives the lease back, if `run` wrote it. Another's is left alone.
pub async fn release_lease(region: &dyn Region, name: &str, run: &RunId) -> Result<(), CloudError> {
    let Some(parameter) = region.parameter(name).await? else {
        return Ok(());
    };
    let ours = serde_json::from_str::<Claim>(&parameter.value).is_ok_and(|claim| claim.run == *run);
    if ours {
        region.delete_parameter(name).await
    } else {
        Ok(())
    }
}

fn encode(claim: &Claim) -> String {
    // A claim is plain data: encoding it cannot fail.
    serde_json::to_string(claim).unwrap_or_default()
}
