//! Where an instance goes and what it may be: everything that the account has to say to a launch before anything is made.
//!
//! ```text
//!   DescribeInstanceTypes ─────────┐
//!   DescribeInstanceTypeOfferings ─┼─▶ subnets (network) ─▶ IPv6? offered? does the image run on the types? ─▶ Site
//!                                  └─▶ groups by filter
//! ```
//!
//! The first two only look ahead: RunInstances would refuse the same later, after a key pair and a group. Who may not make
//! them is told so, and goes on.

use super::network;
use crate::failure::{SiteError, StepError};
use crate::spec::LaunchSpec;
use cloud::{
    AvailabilityZone, CloudError, ErrorKind, Image, InstanceTypeDescription, Offering, Region,
    SecurityGroupId, Subnet, VpcId,
};

/// Where a stage's instance may go.
#[derive(Clone, Debug)]
pub struct Site {
    /// The VPC.
    pub vpc: VpcId,
    /// The subnets, the preferred one first; at least one, all in the VPC.
    pub subnets: Vec<Subnet>,
    /// The user's own groups; empty if one is to be made.
    pub groups: Vec<SecurityGroupId>,
    /// What could not be looked at, as sentences.
    pub unknown: Vec<String>,
    /// None if it is not known which zones have what.
    offerings: Option<Vec<Offering>>,
}

impl Site {
    /// Whether the zone has the instance type, as far as that is known.
    pub fn offers(&self, instance_type: &str, zone: &AvailabilityZone) -> bool {
        offers(self.offerings.as_deref(), instance_type, zone)
    }
}

fn offers(offerings: Option<&[Offering]>, instance_type: &str, zone: &AvailabilityZone) -> bool {
    offerings.is_none_or(|offerings| {
        offerings.iter().any(|offering| {
            offering.instance_type == instance_type && offering.availability_zone == *zone
        })
    })
}

/// Looks where an instance of `spec` may go, and whether it can be what the pipeline says. `source` is the image that it
/// starts from, if that is there already.
///
/// # Errors
/// Whatever would make the launch fail for sure.
pub async fn survey(
    region: &dyn Region,
    spec: &LaunchSpec,
    source: Option<&Image>,
) -> Result<Site, StepError> {
    let looked = look(region, spec).await?;
    if let Some(source) = source {
        looked.fits(spec, source)?;
    }
    Ok(looked.site)
}

/// What the account says to a launch, whatever image it starts from.
#[derive(Clone, Debug)]
pub struct Looked {
    /// Where the instance may go.
    pub site: Site,
    types: Vec<InstanceTypeDescription>,
}

impl Looked {
    /// Whether an instance of `spec` can start from `source`.
    ///
    /// # Errors
    /// If the image does not run on one of the types, or would be without its root.
    pub fn fits(&self, spec: &LaunchSpec, source: &Image) -> Result<(), SiteError> {
        for machine in &self.types {
            refuse_misfit(source, machine)?;
        }
        refuse_without_root(&spec.left_out_devices, source)
    }
}

/// Whether two launches in one region ask the same of the account: then one look is enough for both.
pub fn same_question(one: &LaunchSpec, other: &LaunchSpec) -> bool {
    one.machines == other.machines
        && one.vpc == other.vpc
        && one.subnets == other.subnets
        && one.ipv6 == other.ipv6
        && one.security_groups == other.security_groups
}

/// Looks where an instance of `spec` may go, whatever image it starts from.
///
/// # Errors
/// Whatever would make the launch fail for sure.
pub async fn look(region: &dyn Region, spec: &LaunchSpec) -> Result<Looked, StepError> {
    let mut unknown = Vec::new();
    let (types, offerings) = futures::join!(
        region.instance_types(&spec.machines),
        region.offerings(&spec.machines)
    );
    let types = advice(
        types,
        "whether the source image runs on the instance types",
        &mut unknown,
    )?;
    let offerings = advice(
        offerings,
        "which zones have the instance types",
        &mut unknown,
    )?;
    let prefers = |subnet: &Subnet| {
        spec.machines
            .iter()
            .any(|machine| offers(offerings.as_deref(), machine, &subnet.availability_zone))
    };
    let subnets = network::subnets(region, spec.vpc.as_ref(), &spec.subnets, prefers).await?;
    if let (true, Some(without)) = (spec.ipv6, subnets.iter().find(|subnet| !subnet.ipv6)) {
        return Err(SiteError::NoIpv6 {
            subnet: without.subnet_id.to_string(),
            zone: without.availability_zone.to_string(),
        }
        .into());
    }
    refuse_unoffered(region, spec, &subnets, offerings.as_deref())?;
    let vpc = subnets.first().map(|subnet| subnet.vpc_id.clone());
    let vpc = vpc.ok_or_else(|| StepError::NoSubnet {
        region: region.name().to_string(),
        wanted: String::from("launch.subnets"),
    })?;
    let site = Site {
        groups: network::groups(region, &vpc, &spec.security_groups).await?,
        vpc,
        subnets,
        unknown,
        offerings,
    };
    Ok(Looked {
        site,
        types: types.unwrap_or_default(),
    })
}

/// What a call that only looks ahead says; none, and a word about it, where the credentials do not permit it.
fn advice<T>(
    result: Result<T, CloudError>,
    about: &str,
    unknown: &mut Vec<String>,
) -> Result<Option<T>, CloudError> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == ErrorKind::AccessDenied => {
            unknown.push(format!("{about} is not known before the launch: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Errs if no instance type is to be had in any zone of the subnets.
fn refuse_unoffered(
    region: &dyn Region,
    spec: &LaunchSpec,
    subnets: &[Subnet],
    offerings: Option<&[Offering]>,
) -> Result<(), SiteError> {
    let had = |machine: &String| {
        subnets
            .iter()
            .any(|subnet| offers(offerings, machine, &subnet.availability_zone))
    };
    if spec.machines.iter().any(had) {
        return Ok(());
    }
    let unique = |zones: Vec<String>| -> Vec<String> {
        let set: std::collections::BTreeSet<String> = zones.into_iter().collect();
        set.into_iter().collect()
    };
    let offered = offerings.unwrap_or_default().iter();
    Err(SiteError::NotOffered {
        region: region.name().to_string(),
        wanted: spec.machines.join(" or "),
        zones: unique(
            subnets
                .iter()
                .map(|s| s.availability_zone.to_string())
                .collect(),
        ),
        offered: unique(offered.map(|o| o.availability_zone.to_string()).collect()),
    })
}

/// Errs if the image cannot run on the machine.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ComponentsAMIs.html>
fn refuse_misfit(image: &Image, machine: &InstanceTypeDescription) -> Result<(), SiteError> {
    let lacks =
        |has: &[String], wanted: &str| !has.is_empty() && !has.iter().any(|one| one == wanted);
    let why = if lacks(&machine.architectures, &image.architecture) {
        format!(
            "the image is for {}, and the type is {}",
            image.architecture,
            machine.architectures.join(" or ")
        )
    } else if lacks(&machine.virtualizations, &image.virtualization) {
        format!(
            "the image is {}, and the type runs {}",
            image.virtualization,
            machine.virtualizations.join(" or ")
        )
    } else {
        match image.boot_mode.as_deref() {
            // `uefi-preferred` boots either way.
            Some(mode @ ("uefi" | "legacy-bios")) if lacks(&machine.boot_modes, mode) => format!(
                "the image boots by {mode}, and the type by {}",
                machine.boot_modes.join(" or ")
            ),
            _ => return Ok(()),
        }
    };
    Err(SiteError::Misfit {
        image: image.image_id.to_string(),
        name: image.name.clone(),
        machine: machine.name.clone(),
        why,
    })
}

/// Errs if the root device of `image` is among those that are left out of what is made of it.
pub(super) fn refuse_without_root(left_out: &[String], image: &Image) -> Result<(), SiteError> {
    let Some(root) = &image.root_device else {
        return Ok(());
    };
    match left_out.iter().find(|device| *device == root) {
        Some(device) => Err(SiteError::RootLeftOut {
            device: device.clone(),
            image: image.image_id.to_string(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: "hvm".into(),
            volumes: Vec::new(),
            image_id: "ami-1".into(),
            name: "one".into(),
            description: String::new(),
            state: cloud::ImageState::Available,
            state_reason: None,
            created: None,
            owner: None,
            architecture: "x86_64".into(),
            root_device: Some("/dev/sda1".into()),
            snapshots: Vec::new(),
            tags: cloud::Tags::new(),
        }
    }

    fn machine() -> InstanceTypeDescription {
        InstanceTypeDescription {
            name: "m6i.large".into(),
            architectures: vec!["x86_64".into()],
            virtualizations: vec!["hvm".into()],
            boot_modes: vec!["legacy-bios".into(), "uefi".into()],
            vcpus: 2,
            nitro: true,
            burstable: false,
            spot: true,
        }
    }

    fn why(image: &Image, machine: &InstanceTypeDescription) -> String {
        match refuse_misfit(image, machine) {
            Err(SiteError::Misfit { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_image_fits_a_type_by_architecture_virtualisation_and_boot() {
        assert_eq!(refuse_misfit(&image(), &machine()), Ok(()));
        let arm = Image {
            architecture: "arm64".into(),
            ..image()
        };
        assert_eq!(
            why(&arm, &machine()),
            "the image is for arm64, and the type is x86_64"
        );
        let old = Image {
            virtualization: "paravirtual".into(),
            ..image()
        };
        assert_eq!(
            why(&old, &machine()),
            "the image is paravirtual, and the type runs hvm"
        );
        let uefi = Image {
            boot_mode: Some("uefi".into()),
            ..image()
        };
        let bios = InstanceTypeDescription {
            boot_modes: vec!["legacy-bios".into()],
            ..machine()
        };
        assert_eq!(
            why(&uefi, &bios),
            "the image boots by uefi, and the type by legacy-bios"
        );
        let either = Image {
            boot_mode: Some("uefi-preferred".into()),
            ..image()
        };
        assert_eq!(refuse_misfit(&either, &bios), Ok(()));
    }
}
