//! The instance that an earlier process of the run launched.

use super::context::CellContext;
use super::launch::{Launched, gone, wait_running};
use crate::failure::StepError;
use crate::journal::{Effect, EffectEntry, EffectNumber, Outcome, Recorded};
use crate::lifetime;
use crate::undo::{looked_for, own};
use cloud::{CloudError, Instance, InstanceFilter, InstanceId, InstanceState};

/// The cell's instance, if it was launched before, once it runs.
///
/// # Errors
/// If it cannot be used any more.
pub(super) async fn running_instance(context: &CellContext) -> Result<Option<Launched>, StepError> {
    let Some((number, instance)) = standing_instance(context).await? else {
        return Ok(None);
    };
    if !matches!(
        instance.state,
        InstanceState::Pending | InstanceState::Running
    ) {
        return Err(StepError::CannotGoOn {
            why: gone(&instance).to_string(),
        });
    }
    let instance = wait_running(context, &instance.instance_id).await?;
    context.note(format!(
        "instance {} of an earlier process of this run is used",
        instance.instance_id
    ));
    Ok(Some(Launched {
        effect: number,
        instance,
    }))
}

/// The cell's instance, which is ready to be captured or is being captured.
///
/// # Errors
/// If it is gone.
pub(super) async fn captured_instance(context: &CellContext) -> Result<Launched, StepError> {
    match standing_instance(context).await? {
        Some((effect, instance)) if !instance.state.is_ending() => {
            Ok(Launched { effect, instance })
        }
        Some((_, instance)) => Err(StepError::CannotGoOn {
            why: gone(&instance).to_string(),
        }),
        None => Err(StepError::CannotGoOn {
            why: String::from("its instance is gone"),
        }),
    }
}

async fn standing_instance(
    context: &CellContext,
) -> Result<Option<(EffectNumber, Instance)>, StepError> {
    let state = context.effects().state();
    for number in context.standing(|effect| matches!(effect, Effect::LaunchInstance { .. })) {
        let Some(entry) = state.effect(number) else {
            continue;
        };
        let Some(instance) = find(context, entry).await? else {
            if entry.state.outcome().is_some() {
                return Err(StepError::CannotGoOn {
                    why: String::from("its instance is gone"),
                });
            }
            let why = String::from("looked for by its client token, and not there");
            context.effects().refused(number, why)?;
            continue;
        };
        if entry.state.outcome().is_none() {
            let id: &InstanceId = &instance.instance_id;
            context
                .effects()
                .settle(number, &Ok(id.clone()), InstanceId::outcome)?;
        }
        if let Some(end) = lifetime::expires(&instance.tags) {
            context.ends_at(end);
        }
        return Ok(Some((number, instance)));
    }
    Ok(None)
}

async fn find(context: &CellContext, entry: &EffectEntry) -> Result<Option<Instance>, CloudError> {
    let filters = match (&entry.effect, entry.state.outcome()) {
        (_, Some(Outcome::Instance { id })) => own("instance-id", id.as_str(), context.run_id()),
        (Effect::LaunchInstance { client_token, .. }, _) => {
            own("client-token", client_token, context.run_id())
        }
        _ => return Ok(None),
    };
    by_filters(context, filters).await
}

/// The one instance that these filters show, looked for as long as it takes EC2 to show it.
pub(super) async fn by_filters(
    context: &CellContext,
    filters: Vec<(String, Vec<String>)>,
) -> Result<Option<Instance>, CloudError> {
    let filter = InstanceFilter {
        filters,
        ..InstanceFilter::default()
    };
    looked_for(context.clock(), &mut async || {
        Ok(context
            .region()
            .instances(&filter)
            .await?
            .into_iter()
            .next())
    })
    .await
}
