//! From a provisioned guest to an image: qib's own traces go, the instance stops, its group and key go, the image is
//! made.

use super::access::{Access, KeyPairOwner};
use super::connect::{GuestLink, LastLines};
use super::context::CellContext;
use super::launch::{Launched, gone, wait_failed};
use super::progress;
use crate::effects::Made;
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, Script};
use crate::journal::{Effect, Outcome, Recorded};
use crate::names::tag;
use crate::spec::CellSpec;
use cloud::wait::{Verdict, WaitError};
use cloud::*;
use std::time::Duration;

/// Removes what qib put into the guest; see `cloud-init/scrub.sh`.
const SCRUB_SCRIPT: &str = include_str!("../../../../cloud-init/scrub.sh");
/// How long EC2 may take to stop an instance: it waits for the guest to shut down.
const STOPPED_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Removes qib's login key, user-data and host keys from the guest, and closes the connection.
pub(super) async fn scrub(
    context: &CellContext,
    mut link: GuestLink,
    launched: &Launched,
    access: &Access,
) -> Result<(), StepError> {
    let host_keys = if access.host_public.is_empty() {
        "keep"
    } else {
        "remove"
    };
    // An agent may hold many keys; which of them an existing key pair is, the login tells.
    let login_key = match access.key_pair_owner {
        KeyPairOwner::User => link.login_key().or_else(|| access.login_key.clone()),
        KeyPairOwner::Run => access.login_key.clone(),
    };
    let command = GuestCommand {
        script: Script {
            name: String::from("scrub"),
            text: SCRUB_SCRIPT.as_bytes().to_vec(),
        },
        become_user: Some(String::from("root")),
        environment: vec![
            (String::from("QIB_LOGIN_KEY"), login_key.unwrap_or_default()),
            (String::from("QIB_HOST_KEYS"), host_keys.to_owned()),
        ],
        ..GuestCommand::default()
    };
    let mut output = LastLines::default();
    let session = link.ready(context, launched).await?;
    let effect = Effect::Scrub {
        region: context.region().name().clone(),
        instance: launched.instance.instance_id.clone(),
    };
    let number = context.effects().announce(context.cell(), effect)?;
    let ended = context.race(session.run(&command, &mut output)).await?;
    let reason = match ended {
        Ok(CommandEnd::Exited(0)) => None,
        Ok(CommandEnd::Exited(code)) => {
            Some(format!("the clean-up script ended with exit code {code}"))
        }
        Ok(CommandEnd::Signalled(signal)) => {
            Some(format!("the clean-up script was ended by {signal}"))
        }
        Err(error) => Some(error.to_string()),
    };
    match reason {
        Some(reason) => Err(StepError::Scrub {
            reason,
            last_lines: output.0,
        }),
        None => {
            context
                .effects()
                .settle(number, &Ok(()), |()| Outcome::Done)?;
            link.close().await;
            Ok(())
        }
    }
}

/// Stops the instance, and removes its group and key pair, which nothing needs any more. A one-time spot instance
/// cannot be stopped: it is captured as it runs.
pub(super) async fn stop(context: &CellContext, launched: &Launched) -> Result<(), StepError> {
    let region = context.region();
    let id = &launched.instance.instance_id;
    if launched.instance.purchase == Purchase::OnDemand {
        let effect = Effect::StopInstance {
            region: region.name().clone(),
            instance: id.clone(),
        };
        context
            .effects()
            .set(context.cell(), effect, async || {
                region.stop_instance(id).await
            })
            .await?;
        wait_stopped(context, id).await?;
    }
    super::group::leave(context, launched).await?;
    drop_key_pair(context).await
}

/// Removes the key pair, which nothing needs any more.
pub(super) async fn drop_key_pair(context: &CellContext) -> Result<(), StepError> {
    for number in context.standing(|effect| matches!(effect, Effect::ImportKeyPair { .. })) {
        context.effects().unmake(number).await?;
    }
    Ok(())
}

async fn wait_stopped(context: &CellContext, id: &InstanceId) -> Result<(), StepError> {
    let deadline = context.deadline(STOPPED_WITHIN);
    context
        .race(
            context
                .pollers()
                .instances
                .wait(id, deadline, |seen| match seen {
                    Some(instance) if instance.state == InstanceState::Stopped => Verdict::Done(()),
                    Some(instance) if instance.state.is_ending() => {
                        Verdict::Impossible(gone(instance))
                    }
                    Some(_) | None => Verdict::Wait,
                }),
        )
        .await?
        .map_err(|error| wait_failed(error, id, "stopped", STOPPED_WITHIN))
}

/// The image, available.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    /// The image.
    pub image: Image,
}

/// Creates the image from the stopped instance and waits until it is available.
pub(super) async fn create_image(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    launched: &Launched,
    skipped: &[String],
) -> Result<Captured, StepError> {
    set_networking(context, spec, launched).await?;
    let tags = tags(context, spec, source, skipped);
    let made = if spec.image.properties.are_registered() {
        super::register::register(context, spec, source, launched, tags).await?
    } else {
        capture(context, spec, launched, tags).await?
    };
    context.note(format!("image {} ({})", made.value, spec.image.made_as()));
    available(context, spec, made).await
}

/// The image that an earlier process of the run made of an instance that is gone by now, once it is available.
pub(super) async fn made_before(
    context: &CellContext,
    spec: &CellSpec,
) -> Result<Captured, StepError> {
    let state = context.effects().state();
    let numbers = context.standing(|effect| effect.captures().is_some());
    let known = numbers.into_iter().find_map(|number| {
        let id = ImageId::recorded(state.effect(number)?.state.outcome()?)?;
        Some(Made { number, value: id })
    });
    let Some(made) = known else {
        return Err(StepError::CannotGoOn {
            why: String::from("its image is not known, and its instance is gone"),
        });
    };
    match available(context, spec, made).await {
        // Nothing is left that it could be made of once more.
        Err(StepError::ImageFailed { reason, .. }) => Err(StepError::CannotGoOn { why: reason }),
        other => other,
    }
}

async fn available(
    context: &CellContext,
    spec: &CellSpec,
    made: Made<ImageId>,
) -> Result<Captured, StepError> {
    let name = spec.image.made_as();
    let image = image_available(context, &made.value, name, spec.image.wait).await?;
    if spec.image.properties.imds_v2 && !spec.image.properties.are_registered() {
        super::publish::require_imds_v2(context, &made.value).await?;
    }
    Ok(Captured { image })
}

/// Enhanced networking is the instance's, and its image takes it over.
async fn set_networking(
    context: &CellContext,
    spec: &CellSpec,
    launched: &Launched,
) -> Result<(), StepError> {
    let networking = EnhancedNetworking {
        ena: spec.image.properties.ena,
        sriov: spec.image.properties.sriov,
    };
    // RegisterImage says it itself.
    if networking == EnhancedNetworking::default() || spec.image.properties.are_registered() {
        return Ok(());
    }
    let id = &launched.instance.instance_id;
    let effect = Effect::SetNetworking {
        region: context.region().name().clone(),
        instance: id.clone(),
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            context
                .region()
                .set_enhanced_networking(id, networking)
                .await
        })
        .await?;
    Ok(())
}

/// The tags of an image and of each snapshot, given in the calls that make them.
pub(super) struct ImageTags {
    pub image: Tags,
    pub snapshot: Tags,
}

fn tags(context: &CellContext, spec: &CellSpec, source: &Image, skipped: &[String]) -> ImageTags {
    let snapshot = spec
        .tags
        .clone()
        .merged(&spec.image.tags)
        .merged(&context.own_tags());
    let mut image = snapshot
        .clone()
        .merged(&spec.image.cache_tags)
        .with(tag::SOURCE_IMAGE, source.image_id.as_str());
    if !skipped.is_empty() {
        image.set(tag::PARTLY_REHEARSED, shortened(&skipped.join(", ")));
    }
    if spec.image.transitional_name.is_some() {
        image.set(tag::FINAL_NAME, spec.image.name.as_str());
    }
    ImageTags { image, snapshot }
}

async fn capture(
    context: &CellContext,
    spec: &CellSpec,
    launched: &Launched,
    tags: ImageTags,
) -> Result<Made<ImageId>, StepError> {
    let request = ImageRequest {
        instance_id: launched.instance.instance_id.clone(),
        capture: match launched.instance.purchase {
            Purchase::OnDemand => Capture::Stopped,
            Purchase::Spot => Capture::Rebooting,
        },
        name: spec.image.made_as().to_owned(),
        description: spec.image.description.clone(),
        volumes: spec.image.volumes.clone(),
        left_out_devices: spec.image.left_out_devices.clone(),
        image_tags: tags.image,
        snapshot_tags: tags.snapshot,
    };
    let effect = Effect::CreateImage {
        region: spec.region.clone(),
        name: request.name.clone(),
        instance: launched.instance.instance_id.clone(),
        test: spec.test.as_ref().map(|test| test.digest.clone()),
    };
    context
        .effects()
        .make(
            &spec.cell,
            effect,
            async || create(context, &request).await,
            async || find_own(context, &request.name).await,
        )
        .await
}

/// Creates the image. One of that name that carries the run's tag is the one of a lost reply.
async fn create(context: &CellContext, request: &ImageRequest) -> Result<ImageId, CloudError> {
    match context.region().create_image(request).await {
        Err(error) if error.kind == ErrorKind::Duplicate => {
            find_own(context, &request.name).await?.ok_or(error)
        }
        result => result,
    }
}

/// The run's own image of that name.
pub(super) async fn find_own(
    context: &CellContext,
    name: &str,
) -> Result<Option<ImageId>, CloudError> {
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: crate::undo::own("name", name, context.run_id()),
        ..ImageFilter::default()
    };
    let ours = context.region().images(&filter).await?.into_iter().next();
    Ok(ours.map(|image| image.image_id))
}

/// Waits until an image of the cell is available in the context's region, and tells how far it is.
pub(super) async fn image_available(
    context: &CellContext,
    id: &ImageId,
    name: &str,
    within: Duration,
) -> Result<Image, StepError> {
    let name = name.to_owned();
    let deadline = context.deadline(within);
    let available = context
        .pollers()
        .images
        .wait(id, deadline, |seen| match seen {
            Some(image) => match &image.state {
                ImageState::Available => Verdict::Done(image.clone()),
                ImageState::Pending | ImageState::Other(_) => Verdict::Wait,
                ImageState::Failed | ImageState::Gone => {
                    Verdict::Impossible(StepError::ImageFailed {
                        image: id.to_string(),
                        name: name.clone(),
                        reason: image
                            .state_reason
                            .clone()
                            .unwrap_or_else(|| format!("EC2 says {:?} and no more", image.state)),
                    })
                }
            },
            None => Verdict::Wait,
        });
    let waited = tokio::select! {
        biased;
        waited = context.race(available) => waited?,
        never = progress::tell(context, context.region().name()) => match never {},
    };
    waited.map_err(|error| match error {
        WaitError::Impossible(error) => error,
        WaitError::Cloud(error) => error.about(id).into(),
        WaitError::Deadline { .. } => StepError::ImageSlow {
            image: id.to_string(),
            name: name.clone(),
            waited: within,
            detail: error.to_string(),
        },
    })
}

/// A tag's value has at most 256 characters.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
fn shortened(text: &str) -> String {
    const LIMIT: usize = 256;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LIMIT - 1).collect();
    short.push('…');
    short
}
