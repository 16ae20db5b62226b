//! Regions and VPCs: DescribeRegions, DescribeVpcs.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use cloud::port::Result;
use cloud::{OptIn, RegionDescription, RegionName, Vpc, VpcId};

/// DescribeRegions knows no pages.
pub(crate) async fn regions(ec2: &Client) -> Result<Vec<RegionDescription>> {
    const CALL: &str = "DescribeRegions";
    let answer = ec2
        .describe_regions()
        // Without it, EC2 names only those that the account uses.
        .all_regions(true)
        .send()
        .await
        .map_err(failed(CALL))?;
    let described = answer.regions().iter().map(|answered| {
        const STATUS: &str = "optInStatus";
        Ok(RegionDescription {
            name: RegionName::from(required(answered.region_name(), "regionName")?),
            opt_in: match required(answered.opt_in_status(), STATUS)? {
                "opt-in-not-required" => OptIn::NotRequired,
                "opted-in" => OptIn::OptedIn,
                "not-opted-in" => OptIn::NotOptedIn,
                other => {
                    return Err(BadAnswer {
                        field: STATUS,
                        value: Some(other.to_owned()),
                    });
                }
            },
        })
    });
    described
        .collect::<std::result::Result<_, _>>()
        .map_err(BadAnswer::to(CALL))
}

/// DescribeVpcs.
pub(crate) async fn vpcs(ec2: &Client, given: &[(String, Vec<String>)]) -> Result<Vec<Vpc>> {
    const CALL: &str = "DescribeVpcs";
    let mut pages = ec2
        .describe_vpcs()
        .set_filters(filters::filters(given))
        .into_paginator()
        .page_size(filters::PAGE)
        .items()
        .send();
    let mut vpcs = Vec::new();
    while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
        let id = required(answered.vpc_id(), "vpcId").map_err(BadAnswer::to(CALL))?;
        vpcs.push(Vpc {
            vpc_id: VpcId::from(id),
            is_default: answered.is_default().unwrap_or(false),
            tags: tagging::tags(answered.tags()),
        });
    }
    Ok(vpcs)
}
