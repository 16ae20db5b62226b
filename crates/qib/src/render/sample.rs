//! A run's events, for tests of their rendering.

use async_trait::async_trait;
use build::event::{Event, OutputStream, StartedCell, Step};
use build::names::{CellName, RunId};
use build::report::{
    ExitCode, LeftResource, Report, ReportedCopy, ReportedFailure, ReportedImage, WayIn,
};
use cloud::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A clock that stands still at 12:34:56 UTC.
pub struct FixedClock;

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::constant(1_800_016_496, 0)
    }

    async fn sleep(&self, _duration: Duration) {}
}

/// The run of all samples.
pub fn run_id() -> RunId {
    RunId::from_random(42)
}

fn cell(stage: &str) -> CellName {
    CellName {
        stage: stage.into(),
        cell: "us-east-2".into(),
    }
}

fn left(kind: &str, id: &str) -> LeftResource {
    LeftResource {
        kind: kind.into(),
        id: id.into(),
        region: "us-east-2".into(),
        remove_with: format!("aws ec2 remove-it --region us-east-2 --id {id}"),
        reason: String::from("it was refused"),
    }
}

/// A report with something of everything.
pub fn a_report() -> Report {
    Report {
        status: "left-behind",
        run: run_id(),
        images: vec![ReportedImage {
            stage: "base".into(),
            cell: "us-east-2".into(),
            region: "us-east-2".into(),
            image_id: "ami-0123456789abcdef0".into(),
            name: "quay-base".into(),
            cached: true,
            skipped: vec!["harden".into()],
            matrix: BTreeMap::from([("os".into(), "1404".into())]),
            source_image: Some("ami-0fedcba9876543210".into()),
            snapshots: vec!["snap-0123456789abcdef0".into()],
            tags: BTreeMap::from([("Purpose".into(), "base".into())]),
            copies: vec![ReportedCopy {
                region: "us-west-2".into(),
                image_id: Some("ami-00112233445566778".into()),
                snapshots: vec!["snap-00112233445566778".into()],
                error: None,
            }],
        }],
        skipped_preflight: Vec::new(),
        failures: vec![ReportedFailure {
            stage: "ocp".into(),
            cell: "us-east-2".into(),
            region: "us-east-2".into(),
            step: "provision".into(),
            error: "ocp/us-east-2 failed while provisioning: provisioner `mirror` exited with 3\n    no space left".into(),
            hint: Some("Run again with --keep-on-failure.".into()),
        }],
        skipped: Vec::new(),
        kept: vec![left("instance", "i-0aaa")],
        ways_in: vec![WayIn {
            instance_id: "i-0aaa".into(),
            region: "us-east-2".into(),
            host: "127.1.2.3".into(),
            port: 22,
            user: "ec2-user".into(),
            key_file: Some("/state/runs/r-1/id".into()),
            known_hosts: Some("/state/runs/r-1/known_hosts".into()),
            host_fingerprints: vec!["SHA256:abc".into()],
            bastion: None,
            proxy: None,
        }],
        left_behind: vec![left("security-group", "sg-0bbb")],
        steps: Vec::new(),
        exit: ExitCode::LeftBehind,
    }
}

/// Some of everything that can happen.
pub fn a_run() -> Vec<Event> {
    let ocp = || cell("ocp");
    let output = |stream, line: &str| Event::Output {
        cell: ocp(),
        provisioner: "mirror".into(),
        stream,
        line: line.into(),
    };
    vec![
        Event::Started {
            run: run_id(),
            pipeline: "ocp".into(),
            account: "000000000000".into(),
            identity: "arn:aws:iam::000000000000:user/local".into(),
            credentials_end: None,
            region: "us-east-2".into(),
            rehearsal: true,
            cells: ["base", "ocp"]
                .map(|stage| StartedCell { cell: cell(stage), region: "us-east-2".into(), needed_by: None })
                .to_vec(),
        },
        Event::Cached {
            cell: cell("base"),
            image_id: "ami-0123456789abcdef0".into(),
            name: "quay-base".into(),
            reason: "same inputs".into(),
        },
        Event::StepStarted { cell: ocp(), step: Step::Launch },
        Event::Note { cell: ocp(), text: "instance i-0aaa".into() },
        Event::StepFinished { cell: ocp(), step: Step::Launch },
        Event::ProvisionerSkipped { cell: ocp(), provisioner: "packages".into(), needs: vec!["rhel".into(), "internet".into()] },
        Event::ProvisionerStarted { cell: ocp(), provisioner: "mirror".into() },
        output(OutputStream::Stdout, "\u{1b}[32mmirroring\u{1b}[0m"),
        output(OutputStream::Stderr, "10%\r20%"),
        output(OutputStream::Stdout, ""),
        Event::Warning { cell: ocp(), text: "the clock of the guest is wrong".into() },
        Event::ImageProgress { cell: ocp(), region: "us-east-2".into(), percent: 11 },
        Event::ImageProgress { cell: ocp(), region: "us-east-2".into(), percent: 12 },
        Event::ImageProgress { cell: ocp(), region: "us-east-2".into(), percent: 35 },
        Event::Built { cell: ocp(), image_id: "ami-0fedcba9876543210".into(), name: "OCP-Content".into() },
        Event::Paused {
            cell: ocp(),
            at: "after provisioning".into(),
            way_in: a_report().ways_in.pop(),
        },
        Event::Skipped { cell: cell("top"), reason: "it starts from ocp/us-east-2, of which there is no image".into() },
        Event::Failed {
            cell: ocp(),
            step: Step::Provision,
            error: "ocp/us-east-2 failed while provisioning: provisioner `mirror` exited with 3\n    no space left".into(),
            hint: Some("Run again with --keep-on-failure.".into()),
        },
        Event::Finished(a_report()),
    ]
}
