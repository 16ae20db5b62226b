//! `launch`.

use super::volumes::{left_out, volumes};
use super::{rendered, rendered_tags};
use crate::failure::StepError;
use crate::spec::*;
use cloud::{GuestShutdown, Hosting, MetadataOptions};
use pipeline::model;
use pipeline::template::RunFacts;
use std::collections::BTreeMap;

pub(super) fn launch(launch: &model::Launch, facts: &RunFacts) -> Result<LaunchSpec, StepError> {
    Ok(LaunchSpec {
        machines: launch
            .instance_types
            .iter()
            .map(ToString::to_string)
            .collect(),
        vpc: launch.vpc.as_ref().map(|vpc| self::vpc(&vpc.value)),
        subnets: launch.subnets.iter().map(|s| subnet(&s.value)).collect(),
        purchase: purchase(&launch.spot),
        max_lifetime: launch.max_lifetime.get(),
        security_groups: launch.security_groups.iter().map(|g| group(g)).collect(),
        instance_profile: launch.instance_profile.as_ref().map(|p| profile(&p.value)),
        volumes: volumes(&launch.volumes),
        left_out_devices: left_out(&launch.volumes),
        ssh_from: match &launch.ssh_from {
            model::SshFrom::Caller => SshFrom::Caller,
            model::SshFrom::Anywhere => SshFrom::Anywhere,
            model::SshFrom::Networks(networks) => {
                SshFrom::Ranges(networks.iter().map(ToString::to_string).collect())
            }
        },
        user_data: match &launch.user_data {
            Some(model::UserData::File(file)) => Some(file.content.clone()),
            Some(model::UserData::Content(text)) => {
                Some(rendered(text, "launch.user_data.content", facts)?.into_bytes())
            }
            None => None,
        },
        ebs_optimized: launch.ebs_optimized,
        public_ip: launch.public_ip,
        ipv6: launch.ipv6,
        hosting: hosting(launch),
        metadata: MetadataOptions {
            hop_limit: launch.metadata.hop_limit.map(model::HopLimit::get),
            instance_tags: launch.metadata.instance_tags.as_ref().map(|on| on.value),
        },
        guest_shutdown: match launch.on_shutdown {
            model::OnShutdown::Terminate => GuestShutdown::Terminate,
            model::OnShutdown::Stop => GuestShutdown::Stop,
        },
        tags: rendered_tags(&launch.tags, "launch.tags", facts)?,
    })
}

/// EC2 filters for tags, and for what else is said.
fn filters(
    tags: &BTreeMap<String, String>,
    more: &[(&str, Option<&String>)],
) -> Vec<(String, Vec<String>)> {
    let tags = tags
        .iter()
        .map(|(key, value)| (format!("tag:{key}"), vec![value.clone()]));
    let more = more
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), vec![(*value)?.clone()])));
    tags.chain(more).collect()
}

fn vpc(choice: &model::VpcChoice) -> VpcSpec {
    match choice {
        model::VpcChoice::Id(id) => VpcSpec::Id(id.as_str().into()),
        model::VpcChoice::Filter(filter) => VpcSpec::Filter(Wanted {
            filters: filters(
                &filter.tags,
                &[
                    ("tag:Name", filter.name.as_ref()),
                    ("cidr", filter.cidr.as_ref()),
                ],
            ),
            said: choice.to_string(),
        }),
    }
}

fn subnet(choice: &model::SubnetChoice) -> SubnetSpec {
    match choice {
        model::SubnetChoice::Id(id) => SubnetSpec::Id(id.as_str().into()),
        model::SubnetChoice::DefaultVpc { zone } => SubnetSpec::DefaultVpc {
            zone: zone.as_ref().map(ToString::to_string),
        },
        model::SubnetChoice::Filter { filter, pick } => SubnetSpec::Filter {
            wanted: Wanted {
                filters: filters(
                    &filter.tags,
                    &[
                        ("tag:Name", filter.name.as_ref()),
                        ("cidr-block", filter.cidr.as_ref()),
                    ],
                ),
                said: choice.to_string(),
            },
            zone: filter.zone.as_ref().map(ToString::to_string),
            pick: match pick {
                model::PickSubnet::Only => PickSubnet::Only,
                model::PickSubnet::MostFree => PickSubnet::MostFree,
                model::PickSubnet::First => PickSubnet::First,
            },
        },
    }
}

fn group(choice: &model::GroupChoice) -> GroupSpec {
    match choice {
        model::GroupChoice::Id(id) => GroupSpec::Id(id.as_str().into()),
        model::GroupChoice::Filter(filter) => GroupSpec::Filter(Wanted {
            filters: filters(&filter.tags, &[("group-name", filter.name.as_ref())]),
            said: choice.to_string(),
        }),
    }
}

fn profile(profile: &model::InstanceProfile) -> ProfileSpec {
    match profile {
        model::InstanceProfile::Named(name) => ProfileSpec::Named(name.to_string()),
        model::InstanceProfile::Temporary(policy) => ProfileSpec::Temporary {
            policy: policy.with_statements(Vec::new()),
        },
    }
}

fn hosting(launch: &model::Launch) -> Hosting {
    let placement = launch.placement.as_ref().map(|placement| &placement.value);
    let on_host = placement.is_some_and(|p| p.host.is_some() || p.host_resource_group.is_some());
    Hosting {
        capacity_reservation: launch.capacity_reservation.as_ref().map(|reservation| {
            match &reservation.value {
                model::CapacityReservation::Open => cloud::CapacityReservation::Open,
                model::CapacityReservation::None => cloud::CapacityReservation::None,
                model::CapacityReservation::Id(id) => {
                    cloud::CapacityReservation::Id(id.to_string())
                }
                model::CapacityReservation::Group(arn) => {
                    cloud::CapacityReservation::Group(arn.to_string())
                }
            }
        }),
        tenancy: placement
            .and_then(|p| p.tenancy)
            .or_else(|| on_host.then_some(model::Tenancy::Host))
            .map(|tenancy| tenancy.as_str().to_owned()),
        host_id: placement.and_then(|p| p.host.as_ref().map(ToString::to_string)),
        host_resource_group: placement
            .and_then(|p| p.host_resource_group.as_ref().map(ToString::to_string)),
        placement_group: placement.and_then(|p| p.group.as_ref().map(ToString::to_string)),
        cpu_credits: launch
            .credits
            .as_ref()
            .map(|credits| credits.value.as_str().to_owned()),
    }
}

fn purchase(spot: &model::Spot) -> PurchaseSpec {
    match spot {
        model::Spot::No => PurchaseSpec::OnDemand,
        model::Spot::Yes(terms) => PurchaseSpec::Spot {
            max_price: terms.max_price.as_ref().map(ToString::to_string),
            fall_back: match terms.fall_back {
                model::FallBack::OnDemand => FallBack::OnDemand,
                model::FallBack::None => FallBack::None,
            },
        },
    }
}
