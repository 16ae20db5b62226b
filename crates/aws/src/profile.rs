//! Credentials of a profile that was asked for by its name.

use aws_config::Region;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

/// What one profile gives, and nothing else: the SDK's own chain would prefer keys in the environment, and pass over
/// a profile that does not exist. Who names a profile means that one, as with the AWS CLI.
/// <https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-configure.html#configure-precedence>
#[derive(Debug)]
pub(crate) struct NamedProfile {
    name: String,
    provider: ProfileFileCredentialsProvider,
}

/// Why a profile gives none.
#[derive(Debug, thiserror::Error)]
enum ProfileFailure {
    #[error(
        "the profile {name:?} is not in ~/.aws/config or ~/.aws/credentials (or the files that AWS_CONFIG_FILE and \
         AWS_SHARED_CREDENTIALS_FILE name), or says nothing of credentials"
    )]
    Nothing { name: String },
    #[error("the profile {name:?} gives no credentials")]
    Failed {
        name: String,
        source: CredentialsError,
    },
}

impl NamedProfile {
    /// Roles that the profile assumes are assumed through `region`.
    pub(crate) fn new(name: &str, region: Region) -> Self {
        let source = ProviderConfig::without_region().with_region(Some(region));
        Self {
            name: name.to_owned(),
            provider: ProfileFileCredentialsProvider::builder()
                .configure(&source)
                .profile_name(name)
                .build(),
        }
    }
}

impl ProvideCredentials for NamedProfile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let name = self.name.clone();
            self.provider
                .provide_credentials()
                .await
                .map_err(|error| match error {
                    CredentialsError::CredentialsNotLoaded(_) => {
                        CredentialsError::not_loaded(ProfileFailure::Nothing { name })
                    }
                    source => {
                        CredentialsError::provider_error(ProfileFailure::Failed { name, source })
                    }
                })
        })
    }
}
