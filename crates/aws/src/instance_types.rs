//! Kinds of machines: DescribeInstanceTypes, DescribeInstanceTypeOfferings.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::filters;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    self, InstanceType, InstanceTypeHypervisor, LocationType, UsageClassType,
};
use cloud::port::Result;
use cloud::{AvailabilityZone, InstanceTypeDescription, Offering};

/// How many types one request may name.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html>
const NAMES: usize = 100;

pub(crate) async fn describe(
    ec2: &Client,
    names: &[String],
) -> Result<Vec<InstanceTypeDescription>> {
    const CALL: &str = "DescribeInstanceTypes";
    let mut described = Vec::new();
    for names in names.chunks(NAMES) {
        let wanted = names.iter().map(|name| InstanceType::from(name.as_str()));
        let mut pages = ec2
            .describe_instance_types()
            .set_instance_types(Some(wanted.collect()))
            .into_paginator()
            .items()
            .send();
        let about = || names.join(", ");
        let failed = |error| failed(CALL)(error).about(about());
        while let Some(answered) = pages.try_next().await.map_err(failed)? {
            described.push(
                description(&answered).map_err(|bad| BadAnswer::to(CALL)(bad).about(about()))?,
            );
        }
    }
    Ok(described)
}

fn description(
    answered: &types::InstanceTypeInfo,
) -> std::result::Result<InstanceTypeDescription, BadAnswer> {
    let processor = required(answered.processor_info(), "processorInfo")?;
    let vcpus = required(
        answered.v_cpu_info().and_then(|info| info.default_v_cpus()),
        "defaultVCpus",
    )?;
    Ok(InstanceTypeDescription {
        name: required(answered.instance_type(), "instanceType")?
            .as_str()
            .to_owned(),
        architectures: texts(processor.supported_architectures(), |one| one.as_str()),
        virtualizations: texts(answered.supported_virtualization_types(), |one| {
            one.as_str()
        }),
        boot_modes: texts(answered.supported_boot_modes(), |one| one.as_str()),
        vcpus: u32::try_from(vcpus).map_err(|_| BadAnswer {
            field: "defaultVCpus",
            value: Some(vcpus.to_string()),
        })?,
        // What has no hypervisor is bare metal, whose cards are Nitro's.
        nitro: answered.hypervisor() == Some(&InstanceTypeHypervisor::Nitro)
            || answered.bare_metal().unwrap_or(false),
        burstable: answered.burstable_performance_supported().unwrap_or(false),
        spot: answered
            .supported_usage_classes()
            .contains(&UsageClassType::Spot),
    })
}

fn texts<T>(values: &[T], text: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|value| text(value).to_owned()).collect()
}

pub(crate) async fn offerings(ec2: &Client, instance_types: &[String]) -> Result<Vec<Offering>> {
    const CALL: &str = "DescribeInstanceTypeOfferings";
    let mut offerings = Vec::new();
    for names in instance_types.chunks(filters::VALUES_PER_FILTER) {
        let mut pages = ec2
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filters::filter("instance-type", names))
            .into_paginator()
            .page_size(filters::PAGE)
            .items()
            .send();
        while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
            let read = || {
                Ok(Offering {
                    instance_type: required(answered.instance_type(), "instanceType")?
                        .as_str()
                        .to_owned(),
                    availability_zone: AvailabilityZone::from(required(
                        answered.location(),
                        "location",
                    )?),
                })
            };
            offerings.push(read().map_err(BadAnswer::to(CALL))?);
        }
    }
    Ok(offerings)
}
