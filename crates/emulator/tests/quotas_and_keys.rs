//! Quotas that really hold, and keys.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::account::quotas::Values;
use emulator::config::{Delays, EmulatorConfig};
use serde_json::json;
use support::wire::Served;
use support::{Answer, LocalEc2};

fn with_quota(code: &str, value: f64) -> LocalEc2 {
    LocalEc2::with(EmulatorConfig {
        delays: Delays::None,
        quotas: Values::from([(code.to_owned(), value)]),
        ..EmulatorConfig::default()
    })
}

fn launch(ec2: &LocalEc2, more: &[(&str, &str)]) -> Answer {
    let image = ec2.image();
    let mut parameters = vec![("ImageId", image.as_str()), ("InstanceType", "m5.xlarge")];
    let counted = more.iter().any(|(name, _)| *name == "MaxCount");
    if !counted {
        parameters.extend([("MinCount", "1"), ("MaxCount", "1")]);
    }
    parameters.extend(more);
    ec2.ec2("RunInstances", &parameters)
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_processors_are_counted() {
    let ec2 = with_quota("L-1216C47A", 8.0);
    let said = ec2.quotas(
        "GetServiceQuota",
        &json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" }),
    );
    assert_eq!(said.json()["Quota"]["Value"], 8.0);
    assert_eq!(
        said.json()["Quota"]["QuotaName"],
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
    );
    let default = ec2.quotas(
        "GetAWSDefaultServiceQuota",
        &json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" }),
    );
    assert_eq!(default.json()["Quota"]["Value"], 5.0);
    let id = launch(&ec2, &[]).ok().text("instanceId").unwrap();
    ec2.state(&id, "running").await;
    // Four of eight are left: one more of them, and of two to three no two.
    let many = launch(&ec2, &[("MinCount", "2"), ("MaxCount", "3")]);
    assert_eq!(many.code(), "VcpuLimitExceeded");
    assert!(
        many.body.contains("current vCPU limit of 8"),
        "{}",
        many.body
    );
    let fewer = launch(&ec2, &[("MinCount", "1"), ("MaxCount", "3")]).ok();
    assert_eq!(fewer.texts("instanceId").len(), 1);
    assert_eq!(launch(&ec2, &[]).code(), "VcpuLimitExceeded");
    // Spot instances have a bucket of their own, and a stopped instance counts no more.
    launch(&ec2, &[("InstanceMarketOptions.MarketType", "spot")]).ok();
    ec2.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
    ec2.state(&id, "stopped").await;
    launch(&ec2, &[]).ok();
    let spot = with_quota("L-34B43A08", 3.0);
    let refused = launch(&spot, &[("InstanceMarketOptions.MarketType", "spot")]);
    assert_eq!(refused.code(), "MaxSpotInstanceCountExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_quotas_hold_in_ec2s_words() {
    let group = [("GroupName", "g"), ("GroupDescription", "d")];
    for (code, value, action, parameters, refusal) in [
        (
            "L-0263D0A3",
            1.0,
            "AllocateAddress",
            &[][..],
            "AddressLimitExceeded",
        ),
        (
            "L-E79EC296",
            1.0,
            "CreateSecurityGroup",
            &group[..],
            "SecurityGroupLimitExceeded",
        ),
        (
            "L-F678F1CE",
            1.0,
            "CreateVpc",
            &[("CidrBlock", "10.0.0.0/16")][..],
            "VpcLimitExceeded",
        ),
    ] {
        assert_eq!(
            with_quota(code, value).ec2(action, parameters).code(),
            refusal
        );
        with_quota(code, value + 1.0).ec2(action, parameters).ok();
    }
    let ec2 = with_quota("L-0EA8095F", 1.0);
    let id = ec2
        .ec2("CreateSecurityGroup", &group)
        .ok()
        .text("groupId")
        .unwrap();
    let rule = |port: &'static str| {
        ec2.ec2(
            "AuthorizeSecurityGroupIngress",
            &[
                ("GroupId", id.as_str()),
                ("IpPermissions.1.IpProtocol", "tcp"),
                ("IpPermissions.1.FromPort", port),
                ("IpPermissions.1.ToPort", port),
                ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
            ],
        )
    };
    rule("1").ok();
    assert_eq!(rule("2").code(), "RulesPerSecurityGroupLimitExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_listed_by_service_and_set_while_it_runs() {
    let served = Served::new(with_quota("L-0263D0A3", 1.0)).await;
    let ec2 = &served.ec2;
    let list = |service: &str| ec2.quotas("ListServiceQuotas", &json!({ "ServiceCode": service }));
    let codes: Vec<String> = list("ec2").json()["Quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|q| q["QuotaCode"].as_str().unwrap().to_owned())
        .collect();
    for code in ["L-1216C47A", "L-34B43A08", "L-0263D0A3"] {
        assert!(codes.iter().any(|c| c == code), "{code}");
    }
    assert!(list("ebs").body.contains("L-A84ABF80") && list("vpc").body.contains("L-E79EC296"));
    assert_eq!(list("moon").code(), "NoSuchResourceException");
    let other = json!({ "ServiceCode": "vpc", "QuotaCode": "L-1216C47A" });
    assert_eq!(
        ec2.quotas("GetServiceQuota", &other).code(),
        "NoSuchResourceException"
    );
    let unknown = json!({ "ServiceCode": "vpc", "Colour": "red" });
    assert_eq!(
        ec2.quotas("ListServiceQuotas", &unknown).code(),
        "ValidationException"
    );
    let put = |body: &'static str| {
        let (served, secret) = (&served, served.ec2.key.secret.clone());
        async move {
            let saw = served.control_at("/_local/quotas", "PUT", &secret, body);
            saw.await.status()
        }
    };
    assert_eq!(
        ec2.ec2("AllocateAddress", &[]).code(),
        "AddressLimitExceeded"
    );
    assert_eq!(put(r#"{"L-0":1}"#).await, 400);
    assert_eq!(put(r#"{"L-0263D0A3":2.5}"#).await, 400);
    assert_eq!(put(r#"{"L-0263D0A3":2}"#).await, 204);
    ec2.ec2("AllocateAddress", &[]).ok();
    let shown = json!({ "ServiceCode": "ec2", "QuotaCode": "L-0263D0A3" });
    assert_eq!(
        ec2.quotas("GetServiceQuota", &shown).json()["Quota"]["Value"],
        2.0
    );
}

#[tokio::test]
async fn keys_aliases_and_grants() {
    let ec2 = LocalEc2::new();
    let made = ec2.kms(
        "CreateKey",
        &json!({ "Description": "d", "Tags": [{ "TagKey": "k", "TagValue": "v" }] }),
    );
    let made = made.json()["KeyMetadata"].clone();
    let (id, arn) = (
        made["KeyId"].as_str().unwrap(),
        made["Arn"].as_str().unwrap(),
    );
    assert_eq!(
        (&made["KeyManager"], &made["KeyState"]),
        (&json!("CUSTOMER"), &json!("Enabled"))
    );
    ec2.kms(
        "CreateAlias",
        &json!({ "AliasName": "alias/mine", "TargetKeyId": id }),
    )
    .json();
    for name in [id, arn, "alias/mine"] {
        let shown = ec2.kms("DescribeKey", &json!({ "KeyId": name })).json();
        assert_eq!(shown["KeyMetadata"]["Arn"], arn, "{name}");
    }
    let aliases = ec2.kms("ListAliases", &json!({ "KeyId": arn })).json();
    assert_eq!(aliases["Aliases"][0]["AliasName"], "alias/mine");
    let managed = ec2
        .kms("DescribeKey", &json!({ "KeyId": "alias/aws/ebs" }))
        .json();
    assert_eq!(managed["KeyMetadata"]["KeyManager"], "AWS");
    let grant = |key: &str, dry: bool| {
        ec2.kms(
            "CreateGrant",
            &json!({ "KeyId": key, "GranteePrincipal": "arn:aws:iam::123456789012:role/packer", "Operations": ["Decrypt"], "DryRun": dry }),
        )
    };
    assert_eq!(grant(arn, true).code(), "DryRunOperationException");
    assert_eq!(grant(arn, false).code(), "UnsupportedOperationException");
    ec2.kms("DisableKey", &json!({ "KeyId": id })).json();
    assert_eq!(grant(arn, true).code(), "DisabledException");
    ec2.kms("EnableKey", &json!({ "KeyId": id })).json();
    assert_eq!(grant(arn, true).code(), "DryRunOperationException");
    for (action, body, code) in [
        (
            "DescribeKey",
            json!({ "KeyId": "alias/none" }),
            "NotFoundException",
        ),
        (
            "DescribeKey",
            json!({ "KeyId": "1234" }),
            "NotFoundException",
        ),
        (
            "CreateAlias",
            json!({ "AliasName": "alias/mine", "TargetKeyId": id }),
            "AlreadyExistsException",
        ),
        (
            "CreateAlias",
            json!({ "AliasName": "mine", "TargetKeyId": id }),
            "InvalidAliasNameException",
        ),
        (
            "CreateAlias",
            json!({ "AliasName": "alias/aws/x", "TargetKeyId": id }),
            "NotAuthorizedException",
        ),
        (
            "DisableKey",
            json!({ "KeyId": "alias/aws/ebs" }),
            "AccessDeniedException",
        ),
        (
            "CreateKey",
            json!({ "KeySpec": "RSA_2048" }),
            "UnsupportedOperationException",
        ),
        (
            "CreateKey",
            json!({ "Colour": "red" }),
            "ValidationException",
        ),
        ("Encrypt", json!({}), "UnknownOperationException"),
    ] {
        assert_eq!(ec2.kms(action, &body).code(), code, "{action} {body}");
    }
    let elsewhere = ec2
        .in_region("eu-west-1")
        .kms("DescribeKey", &json!({ "KeyId": arn }));
    assert_eq!(
        elsewhere.code(),
        "NotFoundException",
        "keys are a region's own"
    );
}
