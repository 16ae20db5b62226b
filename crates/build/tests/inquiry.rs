//! What an account is asked before a run, and what its answers come to. Nothing is made.

mod fake;

use build::inquiry::{Answer, Check, Inquiry, Kind};
use cloud::{InstanceProfile, KmsKey, PublicSharing, Quota, Tags};
use fake::account::FakeAccount;
use fake::iam::FakeProfile;
use fake::pipelines::{Site, connecting, image, launching};

const PLAIN: &str = "instance_type: m5.large";

fn set_quota(account: &FakeAccount, service: &str, code: &str, value: f64) {
    let quota = Quota {
        name: code.to_owned(),
        value,
    };
    let key = (service.to_owned(), code.to_owned());
    account.store().quotas.insert(key, quota);
}

/// An account with room for everything.
fn site() -> Site {
    let site = Site::new();
    for (service, code) in [
        ("ec2", "L-1216C47A"),
        ("ec2", "L-34B43A08"),
        ("ec2", "L-0E3CBAB9"),
        ("ebs", "L-A84ABF80"),
        ("vpc", "L-E79EC296"),
    ] {
        set_quota(&site.account, service, code, 100.0);
    }
    site
}

#[track_caller]
fn find<'i>(inquiry: &'i Inquiry, asked: &str) -> &'i Check {
    let found = inquiry
        .checks
        .iter()
        .find(|check| check.asked.contains(asked));
    found.unwrap_or_else(|| panic!("nobody asked for {asked}: {:#?}", inquiry.checks))
}

/// What was asked for where the answer is no.
fn denied(inquiry: &Inquiry) -> Vec<&str> {
    inquiry.denied().map(|check| check.asked.as_str()).collect()
}

#[track_caller]
fn made_nothing(site: &Site) {
    let store = site.account.store();
    let makes = |call: &&&str| {
        let making = [
            "Create",
            "Run",
            "Copy",
            "Register",
            "Import",
            "Put",
            "Modify",
            "Authorize",
            "Delete",
        ];
        // Of KMS, with DryRun.
        **call != "CreateGrant" && making.iter().any(|word| call.starts_with(word))
    };
    let made: Vec<_> = store.calls.iter().filter(makes).collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn an_account_that_permits_everything_has_nothing_against_it() {
    let site = site();
    let inquiry = site.inquire(&launching(PLAIN));
    let bad: Vec<&Check> = inquiry
        .checks
        .iter()
        .filter(|check| check.answer != Answer::Allowed)
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for kind in [
        Kind::Credentials,
        Kind::Region,
        Kind::Cell,
        Kind::Offering,
        Kind::Permission,
        Kind::Quota,
    ] {
        assert!(
            inquiry.checks.iter().any(|check| check.kind == kind),
            "{kind:?}"
        );
    }
    assert_eq!(
        find(&inquiry, "ec2:RunInstances").detail,
        "asked with DryRun"
    );
    assert_eq!(find(&inquiry, "ec2:DescribeImages").detail, "asked");
    made_nothing(&site);
}

#[test]
fn dry_run_tells_of_what_is_there_and_the_simulator_of_the_rest() {
    let site = site();
    site.account.store().denied = vec!["RunInstances", "CreateImage"];
    let inquiry = site.inquire(&launching(PLAIN));
    // There is no instance yet to make an image of: EC2's refusal proves nothing, and IAM permits it.
    assert_eq!(denied(&inquiry), ["ec2:RunInstances"]);
    assert_eq!(
        find(&inquiry, "ec2:CreateImage").detail,
        "by IAM's policy simulator"
    );
    let statements = &find(&inquiry, "ec2:RunInstances").statements;
    assert!(!statements.is_empty());
    assert!(
        statements
            .iter()
            .all(|one| one.action == ["ec2:RunInstances"]),
        "{statements:?}"
    );

    site.account.store().denied = vec!["CreateImage"];
    site.account.store().iam.denied_actions =
        vec!["ec2:CreateImage".into(), "ssm:PutParameter".into()];
    let inquiry = site.inquire(&launching(PLAIN));
    assert_eq!(denied(&inquiry), ["ec2:CreateImage", "ssm:PutParameter"]);
    made_nothing(&site);
}

#[test]
fn what_nobody_tells_is_said_to_be_unknown() {
    let site = site();
    site.account.store().denied = vec!["CreateImage", "SimulatePrincipalPolicy"];
    let inquiry = site.inquire(&launching(PLAIN));
    assert!(denied(&inquiry).is_empty(), "{:?}", denied(&inquiry));
    let check = find(&inquiry, "ec2:CreateImage");
    assert_eq!(check.answer, Answer::Unknown);
    assert!(
        check.detail.contains("simulator could not be asked"),
        "{}",
        check.detail
    );
    assert!(check.detail.contains("EC2 says: "), "{}", check.detail);
    assert_eq!(find(&inquiry, "ec2:RunInstances").answer, Answer::Allowed);
}

#[test]
fn a_call_that_only_looks_is_made() {
    let site = site();
    site.account.store().denied = vec!["DescribeVolumes"];
    let inquiry = site.inquire(&launching(PLAIN));
    assert_eq!(denied(&inquiry), ["ec2:DescribeVolumes"]);
}

#[test]
fn the_role_that_a_profile_has_is_asked_about_and_a_profile_must_be_there() {
    let site = site();
    let text = launching("instance_type: m5.large, instance_profile: builder");
    assert_eq!(
        denied(&site.inquire(&text)),
        ["the instance profile `builder`"]
    );
    let profile = InstanceProfile {
        name: "builder".into(),
        arn: "arn:aws:iam::123456789012:instance-profile/builder".into(),
        roles: Vec::new(),
        created: None,
        tags: Tags::new(),
    };
    let kept = FakeProfile {
        profile,
        path: "/".into(),
        role: None,
    };
    site.account
        .store()
        .iam
        .profiles
        .insert("builder".into(), kept);
    let inquiry = site.inquire(&text);
    assert_eq!(
        inquiry.denied().next().map(|check| check.detail.as_str()),
        Some("it has no role")
    );
}

#[test]
fn quotas_count_what_is_there_and_what_is_needed_at_once() {
    let site = site();
    set_quota(&site.account, "ec2", "L-1216C47A", 1.0);
    set_quota(&site.account, "vpc", "L-E79EC296", 1.0);
    let inquiry = site.inquire(&launching(PLAIN));
    let asked = denied(&inquiry);
    assert_eq!(asked.len(), 2, "{asked:?}");
    let vcpus = find(&inquiry, "vCPUs of on-demand Standard");
    assert_eq!(
        (vcpus.quantity.limit, vcpus.quantity.needed),
        (Some(1.0), Some(2.0))
    );
    assert!(
        vcpus
            .next
            .as_deref()
            .is_some_and(|next| next.contains("L-1216C47A"))
    );
    assert_eq!(
        find(&inquiry, "VPC security groups").quantity.used,
        Some(1.0)
    );
    // Where on-demand instances are tried after spot instances, no spot instance is no failure.
    set_quota(&site.account, "ec2", "L-1216C47A", 100.0);
    set_quota(&site.account, "ec2", "L-34B43A08", 0.0);
    set_quota(&site.account, "vpc", "L-E79EC296", 9.0);
    let spot = "instance_type: m5.large, spot: { fall_back: on-demand }";
    let inquiry = site.inquire(&launching(spot));
    assert_eq!(find(&inquiry, "vCPUs of spot").answer, Answer::Warning);
    assert!(denied(&inquiry).is_empty());
    let inquiry = site.inquire(&launching(
        "instance_type: m5.large, spot: { fall_back: none }",
    ));
    assert_eq!(denied(&inquiry).len(), 1, "{:?}", denied(&inquiry));
    site.account.store().quotas.clear();
    let inquiry = site.inquire(&launching(PLAIN));
    assert_eq!(find(&inquiry, "vCPUs of on-demand").answer, Answer::Unknown);
}

fn with_image(more: &str) -> String {
    launching(PLAIN).replace("image: { ", &format!("image: {{ {more}, "))
}

#[test]
fn copies_and_public_images_have_quotas_too() {
    let site = site();
    let west = site.account.in_region(&"us-west-2".into());
    set_quota(&west, "ebs", "L-A84ABF80", 0.0);
    set_quota(&site.account, "ec2", "L-0E3CBAB9", 0.0);
    let inquiry = site.inquire(&with_image("copy_to: [us-west-2], share: { public: true }"));
    let asked = denied(&inquiry);
    assert!(
        asked.contains(&"Concurrent snapshot copies per destination Region"),
        "{asked:?}"
    );
    assert!(asked.contains(&"Public AMIs"), "{asked:?}");
    // Copies wait for their turn, if there is ever one.
    set_quota(&west, "ebs", "L-A84ABF80", 1.0);
    let text = with_image("copy_to: [us-west-2]");
    let two = format!(
        "{text}{}",
        text.split_once("stages:\n")
            .unwrap()
            .1
            .replace("base", "other")
    );
    let inquiry = site.inquire(&two.replacen("image-$", "first-$", 1));
    assert_eq!(
        find(&inquiry, "Concurrent snapshot copies").answer,
        Answer::Warning
    );
}

#[test]
fn public_sharing_must_not_be_blocked() {
    let site = site();
    let text = with_image("share: { public: true, snapshots: true }");
    site.account.store().public_images = PublicSharing::Blocked;
    assert_eq!(denied(&site.inquire(&text)), ["public images"]);
    site.account.store().public_images = PublicSharing::Allowed;
    site.account.store().public_snapshots = PublicSharing::Blocked;
    assert_eq!(denied(&site.inquire(&text)), ["public snapshots"]);
    assert!(denied(&site.inquire(&launching(PLAIN))).is_empty());
}

#[test]
fn keys_must_be_there_enabled_and_permitted() {
    let site = site();
    let text = with_image("encrypted: true, kms_key_id: alias/mine");
    assert_eq!(denied(&site.inquire(&text)), ["alias/mine"]);
    let key = |enabled| KmsKey {
        arn: "arn:aws:kms:us-east-2:123456789012:key/k".into(),
        enabled,
    };
    site.account
        .store()
        .kms_keys
        .insert("alias/mine".into(), key(false));
    let inquiry = site.inquire(&text);
    assert!(find(&inquiry, "alias/mine").detail.contains("not enabled"));
    site.account
        .store()
        .kms_keys
        .insert("alias/mine".into(), key(true));
    assert!(denied(&site.inquire(&text)).is_empty());
    site.account.store().iam.denied_actions = vec!["kms:CreateGrant".into()];
    assert_eq!(denied(&site.inquire(&text)), ["kms:CreateGrant"]);
}

#[test]
fn types_must_be_offered_and_names_free() {
    let site = site();
    let offered = ("m5.large", vec!["b"]);
    site.account.store().network.offered.push(offered);
    let inquiry = site.inquire(&launching(PLAIN));
    assert_eq!(denied(&inquiry), ["base/us-east-2"]);
    assert!(find(&inquiry, "base/us-east-2").detail.contains("m5.large"));
    site.account.store().network.offered.clear();
    let text = launching(PLAIN).replace("image-${{ run.id }}", "golden");
    let mut taken = image("ami-2taken");
    taken.name = "golden".into();
    site.account
        .store()
        .images
        .insert("ami-2taken".into(), taken);
    assert_eq!(denied(&site.inquire(&text)), ["the name `golden`"]);
}

#[test]
fn cells_that_wait_for_an_address_are_only_warned_of() {
    let site = site();
    let address = ", address: { elastic_ip: eipalloc-1, bind: api }";
    let inquiry = site.inquire(&connecting(PLAIN, address));
    let check = find(&inquiry, "the Elastic IP eipalloc-1");
    assert_eq!(
        (check.answer, check.quantity.limit),
        (Answer::Allowed, Some(1.0))
    );
}

/// A pipeline of one stage that imports through a bucket.
fn importing() -> String {
    "name: p\naws: { region: us-east-2 }\nstages:\n  base:\n    source: { import: { url: 'https://images.example.com/a.raw', \
     checksum: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', via: s3, bucket: images } }\n    \
     image: { name: golden }\n"
        .to_owned()
}

#[test]
fn an_import_through_s3_needs_a_bucket_in_its_region_and_a_role() {
    let with = |region: Option<&str>, has_role: bool| {
        let site = site();
        let disk = site.state.path().join("disk.raw");
        std::fs::write(&disk, [1; 512]).unwrap();
        *site.disks.file.lock().unwrap() = Some(disk);
        {
            let mut store = site.account.store();
            if let Some(region) = region {
                store.buckets.regions.insert("images".into(), region.into());
            }
            if has_role {
                store.iam.with_role("vmimport");
            }
        }
        let inquiry = site.inquire(&importing());
        made_nothing(&site);
        (
            find(&inquiry, "the bucket `images`").answer,
            find(&inquiry, "the role `vmimport`").answer,
        )
    };
    assert_eq!(
        with(Some("us-east-2"), true),
        (Answer::Allowed, Answer::Allowed)
    );
    assert_eq!(
        with(Some("eu-west-1"), false),
        (Answer::Denied, Answer::Denied)
    );
    assert_eq!(with(None, true).0, Answer::Denied);
}
