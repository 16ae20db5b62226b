//! The SSM parameters that name the image: written last, those of a region together or not at all, and never over what is
//! not this stage's.
//!
//! SSM has no tags that could say whose a parameter is that would survive its being overwritten, so it is told by what it
//! names: an image of this stage.

use super::super::context::CellContext;
use super::look::is_ours;
use super::site::{Shared, Site};
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber, EffectState, ParameterBefore, ParameterVersion};
use crate::names::tag;
use crate::publication::Place;
use crate::spec::{Overwrite, ParameterRegions, ParameterSpec};
use cloud::*;
use std::time::Duration;

/// How long SSM may take to check the image's id, which it does after the call.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>
const TAKEN_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Those of `parameters` that are written in a region.
pub(crate) fn of(
    parameters: &[ParameterSpec],
    place: Place,
) -> impl Iterator<Item = &ParameterSpec> {
    parameters
        .iter()
        .filter(move |parameter| place == Place::Home || parameter.regions == ParameterRegions::All)
}

/// Errs if the parameter holds what may not be overwritten. `replaced` are the images that the new one takes the place of.
pub(in crate::steps) async fn check(
    context: &CellContext,
    parameter: &ParameterSpec,
    held: Option<&Parameter>,
    replaced: &[&str],
) -> Result<(), StepError> {
    let Some(held) = held else {
        return Ok(());
    };
    if parameter.overwrite == Overwrite::Any || replaced.contains(&held.value.as_str()) {
        return Ok(());
    }
    let refused = |why: String| StepError::ParameterHeld {
        name: parameter.name.clone(),
        region: context.region().name().to_string(),
        why,
    };
    if held.kind != ParameterKind::Image {
        // Its value is another's affair, and may be a secret of theirs.
        return Err(refused(String::from("it holds text, not an image")));
    }
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: vec![("image-id".to_owned(), vec![held.value.clone()])],
        ..ImageFilter::default()
    };
    let named = context.race(context.region().images(&filter)).await??;
    match named.first() {
        Some(image) if is_ours(context, image) => Ok(()),
        Some(image) => Err(refused(format!(
            "it names {} ({}), which this stage did not make",
            image.image_id, image.name
        ))),
        None if was_ours(context, &held.value).await? => Ok(()),
        None => Err(refused(format!(
            "it names {}, which is not an image of this account here",
            held.value
        ))),
    }
}

/// Whether an image that is gone was this stage's: one of its images says that it has taken the place of that one.
async fn was_ours(context: &CellContext, gone: &str) -> Result<bool, StepError> {
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: vec![(format!("tag:{}", tag::REPLACES), vec![gone.to_owned()])],
        ..ImageFilter::default()
    };
    let successors = context.race(context.region().images(&filter)).await??;
    Ok(successors.iter().any(|image| is_ours(context, image)))
}

/// Writes all parameters of the region. If one cannot be written, those before it are not part of the result, and get back
/// what they held when the cell undoes what it did.
pub(super) async fn write(site: &Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = &site.context;
    let image = site.finished()?;
    let replaced = image.tags.get(tag::REPLACES);
    // And the one before that, should the run that retired it have died before it came to the parameters.
    let replaced: Vec<&str> = replaced
        .into_iter()
        .chain(site.earlier.as_deref())
        .collect();
    let wanted: Vec<&ParameterSpec> = of(&shared.spec.image.parameters, site.place).collect();
    let mut held = Vec::with_capacity(wanted.len());
    for parameter in &wanted {
        let now = context
            .race(context.region().parameter(&parameter.name))
            .await??;
        let is_so = now
            .as_ref()
            .is_some_and(|now| now.value == image.image_id.as_str());
        if !is_so {
            check(context, parameter, now.as_ref(), &replaced).await?;
        }
        held.push(now);
    }
    let mut written: Vec<EffectNumber> = Vec::new();
    for (parameter, held) in wanted.iter().zip(held) {
        written.extend(write_one(context, parameter, held, &image.image_id).await?);
    }
    for number in written {
        context.effects().deliver(number)?;
    }
    Ok(())
}

/// Writes one parameter. Gives its effect, if there is one.
async fn write_one(
    context: &CellContext,
    parameter: &ParameterSpec,
    held: Option<Parameter>,
    image: &ImageId,
) -> Result<Option<EffectNumber>, StepError> {
    let region = context.region();
    let name = parameter.name.as_str();
    let begun = begun(context, name, image);
    let effect = match (begun, &held) {
        // What it held before is known to who wrote it first.
        (Some(effect), _) => effect,
        (None, Some(held)) if held.value == image.as_str() => return Ok(None),
        (None, held) => Effect::WriteParameter {
            region: region.name().clone(),
            name: name.to_owned(),
            image: image.clone(),
            before: held.as_ref().map(|held| ParameterBefore {
                value: held.value.clone(),
                version: held.version,
                image: held.kind == ParameterKind::Image,
            }),
        },
    };
    let write = match &held {
        Some(_) => ParameterWrite::Overwrite,
        None => ParameterWrite::CreateOnly,
    };
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || {
                let version = region.put_image_parameter(name, image, write).await?;
                Ok(ParameterVersion(version))
            },
            async || {
                let now = region.parameter(name).await?;
                let ours = now.filter(|now| now.value == image.as_str());
                Ok(ours.map(|now| ParameterVersion(now.version)))
            },
        )
        .await?;
    taken(context, name, image).await?;
    context.note(format!(
        "parameter {name} in {}: {} → {image}",
        region.name(),
        held.map_or_else(|| String::from("(new)"), |held| held.value)
    ));
    Ok(Some(made.number))
}

/// The write of this parameter that an earlier process of the run began.
fn begun(context: &CellContext, name: &str, image: &ImageId) -> Option<Effect> {
    let here = context.region().name();
    let state = context.effects().state();
    state.effects().rev().find_map(|(_, entry)| {
        let stands = matches!(
            entry.state,
            EffectState::InFlight | EffectState::Unknown | EffectState::Done(_)
        );
        match &entry.effect {
            Effect::WriteParameter {
                region,
                name: of,
                image: to,
                ..
            } if stands
                && entry.cell == *context.cell()
                && region == here
                && of == name
                && to == image =>
            {
                Some(entry.effect.clone())
            }
            _ => None,
        }
    })
}

/// Waits until the parameter shows the image: SSM says yes to the call, and looks at the image after it.
async fn taken(context: &CellContext, name: &str, image: &ImageId) -> Result<(), StepError> {
    let deadline = context.deadline(TAKEN_WITHIN);
    loop {
        let now = context.race(context.region().parameter(name)).await??;
        let holds = match now {
            Some(now) if now.value == image.as_str() => return Ok(()),
            Some(now) => now.value,
            None => String::from("nothing"),
        };
        if context.clock().now() >= deadline {
            return Err(StepError::ParameterNotTaken {
                name: name.to_owned(),
                region: context.region().name().to_string(),
                image: image.to_string(),
                holds,
                waited: TAKEN_WITHIN,
            });
        }
        context.pause(LOOK_EVERY).await?;
    }
}
