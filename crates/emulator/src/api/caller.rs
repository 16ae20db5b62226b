//! Who sends a request.

use super::session::{self, BadToken, SessionCredentials};
use crate::account::{ACCOUNT_ID, Account};
use crate::ids::InstanceId;
use jiff::Timestamp;
use std::time::Duration;

/// Whoever signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The account's user with the key of its own: may do everything, unless a policy of its own says what.
    Account,
    /// A guest with its instance profile's credentials: may do what the profile's role may.
    Guest {
        /// The instance's account.
        account: String,
        /// The instance.
        instance: InstanceId,
        /// The role's name.
        role: String,
    },
    /// The account's user with temporary credentials of GetSessionToken: may do what the user may.
    Session {
        /// Whether a code of the user's device was given for them.
        mfa: bool,
    },
    /// Somebody with temporary credentials of AssumeRole: may do what the role may.
    Role {
        /// The role's account.
        account: String,
        /// The role's name.
        role: String,
        /// The session's name.
        session: String,
        /// Whether a code of the user's device was given for them.
        mfa: bool,
    },
}

/// How long an instance profile's credentials last.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// The name of the account's user.
pub const USER: &str = "local";

/// The ARN of the account's user.
pub fn user_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT_ID}:user/{USER}")
}

impl Caller {
    /// The account it acts in.
    pub fn account(&self) -> &str {
        match self {
            Self::Account | Self::Session { .. } => ACCOUNT_ID,
            Self::Guest { account, .. } | Self::Role { account, .. } => account,
        }
    }

    /// The role whose policies hold for it; none for the account's user.
    pub fn role(&self) -> Option<&str> {
        match self {
            Self::Account | Self::Session { .. } => None,
            Self::Guest { role, .. } | Self::Role { role, .. } => Some(role),
        }
    }

    /// Whether a code of the user's device was given; none with a key that is nobody's session.
    pub fn mfa(&self) -> Option<bool> {
        match self {
            Self::Account | Self::Guest { .. } => None,
            Self::Session { mfa } | Self::Role { mfa, .. } => Some(*mfa),
        }
    }

    /// Its ARN, as GetCallerIdentity gives it.
    pub fn arn(&self) -> String {
        match self {
            Self::Account | Self::Session { .. } => user_arn(),
            Self::Role {
                account,
                role,
                session,
                ..
            } => format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            Self::Guest {
                account,
                instance,
                role,
            } => format!("arn:aws:sts::{account}:assumed-role/{role}/{instance}"),
        }
    }

    /// Its user id, as GetCallerIdentity gives it.
    pub fn user_id(&self, known: &Account) -> String {
        let of = |account: &str, role: &str, session: &str| {
            let id = known.role(account, role).map_or("AROA", |r| r.id.as_str());
            format!("{id}:{session}")
        };
        match self {
            Self::Account | Self::Session { .. } => "AIDALOCALEC2USER".to_owned(),
            Self::Role {
                account,
                role,
                session,
                ..
            } => of(account, role, session),
            Self::Guest {
                account,
                instance,
                role,
            } => of(account, role, instance.as_str()),
        }
    }
}

/// The credentials that an instance's metadata service gives out at `now`. The same within an hour, so that a guest can
/// ask as often as it likes; derived, so that nothing need be remembered.
pub fn session_credentials(
    account: &Account,
    instance: &InstanceId,
    profile: &str,
    now: Timestamp,
) -> SessionCredentials {
    let hour = now.as_second() - now.as_second().rem_euclid(3600);
    let issued = Timestamp::from_second(hour).unwrap_or(now);
    let expires = issued.checked_add(LIFETIME).unwrap_or(now);
    session::derive(account, &body(instance, profile), issued, expires)
}

fn body(instance: &InstanceId, profile: &str) -> String {
    format!("{instance}|{profile}")
}

/// The caller that an instance profile's session token is for, if the holder still has the profile and the profile a role.
/// `body` is the token's.
///
/// # Errors
/// [`BadToken::Unknown`].
pub fn guest(account: &Account, body: &str) -> Result<Caller, BadToken> {
    let find = || {
        let (instance, profile) = body.split_once('|')?;
        let instance = InstanceId::parse(instance).ok()?;
        let (region, holder) = account.find_instance(&instance)?;
        let role = account.iam.get(&region.owner)?.role_of_profile(profile)?;
        let holds =
            holder.holds_disk() && holder.profile.as_ref().is_some_and(|p| p.name == profile);
        holds.then(|| Caller::Guest {
            account: region.owner.clone(),
            instance,
            role: role.name.clone(),
        })
    };
    find().ok_or(BadToken::Unknown)
}
