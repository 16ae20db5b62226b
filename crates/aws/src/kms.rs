//! KMS: DescribeKey, and CreateGrant with `DryRun`.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::dry_run::judged;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{GrantOperation, KeyState};
use cloud::port::Result;
use cloud::{ErrorKind, KmsKey, Verdict};

pub(crate) async fn describe(kms: &Client, key: &str) -> Result<Option<KmsKey>> {
    const CALL: &str = "DescribeKey";
    let answer = match kms
        .describe_key()
        .key_id(key)
        .send()
        .await
        .map_err(failed(CALL))
    {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.about(key)),
    };
    let read = || {
        let key = required(answer.key_metadata(), "KeyMetadata")?;
        Ok(KmsKey {
            arn: required(key.arn(), "Arn")?.to_owned(),
            enabled: key.key_state() == Some(&KeyState::Enabled),
        })
    };
    read()
        .map(Some)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(key))
}

/// Asks for the grant that EBS asks for in the caller's name when it makes or attaches an encrypted volume, for the caller
/// itself: a service cannot be named. A policy that allows grants with `kms:GrantIsForAWSResource` only, as those that AWS
/// suggests do, refuses this question and lets EBS through, so a refusal says that.
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html#ebs-encryption-permissions>
pub(crate) async fn grant(kms: &Client, key: &str, caller: &str) -> Result<Verdict> {
    const CALL: &str = "CreateGrant";
    let answer = kms
        .create_grant()
        .key_id(key)
        .grantee_principal(caller)
        .operations(GrantOperation::Decrypt)
        .operations(GrantOperation::GenerateDataKeyWithoutPlaintext)
        .dry_run(true)
        .send()
        .await;
    match judged(CALL, answer) {
        Ok(Verdict::Denied(words)) => Ok(Verdict::Denied(format!(
            "{words}. A policy with the condition kms:GrantIsForAWSResource refuses this question too, though EBS may then \
             use the key"
        ))),
        Ok(verdict) => Ok(verdict),
        Err(error) => Err(error.about(key)),
    }
}
