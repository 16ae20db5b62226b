//! SSM parameters.

use crate::region;
use crate::server::Answer;
use cloud::{Depth, ErrorKind, ImageId, ParameterKind, ParameterWrite};
use std::time::Duration;

/// 2026-03-01T10:20:30Z, as SSM writes times.
const WRITTEN: &str = "1772360430.25";

fn one(body: &str) -> Answer {
    Answer::json(body.replace("WRITTEN", WRITTEN))
}

#[tokio::test]
async fn a_parameter_is_read_and_a_missing_one_is_none() {
    let (server, region) = region([
        one(
            r#"{"Parameter":{"Name":"/qib/a","Value":"v","Version":3,"Type":"String","LastModifiedDate":WRITTEN}}"#,
        )
        .at("Sun, 01 Mar 2026 10:22:30 GMT"),
        Answer::json_error("ParameterNotFound", "no such parameter"),
    ])
    .await;
    let parameter = region.parameter("/qib/a").await.unwrap().unwrap();
    assert_eq!((parameter.value.as_str(), parameter.version), ("v", 3));
    // By the service's clock: this machine's is months away.
    assert_eq!(parameter.age, Duration::from_millis(119_750));
    assert_eq!(region.parameter("/qib/b").await.unwrap(), None);
    let request = &server.requests()[0];
    assert_eq!(
        request.header("x-amz-target"),
        Some("AmazonSSM.GetParameter")
    );
    assert_eq!(request.body, r#"{"Name":"/qib/a"}"#);
    request.assert_signed_for("us-east-2", "ssm");
}

#[tokio::test]
async fn parameters_below_a_path_are_read_page_by_page_each_with_its_own_date() {
    let (server, region) = region([
        one(
            r#"{"Parameters":[{"Name":"/qib/a","Value":"1","Version":1,"LastModifiedDate":WRITTEN}],"NextToken":"t"}"#,
        )
        .at("Sun, 01 Mar 2026 10:20:40 GMT"),
        one(
            r#"{"Parameters":[{"Name":"/qib/b","Value":"2","Version":1,"LastModifiedDate":WRITTEN}]}"#,
        )
        .at("Sun, 01 Mar 2026 10:20:30 GMT"),
        Answer::json(r#"{"Parameters":[]}"#),
    ])
    .await;
    let found = region
        .parameters_below("/qib", Depth::OneLevel)
        .await
        .unwrap();
    let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["/qib/a", "/qib/b"]);
    let ages: Vec<Duration> = found.iter().map(|p| p.age).collect();
    // The date has whole seconds: what was written in the same one is new, not from the future.
    assert_eq!(ages, [Duration::from_millis(9_750), Duration::ZERO]);
    let none = region.parameters_below("/qib", Depth::All).await.unwrap();
    assert!(none.is_empty());
    let requests = server.requests();
    assert!(requests[0].body.contains(r#""Recursive":false"#));
    assert!(requests[0].body.contains(r#""Path":"/qib""#));
    assert!(requests[0].body.contains(r#""MaxResults":10"#));
    assert!(requests[1].body.contains(r#""NextToken":"t""#));
    assert!(requests[2].body.contains(r#""Recursive":true"#));
}

/// An age that is not known must not look like a young or an old one.
#[tokio::test]
async fn a_parameter_without_a_date_to_count_from_is_a_bad_answer() {
    let whole =
        r#"{"Parameter":{"Name":"/qib/a","Value":"v","Version":1,"LastModifiedDate":WRITTEN}}"#;
    let undated = r#"{"Parameter":{"Name":"/qib/a","Value":"v","Version":1}}"#;
    for (answer, lacks) in [
        (one(whole), "the header Date"),
        (
            one(undated).at("Sun, 01 Mar 2026 10:22:30 GMT"),
            "LastModifiedDate",
        ),
    ] {
        let (_server, region) = region([answer]).await;
        let error = region.parameter("/qib/a").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Other);
        assert!(error.message.contains(lacks), "{error}");
    }
}

#[tokio::test]
async fn only_an_overwrite_replaces_a_value() {
    let (server, region) = region([
        Answer::json_error("ParameterAlreadyExists", "it exists"),
        Answer::json(r#"{"Version":2,"Tier":"Standard"}"#),
    ])
    .await;
    let error = region
        .put_parameter("/qib/a", "v", ParameterWrite::CreateOnly)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Duplicate);
    assert_eq!(error.code, "ParameterAlreadyExists");
    let version = region
        .put_parameter("/qib/a", "v", ParameterWrite::Overwrite)
        .await
        .unwrap();
    assert_eq!(version, 2);
    let requests = server.requests();
    assert!(requests[0].body.contains(r#""Overwrite":false"#));
    assert!(requests[0].body.contains(r#""Type":"String""#));
    assert!(requests[1].body.contains(r#""Overwrite":true"#));
}

#[tokio::test]
async fn a_parameter_that_is_an_image_says_so() {
    let (server, region) = region([
        Answer::json(r#"{"Version":4}"#),
        one(
            r#"{"Parameter":{"Name":"/a","Value":"ami-1","Version":4,"DataType":"aws:ec2:image","LastModifiedDate":WRITTEN}}"#,
        )
        .at("Sun, 01 Mar 2026 10:22:30 GMT"),
    ])
    .await;
    let image = ImageId::from("ami-1");
    let write = ParameterWrite::Overwrite;
    let version = region.put_image_parameter("/a", &image, write).await;
    assert_eq!(version.unwrap(), 4);
    let kept = region.parameter("/a").await.unwrap().unwrap();
    assert_eq!(kept.kind, ParameterKind::Image);
    assert_eq!(
        server.requests()[0].body,
        r#"{"Name":"/a","Value":"ami-1","Type":"String","Overwrite":true,"DataType":"aws:ec2:image"}"#
    );
}

#[tokio::test]
async fn deleting_twice_is_done() {
    let (server, region) = region([
        Answer::json("{}"),
        Answer::json_error("ParameterNotFound", "gone"),
    ])
    .await;
    region.delete_parameter("/qib/a").await.unwrap();
    region.delete_parameter("/qib/a").await.unwrap();
    assert_eq!(server.requests()[0].body, r#"{"Name":"/qib/a"}"#);
}
