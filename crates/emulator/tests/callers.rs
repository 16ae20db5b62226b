//! Who may do what: signatures, instance profiles, the metadata service.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::api::protocol::HttpRequest;
use serde_json::json;
use support::{Credentials, LocalEc2, PROFILE, credentials_of};

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
    assert_eq!(ec2.sts("GetFederationToken").code(), "InvalidAction");
    assert_eq!(
        ec2.in_region("moon-west-1")
            .ec2("DescribeRegions", &[])
            .code(),
        "AuthFailure"
    );
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
        "AccessDeniedException"
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
