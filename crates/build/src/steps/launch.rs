//! Launching the instance.

use super::access::Access;
use super::context::CellContext;
use super::group::Groups;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber, Outcome};
use crate::spec::CellSpec;
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
    groups: &Groups,
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
        security_groups: groups.ids.clone(),
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
    };
    // The group or the key pair that were just made may not show to RunInstances yet.
    let call = context.until_visible(|| context.region().run_instance(&request));
    let made = context
        .effects()
        .make(&spec.cell, effect, call, |instance| Outcome::Instance {
            id: instance.instance_id.clone(),
        })
        .await?;
    let id = made.value.instance_id.clone();
    context.note(format!(
        "instance {id} ({}) in {}",
        spec.launch.instance_type, subnet.availability_zone
    ));

    let deadline = context.deadline(RUNNING_WITHIN);
    let running = context
        .race(
            context
                .run()
                .instances
                .wait(&id, deadline, |seen| match seen {
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
    let instance = running.map_err(|error| wait_failed(error, &id, "running", RUNNING_WITHIN))?;
    Ok(Launched {
        effect: made.number,
        instance,
    })
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
