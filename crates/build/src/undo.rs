//! Removing what an effect made. Undo is data: an [`Effect`], its [`Outcome`] if that is known, and the run.
//!
//! Where the outcome is not known, because the reply was lost or the process died, it is looked up by what the effect
//! carries: a client token, or a name that is unique to the run and has the run's tag.

mod imported;
mod parameter;
mod roles;

pub(crate) use imported::{cancel_task, own_started, own_task, own_tasks};

pub(crate) use roles::{
    delete_profile, delete_profile_commands, delete_role, delete_role_commands, own_profile,
    own_role,
};

use crate::journal::{Effect, EffectState, Outcome};
use crate::names::{CellName, RunId, tag};
use crate::report::LeftResource;
use backon::BackoffBuilder;
use cloud::wait::deadline;
use cloud::*;
use std::time::Duration;

/// How long the undo of one effect may take: deleting a group has to wait for an instance to be gone, which EC2 takes
/// minutes over at worst.
pub const UNDO_TIME: Duration = Duration::from_secs(10 * 60);
/// How long the undo of all that a run made may take. What is left then is named, with the command that removes it.
pub const UNDO_ALL_TIME: Duration = Duration::from_secs(30 * 60);
/// How long the end of a run tries once more what resisted before.
pub const ONCE_MORE_TIME: Duration = Duration::from_secs(2 * 60);
/// How long to look for something until it counts as gone. EC2 is eventually consistent: what was made a moment ago, or
/// by a call whose reply was lost, may show late. <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub const LOOK_TIME: Duration = Duration::from_secs(15);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What became of what was to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// It is gone.
    Gone,
    /// It is an image that carries `qib:complete`: others may use it already, so it stays as part of the result.
    Complete(ImageId),
}

/// Undoes `effect`. What is already gone counts as undone.
pub async fn undo(
    region: &dyn Region,
    iam: &dyn Iam,
    clock: &dyn Clock,
    run: &RunId,
    cell: &CellName,
    effect: &Effect,
    state: &EffectState,
) -> Result<Undone, CloudError> {
    if let Some(name) = effect.makes_image() {
        let undone = undo_image(region, clock, run, name, state).await?;
        // What an imported image stands on is undone by itself, after it.
        let has_snapshots = !matches!(effect, Effect::RegisterSnapshot { .. });
        if undone == Undone::Gone && has_snapshots {
            retried(clock, || delete_snapshots(region, run, cell)).await?;
        }
        return Ok(undone);
    }
    match effect {
        // Those of an image that is not to be go with it; these are of one that never was registered.
        Effect::CreateSnapshots { .. } => {
            retried(clock, || delete_snapshots(region, run, cell)).await?;
        }
        Effect::WriteParameter {
            name,
            image,
            before,
            ..
        } => {
            parameter::put_back(region, name, image, before.as_ref(), state).await?;
        }
        Effect::CreateRole { name, .. } => {
            let mut find = async || own_role(iam, name, run).await;
            if looked_for(clock, &mut find).await?.is_some() {
                retried(clock, || delete_role(iam, name)).await?;
            }
        }
        Effect::CreateInstanceProfile { name, .. } => {
            let mut find = async || own_profile(iam, name, run).await;
            if looked_for(clock, &mut find).await?.is_some() {
                retried(clock, || delete_profile(iam, name)).await?;
            }
        }
        _ => remove(region, clock, run, effect, state).await?,
    }
    Ok(Undone::Gone)
}

/// Removes an image that is not complete. Its snapshots stay.
async fn undo_image(
    region: &dyn Region,
    clock: &dyn Clock,
    run: &RunId,
    name: &str,
    state: &EffectState,
) -> Result<Undone, CloudError> {
    let filters = match state.outcome() {
        Some(Outcome::Image { id }) => own("image-id", id.as_str(), run),
        _ => own("name", name, run),
    };
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters,
        ..ImageFilter::default()
    };
    let found = looked_up(clock, || region.images(&filter)).await?;
    for image in &found {
        if image.tags.get(tag::COMPLETE).is_some() {
            return Ok(Undone::Complete(image.image_id.clone()));
        }
        retried(clock, || region.deregister_image(&image.image_id)).await?;
    }
    Ok(Undone::Gone)
}

async fn remove(
    region: &dyn Region,
    clock: &dyn Clock,
    run: &RunId,
    effect: &Effect,
    state: &EffectState,
) -> Result<(), CloudError> {
    let outcome = state.outcome();
    match effect {
        // The name is the run's own: nobody else's lease can be meant.
        Effect::ClaimLease { name, .. } => retried(clock, || region.delete_parameter(name)).await,
        Effect::ImportKeyPair { name, .. } => {
            let filters = match outcome {
                Some(Outcome::KeyPair { id }) => own("key-pair-id", id.as_str(), run),
                _ => own("key-name", name, run),
            };
            let found = looked_up(clock, || region.key_pairs(&filters)).await?;
            for pair in found {
                retried(clock, || region.delete_key_pair(&pair.key_pair_id)).await?;
            }
            Ok(())
        }
        Effect::CreateSecurityGroup { name, .. } => {
            let filters = match outcome {
                Some(Outcome::SecurityGroup { id }) => own("group-id", id.as_str(), run),
                _ => own("group-name", name, run),
            };
            let found = looked_up(clock, || region.security_groups(&filters)).await?;
            for group in found {
                retried(clock, || region.delete_security_group(&group.group_id)).await?;
            }
            Ok(())
        }
        Effect::LaunchInstance { client_token, .. } => {
            let filters = match outcome {
                Some(Outcome::Instance { id }) => own("instance-id", id.as_str(), run),
                _ => own("client-token", client_token, run),
            };
            let filter = InstanceFilter {
                filters,
                ..InstanceFilter::default()
            };
            let found = looked_up(clock, || region.instances(&filter)).await?;
            // One that is ending already was told to by a process that died before it wrote that down.
            for instance in found.iter().filter(|found| !found.state.is_ending()) {
                retried(clock, || terminate(region, &instance.instance_id)).await?;
            }
            Ok(())
        }
        Effect::BindAddress {
            allocation,
            instance,
            ..
        } => {
            let filter = InstanceFilter {
                filters: own("instance-id", instance.as_str(), run),
                ..InstanceFilter::default()
            };
            // An instance that no longer shows has no address any more.
            if region.instances(&filter).await?.is_empty() {
                return Ok(());
            }
            retried(clock, || free_address(region, allocation, instance)).await
        }
        Effect::StartSnapshot { description, .. } => {
            retried(clock, || {
                imported::remove_started(region, clock, run, description, state)
            })
            .await
        }
        Effect::UploadObject { bucket, key, .. } => {
            retried(clock, || imported::remove_object(region, bucket, key)).await
        }
        Effect::ImportSnapshot { bucket, key, .. } => {
            let object = ObjectPlace {
                bucket: bucket.clone(),
                key: key.clone(),
            };
            retried(clock, || {
                imported::remove_task(region, clock, run, &object, state)
            })
            .await
        }
        Effect::AuthorizeIngress { .. }
        | Effect::PutRolePolicy { .. }
        | Effect::AddRole { .. }
        // Undone apart, for they are in no region.
        | Effect::CreateRole { .. }
        | Effect::CreateInstanceProfile { .. }
        | Effect::Provision { .. }
        | Effect::Scrub { .. }
        | Effect::StopInstance { .. }
        // Undone apart, for they may turn out to be complete, or another's by now.
        | Effect::CreateImage { .. }
        | Effect::RegisterImage { .. }
        | Effect::RegisterSnapshot { .. }
        | Effect::CopyImage { .. }
        | Effect::CompleteSnapshot { .. }
        | Effect::FinishUpload { .. }
        | Effect::TagSnapshot { .. }
        | Effect::CreateSnapshots { .. }
        | Effect::WriteParameter { .. }
        | Effect::ReplaceGroups { .. }
        | Effect::SetNetworking { .. }
        | Effect::RequireImdsV2 { .. }
        | Effect::TestImage { .. }
        | Effect::MarkComplete { .. }
        | Effect::RetireImage { .. }
        | Effect::DeleteSnapshots { .. }
        | Effect::DeprecateImage { .. }
        | Effect::ProtectImage { .. }
        | Effect::ShareImage { .. }
        | Effect::MarkKept { .. }
        | Effect::MarkImageKept { .. } => Ok(()),
    }
}

/// EC2 filters for something of the run's, by name or id. Also an id from the journal counts only with the run's tag: a
/// journal is a file, and nothing that is another's may be touched whatever stands in it.
pub fn own(filter: &str, value: &str, run: &RunId) -> Vec<(String, Vec<String>)> {
    vec![
        (filter.to_owned(), vec![value.to_owned()]),
        (format!("tag:{}", tag::RUN), vec![run.as_str().to_owned()]),
    ]
}

/// Commands of the AWS CLI, one after the other.
pub(crate) fn aws_commands(region: &str, endpoint: Option<&str>, commands: &[String]) -> String {
    let endpoint = endpoint
        .map(|url| format!(" --endpoint-url {url}"))
        .unwrap_or_default();
    let commands = commands
        .iter()
        .map(|command| format!("aws --region {region}{endpoint} {command}"));
    commands.collect::<Vec<_>>().join(" && ")
}

/// Terminates, and looks that EC2 has begun to.
pub(crate) async fn terminate(region: &dyn Region, id: &InstanceId) -> Result<(), CloudError> {
    region.terminate_instance(id).await?;
    let filter = InstanceFilter {
        instance_ids: vec![id.clone()],
        ..InstanceFilter::default()
    };
    match region.instances(&filter).await?.first() {
        Some(instance) if !instance.state.is_ending() => Err(CloudError {
            operation: "TerminateInstances",
            resource: Some(id.to_string()),
            // It is looked at again until it is.
            kind: ErrorKind::WrongState,
            code: String::new(),
            message: format!(
                "EC2 took the call, but the instance is still {}",
                instance.state.as_str()
            ),
            request_id: None,
        }),
        _ => Ok(()),
    }
}

/// Takes the address from `instance`, and from nothing else.
pub async fn free_address(
    region: &dyn Region,
    allocation: &AllocationId,
    instance: &InstanceId,
) -> Result<(), CloudError> {
    let addresses = region
        .addresses(&AddressFilter::allocation(allocation))
        .await?;
    for address in addresses {
        if let Some(binding) = address.binding
            && binding.instance_id.as_ref() == Some(instance)
        {
            region.disassociate_address(&binding.association_id).await?;
        }
    }
    Ok(())
}

/// Deletes the snapshots that CreateImage made for the cell: they carry the run's and the cell's tags from birth. Those
/// of an image that is complete stay: an earlier try of the cell may have come to one.
async fn delete_snapshots(
    region: &dyn Region,
    run: &RunId,
    cell: &CellName,
) -> Result<(), CloudError> {
    let filters = vec![
        (format!("tag:{}", tag::RUN), vec![run.as_str().to_owned()]),
        (format!("tag:{}", tag::STAGE), vec![cell.stage.clone()]),
        (format!("tag:{}", tag::CELL), vec![cell.cell.clone()]),
    ];
    let snapshots = region.snapshots(&filters).await?;
    if snapshots.is_empty() {
        return Ok(());
    }
    let complete = ImageFilter {
        owners: vec!["self".into()],
        filters: own("tag-key", tag::COMPLETE, run),
        ..ImageFilter::default()
    };
    let complete = region.images(&complete).await?;
    let is_used = |snapshot: &Snapshot| {
        complete.iter().any(|image| {
            image.tags.get(tag::COMPLETE).is_some()
                && image.snapshots.contains(&snapshot.snapshot_id)
        })
    };
    for snapshot in snapshots.iter().filter(|snapshot| !is_used(snapshot)) {
        region.delete_snapshot(&snapshot.snapshot_id).await?;
    }
    Ok(())
}

/// Looks for one thing with `find` until it shows or [`LOOK_TIME`] has passed.
pub async fn looked_for<T>(
    clock: &dyn Clock,
    find: &mut impl AsyncFnMut() -> Result<Option<T>, CloudError>,
) -> Result<Option<T>, CloudError> {
    let until = deadline(clock, LOOK_TIME);
    loop {
        match find().await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) if clock.now() >= until => return Ok(None),
            Ok(None) => clock.sleep(LOOK_EVERY).await,
            Err(error) => return Err(error),
        }
    }
}

/// Looks for something until it shows or [`LOOK_TIME`] has passed. Also what has a known id is looked for first: what
/// was made a moment ago may not show yet, and a deletion that is told "not found" would leave it.
async fn looked_up<T, F>(
    clock: &dyn Clock,
    mut look: impl FnMut() -> F,
) -> Result<Vec<T>, CloudError>
where
    F: Future<Output = Result<Vec<T>, CloudError>>,
{
    let until = deadline(clock, LOOK_TIME);
    loop {
        match look().await {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(none) if clock.now() >= until => return Ok(none),
            Ok(_) => clock.sleep(LOOK_EVERY).await,
            Err(error) => return Err(error),
        }
    }
}

/// Repeats `call` while something still uses the resource or its state does not allow the call yet, until [`UNDO_TIME`].
/// What passes by itself, such as throttling, is the port's affair.
async fn retried<F>(clock: &dyn Clock, call: impl FnMut() -> F) -> Result<(), CloudError>
where
    F: Future<Output = Result<(), CloudError>>,
{
    retried_within(clock, UNDO_TIME, call).await
}

/// The same for as long as `allowed`. What is not found counts as removed.
pub(crate) async fn retried_within<F>(
    clock: &dyn Clock,
    allowed: Duration,
    mut call: impl FnMut() -> F,
) -> Result<(), CloudError>
where
    F: Future<Output = Result<(), CloudError>>,
{
    let until = deadline(clock, allowed);
    let mut pauses = backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(10))
        .without_max_times()
        .build();
    loop {
        match call().await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let may_pass = matches!(error.kind, ErrorKind::Dependency | ErrorKind::WrongState);
                let pause = pauses.next().unwrap_or(Duration::from_secs(10));
                if !may_pass || clock.now() >= until {
                    return Err(error);
                }
                clock.sleep(pause).await;
            }
        }
    }
}

/// How a person removes what `effect` made.
pub fn left_resource(
    effect: &Effect,
    state: &EffectState,
    reason: String,
    endpoint: Option<&str>,
) -> LeftResource {
    let region = effect.region().to_string();
    let outcome = state.outcome();
    let (kind, id, command) = match (effect, outcome) {
        (Effect::LaunchInstance { .. }, Some(Outcome::Instance { id })) => (
            "instance",
            id.to_string(),
            format!("ec2 terminate-instances --instance-ids {id}"),
        ),
        (Effect::LaunchInstance { client_token, .. }, _) => (
            "instance",
            format!("client token {client_token}"),
            format!("ec2 describe-instances --filters Name=client-token,Values={client_token}"),
        ),
        (Effect::ImportKeyPair { name, .. }, _) => (
            "key-pair",
            name.clone(),
            format!("ec2 delete-key-pair --key-name {name}"),
        ),
        (Effect::CreateSecurityGroup { .. }, Some(Outcome::SecurityGroup { id })) => (
            "security-group",
            id.to_string(),
            format!("ec2 delete-security-group --group-id {id}"),
        ),
        (Effect::CreateSecurityGroup { name, .. }, _) => (
            "security-group",
            name.clone(),
            format!("ec2 describe-security-groups --filters Name=group-name,Values={name}"),
        ),
        (Effect::CreateRole { name, .. }, _) => {
            return left_in_iam(
                "role",
                name,
                region,
                reason,
                endpoint,
                &delete_role_commands(name),
            );
        }
        (Effect::CreateInstanceProfile { name, .. }, _) => {
            let commands = delete_profile_commands(name);
            return left_in_iam(
                "instance-profile",
                name,
                region,
                reason,
                endpoint,
                &commands,
            );
        }
        (_, Some(Outcome::Image { id })) => (
            "image",
            id.to_string(),
            format!("ec2 deregister-image --delete-associated-snapshots --image-id {id}"),
        ),
        (
            Effect::CreateImage { name, .. }
            | Effect::RegisterImage { name, .. }
            | Effect::RegisterSnapshot { name, .. }
            | Effect::CopyImage { name, .. },
            _,
        ) => (
            "image",
            name.clone(),
            format!("ec2 describe-images --owners self --filters 'Name=name,Values={name}'"),
        ),
        (Effect::CreateSnapshots { instance, .. }, _) => (
            "snapshot",
            format!("of {instance}"),
            format!(
                "ec2 describe-snapshots --owner-ids self --filters 'Name=description,Values=*{instance}*'"
            ),
        ),
        (Effect::WriteParameter { name, before, .. }, _) => (
            "parameter",
            name.clone(),
            match before {
                Some(before) => format!(
                    "ssm put-parameter --overwrite --name {name} --value {}",
                    before.value
                ),
                None => format!("ssm delete-parameter --name {name}"),
            },
        ),
        (Effect::BindAddress { .. }, Some(Outcome::Association { id })) => (
            "address-binding",
            id.to_string(),
            format!("ec2 disassociate-address --association-id {id}"),
        ),
        (Effect::BindAddress { allocation, .. }, _) => (
            "address-binding",
            allocation.to_string(),
            format!("ec2 describe-addresses --allocation-ids {allocation}"),
        ),
        (Effect::ClaimLease { name, .. }, _) => (
            "lease",
            name.clone(),
            format!("ssm delete-parameter --name {name}"),
        ),
        (other, outcome) => imported::left(other, outcome).unwrap_or_else(|| {
            (
                "effect",
                format!("{other:?}"),
                String::from("sts get-caller-identity"),
            )
        }),
    };
    LeftResource {
        kind: kind.to_owned(),
        id,
        remove_with: aws_commands(&region, endpoint, &[command]),
        region,
        reason,
    }
}

fn left_in_iam(
    kind: &str,
    name: &str,
    region: String,
    reason: String,
    endpoint: Option<&str>,
    commands: &[String],
) -> LeftResource {
    LeftResource {
        kind: kind.to_owned(),
        id: name.to_owned(),
        remove_with: aws_commands(&region, endpoint, commands),
        region,
        reason,
    }
}
