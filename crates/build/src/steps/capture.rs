//! From a provisioned guest to an image: qib's own traces go, the instance stops, its group and key go, the image is
//! made.

use super::access::{Access, KeyPairOwner};
use super::connect::{GuestLink, LastLines};
use super::context::CellContext;
use super::group::default_group;
use super::launch::{Launched, gone, wait_failed};
use super::progress;
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, Script};
use crate::journal::{Effect, EffectNumber, Outcome};
use crate::names::tag;
use crate::spec::{CellSpec, ImageSpec};
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
    let own = context.standing(|effect| matches!(effect, Effect::CreateSecurityGroup { .. }));
    if let (false, Some(vpc)) = (own.is_empty(), &launched.instance.vpc_id) {
        // A group cannot go while an instance is in it, so the instance leaves it first: this way termination, which
        // takes EC2 up to minutes, is off the path.
        let replacement = vec![default_group(region, vpc).await?];
        let effect = Effect::ReplaceGroups {
            region: region.name().clone(),
            instance: id.clone(),
            groups: replacement.clone(),
        };
        context
            .effects()
            .set(context.cell(), effect, async || {
                region.set_instance_groups(id, &replacement).await
            })
            .await?;
        for number in own {
            context.effects().unmake(number).await?;
        }
    }
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

/// The image, and its effect in the journal.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    /// Its effect in the journal.
    pub effect: EffectNumber,
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
    let mut tags = spec
        .tags
        .clone()
        .merged(&spec.image.tags)
        .merged(&context.own_tags());
    let snapshot_tags = tags.clone();
    tags = tags
        .merged(&spec.image.cache_tags)
        .with(tag::SOURCE_IMAGE, source.image_id.as_str());
    if !skipped.is_empty() {
        tags.set(tag::PARTLY_REHEARSED, shortened(&skipped.join(", ")));
    }
    let request = ImageRequest {
        instance_id: launched.instance.instance_id.clone(),
        capture: match launched.instance.purchase {
            Purchase::OnDemand => Capture::Stopped,
            Purchase::Spot => Capture::Rebooting,
        },
        name: spec.image.name.clone(),
        description: spec.image.description.clone(),
        volumes: spec.image.volumes.clone(),
        left_out_devices: spec.image.left_out_devices.clone(),
        image_tags: tags,
        snapshot_tags,
    };
    let effect = Effect::CreateImage {
        region: spec.region.clone(),
        name: spec.image.name.clone(),
        instance: launched.instance.instance_id.clone(),
    };
    let made = context
        .effects()
        .make(
            &spec.cell,
            effect,
            async || create(context, &request).await,
            async || find_own(context, &request.name).await,
        )
        .await?;
    context.note(format!("image {} ({})", made.value, spec.image.name));
    let image = wait_available(context, &spec.image, &made.value).await?;
    Ok(Captured {
        effect: made.number,
        image,
    })
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
async fn find_own(context: &CellContext, name: &str) -> Result<Option<ImageId>, CloudError> {
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters: crate::undo::own("name", name, context.run_id()),
        ..ImageFilter::default()
    };
    let ours = context.region().images(&filter).await?.into_iter().next();
    Ok(ours.map(|image| image.image_id))
}

/// Waits until an image that is being made is available, and tells how far it is.
pub(super) async fn wait_available(
    context: &CellContext,
    spec: &ImageSpec,
    id: &ImageId,
) -> Result<Image, StepError> {
    let name = spec.name.clone();
    let deadline = context.deadline(spec.wait);
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
        waited = context.race(available) => waited?,
        never = progress::tell(context, context.region().name()) => match never {},
    };
    waited.map_err(|error| match error {
        WaitError::Impossible(error) => error,
        WaitError::Cloud(error) => error.about(id).into(),
        WaitError::Deadline { .. } => StepError::ImageSlow {
            image: id.to_string(),
            name: spec.name.clone(),
            waited: spec.wait,
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
