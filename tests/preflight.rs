//! What `qib iam-policy` prints is enough for a run, and `qib preflight` finds what is missing, by the real binary as a user
//! of the local EC2 who may do what a policy says. Nothing is made by asking.

use end_to_end::one_stage::{ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, Ended, LocalEc2, OneStage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ACCOUNT: &str = "123456789012";

/// Most of what needs a permission of its own: a role, an Elastic IP, a key, copies, parameters, a test; then a stage with
/// a role of its own whose image is registered.
fn full(ec2: &LocalEc2) -> PathBuf {
    for region in ["us-east-2", "us-west-2"] {
        let key = aws(ec2, &["--region", region, "kms", "create-key"]);
        let id = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        let alias = ["--alias-name", "alias/images", "--target-key-id", &id];
        let create = ["--region", region, "kms", "create-alias"];
        ec2.aws(&[&create[..], &alias[..]].concat()).exits(0);
    }
    let image = "{ name: least, on_conflict: replace, encrypted: true, kms_key_id: alias/images, imds: v2, \
                 copy_to: [{ region: us-west-2, kms_key_id: alias/images }], share: { accounts: ['111122223333'] }, \
                 deprecate_after: 30d, protect: true, parameters: [{ name: /images/least }] }";
    let launch = format!("subnet: {{ default_vpc: true, zone: c }}, {WITH_PROFILE}");
    let more = r#"    test: { provision: [{ run: { name: check, inline: "test -e /marker" } }] }
  second:
    source: { stage: one }
    launch:
      instance_type: m5.xlarge
      subnet: { default_vpc: true, zone: c }
      instance_profile: { policy: { Version: "2012-10-17", Statement: [{ Effect: Allow, Action: "s3:GetObject", Resource: "*" }] } }
    connect: { user: ec2-user, timeout: 60s }
    provision: [{ run: { name: more, inline: "echo more" } }]
    image: { name: "second-${{ run.id }}", boot_mode: legacy-bios }
"#;
    let stage = OneStage {
        launch: &launch,
        connect: &format!(
            "{{ user: ec2-user, address: {{ elastic_ip: {ELASTIC_IP}, bind: user-data, timeout: 60s }}, timeout: 60s }}"
        ),
        provision: r#"[{ run: { name: mark, inline: "sudo touch /marker" } }]"#,
        image,
        more,
        ..OneStage::default()
    };
    ec2.pipeline(stage.text())
}

fn aws(ec2: &LocalEc2, args: &[&str]) -> Value {
    ec2.aws(args).exits(0).json()
}

/// Tells the local EC2 something beside AWS's own calls; nothing takes it back.
fn tell(ec2: &LocalEc2, subject: &str, value: Option<&Value>) {
    let script = "import os, sys, urllib.request\n\
        subject, body = sys.argv[2], sys.argv[3].encode()\n\
        request = urllib.request.Request(os.environ['AWS_ENDPOINT_URL'] + '/_local/' + subject, data=body or None,\n\
            method='PUT' if body else 'DELETE',\n\
            headers={'Authorization': 'Bearer ' + os.environ['AWS_SECRET_ACCESS_KEY']})\n\
        urllib.request.urlopen(request).read()\n";
    let body = value.map(Value::to_string).unwrap_or_default();
    ec2.python_with(script, &[subject, &body]).exits(0);
}

#[track_caller]
fn qib(ec2: &LocalEc2, command: &str, pipeline: &Path, more: &[&str]) -> Ended {
    let file = pipeline.to_str().unwrap();
    ec2.qib([&[command, "--local", file][..], more].concat())
}

#[track_caller]
fn printed(ec2: &LocalEc2, pipeline: &Path, more: &[&str]) -> Value {
    let more = [&["--account-id", ACCOUNT][..], more].concat();
    qib(ec2, "iam-policy", pipeline, &more).exits(0).json()
}

/// The policy without one action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        let actions = statement["Action"].as_array_mut().unwrap();
        actions.retain(|one| one != action);
    }
    statements.retain(|statement| {
        statement["Action"]
            .as_array()
            .is_some_and(|a| !a.is_empty())
    });
    assert!(!policy.to_string().contains(&format!("\"{action}\"")));
    policy
}

/// The answers of `qib preflight --json`.
struct Answers(Vec<Value>, Ended);

impl Answers {
    /// Asks, and makes sure that nothing was done by asking.
    #[track_caller]
    fn of(ec2: &LocalEc2, pipeline: &Path, code: i32) -> Self {
        let before = requests(ec2).len();
        let ended = qib(ec2, "preflight", pipeline, &["--json"]).exits(code);
        let asked: Vec<Value> = requests(ec2).split_off(before);
        assert!(asked.len() > 10, "{asked:?}");
        for request in &asked {
            let action = request["action"].as_str().unwrap();
            let looks = ["Describe", "Get", "List", "Simulate", "CreateGrant"];
            let refused = request["code"].is_string();
            assert!(
                refused || looks.iter().any(|word| action.starts_with(word)),
                "{request}"
            );
            assert!(action != "CreateGrant" || refused, "{request}");
        }
        let answers: Value = ended.json();
        Self(answers.as_array().unwrap().clone(), ended)
    }

    fn with(&self, verdict: &str) -> Vec<&Value> {
        self.0
            .iter()
            .filter(|one| one["verdict"] == verdict)
            .collect()
    }

    /// What was asked for where the answer is no.
    fn denied(&self) -> Vec<&str> {
        self.with("denied")
            .iter()
            .map(|one| one["asked"].as_str().unwrap())
            .collect()
    }

    #[track_caller]
    fn no_to(&self, asked: &str) -> &Value {
        let denied = self.with("denied");
        let found = denied
            .iter()
            .find(|one| one["asked"].as_str().unwrap().contains(asked));
        found.unwrap_or_else(|| panic!("{asked} was not denied, but {:?}{}", self.denied(), self.1))
    }
}

fn requests(ec2: &LocalEc2) -> Vec<Value> {
    let path = ec2.path("local/requests.jsonl");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What [`full`] has not: a pool of addresses that qib binds, spot, sharing with everyone, names that are taken from anybody,
/// ENA, a stage that only copies, a parameter as source.
fn launches(ec2: &LocalEc2) -> PathBuf {
    let tags = ["ec2", "create-tags", "--resources", ELASTIC_IP];
    ec2.aws(&[&tags[..], &["--tags", "Key=Purpose,Value=builders"]].concat())
        .exits(0);
    let found = aws(ec2, &["ec2", "describe-subnets", "--query", "Subnets[0]"]);
    let subnet = found["SubnetId"].as_str().unwrap();
    let tags = ["ec2", "create-tags", "--resources", subnet];
    ec2.aws(&[&tags[..], &["--tags", "Key=Tier,Value=builds"]].concat())
        .exits(0);
    let vpc = found["VpcId"].as_str().unwrap();
    let more = r#"  spot:
    source: { stage: one }
    launch: { instance_type: m5.large, spot: true, vpc: VPC, subnet: { filter: { tags: { Tier: builds } } } }
    connect: { user: ec2-user, timeout: 60s }
    image: { name: "spot-${{ run.id }}" }
  copied:
    source: { ssm: /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64 }
    image: { name: "copied-${{ run.id }}", encrypted: true }
"#
    .replace("VPC", vpc);
    let stage = OneStage {
        connect: "{ user: ec2-user, address: { elastic_ip: { tag: { Purpose: builders } }, bind: api, timeout: 60s }, timeout: 60s }",
        image: "{ name: taken, on_conflict: { replace: { force: true } }, ena: true, share: { public: true, snapshots: true } }",
        more: &more,
        ..OneStage::default()
    };
    ec2.pipeline(stage.text())
}

/// Runs a pipeline, and all of it once more, as a user who may do what is printed and nothing else.
#[track_caller]
fn is_enough(ec2: &LocalEc2, pipeline: &Path, stages: &[&str]) {
    let least = printed(ec2, pipeline, &["--without-preflight"]);
    tell(ec2, "policy", Some(&least));
    ec2.run(pipeline).exits(0);
    // The second time images are replaced: the old ones are looked at, unprotected and removed.
    let rebuild = stages.iter().flat_map(|stage| ["--rebuild", stage]);
    let again: Vec<&str> = ["run", "--local", "--json"]
        .into_iter()
        .chain(rebuild)
        .collect();
    let file = pipeline.to_str().unwrap();
    ec2.qib([&again[..], &[file]].concat()).exits(0);
    // No call was refused on the way that the runs could do without.
    let codes = [
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
    ];
    let refused: Vec<Value> = requests(ec2)
        .into_iter()
        .filter(|one| {
            one["code"]
                .as_str()
                .is_some_and(|code| codes.contains(&code))
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let asking = printed(ec2, pipeline, &[]);
    tell(ec2, "policy", Some(&asking));
    let answers = Answers::of(ec2, pipeline, 0);
    assert!(
        answers.with("unknown").is_empty(),
        "{:#?}",
        answers.with("unknown")
    );
    let permissions = answers.0.iter().filter(|one| one["kind"] == "permission");
    assert!(permissions.count() > 40, "{:#?}", answers.0);
}

#[test]
fn the_policy_that_is_printed_is_enough_for_the_run_and_for_the_questions() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = full(&ec2);
    is_enough(&ec2, &pipeline, &["one", "second"]);
}

#[test]
fn it_is_enough_for_other_ways_to_launch_and_to_share_too() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = launches(&ec2);
    is_enough(&ec2, &pipeline, &["one", "spot", "copied"]);
}

#[test]
fn an_action_that_is_missing_is_named() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = full(&ec2);
    let policy = printed(&ec2, &pipeline, &[]);
    tell(&ec2, "policy", Some(&policy));
    Answers::of(&ec2, &pipeline, 0);
    for action in [
        "ec2:RunInstances",
        "ec2:CreateImage",
        "ec2:CopyImage",
        "ec2:RegisterImage",
        "ec2:ImportKeyPair",
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:TerminateInstances",
        "ec2:DeleteSnapshot",
        "ec2:DisassociateAddress",
        "ec2:ModifySnapshotAttribute",
        "ec2:DescribeVolumes",
        "iam:PassRole",
        "iam:CreateRole",
        "ssm:PutParameter",
        "kms:CreateGrant",
    ] {
        tell(&ec2, "policy", Some(&without(&policy, action)));
        let answers = Answers::of(&ec2, &pipeline, 1);
        let check = answers.no_to(action);
        assert_eq!(check["kind"], "permission", "{check}");
        assert!(
            answers.denied().iter().all(|asked| *asked == action),
            "{:?}",
            answers.denied()
        );
        let statements = check["statements"].as_array().unwrap();
        assert!(
            statements
                .iter()
                .all(|one| one["Action"] == json!([action])),
            "{check}"
        );
        assert!(!statements.is_empty(), "{check}");
    }
    // As people see it.
    tell(&ec2, "policy", Some(&without(&policy, "ec2:CreateImage")));
    let ended = qib(&ec2, "preflight", &pipeline, &[]).exits(1);
    assert!(
        ended
            .stdout
            .contains("would fail\n  permission ec2:CreateImage in us-east-2\n"),
        "{ended}"
    );
    ended.says("a run would fail: 1 question was answered with no");
    // And it is what a run meets.
    ec2.run(&pipeline).exits(1).says("ec2:CreateImage");
}

#[test]
fn what_nobody_can_tell_is_said() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = full(&ec2);
    let policy = printed(&ec2, &pipeline, &["--without-preflight"]);
    tell(&ec2, "policy", Some(&policy));
    let answers = Answers::of(&ec2, &pipeline, 0);
    let unknown = answers.with("unknown");
    let asked: Vec<&str> = unknown
        .iter()
        .map(|one| one["asked"].as_str().unwrap())
        .collect();
    assert!(asked.contains(&"ec2:TerminateInstances"), "{asked:?}");
    assert!(
        asked.iter().any(|asked| asked.starts_with("vCPUs")),
        "{asked:?}"
    );
    // What EC2 can be asked with DryRun is known nevertheless.
    assert!(!asked.contains(&"ec2:ImportKeyPair"), "{asked:?}");
    let ended = qib(&ec2, "preflight", &pipeline, &[]).exits(0);
    assert!(ended.stdout.contains("cannot be told"), "{ended}");
}

#[test]
fn quotas_zones_regions_and_blocked_sharing_are_found() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = ec2.pipeline(OneStage::default().text());
    ec2.qib(["local", "up"]).exits(0);
    let before = ec2.holdings();
    Answers::of(&ec2, &pipeline, 0);

    tell(
        &ec2,
        "quotas",
        Some(&json!({ "L-1216C47A": 3, "L-E79EC296": 1 })),
    );
    let answers = Answers::of(&ec2, &pipeline, 1);
    let vcpus = answers.no_to("vCPUs of on-demand");
    assert_eq!(
        (&vcpus["limit"], &vcpus["needed"], &vcpus["used"]),
        (&json!(3.0), &json!(4.0), &json!(0.0))
    );
    assert!(
        vcpus["next"].as_str().unwrap().contains("L-1216C47A"),
        "{vcpus}"
    );
    answers.no_to("VPC security groups per Region");
    tell(&ec2, "quotas", None);

    let stage = OneStage {
        image: "{ name: public, copy_to: [us-west-2, af-south-1], share: { public: true, snapshots: true } }",
        ..OneStage::default()
    };
    let pipeline = ec2.pipeline(stage.text());
    tell(
        &ec2,
        "quotas",
        Some(&json!({ "L-A84ABF80": 0, "L-0E3CBAB9": 0 })),
    );
    for call in ["image", "snapshot"] {
        let enable = format!("enable-{call}-block-public-access");
        let state = match call {
            "image" => "--image-block-public-access-state",
            _ => "--state",
        };
        ec2.aws(&["ec2", &enable, state, "block-new-sharing"])
            .exits(0);
    }
    let answers = Answers::of(&ec2, &pipeline, 1);
    let region = answers.no_to("region");
    assert_eq!(region["region"], "af-south-1");
    assert!(
        region["detail"].as_str().unwrap().contains("not opted in"),
        "{region}"
    );
    let copies = answers.no_to("Concurrent snapshot copies");
    assert_eq!(copies["region"], "us-west-2");
    answers.no_to("Public AMIs");
    assert_eq!(answers.no_to("public images")["region"], "us-east-2");
    assert_eq!(answers.no_to("public snapshots")["region"], "us-east-2");
    tell(&ec2, "quotas", None);

    // The zone has no such machine.
    let stage = OneStage::default().text().replace("m5.xlarge", "m3.medium");
    let pipeline = ec2.pipeline(stage);
    let answers = Answers::of(&ec2, &pipeline, 1);
    let cell = answers.no_to("one/us-east-2");
    assert!(
        cell["detail"].as_str().unwrap().contains("m3.medium"),
        "{cell}"
    );
    assert!(
        cell["detail"].as_str().unwrap().contains("us-east-2c"),
        "{cell}"
    );

    // What a plan finds as well.
    let stage = OneStage {
        source: "{ image_id: ami-0123456789abcdef0 }",
        ..OneStage::default()
    };
    let answers = Answers::of(&ec2, &ec2.pipeline(stage.text()), 1);
    answers.no_to("one/us-east-2");
    assert_eq!(ec2.holdings(), before);
}

#[test]
fn a_key_that_is_missing_or_disabled_is_found() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let stage = OneStage {
        image: "{ name: locked, encrypted: true, kms_key_id: alias/images }",
        ..OneStage::default()
    };
    let pipeline = ec2.pipeline(stage.text());
    Answers::of(&ec2, &pipeline, 1).no_to("alias/images");
    let key = aws(&ec2, &["kms", "create-key"]);
    let id = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    ec2.aws(&[
        "kms",
        "create-alias",
        "--alias-name",
        "alias/images",
        "--target-key-id",
        &id,
    ])
    .exits(0);
    Answers::of(&ec2, &pipeline, 0);
    ec2.aws(&["kms", "disable-key", "--key-id", &id]).exits(0);
    let answers = Answers::of(&ec2, &pipeline, 1);
    let check = answers.no_to("alias/images");
    assert!(
        check["next"].as_str().unwrap().contains("enable-key"),
        "{check}"
    );
}

#[test]
fn the_policy_of_an_instance_profile_is_what_its_pipeline_needs() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let pipeline = full(&ec2);
    let ended = qib(&ec2, "iam-policy", &pipeline, &["--instance-profile"]).exits(0);
    let policy = ended.json();
    assert_eq!(
        policy["Statement"].as_array().map(Vec::len),
        Some(1),
        "{policy}"
    );
    assert_eq!(policy["Statement"][0]["Action"], "ec2:AssociateAddress");
    let resource = policy["Statement"][0]["Resource"][0].as_str().unwrap();
    assert!(resource.ends_with(ELASTIC_IP), "{policy}");
    assert!(
        ended
            .stderr
            .contains("ec2-instance-profile-for-quay-image-builder"),
        "{ended}"
    );
    let plain = ec2.pipeline(OneStage::default().text());
    let ended = qib(&ec2, "iam-policy", &plain, &["--instance-profile"]).exits(0);
    assert!(
        ended.stdout.is_empty() && ended.stderr.contains("no instance profile"),
        "{ended}"
    );
}

#[test]
fn bad_input_ends_with_2_before_anything_is_asked() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let broken = ec2.pipeline("name: x\nstages: 3\n");
    for command in ["preflight", "iam-policy"] {
        qib(&ec2, command, &broken, &[])
            .exits(2)
            .says("pipeline.yaml:2:");
        let missing = ec2.path("work/none.yaml");
        qib(&ec2, command, &missing, &[])
            .exits(2)
            .says("cannot be read");
        let good = ec2.pipeline(OneStage::default().text());
        qib(&ec2, command, &good, &["--only", "nothing"])
            .exits(2)
            .says("no cell fits");
        ec2.pipeline("name: x\nstages: 3\n");
    }
    let good = ec2.pipeline(OneStage::default().text());
    qib(&ec2, "iam-policy", &good, &["--account-id", "12"])
        .exits(2)
        .says("twelve digits");
    assert!(requests(&ec2).is_empty());
}
