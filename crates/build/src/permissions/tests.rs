use super::calls::{CALLS, Caller};
use super::*;
use crate::selection::{Choice, Selection};
use pipeline::model::Pipeline;
use pipeline::{Disk, LoadOptions};
use std::collections::BTreeSet;
use std::path::Path;

fn load(stages: &str) -> Pipeline {
    let text = format!("name: p\naws: {{ region: us-east-2 }}\nstages:\n{stages}");
    let options = LoadOptions::default();
    pipeline::load(Path::new("p.yaml"), text.as_bytes(), &options, &Disk)
        .unwrap_or_else(|error| panic!("{error}"))
        .pipeline
}

fn of(pipeline: &Pipeline, questions: Questions) -> Policy {
    let choice = Choice::default();
    let selection = Selection::choose(pipeline, &"us-east-2".into(), &choice).unwrap();
    let arns = Features::arns(&selection.cells, Some("123456789012".to_owned()));
    policy(&Features::of(&selection.cells), &arns, questions)
}

fn actions(policy: &Policy) -> BTreeSet<String> {
    policy.actions().map(str::to_owned).collect()
}

/// A stage as most are, with these members of `launch`, `connect` and `image`, and lines of its own.
fn stage(launch: &str, connect: &str, image: &str, more: &str) -> Pipeline {
    load(&format!(
        "  base:\n    source: {{ image_id: ami-0123456789abcdef0 }}\n    \
         launch: {{ instance_type: m5.large{launch} }}\n    connect: {{ user: u{connect} }}\n    \
         image: {{ name: base{image} }}\n{more}"
    ))
}

fn plain() -> Pipeline {
    stage("", "", "", "")
}

/// Everything that takes a permission of its own.
fn everything() -> Pipeline {
    load(
        r#"
  base:
    source: { ssm: /aws/service/x }
    launch:
      instance_type: m5.large
      vpc: { filter: { name: v } }
      instance_profile: { policy: { Version: "2012-10-17", Statement: [{ Effect: Allow, Action: "s3:GetObject", Resource: "*" }] } }
    connect: { user: u, address: { elastic_ip: eipalloc-0123456789abcdef0, bind: api } }
    image:
      name: base
      on_conflict: replace
      ena: true
      imds: v2
      copy_to: [eu-west-1]
      share: { public: true, accounts: ["111122223333"], snapshots: true }
      deprecate_after: 30d
      protect: true
      parameters: [{ name: /images/base }]
    test: { launch: { instance_profile: tester } }
  registered:
    source: { stage: base }
    launch:
      instance_type: m5.large
      volumes: [{ device: /dev/sdb, size_gib: 1, encrypted: true, kms_key_id: alias/mine }]
    connect: { user: u }
    image: { name: registered, boot_mode: uefi, on_conflict: { replace: { force: true } } }
  spot:
    source: { stage: base }
    launch: { instance_type: m5.large, spot: true }
    connect: { user: u }
    image: { name: spot }
  imported:
    source:
      import:
        url: https://images.example.com/a.raw
        checksum: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        parent: snap-0123456789abcdef0
    image: { name: imported }
  by_s3:
    source:
      import:
        url: https://images.example.com/a.raw
        checksum: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        via: s3
        bucket: image-imports
    image: { name: by-s3 }
"#,
    )
}

#[test]
fn every_call_of_the_port_has_its_actions() {
    let sources = [
        ("", include_str!("../../../cloud/src/port.rs")),
        ("", include_str!("../../../cloud/src/identity.rs")),
        ("blocks.", include_str!("../../../cloud/src/blocks.rs")),
        ("objects.", include_str!("../../../cloud/src/objects.rs")),
    ];
    let methods: BTreeSet<String> = sources
        .iter()
        .flat_map(|(of, source)| source.lines().map(move |line| (of, line)))
        .filter_map(|(of, line)| Some((of, line.trim().strip_prefix("async fn ")?)))
        .filter_map(|(of, rest)| Some(format!("{of}{}", rest.split('(').next()?)))
        .collect();
    let mapped: BTreeSet<String> = CALLS.iter().map(|call| call.method.to_owned()).collect();
    assert!(methods.len() > 60, "the port's files are read: {methods:?}");
    assert_eq!(methods, mapped);
    assert_eq!(mapped.len(), CALLS.len(), "none stands there twice");
}

#[test]
fn a_pipeline_that_uses_everything_is_permitted_all_calls_and_nothing_besides() {
    let allowed = actions(&of(&everything(), Questions::Asked));
    let called: BTreeSet<String> = CALLS
        .iter()
        .filter(|call| call.by != Caller::Images)
        .flat_map(|call| call.actions)
        .map(|action| (*action).to_owned())
        .collect();
    // EBS calls these in the caller's name.
    let by_ebs = [
        "kms:Decrypt",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    ];
    let wanted: BTreeSet<String> = called
        .into_iter()
        .chain(by_ebs.map(str::to_owned))
        .collect();
    assert_eq!(allowed, wanted);
}

#[test]
fn the_guide_names_every_action() {
    let guide = include_str!("../../../../docs/guide/aws.md");
    let table: Vec<&str> = guide.lines().filter(|line| line.starts_with('|')).collect();
    let of_images = CALLS.iter().flat_map(|call| call.actions);
    let mut all = actions(&of(&everything(), Questions::Asked));
    all.extend(of_images.map(|action| (*action).to_owned()));
    let missing: Vec<&String> = all
        .iter()
        .filter(|action| {
            let (service, name) = action.split_once(':').unwrap();
            !table.iter().any(|row| {
                row.contains(&format!("{service}:"))
                    && (row.contains(&format!("`{name}`")) || row.contains(&format!("`{action}`")))
            })
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_import_is_permitted_its_own_way_alone() {
    let import = |more: &str| {
        load(&format!(
            "  base:\n    source:\n      import:\n        url: https://images.example.com/a.raw\n        \
             checksum: sha256:{}\n{more}    image: {{ name: base }}\n",
            "01".repeat(32)
        ))
    };
    let plain = import("");
    let by_ebs = of(&plain, Questions::NotAsked);
    let allowed = actions(&by_ebs);
    for action in [
        "ebs:StartSnapshot",
        "ebs:PutSnapshotBlock",
        "ebs:CompleteSnapshot",
    ] {
        assert!(allowed.contains(action), "{action}");
    }
    for action in [
        "ebs:ListSnapshotBlocks",
        "ec2:RunInstances",
        "ec2:CreateSnapshots",
        "ec2:ImportSnapshot",
    ] {
        assert!(!allowed.contains(action), "{action}");
    }
    assert!(!allowed.iter().any(|action| action.starts_with("s3:")));
    // What is written carries the run's tag, which StartSnapshot gave it.
    let put = statement_with(&by_ebs, "ebs:PutSnapshotBlock");
    assert!(put.condition["Null"].contains_key("aws:ResourceTag/qib:run"));
    let start = statement_with(&by_ebs, "ebs:StartSnapshot");
    assert!(start.condition["Null"].contains_key("aws:RequestTag/qib:run"));

    let with_parent = import("        parent: snap-0123456789abcdef0\n");
    let with_parent = of(&with_parent, Questions::NotAsked);
    let read = statement_with(&with_parent, "ebs:GetSnapshotBlock");
    assert_eq!(
        read.resource,
        ["arn:aws:ec2:us-east-2::snapshot/snap-0123456789abcdef0"]
    );

    let via_s3 = import("        via: s3\n        bucket: image-imports\n");
    let via_s3 = of(&via_s3, Questions::NotAsked);
    assert!(
        !actions(&via_s3)
            .iter()
            .any(|action| action.starts_with("ebs:"))
    );
    let write = statement_with(&via_s3, "s3:PutObject");
    assert_eq!(write.resource, ["arn:aws:s3:::image-imports/qib/*"]);
    assert!(!actions(&via_s3).contains("iam:PassRole"));
}

fn statement_with<'p>(policy: &'p Policy, action: &str) -> &'p Statement {
    let mut statements = policy.statement.iter();
    let found = statements.find(|one| one.action.iter().any(|of| of == action));
    found.unwrap_or_else(|| panic!("{action}: {policy:?}"))
}

#[test]
fn a_plain_pipeline_is_permitted_little() {
    let allowed = actions(&of(&plain(), Questions::NotAsked));
    let foreign: Vec<&String> = allowed
        .iter()
        .filter(|action| !action.starts_with("ec2:") && !action.starts_with("ssm:"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    for action in [
        "ec2:CopyImage",
        "ec2:ModifyImageAttribute",
        "ec2:AssociateAddress",
        "ec2:DisassociateAddress",
        "ec2:RegisterImage",
        "ec2:EnableImageDeprecation",
        "ec2:DescribeRegions",
        "ec2:DescribeLaunchTemplates",
    ] {
        assert!(!allowed.contains(action), "{action}");
    }
    for action in [
        "ec2:RunInstances",
        "ec2:CreateImage",
        "ec2:TerminateInstances",
        "ec2:DeleteSnapshot",
        "ec2:DeleteKeyPair",
    ] {
        assert!(allowed.contains(action), "{action}");
    }
}

/// Which actions a feature adds to those of a plain pipeline.
#[track_caller]
fn adds(pipeline: &Pipeline, wanted: &[&str]) {
    let plain = actions(&of(&plain(), Questions::NotAsked));
    let with = actions(&of(pipeline, Questions::NotAsked));
    let more: Vec<&str> = with.difference(&plain).map(String::as_str).collect();
    assert_eq!(more, wanted);
}

#[test]
fn each_feature_adds_what_it_calls() {
    let image = |image: &str| stage("", "", &format!(", {image}"), "");
    adds(
        &image("copy_to: [eu-west-1]"),
        &["ec2:CopyImage", "ec2:DescribeRegions"],
    );
    adds(
        &image("deprecate_after: 30d"),
        &["ec2:EnableImageDeprecation"],
    );
    adds(
        &image("protect: true"),
        &["ec2:EnableImageDeregistrationProtection"],
    );
    adds(&image("imds: v2"), &["ec2:ModifyImageAttribute"]);
    adds(
        &image("share: { accounts: ['111122223333'] }"),
        &[
            "ec2:DescribeImageAttribute",
            "ec2:DescribeSnapshotAttribute",
            "ec2:ModifyImageAttribute",
            "ec2:ModifySnapshotAttribute",
        ],
    );
    adds(
        &image("share: { public: true }"),
        &[
            "ec2:DescribeImageAttribute",
            "ec2:GetImageBlockPublicAccessState",
            "ec2:ModifyImageAttribute",
        ],
    );
    adds(
        &image("on_conflict: { replace: { force: true } }"),
        &["ec2:CopyImage", "ec2:DisableImageDeregistrationProtection"],
    );
    adds(
        &stage(", spot: true", "", "", ""),
        &["iam:CreateServiceLinkedRole"],
    );
    adds(
        &stage(", instance_profile: builder", "", "", ""),
        &["iam:PassRole"],
    );
    let address = ", address: { elastic_ip: eipalloc-0123456789abcdef0, bind: api }";
    adds(
        &stage("", address, "", ""),
        &["ec2:AssociateAddress", "ec2:DisassociateAddress"],
    );
}

fn statement<'p>(policy: &'p Policy, sid: &str) -> &'p Statement {
    let found = policy.statement.iter().find(|one| one.sid == sid);
    found.unwrap_or_else(|| panic!("no {sid} in {policy:#?}"))
}

#[test]
fn resources_are_as_narrow_as_the_pipeline_says() {
    let narrow = stage(
        ", subnet: subnet-0123456789abcdef0, security_groups: [sg-0123456789abcdef0]",
        ", key: agent, key_pair: mine",
        ", parameters: [{ name: '/images/${{ region }}/base' }]",
        "",
    );
    let policy = of(&narrow, Questions::NotAsked);
    let arn = |rest: &str| format!("arn:aws:ec2:us-east-2:123456789012:{rest}");
    assert_eq!(
        statement(&policy, "LaunchWith").resource,
        [
            "arn:aws:ec2:us-east-2::image/*".to_owned(),
            arn("subnet/subnet-0123456789abcdef0"),
            arn("security-group/sg-0123456789abcdef0"),
            arn("key-pair/mine"),
        ]
    );
    assert_eq!(
        statement(&policy, "NameImages").resource,
        ["arn:aws:ssm:us-east-2:123456789012:parameter/images/*/base"]
    );
    let allowed = actions(&policy);
    for action in [
        "ec2:ImportKeyPair",
        "ec2:DeleteKeyPair",
        "ec2:CreateSecurityGroup",
        "ec2:ModifyInstanceAttribute",
    ] {
        assert!(!allowed.contains(action), "{action}");
    }
}

#[test]
fn what_runs_make_is_told_by_their_tag() {
    let policy = of(&everything(), Questions::NotAsked);
    let run = |on: &str| format!("aws:{on}/qib:run");
    let make = statement(&policy, "MakeWithTheRunsTag");
    assert_eq!(make.condition["Null"][&run("RequestTag")], ["false"]);
    let own = statement(&policy, "ChangeAndRemoveWhatRunsMade");
    assert_eq!(own.condition["Null"][&run("ResourceTag")], ["false"]);
    let tags = statement(&policy, "TagWhatIsMade");
    assert!(tags.condition["StringEquals"]["ec2:CreateAction"].contains(&"CopyImage".to_owned()));
    // Of several regions, a condition says which.
    for one in [make, own, tags, statement(&policy, "Look")] {
        assert_eq!(
            one.condition["StringEquals"]["aws:RequestedRegion"],
            ["eu-west-1", "us-east-2"],
            "{}",
            one.sid
        );
    }
    // Nothing that destroys is allowed on anything but what carries the tag, or is below qib's own names.
    for one in &policy.statement {
        let destroys = one.action.iter().any(|action| {
            ["Delete", "Terminate", "Stop"]
                .iter()
                .any(|word| action.starts_with(&format!("ec2:{word}")))
        });
        assert!(!destroys || one.sid == own.sid, "{one:#?}");
    }
}

#[test]
fn keys_are_named_by_arn_and_aliases_by_a_condition() {
    let key = |key: &str| {
        let image = format!(", encrypted: true, kms_key_id: '{key}'");
        of(&stage("", "", &image, ""), Questions::NotAsked)
    };
    let arn = "arn:aws:kms:us-east-2:111122223333:key/abc";
    let by_arn = key(arn);
    assert_eq!(statement(&by_arn, "EncryptWithKey").resource, [arn]);
    assert_eq!(
        statement(&by_arn, "LetEbsUseKey").condition["Bool"]["kms:GrantIsForAWSResource"],
        ["true"]
    );
    assert_eq!(
        statement(&key("abc"), "EncryptWithKey").resource,
        ["arn:aws:kms:us-east-2:123456789012:key/abc"]
    );
    let by_alias = key("alias/mine");
    let encrypt = statement(&by_alias, "EncryptWithKey");
    assert_eq!(
        encrypt.resource,
        ["arn:aws:kms:us-east-2:123456789012:key/*"]
    );
    assert_eq!(
        encrypt.condition["ForAnyValue:StringEquals"]["kms:ResourceAliases"],
        ["alias/mine"]
    );
}

#[test]
fn statements_have_ids_of_their_own_and_iam_takes_the_whole() {
    let policy = of(&everything(), Questions::Asked);
    let ids: BTreeSet<&str> = policy
        .statement
        .iter()
        .map(|one| one.sid.as_str())
        .collect();
    assert_eq!(ids.len(), policy.statement.len());
    assert!(
        ids.iter()
            .all(|id| id.chars().all(|c| c.is_ascii_alphanumeric()))
    );
    assert_eq!(policy.length(), Length::RoleInline);
    assert_eq!(of(&plain(), Questions::Asked).length(), Length::Managed);
}

#[test]
fn the_role_of_an_instance_needs_what_binds_its_address() {
    let needs = |pipeline: &Pipeline| {
        let choice = Choice::default();
        let selection = Selection::choose(pipeline, &"us-east-2".into(), &choice).unwrap();
        profile_needs(&selection.cells)
    };
    assert_eq!(needs(&plain())[0].policy, None);
    let address = ", address: { elastic_ip: eipalloc-0123456789abcdef0 }";
    let named = needs(&stage(", instance_profile: builder", address, "", ""));
    let policy = named[0].policy.as_ref().unwrap();
    assert_eq!(named[0].instance_profile.as_deref(), Some("builder"));
    assert_eq!(policy.attached_by, "user");
    assert_eq!(
        policy.document["Statement"][0]["Action"],
        "ec2:AssociateAddress"
    );
    let two = needs(&load(
        "  a:\n    source: { image_id: ami-0123456789abcdef0 }\n    launch: { instance_type: m5.large, instance_profile: x }\n    \
         connect: { user: u, address: { elastic_ip: eipalloc-0123456789abcdef0 } }\n    image: { name: first }\n  \
         b:\n    source: { image_id: ami-0123456789abcdef0 }\n    launch: { instance_type: m5.large, instance_profile: y }\n    \
         connect: { user: u, address: { elastic_ip: eipalloc-0123456789abcdef1 } }\n    image: { name: second }\n",
    ));
    let union = roles_policy(&two).unwrap();
    assert_eq!(union["Statement"][0]["Sid"], "QibBindAddress");
    assert_eq!(union["Statement"][1]["Sid"], "QibBindAddress2");
    assert_eq!(roles_policy(&needs(&plain())), None);
    let own = r#", instance_profile: { policy: { Version: "2012-10-17", Statement: [{ Effect: Allow, Action: "s3:GetObject", Resource: "*" }] } }"#;
    let temporary = needs(&stage(own, address, "", ""));
    let policy = temporary[0].policy.as_ref().unwrap();
    assert_eq!(policy.attached_by, "qib");
    assert_eq!(policy.document["Statement"].as_array().unwrap().len(), 2);
}
