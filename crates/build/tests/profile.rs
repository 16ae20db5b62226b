//! A role of the instance's own: made before the launch, gone with the instance, whatever goes wrong; and found by a sweep.

mod fake;

use build::names::{RunId, tag};
use build::options::OnFailure;
use build::report::ExitCode;
use build::sweep::{KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look, planned_rows};
use cloud::{Address, Clock, ErrorKind, Iam, Tags};
use fake::account::Fault;
use fake::guest::{Behaviour, FakeGuests};
use fake::pipelines::{Site, connecting, launching};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const POLICY: &str = "instance_type: m5.large, instance_profile: { policy: { Version: '2012-10-17', \
    Statement: { Effect: Allow, Action: ['s3:GetObject'], Resource: 'arn:aws:s3:::x/*' } } }";

fn name(number: u64) -> String {
    format!("qib-{}-base-us-east-2", RunId::from_random(number))
}

fn documents(site: &Site) -> Vec<Value> {
    let store = site.account.store();
    let documents = store.iam.documents.iter();
    documents
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
}

#[test]
fn the_role_is_there_for_the_launch_and_gone_after_it() {
    let site = Site::new();
    let report = site.run(1, &launching(POLICY));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    assert_eq!(
        store.launches[0].instance_profile.as_deref(),
        Some(name(1).as_str())
    );
    assert_eq!(store.iam.holdings().count(), 0);
    let calls: Vec<&str> = store
        .calls
        .iter()
        .copied()
        .filter(|call| {
            call.contains("Role")
                || call.contains("Profile")
                || matches!(*call, "RunInstances" | "TerminateInstances")
        })
        .filter(|call| !call.starts_with("Get"))
        .collect();
    assert_eq!(
        calls,
        [
            "CreateRole",
            "PutRolePolicy",
            "CreateInstanceProfile",
            "AddRoleToInstanceProfile",
            "RunInstances",
            "TerminateInstances",
            "RemoveRoleFromInstanceProfile",
            "DeleteInstanceProfile",
            "DeleteRolePolicy",
            "DeleteRole",
        ]
    );
    drop(store);
    let statement =
        json!({ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::x/*" });
    assert_eq!(
        documents(&site),
        [json!({ "Version": "2012-10-17", "Statement": [statement] })]
    );
}

#[test]
fn what_binding_from_inside_needs_is_added_to_the_policy() {
    for (bind, statements) in [("user-data", 2), ("api", 1)] {
        let site = Site::new();
        site.account.store().binds_by_itself = bind == "user-data";
        let address = format!(", address: {{ elastic_ip: eipalloc-1, bind: {bind} }}");
        let report = site.run(1, &connecting(POLICY, &address));
        assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
        let document = documents(&site).remove(0);
        let added = document["Statement"].as_array().unwrap();
        assert_eq!(added.len(), statements);
        if bind == "user-data" {
            assert_eq!(added[1]["Action"], "ec2:AssociateAddress");
            assert_eq!(
                added[1]["Resource"][0],
                "arn:aws:ec2:us-east-2:*:elastic-ip/eipalloc-1"
            );
        }
    }
}

/// Of a pool, the address is known before the role is made.
#[test]
fn the_policy_names_the_address_that_was_taken_from_a_pool() {
    let site = Site::new();
    let mut store = site.account.store();
    store.binds_by_itself = true;
    store.addresses.clear();
    let address = Address {
        allocation_id: "eipalloc-7".into(),
        public_ip: "198.51.100.7".parse().unwrap(),
        binding: None,
        tags: Tags::new().with("Purpose", "builders"),
    };
    store.addresses.insert("eipalloc-7".into(), address);
    drop(store);
    let address = ", address: { elastic_ip: { tag: { Purpose: builders } } }";
    let report = site.run(1, &connecting(POLICY, address));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let document = documents(&site).remove(0);
    assert!(
        document["Statement"][1]["Resource"][0]
            .as_str()
            .unwrap()
            .ends_with("/eipalloc-7")
    );
}

#[test]
fn a_launch_is_repeated_until_ec2_knows_the_profile_and_no_longer() {
    let site = Site::new();
    site.account.store().iam.profiles_show_late = 12;
    let began = site.clock.now();
    let report = site.run(1, &launching(POLICY));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    assert_eq!(store.launches.len(), 13);
    let tokens: std::collections::BTreeSet<_> =
        store.launches.iter().map(|l| &l.client_token).collect();
    assert_eq!(tokens.len(), 1, "one launch, asked for again");
    drop(store);
    assert!(cloud::clock::between(began, site.clock.now()) >= Duration::from_secs(24));

    let site = Site::new();
    site.account.store().iam.profiles_show_late = u32::MAX;
    let report = site.run(1, &launching(POLICY));
    assert_eq!(report.exit, ExitCode::Failed);
    assert!(
        report.failures[0]
            .error
            .contains("Invalid IAM Instance Profile name"),
        "{:?}",
        report.failures
    );
    let launches = site.account.store().launches.len();
    assert!(
        (50..=70).contains(&launches),
        "{launches} launches within two minutes"
    );
    assert_eq!(site.account.holdings(), ["ami-1source"]);
}

/// Any other refusal of a value, and of a profile that is the user's own, ends the launch at once.
#[test]
fn nothing_else_is_repeated() {
    let site = Site::new();
    let refused = Fault::Refused(ErrorKind::InvalidInput);
    site.account.store().faults.push(("RunInstances", refused));
    assert_eq!(site.run(1, &launching(POLICY)).exit, ExitCode::Failed);
    assert_eq!(
        site.account
            .store()
            .calls
            .iter()
            .filter(|call| **call == "RunInstances")
            .count(),
        1
    );
    let site = Site::new();
    let text = launching("instance_type: m5.large, instance_profile: qib-of-somebody");
    assert_eq!(site.run(1, &text).exit, ExitCode::Failed);
    assert_eq!(site.account.store().launches.len(), 1);
    assert!(!site.account.store().calls.contains(&"CreateRole"));
}

const CALLS: [&str; 8] = [
    "CreateRole",
    "PutRolePolicy",
    "CreateInstanceProfile",
    "AddRoleToInstanceProfile",
    "RemoveRoleFromInstanceProfile",
    "DeleteInstanceProfile",
    "DeleteRolePolicy",
    "DeleteRole",
];

#[test]
fn a_refusal_of_any_call_leaves_nothing() {
    for call in CALLS {
        let site = Site::new();
        let refused = Fault::Refused(ErrorKind::AccessDenied);
        site.account.store().faults.push((call, refused));
        let report = site.run(1, &launching(POLICY));
        assert_eq!(report.exit, ExitCode::Failed, "{call}");
        assert!(
            report.left_behind.is_empty(),
            "{call}: {:?}",
            report.left_behind
        );
        let holdings = site.account.holdings();
        // What fails after the image is complete leaves the image.
        let images = if call.starts_with("Delete") || call.starts_with("Remove") {
            3
        } else {
            1
        };
        assert_eq!(holdings.len(), images, "{call}: {holdings:?}");
    }
}

#[test]
fn a_lost_reply_makes_nothing_twice() {
    for call in ["CreateRole", "CreateInstanceProfile"] {
        let site = Site::new();
        site.account.store().faults.push((call, Fault::LostReply));
        let report = site.run(1, &launching(POLICY));
        assert_eq!(report.exit, ExitCode::Done, "{call}: {:?}", report.failures);
        let store = site.account.store();
        assert_eq!(
            store.calls.iter().filter(|one| **one == call).count(),
            1,
            "{call}"
        );
        assert_eq!(store.iam.holdings().count(), 0);
    }
}

/// A role of the name that the run's would have, and that is another's, is neither used nor removed.
#[test]
fn anothers_role_of_that_name_is_left_alone() {
    let site = Site::new();
    let iam = site.account.clone();
    let mine = Tags::new().with("Owner", "me");
    site.clock
        .run(iam.create_instance_role(&name(1), "/", &mine))
        .unwrap();
    let report = site.run(1, &launching(POLICY));
    assert_eq!(report.exit, ExitCode::Failed);
    assert!(
        site.account
            .holdings()
            .contains(&format!("role {}", name(1)))
    );
    assert!(!site.account.store().calls.contains(&"DeleteRole"));
}

#[test]
fn a_kept_instance_keeps_its_role() {
    let mut site = Site::new();
    site.on_failure = OnFailure::Keep;
    site.guests = Arc::new(FakeGuests {
        behaviour: Behaviour {
            exit_codes: vec![("fail".into(), 1)],
            ..Behaviour::default()
        },
        ..FakeGuests::default()
    });
    let text = launching(POLICY).replace(
        "    image:",
        "    provision: [{ run: { name: fail, inline: 'false' } }]\n    image:",
    );
    let report = site.run(1, &text);
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!(
        site.account.store().iam.holdings().count(),
        2,
        "{:?}",
        report.kept
    );
    let kept: Vec<&str> = report.kept.iter().map(|one| one.kind.as_str()).collect();
    assert!(
        kept.contains(&"role") && kept.contains(&"instance-profile"),
        "{kept:?}"
    );
    let role = report.kept.iter().find(|one| one.kind == "role").unwrap();
    assert_eq!(
        role.remove_with,
        format!(
            "aws --region us-east-2 iam delete-role-policy --role-name {0} --policy-name qib && \
             aws --region us-east-2 iam delete-role --role-name {0}",
            name(1)
        )
    );
}

struct Quiet;
impl SweepWatch for Quiet {
    fn progress(&self, _: &SweepProgress<'_>) {}
}

fn sweep(site: &Site, region: &str) -> Sweep {
    Sweep {
        account: Arc::new(site.account.clone()),
        account_id: "123456789012".into(),
        regions: vec![region.into()],
        endpoint: None,
        clock: Arc::new(site.clock.clone()),
        buckets: Vec::new(),
        state_dir: site.state.path().join("elsewhere"),
        only: None,
        kept: KeptToo::No,
    }
}

/// A role and a profile with the tags of a run, made by nobody's living process.
fn left(site: &Site, region: &str) {
    let iam = site.account.clone();
    let tags = Tags::new()
        .with(tag::RUN, RunId::from_random(1).as_str())
        .with(tag::PIPELINE, "p")
        .with(tag::STAGE, "base")
        .with(tag::CELL, "us-east-2")
        .with(tag::REGION, region);
    let name = name(1);
    site.clock.run(async {
        iam.create_instance_role(&name, "/qib/", &tags)
            .await
            .unwrap();
        iam.put_role_policy(&name, "qib", "{}").await.unwrap();
        iam.create_instance_profile(&name, "/qib/", &tags)
            .await
            .unwrap();
        iam.add_role(&name, &name).await.unwrap();
        // Neither of these is qib's, whatever their path.
        iam.create_instance_role("own", "/qib/", &Tags::new())
            .await
            .unwrap();
        iam.create_instance_role("other", "/", &tags).await.unwrap();
    });
}

#[test]
fn a_sweep_finds_the_role_by_its_path_and_tag() {
    let site = Site::new();
    left(&site, "us-east-2");
    let sweep = sweep(&site, "us-east-2");
    let plan = site.clock.run(look(&sweep)).unwrap();
    let rows = planned_rows(&plan, None);
    let kinds: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row.kind.as_str(), row.action))
        .collect();
    assert_eq!(kinds, [("instance-profile", "remove"), ("role", "remove")]);
    let carried = site.clock.run(carry_out(&sweep, plan, &Quiet)).unwrap();
    assert!(carried.is_complete(), "{carried:?}");
    let left: Vec<String> = site.account.store().iam.holdings().collect();
    assert_eq!(left, ["role other", "role own"]);
}

/// Whether the run lives is told by its lease, which is in its region.
#[test]
fn a_sweep_of_another_region_leaves_the_role() {
    let site = Site::new();
    left(&site, "eu-central-1");
    let plan = site.clock.run(look(&sweep(&site, "us-east-2"))).unwrap();
    assert!(plan.judged.is_empty(), "{:?}", plan.judged);
}

#[test]
fn who_may_not_read_iam_can_sweep_all_the_same() {
    for call in ["ListRoles", "ListInstanceProfiles"] {
        let site = Site::new();
        left(&site, "us-east-2");
        site.account.store().denied.push(call);
        let plan = site.clock.run(look(&sweep(&site, "us-east-2"))).unwrap();
        assert!(plan.judged.is_empty(), "{:?}", plan.judged);
    }
}

/// Killed after any record, and taken up again: the role is used or made anew, and gone in the end.
#[test]
fn a_crash_at_any_moment_costs_no_role() {
    let mut killed = 0;
    for record in 1.. {
        let site = Site::new();
        if site.killed_after(1, record, &launching(POLICY)).is_none() {
            break;
        }
        killed += 1;
        let report = site.resume(1, &launching(POLICY));
        assert_eq!(
            report.exit,
            ExitCode::Done,
            "after record {record}: {:?}",
            report.failures
        );
        assert!(
            report.left_behind.is_empty(),
            "after record {record}: {:?}",
            report.left_behind
        );
        let holdings = site.account.holdings();
        assert_eq!(holdings.len(), 3, "after record {record}: {holdings:?}");
    }
    assert!(killed > 30, "{killed} moments");
}
