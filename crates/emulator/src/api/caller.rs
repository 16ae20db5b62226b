//! Who sends a request, and what they may do.

use super::session::{self, BadToken, SessionCredentials};
use crate::account::iam::{self, InstanceProfile, May, Role};
use crate::account::{ACCOUNT_ID, Account};
use crate::api::error::ApiError;
use crate::ids::InstanceId;
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
    /// The account's user with temporary credentials of GetSessionToken: may do everything.
    Session,
    /// Somebody with temporary credentials of AssumeRole: may do what the role allows.
    Role {
        /// The role.
        role: Role,
        /// The session's name.
        session: String,
    },
}

/// How long an instance profile's credentials last.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

impl Caller {
    /// Its ARN, as GetCallerIdentity gives it.
    pub fn arn(&self) -> String {
        match self {
            Self::Account | Self::Session => format!("arn:aws:iam::{ACCOUNT_ID}:user/local"),
            Self::Role { role, session } => format!(
                "arn:aws:sts::{ACCOUNT_ID}:assumed-role/{}/{session}",
                role.name
            ),
            Self::Guest { instance, profile } => format!(
                "arn:aws:sts::{ACCOUNT_ID}:assumed-role/{}/{instance}",
                profile.name
            ),
        }
    }

    /// Its user id, as GetCallerIdentity gives it.
    pub fn user_id(&self) -> String {
        match self {
            Self::Account | Self::Session => "AIDALOCALEC2USER".to_owned(),
            Self::Role { role, session } => format!("{}:{session}", role.id(ACCOUNT_ID)),
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
        let may = match self {
            Self::Account | Self::Session => May::Everything,
            Self::Guest { profile, .. } => May::Only(profile.may),
            Self::Role { role, .. } => role.may,
        };
        match may {
            May::Everything => Ok(()),
            May::Only(actions) if actions.contains(&action) => Ok(()),
            May::Only(_) => Err(ApiError::new(
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
    session::derive(account, &body(instance, profile.name), issued, expires)
}

fn body(instance: &InstanceId, profile: &str) -> String {
    format!("{instance}|{profile}")
}

/// The caller that an instance profile's session token is for, if the holder still has the profile. `body` is the token's.
///
/// # Errors
/// [`BadToken::Unknown`].
pub fn guest(account: &Account, body: &str) -> Result<Caller, BadToken> {
    let find = || {
        let (instance, profile) = body.split_once('|')?;
        let (instance, profile) = (InstanceId::parse(instance).ok()?, iam::profile(profile)?);
        let (_, holder) = account.find_instance(&instance)?;
        let holds = holder.holds_disk()
            && holder
                .profile
                .as_ref()
                .is_some_and(|p| p.name == profile.name);
        holds.then_some(Caller::Guest { instance, profile })
    };
    find().ok_or(BadToken::Unknown)
}
