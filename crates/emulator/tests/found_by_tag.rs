//! What a sweep needs: everything that an account holds is found by its tags, and who held which address is known.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::engine::address_log::{self, AddressChange};
use serde_json::json;
use std::collections::BTreeMap;
use support::wire::Served;
use support::{LocalEc2, PROFILE};

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_resource_is_found_by_a_tags_key_and_value() {
    let ec2 = LocalEc2::new();
    let id = ec2.stopped().await;
    let image = ec2.image_of(&id, "an image").await;
    let group = ec2
        .ec2(
            "CreateSecurityGroup",
            &[("GroupName", "g"), ("GroupDescription", "d")],
        )
        .ok()
        .text("groupId")
        .unwrap();
    let key = ec2
        .ec2("CreateKeyPair", &[("KeyName", "k"), ("KeyType", "ed25519")])
        .ok()
        .text("keyPairId")
        .unwrap();
    let volume = ec2.ec2("DescribeVolumes", &[]).text("volumeId").unwrap();
    let snapshot = ec2
        .ec2("DescribeSnapshots", &[("Owner.1", "self")])
        .text("snapshotId")
        .unwrap();
    let kinds = [
        ("DescribeInstances", "instanceId", id.as_str()),
        ("DescribeVolumes", "volumeId", &volume),
        ("DescribeImages", "imageId", &image),
        ("DescribeSnapshots", "snapshotId", &snapshot),
        ("DescribeKeyPairs", "keyPairId", &key),
        ("DescribeSecurityGroups", "groupId", &group),
        ("DescribeAddresses", "allocationId", "eipalloc-0local"),
    ];
    let found = |action: &str, element: &str, filter: &str, value: &str| {
        let p = [("Filter.1.Name", filter), ("Filter.1.Value.1", value)];
        ec2.ec2(action, &p).ok().texts(element)
    };
    for (action, element, resource) in kinds {
        assert!(
            found(action, element, "tag-key", "qib:run").is_empty(),
            "{action}"
        );
        let tag = [
            ("ResourceId.1", resource),
            ("Tag.1.Key", "qib:run"),
            ("Tag.1.Value", "r1"),
        ];
        ec2.ec2("CreateTags", &tag).ok();
        assert!(
            found(action, element, "tag-key", "qib:run").contains(&resource.to_owned()),
            "{action}"
        );
        assert!(
            found(action, element, "tag:qib:run", "r?").contains(&resource.to_owned()),
            "{action}"
        );
        assert!(
            found(action, element, "tag:qib:run", "r2").is_empty(),
            "{action}"
        );
        assert!(
            found(action, element, "tag-key", "qib:stage").is_empty(),
            "{action}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_found_by_its_instance() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[]).await;
    let of = || {
        let p = [
            ("Filter.1.Name", "instance-id"),
            ("Filter.1.Value.1", id.as_str()),
        ];
        ec2.ec2("DescribeAddresses", &p).ok().texts("allocationId")
    };
    assert!(of().is_empty());
    let bind = [("AllocationId", "eipalloc-0local"), ("InstanceId", &id)];
    ec2.ec2("AssociateAddress", &bind).ok();
    assert_eq!(of(), ["eipalloc-0local"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_say_when_they_were_written_and_answers_what_time_it_is() {
    let local = Served::new(LocalEc2::new()).await;
    let put = json!({ "Name": "/qib/leases/a", "Value": "v", "Type": "String" });
    let before = jiff::Timestamp::now().as_second() as f64;
    local.ec2.ssm("PutParameter", &put).ok();
    for (action, body) in [
        ("GetParameter", json!({ "Name": "/qib/leases/a" })),
        ("GetParameters", json!({ "Names": ["/qib/leases/a"] })),
        ("GetParametersByPath", json!({ "Path": "/qib/leases" })),
    ] {
        let target = format!("AmazonSSM.{action}");
        let now = jiff::Timestamp::now();
        let saw = local
            .at_time("ssm", now, Some(&target), &body.to_string())
            .await;
        let answer: serde_json::Value = serde_json::from_str(saw.body()).unwrap();
        let parameter = answer
            .get("Parameter")
            .unwrap_or_else(|| &answer["Parameters"][0]);
        let modified = parameter["LastModifiedDate"].as_f64().unwrap();
        assert!(modified >= before && modified < before + 60.0, "{action}");
        assert!(saw.header("date").is_some(), "{action}");
    }
    let refused = local.ec2("DescribeUnicorns", &[]).await;
    assert!(refused.status() == 400 && refused.header("date").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_held_an_address_is_written_down() {
    let ec2 = LocalEc2::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await);
    }
    let bind = |id: &str, again: &str| {
        let p = [
            ("AllocationId", "eipalloc-0local"),
            ("InstanceId", id),
            ("AllowReassociation", again),
        ];
        ec2.ec2("AssociateAddress", &p)
    };
    bind(&ids[0], "false").ok();
    assert_eq!(bind(&ids[1], "false").code(), "Resource.AlreadyAssociated");
    bind(&ids[0], "false").ok();
    bind(&ids[1], "true").ok();
    let association = ec2
        .ec2("DescribeAddresses", &[])
        .text("associationId")
        .unwrap();
    ec2.ec2("DisassociateAddress", &[("AssociationId", &association)])
        .ok();
    bind(&ids[2], "false").ok();
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &ids[2])])
        .ok();
    bind(&ids[0], "false").ok();
    let halts = [
        ("InstanceId", ids[0].as_str()),
        ("InstanceInitiatedShutdownBehavior.Value", "terminate"),
    ];
    ec2.ec2("ModifyInstanceAttribute", &halts).ok();
    ec2.guests
        .exit(&ids[0], emulator::guest::GuestExit::ShutDownFromInside);
    ec2.state(&ids[0], "terminated").await;
    let records = address_log::read(ec2.path()).unwrap();
    let name = |id: &str| ids.iter().position(|i| i == id).unwrap();
    let seen: Vec<_> = records
        .iter()
        .map(|r| (r.what, name(&r.instance), r.cause.as_str()))
        .collect();
    let (bound, freed) = (AddressChange::Bound, AddressChange::Freed);
    assert_eq!(
        seen,
        [
            (bound, 0, "AssociateAddress"),
            (freed, 0, "AssociateAddress"),
            (bound, 1, "AssociateAddress"),
            (freed, 1, "DisassociateAddress"),
            (bound, 2, "AssociateAddress"),
            (freed, 2, "TerminateInstances"),
            (bound, 0, "AssociateAddress"),
            (freed, 0, "guest"),
        ]
    );
    // The assertion that tests of leases make.
    let mut held: BTreeMap<&str, &str> = BTreeMap::new();
    for record in &records {
        match record.what {
            AddressChange::Bound => {
                assert_eq!(held.insert(&record.allocation, &record.instance), None)
            }
            AddressChange::Freed => assert_eq!(
                held.remove(record.allocation.as_str()),
                Some(record.instance.as_str())
            ),
        }
    }
    assert!(records.windows(2).all(|p| p[0].time <= p[1].time));
}
