//! RunInstances.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{block_devices, instances, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    CapacityReservationPreference, CapacityReservationSpecification, CapacityReservationTarget,
    CreditSpecificationRequest, HttpTokensState, IamInstanceProfileSpecification,
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, InstanceMetadataTagsState,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, Placement, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tenancy,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloud::port::Result;
use cloud::{
    CapacityReservation, GuestShutdown, Hosting, Instance, LaunchRequest, MetadataOptions,
    Purchase, Tags,
};

/// How many hops an answer of the instance metadata may take. A provisioner that runs a tool in a container with a
/// network of its own is one hop further away, and would find no credentials with 1.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html#imds-considerations>
const METADATA_HOPS: i32 = 2;

pub(crate) async fn run(ec2: &Client, request: &LaunchRequest) -> Result<Instance> {
    const CALL: &str = "RunInstances";
    let answer = parameters(ec2.run_instances(), request)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.image_id))?;
    required(answer.instances().first(), "instancesSet")
        .and_then(instances::instance)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.image_id))
}

/// What is left out keeps EC2's default.
pub(crate) fn parameters(
    call: RunInstancesFluentBuilder,
    request: &LaunchRequest,
) -> RunInstancesFluentBuilder {
    call.min_count(1)
        .max_count(1)
        .client_token(&request.client_token)
        .image_id(request.image_id.as_str())
        .instance_type(InstanceType::from(request.instance_type.as_str()))
        .network_interfaces(network_interface(request))
        .metadata_options(metadata(&request.metadata))
        .set_placement(placement(&request.hosting))
        .set_capacity_reservation_specification(
            request
                .hosting
                .capacity_reservation
                .as_ref()
                .map(capacity_reservation),
        )
        .set_credit_specification(request.hosting.cpu_credits.as_ref().map(|credits| {
            CreditSpecificationRequest::builder()
                .cpu_credits(credits)
                .build()
        }))
        .set_key_name(request.key_name.clone())
        .set_iam_instance_profile(request.instance_profile.as_ref().map(|name| {
            IamInstanceProfileSpecification::builder()
                .name(name)
                .build()
        }))
        .set_user_data(
            (!request.user_data.is_empty()).then(|| BASE64_STANDARD.encode(&request.user_data)),
        )
        .set_block_device_mappings(block_devices::mappings(
            &request.volumes,
            &request.left_out_devices,
        ))
        .set_ebs_optimized(request.ebs_optimized)
        .set_instance_market_options(market(request))
        .set_instance_initiated_shutdown_behavior(match request.guest_shutdown {
            // What EC2 does by itself.
            GuestShutdown::Stop => None,
            GuestShutdown::Terminate => Some(ShutdownBehavior::Terminate),
        })
        .set_tag_specifications(tagging::specifications([
            (ResourceType::Instance, request.tags.instance.clone()),
            (ResourceType::Volume, request.tags.volume.clone()),
            (
                ResourceType::NetworkInterface,
                request.tags.network_interface.clone(),
            ),
            // EC2 lists the request for hours after its instance is gone: it says whose it was.
            (
                ResourceType::SpotInstancesRequest,
                spot_request_tags(request),
            ),
        ]))
}

fn metadata(options: &MetadataOptions) -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(options.hop_limit.map_or(METADATA_HOPS, i32::from))
        .set_instance_metadata_tags(options.instance_tags.map(|shown| match shown {
            true => InstanceMetadataTagsState::Enabled,
            false => InstanceMetadataTagsState::Disabled,
        }))
        .build()
}

/// None if all of it is left to EC2; the zone is the subnet's.
fn placement(hosting: &Hosting) -> Option<Placement> {
    let Hosting {
        tenancy,
        host_id,
        host_resource_group,
        placement_group,
        capacity_reservation: _,
        cpu_credits: _,
    } = hosting;
    let parts = [tenancy, host_id, host_resource_group, placement_group];
    parts.iter().any(|part| part.is_some()).then(|| {
        Placement::builder()
            .set_tenancy(tenancy.as_deref().map(Tenancy::from))
            .set_host_id(host_id.clone())
            .set_host_resource_group_arn(host_resource_group.clone())
            .set_group_name(placement_group.clone())
            .build()
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservationSpecification.html>
fn capacity_reservation(reservation: &CapacityReservation) -> CapacityReservationSpecification {
    let target = CapacityReservationTarget::builder;
    let specification = CapacityReservationSpecification::builder();
    match reservation {
        CapacityReservation::Open => {
            specification.capacity_reservation_preference(CapacityReservationPreference::Open)
        }
        CapacityReservation::None => {
            specification.capacity_reservation_preference(CapacityReservationPreference::None)
        }
        CapacityReservation::Id(id) => {
            specification.capacity_reservation_target(target().capacity_reservation_id(id).build())
        }
        CapacityReservation::Group(arn) => specification.capacity_reservation_target(
            target()
                .capacity_reservation_resource_group_arn(arn)
                .build(),
        ),
    }
    .build()
}

/// A one-time request: EC2 makes no second instance when it has taken the first one back. `terminate` is the only
/// behaviour that a one-time request may have.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotMarketOptions.html>
fn market(request: &LaunchRequest) -> Option<InstanceMarketOptionsRequest> {
    match request.purchase {
        Purchase::OnDemand => None,
        Purchase::Spot => Some(
            InstanceMarketOptionsRequest::builder()
                .market_type(MarketType::Spot)
                .spot_options(
                    SpotMarketOptions::builder()
                        .spot_instance_type(SpotInstanceType::OneTime)
                        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                        .set_max_price(request.spot_max_price.clone())
                        .build(),
                )
                .build(),
        ),
    }
}

/// EC2 refuses tags of a spot request in a call that makes none.
fn spot_request_tags(request: &LaunchRequest) -> Tags {
    match request.purchase {
        Purchase::OnDemand => Tags::new(),
        Purchase::Spot => request.tags.instance.clone(),
    }
}

/// Whether there is a public address can be said only of a network interface, and it is always said: a subnet that
/// gives one to every instance would otherwise have the last word. Subnet and groups then belong to the interface.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html>
fn network_interface(request: &LaunchRequest) -> InstanceNetworkInterfaceSpecification {
    let groups = request
        .security_groups
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .associate_public_ip_address(request.public_ip)
        .delete_on_termination(true)
        .subnet_id(request.placement.subnet_id.as_str())
        .set_groups((!groups.is_empty()).then_some(groups))
        .set_ipv6_address_count(request.ipv6.then_some(1))
        .build()
}
