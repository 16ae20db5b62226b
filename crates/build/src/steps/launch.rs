//! Launching the instance.

use super::access::Access;
use super::candidates::{Candidate, candidates};
use super::context::CellContext;
use super::profile::{InstanceProfile, until_ec2_knows_it};
use super::site::Site;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber};
use crate::spec::CellSpec;
use crate::undo::own;
use cloud::wait::{Verdict, WaitError};
use cloud::{
    ErrorKind, Hosting, Image, Instance, InstanceFilter, InstanceId, InstanceState, LaunchRequest,
    Placement, Purchase, SecurityGroupId, TagSpecification, Tags,
};
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

/// What the instance is given.
pub(super) struct Equipment<'a> {
    /// The keys.
    pub access: &'a Access,
    /// Its groups.
    pub groups: &'a [SecurityGroupId],
    /// The role that it has.
    pub profile: Option<InstanceProfile>,
    /// What it is told at its first boot.
    pub user_data: Vec<u8>,
}

/// Launches the instance and waits until it runs. Where there is no machine to be had, the next candidate is tried.
pub(super) async fn launch(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    site: &Site,
    with: Equipment<'_>,
) -> Result<Launched, StepError> {
    let tags = spec
        .tags
        .clone()
        .merged(&spec.launch.tags)
        .merged(&context.own_tags());
    let name = format!("qib {} {}", context.run().pipeline, spec.cell.stage);
    let instance_tags = Tags::new().with("Name", name).merged(&tags);
    let mut tried = Vec::new();
    for candidate in candidates(&spec.launch, &site.subnets) {
        let zone = &candidate.subnet.availability_zone;
        if !site.offers(candidate.instance_type, zone) {
            tried.push(format!(
                "{}: the zone does not have it",
                describe(&candidate)
            ));
            continue;
        }
        let mut request = LaunchRequest {
            client_token: String::new(),
            image_id: source.image_id.clone(),
            instance_type: candidate.instance_type.to_owned(),
            placement: Placement {
                subnet_id: candidate.subnet.subnet_id.clone(),
                availability_zone: candidate.subnet.availability_zone.clone(),
            },
            public_ip: spec.launch.public_ip,
            security_groups: with.groups.to_vec(),
            key_name: with.access.key_name.clone(),
            instance_profile: with
                .profile
                .as_ref()
                .map(|profile| profile.name().to_owned()),
            user_data: with.user_data.clone(),
            volumes: spec.launch.volumes.clone(),
            ebs_optimized: spec.launch.ebs_optimized,
            purchase: candidate.purchase,
            spot_max_price: candidate.spot_max_price.map(str::to_owned),
            // The dead-man timer in the guest shuts it down when nobody else has ended it.
            guest_shutdown: spec.launch.guest_shutdown,
            left_out_devices: spec.launch.left_out_devices.clone(),
            ipv6: spec.launch.ipv6,
            hosting: hosting(&spec.launch.hosting, candidate.purchase),
            metadata: spec.launch.metadata.clone(),
            tags: TagSpecification {
                instance: instance_tags.clone(),
                volume: tags.clone(),
                network_interface: tags.clone(),
            },
        };
        request.client_token = client_token(context, &request);
        let what = describe(&candidate);
        match run(context, spec, &request, with.profile.as_ref(), &what).await {
            Ok(launched) => return Ok(launched),
            Err(error) => match unavailable(&error) {
                Some(why) => {
                    context.note(format!("no {what}: {why}"));
                    tried.push(format!("{what}: {why}"));
                }
                None => return Err(error),
            },
        }
    }
    Err(StepError::NoCapacity { tried })
}

/// Spot instances use no capacity reservation, and EC2 refuses one beside them.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html>
pub(crate) fn hosting(wanted: &Hosting, purchase: Purchase) -> Hosting {
    Hosting {
        capacity_reservation: match purchase {
            Purchase::OnDemand => wanted.capacity_reservation.clone(),
            Purchase::Spot => None,
        },
        ..wanted.clone()
    }
}

fn describe(candidate: &Candidate<'_>) -> String {
    let purchase = match candidate.purchase {
        Purchase::OnDemand => "",
        Purchase::Spot => " spot",
    };
    format!(
        "{}{purchase} in {}",
        candidate.instance_type, candidate.subnet.availability_zone
    )
}

/// Why this machine is not to be had here and now while another may be; none if the failure is of another kind.
///
/// The codes are those of <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>, and the state reason
/// is one of <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>.
fn unavailable(error: &StepError) -> Option<String> {
    const ELSEWHERE: &[&str] = &[
        "InsufficientFreeAddressesInSubnet",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        // The instance type does not exist in this zone.
        "Unsupported",
        "VcpuLimitExceeded",
    ];
    match error {
        StepError::Cloud(error)
            if error.kind == ErrorKind::Capacity || ELSEWHERE.contains(&error.code.as_str()) =>
        {
            Some(error.to_string())
        }
        StepError::InstanceGone {
            reason: Some(reason),
            ..
        } if reason.contains("InsufficientInstanceCapacity") => Some(reason.clone()),
        _ => None,
    }
}

/// Launches one candidate.
async fn run(
    context: &CellContext,
    spec: &CellSpec,
    request: &LaunchRequest,
    profile: Option<&InstanceProfile>,
    what: &str,
) -> Result<Launched, StepError> {
    let effect = Effect::LaunchInstance {
        region: spec.region.clone(),
        client_token: request.client_token.clone(),
        source_image: request.image_id.clone(),
        recipe: recipe(spec),
    };
    // The group or the key pair that were just made may not show to RunInstances yet.
    let call = async || {
        let launch = || context.until_visible(|| context.region().run_instance(request));
        let instance = match profile {
            Some(InstanceProfile::Temporary { .. }) => until_ec2_knows_it(context, launch).await?,
            Some(InstanceProfile::Named(_)) | None => launch().await?,
        };
        Ok(instance.instance_id)
    };
    let filter = InstanceFilter {
        filters: own("client-token", &request.client_token, context.run_id()),
        ..InstanceFilter::default()
    };
    let find = async || {
        let found = context.region().instances(&filter).await?;
        Ok(found
            .into_iter()
            .next()
            .map(|instance| instance.instance_id))
    };
    let made = context
        .effects()
        .make(&spec.cell, effect, call, find)
        .await?;
    context.note(format!("instance {} ({what})", made.value));
    match wait_running(context, &made.value).await {
        Ok(instance) => Ok(Launched {
            effect: made.number,
            instance,
        }),
        Err(error) => {
            // It came to nothing: the next candidate is not to find it standing.
            if unavailable(&error).is_some() {
                context.effects().unmake(made.number).await?;
            }
            Err(error)
        }
    }
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
                .pollers()
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
