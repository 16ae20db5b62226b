//! Instance types.

use super::Action;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::xml::Xml;
use crate::account::instance_types::{InstanceType, TYPES};
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
        let filters = Filters::parse(
            p,
            &[
                "bare-metal",
                "burstable-performance-supported",
                "current-generation",
                "hypervisor",
                "instance-type",
                "memory-info.size-in-mib",
                "processor-info.supported-architecture",
                "vcpu-info.default-vcpus",
            ],
        )?;
        Ok(Self {
            names,
            filters,
            page: Page::parse(p, 5)?,
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
            asked
                && self.filters.pass(&Tags::default(), |name| {
                    vec![match name {
                        "bare-metal" => "false".to_owned(),
                        "burstable-performance-supported" => t.burstable.to_string(),
                        "current-generation" => current(t).to_string(),
                        "hypervisor" => hypervisor(t).to_owned(),
                        "memory-info.size-in-mib" => t.memory_mib.to_string(),
                        "processor-info.supported-architecture" => t.architecture.to_owned(),
                        "vcpu-info.default-vcpus" => t.vcpus.to_string(),
                        _ => t.name.to_owned(),
                    }]
                })
        });
        let (page, token) = self.page.cut(chosen.collect(), |t| t.name.to_owned());
        let mut x = Xml::new();
        x.list("instanceTypeSet", page, write);
        write_token(&mut x, token);
        Ok(x)
    }
}

fn write(x: &mut Xml, t: &InstanceType) {
    x.put("instanceType", t.name)
        .put("currentGeneration", current(t))
        .put("freeTierEligible", false);
    x.texts("supportedUsageClasses", ["on-demand"])
        .texts("supportedRootDeviceTypes", ["ebs"]);
    x.texts("supportedVirtualizationTypes", ["hvm"])
        .put("bareMetal", false)
        .put("hypervisor", hypervisor(t));
    x.node("processorInfo", |x| {
        x.texts("supportedArchitectures", [t.architecture]);
    });
    x.node("vCpuInfo", |x| {
        x.put("defaultVCpus", t.vcpus);
    });
    x.node("memoryInfo", |x| {
        x.put("sizeInMiB", t.memory_mib);
    });
    x.put("instanceStorageSupported", false);
    x.node("ebsInfo", |x| {
        x.put(
            "ebsOptimizedSupport",
            if t.nitro { "default" } else { "unsupported" },
        )
        .put("encryptionSupport", "supported");
        x.put(
            "nvmeSupport",
            if t.nitro { "required" } else { "unsupported" },
        );
    });
    x.node("networkInfo", |x| {
        x.put("maximumNetworkInterfaces", 1)
            .put("ipv4AddressesPerInterface", 1)
            .put("ipv6Supported", false);
        x.put(
            "enaSupport",
            if t.nitro { "required" } else { "unsupported" },
        );
    });
    x.put("burstablePerformanceSupported", t.burstable);
    let uefi = t.nitro.then_some("uefi");
    x.texts(
        "supportedBootModes",
        (t.architecture == "x86_64")
            .then_some("legacy-bios")
            .into_iter()
            .chain(uefi),
    );
}

fn hypervisor(t: &InstanceType) -> &'static str {
    if t.nitro { "nitro" } else { "xen" }
}

fn current(t: &InstanceType) -> bool {
    !t.name.starts_with("m3.")
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html>
pub(crate) struct DescribeInstanceTypeOfferings {
    by_zone: bool,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceTypeOfferings {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let by_zone =
            p.word("LocationType", &["region", "availability-zone"])? == Some("availability-zone");
        Ok(Self {
            by_zone,
            filters: Filters::parse(p, &["instance-type", "location"])?,
            page: Page::parse(p, 5)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region;
        let (kind, locations): (_, Vec<String>) = match self.by_zone {
            true => (
                "availability-zone",
                ZONES.iter().map(|z| format!("{region}{z}")).collect(),
            ),
            false => ("region", vec![region.to_owned()]),
        };
        let all = TYPES
            .iter()
            .flat_map(|t| locations.iter().map(move |l| (t.name, l)));
        let chosen = all.filter(|(name, location)| {
            self.filters.pass(&Tags::default(), |filter| {
                vec![if filter == "location" {
                    (*location).clone()
                } else {
                    (*name).to_owned()
                }]
            })
        });
        let (page, token) = self.page.cut(chosen.collect(), |(name, location)| {
            format!("{name} {location}")
        });
        let mut x = Xml::new();
        x.list("instanceTypeOfferingSet", page, |x, (name, location)| {
            x.put("instanceType", name)
                .put("locationType", kind)
                .put("location", location);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}
