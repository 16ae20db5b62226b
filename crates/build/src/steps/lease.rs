//! Standing in line for a lease.

use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber, Outcome};
use crate::lease::{ADDRESS_FOLDER, Claim, LeaseProgress, Observation, claim_lease};
use cloud::Timestamp;
use std::time::Duration;

/// How often somebody who waits in line is told that it goes on.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A lease that the cell holds. It is renewed until it is given back.
#[derive(Clone, Debug)]
pub struct HeldLease {
    /// Its effect in the journal.
    number: EffectNumber,
    /// Its parameter.
    name: String,
}

impl HeldLease {
    /// Gives it back, so that the next in line can go on.
    pub async fn give_back(&self, context: &CellContext) -> Result<(), StepError> {
        context.drop_lease(&self.name);
        context.effects().unmake(self.number).await
    }
}

/// Whether the cell holds the lease of an address.
pub(super) fn holds_address(context: &CellContext) -> bool {
    !address_leases(context).is_empty()
}

/// Gives the lease of the cell's address back, whichever process of the run took it.
pub(super) async fn give_back_address(context: &CellContext) -> Result<(), StepError> {
    for (number, name) in address_leases(context) {
        context.drop_lease(&name);
        context.effects().unmake(number).await?;
    }
    Ok(())
}

fn address_leases(context: &CellContext) -> Vec<(EffectNumber, String)> {
    let state = context.effects().state();
    let of_address = |effect: &Effect| matches!(effect, Effect::ClaimLease { name, .. } if name.starts_with(ADDRESS_FOLDER));
    context
        .standing(of_address)
        .into_iter()
        .filter_map(|number| match &state.effect(number)?.effect {
            Effect::ClaimLease { name, .. } => Some((number, name.clone())),
            _ => None,
        })
        .collect()
}

/// Waits in line for the lease of `folder`, however long living runs hold it. `what` is its name for people.
pub async fn queue(
    context: &CellContext,
    folder: &str,
    what: &str,
) -> Result<HeldLease, StepError> {
    let mine = Claim {
        run: context.run_id().clone(),
        purpose: format!("{} {}", context.run().pipeline, context.cell()),
        held: true,
        renewal: 0,
    };
    let mut observed: Option<Observation> = None;
    let mut said: Option<(String, Timestamp)> = None;
    loop {
        context.run().cancellation.check()?;
        let mut number = None;
        let announce = |name: &str| {
            let effect = Effect::ClaimLease {
                region: context.region().name().clone(),
                name: name.to_owned(),
            };
            number = Some(context.effects().announce(context.cell(), effect)?);
            Ok(())
        };
        let attempt = claim_lease::<StepError>(
            context.region(),
            context.clock(),
            folder,
            &mine,
            &mut observed,
            announce,
        )
        .await;
        match (attempt, number) {
            (Ok(Ok(lease)), Some(number)) => {
                context
                    .effects()
                    .settle(number, &Ok(()), |()| Outcome::Done)?;
                context.hold_lease(lease.clone());
                return Ok(HeldLease {
                    number,
                    name: lease.name,
                });
            }
            (Ok(Err(LeaseProgress::Behind(holder))), _) => {
                let text = format!(
                    "{what} is held by run {} ({}); waiting in line",
                    holder.run, holder.purpose
                );
                say_now_and_then(context, &mut said, text);
            }
            (Ok(_), Some(number)) => {
                context.effects().unmake(number).await?;
            }
            (Ok(_), None) => {}
            (Err(error), Some(number)) => {
                // The claim was announced: undo finds out by itself whether it was made.
                let undone = context.effects().unmake(number).await;
                return Err(undone.err().unwrap_or(error));
            }
            (Err(error), None) => return Err(error),
        }
    }
}

/// Says `text` when it is new, and again every minute.
pub(super) fn say_now_and_then(
    context: &CellContext,
    said: &mut Option<(String, Timestamp)>,
    text: String,
) {
    let now = context.clock().now();
    let again = match said {
        Some((before, at)) => *before != text || cloud::clock::between(*at, now) >= SAY_EVERY,
        None => true,
    };
    if again {
        context.note(text.clone());
        *said = Some((text, now));
    }
}
