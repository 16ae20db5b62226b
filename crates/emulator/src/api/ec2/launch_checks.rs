//! Which images run on which instance types, and how much may run.

use crate::account::image::{Image, Virtualization};
use crate::account::instance_types::{self, InstanceType};
use crate::account::lifecycle::InstanceState;
use crate::account::quotas::Quota;
use crate::api::Cx;
use crate::api::error::ApiError;

/// Checks an image against an instance type, in EC2's own words:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/enhanced-networking-ena.html>.
///
/// # Errors
/// `InvalidParameterValue` for another architecture, else `InvalidParameterCombination`.
pub(crate) fn image_and_type(image: &Image, machine: &InstanceType) -> Result<(), ApiError> {
    let name = machine.name;
    if image.architecture != machine.architecture {
        let message = format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. \
             Specify an instance type and an AMI that have matching architectures, and try again. You can use \
             'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.",
            machine.architecture, image.architecture
        );
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    if !machine.virtualizations().contains(&image.virtualization) {
        let message = match image.virtualization {
            Virtualization::Paravirtual => format!(
                "Virtualization type 'hvm' is required for instances of type '{name}'. Ensure that you are using an AMI with \
                 virtualization type 'hvm'."
            ),
            Virtualization::Hvm => format!(
                "Virtualization type 'paravirtual' is required for instances of type '{name}'. Ensure that you are using an AMI \
                 with virtualization type 'paravirtual'."
            ),
        };
        return Err(ApiError::combination(message));
    }
    if machine.nitro() && !image.ena_support {
        return Err(ApiError::combination(format!(
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{name}' instance type. Ensure that \
             you are using an AMI that is enabled for ENA."
        )));
    }
    let mode = image.boot_mode.as_deref();
    if let Some(mode) = mode.filter(|m| *m != "uefi-preferred" && !machine.boot_modes().contains(m))
    {
        return Err(ApiError::combination(format!(
            "The boot mode '{mode}' of the AMI is not supported by the instance type '{name}'. Supported boot modes: {}.",
            machine.boot_modes().join(", ")
        )));
    }
    if image.tpm_support.is_some() && !machine.tpm() {
        return Err(ApiError::combination(format!(
            "The instance type '{name}' does not support NitroTPM, which the AMI requires."
        )));
    }
    Ok(())
}

/// Most instances of a region that are not terminated: each is a real guest on this machine.
const MOST_INSTANCES: u32 = 64;

/// How many instances of a type can be launched, at least `least` and at most `most`.
///
/// # Errors
/// `VcpuLimitExceeded` or `MaxSpotInstanceCountExceeded` for more virtual processors than the account may have
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits>),
/// `InstanceLimitExceeded` for more instances than this machine has room for.
pub(crate) fn room(
    cx: &mut Cx<'_>,
    machine: &InstanceType,
    spot: bool,
    (least, most): (u32, u32),
) -> Result<u32, ApiError> {
    let quota = match spot {
        true => Quota::SpotVcpus,
        false => Quota::OnDemandVcpus,
    };
    let limit = u32::try_from(cx.quotas().count(quota)).unwrap_or(u32::MAX);
    let region = cx.region();
    let live = region.instances.values().filter(|i| i.holds_disk());
    let live = u32::try_from(live.count()).unwrap_or(u32::MAX);
    let running = region.instances.values().filter(|i| {
        matches!(i.state, InstanceState::Pending | InstanceState::Running)
            && i.spot.is_some() == spot
    });
    let used: u32 = running
        .filter_map(|i| instance_types::find(&i.instance_type))
        .map(|t| t.vcpus)
        .sum();
    let by_quota = limit.saturating_sub(used) / machine.vcpus;
    if by_quota < least {
        return Err(match spot {
            true => ApiError::new(
                "MaxSpotInstanceCountExceeded",
                "Max spot instance count exceeded",
            ),
            false => ApiError::new(
                "VcpuLimitExceeded",
                format!(
                    "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket \
                     that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to \
                     request an adjustment to this limit."
                ),
            ),
        });
    }
    let by_machine = MOST_INSTANCES.saturating_sub(live);
    if by_machine < least {
        let message = format!(
            "You have requested more instances ({most}) than your current instance limit of {MOST_INSTANCES} allows"
        );
        return Err(ApiError::new("InstanceLimitExceeded", message));
    }
    Ok(most.min(by_quota).min(by_machine))
}
