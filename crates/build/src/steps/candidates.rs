//! In which order a cell's launch is tried: instance types × subnets × ways to pay. Pure.
//!
//! ```text
//!   spot       m5.large  in subnet-1     the preferred instance type everywhere,
//!   spot       m5.large  in subnet-2
//!   spot       m6i.large in subnet-1     then the next one everywhere,
//!   spot       m6i.large in subnet-2
//!   on demand  m5.large  in subnet-1     then, with `fall_back: on-demand`, all of it once more
//!   …
//! ```
//!
//! All subnets are in one VPC: a security group belongs to one VPC and is made before the launch, and changing it between
//! two attempts would mean making and removing groups for an instance that does not exist.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/security-groups.html>

use crate::spec::{FallBack, LaunchSpec, PurchaseSpec};
use cloud::{Purchase, Subnet};

/// One way to launch a cell's instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The instance type.
    pub instance_type: &'a str,
    /// The subnet.
    pub subnet: &'a Subnet,
    /// How it is paid for.
    pub purchase: Purchase,
    /// The most to pay for a spot instance, in US dollars per hour; none for the on-demand price.
    pub spot_max_price: Option<&'a str>,
}

/// Every way to launch what `spec` describes in `subnets`, the preferred one first.
pub fn candidates<'a>(
    spec: &'a LaunchSpec,
    subnets: &'a [Subnet],
) -> impl Iterator<Item = Candidate<'a>> {
    purchases(&spec.purchase)
        .into_iter()
        .flatten()
        .flat_map(move |(purchase, spot_max_price)| {
            spec.machines.iter().flat_map(move |instance_type| {
                subnets.iter().map(move |subnet| Candidate {
                    instance_type,
                    subnet,
                    purchase,
                    spot_max_price,
                })
            })
        })
}

/// The instance types that `spec` tries and the ways to pay for each, the preferred one first, wherever that is.
pub fn machines(spec: &LaunchSpec) -> impl Iterator<Item = (&str, Purchase)> {
    purchases(&spec.purchase)
        .into_iter()
        .flatten()
        .flat_map(|(purchase, _)| {
            let machines = spec.machines.iter();
            machines.map(move |machine| (machine.as_str(), purchase))
        })
}

/// The ways to pay, in their order, each with the most to pay.
fn purchases(spec: &PurchaseSpec) -> [Option<(Purchase, Option<&str>)>; 2] {
    const ON_DEMAND: Option<(Purchase, Option<&str>)> = Some((Purchase::OnDemand, None));
    match spec {
        PurchaseSpec::OnDemand => [ON_DEMAND, None],
        PurchaseSpec::Spot {
            max_price,
            fall_back,
        } => [
            Some((Purchase::Spot, max_price.as_deref())),
            match fall_back {
                FallBack::OnDemand => ON_DEMAND,
                FallBack::None => None,
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SshFrom;
    use cloud::Tags;
    use std::time::Duration;

    fn subnet(id: &str, vpc: &str) -> Subnet {
        Subnet {
            free_addresses: 250,
            ipv6: false,
            tags: cloud::Tags::new(),
            subnet_id: id.into(),
            vpc_id: vpc.into(),
            availability_zone: "us-east-2a".into(),
            default_for_zone: false,
            maps_public_ip: true,
        }
    }

    fn launch(machines: &[&str], purchase: PurchaseSpec) -> LaunchSpec {
        LaunchSpec {
            machines: machines.iter().map(|&machine| machine.to_owned()).collect(),
            subnets: Vec::new(),
            purchase,
            max_lifetime: Duration::from_secs(3600),
            security_groups: Vec::new(),
            vpc: None,
            instance_profile: None,
            volumes: Vec::new(),
            left_out_devices: Vec::new(),
            ssh_from: SshFrom::Caller,
            user_data: None,
            ebs_optimized: None,
            public_ip: true,
            ipv6: false,
            hosting: cloud::Hosting::default(),
            metadata: cloud::MetadataOptions::default(),
            guest_shutdown: cloud::GuestShutdown::Terminate,
            tags: Tags::new(),
        }
    }

    fn order(spec: &LaunchSpec, subnets: &[Subnet]) -> Vec<String> {
        candidates(spec, subnets)
            .map(|candidate| {
                let price = candidate.spot_max_price.unwrap_or("-");
                let Candidate {
                    instance_type,
                    subnet,
                    purchase,
                    ..
                } = candidate;
                format!("{purchase:?} {price} {instance_type} {}", subnet.subnet_id)
            })
            .collect()
    }

    #[test]
    fn the_preferred_instance_type_is_tried_everywhere_before_the_next() {
        let spec = launch(&["m5.large", "t3.micro"], PurchaseSpec::OnDemand);
        let subnets = [subnet("subnet-2", "vpc-1"), subnet("subnet-1", "vpc-1")];
        assert_eq!(
            order(&spec, &subnets),
            [
                "OnDemand - m5.large subnet-2",
                "OnDemand - m5.large subnet-1",
                "OnDemand - t3.micro subnet-2",
                "OnDemand - t3.micro subnet-1",
            ]
        );
    }

    #[test]
    fn every_spot_candidate_comes_before_the_first_on_demand() {
        let spot = |fall_back| PurchaseSpec::Spot {
            max_price: Some(String::from("0.12")),
            fall_back,
        };
        let subnets = [subnet("subnet-1", "vpc-1")];
        let machines = ["m5.large", "t3.micro"];
        let spots = ["Spot 0.12 m5.large subnet-1", "Spot 0.12 t3.micro subnet-1"];
        // The price is for spot alone: EC2 refuses one beside an on-demand launch.
        let on_demand = [
            "OnDemand - m5.large subnet-1",
            "OnDemand - t3.micro subnet-1",
        ];
        let both: Vec<&str> = spots.into_iter().chain(on_demand).collect();
        assert_eq!(
            order(&launch(&machines, spot(FallBack::OnDemand)), &subnets),
            both
        );
        assert_eq!(
            order(&launch(&machines, spot(FallBack::None)), &subnets),
            spots
        );
    }
}
