//! Instances once launched.

use crate::region;
use crate::server::Answer;
use cloud::{ErrorKind, InstanceFilter, InstanceId, InstanceState, SecurityGroupId};

fn reservation(ids: &[&str], next: Option<&str>) -> Answer {
    let items: String = ids
        .iter()
        .map(|id| {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name></instanceState>\
                 <ipAddress>203.0.113.7</ipAddress><vpcId>vpc-1</vpcId>\
                 <launchTime>2026-03-01T10:20:30.000Z</launchTime></item>"
            )
        })
        .collect();
    let next = next.map_or(String::new(), |token| {
        format!("<nextToken>{token}</nextToken>")
    });
    Answer::xml(format!(
        "<DescribeInstancesResponse><reservationSet><item><reservationId>r-1</reservationId>\
         <instancesSet>{items}</instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
    ))
}

#[tokio::test]
async fn ids_go_into_a_filter_and_all_pages_and_reservations_are_read() {
    let (server, region) = region([
        reservation(&["i-1", "i-2"], Some("more")),
        reservation(&["i-3"], None),
    ])
    .await;
    let filter = InstanceFilter {
        instance_ids: vec![InstanceId::from("i-1"), InstanceId::from("i-9")],
        filters: vec![("tag:qib:run".to_owned(), vec!["r1".to_owned()])],
    };
    let instances = region.instances(&filter).await.unwrap();
    assert_eq!(instances.len(), 3);
    assert_eq!(instances[0].state, InstanceState::Running);
    assert_eq!(instances[0].public_ip, Some([203, 0, 113, 7].into()));
    server.requests()[0].assert_params(&[
        ("Action", "DescribeInstances"),
        ("Filter.1.Name", "tag:qib:run"),
        ("Filter.1.Value.1", "r1"),
        ("Filter.2.Name", "instance-id"),
        ("Filter.2.Value.1", "i-1"),
        ("Filter.2.Value.2", "i-9"),
        ("MaxResults", "1000"),
    ]);
}

#[tokio::test]
async fn stop_and_groups_are_sent_for_one_instance() {
    let (server, region) = region([
        Answer::xml("<ModifyInstanceAttributeResponse><return>true</return></ModifyInstanceAttributeResponse>"),
        Answer::xml("<StopInstancesResponse><instancesSet/></StopInstancesResponse>"),
        Answer::ec2_error(400, "IncorrectInstanceState", "it is being terminated"),
    ])
    .await;
    let instance = InstanceId::from("i-1");
    region
        .set_instance_groups(&instance, &[SecurityGroupId::from("sg-1")])
        .await
        .unwrap();
    region.stop_instance(&instance).await.unwrap();
    let error = region.stop_instance(&instance).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "ModifyInstanceAttribute"),
        ("InstanceId", "i-1"),
        ("GroupId.1", "sg-1"),
    ]);
    requests[1].assert_params(&[("Action", "StopInstances"), ("InstanceId.1", "i-1")]);
}

#[tokio::test]
async fn terminating_what_is_gone_is_done_but_what_is_protected_is_not() {
    let (server, region) = region([
        Answer::ec2_error(400, "InvalidInstanceID.NotFound", "gone"),
        Answer::ec2_error(400, "OperationNotPermitted", "disableApiTermination"),
    ])
    .await;
    let instance = InstanceId::from("i-1");
    region.terminate_instance(&instance).await.unwrap();
    let error = region.terminate_instance(&instance).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    server.requests()[0]
        .assert_params(&[("Action", "TerminateInstances"), ("InstanceId.1", "i-1")]);
}

fn console(output: &str) -> Answer {
    Answer::xml(format!(
        "<GetConsoleOutputResponse><instanceId>i-1</instanceId>{output}</GetConsoleOutputResponse>"
    ))
}

#[tokio::test]
async fn the_latest_console_output_is_asked_for() {
    let (server, region) = region([console("<output>aGVsbG8=</output>"), console("")]).await;
    let instance = InstanceId::from("i-1");
    assert_eq!(region.console_output(&instance).await.unwrap(), "hello");
    assert_eq!(region.console_output(&instance).await.unwrap(), "");
    server.requests()[0].assert_params(&[
        ("Action", "GetConsoleOutput"),
        ("InstanceId", "i-1"),
        ("Latest", "true"),
    ]);
}

#[tokio::test]
async fn a_type_without_latest_output_is_asked_again() {
    let (server, region) = region([
        Answer::ec2_error(400, "UnsupportedOperation", "latest is not supported"),
        console("<output>aGVsbG8=</output>"),
    ])
    .await;
    let instance = InstanceId::from("i-1");
    assert_eq!(region.console_output(&instance).await.unwrap(), "hello");
    server.requests()[1].assert_params(&[("Action", "GetConsoleOutput"), ("InstanceId", "i-1")]);
}
