//! Where an instance goes: subnet, groups and addresses.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use super::network::subnet_not_found;
use super::params::Scope;
use super::security_groups::not_found as group_not_found;
use crate::account::instance_types::InstanceType;
use crate::account::network::Subnet;
use crate::account::region::{Region, ZONES};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::faults::service::{CapacityRequest, NoCapacity, Purchase};
use crate::ids::{GroupId, SubnetId};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where an instance is to be.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) subnet: Option<SubnetId>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) group_names: Vec<String>,
    pub(crate) private_ip: Option<Ipv4Addr>,
    pub(crate) public_ip: Option<bool>,
    pub(crate) ipv6: Ipv6Wish,
    pub(crate) description: String,
}

/// Which IPv6 addresses it is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ipv6Wish {
    /// What the subnet says.
    #[default]
    AsTheSubnet,
    /// So many.
    Count(u8),
    /// These.
    These(Vec<Ipv6Addr>),
}

/// "A number of IPv6 addresses": at most as many as an interface can have, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html>.
const MOST_IPV6: u8 = 10;

impl Network {
    /// Reads it from the top of the request or from its one network interface.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let groups = |p: &Scope<'_>| {
            p.texts("SecurityGroupId")
                .into_iter()
                .map(GroupId::parse)
                .collect::<Result<Vec<_>, _>>()
        };
        let subnet = |p: &Scope<'_>| p.text("SubnetId").map(SubnetId::parse).transpose();
        let address = |p: &Scope<'_>| -> Result<Option<Ipv4Addr>, ApiError> {
            let bad = |text: &str| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("Invalid IPv4 address: {text}"),
                )
            };
            p.text("PrivateIpAddress")
                .map(|text| text.parse().map_err(|_| bad(text)))
                .transpose()
        };
        let top = Self {
            subnet: subnet(p)?,
            groups: groups(p)?,
            group_names: p
                .texts("SecurityGroup")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            private_ip: address(p)?,
            ipv6: ipv6(p, "Ipv6Address")?,
            ..Self::default()
        };
        let interfaces = p.each("NetworkInterface");
        let Some(interface) = interfaces.first() else {
            return Ok(top);
        };
        if interfaces.len() > 1 {
            return Err(ApiError::new(
                "AttachmentLimitExceeded",
                "An instance of the local EC2 has one network interface",
            ));
        }
        if top.subnet.is_some()
            || !top.groups.is_empty()
            || !top.group_names.is_empty()
            || top.private_ip.is_some()
            || top.ipv6 != Ipv6Wish::AsTheSubnet
        {
            let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request";
            return Err(ApiError::combination(message));
        }
        match interface.number::<u32>("DeviceIndex")? {
            Some(0) => {}
            None => return Err(ApiError::missing(&interface.name("DeviceIndex"))),
            Some(other) => {
                return Err(ApiError::invalid_value(
                    "DeviceIndex",
                    &other.to_string(),
                    "The primary interface has index 0.",
                ));
            }
        }
        if interface.flag("DeleteOnTermination")? == Some(false) {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "An interface of the local EC2 goes with its instance",
            ));
        }
        Ok(Self {
            subnet: subnet(interface)?,
            groups: groups(interface)?,
            group_names: Vec::new(),
            private_ip: address(interface)?,
            public_ip: interface.flag("AssociatePublicIpAddress")?,
            ipv6: ipv6(interface, "Ipv6Addresses")?,
            description: interface.text("Description").unwrap_or_default().to_owned(),
        })
    }

    /// The groups, all of the subnet's VPC.
    ///
    /// # Errors
    /// `InvalidGroup.NotFound`; `InvalidParameter` for one of another network.
    pub(crate) fn groups(
        &self,
        region: &Region,
        subnet: &Subnet,
    ) -> Result<Vec<GroupId>, ApiError> {
        let mut groups = Vec::new();
        for id in &self.groups {
            let group = region.groups.get(id);
            let group = group.ok_or_else(|| group_not_found(id.as_str()))?;
            if group.vpc != subnet.vpc {
                return Err(ApiError::new(
                    "InvalidParameter",
                    format!(
                        "Security group {id} and subnet {} belong to different networks.",
                        subnet.id
                    ),
                ));
            }
            groups.push(id.clone());
        }
        // "[Default VPC] The names of the security groups. For a nondefault VPC, you must use security group IDs instead."
        if !self.group_names.is_empty() && !region.is_default(&subnet.vpc) {
            return Err(ApiError::combination(
                "The parameter groupName cannot be used with the parameter subnet",
            ));
        }
        for name in &self.group_names {
            let mut of_vpc = region.groups.values().filter(|g| g.vpc == subnet.vpc);
            let group = of_vpc.find(|g| g.name == *name);
            groups.push(group.ok_or_else(|| group_not_found(name))?.id.clone());
        }
        if groups.is_empty() {
            groups.extend(region.default_group(&subnet.vpc).map(|g| g.id.clone()));
        }
        Ok(groups)
    }

    /// Checks the private address that the request names.
    ///
    /// # Errors
    /// If it is not in the subnet, is taken, or is to be several instances'.
    pub(crate) fn check_private_ip(
        &self,
        region: &Region,
        subnet: &Subnet,
        most: u32,
    ) -> Result<(), ApiError> {
        let Some(ip) = self.private_ip else {
            return Ok(());
        };
        if most > 1 {
            return Err(ApiError::combination(
                "Private IP address cannot be given for more than one instance",
            ));
        }
        if !subnet.cidr.contains(ip) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Address {ip} does not fall within the subnet's address range"),
            ));
        }
        match region.private_ip_taken(&subnet.vpc, ip) {
            true => Err(ApiError::new(
                "InvalidIPAddress.InUse",
                format!("Address {ip} is in use."),
            )),
            false => Ok(()),
        }
    }

    /// The IPv6 addresses of a new instance.
    ///
    /// # Errors
    /// `InvalidParameterCombination` for a subnet or instance type that has none, `InvalidParameterValue` for one outside the
    /// subnet, `InvalidIPAddress.InUse`.
    pub(crate) fn ipv6(
        &self,
        region: &Region,
        subnet: &Subnet,
        machine: &InstanceType,
    ) -> Result<Vec<Ipv6Addr>, ApiError> {
        let count = match &self.ipv6 {
            Ipv6Wish::AsTheSubnet => u8::from(subnet.assign_ipv6 && machine.ipv6()),
            Ipv6Wish::Count(count) => *count,
            Ipv6Wish::These(addresses) => u8::try_from(addresses.len()).unwrap_or(u8::MAX),
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let Some(range) = subnet.ipv6 else {
            return Err(ApiError::combination(format!(
                "The subnet '{}' has no IPv6 CIDR block associated with it",
                subnet.id
            )));
        };
        if !machine.ipv6() {
            return Err(ApiError::combination(format!(
                "The instance type '{}' does not support IPv6",
                machine.name
            )));
        }
        if let Ipv6Wish::These(addresses) = &self.ipv6 {
            if let Some(other) = addresses.iter().find(|a| !range.contains(**a)) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Address {other} does not fall within the subnet's address range"),
                ));
            }
            if let Some(taken) = addresses.iter().find(|a| region.ipv6_taken(**a)) {
                return Err(ApiError::new(
                    "InvalidIPAddress.InUse",
                    format!("Address {taken} is in use."),
                ));
            }
            return Ok(addresses.clone());
        }
        let mut addresses = Vec::new();
        while addresses.len() < usize::from(count) {
            let low: u64 = rand::random();
            let address = Ipv6Addr::from_bits(range.network.to_bits() | u128::from(low));
            if !region.ipv6_taken(address) && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

fn ipv6(p: &Scope<'_>, list: &str) -> Result<Ipv6Wish, ApiError> {
    let count: Option<u8> = p.number("Ipv6AddressCount")?;
    let mut addresses = Vec::new();
    for address in p.each(list) {
        // The interface's list has structures, the instance's too: `Ipv6Address.1.Ipv6Address`.
        let text = address.required("Ipv6Address")?;
        addresses.push(text.parse().map_err(|_| {
            ApiError::new(
                "InvalidParameterValue",
                format!("Invalid IPv6 address: {text}"),
            )
        })?);
    }
    match (count, addresses.is_empty()) {
        (Some(_), false) => Err(ApiError::combination(
            "Ipv6AddressCount and Ipv6Addresses cannot be used together",
        )),
        (Some(count), true) if count > MOST_IPV6 => Err(ApiError::invalid_value(
            "Ipv6AddressCount",
            &count.to_string(),
            &format!("At most {MOST_IPV6}."),
        )),
        (Some(count), true) => Ok(Ipv6Wish::Count(count)),
        (None, false) => Ok(Ipv6Wish::These(addresses)),
        (None, true) => Ok(Ipv6Wish::AsTheSubnet),
    }
}

/// A launch that looks for its subnet.
pub(crate) struct Seeking<'a> {
    pub(crate) network: &'a Network,
    pub(crate) zone: Option<&'a str>,
    pub(crate) machine: &'static InstanceType,
    pub(crate) purchase: Purchase,
}

impl Seeking<'_> {
    /// The subnet: the one asked for if its zone has the type and capacity, else one of a zone that has.
    pub(crate) fn subnet(&self, cx: &mut Cx<'_>) -> Result<Subnet, ApiError> {
        let asked = self.asked(cx.region())?.cloned();
        if let Some(subnet) = &asked
            && !self.machine.offered_in(&subnet.zone)
        {
            return Err(self.not_offered(cx.region, &subnet.zone));
        }
        self.with_capacity(cx, asked)
    }

    /// The subnet that the request names, by itself or by its zone.
    fn asked<'r>(&self, region: &'r Region) -> Result<Option<&'r Subnet>, ApiError> {
        match (&self.network.subnet, self.zone) {
            (Some(id), zone) => {
                let subnet = region.subnets.get(id).ok_or_else(|| subnet_not_found(id))?;
                if zone.is_some_and(|z| *z != subnet.zone) {
                    let message =
                        "The specified subnet does not belong to the specified availability zone.";
                    return Err(ApiError::combination(message));
                }
                Ok(Some(subnet))
            }
            (None, Some(zone)) => {
                let known = ZONES.iter().any(|z| format!("{}{z}", region.name) == zone);
                if !known {
                    return Err(ApiError::new(
                        "InvalidParameterValue",
                        format!("Invalid availability zone: [{zone}]"),
                    ));
                }
                let subnet = default_subnets(region).find(|s| s.zone == zone);
                subnet
                    .map(Some)
                    .ok_or_else(|| no_subnet(region, Some(zone)))
            }
            (None, None) => Ok(None),
        }
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>
    fn not_offered(&self, region: &str, zone: &str) -> ApiError {
        let name = self.machine.name;
        let elsewhere: Vec<String> = ZONES
            .iter()
            .map(|z| format!("{region}{z}"))
            .filter(|z| self.machine.offered_in(z))
            .collect();
        ApiError::new(
            "Unsupported",
            format!(
                "Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}). Please \
                 retry your request by not specifying an Availability Zone or choosing {}.",
                elsewhere.join(", ")
            ),
        )
    }

    fn with_capacity(&self, cx: &mut Cx<'_>, asked: Option<Subnet>) -> Result<Subnet, ApiError> {
        let capacity = cx.capacity;
        let region = &*cx.region();
        let zones_of = |s: &Subnet| self.machine.offered_in(&s.zone);
        let mut zones: Vec<&str> = match &asked {
            Some(_) => region.subnets.values().map(|s| s.zone.as_str()).collect(),
            None => default_subnets(region)
                .filter(|s| zones_of(s))
                .map(|s| s.zone.as_str())
                .collect(),
        };
        zones.sort_unstable();
        zones.dedup();
        if zones.is_empty() {
            return Err(no_subnet(region, None));
        }
        let request = CapacityRequest {
            instance_type: self.machine.name,
            purchase: self.purchase,
            zones: &zones,
            asked: asked.as_ref().map(|s| s.zone.as_str()),
        };
        let zone = capacity(&request)?.map_err(|e| no_capacity(&request, &e))?;
        let any = || default_subnets(region).find(|s| s.zone == zone).cloned();
        asked.or_else(any).ok_or_else(|| no_subnet(region, None))
    }
}

fn default_subnets(region: &Region) -> impl Iterator<Item = &Subnet> {
    region.subnets.values().filter(|s| s.default_for_zone)
}

/// EC2's words for a launch that names no subnet where there is no default one.
fn no_subnet(region: &Region, zone: Option<&str>) -> ApiError {
    match (&region.vpc, zone) {
        (None, _) => ApiError::new(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        ),
        (Some(_), Some(zone)) => ApiError::new(
            "InvalidInput",
            format!("No default subnet for availability zone: '{zone}'."),
        ),
        (Some(vpc), None) => ApiError::new(
            "MissingInput",
            format!(
                "No subnets found for the default VPC '{}'. Please specify a subnet.",
                vpc.id
            ),
        ),
    }
}

/// EC2's words for want of capacity, a server's error, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-capacity>.
fn no_capacity(request: &CapacityRequest<'_>, found: &NoCapacity) -> ApiError {
    let name = request.instance_type;
    let message = match (request.purchase, request.asked) {
        (Purchase::Spot, _) => {
            "There is no Spot capacity available that matches your request.".to_owned()
        }
        (Purchase::OnDemand, None) => format!(
            "We currently do not have sufficient {name} capacity in the Availability Zones you requested. Our system will \
             be working on provisioning additional capacity."
        ),
        (Purchase::OnDemand, Some(zone)) => {
            let mut message = format!(
                "We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone}). Our \
                 system will be working on provisioning additional capacity."
            );
            if !found.elsewhere.is_empty() {
                message.push_str(&format!(
                    " You can currently get {name} capacity by not specifying an Availability Zone in your request or \
                     choosing {}.",
                    found.elsewhere.join(", ")
                ));
            }
            message
        }
    };
    ApiError::new("InsufficientInstanceCapacity", message).with_status(500)
}
