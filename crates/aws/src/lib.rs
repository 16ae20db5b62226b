//! EC2, EBS direct, S3, SSM, STS, IAM, KMS and Service Quotas through the AWS SDK: the only crate that names `aws-sdk-*`.
//!
//! It implements the port of the `cloud` crate and knows nothing of pipelines or builds. The SDK's EC2 crate needs
//! 7.5 GB and minutes to compile, so nothing else may depend on it.
//!
//! ```text
//!   AwsAccount ─┬─ STS client of the default region
//!               ├─ AwsIam ─── IAM client of the partition ─▶ roles, instance_profiles, simulator
//!               └─ AwsRegion (made when first asked for, then shared)
//!                    ├─ EC2 client ─▶ images, snapshots, instances, launch, addresses, key_pairs, networks …:
//!                    │                one file per family, conversions as pure functions
//!                    ├─ SSM client ─▶ parameters
//!                    ├─ EBS client ─▶ blocks; S3 client ─▶ objects: both with timeouts of their own
//!                    └─ Service Quotas and KMS clients ─▶ quotas, kms
//!   every failure ─▶ classify ─▶ cloud::CloudError
//! ```
//!
//! Each call is made once: [`cloud::retry::Retrying`] repeats it, and the adapter's part in that is to have renewed the
//! credentials by then if they had expired.

// An edge: the end of credentials is compared with the machine's clock, and what the AWS CLI reads from the environment
// is read from there.
#![allow(clippy::disallowed_methods)]

mod account;
mod addresses;
mod answer;
mod block_devices;
mod blocks;
mod caller;
mod classify;
mod client_settings;
mod credentials;
mod dry_run;
mod filters;
mod iam;
mod images;
mod import_tasks;
mod instance_types;
mod instances;
mod key_pairs;
mod kms;
mod launch;
mod mfa;
mod networks;
mod objects;
mod options;
mod parameters;
mod profile;
mod quotas;
mod region;
mod security_groups;
mod service_date;
mod sha256;
mod snapshots;
mod subnets;
mod tagging;
mod transport;
mod volumes;

pub use account::AwsAccount;
pub use mfa::{Mfa, MfaPrompt};
pub use options::{AwsOptions, ConnectError, StaticCredentials, Timeouts};
pub use profile::{ProfileError, ProfileProblem};
pub use transport::{
    ConnectionBroken, Transport, WireCredentials, WireOptions, WireReply, WireRequest,
};
