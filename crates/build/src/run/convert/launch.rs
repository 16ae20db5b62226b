//! `launch`.

use super::rendered_tags;
use super::volumes::volumes;
use crate::failure::StepError;
use crate::spec::*;
use pipeline::model;
use pipeline::template::RunFacts;

pub(super) fn launch(launch: &model::Launch, facts: &RunFacts) -> Result<LaunchSpec, StepError> {
    Ok(LaunchSpec {
        machines: launch
            .instance_types
            .iter()
            .map(ToString::to_string)
            .collect(),
        subnets: launch.subnets.iter().map(|s| subnet(&s.value)).collect(),
        purchase: purchase(&launch.spot),
        max_lifetime: launch.max_lifetime.get(),
        security_groups: launch
            .security_groups
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        instance_profile: launch.instance_profile.as_ref().map(ToString::to_string),
        volumes: volumes(&launch.volumes),
        ssh_from: match &launch.ssh_from {
            model::SshFrom::Caller => SshFrom::Caller,
            model::SshFrom::Anywhere => SshFrom::Anywhere,
            model::SshFrom::Networks(networks) => {
                SshFrom::Ranges(networks.iter().map(ToString::to_string).collect())
            }
        },
        user_data: launch.user_data.as_ref().map(|file| file.content.clone()),
        ebs_optimized: launch.ebs_optimized,
        public_ip: launch.public_ip,
        tags: rendered_tags(&launch.tags, "launch.tags", facts)?,
    })
}

fn subnet(choice: &model::SubnetChoice) -> SubnetSpec {
    match choice {
        model::SubnetChoice::Id(id) => SubnetSpec::Id(id.as_str().into()),
        model::SubnetChoice::DefaultVpc { zone } => SubnetSpec::DefaultVpc {
            zone: zone.as_ref().map(ToString::to_string),
        },
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
