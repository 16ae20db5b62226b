//! Parameters, tags and key pairs.

// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::json;
use support::LocalEc2;

#[tokio::test(flavor = "multi_thread")]
async fn parameters() {
    let ec2 = LocalEc2::new();
    let put = |name: &str, value: &str, overwrite: bool| {
        ec2.ssm(
            "PutParameter",
            &json!({ "Name": name, "Value": value, "Type": "String", "Overwrite": overwrite }),
        )
    };
    assert!(
        put("/images/a", "1", false)
            .ok()
            .body
            .contains("\"Version\":1")
    );
    assert_eq!(
        put("/images/a", "2", false).code(),
        "ParameterAlreadyExists"
    );
    assert!(
        put("/images/a", "2", true)
            .ok()
            .body
            .contains("\"Version\":2")
    );
    put("/images/deep/b", "3", false).ok();
    assert_eq!(put("aws-thing", "1", false).code(), "AccessDeniedException");
    assert_eq!(
        put("/images/long", &"x".repeat(4097), false).code(),
        "ValidationException"
    );
    let by_path = |recursive: bool| {
        let answer = ec2
            .ssm(
                "GetParametersByPath",
                &json!({ "Path": "/images", "Recursive": recursive }),
            )
            .ok();
        let value: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        value["Parameters"].as_array().unwrap().len()
    };
    assert_eq!((by_path(false), by_path(true)), (1, 2));
    assert_eq!(
        ec2.in_region("eu-west-1")
            .ssm("GetParameter", &json!({ "Name": "/images/a" }))
            .code(),
        "ParameterNotFound"
    );
    ec2.ssm("DeleteParameter", &json!({ "Name": "/images/a" }))
        .ok();
    assert_eq!(
        ec2.ssm("DeleteParameter", &json!({ "Name": "/images/a" }))
            .code(),
        "ParameterNotFound"
    );
    assert_eq!(
        ec2.ssm("GetParameter", &json!({ "Name": "a", "Colour": "red" }))
            .code(),
        "ValidationException"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_on_what_is_there() {
    let ec2 = LocalEc2::new();
    let tag = |id: &str, key: &str| {
        ec2.ec2(
            "CreateTags",
            &[
                ("ResourceId.1", id),
                ("Tag.1.Key", key),
                ("Tag.1.Value", "v"),
            ],
        )
    };
    tag("eipalloc-0local", "k").ok();
    assert_eq!(
        tag("eipalloc-0local", "aws:k").code(),
        "InvalidParameterValue"
    );
    assert_eq!(
        tag("i-0123456789abcdef0", "k").code(),
        "InvalidInstanceID.NotFound"
    );
    let shown = ec2
        .ec2(
            "DescribeTags",
            &[
                ("Filter.1.Name", "resource-type"),
                ("Filter.1.Value.1", "elastic-ip"),
            ],
        )
        .ok();
    assert_eq!(shown.texts("item/key"), ["Name", "k"]);
    ec2.ec2(
        "DeleteTags",
        &[
            ("ResourceId.1", "eipalloc-0local"),
            ("Tag.1.Key", "k"),
            ("Tag.1.Value", "other"),
        ],
    )
    .ok();
    assert_eq!(
        ec2.ec2(
            "DescribeTags",
            &[("Filter.1.Name", "key"), ("Filter.1.Value.1", "k")]
        )
        .texts("key")
        .len(),
        1
    );
    ec2.ec2(
        "DeleteTags",
        &[("ResourceId.1", "eipalloc-0local"), ("Tag.1.Key", "k")],
    )
    .ok();
    assert!(
        ec2.ec2(
            "DescribeTags",
            &[("Filter.1.Name", "key"), ("Filter.1.Value.1", "k")]
        )
        .texts("key")
        .is_empty()
    );
}

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@example";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= me@example";

#[tokio::test(flavor = "multi_thread")]
async fn key_pairs() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let ec2 = LocalEc2::new();
    let import = |name: &str, key: &str| {
        ec2.ec2(
            "ImportKeyPair",
            &[
                ("KeyName", name),
                ("PublicKeyMaterial", &BASE64_STANDARD.encode(key)),
            ],
        )
    };
    let imported = import("k", ED25519).ok();
    assert!(imported.text("keyFingerprint").unwrap().ends_with('='));
    assert_eq!(import("k", ED25519).code(), "InvalidKeyPair.Duplicate");
    assert_eq!(
        import("e", ECDSA).code(),
        "InvalidKey.Format",
        "EC2 takes RSA and ED25519 only"
    );
    assert_eq!(import("x", "no key").code(), "InvalidKey.Format");
    let id = ec2.running(&[("KeyName", "k")]).await;
    let token = ec2.guests.imds_token(&id);
    let (_, key) = ec2.guests.imds(
        &id,
        "GET",
        "/latest/meta-data/public-keys/0/openssh-key",
        &[("X-aws-ec2-metadata-token", &token)],
    );
    assert_eq!(
        key.split(' ').take(2).collect::<Vec<_>>(),
        ED25519.split(' ').take(2).collect::<Vec<_>>()
    );
    ec2.ec2("DeleteKeyPair", &[("KeyName", "k")]).ok();
    ec2.ec2("DeleteKeyPair", &[("KeyName", "k")]).ok();
    assert_eq!(
        ec2.ec2("DescribeKeyPairs", &[("KeyName.1", "k")]).code(),
        "InvalidKeyPair.NotFound"
    );
    let made = ec2
        .ec2(
            "CreateKeyPair",
            &[("KeyName", "made"), ("KeyType", "ed25519")],
        )
        .ok();
    assert!(
        made.text("keyMaterial")
            .unwrap()
            .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
    );
}
