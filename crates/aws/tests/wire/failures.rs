//! What goes wrong on the wire, and what is made of it.

use crate::server::Answer;
use crate::{TIMEOUTS, options, region, region_with, repeating_region};
use aws::{AwsAccount, Timeouts};
use cloud::{Account, CloudError, ErrorKind, InstanceFilter, RegionName, Tags};
use std::time::Duration;

async fn describe(answers: Vec<Answer>, timeouts: Timeouts) -> (usize, CloudError) {
    let (server, region) = region_with(answers, timeouts).await;
    let error = region
        .instances(&InstanceFilter::default())
        .await
        .unwrap_err();
    assert_eq!(error.operation, "DescribeInstances");
    (server.requests().len(), error)
}

#[tokio::test]
async fn each_family_of_errors_is_told_from_the_others() {
    for (status, code, message, kind) in [
        (
            503,
            "RequestLimitExceeded",
            "slow down",
            ErrorKind::Throttled,
        ),
        (500, "InternalError", "oops", ErrorKind::Transient),
        (400, "InvalidInstanceID.NotFound", "no", ErrorKind::NotFound),
        (400, "InvalidGroup.Duplicate", "yes", ErrorKind::Duplicate),
        (400, "DependencyViolation", "used", ErrorKind::Dependency),
        (400, "IncorrectInstanceState", "off", ErrorKind::WrongState),
        (
            400,
            "Resource.AlreadyAssociated",
            "taken",
            ErrorKind::AddressInUse,
        ),
        (400, "VcpuLimitExceeded", "too many", ErrorKind::Quota),
        (
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
            ErrorKind::Credentials,
        ),
        (
            400,
            "RequestExpired",
            "Request has expired.",
            ErrorKind::Expired,
        ),
        (
            403,
            "UnauthorizedOperation",
            "not you",
            ErrorKind::AccessDenied,
        ),
        (400, "InvalidParameterValue", "bad", ErrorKind::InvalidInput),
        (400, "SomethingNew", "what", ErrorKind::Other),
    ] {
        let answer = Answer::ec2_error(status, code, message);
        let (_, error) = describe(vec![answer], TIMEOUTS).await;
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.code, code);
        assert_eq!(error.message, message);
        assert_eq!(error.request_id.as_deref(), Some("req-1"));
    }
}

/// Each of the timeouts has to be enough by itself.
#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let hour = Duration::from_secs(3600);
    let never = Timeouts {
        connect: hour,
        read: hour,
        attempt: hour,
    };
    let soon = Duration::from_millis(300);
    for timeouts in [
        Timeouts {
            read: soon,
            ..never
        },
        Timeouts {
            attempt: soon,
            ..never
        },
    ] {
        let giving_up = describe(vec![Answer::Silence], timeouts);
        let (requests, error) = tokio::time::timeout(Duration::from_secs(30), giving_up)
            .await
            .unwrap_or_else(|_| panic!("{timeouts:?} is still waiting"));
        assert_eq!(error.kind, ErrorKind::Transient, "{error}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn lost_connections_and_answers_cut_off_are_passing_faults() {
    for answer in [Answer::HangUp, Answer::CutOff] {
        let (_, error) = describe(vec![answer], TIMEOUTS).await;
        assert_eq!(error.kind, ErrorKind::Transient, "{error}");
        assert!(error.code.is_empty());
    }
}

#[tokio::test]
async fn nobody_listening_is_a_passing_fault() {
    // Bound and dropped: the port is free, and nobody else is given it at once.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let account = AwsAccount::connect(options(&url, TIMEOUTS)).await.unwrap();
    let error = account
        .region(&RegionName::from("us-east-2"))
        .subnets(&[])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient, "{error}");
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn what_no_aws_service_says_is_quoted() {
    let answer = Answer::Http {
        status: 407,
        content_type: "text/html",
        date: None,
        body: "<html>log in to the proxy</html>".to_owned(),
    };
    let (_, error) = describe(vec![answer], TIMEOUTS).await;
    assert_eq!(error.kind, ErrorKind::Other, "{error}");
    assert!(error.message.contains("407"), "{error}");
}

/// Without the layer above it the adapter makes each call once, whatever comes of it.
#[tokio::test]
async fn the_adapter_by_itself_repeats_nothing() {
    for answer in [
        Answer::ec2_error(503, "RequestLimitExceeded", "slow down"),
        Answer::ec2_error(500, "InternalError", "oops"),
        Answer::ec2_error(400, "RequestExpired", "Request has expired."),
        Answer::HangUp,
    ] {
        let (requests, _) = describe(vec![answer], TIMEOUTS).await;
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn throttling_and_server_errors_are_tried_again() {
    let (server, region) = repeating_region([
        Answer::ec2_error(503, "RequestLimitExceeded", "slow down"),
        Answer::ec2_error(500, "InternalError", "oops"),
        Answer::CutOff,
        Answer::xml("<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"),
        Answer::json_error("ThrottlingException", "Rate exceeded"),
        Answer::json("{}"),
    ])
    .await;
    let found = region.instances(&InstanceFilter::default()).await.unwrap();
    assert!(found.is_empty());
    assert_eq!(server.requests().len(), 4);
    region.delete_parameter("/qib/a").await.unwrap();
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let (server, region) = repeating_region([
        Answer::ec2_error(403, "UnauthorizedOperation", "not you"),
        Answer::ec2_error(403, "UnauthorizedOperation", "not you"),
    ])
    .await;
    let error = region
        .instances(&InstanceFilter::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    assert_eq!(server.requests().len(), 1);
}

/// EC2 sends it as a server error: "wait a few minutes", or take another type or zone.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-capacity>
#[tokio::test]
async fn a_lack_of_machines_is_not_tried_again() {
    let none_left = || Answer::ec2_error(500, "InsufficientInstanceCapacity", "none left");
    let (server, region) = repeating_region([none_left(), none_left()]).await;
    let error = region
        .run_instance(&crate::launch::request())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Capacity);
    assert_eq!(error.resource.as_deref(), Some("ami-1"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_repeated_launch_carries_the_same_token() {
    let (server, region) =
        repeating_region([Answer::HangUp, Answer::xml(crate::launch::ANSWER)]).await;
    region
        .run_instance(&crate::launch::request())
        .await
        .unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].param("ClientToken"), Some("token-1"));
    assert_eq!(requests[1].param("ClientToken"), Some("token-1"));
}

#[tokio::test]
async fn what_may_have_been_made_is_not_made_again() {
    let (server, region) = repeating_region([Answer::HangUp, Answer::HangUp]).await;
    let error = region
        .import_key_pair("qib-1", "ssh-ed25519 A", &Tags::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(server.requests().len(), 1);
}

/// EC2 and SSM each have their own way to say that a signature's date is off; the SDK then signs by the service's time.
#[tokio::test]
async fn a_wrong_clock_is_made_good_by_the_services_date() {
    const THEN: &str = "Sun, 01 Mar 2026 10:22:30 GMT";
    let bad = "AWS was not able to validate the provided access credentials";
    let (server, region) = repeating_region([
        Answer::ec2_error(401, "AuthFailure", bad).at(THEN),
        Answer::xml("<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")
            .at(THEN),
        Answer::json_error("InvalidSignatureException", "Signature not yet current").at(THEN),
        Answer::json_error("ParameterNotFound", "none").at(THEN),
    ])
    .await;
    region.instances(&InstanceFilter::default()).await.unwrap();
    assert_eq!(region.parameter("/qib/a").await.unwrap(), None);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for (number, then) in [(0, false), (1, true), (2, false), (3, true)] {
        let date = requests[number].header("x-amz-date").unwrap();
        assert_eq!(date.starts_with("20260301T1022"), then, "{number}: {date}");
    }
}

#[tokio::test]
async fn an_answer_without_sense_names_the_field() {
    let (_server, region) = region([Answer::xml(
        "<DescribeSubnetsResponse><subnetSet><item><vpcId>vpc-1</vpcId></item></subnetSet></DescribeSubnetsResponse>",
    )])
    .await;
    let error = region.subnets(&[]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Other);
    assert!(error.message.contains("subnetId"), "{error}");
}
