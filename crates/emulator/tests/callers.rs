//! Who may do what: signatures, instance profiles, the metadata service, faults, throttling, persistence.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::api::protocol::HttpRequest;
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::request_log;
use serde_json::json;
use std::sync::Arc;
use support::{Credentials, LocalEc2, MemoryGuests};

const PROFILE: &str = "ec2-instance-profile-for-quay-image-builder";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_in_each_services_own_words() {
    let ec2 = LocalEc2::new();
    let wrong = ec2.as_caller(Credentials {
        secret: "wrong".into(),
        ..ec2.key.clone()
    });
    let unknown = ec2.as_caller(Credentials {
        access_key: "AKIAAAAAAAAAAAAAAAAA".into(),
        ..ec2.key.clone()
    });
    for (caller, codes) in [
        (
            wrong,
            [
                "AuthFailure",
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
            ],
        ),
        (
            unknown,
            [
                "AuthFailure",
                "InvalidClientTokenId",
                "UnrecognizedClientException",
            ],
        ),
    ] {
        let ssm = caller.ssm("GetParameter", &json!({ "Name": "a" }));
        let all = [
            caller.ec2("DescribeRegions", &[]).code(),
            caller.sts("GetCallerIdentity").code(),
            ssm.code(),
        ];
        assert_eq!(all, codes);
    }
    assert_eq!(
        ec2.sts("GetCallerIdentity").ok().text("Account").unwrap(),
        "123456789012"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_request_and_one_without_a_signature_are_refused() {
    let ec2 = LocalEc2::new();
    let body = b"Action=DescribeRegions&Version=2016-11-15".to_vec();
    let headers = vec![("host".to_owned(), "x".to_owned())];
    let mut request = HttpRequest {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers,
        body,
    };
    assert_eq!(ec2.raw(&request).code(), "MissingAuthenticationToken");
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(6);
    ec2.key.sign(&mut request, "us-east-2", "ec2", old);
    assert_eq!(ec2.raw(&request).code(), "RequestExpired");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_actions_and_versions() {
    let ec2 = LocalEc2::new();
    assert_eq!(ec2.ec2("DescribeUnicorns", &[]).code(), "InvalidAction");
    let old = ec2.send(
        "ec2",
        "application/x-www-form-urlencoded",
        None,
        "Action=DescribeRegions&Version=2006-06-26".into(),
    );
    assert_eq!(old.code(), "InvalidAction");
    assert_eq!(
        ec2.ssm("SendCommand", &json!({})).code(),
        "UnknownOperationException"
    );
    assert_eq!(ec2.sts("AssumeRole").code(), "InvalidAction");
    assert_eq!(
        ec2.in_region("moon-west-1")
            .ec2("DescribeRegions", &[])
            .code(),
        "AuthFailure"
    );
}

/// A guest's own credentials, as its metadata service gives them.
fn credentials_of(ec2: &LocalEc2, id: &str) -> Credentials {
    let token = ec2.guests.imds_token(id);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    let (status, body) = ec2.guests.imds(
        id,
        "GET",
        &format!("/latest/meta-data/iam/security-credentials/{PROFILE}"),
        &header,
    );
    assert_eq!(status, 200);
    let found: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    Credentials {
        access_key: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
        token: Some(text("Token")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_may_do_what_its_role_allows_and_no_more() {
    let ec2 = LocalEc2::new();
    let id = ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await;
    let guest = ec2.as_caller(credentials_of(&ec2, &id));
    guest.ec2("DescribeAddresses", &[]).ok();
    guest
        .ec2(
            "AssociateAddress",
            &[
                ("AllocationId", "eipalloc-0local"),
                ("InstanceId", &id),
                ("AllowReassociation", "false"),
            ],
        )
        .ok();
    let refused = guest.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(
        (refused.code().as_str(), refused.status),
        ("UnauthorizedOperation", 403)
    );
    assert!(
        refused
            .body
            .contains(&format!("assumed-role/{PROFILE}/{id}")),
        "{}",
        refused.body
    );
    assert!(
        guest
            .sts("GetCallerIdentity")
            .ok()
            .text("Arn")
            .unwrap()
            .ends_with(&id)
    );
    assert_eq!(
        guest.ssm("GetParameter", &json!({ "Name": "a" })).code(),
        "UnauthorizedOperation"
    );
    let forged = Credentials {
        token: Some("bWFkZSB1cA".into()),
        ..guest.key.clone()
    };
    assert_eq!(
        ec2.as_caller(forged).ec2("DescribeAddresses", &[]).code(),
        "AuthFailure"
    );
    ec2.ec2("TerminateInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "terminated").await;
    assert_eq!(
        guest.ec2("DescribeAddresses", &[]).code(),
        "AuthFailure",
        "the credentials end with the instance"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service() {
    let ec2 = LocalEc2::new();
    let id = ec2
        .running(&[
            ("MetadataOptions.HttpTokens", "required"),
            ("UserData", "IyEvYmluL3NoCg=="),
            ("IamInstanceProfile.Name", PROFILE),
        ])
        .await;
    let get = |path: &str, headers: &[(&str, &str)]| ec2.guests.imds(&id, "GET", path, headers);
    assert_eq!(
        get("/latest/meta-data/instance-id", &[]).0,
        401,
        "version 1 is refused"
    );
    assert_eq!(
        get(
            "/latest/meta-data/instance-id",
            &[("X-aws-ec2-metadata-token", "made up")]
        )
        .0,
        401
    );
    assert_eq!(
        ec2.guests.imds(&id, "PUT", "/latest/api/token", &[]).0,
        400,
        "a token needs a lifetime"
    );
    for ttl in ["0", "21601", "x"] {
        assert_eq!(
            ec2.guests
                .imds(
                    &id,
                    "PUT",
                    "/latest/api/token",
                    &[("X-aws-ec2-metadata-token-ttl-seconds", ttl)]
                )
                .0,
            400
        );
    }
    let forwarded = [
        ("X-aws-ec2-metadata-token-ttl-seconds", "60"),
        ("X-Forwarded-For", "10.0.0.1"),
    ];
    assert_eq!(
        ec2.guests
            .imds(&id, "PUT", "/latest/api/token", &forwarded)
            .0,
        403
    );
    let token = ec2.guests.imds_token(&id);
    let with = |path: &str| get(path, &[("X-aws-ec2-metadata-token", &token)]);
    for version in [
        "latest",
        "2009-04-04",
        "2016-09-02",
        "2018-09-24",
        "2021-03-23",
    ] {
        assert_eq!(
            with(&format!("/{version}/meta-data/instance-id")),
            (200, id.clone())
        );
    }
    assert_eq!(with("/2031-01-01/meta-data/instance-id").0, 404);
    assert_eq!(with("/latest/user-data"), (200, "#!/bin/sh\n".to_owned()));
    assert_eq!(
        with("/latest/meta-data/public-keys/").0,
        404,
        "launched without a key"
    );
    assert!(with("/latest/meta-data/").1.contains("network/"));
    assert_eq!(with("/latest/meta-data/placement/region").1, "us-east-2");
    let mac = with("/latest/meta-data/mac").1;
    assert_eq!(
        with("/latest/meta-data/network/interfaces/macs/").1,
        format!("{mac}/")
    );
    let document: serde_json::Value =
        serde_json::from_str(&with("/latest/dynamic/instance-identity/document").1).unwrap();
    assert_eq!(document["instanceId"], id.as_str());
    let random = with("/latest/meta-data/public-ipv4").1;
    ec2.ec2(
        "AssociateAddress",
        &[("AllocationId", "eipalloc-0local"), ("InstanceId", &id)],
    )
    .ok();
    let elastic = ec2.ec2("DescribeAddresses", &[]).text("publicIp").unwrap();
    assert_ne!(random, elastic);
    assert_eq!(with("/latest/meta-data/public-ipv4").1, elastic);
}

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

#[tokio::test(flavor = "multi_thread")]
async fn faults() {
    let ec2 = LocalEc2::new();
    let faults = |text: &str| std::fs::write(ec2.path().join("faults.json"), text).unwrap();
    faults(
        r#"{"actions":[{"action":"DescribeRegions","code":"InternalError","status":500,"times":1}]}"#,
    );
    assert_eq!(ec2.ec2("DescribeRegions", &[]).status, 500);
    ec2.ec2("DescribeRegions", &[]).ok();
    faults(r#"{"image_creation_fails":true}"#);
    let id = ec2.stopped().await;
    let image = ec2
        .ec2("CreateImage", &[("InstanceId", &id), ("Name", "doomed")])
        .ok()
        .text("imageId")
        .unwrap();
    let failed = |a: &support::Answer| a.text("imageState").as_deref() == Some("failed");
    ec2.until("DescribeImages", &[("ImageId.1", &image)], failed)
        .await;
    faults(r#"{"binding_refused":true}"#);
    let guest_id = ec2.running(&[("IamInstanceProfile.Name", PROFILE)]).await;
    let guest = ec2.as_caller(credentials_of(&ec2, &guest_id));
    let bind = [
        ("AllocationId", "eipalloc-0local"),
        ("InstanceId", guest_id.as_str()),
        ("AllowReassociation", "false"),
    ];
    assert_eq!(
        guest.ec2("AssociateAddress", &bind).code(),
        "UnauthorizedOperation"
    );
    ec2.ec2("AssociateAddress", &bind).ok();
    faults(r#"{"instance_never_boots":true}"#);
    let dead = ec2.running(&[]).await;
    assert!(ec2.guests.spec(&dead).is_none());
    faults(r#"{"instance_terminated_after_ms":1}"#);
    let image = ec2.image();
    let p = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    let lost = ec2.ec2("RunInstances", &p).ok().text("instanceId").unwrap();
    ec2.state(&lost, "terminated").await;
    faults(r#"{"misspelt":true}"#);
    assert_eq!(ec2.ec2("DescribeRegions", &[]).code(), "InternalError");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_refused() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Ec2Like,
        ..EmulatorConfig::default()
    });
    let refused = (0..150)
        .map(|_| ec2.ec2("DescribeRegions", &[]))
        .find(|a| a.status != 200)
        .unwrap();
    assert_eq!(
        (refused.code().as_str(), refused.status),
        ("RequestLimitExceeded", 503)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_there_after_a_restart_and_runs_again() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    let before = LocalEc2::over(
        dir.clone(),
        Arc::new(MemoryGuests::default()),
        config.clone(),
    );
    let running = before.running(&[]).await;
    let stopped = before.stopped().await;
    let image = before.image_of(&stopped, "kept image").await;
    before.engine.power_cut().await;
    let after = LocalEc2::over(dir, Arc::new(MemoryGuests::default()), config);
    assert!(after.guests.spec(&running).is_none());
    after.engine.resume();
    after
        .until("DescribeInstances", &[], |_| {
            after.guests.spec(&running).is_some()
        })
        .await;
    after.state(&running, "running").await;
    after.state(&stopped, "stopped").await;
    assert!(after.guests.spec(&stopped).is_none());
    let launched = after.running(&[("ImageId", &image)]).await;
    assert_eq!(after.guests.spec(&launched).unwrap().image_layers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_log_has_names_and_codes_and_no_values() {
    let ec2 = LocalEc2::new();
    ec2.ssm(
        "PutParameter",
        &json!({ "Name": "p", "Value": "very-secret", "Type": "SecureString" }),
    )
    .ok();
    ec2.ec2("DescribeUnicorns", &[("Colour", "very-secret")]);
    let records = request_log::read(ec2.path()).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].code.as_deref(), Some("InvalidAction"));
    assert_eq!(request_log::counts(&records)["ssm:PutParameter"], 1);
    let text = std::fs::read_to_string(ec2.path().join("requests.jsonl")).unwrap();
    assert!(!text.contains("very-secret") && !text.contains(&ec2.key.secret));
}
