//! Finding the VPC, the subnets and the groups that the pipeline means. Nothing is made by it, and nothing should be
//! before it.
//!
//! ```text
//!   launch.vpc ── id, filter, none ─▶ VPC ─▶ each of launch.subnets, in it ─▶ all in one VPC? ─▶ groups by filter, in it
//! ```

use crate::failure::{SiteError, StepError};
use crate::spec::{GroupSpec, PickSubnet, SubnetSpec, VpcSpec, Wanted};
use cloud::{Region, SecurityGroupId, Subnet, Vpc, VpcId};

type Filters = Vec<(String, Vec<String>)>;

fn filter(name: &str, value: impl Into<String>) -> (String, Vec<String>) {
    (name.to_owned(), vec![value.into()])
}

/// Each id with its tag `Name`, as a person tells them apart.
fn told<'a>(found: impl Iterator<Item = (String, &'a cloud::Tags)>) -> Vec<String> {
    found
        .map(|(id, tags)| match tags.get("Name") {
            Some(name) => format!("{id} ({name})"),
            None => id,
        })
        .collect()
}

/// The VPC that is looked in: the one that the pipeline says, else the default one.
pub(super) async fn vpc(region: &dyn Region, wanted: Option<&VpcSpec>) -> Result<VpcId, StepError> {
    let Some(wanted) = wanted else {
        let default = default_vpc(region).await?;
        return Ok(default.vpc_id);
    };
    let filters = match wanted {
        VpcSpec::Id(id) => vec![filter("vpc-id", id.as_str())],
        VpcSpec::Filter(wanted) => wanted.filters.clone(),
    };
    let found = region.vpcs(&filters).await?;
    let (region, wanted) = (region.name().to_string(), wanted.to_string());
    match found.as_slice() {
        [vpc] => Ok(vpc.vpc_id.clone()),
        [] => Err(SiteError::NoVpc { region, wanted }.into()),
        several => Err(SiteError::SeveralVpcs {
            region,
            wanted,
            found: told(
                several
                    .iter()
                    .map(|vpc| (vpc.vpc_id.to_string(), &vpc.tags)),
            ),
        }
        .into()),
    }
}

async fn default_vpc(region: &dyn Region) -> Result<Vpc, StepError> {
    let found = region.vpcs(&[filter("is-default", "true")]).await?;
    let default = found.into_iter().next();
    default.ok_or_else(|| {
        SiteError::NoDefaultVpc {
            region: region.name().to_string(),
        }
        .into()
    })
}

/// The subnets that `wanted` means, in its order and each once. `prefers` says which zones are good: where nothing else
/// decides between default subnets, one in such a zone is taken.
///
/// # Errors
/// If one is not there or not told from others, or if they are in several VPCs.
pub(super) async fn subnets(
    region: &dyn Region,
    vpc: Option<&VpcSpec>,
    wanted: &[SubnetSpec],
    prefers: impl Fn(&Subnet) -> bool,
) -> Result<Vec<Subnet>, StepError> {
    // Only a filter needs to know it when nothing is said; a subnet's id says it, and a default subnet is in the default one.
    let by_filter = |wanted: &SubnetSpec| matches!(wanted, SubnetSpec::Filter { .. });
    let within = if vpc.is_some() || wanted.iter().any(by_filter) {
        Some(self::vpc(region, vpc).await?)
    } else {
        None
    };
    let mut found = Vec::new();
    for wanted in wanted {
        found.push(match wanted {
            SubnetSpec::Id(id) => {
                by_id(region, within.as_ref().filter(|_| vpc.is_some()), id).await?
            }
            SubnetSpec::DefaultVpc { zone } => {
                by_default(region, zone.as_deref(), &prefers).await?
            }
            SubnetSpec::Filter { wanted, zone, pick } => {
                by_wish(region, within.as_ref(), wanted, zone.as_deref(), *pick).await?
            }
        });
    }
    in_one_vpc(found)
}

async fn by_id(
    region: &dyn Region,
    within: Option<&VpcId>,
    id: &cloud::SubnetId,
) -> Result<Subnet, StepError> {
    let mut filters: Filters = vec![filter("subnet-id", id.as_str())];
    filters.extend(within.map(|vpc| filter("vpc-id", vpc.as_str())));
    let found = region.subnets(&filters).await?.into_iter().next();
    found.ok_or_else(|| match within {
        Some(vpc) => SiteError::NoSubnet {
            vpc: vpc.to_string(),
            wanted: id.to_string(),
        }
        .into(),
        None => StepError::NoSubnet {
            region: region.name().to_string(),
            wanted: id.to_string(),
        },
    })
}

async fn by_default(
    region: &dyn Region,
    zone: Option<&str>,
    prefers: &impl Fn(&Subnet) -> bool,
) -> Result<Subnet, StepError> {
    let mut filters: Filters = vec![filter("default-for-az", "true")];
    let zone = zone.map(|letter| format!("{}{letter}", region.name()));
    filters.extend(
        zone.iter()
            .map(|zone| filter("availability-zone", zone.as_str())),
    );
    let mut found = region.subnets(&filters).await?;
    found.sort_by(|a, b| a.availability_zone.cmp(&b.availability_zone));
    let at = found.iter().position(prefers).unwrap_or(0);
    if at < found.len() {
        return Ok(found.swap_remove(at));
    }
    // Why there is none is worth two more calls.
    let vpc = default_vpc(region).await?.vpc_id.to_string();
    let Some(zone) = zone else {
        let wanted = String::from("default_vpc: true");
        return Err(SiteError::NoSubnet { vpc, wanted }.into());
    };
    let others = region.subnets(&[filter("default-for-az", "true")]).await?;
    let mut has: Vec<String> = others
        .iter()
        .map(|subnet| subnet.availability_zone.to_string())
        .collect();
    has.sort_unstable();
    Err(SiteError::NoDefaultSubnet { vpc, zone, has }.into())
}

async fn by_wish(
    region: &dyn Region,
    within: Option<&VpcId>,
    wanted: &Wanted,
    zone: Option<&str>,
    pick: PickSubnet,
) -> Result<Subnet, StepError> {
    let mut filters = wanted.filters.clone();
    filters.extend(within.map(|vpc| filter("vpc-id", vpc.as_str())));
    filters.extend(
        zone.map(|letter| filter("availability-zone", format!("{}{letter}", region.name()))),
    );
    let found = region.subnets(&filters).await?;
    let vpc = within.map(ToString::to_string).unwrap_or_default();
    let said = wanted.said.clone();
    picked(found, pick).map_err(|found| match found.as_slice() {
        [] => SiteError::NoSubnet { vpc, wanted: said }.into(),
        several => SiteError::SeveralSubnets {
            vpc,
            wanted: said,
            found: told(several.iter().map(|subnet| {
                let id = format!("{} in {}", subnet.subnet_id, subnet.availability_zone);
                (id, &subnet.tags)
            })),
        }
        .into(),
    })
}

/// The one that is taken; else all, sorted.
fn picked(mut found: Vec<Subnet>, pick: PickSubnet) -> Result<Subnet, Vec<Subnet>> {
    found.sort_by(|a, b| {
        (&a.availability_zone, &a.subnet_id).cmp(&(&b.availability_zone, &b.subnet_id))
    });
    let at = match pick {
        PickSubnet::First if !found.is_empty() => 0,
        PickSubnet::Only if found.len() == 1 => 0,
        // Of two with as many the first, so that the same is taken every time.
        PickSubnet::MostFree => {
            let most = found.iter().map(|subnet| subnet.free_addresses).max();
            match found
                .iter()
                .position(|subnet| Some(subnet.free_addresses) == most)
            {
                Some(at) => at,
                None => return Err(found),
            }
        }
        PickSubnet::First | PickSubnet::Only => return Err(found),
    };
    Ok(found.swap_remove(at))
}

/// `found` without repetitions, if all of it is in one VPC. `default_vpc` with and without a zone may be the same subnet.
fn in_one_vpc(found: Vec<Subnet>) -> Result<Vec<Subnet>, StepError> {
    let mut subnets: Vec<Subnet> = Vec::new();
    for subnet in found {
        if subnets
            .iter()
            .all(|other| other.subnet_id != subnet.subnet_id)
        {
            subnets.push(subnet);
        }
    }
    let vpc = subnets.first().map(|subnet| &subnet.vpc_id);
    if subnets.iter().all(|subnet| Some(&subnet.vpc_id) == vpc) {
        return Ok(subnets);
    }
    let told: Vec<String> = subnets
        .iter()
        .map(|subnet| format!("{} in {}", subnet.subnet_id, subnet.vpc_id))
        .collect();
    Err(StepError::SeveralVpcs {
        subnets: told.join(", "),
    })
}

/// The groups that `wanted` means, in its order. EC2 itself refuses an id that is not of the VPC.
pub(super) async fn groups(
    region: &dyn Region,
    vpc: &VpcId,
    wanted: &[GroupSpec],
) -> Result<Vec<SecurityGroupId>, StepError> {
    let mut groups: Vec<SecurityGroupId> = Vec::new();
    for wanted in wanted {
        let id = match wanted {
            GroupSpec::Id(id) => id.clone(),
            GroupSpec::Filter(wanted) => group(region, vpc, wanted).await?,
        };
        if !groups.contains(&id) {
            groups.push(id);
        }
    }
    Ok(groups)
}

async fn group(
    region: &dyn Region,
    vpc: &VpcId,
    wanted: &Wanted,
) -> Result<SecurityGroupId, StepError> {
    let mut filters = wanted.filters.clone();
    filters.push(filter("vpc-id", vpc.as_str()));
    let found = region.security_groups(&filters).await?;
    let (vpc, wanted) = (vpc.to_string(), wanted.said.clone());
    match found.as_slice() {
        [group] => Ok(group.group_id.clone()),
        [] => Err(SiteError::NoGroup { vpc, wanted }.into()),
        several => Err(SiteError::SeveralGroups {
            vpc,
            wanted,
            found: several
                .iter()
                .map(|group| format!("{} ({})", group.group_id, group.name))
                .collect(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(id: &str, vpc: &str, zone: &str, free: u32) -> Subnet {
        Subnet {
            free_addresses: free,
            ipv6: false,
            tags: cloud::Tags::new(),
            subnet_id: id.into(),
            vpc_id: vpc.into(),
            availability_zone: zone.into(),
            default_for_zone: false,
            maps_public_ip: true,
        }
    }

    fn taken(pick: PickSubnet, found: &[(&str, &str, u32)]) -> Option<String> {
        let found = found
            .iter()
            .map(|(id, zone, free)| subnet(id, "vpc-1", zone, *free))
            .collect();
        picked(found, pick)
            .ok()
            .map(|subnet| subnet.subnet_id.to_string())
    }

    #[test]
    fn one_subnet_is_picked_of_several_only_when_asked_to() {
        let several = [
            ("subnet-3", "a", 9),
            ("subnet-1", "b", 20),
            ("subnet-2", "a", 20),
        ];
        assert_eq!(taken(PickSubnet::Only, &several), None);
        assert_eq!(taken(PickSubnet::Only, &several[..1]).unwrap(), "subnet-3");
        assert_eq!(taken(PickSubnet::First, &several).unwrap(), "subnet-2");
        assert_eq!(taken(PickSubnet::MostFree, &several).unwrap(), "subnet-2");
        for pick in [PickSubnet::Only, PickSubnet::First, PickSubnet::MostFree] {
            assert_eq!(taken(pick, &[]), None);
        }
    }

    #[test]
    fn a_subnet_that_is_meant_twice_is_tried_once() {
        let found = vec![
            subnet("subnet-2", "vpc-1", "a", 1),
            subnet("subnet-1", "vpc-1", "a", 1),
            subnet("subnet-2", "vpc-1", "a", 1),
        ];
        let ids: Vec<String> = in_one_vpc(found)
            .unwrap()
            .iter()
            .map(|subnet| subnet.subnet_id.to_string())
            .collect();
        assert_eq!(ids, ["subnet-2", "subnet-1"]);
    }

    #[test]
    fn subnets_of_several_vpcs_are_refused_by_name() {
        let found = vec![
            subnet("subnet-1", "vpc-1", "a", 1),
            subnet("subnet-2", "vpc-2", "a", 1),
        ];
        let error = in_one_vpc(found).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the subnets of a stage must be in one VPC: subnet-1 in vpc-1, subnet-2 in vpc-2"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("launch.subnets"))
        );
    }
}
