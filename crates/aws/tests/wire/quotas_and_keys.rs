//! Service Quotas and KMS.

use crate::region;
use crate::server::{Answer, Request};
use cloud::{ErrorKind, Verdict};

#[track_caller]
fn assert_asked(request: &Request, target: &str, body: &str) {
    assert_eq!(request.header("x-amz-target"), Some(target));
    assert_eq!(request.body, body);
}

fn quota(value: &str) -> Answer {
    Answer::json(format!(
        "{{\"Quota\":{{\"QuotaCode\":\"L-1\",\"QuotaName\":\"EC2-VPC Elastic IPs\"{value}}}}}"
    ))
}

#[tokio::test]
async fn a_quota_is_the_accounts_own_else_the_default_else_none() {
    let none = || Answer::json_error("NoSuchResourceException", "none");
    let (server, region) = region([
        quota(",\"Value\":20.0"),
        none(),
        quota(",\"Value\":5.0"),
        none(),
        none(),
        quota(""),
    ])
    .await;
    let own = region.quota("ec2", "L-1").await.unwrap().unwrap();
    assert_eq!(
        (own.name.as_str(), own.value),
        ("EC2-VPC Elastic IPs", 20.0)
    );
    let default = region.quota("ec2", "L-1").await.unwrap().unwrap();
    assert_eq!(default.value, 5.0);
    assert_eq!(region.quota("ec2", "L-2").await.unwrap(), None);
    let error = region.quota("ec2", "L-1").await.unwrap_err();
    assert!(error.message.contains("Value"), "{error}");
    let requests = server.requests();
    let body = r#"{"ServiceCode":"ec2","QuotaCode":"L-1"}"#;
    assert_asked(&requests[0], "ServiceQuotasV20190624.GetServiceQuota", body);
    let default = "ServiceQuotasV20190624.GetAWSDefaultServiceQuota";
    assert_asked(&requests[2], default, body);
    requests[0].assert_signed_for("us-east-2", "servicequotas");
}

#[tokio::test]
async fn a_quota_that_may_not_be_read_is_an_error() {
    let (_server, region) = region([Answer::json_error("AccessDeniedException", "no")]).await;
    let error = region.quota("ec2", "L-1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    assert_eq!(error.resource.as_deref(), Some("L-1"));
}

const ARN: &str = "arn:aws:kms:us-east-2:123456789012:key/1";

fn key(state: &str) -> Answer {
    Answer::json(format!(
        "{{\"KeyMetadata\":{{\"KeyId\":\"1\",\"Arn\":\"{ARN}\",\"KeyState\":\"{state}\"}}}}"
    ))
}

#[tokio::test]
async fn a_key_is_usable_disabled_or_missing() {
    let (server, region) = region([
        key("Enabled"),
        key("PendingDeletion"),
        Answer::json_error("NotFoundException", "Alias is not found"),
        Answer::json_error("AccessDeniedException", "no"),
    ])
    .await;
    let usable = region.kms_key("alias/images").await.unwrap().unwrap();
    assert_eq!((usable.arn.as_str(), usable.enabled), (ARN, true));
    let dying = region.kms_key("alias/images").await.unwrap().unwrap();
    assert!(!dying.enabled);
    assert_eq!(region.kms_key("alias/images").await.unwrap(), None);
    let error = region.kms_key("alias/images").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    let request = &server.requests()[0];
    assert_asked(
        request,
        "TrentService.DescribeKey",
        r#"{"KeyId":"alias/images"}"#,
    );
    request.assert_signed_for("us-east-2", "kms");
}

#[tokio::test]
async fn a_grant_is_asked_about_for_the_caller_and_never_made() {
    let caller = || {
        Answer::xml(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/b</Arn>\
             <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        )
    };
    let (server, region) = region([
        caller(),
        Answer::json_error("DryRunOperationException", "would have succeeded"),
        caller(),
        Answer::json_error(
            "AccessDeniedException",
            "not authorized to perform: kms:CreateGrant",
        ),
        caller(),
        Answer::json_error("NotFoundException", "no such key"),
        caller(),
        Answer::json(r#"{"GrantId":"g","GrantToken":"t"}"#),
    ])
    .await;
    assert_eq!(region.kms_grant(ARN).await.unwrap(), Verdict::Allowed);
    let Verdict::Denied(words) = region.kms_grant(ARN).await.unwrap() else {
        panic!()
    };
    assert!(words.contains("kms:CreateGrant"), "{words}");
    assert!(words.contains("kms:GrantIsForAWSResource"), "{words}");
    let missing = region.kms_grant(ARN).await.unwrap();
    assert!(matches!(missing, Verdict::Unknown(_)), "{missing:?}");
    let made = region.kms_grant(ARN).await.unwrap_err();
    assert!(made.message.contains("carried the call out"), "{made}");
    let request = &server.requests()[1];
    assert_eq!(
        request.header("x-amz-target"),
        Some("TrentService.CreateGrant")
    );
    for part in [
        "\"DryRun\":true",
        "\"GranteePrincipal\":\"arn:aws:iam::123456789012:user/b\"",
        "GenerateDataKeyWithoutPlaintext",
    ] {
        assert!(request.body.contains(part), "{}", request.body);
    }
}
