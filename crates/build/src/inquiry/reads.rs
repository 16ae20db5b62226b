//! Calls that change nothing are simply made: what they answer is better than any guess.

use crate::lease::LEASES;
use crate::names::tag;
use crate::run::PLANNED_RUN;
use cloud::{AddressFilter, CloudError, Depth, ImageFilter, InstanceFilter, Region};

/// The actions of these calls.
pub(super) const ACTIONS: [&str; 16] = [
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeSnapshots",
    "ec2:DescribeVolumes",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:DescribeAddresses",
    "ec2:DescribeRegions",
    "ec2:DescribeImportSnapshotTasks",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:GetImageBlockPublicAccessState",
    "ec2:GetSnapshotBlockPublicAccessState",
    "ssm:GetParametersByPath",
];

/// Makes the call of `action`; none if it is no such call, or needs a parameter that is not known here.
pub(super) async fn call(
    region: &dyn Region,
    action: &str,
    machines: &[String],
) -> Option<Result<(), CloudError>> {
    // What no run makes: the answers are short.
    let tagged = || {
        let key = format!("tag:{}", tag::RUN);
        vec![(key, vec![PLANNED_RUN.to_owned()])]
    };
    let done = match action {
        "ec2:DescribeImages" => {
            let filter = ImageFilter {
                owners: vec!["self".into()],
                filters: tagged(),
                ..ImageFilter::default()
            };
            region.images(&filter).await.map(drop)
        }
        "ec2:DescribeInstances" => {
            let filter = InstanceFilter {
                filters: tagged(),
                ..InstanceFilter::default()
            };
            region.instances(&filter).await.map(drop)
        }
        "ec2:DescribeSnapshots" => region.snapshots(&tagged()).await.map(drop),
        "ec2:DescribeVolumes" => region.volumes(&tagged()).await.map(drop),
        "ec2:DescribeKeyPairs" => region.key_pairs(&tagged()).await.map(drop),
        "ec2:DescribeSecurityGroups" => region.security_groups(&tagged()).await.map(drop),
        "ec2:DescribeSubnets" => region.subnets(&tagged()).await.map(drop),
        "ec2:DescribeVpcs" => region.vpcs(&tagged()).await.map(drop),
        "ec2:DescribeAddresses" => region.addresses(&AddressFilter::default()).await.map(drop),
        "ec2:DescribeRegions" => region.regions().await.map(drop),
        "ec2:DescribeImportSnapshotTasks" => region.import_tasks(&[]).await.map(drop),
        "ec2:DescribeInstanceTypes" => region.instance_types(machines).await.map(drop),
        "ec2:DescribeInstanceTypeOfferings" => region.offerings(machines).await.map(drop),
        "ec2:GetImageBlockPublicAccessState" => region.public_images().await.map(drop),
        "ec2:GetSnapshotBlockPublicAccessState" => region.public_snapshots().await.map(drop),
        "ssm:GetParametersByPath" => region.parameters_below(LEASES, Depth::All).await.map(drop),
        _ => return None,
    };
    Some(done)
}
