//! AssumeRole.

use super::chain::AssumedRole;
use crate::classify::failed;
use crate::mfa::{Codes, NoCode};
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use cloud::CloudError;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a role gives no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoleFailure {
    #[error("the role {role} of the profile {profile:?} could not be assumed")]
    Refused {
        role: String,
        profile: String,
        source: Box<CloudError>,
    },
    #[error("the role {role} of the profile {profile:?} could not be assumed")]
    NoCode {
        role: String,
        profile: String,
        source: NoCode,
    },
    #[error("STS gave no credentials for the role {role} of the profile {profile:?}")]
    Nothing { role: String, profile: String },
}

/// Assumes `role` with what `source` gives. The call goes to the region that the run works in: sessions of the global
/// endpoint are not good in regions that an account has to opt in to.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html>
pub(super) async fn assume(
    settings: &SdkConfig,
    source: Credentials,
    role: &AssumedRole,
    codes: &Codes,
) -> Result<Credentials, RoleFailure> {
    const CALL: &str = "AssumeRole";
    let (arn, profile) = (role.role_arn.clone(), role.profile.clone());
    let code = match &role.mfa_serial {
        None => None,
        Some(device) => match codes.next(device).await {
            Ok(code) => Some(code),
            Err(source) => {
                let role = arn;
                return Err(RoleFailure::NoCode {
                    role,
                    profile,
                    source,
                });
            }
        },
    };
    let mut config = settings
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(source));
    if code.is_some() {
        // A code serves once: after a lost answer it is spent, and the repeat would be refused for it.
        config = config.retry_config(RetryConfig::disabled());
    }
    let answer = aws_sdk_sts::Client::new(&config.build())
        .assume_role()
        .role_arn(&role.role_arn)
        .role_session_name(session_name(role))
        .set_external_id(role.external_id.clone())
        .set_duration_seconds(role.duration)
        .set_serial_number(role.mfa_serial.clone())
        .set_token_code(code)
        .send()
        .await
        .map_err(failed(CALL));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return Err(RoleFailure::Refused {
                role: arn,
                profile,
                source: Box::new(error),
            });
        }
    };
    let Some(given) = answer.credentials() else {
        return Err(RoleFailure::Nothing { role: arn, profile });
    };
    Ok(Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        SystemTime::try_from(*given.expiration()).ok(),
        CALL,
    ))
}

/// What the account's log shows: which tool it was, and since when.
fn session_name(role: &AssumedRole) -> String {
    role.session_name.clone().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        format!("qib-{}", since.unwrap_or_default().as_secs())
    })
}
