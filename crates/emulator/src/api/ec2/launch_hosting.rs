//! What a launch says about the machine and its neighbourhood.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Placement.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservationSpecification.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreditSpecificationRequest.html>

use super::params::Scope;
use crate::account::instance::Hosting;
use crate::account::instance_types::InstanceType;
use crate::account::network::Subnet;
use crate::account::region::Region;
use crate::api::error::ApiError;
use crate::ids::{CapacityReservationId, HostId};

/// Reads it.
pub(crate) fn parse(p: &Scope<'_>) -> Result<Hosting, ApiError> {
    let placement = p.inside("Placement");
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let tenancy = placement.word("Tenancy", &["default", "dedicated", "host"])?;
    let host_id = placement.text("HostId").map(HostId::parse).transpose()?;
    let group = placement.text("HostResourceGroupArn");
    if let Some(arn) = group.filter(|g| !is_resource_group(g)) {
        return Err(ApiError::invalid_value(
            &placement.name("HostResourceGroupArn"),
            arn,
            "Expected the ARN of a resource group.",
        ));
    }
    // "If you specify this parameter, either omit the Tenancy parameter or set it to host."
    if (group.is_some() || host_id.is_some()) && !matches!(tenancy, None | Some("host")) {
        return Err(ApiError::combination(
            "A host or a host resource group can be used with the tenancy 'host' only",
        ));
    }
    if group.is_some() && host_id.is_some() {
        return Err(ApiError::combination(
            "HostId and HostResourceGroupArn cannot be used together",
        ));
    }
    let tenancy = match group.is_some() || host_id.is_some() {
        true => Some("host"),
        false => tenancy.filter(|t| *t != "default"),
    };
    let mut hosting = Hosting {
        tenancy: owned(tenancy),
        host_id: host_id.map(|h| h.to_string()),
        host_resource_group: owned(group),
        placement_group: owned(placement.text("GroupName").filter(|g| !g.is_empty())),
        cpu_credits: owned(
            p.inside("CreditSpecification")
                .word("CpuCredits", &["standard", "unlimited"])?,
        ),
        ..Hosting::default()
    };
    reservation(&p.inside("CapacityReservationSpecification"), &mut hosting)?;
    Ok(hosting)
}

fn is_resource_group(arn: &str) -> bool {
    arn.starts_with("arn:aws:resource-groups:") && arn.contains(":group/")
}

fn reservation(p: &Scope<'_>, hosting: &mut Hosting) -> Result<(), ApiError> {
    let known = ["capacity-reservations-only", "open", "none"];
    let preference = p.word("CapacityReservationPreference", &known)?;
    let target = p.inside("CapacityReservationTarget");
    let id = target
        .text("CapacityReservationId")
        .map(CapacityReservationId::parse)
        .transpose()?;
    let group = target.text("CapacityReservationResourceGroupArn");
    if let Some(arn) = group.filter(|g| !is_resource_group(g)) {
        return Err(ApiError::invalid_value(
            &target.name("CapacityReservationResourceGroupArn"),
            arn,
            "Expected the ARN of a resource group.",
        ));
    }
    // "You can't specify more than one of these parameters in the same request."
    let given = [preference.is_some(), id.is_some(), group.is_some()];
    if given.iter().filter(|g| **g).count() > 1 {
        return Err(ApiError::combination(
            "Only one of CapacityReservationPreference and CapacityReservationTarget can be specified",
        ));
    }
    hosting.reservation_preference = preference.map(str::to_owned);
    hosting.reservation_target = id.map(|r| r.to_string());
    hosting.reservation_group = group.map(str::to_owned);
    Ok(())
}

/// Checks it against what there is, and finds the reservation and host that the launch of `count` instances uses.
///
/// # Errors
/// EC2's codes, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>.
pub(crate) fn settle(
    mut hosting: Hosting,
    region: &Region,
    instance_type: &InstanceType,
    subnet: &Subnet,
    count: u32,
) -> Result<Hosting, ApiError> {
    let name = instance_type.name;
    if hosting.cpu_credits.is_some() && !instance_type.burstable() {
        return Err(ApiError::combination(format!(
            "The parameter CreditSpecification is not supported for the instance type '{name}'"
        )));
    }
    if let Some(group) = &hosting.placement_group {
        let Some(group) = region.placement_groups.get(group) else {
            return Err(ApiError::new(
                "InvalidPlacementGroup.Unknown",
                format!("The Placement Group '{group}' is unknown."),
            ));
        };
        // "Burstable performance instances … are not supported" in cluster placement groups.
        if group.strategy == "cluster" && (instance_type.burstable() || !instance_type.current()) {
            return Err(ApiError::combination(format!(
                "Cluster placement groups are not supported by the '{name}' instance type. Specify a supported instance type or change the placement group strategy, and try again."
            )));
        }
    }
    host(&mut hosting, region, instance_type, subnet)?;
    hosting.reservation = reserved(&hosting, region, instance_type, subnet, count)?;
    if let (Some(wanted), None) = (&hosting.reservation_group, &hosting.reservation) {
        return Err(ApiError::new(
            "InvalidCapacityReservationId.NotFound",
            format!(
                "The local EC2 has no resource groups of capacity reservations, so that {wanted} holds none"
            ),
        ));
    }
    Ok(hosting)
}

fn host(
    hosting: &mut Hosting,
    region: &Region,
    instance_type: &InstanceType,
    subnet: &Subnet,
) -> Result<(), ApiError> {
    if hosting.tenancy.as_deref() != Some("host") || hosting.host_resource_group.is_some() {
        return Ok(());
    }
    let fits = |h: &&crate::account::capacity::DedicatedHost| {
        h.zone == subnet.zone && h.takes(instance_type.name)
    };
    let found = match &hosting.host_id {
        Some(id) => {
            let host = region.hosts.values().find(|h| h.id.as_str() == id);
            let host = host.ok_or_else(|| {
                ApiError::new(
                    "InvalidHostID.NotFound",
                    format!("The specified host ID '{id}' does not exist"),
                )
            })?;
            Some(host).filter(fits)
        }
        None => region
            .hosts
            .values()
            .filter(|h| h.auto_placement)
            .find(fits),
    };
    let host = found.ok_or_else(|| {
        ApiError::new(
            "InsufficientCapacityOnHost",
            format!(
                "There is no dedicated host in {} with capacity for {}",
                subnet.zone, instance_type.name
            ),
        )
    })?;
    hosting.host_id = Some(host.id.to_string());
    Ok(())
}

/// The reservation that a launch uses, if it uses one.
fn reserved(
    hosting: &Hosting,
    region: &Region,
    instance_type: &InstanceType,
    subnet: &Subnet,
    count: u32,
) -> Result<Option<String>, ApiError> {
    let fits = |r: &crate::account::capacity::CapacityReservation| {
        r.instance_type == instance_type.name
            && r.zone == subnet.zone
            && r.available(region) >= count
    };
    let exceeded = || {
        ApiError::new(
            "ReservationCapacityExceeded",
            "The requested reservation does not have sufficient compatible and available capacity for this request.",
        )
    };
    if let Some(id) = &hosting.reservation_target {
        let found = region.reservations.values().find(|r| r.id.as_str() == id);
        let reservation = found.ok_or_else(|| {
            ApiError::new(
                "InvalidCapacityReservationId.NotFound",
                format!("The capacity reservation ID '{id}' does not exist"),
            )
        })?;
        return match fits(reservation) {
            true => Ok(Some(id.clone())),
            false => Err(exceeded()),
        };
    }
    let preference = hosting.reservation_preference.as_deref();
    if preference == Some("none") || hosting.reservation_group.is_some() {
        return Ok(None);
    }
    let mut open = region.reservations.values().filter(|r| !r.targeted);
    let found = open.find(|r| fits(r)).map(|r| r.id.to_string());
    match (preference, found) {
        (Some("capacity-reservations-only"), None) => Err(exceeded()),
        (_, found) => Ok(found),
    }
}
