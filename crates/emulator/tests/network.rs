//! Security groups, addresses, and who reaches what.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use support::LocalEc2;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

/// A caller from `from` at an instance's public address.
async fn connect(ec2: &LocalEc2, from: Ipv4Addr, to: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket
        .connect(SocketAddr::new(
            to.parse().unwrap(),
            ec2.engine.served().ssh_port,
        ))
        .await
}

/// The server's first line, as the caller gets it.
async fn banner(ec2: &LocalEc2, from: Ipv4Addr, to: &str) -> String {
    let mut stream = connect(ec2, from, to).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Whether the caller gets no answer: not connected, or (where this host allows no packet filter) connected and then left
/// waiting. A caller that is let in is answered at once, and one that is not is never answered however long this waits, so
/// a slow machine cannot make it fail.
async fn unanswered(ec2: &LocalEc2, from: Ipv4Addr, to: &str) -> bool {
    let answered = async {
        let mut stream = connect(ec2, from, to).await?;
        stream.read_u8().await
    };
    tokio::time::timeout(Duration::from_millis(300), answered)
        .await
        .is_err()
}

const US: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THEM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

async fn with_group(ec2: &LocalEc2, cidr: &str) -> (String, String) {
    let group = ec2
        .ec2(
            "CreateSecurityGroup",
            &[("GroupName", "ssh"), ("GroupDescription", "ssh")],
        )
        .ok()
        .text("groupId")
        .unwrap();
    let rule = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", cidr),
    ];
    ec2.ec2("AuthorizeSecurityGroupIngress", &rule).ok();
    assert_eq!(
        ec2.ec2("AuthorizeSecurityGroupIngress", &rule).code(),
        "InvalidPermission.Duplicate"
    );
    let id = ec2.running(&[("SecurityGroupId.1", &group)]).await;
    (id, group)
}

fn address(ec2: &LocalEc2, id: &str) -> Option<String> {
    ec2.ec2("DescribeInstances", &[("InstanceId.1", id)])
        .ok()
        .text("ipAddress")
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_firewall_only_the_elastic_ip_is_reachable_and_only_for_whom_the_group_lets_in()
{
    let ec2 = LocalEc2::new();
    let (id, group) = with_group(&ec2, "127.0.0.1/32").await;
    let random = address(&ec2, &id).unwrap();
    assert!(unanswered(&ec2, US, &random).await);
    let bind = [
        ("AllocationId", "eipalloc-0local"),
        ("InstanceId", id.as_str()),
        ("AllowReassociation", "false"),
    ];
    ec2.ec2("AssociateAddress", &bind).ok();
    let elastic = address(&ec2, &id).unwrap();
    assert_ne!(elastic, random, "the random address is gone");
    assert_eq!(
        banner(&ec2, US, &elastic).await,
        format!("SSH-2.0-{id}\r\n")
    );
    assert!(unanswered(&ec2, THEM, &elastic).await);
    let revoke = [
        ("GroupId", group.as_str()),
        ("IpProtocol", "tcp"),
        ("FromPort", "22"),
        ("ToPort", "22"),
        ("CidrIp", "127.0.0.1/32"),
    ];
    ec2.ec2("RevokeSecurityGroupIngress", &revoke).ok();
    assert!(unanswered(&ec2, US, &elastic).await);
    assert_eq!(
        ec2.ec2("RevokeSecurityGroupIngress", &revoke).code(),
        "InvalidPermission.NotFound"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_firewall_stands_where_there_is_an_elastic_ip() {
    let ec2 = LocalEc2::new();
    let (id, _) = with_group(&ec2, "127.0.0.1/32").await;
    let random = address(&ec2, &id).unwrap();
    assert!(unanswered(&ec2, US, &random).await);
    ec2.ec2("ReleaseAddress", &[("AllocationId", "eipalloc-0local")])
        .ok();
    assert_eq!(banner(&ec2, US, &random).await, format!("SSH-2.0-{id}\r\n"));
    ec2.ec2("AllocateAddress", &[]).ok();
    assert!(unanswered(&ec2, US, &random).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_firewall_a_random_address_is_reachable() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::None,
        firewall: false,
        ..EmulatorConfig::default()
    });
    let (id, _) = with_group(&ec2, "0.0.0.0/0").await;
    let random = address(&ec2, &id).unwrap();
    assert_eq!(
        banner(&ec2, THEM, &random).await,
        format!("SSH-2.0-{id}\r\n")
    );
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    assert!(
        connect(&ec2, THEM, &random).await.is_err(),
        "the address is nobody's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elastic_ip_is_taken_from_nobody_who_says_so() {
    let ec2 = LocalEc2::new();
    let (first, second) = (ec2.running(&[]).await, ec2.running(&[]).await);
    let bind = |id: &str, reassociate: Option<&str>| {
        let mut p = vec![("AllocationId", "eipalloc-0local"), ("InstanceId", id)];
        p.extend(reassociate.map(|r| ("AllowReassociation", r)));
        ec2.ec2("AssociateAddress", &p)
    };
    let association = bind(&first, Some("false"))
        .ok()
        .text("associationId")
        .unwrap();
    let again = bind(&first, Some("false"))
        .ok()
        .text("associationId")
        .unwrap();
    assert_eq!(again, association, "binding what is bound changes nothing");
    assert_eq!(
        bind(&second, Some("false")).code(),
        "Resource.AlreadyAssociated"
    );
    bind(&second, None).ok();
    let shown = ec2
        .ec2(
            "DescribeAddresses",
            &[("AllocationId.1", "eipalloc-0local")],
        )
        .ok();
    assert_eq!(
        shown.text("instanceId").unwrap(),
        second,
        "left out, reassociation is automatic"
    );
    assert_eq!(
        ec2.ec2("DisassociateAddress", &[("AssociationId", &association)])
            .code(),
        "InvalidAssociationID.NotFound"
    );
    ec2.ec2("StopInstances", &[("InstanceId.1", &second)]).ok();
    ec2.state(&second, "stopped").await;
    assert!(
        address(&ec2, &second).is_some(),
        "a stopped instance keeps its Elastic IP"
    );
    ec2.ec2(
        "DisassociateAddress",
        &[("AssociationId", &shown.text("associationId").unwrap())],
    )
    .ok();
    assert_eq!(address(&ec2, &second), None);
    ec2.ec2(
        "TerminateInstances",
        &[("InstanceId.1", &second), ("InstanceId.2", &first)],
    )
    .ok();
    assert_eq!(
        ec2.ec2("ReleaseAddress", &[("AllocationId", "eipalloc-0local")])
            .ok()
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_allocated_and_limited() {
    let ec2 = LocalEc2::new();
    let mut seen = std::collections::BTreeSet::new();
    let last = loop {
        let answer = ec2.ec2("AllocateAddress", &[("Domain", "vpc")]);
        if answer.status != 200 {
            break answer;
        }
        let ip: Ipv4Addr = answer.text("publicIp").unwrap().parse().unwrap();
        assert!(ip.is_loopback() && ip.octets()[1] != 0, "{ip}");
        assert!(seen.insert(ip));
    };
    assert_eq!(last.code(), "AddressLimitExceeded");
    assert_eq!(
        ec2.ec2(
            "DescribeAddresses",
            &[("AllocationId.1", "eipalloc-0123456789abcdef0")]
        )
        .code(),
        "InvalidAllocationID.NotFound"
    );
    assert_eq!(
        ec2.ec2(
            "DescribeAddresses",
            &[("AllocationId.1", "eipalloc-9local")]
        )
        .code(),
        "InvalidAllocationID.Malformed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn groups() {
    let ec2 = LocalEc2::new();
    let create = |name: &str| {
        ec2.ec2(
            "CreateSecurityGroup",
            &[("GroupName", name), ("GroupDescription", "d")],
        )
    };
    let id = create("a").ok().text("groupId").unwrap();
    assert_eq!(create("a").code(), "InvalidGroup.Duplicate");
    assert_eq!(create("sg-a").code(), "InvalidParameterValue");
    assert_eq!(
        ec2.ec2("CreateSecurityGroup", &[("GroupName", "b")]).code(),
        "MissingParameter"
    );
    let default = ec2
        .ec2("DescribeSecurityGroups", &[("GroupName.1", "default")])
        .ok()
        .text("groupId")
        .unwrap();
    assert_eq!(
        ec2.ec2("DeleteSecurityGroup", &[("GroupId", &default)])
            .code(),
        "CannotDelete"
    );
    for bad in ["10.0.0.0/33", "10.0.0.0", "x"] {
        let p = [
            ("GroupId", id.as_str()),
            ("IpProtocol", "tcp"),
            ("FromPort", "22"),
            ("ToPort", "22"),
            ("CidrIp", bad),
        ];
        assert_eq!(
            ec2.ec2("AuthorizeSecurityGroupIngress", &p).code(),
            "InvalidParameterValue",
            "{bad}"
        );
    }
    ec2.ec2("DeleteSecurityGroup", &[("GroupId", &id)]).ok();
    assert_eq!(
        ec2.ec2("DeleteSecurityGroup", &[("GroupId", &id)]).code(),
        "InvalidGroup.NotFound"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_fault_nobody_reaches_ssh() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::None,
        firewall: false,
        ..EmulatorConfig::default()
    });
    std::fs::write(ec2.path().join("faults.json"), r#"{"ssh_never_up":true}"#).unwrap();
    let (id, _) = with_group(&ec2, "0.0.0.0/0").await;
    assert!(unanswered(&ec2, US, &address(&ec2, &id).unwrap()).await);
}
