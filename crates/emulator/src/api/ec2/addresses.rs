//! Elastic IPs.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/elastic-ip-addresses-eip.html>

use super::filter::Filters;
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use super::{Action, done};
use crate::account::network::{Address, Association, ComingAssociation};
use crate::account::quotas::Quota;
use crate::account::region::Region;
use crate::api::caller::Caller;
use crate::api::ec2::instances::existing;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::ids::{AllocationId, AssociationId, InstanceId};
use std::net::Ipv4Addr;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateAddress.html>
pub(crate) struct AllocateAddress {
    tags: TagSpecs,
}

impl Action for AllocateAddress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Domain", &["vpc"])?;
        Ok(Self {
            tags: TagSpecs::parse(p, &["elastic-ip"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let most = cx.quotas().count(Quota::ElasticIps);
        if cx.region().addresses.len() >= most {
            return Err(ApiError::new(
                "AddressLimitExceeded",
                "The maximum number of addresses has been reached.",
            ));
        }
        let public_ip = cx.account.free_public_ip();
        let address = Address {
            allocation: AllocationId::random(),
            public_ip,
            association: None,
            coming: None,
            tags: self.tags.of("elastic-ip"),
        };
        let mut x = Xml::new();
        x.put("publicIp", public_ip)
            .put("domain", "vpc")
            .put("allocationId", &address.allocation);
        x.put("publicIpv4Pool", "amazon")
            .put("networkBorderGroup", cx.region);
        cx.region()
            .addresses
            .insert(address.allocation.clone(), address);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseAddress.html>
pub(crate) struct ReleaseAddress {
    allocation: AllocationId,
}

impl Action for ReleaseAddress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            allocation: AllocationId::parse(p.required("AllocationId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let address = allocated(region, &self.allocation)?;
        if address.bound().is_some() {
            return Err(ApiError::new(
                "InvalidIPAddress.InUse",
                format!(
                    "The address with allocation id '{}' is in use and cannot be released",
                    self.allocation
                ),
            ));
        }
        region.addresses.remove(&self.allocation);
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAddresses.html>
pub(crate) struct DescribeAddresses {
    allocations: Vec<AllocationId>,
    public_ips: Vec<Ipv4Addr>,
    filters: Filters,
}

impl Action for DescribeAddresses {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let allocations = p
            .texts("AllocationId")
            .into_iter()
            .map(AllocationId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let public_ips = p
            .texts("PublicIp")
            .into_iter()
            .map(public_ip)
            .collect::<Result<Vec<_>, _>>()?;
        let filters = Filters::parse(
            p,
            &[
                "allocation-id",
                "association-id",
                "domain",
                "instance-id",
                "network-border-group",
                "network-interface-id",
                "network-interface-owner-id",
                "private-ip-address",
                "public-ip",
            ],
        )?;
        Ok(Self {
            allocations,
            public_ips,
            filters,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        for id in &self.allocations {
            allocated(region, id)?;
        }
        if let Some(unknown) = self
            .public_ips
            .iter()
            .find(|ip| !region.addresses.values().any(|a| a.public_ip == **ip))
        {
            return Err(ApiError::new(
                "InvalidAddress.NotFound",
                format!("Address '{unknown}' not found."),
            ));
        }
        let chosen = region.addresses.values().filter(|a| {
            let asked = self.allocations.is_empty() && self.public_ips.is_empty()
                || self.allocations.contains(&a.allocation)
                || self.public_ips.contains(&a.public_ip);
            asked && self.filters.pass(&a.tags, |name| values(region, a, name))
        });
        let mut x = Xml::new();
        x.list("addressesSet", chosen, |x, a| write(x, region, a));
        Ok(x)
    }
}

fn values(region: &Region, a: &Address, filter: &str) -> Vec<String> {
    let bound = a.association.as_ref();
    let interface = || {
        bound
            .and_then(|b| region.instances.get(&b.instance))
            .map(|i| &i.interface)
    };
    match filter {
        "association-id" => bound.map(|b| b.id.to_string()).into_iter().collect(),
        "domain" => vec!["vpc".to_owned()],
        "instance-id" => bound.map(|b| b.instance.to_string()).into_iter().collect(),
        "network-border-group" => vec![region.name.clone()],
        "network-interface-id" => interface().map(|i| i.id.to_string()).into_iter().collect(),
        "network-interface-owner-id" => bound.map(|_| region.owner.clone()).into_iter().collect(),
        "private-ip-address" => interface()
            .map(|i| i.private_ip.to_string())
            .into_iter()
            .collect(),
        "public-ip" => vec![a.public_ip.to_string()],
        _ => vec![a.allocation.to_string()],
    }
}

fn write(x: &mut Xml, region: &Region, a: &Address) {
    x.put("publicIp", a.public_ip)
        .put("allocationId", &a.allocation)
        .put("domain", "vpc");
    if let Some(bound) = &a.association {
        x.put("instanceId", &bound.instance)
            .put("associationId", &bound.id);
        if let Some(instance) = region.instances.get(&bound.instance) {
            x.put("networkInterfaceId", &instance.interface.id)
                .put("networkInterfaceOwnerId", &region.owner);
            x.put("privateIpAddress", instance.interface.private_ip);
        }
    }
    x.put("publicIpv4Pool", "amazon")
        .put("networkBorderGroup", &region.name);
    write_tags(x, &a.tags);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html>
pub(crate) struct AssociateAddress {
    allocation: AllocationId,
    instance: InstanceId,
    allow_reassociation: bool,
}

impl Action for AssociateAddress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        // In a VPC reassociation is automatic unless AllowReassociation is sent as false.
        let allow_reassociation = p.flag("AllowReassociation")?.unwrap_or(true);
        let allocation = AllocationId::parse(p.required("AllocationId")?)?;
        Ok(Self {
            allocation,
            instance: InstanceId::parse(p.required("InstanceId")?)?,
            allow_reassociation,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let instance = existing(cx, &self.instance)?.clone();
        let faults = cx.faults.instances.of(&instance);
        if faults.binding_refused && matches!(cx.caller, Caller::Guest { .. }) {
            return Err(ApiError::new(
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. (fault: binding_refused)",
            )
            .with_status(403));
        }
        let now = cx.now;
        let region = cx.region();
        allocated(region, &self.allocation)?;
        // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html: InvalidInstanceID, "the instance
        // is not in a valid state", for an instance that is not there yet or not any more.
        if instance.state.is_over()
            || instance.state == crate::account::lifecycle::InstanceState::Pending
        {
            let message = format!(
                "The pending or terminated instance '{}' is not in a valid state for this operation.",
                instance.id
            );
            return Err(ApiError::new("InvalidInstanceID", message));
        }
        let other_of_instance = region
            .addresses
            .values()
            .filter(|a| a.allocation != self.allocation)
            .filter_map(|a| a.bound().cloned())
            .find(|bound| bound.instance == self.instance);
        let of_address = region
            .addresses
            .get(&self.allocation)
            .and_then(|a| a.bound().cloned());
        if let Some(bound) = &of_address {
            if bound.instance == self.instance {
                return Ok(associated(&bound.id));
            }
            if !self.allow_reassociation {
                let message = format!(
                    "resource {} is already associated with associate-id {}",
                    self.allocation, bound.id
                );
                return Err(ApiError::new("Resource.AlreadyAssociated", message));
            }
        }
        if let Some(bound) = &other_of_instance
            && !self.allow_reassociation
        {
            let message = format!(
                "resource {} is already associated with associate-id {}",
                instance.interface.id, bound.id
            );
            return Err(ApiError::new("Resource.AlreadyAssociated", message));
        }
        let id = AssociationId::random();
        let association = Association {
            id: id.clone(),
            instance: self.instance,
        };
        match (
            faults.binding_delayed,
            region.addresses.get_mut(&self.allocation),
        ) {
            (Some(delay), Some(address)) => {
                address.association = None;
                let due = now.checked_add(delay).unwrap_or(now);
                address.coming = Some(ComingAssociation { association, due });
                cx.effects.push(Effect::BindLater(delay));
            }
            (_, _) => region.bind(&self.allocation, association),
        }
        Ok(associated(&id))
    }
}

fn associated(id: &AssociationId) -> Xml {
    let mut x = done();
    x.put("associationId", id);
    x
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateAddress.html>
pub(crate) struct DisassociateAddress {
    by: By,
}

enum By {
    Association(AssociationId),
    PublicIp(Ipv4Addr),
}

impl Action for DisassociateAddress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let by = match (p.text("AssociationId"), p.text("PublicIp")) {
            (Some(id), None) => By::Association(AssociationId::parse(id)?),
            (None, Some(ip)) => By::PublicIp(public_ip(ip)?),
            (None, None) => return Err(ApiError::missing("AssociationId")),
            (Some(_), Some(_)) => {
                return Err(ApiError::combination(
                    "You may specify public IP or association id, but not both in the same call",
                ));
            }
        };
        Ok(Self { by })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let account = &*cx.account;
        let fresh = account.free_public_ip();
        let region = cx.region();
        let address = region.addresses.values_mut().find(|a| match &self.by {
            By::Association(id) => a.bound().is_some_and(|b| b.id == *id),
            By::PublicIp(ip) => a.public_ip == *ip,
        });
        let bound = address.and_then(|a| {
            let bound = a.bound().cloned();
            (a.association, a.coming) = (None, None);
            bound
        });
        let Some(bound) = bound else {
            return Err(match self.by {
                By::Association(id) => ApiError::new(
                    "InvalidAssociationID.NotFound",
                    format!("The association ID '{id}' does not exist"),
                ),
                By::PublicIp(ip) => ApiError::new(
                    "InvalidAddress.NotFound",
                    format!("Address '{ip}' not found."),
                ),
            });
        };
        // An instance that was given a random public address at launch gets another one when its Elastic IP goes, see
        // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html. A stopped one gets it when it starts.
        if let Some(instance) = region.instances.get_mut(&bound.instance)
            && instance.state == crate::account::lifecycle::InstanceState::Running
            && instance.interface.wants_public_ip
        {
            instance.interface.public_ip = Some(fresh);
        }
        Ok(done())
    }
}

fn allocated<'a>(region: &'a Region, id: &AllocationId) -> Result<&'a Address, ApiError> {
    region.addresses.get(id).ok_or_else(|| {
        ApiError::new(
            "InvalidAllocationID.NotFound",
            format!("The allocation ID '{id}' does not exist"),
        )
    })
}

fn public_ip(text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse().map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            format!("Invalid IPv4 address: {text}"),
        )
    })
}
