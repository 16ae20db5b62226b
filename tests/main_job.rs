//! The main job: `pipelines/ocp.yaml`, from nothing to two images, and what a second run makes of them.

use end_to_end::{Config, Ended, LocalEc2, OneStage, Running, shipped};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The provisioners that a rehearsal skips, by stage: what needs RHEL's content or the internet, and nothing else.
const SKIPPED: &[(&str, &[&str])] = &[
    ("base", &["base packages", "STIG"]),
    ("ocp", &["content packages", "clients", "oc-mirror"]),
];

/// The entries of `preflight` that a rehearsal skips: they ask other people's servers.
const SKIPPED_PREFLIGHT: &[&str] = &[
    "the update graph lists the release",
    "the pull secret opens the registry",
];

/// A local EC2 as everyone has it, with a copy of the project's pipelines in its `work` folder.
#[track_caller]
fn with_pipelines() -> LocalEc2 {
    shipped::with_pipelines(Config::USUAL)
}

#[track_caller]
fn run(ec2: &LocalEc2, more: &[&str]) -> Ended {
    let args = ["run", "--local", "--json"]
        .iter()
        .chain(more)
        .chain(&["pipelines/ocp.yaml"]);
    ec2.qib(args).exits(0)
}

#[track_caller]
fn id(ended: &Ended, stage: &str) -> String {
    ended.image(stage)["image_id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id{ended}"))
        .to_owned()
}

#[track_caller]
fn assert_cached(ended: &Ended, base: bool, ocp: bool) {
    let cached = (
        ended.image("base")["cached"].clone(),
        ended.image("ocp")["cached"].clone(),
    );
    assert_eq!(
        cached,
        (Value::Bool(base), Value::Bool(ocp)),
        "(base, ocp) cached{ended}"
    );
}

/// Changes one byte of `file`, keeping its length.
#[track_caller]
fn change_one_byte(file: &Path) {
    let mut content = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // In a comment, if it can be: the script must still run.
    let comment = content
        .windows(2)
        .rposition(|pair| pair == b"# ")
        .map(|at| at + 2);
    let at = comment
        .filter(|at| *at < content.len())
        .unwrap_or_else(|| panic!("no comment in {}", file.display()));
    content[at] = if content[at] == b'x' { b'y' } else { b'x' };
    fs::write(file, content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// A script of `pipelines/scripts` that the named stage runs and the other does not.
fn script(ec2: &LocalEc2, name: &str) -> PathBuf {
    ec2.path("work/pipelines/scripts").join(name)
}

#[test]
fn ocp_yaml_builds_both_images_and_other_peoples_clients_see_the_same() {
    let ec2 = with_pipelines();
    let plan = ec2
        .qib(["plan", "--local", "--json", "pipelines/ocp.yaml"])
        .exits(0)
        .json();
    assert_eq!(plan[1]["source_name"], "stage base", "{plan:#}");
    let reason = plan[1]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("made by preflight"), "{plan:#}");
    let built = run(&ec2, &[]);
    assert_cached(&built, false, false);
    let (base, ocp) = (id(&built, "base"), id(&built, "ocp"));
    the_skipped_provisioners_are_the_pinned_ones(&built);
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &built);
    the_aws_cli_lists_the_same_ids(&ec2, &[&base, &ocp], &built);
    tags_are_on_instances_images_and_snapshots(&ec2, &built);
    the_source_is_the_newest_by_date(&ec2, &base);
    volumes_are_as_asked(&ec2, &base, 50);
    volumes_are_as_asked(&ec2, &ocp, 100);
    image_and_snapshots_are_shared(&ec2, &ocp);
    images_ls_shows_both(&ec2, &base, &ocp);
    the_image_has_what_the_pipeline_put_in(&ec2, &built);
}

/// Every skip is told: as an event, on the image's tag, and here.
#[track_caller]
fn the_skipped_provisioners_are_the_pinned_ones(built: &Ended) {
    for (stage, names) in SKIPPED {
        assert_eq!(
            built.image(stage)["skipped"],
            json!(names),
            "skipped in {stage}{built}"
        );
    }
    let skipped = built.events_of("provisioner-skipped");
    let (preflight, told): (Vec<&Value>, Vec<&Value>) = skipped
        .iter()
        .partition(|event| event["cell"] == "preflight");
    assert_eq!(
        told.len(),
        SKIPPED.iter().map(|(_, names)| names.len()).sum::<usize>(),
        "{built}"
    );
    let preflight: Vec<&Value> = preflight
        .into_iter()
        .map(|event| &event["provisioner"])
        .collect();
    assert_eq!(preflight, SKIPPED_PREFLIGHT, "{built}");
}

#[track_caller]
fn the_aws_cli_lists_the_same_ids(ec2: &LocalEc2, made: &[&str], built: &Ended) {
    let listed = ec2
        .aws(&[
            "ec2",
            "describe-images",
            "--owners",
            "self",
            "--query",
            "sort(Images[].ImageId)",
        ])
        .exits(0);
    let mut made = made.to_vec();
    made.sort_unstable();
    assert_eq!(listed.json(), json!(made), "{built}");
}

fn has(tags: &Value, key: &str, value: &str) -> bool {
    tags.as_array()
        .into_iter()
        .flatten()
        .any(|tag| *tag == json!({ "Key": key, "Value": value }))
}

/// The fourth resource, the volume, ends with its instance: `keep.rs` looks at one.
#[track_caller]
fn tags_are_on_instances_images_and_snapshots(ec2: &LocalEc2, built: &Ended) {
    let run = built.run_id();
    let queries = [
        (
            "describe-instances",
            "Reservations[].Instances[].Tags",
            vec![],
        ),
        ("describe-images", "Images[].Tags", vec!["--owners", "self"]),
        (
            "describe-snapshots",
            "Snapshots[].Tags",
            vec!["--owner-ids", "self"],
        ),
    ];
    for (action, query, more) in queries {
        let all = ec2
            .aws(&[&["ec2", action, "--query", query][..], &more[..]].concat())
            .exits(0)
            .json();
        let all = all.as_array().cloned().unwrap_or_default();
        assert_eq!(all.len(), 2, "{action}: {all:?}{built}");
        for tags in &all {
            assert!(
                has(tags, "qib:run", &run) && has(tags, "qib:pipeline", "ocp"),
                "{action}: {tags}{built}"
            );
            assert!(
                has(tags, "OS", "RHEL") && has(tags, "Release", "8.7"),
                "{action}: {tags}{built}"
            );
            let purposes = tags
                .as_array()
                .into_iter()
                .flatten()
                .filter(|tag| tag["Key"] == "Purpose")
                .count();
            assert_eq!(purposes, 1, "{action}: {tags}{built}");
        }
    }
}

#[track_caller]
fn the_source_is_the_newest_by_date(ec2: &LocalEc2, base: &str) {
    let filter = "Name=name,Values=RHEL-8.7*HVM-*Hourly*";
    let query = "sort_by(Images[?Architecture=='x86_64'],&CreationDate)[-1].ImageId";
    let args = [
        "ec2",
        "describe-images",
        "--owners",
        "309956199498",
        "--filters",
        filter,
        "--query",
        query,
    ];
    let newest = ec2.aws(&args).exits(0).json();
    let args = [
        "ec2",
        "describe-images",
        "--image-ids",
        base,
        "--query",
        "Images[0].Tags",
    ];
    let tags = ec2.aws(&args).exits(0).json();
    assert!(
        has(
            &tags,
            "qib:source-image",
            newest.as_str().unwrap_or_default()
        ),
        "{newest}: {tags}"
    );
}

#[track_caller]
fn volumes_are_as_asked(ec2: &LocalEc2, image: &str, gib: u32) {
    let query = "Images[0].BlockDeviceMappings[].[DeviceName,Ebs.VolumeSize]";
    let devices = ec2
        .aws(&[
            "ec2",
            "describe-images",
            "--image-ids",
            image,
            "--query",
            query,
        ])
        .exits(0)
        .json();
    assert_eq!(devices, json!([["/dev/sda1", gib]]), "{image}");
}

#[track_caller]
fn image_and_snapshots_are_shared(ec2: &LocalEc2, image: &str) {
    let args = [
        "ec2",
        "describe-image-attribute",
        "--image-id",
        image,
        "--attribute",
        "launchPermission",
    ];
    let launch = ec2
        .aws(&[&args[..], &["--query", "sort(LaunchPermissions[].UserId)"]].concat())
        .exits(0)
        .json();
    assert!(
        launch
            .as_array()
            .is_some_and(|accounts| !accounts.is_empty()),
        "{image} is not shared"
    );
    let query = "Images[0].BlockDeviceMappings[].Ebs.SnapshotId";
    let snapshots = ec2
        .aws(&[
            "ec2",
            "describe-images",
            "--image-ids",
            image,
            "--query",
            query,
        ])
        .exits(0)
        .json();
    for snapshot in snapshots
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let args = [
            "ec2",
            "describe-snapshot-attribute",
            "--snapshot-id",
            snapshot,
            "--attribute",
        ];
        let query = [
            "createVolumePermission",
            "--query",
            "sort(CreateVolumePermissions[].UserId)",
        ];
        let volume = ec2.aws(&[&args[..], &query[..]].concat()).exits(0).json();
        assert_eq!(volume, launch, "{snapshot} of {image}");
    }
}

#[track_caller]
fn images_ls_shows_both(ec2: &LocalEc2, base: &str, ocp: &str) {
    let listed = ec2.qib(["images", "ls", "--local", "--json"]).exits(0);
    let all = listed.json();
    let of = |stage: &str| {
        let found = all
            .as_array()
            .into_iter()
            .flatten()
            .find(|image| image["stage"] == stage)
            .cloned();
        found.unwrap_or_else(|| panic!("no image of {stage}{listed}"))
    };
    assert_eq!(
        (&of("base")["image_id"], &of("ocp")["image_id"]),
        (&json!(base), &json!(ocp)),
        "{listed}"
    );
    assert_eq!(of("ocp")["source_image"], base, "{listed}");
    assert!(
        of("base")["cache_key"].is_string() && of("base")["created"].is_string(),
        "{listed}"
    );
    let table = ec2.qib(["images", "ls", "--local"]).exits(0);
    for shown in [base, ocp, "base", "ocp"] {
        assert!(
            table.stdout.contains(shown),
            "{shown} is not in the table{table}"
        );
    }
}

/// Boots the OCP image and looks.
#[track_caller]
fn the_image_has_what_the_pipeline_put_in(ec2: &LocalEc2, built: &Ended) {
    let look = "#!/bin/sh\n\
        for f in /etc/sysconfig/rh-quay-firstboot /etc/sysconfig/rh-quay-hardened /etc/systemd/system/quayinit.service; do\n\
          test -e $f && echo there: $f\n\
        done\n\
        find / -xdev -name imageset-config.yaml -not -path '/proc/*' 2>/dev/null | sed 's/^/imageset: /'\n\
        f=$(find / -xdev -name imageset-config.yaml 2>/dev/null | head -n1); grep -c '4.12.3' \"$f\" | sed 's/^/versions: /'\n\
        grep -c '[$][{][{]\\|OCP_MAX_VER' \"$f\" | sed 's/^/left-over: /'\n\
        grep -rl 'bm8tb25lOm5vLXBhc3N3b[3]' /root /home /tmp /run /etc /var /opt 2>/dev/null | sed 's/^/pull-secret: /'\n\
        exit 0\n";
    ec2.write("work/look.sh", look);
    let source = r#"{ filter: { owners: [self], name: "OCP-Content-*" } }"#;
    let provision = "[{ run: { name: look, become: root, errexit: false, script: look.sh } }]";
    let connect = end_to_end::one_stage::THROUGH_ELASTIC_IP;
    let launch = end_to_end::one_stage::WITH_PROFILE;
    let stage = OneStage {
        source,
        provision,
        connect,
        launch,
        ..OneStage::default()
    };
    let seen = ec2.run(&ec2.pipeline(stage.text())).exits(0);
    let lines: Vec<String> = seen
        .events_of("output")
        .iter()
        .map(|event| event["line"].as_str().unwrap_or_default().to_owned())
        .collect();
    let there = |line: &str| lines.iter().any(|seen| seen == line);
    assert!(
        there("there: /etc/sysconfig/rh-quay-firstboot"),
        "the first-boot marker{seen}{built}"
    );
    assert!(
        there("there: /etc/systemd/system/quayinit.service"),
        "the unit{seen}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("imageset: ")),
        "the rendered imageset{seen}"
    );
    assert!(
        there("left-over: 0") && !there("versions: 0"),
        "the imageset is not rendered{seen}"
    );
    assert!(
        !lines.iter().any(|line| line.starts_with("pull-secret: ")),
        "the pull secret is in the image{seen}"
    );
}

#[test]
fn the_second_run_builds_nothing_and_what_changes_decides_what_is_built_again() {
    let ec2 = with_pipelines();
    let first = run(&ec2, &[]);
    let (base, ocp) = (id(&first, "base"), id(&first, "ocp"));

    let second = run(&ec2, &[]);
    assert_cached(&second, true, true);
    assert_eq!(
        (id(&second, "base"), id(&second, "ocp")),
        (base.clone(), ocp.clone()),
        "{second}"
    );
    assert!(
        second.stderr.contains(&base) && second.stderr.contains(&ocp),
        "which image it reuses{second}"
    );
    let launched = second
        .events_of("step-started")
        .iter()
        .any(|event| event["step"] == "launch");
    assert!(!launched, "{second}");

    let rebuilt = run(&ec2, &["--rebuild", "base"]);
    assert_cached(&rebuilt, false, false);
    assert_ne!(id(&rebuilt, "base"), base, "{rebuilt}");

    change_one_byte(&script(&ec2, BASE_SCRIPT));
    let changed = run(&ec2, &[]);
    assert_cached(&changed, false, false);

    change_one_byte(&script(&ec2, OCP_SCRIPT));
    let changed_above = run(&ec2, &[]);
    assert_cached(&changed_above, true, false);
    assert_eq!(
        id(&changed_above, "base"),
        id(&changed, "base"),
        "{changed_above}"
    );
}

/// A script that only the base stage runs.
const BASE_SCRIPT: &str = "mark-hardened.sh";
/// A script that only the OCP stage runs.
const OCP_SCRIPT: &str = "layout.sh";

#[test]
fn base_yaml_builds_the_base_that_ocp_yaml_then_reuses() {
    let ec2 = with_pipelines();
    let base = ec2
        .qib(["run", "--local", "--json", "pipelines/base.yaml"])
        .exits(0);
    let both = run(&ec2, &[]);
    assert_cached(&both, true, false);
    assert_eq!(id(&both, "base"), id(&base, "base"), "{both}");
}

#[test]
fn the_project_s_pipelines_are_valid_and_planned_without_making_anything() {
    let ec2 = with_pipelines();
    for pipeline in ["pipelines/base.yaml", "pipelines/ocp.yaml"] {
        ec2.qib(["validate", "--local", pipeline]).exits(0);
        let plan = ec2.qib(["plan", "--local", pipeline]).exits(0);
        assert!(plan.stdout.contains("miss"), "{plan}");
        ec2.holdings().assert_none(&plan);
    }
}

#[test]
fn the_pipelines_work_from_any_folder() {
    let ec2 = with_pipelines();
    let mut command = ec2.command([OsStr::new("validate"), OsStr::new("--local")]);
    command
        .arg(ec2.path("work/pipelines/ocp.yaml"))
        .current_dir("/");
    Running::start(command).end().exits(0);
}
