//! Who sends a request, and what they may do.

use crate::account::iam::{self, InstanceProfile};
use crate::account::{ACCOUNT_ID, Account};
use crate::api::error::ApiError;
use crate::api::sigv4::hmac;
use crate::ids::InstanceId;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jiff::Timestamp;
use std::time::Duration;

/// Whoever signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The account's own key: may do everything.
    Account,
    /// A guest with its instance profile's credentials: may do what the role allows.
    Guest {
        /// The instance.
        instance: InstanceId,
        /// Its profile.
        profile: &'static InstanceProfile,
    },
}

/// Temporary credentials of an instance profile.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCredentials {
    /// `ASIA…`.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// When they were made.
    pub issued: Timestamp,
    /// When they end.
    pub expires: Timestamp,
}

/// How long an instance profile's credentials last.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

impl Caller {
    /// Its ARN, as GetCallerIdentity gives it.
    pub fn arn(&self) -> String {
        match self {
            Self::Account => format!("arn:aws:iam::{ACCOUNT_ID}:user/local"),
            Self::Guest { instance, profile } => format!(
                "arn:aws:sts::{ACCOUNT_ID}:assumed-role/{}/{instance}",
                profile.name
            ),
        }
    }

    /// Its user id, as GetCallerIdentity gives it.
    pub fn user_id(&self) -> String {
        match self {
            Self::Account => "AIDALOCALEC2USER".to_owned(),
            Self::Guest { instance, profile } => {
                format!(
                    "{}:{instance}",
                    profile.id(ACCOUNT_ID).replacen("AIPA", "AROA", 1)
                )
            }
        }
    }

    /// Refuses what the caller's role does not allow.
    ///
    /// # Errors
    /// `UnauthorizedOperation` (HTTP 403), worded as EC2 does, see
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>.
    pub fn check_may(&self, action: &str) -> Result<(), ApiError> {
        match self {
            Self::Account => Ok(()),
            Self::Guest { profile, .. } if profile.may.contains(&action) => Ok(()),
            Self::Guest { .. } => Err(ApiError::new(
                "UnauthorizedOperation",
                format!(
                    "You are not authorized to perform this operation. User: {} is not authorized to perform: {action} because no \
                     identity-based policy allows the {action} action",
                    self.arn()
                ),
            )
            .with_status(403)),
        }
    }
}

/// The credentials that an instance's metadata service gives out at `now`. The same within an hour, so that a guest can
/// ask as often as it likes; derived, so that nothing need be remembered.
pub fn session_credentials(
    account: &Account,
    instance: &InstanceId,
    profile: &InstanceProfile,
    now: Timestamp,
) -> SessionCredentials {
    let hour = now.as_second() - now.as_second().rem_euclid(3600);
    let issued = Timestamp::from_second(hour).unwrap_or(now);
    let expires = issued.checked_add(LIFETIME).unwrap_or(now);
    derive(account, instance, profile.name, issued, expires)
}

/// The credentials that a session token belongs to, and who holds them.
///
/// # Errors
/// If the token was not made here or has ended (`None`: EC2's codes for that depend on the protocol).
pub fn session_of_token(
    account: &Account,
    token: &str,
    now: Timestamp,
) -> Option<(SessionCredentials, Caller)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.split('|');
    let (instance, profile, issued, expires) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let instance = InstanceId::parse(instance).ok()?;
    let profile = iam::profile(profile)?;
    let issued = Timestamp::from_second(issued.parse().ok()?).ok()?;
    let expires = Timestamp::from_second(expires.parse().ok()?).ok()?;
    let credentials = derive(account, &instance, profile.name, issued, expires);
    let (_, holder) = account.find_instance(&instance)?;
    let holds = holder.holds_disk()
        && holder
            .profile
            .as_ref()
            .is_some_and(|p| p.name == profile.name);
    (credentials.token == token && now < expires && holds)
        .then_some((credentials, Caller::Guest { instance, profile }))
}

fn derive(
    account: &Account,
    instance: &InstanceId,
    profile: &str,
    issued: Timestamp,
    expires: Timestamp,
) -> SessionCredentials {
    let root = account.key.session_secret.as_bytes();
    let body = format!(
        "{instance}|{profile}|{}|{}",
        issued.as_second(),
        expires.as_second()
    );
    let seal = hmac(root, format!("token|{body}").as_bytes());
    let token = BASE64_URL_SAFE_NO_PAD.encode(format!("{body}|{}", hex::encode(seal)));
    let id = hex::encode_upper(&hmac(root, format!("id|{body}").as_bytes())[..8]);
    let secret = hex::encode(&hmac(root, format!("secret|{body}").as_bytes())[..20]);
    SessionCredentials {
        access_key: format!("ASIA{id}"),
        secret,
        token,
        issued,
        expires,
    }
}
