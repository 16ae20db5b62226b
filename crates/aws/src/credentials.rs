//! Credentials that are renewed: before they end, and when AWS says that they have.
//!
//! The SDK keeps what its provider gave until the end that the provider named. It cannot be told that AWS thinks
//! otherwise: because a session was revoked, because this machine's clock is slow, or because nobody named an end.
//!
//! ```text
//!   (none) ── a call must be signed ──▶ asked of the provider ──▶ held ◀─┐ signs calls
//!      ▲                                                          │ └────┘
//!      │  10 s before their end, or refused as expired            │
//!      └──────────────────────────────────────────────────────────┘
//! ```

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use cloud::{CloudError, ErrorKind, Timestamp};
use futures::lock::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long before their end credentials are renewed: a call must arrive while they are good. The SDK's own measure.
const BEFORE_END: Duration = Duration::from_secs(10);

/// Which credentials a call was begun with: counts what the provider gave, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// Credentials as the provider gave them last, for all clients of an account.
#[derive(Clone, Debug)]
pub(crate) struct RenewedCredentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    provider: SharedCredentialsProvider,
    /// Locked while the provider is asked, so that many calls ask it once: a credential process may ask a person.
    held: Mutex<Option<Credentials>>,
    /// Counts what the provider gave.
    given: AtomicU64,
    /// The latest generation that AWS has refused as expired.
    refused: AtomicU64,
}

impl RenewedCredentials {
    /// What `provider` gives.
    pub(crate) fn of(provider: SharedCredentialsProvider) -> Self {
        Self(Arc::new(Inner {
            provider,
            held: Mutex::new(None),
            given: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// What a call that is signed next is signed with.
    fn generation(&self) -> Generation {
        // Before the first are given, a call waits for them.
        Generation(self.0.given.load(Ordering::SeqCst).max(1))
    }

    /// Does `call`; credentials that it finds expired are not used again.
    pub(crate) async fn sign<T>(
        &self,
        call: impl Future<Output = cloud::port::Result<T>>,
    ) -> cloud::port::Result<T> {
        let generation = self.generation();
        let result = call.await;
        if let Err(CloudError {
            kind: ErrorKind::Expired,
            ..
        }) = &result
        {
            // Those that another call has renewed meanwhile are left alone.
            self.0.refused.fetch_max(generation.0, Ordering::SeqCst);
        }
        result
    }

    /// When the present credentials end; none if nobody says.
    pub(crate) async fn expiry(&self) -> Result<Option<Timestamp>, CredentialsError> {
        let credentials = self.current().await?;
        Ok(credentials
            .expiry()
            .and_then(|end| Timestamp::try_from(end).ok())
            .or_else(|| exported_expiry(&credentials)))
    }

    async fn current(&self) -> Result<Credentials, CredentialsError> {
        let inner = &self.0;
        let mut held = inner.held.lock().await;
        let refused = inner.refused.load(Ordering::SeqCst) >= inner.given.load(Ordering::SeqCst);
        let now = SystemTime::now();
        if let Some(credentials) = held.as_ref()
            && !refused
            && !ends_by(credentials, now + BEFORE_END)
        {
            return Ok(credentials.clone());
        }
        match inner.provider.provide_credentials().await {
            Ok(credentials) => {
                inner.given.fetch_add(1, Ordering::SeqCst);
                *held = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) => match held.as_ref() {
                // Still good for some seconds, in which the provider may recover.
                Some(credentials) if !refused && !ends_by(credentials, now) => {
                    Ok(credentials.clone())
                }
                _ => Err(error),
            },
        }
    }
}

fn ends_by(credentials: &Credentials, moment: SystemTime) -> bool {
    credentials.expiry().is_some_and(|end| end <= moment)
}

/// What tools that put a session's keys into the environment say of its end, which the SDK does not read: aws-vault,
/// and `aws configure export-credentials --format env`.
/// <https://docs.aws.amazon.com/cli/latest/reference/configure/export-credentials.html>
fn exported_expiry(credentials: &Credentials) -> Option<Timestamp> {
    let exported = std::env::var("AWS_ACCESS_KEY_ID").ok()?;
    if exported != credentials.access_key_id() {
        return None;
    }
    std::env::var("AWS_CREDENTIAL_EXPIRATION")
        .ok()?
        .parse()
        .ok()
}

impl ProvideCredentials for RenewedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as Lock;

    /// Gives the next credentials each time, by number; none after the last.
    #[derive(Debug)]
    struct Source(Lock<Vec<Option<SystemTime>>>);

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let mut ends = self.0.lock().unwrap();
            future::ProvideCredentials::ready(match ends.pop() {
                None => Err(CredentialsError::provider_error("the vault is sealed")),
                Some(end) => {
                    let key = format!("KEY{}", ends.len());
                    Ok(Credentials::new(key, "secret", None, end, "test"))
                }
            })
        }
    }

    /// Credentials that end so, the last one first: its key is KEY0.
    fn ending(ends: impl Into<Vec<Option<SystemTime>>>) -> RenewedCredentials {
        RenewedCredentials::of(SharedCredentialsProvider::new(Source(Lock::new(
            ends.into(),
        ))))
    }

    async fn key(credentials: &RenewedCredentials) -> Result<String, CredentialsError> {
        Ok(credentials.current().await?.access_key_id().to_owned())
    }

    fn expired() -> cloud::port::Result<()> {
        Err(CloudError {
            kind: ErrorKind::Expired,
            ..crate::answer::unreadable("DescribeInstances")
        })
    }

    #[tokio::test]
    async fn what_does_not_end_is_kept_until_it_is_refused() {
        let credentials = ending([None, None]);
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
        let refused = credentials.sign(async { expired() }).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Expired);
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
    }

    #[tokio::test]
    async fn what_ends_soon_is_renewed() {
        let soon = SystemTime::now() + Duration::from_secs(5);
        let later = SystemTime::now() + Duration::from_secs(3600);
        let credentials = ending([Some(later), Some(soon)]);
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
    }

    #[tokio::test]
    async fn what_still_works_is_used_while_the_source_gives_nothing() {
        let soon = SystemTime::now() + Duration::from_secs(5);
        let credentials = ending([Some(soon)]);
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
        assert_eq!(key(&credentials).await.unwrap(), "KEY0");
        let _ = credentials.sign(async { expired() }).await;
        let error = key(&credentials).await.unwrap_err();
        assert!(format!("{error:?}").contains("sealed"));
    }

    #[tokio::test]
    async fn a_late_refusal_does_not_touch_what_was_renewed_meanwhile() {
        let credentials = ending([None, None, None]);
        assert_eq!(key(&credentials).await.unwrap(), "KEY2");
        let late = credentials.sign(async {
            let _ = credentials.sign(async { expired() }).await;
            assert_eq!(key(&credentials).await.unwrap(), "KEY1");
            expired()
        });
        let _ = late.await;
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
    }

    #[tokio::test]
    async fn other_errors_say_nothing_about_the_credentials() {
        let credentials = ending([None, None]);
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
        let call = async { Err::<(), _>(crate::answer::unreadable("DescribeInstances")) };
        let _ = credentials.sign(call).await;
        assert_eq!(key(&credentials).await.unwrap(), "KEY1");
    }
}
