//! Two at once: one local EC2 for all, and one Elastic IP that is waited for in line.

use end_to_end::one_stage::{THROUGH_ELASTIC_IP, WITH_PROFILE};
use end_to_end::{Config, LocalEc2, OneStage};
use std::ffi::OsStr;

#[test]
fn two_runs_that_start_at_once_share_one_local_ec2() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let one = ec2.write(
        "work/one.yaml",
        OneStage {
            name: "first",
            ..OneStage::default()
        }
        .text(),
    );
    let provision = r#"[{ run: { name: other, inline: "echo other" } }]"#;
    let two = ec2.write(
        "work/two.yaml",
        OneStage {
            name: "second",
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let (first, second) = (ec2.start_run(&one), ec2.start_run(&two));
    let (first, second) = (first.end().exits(0), second.end().exits(0));
    let mut made = [
        first.image("one")["image_id"].clone(),
        second.image("one")["image_id"].clone(),
    ];
    made.sort_by_key(ToString::to_string);
    let holdings = ec2.holdings();
    holdings.assert_counts(&[("images", 2), ("snapshots", 2)], &second);
    let mut there = holdings.of("images").to_vec();
    there.sort_unstable();
    assert_eq!(
        there,
        made.map(|id| id.as_str().unwrap_or_default().to_owned()),
        "{second}"
    );
}

#[test]
fn the_same_pipeline_twice_at_once_is_built_once() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let provision = r#"[{ run: { name: slow, inline: "echo begun; sleep 3" } }]"#;
    let file = ec2.pipeline(
        OneStage {
            provision,
            ..OneStage::default()
        }
        .text(),
    );
    let mut first = ec2.start_run(&file);
    first.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    let second = ec2.start_run(&file).end().exits(0);
    let first = first.end().exits(0);
    assert_eq!(first.image("one")["cached"], false, "{first}");
    assert_eq!(second.image("one")["cached"], true, "{second}");
    assert_eq!(
        first.image("one")["image_id"],
        second.image("one")["image_id"],
        "{second}"
    );
}

#[test]
fn the_second_waits_for_the_elastic_ip_says_behind_whom_and_then_builds() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let through = OneStage {
        connect: THROUGH_ELASTIC_IP,
        launch: WITH_PROFILE,
        ..OneStage::default()
    };
    let provision = r#"[{ run: { name: slow, inline: "echo begun; sleep 5" } }]"#;
    let one = ec2.write(
        "work/one.yaml",
        OneStage {
            name: "first",
            provision,
            ..through
        }
        .text(),
    );
    let two = ec2.write(
        "work/two.yaml",
        OneStage {
            name: "second",
            ..through
        }
        .text(),
    );
    let mut first = ec2.start_run(&one);
    let started = first.wait_for_event("the run has an id", |event| event["event"] == "started");
    let run = started["run"].as_str().unwrap_or_default().to_owned();
    first.wait_for_event("the provisioner begins", |event| {
        event["event"] == "output" && event["line"] == "begun"
    });
    let second = ec2.start_run(&two).end().exits(0).says(&run);
    let first = first.end().exits(0);
    assert!(!run.is_empty(), "{first}");
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &second);
}

#[test]
fn behind_a_kept_run_the_wait_ends_and_names_it_and_the_command_that_frees_it() {
    let ec2 = LocalEc2::new(Config::USUAL);
    let through = OneStage {
        launch: WITH_PROFILE,
        ..OneStage::default()
    };
    let fails = r#"[{ run: { name: breaks, inline: "exit 1" } }]"#;
    let one = ec2.write(
        "work/one.yaml",
        OneStage {
            name: "first",
            provision: fails,
            connect: THROUGH_ELASTIC_IP,
            ..through
        }
        .text(),
    );
    let keeping = [
        OsStr::new("run"),
        OsStr::new("--local"),
        OsStr::new("--json"),
        OsStr::new("--keep-on-failure"),
    ];
    let kept = ec2
        .qib(keeping.into_iter().chain([one.as_os_str()]))
        .failed_in("provision");

    let connect =
        "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, wait: 2s }, timeout: 60s }";
    let two = ec2.write(
        "work/two.yaml",
        OneStage {
            name: "second",
            connect,
            ..through
        }
        .text(),
    );
    let second = ec2
        .run(&two)
        .failed_in("lease-address")
        .says(&kept.run_id())
        .says("To free it:");
    let free = second
        .stderr
        .split("To free it:")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default();
    ec2.shell(free.trim()).exits(0);
    ec2.run(&two).exits(0);
}

#[test]
fn an_address_that_somebody_else_uses_is_never_taken() {
    let ec2 = LocalEc2::new(Config::USUAL);
    ec2.qib(["local", "up"]).exits(0);
    let images = ec2.aws(&[
        "ec2",
        "describe-images",
        "--owners",
        "309956199498",
        "--query",
        "Images[0].ImageId",
    ]);
    let image = images
        .json()
        .as_str()
        .unwrap_or_else(|| panic!("no image{images}"))
        .to_owned();
    let launched = ec2
        .aws(&[
            "ec2",
            "run-instances",
            "--image-id",
            &image,
            "--instance-type",
            "m5.large",
        ])
        .exits(0);
    let theirs = launched.json()["Instances"][0]["InstanceId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ec2.aws(&["ec2", "wait", "instance-running", "--instance-ids", &theirs])
        .exits(0);
    ec2.aws(&[
        "ec2",
        "associate-address",
        "--allocation-id",
        "eipalloc-0local",
        "--instance-id",
        &theirs,
    ])
    .exits(0);

    let connect =
        "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, wait: 2s }, timeout: 60s }";
    let file = ec2.pipeline(
        OneStage {
            connect,
            launch: WITH_PROFILE,
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file).failed_in("lease-address").says(&theirs);
    let holder = ec2
        .aws(&[
            "ec2",
            "describe-addresses",
            "--query",
            "Addresses[0].InstanceId",
        ])
        .exits(0);
    assert_eq!(holder.json(), theirs.as_str(), "{ended}");
}
