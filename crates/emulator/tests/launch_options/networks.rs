//! Networks of one's own, and a region without any.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn networks_of_ones_own() {
    let ec2 = LocalEc2::new();
    let image = ec2.image();
    let tag = [
        ("CidrBlock", "10.7.0.0/16"),
        ("AmazonProvidedIpv6CidrBlock", "true"),
        ("TagSpecification.1.ResourceType", "vpc"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "build"),
    ];
    let vpc = ec2.ec2("CreateVpc", &tag).ok();
    let (id, block) = (
        vpc.text("vpcId").unwrap(),
        vpc.text("ipv6CidrBlock").unwrap(),
    );
    let found = ec2
        .ec2(
            "DescribeVpcs",
            &[("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "build")],
        )
        .ok();
    assert_eq!(
        (
            found.texts("vpcId").len(),
            found.text("isDefault").unwrap().as_str()
        ),
        (1, "false")
    );
    let subnet_block = block.replace("/56", "/64");
    let make = |more: &[(&str, &str)]| {
        let mut parameters = vec![("VpcId", id.as_str()), ("AvailabilityZone", "us-east-2b")];
        parameters.extend(more);
        ec2.ec2("CreateSubnet", &parameters)
    };
    for (cidr, code) in [
        ("10.8.0.0/24", "InvalidSubnet.Range"),
        ("10.7.0.0/30", "InvalidSubnet.Range"),
        ("moon", "InvalidParameterValue"),
    ] {
        assert_eq!(make(&[("CidrBlock", cidr)]).code(), code, "{cidr}");
    }
    assert_eq!(
        make(&[
            ("CidrBlock", "10.7.1.0/28"),
            ("Ipv6CidrBlock", "2001:db8::/64")
        ])
        .code(),
        "InvalidSubnet.Range"
    );
    let subnet = make(&[
        ("CidrBlock", "10.7.1.0/28"),
        ("Ipv6CidrBlock", &subnet_block),
    ])
    .ok();
    let subnet_id = subnet.text("subnetId").unwrap();
    assert_eq!(subnet.text("availableIpAddressCount").unwrap(), "11");
    assert_eq!(
        make(&[("CidrBlock", "10.7.1.8/29")]).code(),
        "InvalidSubnet.Range"
    );
    assert_eq!(
        make(&[("CidrBlock", "10.7.1.0/24")]).code(),
        "InvalidSubnet.Conflict"
    );
    let here = [("SubnetId", subnet_id.as_str()), ("Ipv6AddressCount", "1")];
    let launched = launch(&ec2, &image, "m5.large", &here).ok();
    let instance = launched.text("instanceId").unwrap();
    let address = launched.text("ipv6Address").unwrap();
    assert!(
        launched.text("ipAddress").is_none(),
        "no public address unless asked for"
    );
    ec2.state(&instance, "running").await;
    assert_eq!(
        ec2.guests.spec(&instance).unwrap().ipv6,
        [address.parse::<std::net::Ipv6Addr>().unwrap()]
    );
    let token = ec2.guests.imds_token(&instance);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(
        ec2.guests
            .imds(&instance, "GET", "/latest/meta-data/ipv6", &header),
        (200, address.clone())
    );
    let free = ec2
        .ec2("DescribeSubnets", &[("SubnetId.1", &subnet_id)])
        .ok();
    assert_eq!(free.text("availableIpAddressCount").unwrap(), "10");
    let taken = [
        ("SubnetId", subnet_id.as_str()),
        ("Ipv6Address.1.Ipv6Address", address.as_str()),
    ];
    assert_eq!(
        launch(&ec2, &image, "m5.large", &taken).code(),
        "InvalidIPAddress.InUse"
    );
    assert_eq!(
        launch(&ec2, &image, "m5.large", &[("Ipv6AddressCount", "1")]).code(),
        "InvalidParameterCombination"
    );
    assert_eq!(
        launch(&ec2, &image, "m3.medium", &here).code(),
        "InvalidParameterCombination"
    );
    // Groups are a VPC's own.
    let default = ec2
        .ec2(
            "DescribeSecurityGroups",
            &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &id)],
        )
        .ok();
    assert_eq!(default.texts("groupName"), ["default"]);
    let group = ec2
        .ec2(
            "CreateSecurityGroup",
            &[("GroupName", "g"), ("GroupDescription", "d")],
        )
        .ok()
        .text("groupId")
        .unwrap();
    let wrong = launch(
        &ec2,
        &image,
        "m5.large",
        &[("SubnetId", &subnet_id), ("SecurityGroupId.1", &group)],
    );
    assert_eq!(wrong.code(), "InvalidParameter");
    assert!(wrong.body.contains("belong to different networks"));
    assert_eq!(
        ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet_id)]).code(),
        "DependencyViolation"
    );
    assert_eq!(
        ec2.ec2("DeleteVpc", &[("VpcId", &id)]).code(),
        "DependencyViolation"
    );
    gone(&ec2, &instance).await;
    ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet_id)]).ok();
    ec2.ec2("DeleteVpc", &[("VpcId", &id)]).ok();
    assert_eq!(show_vpcs(&ec2), 1);
}

fn show_vpcs(ec2: &LocalEc2) -> usize {
    ec2.ec2("DescribeVpcs", &[]).ok().texts("vpcId").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_a_default_vpc() {
    let ec2 = LocalEc2::new().in_region("us-west-1");
    let image = ec2.image();
    for subnet in ec2.ec2("DescribeSubnets", &[]).ok().texts("subnetId") {
        ec2.ec2("DeleteSubnet", &[("SubnetId", &subnet)]).ok();
    }
    assert_eq!(launch(&ec2, &image, "m5.large", &[]).code(), "MissingInput");
    let vpc = ec2.ec2("DescribeVpcs", &[]).ok().text("vpcId").unwrap();
    ec2.ec2("DeleteVpc", &[("VpcId", &vpc)]).ok();
    assert_eq!(show_vpcs(&ec2), 0);
    assert_eq!(
        launch(&ec2, &image, "m5.large", &[]).code(),
        "VPCIdNotSpecified"
    );
    let group = ec2.ec2(
        "CreateSecurityGroup",
        &[("GroupName", "g"), ("GroupDescription", "d")],
    );
    assert_eq!(group.code(), "VPCIdNotSpecified");
    ec2.ec2("CreateDefaultVpc", &[]).ok();
    assert_eq!(
        ec2.ec2("CreateDefaultVpc", &[]).code(),
        "DefaultVpcAlreadyExists"
    );
    launch(&ec2, &image, "m5.large", &[]).ok();
}
