//! The credentials that a followed profile gives.

use super::Followed;
use super::chain::{Base, CredentialSource, SdkSource};
use super::files::ProfileFiles;
use super::roles;
use crate::mfa::{Codes, Mfa, NoCode};
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{SdkConfig, ecs::EcsCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use cloud::Timestamp;
use futures::lock::Mutex;
use std::time::{Duration, SystemTime};

/// How long before its end a session on the way is not used any more to assume the next role.
const BEFORE_END: Duration = Duration::from_secs(60);

/// The name under which keys of a file go.
const KEYS: &str = "keys of a profile";

/// What a followed profile gives. Roles that are assumed on the way to the last one are kept until they end, so that a
/// code of an MFA device is asked for no more often than it has to be.
#[derive(Debug)]
pub(crate) struct ProfileCredentials {
    followed: Followed,
    base: BaseProvider,
    codes: Codes,
    settings: SdkConfig,
    /// The session of each role but the last one.
    sessions: Mutex<Vec<Option<Credentials>>>,
}

/// Why a base gives nothing.
#[derive(Debug, thiserror::Error)]
enum BaseFailure {
    #[error("the profile {profile:?} has no keys any more")]
    NoKeys { profile: String },
    #[error(
        "the session keys of the profile {profile:?} ended at {end}: log in again with the tool that wrote them to {file} \
         (`saml2aws login`, for one)"
    )]
    Ended {
        profile: String,
        end: Timestamp,
        file: &'static str,
    },
    #[error(
        "the login of the profile {profile:?} gives no credentials; log in with `aws sso login --profile {profile}`"
    )]
    Sso {
        profile: String,
        source: CredentialsError,
    },
    #[error("the profile {profile:?} gives no credentials")]
    Failed {
        profile: String,
        source: CredentialsError,
    },
    #[error("the profile {profile:?} assumes its role with credentials that cannot be had")]
    Source {
        profile: String,
        source: CredentialsError,
    },
}

#[derive(Debug)]
enum BaseProvider {
    /// Read anew each time.
    Keys { profile: String },
    /// The SDK's provider.
    Sdk {
        profile: String,
        kind: SdkSource,
        provider: SharedCredentialsProvider,
    },
    /// What the role's `credential_source` names.
    Source {
        profile: String,
        provider: SharedCredentialsProvider,
    },
}

impl ProfileCredentials {
    /// `settings` are those of the STS client, without credentials; `providers` those of the SDK's providers.
    pub(crate) fn new(
        followed: Followed,
        mfa: &Mfa,
        settings: SdkConfig,
        providers: &ProviderConfig,
    ) -> Self {
        Self {
            base: BaseProvider::of(&followed, providers),
            codes: Codes::of(mfa),
            sessions: Mutex::new(vec![None; followed.chain.roles.len().saturating_sub(1)]),
            followed,
            settings,
        }
    }

    /// Has the first code of an MFA device ready, if one will be wanted.
    pub(crate) async fn prepare(&self) -> Result<(), NoCode> {
        match self.followed.chain.first_device() {
            Some(device) => self.codes.prepare(device).await,
            None => Ok(()),
        }
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let roles = &self.followed.chain.roles;
        let mut sessions = self.sessions.lock().await;
        let usable = sessions
            .iter()
            .rposition(|session| session.as_ref().is_some_and(lasts));
        let (mut done, mut credentials) = match usable {
            Some(at) => (at + 1, sessions[at].clone()),
            None => (0, None),
        };
        let mut credentials = match credentials.take() {
            Some(credentials) => credentials,
            None => self.base.credentials(&self.followed.files).await?,
        };
        while let Some(role) = roles.get(done) {
            credentials = match roles::assume(&self.settings, credentials, role, &self.codes).await
            {
                Ok(session) => session,
                Err(error) => {
                    // A session that does not serve is not used again.
                    sessions.fill(None);
                    return Err(CredentialsError::provider_error(error));
                }
            };
            if let Some(kept) = sessions.get_mut(done) {
                *kept = Some(credentials.clone());
            }
            done += 1;
        }
        Ok(credentials)
    }
}

fn lasts(session: &Credentials) -> bool {
    let soon = SystemTime::now() + BEFORE_END;
    session.expiry().is_some_and(|end| end > soon)
}

impl ProvideCredentials for ProfileCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl BaseProvider {
    fn of(followed: &Followed, providers: &ProviderConfig) -> Self {
        match &followed.chain.base {
            Base::Keys { profile } => Self::Keys {
                profile: profile.clone(),
            },
            Base::Sdk { profile, kind } => Self::Sdk {
                profile: profile.clone(),
                kind: *kind,
                provider: SharedCredentialsProvider::new(
                    ProfileFileCredentialsProvider::builder()
                        .configure(providers)
                        .profile_name(profile)
                        .build(),
                ),
            },
            Base::Source(source) => Self::Source {
                profile: followed
                    .chain
                    .roles
                    .first()
                    .map(|role| role.profile.clone())
                    .unwrap_or_default(),
                provider: match source {
                    CredentialSource::Environment => {
                        SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
                    }
                    CredentialSource::Ec2InstanceMetadata => SharedCredentialsProvider::new(
                        ImdsCredentialsProvider::builder()
                            .configure(providers)
                            .build(),
                    ),
                    CredentialSource::EcsContainer => SharedCredentialsProvider::new(
                        EcsCredentialsProvider::builder()
                            .configure(providers)
                            .build(),
                    ),
                },
            },
        }
    }

    async fn credentials(&self, files: &ProfileFiles) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Keys { profile } => keys(files, profile).await,
            Self::Sdk {
                profile,
                kind,
                provider,
            } => provider.provide_credentials().await.map_err(|source| {
                let profile = profile.clone();
                CredentialsError::provider_error(match kind {
                    SdkSource::Sso => BaseFailure::Sso { profile, source },
                    SdkSource::Process | SdkSource::WebIdentity => {
                        BaseFailure::Failed { profile, source }
                    }
                })
            }),
            Self::Source { profile, provider } => {
                provider.provide_credentials().await.map_err(|source| {
                    CredentialsError::provider_error(BaseFailure::Source {
                        profile: profile.clone(),
                        source,
                    })
                })
            }
        }
    }
}

/// The keys of a profile, as the files have them now.
async fn keys(files: &ProfileFiles, name: &str) -> Result<Credentials, CredentialsError> {
    let set = files
        .load()
        .await
        .map_err(CredentialsError::provider_error)?;
    let profile = set.get_profile(name);
    let value = |key| {
        let value = profile.and_then(|profile| profile.get(key));
        value.map(str::trim).filter(|value| !value.is_empty())
    };
    let (Some(id), Some(secret)) = (value("aws_access_key_id"), value("aws_secret_access_key"))
    else {
        return Err(CredentialsError::provider_error(BaseFailure::NoKeys {
            profile: name.to_owned(),
        }));
    };
    // What tools write that log in with SAML, saml2aws for one. The SDKs do not read it, and what cannot be read as a time
    // is nobody's promise.
    let end: Option<Timestamp> = value("x_security_token_expires").and_then(|end| end.parse().ok());
    if let Some(end) = end.filter(|end| SystemTime::from(*end) <= SystemTime::now()) {
        return Err(CredentialsError::provider_error(BaseFailure::Ended {
            profile: name.to_owned(),
            end,
            file: "~/.aws/credentials",
        }));
    }
    let token = value("aws_session_token").map(str::to_owned);
    Ok(Credentials::new(
        id,
        secret,
        token,
        end.map(SystemTime::from),
        KEYS,
    ))
}
