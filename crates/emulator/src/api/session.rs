//! Temporary credentials: what they are made of, and whom a session token is for.
//!
//! Credentials are derived from the account's own secret and from what the token says, so that nothing need be
//! remembered: a token is `<whose>|<issued>|<expires>|<seal>`, with times in nanoseconds.
//!
//! ```text
//!  whose                        made by
//!  i-…|<profile>                          the metadata service of an instance
//!  session|<mfa>|<random>                 GetSessionToken
//!  role|<account>|<role>|<name>|<mfa>|<random>  AssumeRole
//! ```

use super::caller::{self, Caller};
use crate::account::Account;
use crate::api::sigv4::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jiff::Timestamp;

/// Temporary credentials.
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

/// A session token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It was not made here, or its holder is gone.
    Unknown,
    /// It has expired.
    Expired,
}

/// What decides whether a session has ended.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The time.
    pub now: Timestamp,
    /// Sessions of STS that were issued before have ended whatever they say.
    pub expired_before: Option<Timestamp>,
}

/// Credentials for the account's user. `mfa` says whether a code of the user's device was given.
pub fn for_user(
    account: &Account,
    mfa: bool,
    issued: Timestamp,
    expires: Timestamp,
) -> SessionCredentials {
    let whose = format!("session|{mfa}|{}", random());
    derive(account, &whose, issued, expires)
}

/// A session of a role.
#[derive(Clone, Copy, Debug)]
pub struct RoleSession<'a> {
    /// The role's account.
    pub account: &'a str,
    /// The role's name.
    pub role: &'a str,
    /// The session's name.
    pub name: &'a str,
    /// Whether a code of the user's device was given.
    pub mfa: bool,
}

/// Credentials for a role.
pub fn for_role(
    account: &Account,
    session: RoleSession<'_>,
    issued: Timestamp,
    expires: Timestamp,
) -> SessionCredentials {
    let RoleSession {
        account: own,
        role,
        name,
        mfa,
    } = session;
    let whose = format!("role|{own}|{role}|{name}|{mfa}|{}", random());
    derive(account, &whose, issued, expires)
}

fn random() -> String {
    let bytes: [u8; 8] = rand::random();
    hex::encode(bytes)
}

/// The credentials that a session token belongs to, and who holds them.
///
/// # Errors
/// If the token was not made here or has ended.
pub fn of_token(
    account: &Account,
    token: &str,
    expiry: Expiry,
) -> Result<(SessionCredentials, Caller), BadToken> {
    let (whose, issued, expires) = read(token).ok_or(BadToken::Unknown)?;
    let credentials = derive(account, &whose, issued, expires);
    if credentials.token != token {
        return Err(BadToken::Unknown);
    }
    let holder = match whose.split('|').collect::<Vec<_>>().as_slice() {
        ["session", mfa, _] => Caller::Session {
            mfa: *mfa == "true",
        },
        ["role", own, role, name, mfa, _] => {
            let role = account.role(own, role).ok_or(BadToken::Unknown)?;
            Caller::Role {
                account: (*own).to_owned(),
                role: role.name.clone(),
                session: (*name).to_owned(),
                mfa: *mfa == "true",
            }
        }
        _ => caller::guest(account, &whose)?,
    };
    // The metadata service gives out the same credentials for an hour, so they are not ended before their time.
    let ended = !matches!(holder, Caller::Guest { .. })
        && expiry.expired_before.is_some_and(|at| issued < at);
    match ended || expiry.now >= expires {
        true => Err(BadToken::Expired),
        false => Ok((credentials, holder)),
    }
}

fn read(token: &str) -> Option<(String, Timestamp, Timestamp)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.rsplitn(4, '|');
    let (_seal, expires, issued, whose) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let time = |text: &str| Timestamp::from_nanosecond(text.parse().ok()?).ok();
    Some((whose.to_owned(), time(issued)?, time(expires)?))
}

/// The credentials for a token's content. The same content gives the same credentials.
pub(super) fn derive(
    account: &Account,
    whose: &str,
    issued: Timestamp,
    expires: Timestamp,
) -> SessionCredentials {
    let root = account.key.session_secret.as_bytes();
    let body = format!(
        "{whose}|{}|{}",
        issued.as_nanosecond(),
        expires.as_nanosecond()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ACCOUNT_ID;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn expiry(now: i64, before: Option<i64>) -> Expiry {
        Expiry {
            now: at(now),
            expired_before: before.map(at),
        }
    }

    #[test]
    fn a_session_is_its_holders_until_it_ends() {
        let account = Account::new();
        let user = for_user(&account, false, at(10), at(20));
        let session = RoleSession {
            account: ACCOUNT_ID,
            role: "administrator",
            name: "night-build",
            mfa: true,
        };
        let admin = for_role(&account, session, at(10), at(20));
        assert_ne!(
            user.token,
            for_user(&account, false, at(10), at(20)).token,
            "each session is another"
        );
        let holder = |c: &SessionCredentials, e| of_token(&account, &c.token, e).map(|(_, h)| h);
        assert_eq!(
            holder(&user, expiry(19, None)),
            Ok(Caller::Session { mfa: false })
        );
        let named = Caller::Role {
            account: ACCOUNT_ID.into(),
            role: "administrator".into(),
            session: "night-build".into(),
            mfa: true,
        };
        assert_eq!(holder(&admin, expiry(19, Some(10))), Ok(named));
        assert_eq!(holder(&admin, expiry(20, None)), Err(BadToken::Expired));
        assert_eq!(holder(&user, expiry(12, Some(11))), Err(BadToken::Expired));
        let other = Account::new();
        assert_eq!(
            of_token(&other, &user.token, expiry(12, None)).err(),
            Some(BadToken::Unknown)
        );
    }

    proptest! {
        #[test]
        fn no_token_but_one_made_here_is_accepted(text in ".{0,60}") {
            let account = Account::new();
            prop_assert!(of_token(&account, &text, expiry(0, None)).is_err());
            let encoded = BASE64_URL_SAFE_NO_PAD.encode(format!("session|{text}|0|99999999999|00"));
            prop_assert!(of_token(&account, &encoded, expiry(0, None)).is_err());
        }
    }
}
