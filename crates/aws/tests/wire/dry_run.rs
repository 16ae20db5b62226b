//! Questions whether a call would be allowed.

use crate::copies::{copy, registration};
use crate::server::{Answer, Request};
use crate::{launch, region};
use cloud::{Capture, DryRun, ErrorKind, ImageRequest, Tags, Verdict};

fn would_succeed() -> Answer {
    let message = "Request would have succeeded, but DryRun flag is set.";
    Answer::ec2_error(412, "DryRunOperation", message)
}

fn capture() -> ImageRequest {
    ImageRequest {
        left_out_devices: Vec::new(),
        instance_id: "i-1".into(),
        capture: Capture::Stopped,
        name: "base-1".to_owned(),
        description: String::new(),
        volumes: Vec::new(),
        image_tags: Tags::new().with("qib:run", "r1"),
        snapshot_tags: Tags::new(),
    }
}

/// Every question, with the actions that it takes.
fn questions() -> Vec<(DryRun, &'static [&'static str])> {
    let tags = Tags::new().with("qib:run", "r1");
    vec![
        (
            DryRun::RunInstances(Box::new(launch::request())),
            &["RunInstances"],
        ),
        (DryRun::CreateImage(Box::new(capture())), &["CreateImage"]),
        (DryRun::CreateSnapshots, &["CreateSnapshots"]),
        (
            DryRun::RegisterImage(Box::new(registration())),
            &["RegisterImage"],
        ),
        (DryRun::CopyImage(Box::new(copy())), &["CopyImage"]),
        (
            DryRun::ImportKeyPair { tags: tags.clone() },
            &["ImportKeyPair"],
        ),
        (
            DryRun::SecurityGroup { tags },
            &["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"],
        ),
        (
            DryRun::Address,
            &["AssociateAddress", "DisassociateAddress"],
        ),
        (DryRun::CreateTags, &["CreateTags"]),
        (DryRun::StopInstances, &["StopInstances"]),
        (DryRun::TerminateInstances, &["TerminateInstances"]),
        (
            DryRun::ModifyInstanceAttribute,
            &["ModifyInstanceAttribute"],
        ),
        (
            DryRun::ModifyImageAttribute { image: None },
            &["ModifyImageAttribute"],
        ),
        (
            DryRun::ModifySnapshotAttribute,
            &["ModifySnapshotAttribute"],
        ),
        (DryRun::DeregisterImage, &["DeregisterImage"]),
        (DryRun::DeleteSnapshot, &["DeleteSnapshot"]),
        (DryRun::EnableImageDeprecation, &["EnableImageDeprecation"]),
        (
            DryRun::EnableImageDeregistrationProtection,
            &["EnableImageDeregistrationProtection"],
        ),
        (DryRun::GetConsoleOutput, &["GetConsoleOutput"]),
    ]
}

#[tokio::test]
async fn every_question_is_its_call_with_dry_run_and_nothing_without_it() {
    for (question, actions) in questions() {
        let (server, region) = region(actions.iter().map(|_| would_succeed())).await;
        assert_eq!(region.dry_run(&question).await.unwrap(), Verdict::Allowed);
        let requests = server.requests();
        let asked: Vec<_> = requests.iter().filter_map(|r| r.param("Action")).collect();
        assert_eq!(asked, actions);
        for request in &requests {
            assert_eq!(request.param("DryRun"), Some("true"), "{request:?}");
        }
    }
}

/// The parameters without `DryRun`.
fn without_the_question(request: &Request) -> Vec<(String, String)> {
    let mut all: Vec<_> = form(&request.body);
    all.retain(|(name, _)| name != "DryRun");
    all
}

fn form(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect()
}

#[tokio::test]
async fn the_call_that_is_asked_about_is_the_one_that_will_be_made() {
    let (server, region) = region([
        would_succeed(),
        Answer::xml(launch::ANSWER),
        would_succeed(),
        Answer::xml("<CopyImageResponse><imageId>ami-2</imageId></CopyImageResponse>"),
        would_succeed(),
        Answer::xml("<CreateImageResponse><imageId>ami-9</imageId></CreateImageResponse>"),
    ])
    .await;
    let launch = launch::request();
    let question = DryRun::RunInstances(Box::new(launch.clone()));
    region.dry_run(&question).await.unwrap();
    region.run_instance(&launch).await.unwrap();
    let question = DryRun::CopyImage(Box::new(copy()));
    region.dry_run(&question).await.unwrap();
    region.copy_image(&copy()).await.unwrap();
    let question = DryRun::CreateImage(Box::new(capture()));
    region.dry_run(&question).await.unwrap();
    region.create_image(&capture()).await.unwrap();
    let requests = server.requests();
    for pair in requests.chunks(2) {
        assert_eq!(without_the_question(&pair[0]), form(&pair[1].body));
    }
}

#[tokio::test]
async fn a_refusal_a_missing_resource_and_another_error_are_told_apart() {
    let (_server, region) = region([
        Answer::ec2_error(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. Encoded authorization failure message: Zm9v",
        ),
        Answer::ec2_error(400, "InvalidInstanceID.NotFound", "does not exist"),
        Answer::ec2_error(400, "InvalidParameterValue", "no such thing"),
    ])
    .await;
    let question = DryRun::StopInstances;
    let Verdict::Denied(words) = region.dry_run(&question).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        words,
        "StopInstances: You are not authorized to perform this operation. (UnauthorizedOperation)"
    );
    let unknown = region.dry_run(&question).await.unwrap();
    assert!(matches!(unknown, Verdict::Unknown(_)), "{unknown:?}");
    let error = region.dry_run(&question).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_endpoint_that_does_what_it_is_asked_about_is_an_error() {
    let (_server, region) = region([Answer::xml(
        "<DeregisterImageResponse><return>true</return></DeregisterImageResponse>",
    )])
    .await;
    let error = region.dry_run(&DryRun::DeregisterImage).await.unwrap_err();
    assert!(error.message.contains("carried the call out"), "{error}");
}

#[tokio::test]
async fn of_two_calls_the_one_that_is_refused_counts() {
    let (_server, region) = region([
        would_succeed(),
        Answer::ec2_error(403, "UnauthorizedOperation", "no"),
    ])
    .await;
    let verdict = region.dry_run(&DryRun::Address).await.unwrap();
    assert!(
        matches!(&verdict, Verdict::Denied(words) if words.starts_with("DisassociateAddress: no")),
        "{verdict:?}"
    );
}
