//! Launching the instance.

use super::access::Access;
use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber};
use crate::spec::CellSpec;
use crate::undo::own;
use cloud::wait::{Verdict, WaitError};
use cloud::*;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long EC2 may take from RunInstances to `running`. It takes seconds; bare-metal machines take a quarter of an
/// hour.
const RUNNING_WITHIN: Duration = Duration::from_secs(20 * 60);

/// The cell's instance.
#[derive(Clone, Debug)]
pub(super) struct Launched {
    /// Its effect in the journal.
    pub effect: EffectNumber,
    /// As it was when it first ran.
    pub instance: Instance,
}

/// Launches the instance and waits until it runs.
pub(super) async fn launch(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    subnet: &Subnet,
    access: &Access,
    groups: &[SecurityGroupId],
    user_data: Vec<u8>,
) -> Result<Launched, StepError> {
    let tags = spec
        .tags
        .clone()
        .merged(&spec.launch.tags)
        .merged(&context.own_tags());
    let name = format!("qib {} {}", context.run().pipeline, spec.cell.stage);
    let instance_tags = Tags::new().with("Name", name).merged(&tags);
    let mut request = LaunchRequest {
        client_token: String::new(),
        image_id: source.image_id.clone(),
        instance_type: spec.launch.instance_type.clone(),
        placement: Placement {
            subnet_id: subnet.subnet_id.clone(),
            availability_zone: subnet.availability_zone.clone(),
        },
        public_ip: spec.launch.public_ip,
        security_groups: groups.to_vec(),
        key_name: access.key_name.clone(),
        instance_profile: spec.launch.instance_profile.clone(),
        user_data,
        volumes: spec.launch.volumes.clone(),
        ebs_optimized: spec.launch.ebs_optimized,
        purchase: Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: GuestShutdown::Stop,
        tags: TagSpecification {
            instance: instance_tags,
            volume: tags.clone(),
            network_interface: tags,
        },
    };
    request.client_token = client_token(context, &request);
    let effect = Effect::LaunchInstance {
        region: spec.region.clone(),
        client_token: request.client_token.clone(),
        source_image: source.image_id.clone(),
        recipe: recipe(spec),
    };
    // The group or the key pair that were just made may not show to RunInstances yet.
    let call = async || {
        let instance = context
            .until_visible(|| context.region().run_instance(&request))
            .await?;
        Ok(instance.instance_id)
    };
    let token = own("client-token", &request.client_token, context.run_id());
    let find = async || {
        let filter = InstanceFilter {
            filters: token.clone(),
            ..InstanceFilter::default()
        };
        let found = context.region().instances(&filter).await?;
        Ok(found.into_iter().next().map(|instance| instance.instance_id))
    };
    let made = context
        .effects()
        .make(&spec.cell, effect, call, find)
        .await?;
    context.note(format!(
        "instance {} ({}) in {}",
        made.value, spec.launch.instance_type, subnet.availability_zone
    ));
    Ok(Launched {
        effect: made.number,
        instance: wait_running(context, &made.value).await?,
    })
}

/// Waits until the instance runs.
pub(super) async fn wait_running(
    context: &CellContext,
    id: &InstanceId,
) -> Result<Instance, StepError> {
    let deadline = context.deadline(RUNNING_WITHIN);
    let running = context
        .race(
            context
                .run()
                .instances
                .wait(id, deadline, |seen| match seen {
                    Some(instance) if instance.state == InstanceState::Running => {
                        Verdict::Done(instance.clone())
                    }
                    Some(instance) if instance.state != InstanceState::Pending => {
                        Verdict::Impossible(gone(instance))
                    }
                    Some(_) | None => Verdict::Wait,
                }),
        )
        .await?;
    running.map_err(|error| wait_failed(error, id, "running", RUNNING_WITHIN))
}

/// A hash of what the pipeline says about the launch and the way in: an instance that was launched by the same recipe
/// is the one that would be launched now.
pub(crate) fn recipe(spec: &CellSpec) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}\n{:?}", spec.launch, spec.connect));
    let mut text = hex::encode(hash.finalize());
    text.truncate(32);
    text
}

/// Hash of run, cell, step and all parameters: new whenever a parameter changes.
fn client_token(context: &CellContext, request: &LaunchRequest) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{}\nlaunch\n{request:?}",
        context.run_id(),
        context.cell()
    ));
    hex::encode(hash.finalize())
}

/// The error for an instance that is not in a state from which the build can go on.
pub(super) fn gone(instance: &Instance) -> StepError {
    StepError::InstanceGone {
        instance: instance.instance_id.to_string(),
        state: instance.state.as_str().to_owned(),
        reason: instance.state_reason.clone(),
    }
}

/// The error for a wait on an instance.
pub(super) fn wait_failed(
    error: WaitError<StepError>,
    id: &InstanceId,
    wanted: &'static str,
    waited: Duration,
) -> StepError {
    match error {
        WaitError::Impossible(error) => error,
        WaitError::Cloud(error) => error.about(id).into(),
        WaitError::Deadline { .. } => StepError::InstanceSlow {
            instance: id.to_string(),
            wanted,
            waited,
            detail: error.to_string(),
        },
    }
}
