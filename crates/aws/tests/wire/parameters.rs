//! SSM parameters.

use crate::region;
use crate::server::Answer;
use cloud::{ErrorKind, ParameterWrite};

#[tokio::test]
async fn a_parameter_is_read_and_a_missing_one_is_none() {
    let (server, region) = region([
        Answer::json(r#"{"Parameter":{"Name":"/qib/a","Value":"v","Version":3,"Type":"String"}}"#),
        Answer::ssm_error("ParameterNotFound", "no such parameter"),
    ])
    .await;
    let parameter = region.parameter("/qib/a").await.unwrap().unwrap();
    assert_eq!((parameter.value.as_str(), parameter.version), ("v", 3));
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
async fn one_level_of_parameters_is_read_page_by_page() {
    let (server, region) = region([
        Answer::json(
            r#"{"Parameters":[{"Name":"/qib/a","Value":"1","Version":1}],"NextToken":"t"}"#,
        ),
        Answer::json(r#"{"Parameters":[{"Name":"/qib/b","Value":"2","Version":1}]}"#),
    ])
    .await;
    let found = region.parameters_below("/qib").await.unwrap();
    let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["/qib/a", "/qib/b"]);
    let requests = server.requests();
    assert!(requests[0].body.contains(r#""Recursive":false"#));
    assert!(requests[0].body.contains(r#""Path":"/qib""#));
    assert!(requests[1].body.contains(r#""NextToken":"t""#));
}

#[tokio::test]
async fn only_an_overwrite_replaces_a_value() {
    let (server, region) = region([
        Answer::ssm_error("ParameterAlreadyExists", "it exists"),
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
async fn deleting_twice_is_done() {
    let (server, region) = region([
        Answer::json("{}"),
        Answer::ssm_error("ParameterNotFound", "gone"),
    ])
    .await;
    region.delete_parameter("/qib/a").await.unwrap();
    region.delete_parameter("/qib/a").await.unwrap();
    assert_eq!(server.requests()[0].body, r#"{"Name":"/qib/a"}"#);
}
