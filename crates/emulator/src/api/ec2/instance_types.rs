//! Instance types, and where they are offered.

use super::Action;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::places::zone_id;
use super::xml::Xml;
use crate::account::image::Virtualization;
use crate::account::instance_types::{Generation, InstanceType, TYPES};
use crate::account::region::ZONES;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html>
pub(crate) struct DescribeInstanceTypes {
    names: Vec<String>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceTypes {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let names: Vec<String> = p
            .texts("InstanceType")
            .into_iter()
            .map(str::to_owned)
            .collect();
        // "Constraints: Maximum 100 explicitly specified instance types."
        if names.len() > 100 {
            return Err(ApiError::new(
                "InvalidParameterValue",
                "At most 100 instance types can be specified",
            ));
        }
        let filters = Filters::parse(
            p,
            &[
                "bare-metal",
                "burstable-performance-supported",
                "current-generation",
                "ebs-info.ebs-optimized-support",
                "ebs-info.encryption-support",
                "ebs-info.nvme-support",
                "free-tier-eligible",
                "hypervisor",
                "instance-storage-supported",
                "instance-type",
                "memory-info.size-in-mib",
                "network-info.ena-support",
                "network-info.ipv6-supported",
                "nitro-tpm-support",
                "processor-info.supported-architecture",
                "supported-boot-mode",
                "supported-root-device-type",
                "supported-usage-class",
                "supported-virtualization-type",
                "vcpu-info.default-vcpus",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("instanceTypes", names.len())?;
        Ok(Self {
            names,
            filters,
            page,
        })
    }

    fn run(self, _: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let unknown: Vec<&str> = self
            .names
            .iter()
            .map(String::as_str)
            .filter(|n| !TYPES.iter().any(|t| t.name == *n))
            .collect();
        if !unknown.is_empty() {
            let message = format!(
                "The following supplied instance types do not exist: [{}]",
                unknown.join(", ")
            );
            return Err(ApiError::new("InvalidInstanceType", message));
        }
        let chosen = TYPES.iter().filter(|t| {
            let asked = self.names.is_empty() || self.names.iter().any(|n| n == t.name);
            asked && self.filters.pass(&Tags::default(), |name| values(t, name))
        });
        let (page, token) = self.page.cut(chosen.collect(), |t| t.name.to_owned());
        let mut x = Xml::new();
        x.list("instanceTypeSet", page, write);
        write_token(&mut x, token);
        Ok(x)
    }
}

const USAGE_CLASSES: [&str; 2] = ["on-demand", "spot"];

fn values(t: &InstanceType, filter: &str) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match filter {
        "bare-metal" => vec![t.bare_metal.to_string()],
        "burstable-performance-supported" => vec![t.burstable().to_string()],
        "current-generation" => vec![t.current().to_string()],
        "ebs-info.ebs-optimized-support" => one(nitro_word(t, "default")),
        "ebs-info.encryption-support" => one("supported"),
        "ebs-info.nvme-support" => one(nitro_word(t, "required")),
        "free-tier-eligible" => vec![free(t).to_string()],
        "hypervisor" => hypervisor(t).map(str::to_owned).into_iter().collect(),
        "instance-storage-supported" => vec![(t.instance_store > 0).to_string()],
        "memory-info.size-in-mib" => vec![t.memory_mib.to_string()],
        "network-info.ena-support" => one(nitro_word(t, "required")),
        "network-info.ipv6-supported" => vec![t.ipv6().to_string()],
        "nitro-tpm-support" => one(tpm(t)),
        "processor-info.supported-architecture" => one(t.architecture),
        "supported-boot-mode" => t.boot_modes().iter().map(|m| (*m).to_owned()).collect(),
        "supported-root-device-type" => one("ebs"),
        "supported-usage-class" => USAGE_CLASSES.map(str::to_owned).to_vec(),
        "supported-virtualization-type" => t
            .virtualizations()
            .iter()
            .map(|v| v.name().to_owned())
            .collect(),
        "vcpu-info.default-vcpus" => vec![t.vcpus.to_string()],
        _ => one(t.name),
    }
}

fn write(x: &mut Xml, t: &InstanceType) {
    x.put("instanceType", t.name)
        .put("currentGeneration", t.current())
        .put("freeTierEligible", free(t));
    x.texts("supportedUsageClasses", USAGE_CLASSES)
        .texts("supportedRootDeviceTypes", ["ebs"]);
    let virtualizations = t.virtualizations().iter().map(|v| Virtualization::name(*v));
    x.texts("supportedVirtualizationTypes", virtualizations)
        .put("bareMetal", t.bare_metal)
        .maybe("hypervisor", hypervisor(t));
    x.node("processorInfo", |x| {
        x.texts("supportedArchitectures", [t.architecture]);
    });
    x.node("vCpuInfo", |x| {
        x.put("defaultVCpus", t.vcpus);
    });
    x.node("memoryInfo", |x| {
        x.put("sizeInMiB", t.memory_mib);
    });
    x.put("instanceStorageSupported", t.instance_store > 0);
    x.node("ebsInfo", |x| {
        x.put("ebsOptimizedSupport", nitro_word(t, "default"))
            .put("encryptionSupport", "supported")
            .put("nvmeSupport", nitro_word(t, "required"));
    });
    x.node("networkInfo", |x| {
        x.put("maximumNetworkInterfaces", 1)
            .put("ipv4AddressesPerInterface", 1)
            .put("ipv6AddressesPerInterface", if t.ipv6() { 10 } else { 0 })
            .put("ipv6Supported", t.ipv6())
            .put("enaSupport", nitro_word(t, "required"));
    });
    let mut strategies = vec!["partition", "spread"];
    if t.current() && !t.burstable() {
        strategies.insert(0, "cluster");
    }
    x.node("placementGroupInfo", |x| {
        x.texts("supportedStrategies", strategies);
    });
    x.put("burstablePerformanceSupported", t.burstable())
        .put("dedicatedHostsSupported", true);
    x.texts("supportedBootModes", t.boot_modes());
    x.put("nitroTpmSupport", tpm(t));
    if t.tpm() {
        x.node("nitroTpmInfo", |x| {
            x.texts("supportedVersions", ["2.0"]);
        });
    }
}

/// A word for what the Nitro system has and the others have not.
fn nitro_word(t: &InstanceType, word: &'static str) -> &'static str {
    match t.generation {
        Generation::Nitro => word,
        Generation::First | Generation::Xen => "unsupported",
    }
}

fn tpm(t: &InstanceType) -> &'static str {
    if t.tpm() { "supported" } else { "unsupported" }
}

fn free(t: &InstanceType) -> bool {
    matches!(t.name, "t2.micro" | "t3.micro")
}

/// None for what has no hypervisor.
fn hypervisor(t: &InstanceType) -> Option<&'static str> {
    match (t.bare_metal, t.nitro()) {
        (true, _) => None,
        (false, true) => Some("nitro"),
        (false, false) => Some("xen"),
    }
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocationType {
    Region,
    Zone,
    ZoneId,
}

impl LocationType {
    fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Zone => "availability-zone",
            Self::ZoneId => "availability-zone-id",
        }
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html>
pub(crate) struct DescribeInstanceTypeOfferings {
    by: LocationType,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceTypeOfferings {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let kinds = [
            LocationType::Region,
            LocationType::Zone,
            LocationType::ZoneId,
        ];
        let asked = p.word("LocationType", &kinds.map(LocationType::name))?;
        let by = kinds.into_iter().find(|k| Some(k.name()) == asked);
        Ok(Self {
            by: by.unwrap_or(LocationType::Region),
            filters: Filters::parse(p, &["instance-type", "location"])?,
            page: Page::parse(p, 5)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region;
        let mut offerings: Vec<(&InstanceType, String)> = Vec::new();
        for t in &TYPES {
            let zones = ZONES.iter().filter(|z| t.zones.contains(**z));
            match self.by {
                LocationType::Region => offerings.push((t, region.to_owned())),
                LocationType::Zone => {
                    offerings.extend(zones.map(|z| (t, format!("{region}{z}"))));
                }
                LocationType::ZoneId => {
                    offerings.extend(zones.map(|z| (t, zone_id(region, *z))));
                }
            }
        }
        let chosen = offerings.into_iter().filter(|(t, location)| {
            self.filters.pass(&Tags::default(), |name| {
                vec![match name {
                    "location" => location.clone(),
                    _ => t.name.to_owned(),
                }]
            })
        });
        let (page, token) = self.page.cut(chosen.collect(), |(t, location)| {
            format!("{} {location}", t.name)
        });
        let mut x = Xml::new();
        x.list("instanceTypeOfferingSet", page, |x, (t, location)| {
            x.put("instanceType", t.name)
                .put("locationType", self.by.name())
                .put("location", location);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}
