//! Subnets: DescribeSubnets.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::filters;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use cloud::port::Result;
use cloud::{AvailabilityZone, Subnet, SubnetId, VpcId};

pub(crate) async fn describe(ec2: &Client, given: &[(String, Vec<String>)]) -> Result<Vec<Subnet>> {
    const CALL: &str = "DescribeSubnets";
    let mut pages = ec2
        .describe_subnets()
        .set_filters(filters::filters(given))
        .into_paginator()
        .page_size(filters::PAGE)
        .items()
        .send();
    let mut subnets = Vec::new();
    while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
        subnets.push(subnet(&answered).map_err(BadAnswer::to(CALL))?);
    }
    Ok(subnets)
}

fn subnet(answered: &types::Subnet) -> std::result::Result<Subnet, BadAnswer> {
    Ok(Subnet {
        subnet_id: SubnetId::from(required(answered.subnet_id(), "subnetId")?),
        vpc_id: VpcId::from(required(answered.vpc_id(), "vpcId")?),
        availability_zone: AvailabilityZone::from(required(
            answered.availability_zone(),
            "availabilityZone",
        )?),
        default_for_zone: answered.default_for_az().unwrap_or(false),
        maps_public_ip: answered.map_public_ip_on_launch().unwrap_or(false),
        free_addresses: answered
            .available_ip_address_count()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        ipv6: !answered.ipv6_cidr_block_association_set().is_empty(),
        tags: crate::tagging::tags(answered.tags()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_read_whole() {
        let answered = types::Subnet::builder()
            .subnet_id("subnet-1")
            .vpc_id("vpc-1")
            .availability_zone("us-east-2c")
            .default_for_az(true)
            .build();
        let subnet = subnet(&answered).unwrap();
        assert_eq!(subnet.availability_zone.as_str(), "us-east-2c");
        assert!(subnet.default_for_zone);
        assert!(!subnet.maps_public_ip);
    }
}
