//! Key pairs, security groups and subnets.

use crate::region;
use crate::server::Answer;
use cloud::{ErrorKind, IngressRule, KeyPairId, SecurityGroupId, Tags, VpcId};

#[tokio::test]
async fn a_public_key_is_imported_as_its_openssh_line_in_base64() {
    let (server, region) = region([Answer::xml(
        "<ImportKeyPairResponse><keyName>qib-1</keyName><keyPairId>key-1</keyPairId></ImportKeyPairResponse>",
    )])
    .await;
    let tags = Tags::new().with("qib:run", "r1");
    let key_pair = region
        .import_key_pair("qib-1", "ssh-ed25519 AAAA qib\n", &tags)
        .await
        .unwrap();
    assert_eq!(key_pair.as_str(), "key-1");
    server.only_request().assert_params(&[
        ("Action", "ImportKeyPair"),
        ("KeyName", "qib-1"),
        // base64 of "ssh-ed25519 AAAA qib"
        ("PublicKeyMaterial", "c3NoLWVkMjU1MTkgQUFBQSBxaWI="),
        ("TagSpecification.1.ResourceType", "key-pair"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
    ]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_duplicate() {
    let (_server, region) = region([Answer::ec2_error(
        400,
        "InvalidKeyPair.Duplicate",
        "The keypair already exists",
    )])
    .await;
    let error = region
        .import_key_pair("qib-1", "ssh-ed25519 AAAA", &Tags::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Duplicate);
}

#[tokio::test]
async fn key_pairs_are_found_by_filter_and_deleted_by_id() {
    let (server, region) = region([
        Answer::xml(
            "<DescribeKeyPairsResponse><keySet><item><keyPairId>key-1</keyPairId><keyName>qib-1</keyName>\
             <tagSet><item><key>qib:run</key><value>r1</value></item></tagSet></item></keySet></DescribeKeyPairsResponse>",
        ),
        Answer::ec2_error(400, "InvalidKeyPair.NotFound", "gone"),
    ])
    .await;
    let filters = [("tag:qib:run".to_owned(), vec!["r1".to_owned()])];
    let found = region.key_pairs(&filters).await.unwrap();
    assert_eq!(found[0].name, "qib-1");
    region
        .delete_key_pair(&KeyPairId::from("key-1"))
        .await
        .unwrap();
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "DescribeKeyPairs"),
        ("Filter.1.Name", "tag:qib:run"),
        ("Filter.1.Value.1", "r1"),
    ]);
    requests[1].assert_params(&[("Action", "DeleteKeyPair"), ("KeyPairId", "key-1")]);
}

#[tokio::test]
async fn a_group_is_made_in_its_vpc_with_its_tags() {
    let (server, region) = region([Answer::xml(
        "<CreateSecurityGroupResponse><return>true</return><groupId>sg-1</groupId></CreateSecurityGroupResponse>",
    )])
    .await;
    let tags = Tags::new().with("qib:run", "r1");
    let group = region
        .create_security_group("qib-1", "for one run", &VpcId::from("vpc-1"), &tags)
        .await
        .unwrap();
    assert_eq!(group.as_str(), "sg-1");
    server.only_request().assert_params(&[
        ("Action", "CreateSecurityGroup"),
        ("GroupName", "qib-1"),
        ("GroupDescription", "for one run"),
        ("VpcId", "vpc-1"),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
    ]);
}

fn ssh_from(ranges: &[&str]) -> IngressRule {
    IngressRule {
        port: 22,
        from: ranges.iter().map(|range| (*range).to_owned()).collect(),
        description: "SSH for qib".to_owned(),
    }
}

const AUTHORIZED: &str = "<AuthorizeSecurityGroupIngressResponse><return>true</return></AuthorizeSecurityGroupIngressResponse>";

#[tokio::test]
async fn ingress_is_tcp_from_each_range() {
    let (server, region) = region([Answer::xml(AUTHORIZED)]).await;
    region
        .authorize_ingress(
            &SecurityGroupId::from("sg-1"),
            &ssh_from(&["203.0.113.7/32", "198.51.100.0/24"]),
        )
        .await
        .unwrap();
    server.only_request().assert_params(&[
        ("Action", "AuthorizeSecurityGroupIngress"),
        ("GroupId", "sg-1"),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "203.0.113.7/32"),
        ("IpPermissions.1.IpRanges.1.Description", "SSH for qib"),
        ("IpPermissions.1.IpRanges.2.CidrIp", "198.51.100.0/24"),
        ("IpPermissions.1.IpRanges.2.Description", "SSH for qib"),
    ]);
}

#[tokio::test]
async fn ipv6_ranges_have_a_list_of_their_own() {
    let (server, region) = region([Answer::xml(AUTHORIZED)]).await;
    let rule = ssh_from(&["2001:db8::/64", "203.0.113.7/32"]);
    let group = SecurityGroupId::from("sg-1");
    region.authorize_ingress(&group, &rule).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "AuthorizeSecurityGroupIngress"),
        ("GroupId", "sg-1"),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "203.0.113.7/32"),
        ("IpPermissions.1.IpRanges.1.Description", "SSH for qib"),
        ("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "2001:db8::/64"),
        ("IpPermissions.1.Ipv6Ranges.1.Description", "SSH for qib"),
    ]);
}

#[tokio::test]
async fn a_rule_that_is_there_does_not_keep_the_others_out() {
    let duplicate = || Answer::ec2_error(400, "InvalidPermission.Duplicate", "it exists");
    let group = SecurityGroupId::from("sg-1");

    let (server, one) = region([duplicate()]).await;
    one.authorize_ingress(&group, &ssh_from(&["203.0.113.7/32"]))
        .await
        .unwrap();
    server.only_request();

    let (server, two) = region([duplicate(), duplicate(), Answer::xml(AUTHORIZED)]).await;
    two.authorize_ingress(&group, &ssh_from(&["203.0.113.7/32", "198.51.100.0/24"]))
        .await
        .unwrap();
    let range = "IpPermissions.1.IpRanges.1.CidrIp";
    let alone: Vec<_> = server.requests()[1..]
        .iter()
        .map(|request| request.param(range).unwrap().to_owned())
        .collect();
    assert_eq!(alone, ["203.0.113.7/32", "198.51.100.0/24"]);
}

#[tokio::test]
async fn a_group_in_use_stays_and_one_that_is_gone_is_done() {
    let (server, region) = region([
        Answer::ec2_error(400, "DependencyViolation", "has a dependent object"),
        Answer::ec2_error(400, "InvalidGroup.NotFound", "gone"),
    ])
    .await;
    let group = SecurityGroupId::from("sg-1");
    let error = region.delete_security_group(&group).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Dependency);
    assert_eq!(
        error.to_string(),
        "DeleteSecurityGroup on sg-1 failed: has a dependent object (DependencyViolation, request req-1)"
    );
    region.delete_security_group(&group).await.unwrap();
    server.requests()[0].assert_params(&[("Action", "DeleteSecurityGroup"), ("GroupId", "sg-1")]);
}

#[tokio::test]
async fn groups_and_subnets_are_found_by_filter() {
    let (server, region) = region([
        Answer::xml(
            "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-1</groupId>\
             <groupName>default</groupName><vpcId>vpc-1</vpcId></item></securityGroupInfo></DescribeSecurityGroupsResponse>",
        ),
        Answer::xml(
            "<DescribeSubnetsResponse><subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
             <availabilityZone>us-east-2c</availabilityZone><defaultForAz>true</defaultForAz>\
             <mapPublicIpOnLaunch>true</mapPublicIpOnLaunch></item></subnetSet></DescribeSubnetsResponse>",
        ),
    ])
    .await;
    let groups = region
        .security_groups(&[("group-name".to_owned(), vec!["default".to_owned()])])
        .await
        .unwrap();
    assert_eq!(groups[0].vpc_id, Some(VpcId::from("vpc-1")));
    let subnets = region
        .subnets(&[("default-for-az".to_owned(), vec!["true".to_owned()])])
        .await
        .unwrap();
    assert!(subnets[0].default_for_zone && subnets[0].maps_public_ip);
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "DescribeSecurityGroups"),
        ("Filter.1.Name", "group-name"),
        ("Filter.1.Value.1", "default"),
        ("MaxResults", "1000"),
    ]);
    requests[1].assert_params(&[
        ("Action", "DescribeSubnets"),
        ("Filter.1.Name", "default-for-az"),
        ("Filter.1.Value.1", "true"),
        ("MaxResults", "1000"),
    ]);
}
