//! The settings that every SDK client shares: no retries, timeouts, credentials, endpoint.

use crate::credentials::RenewedCredentials;
use crate::options::{AwsOptions, ConnectError, StaticCredentials, Timeouts};
use crate::profile::{self, Asked, ProfileCredentials, Source};
use crate::transport::{Client, Time, WireOptions};
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::identity::IdentityCache;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use std::time::Duration;

/// The SDK's behaviour is pinned: `latest()` would change timeouts and retries under us with an update of the SDK.
/// <https://docs.aws.amazon.com/sdk-for-rust/latest/dg/behavior-versions.html>
fn behaviour() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The settings for `options`, with the region in them, and the credentials that they sign with.
pub(crate) async fn settings(
    options: &AwsOptions,
) -> Result<(SdkConfig, RenewedCredentials), ConnectError> {
    if let Some(url) = &options.endpoint_url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        return Err(ConnectError::NotAnEndpoint { url: url.clone() });
    }
    let config = match &options.credentials {
        Some(credentials) => local(options, credentials)?,
        None => aws(options).await?,
    };
    finished(config).ok_or(ConnectError::NoCredentials)
}

/// What all have in common; none if there are no credentials.
fn finished(config: SdkConfig) -> Option<(SdkConfig, RenewedCredentials)> {
    let credentials = RenewedCredentials::of(config.credentials_provider()?);
    let settings = config
        .into_builder()
        // The only retry layer is above the port.
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
        // They are kept by themselves: the SDK's cache could not be told that they have expired.
        .identity_cache(IdentityCache::no_cache())
        .build();
    Some((settings, credentials))
}

/// Everything from `options`: a rehearsal must come out the same whatever the machine's AWS configuration is, and must
/// not send anything anywhere but to the local EC2.
fn local(options: &AwsOptions, credentials: &StaticCredentials) -> Result<SdkConfig, ConnectError> {
    let region = checked(options.region.clone(), options)?;
    let endpoint = options
        .endpoint_url
        .clone()
        .ok_or(ConnectError::NoLocalEndpoint)?;
    let credentials = Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        None,
        None,
        "local EC2",
    );
    if !endpoint.starts_with("http://") {
        return Err(ConnectError::NotAnEndpoint { url: endpoint });
    }
    Ok(SdkConfig::builder()
        .behavior_version(behaviour())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        // The SDK's default client honours HTTP_PROXY even for loopback addresses; this one knows no proxy and no TLS.
        .http_client(Builder::new().build_http())
        .timeout_config(timeouts(&options.timeouts))
        .build())
}

/// Everything from `options`; nothing goes over a socket.
pub(crate) fn over(options: &WireOptions) -> Result<(SdkConfig, RenewedCredentials), ConnectError> {
    let credentials = Credentials::new(
        &options.credentials.access_key_id,
        &options.credentials.secret_access_key,
        options.credentials.session_token.clone(),
        None,
        "given",
    );
    let config = SdkConfig::builder()
        .behavior_version(behaviour())
        .region(Region::new(options.region.as_str().to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // Only its form matters: the host is signed, and nobody resolves it.
        .endpoint_url("http://127.0.0.1")
        .http_client(Client(options.transport.clone()))
        .time_source(Time(options.clock.clone()))
        .timeout_config(timeouts(&options.timeouts))
        .build();
    finished(config).ok_or(ConnectError::NoCredentials)
}

/// What the AWS CLI would use: a profile with its roles, environment, SSO, credential processes, container and instance
/// credentials.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
async fn aws(options: &AwsOptions) -> Result<SdkConfig, ConnectError> {
    let source = profile::source(&Asked::of(options.profile.as_deref()), &options.mfa).await?;
    let region = match &options.region {
        Some(region) => Some(region.clone()),
        None => {
            let mut chain = DefaultRegionChain::builder();
            if let Some(profile) = &options.profile {
                chain = chain.profile_name(profile);
            }
            chain
                .build()
                .region()
                .await
                .map(|region| region.as_ref().to_owned())
        }
    };
    let region = checked(region, options)?;
    let mut loader = aws_config::defaults(behaviour())
        .region(region.clone())
        // Not of qib's calls but of those that get credentials, of a role or a login.
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts(&options.timeouts));
    if let Ok(name) = AppName::new("qib") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let followed = match source {
        Source::Default => return Ok(loader.load().await),
        Source::Profile(followed) => followed,
    };
    let settings = loader.no_credentials().load().await;
    let providers = ProviderConfig::without_region().with_region(Some(region));
    let credentials = ProfileCredentials::new(followed, &options.mfa, settings.clone(), &providers);
    credentials
        .prepare()
        .await
        .map_err(|error| ConnectError::Mfa(error.to_string()))?;
    Ok(settings
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build())
}

/// The region becomes part of a host name: anything that cannot be one is refused before credentials are signed for it.
fn checked(region: Option<String>, options: &AwsOptions) -> Result<Region, ConnectError> {
    let region = region.ok_or_else(|| ConnectError::NoRegion {
        profile: options.profile.clone(),
    })?;
    let fits = !region.is_empty()
        && region.len() <= 63
        && region
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(ConnectError::NotARegion { region });
    }
    Ok(Region::new(region))
}

fn timeouts(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        .operation_attempt_timeout(timeouts.attempt)
        .build()
}

/// Settings for calls that carry content: `read` until an answer begins, `attempt` for a whole call. An operation is one
/// attempt: what is repeated is repeated above.
pub(crate) fn with_times(settings: &SdkConfig, read: Duration, attempt: Duration) -> SdkConfig {
    let timeouts = settings
        .timeout_config()
        .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
        .read_timeout(read)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build();
    settings.to_builder().timeout_config(timeouts).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local_options() -> AwsOptions {
        AwsOptions {
            region: Some("us-east-2".to_owned()),
            endpoint_url: Some("http://127.0.0.1:1".to_owned()),
            credentials: Some(StaticCredentials {
                access_key_id: "LOCAL".to_owned(),
                secret_access_key: "local".to_owned(),
            }),
            ..AwsOptions::default()
        }
    }

    #[tokio::test]
    async fn an_attempt_is_bounded_and_is_the_only_one() {
        let (config, _) = settings(&local_options()).await.unwrap();
        let timeouts = config.timeout_config().unwrap();
        assert!(timeouts.connect_timeout().is_some());
        assert!(timeouts.read_timeout().is_some());
        assert!(timeouts.operation_attempt_timeout().is_some());
        assert_eq!(config.retry_config().unwrap().max_attempts(), 1);
    }

    #[tokio::test]
    async fn the_local_ec2_needs_a_region_and_an_endpoint() {
        let mut options = local_options();
        options.region = None;
        let error = settings(&options).await.unwrap_err();
        assert_eq!(error, ConnectError::NoRegion { profile: None });
        assert!(error.to_string().contains("--region"), "{error}");
        assert!(error.to_string().contains("AWS_REGION"), "{error}");

        let mut options = local_options();
        options.endpoint_url = None;
        assert_eq!(
            settings(&options).await.unwrap_err(),
            ConnectError::NoLocalEndpoint
        );
    }

    #[tokio::test]
    async fn what_cannot_be_a_region_or_an_endpoint_is_refused() {
        for region in ["", "us east 2", "US-EAST-2", "us-east-2.evil.example/"] {
            let mut options = local_options();
            options.region = Some(region.to_owned());
            assert_eq!(
                settings(&options).await.unwrap_err(),
                ConnectError::NotARegion {
                    region: region.to_owned()
                }
            );
        }
        let mut options = local_options();
        options.endpoint_url = Some("127.0.0.1:4566".to_owned());
        assert!(matches!(
            settings(&options).await,
            Err(ConnectError::NotAnEndpoint { .. })
        ));
    }

    #[test]
    fn a_secret_is_not_printed() {
        let shown = format!("{:?}", local_options());
        assert!(shown.contains("LOCAL"));
        assert!(!shown.contains("\"local\""), "{shown}");
    }
}
