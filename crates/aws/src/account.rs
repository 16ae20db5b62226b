//! The account: its identity and its regions.

use crate::caller;
use crate::classify::no_credentials;
use crate::client_settings;
use crate::credentials::RenewedCredentials;
use crate::iam::AwsIam;
use crate::options::{AwsOptions, ConnectError};
use crate::region::AwsRegion;
use crate::transport::WireOptions;
use async_trait::async_trait;
use aws_config::SdkConfig;
use cloud::{Account, CallerIdentity, Iam, Region, RegionName, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An AWS account, or the local EC2, as seen with one set of credentials.
pub struct AwsAccount {
    settings: SdkConfig,
    credentials: RenewedCredentials,
    default_region: RegionName,
    sts: aws_sdk_sts::Client,
    iam: Arc<AwsIam>,
    regions: Mutex<HashMap<RegionName, Arc<AwsRegion>>>,
}

impl AwsAccount {
    /// Finds out how to reach AWS. Makes no call to AWS but what finding the region takes: whether the credentials are
    /// good shows with the first call, best [`Account::caller_identity`].
    ///
    /// # Errors
    /// No region is known, or region or endpoint cannot be one.
    pub async fn connect(options: AwsOptions) -> Result<Self, ConnectError> {
        let (settings, credentials) = client_settings::settings(&options).await?;
        let default_region = settings
            .region()
            .map(|region| RegionName::new(region.as_ref()))
            .ok_or(ConnectError::NoRegion {
                profile: options.profile,
            })?;
        Ok(Self::new(settings, credentials, default_region))
    }

    /// An account that is reached otherwise than over a socket. Makes no call.
    ///
    /// # Errors
    /// None that is known of: it is given all that [`connect`](Self::connect) has to find.
    pub fn over(options: &WireOptions) -> Result<Self, ConnectError> {
        let (settings, credentials) = client_settings::over(options)?;
        Ok(Self::new(settings, credentials, options.region.clone()))
    }

    fn new(
        settings: SdkConfig,
        credentials: RenewedCredentials,
        default_region: RegionName,
    ) -> Self {
        let iam = AwsIam::new(&settings, credentials.clone(), &default_region);
        Self {
            // In the default region, not the global endpoint: that one does not accept credentials of opt-in regions.
            sts: aws_sdk_sts::Client::new(&settings),
            iam: Arc::new(iam),
            settings,
            credentials,
            default_region,
            regions: Mutex::default(),
        }
    }

    /// The region where nothing else names one.
    pub fn default_region(&self) -> &RegionName {
        &self.default_region
    }
}

#[async_trait]
impl Account for AwsAccount {
    async fn caller_identity(&self) -> cloud::port::Result<CallerIdentity> {
        self.credentials.sign(caller::identity(&self.sts)).await
    }

    async fn credentials_expiry(&self) -> cloud::port::Result<Option<Timestamp>> {
        self.credentials.expiry().await.map_err(no_credentials)
    }

    fn iam(&self) -> Arc<dyn Iam> {
        self.iam.clone()
    }

    fn region(&self, name: &RegionName) -> Arc<dyn Region> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions
            .entry(name.clone())
            .or_insert_with(|| {
                Arc::new(AwsRegion::new(
                    &self.settings,
                    self.credentials.clone(),
                    name,
                ))
            })
            .clone()
    }
}
