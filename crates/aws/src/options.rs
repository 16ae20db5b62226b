//! What a caller may choose about the connection to AWS.

use crate::mfa::Mfa;
use crate::profile::ProfileError;
use std::fmt;
use std::time::Duration;

/// How to reach AWS and as whom.
#[derive(Clone, Debug, Default)]
pub struct AwsOptions {
    /// The default region; none takes the one of the environment, the profile or the instance qib runs on.
    pub region: Option<String>,
    /// The profile of the shared config files; none takes `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Where to send every call; none takes `AWS_ENDPOINT_URL_EC2` and the like, else AWS's own endpoints.
    pub endpoint_url: Option<String>,
    /// Credentials of the local EC2. When given, nothing else is consulted: no environment, no profile, no proxy, no
    /// instance metadata. [`region`](Self::region) and [`endpoint_url`](Self::endpoint_url) are then required.
    pub credentials: Option<StaticCredentials>,
    /// How codes of MFA devices are come by, for roles that want one (`mfa_serial`).
    pub mfa: Mfa,
    /// How long an attempt at a call may take.
    pub timeouts: Timeouts,
}

/// An access key and its secret.
#[derive(Clone)]
pub struct StaticCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// How long one attempt at a call may take; a call with its repeats is bounded by [`cloud::retry`]. The SDK by itself limits only the connection's start, so that an answer that never comes
/// would block a build for ever.
/// <https://docs.aws.amazon.com/sdk-for-rust/latest/dg/timeouts.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection and TLS.
    pub connect: Duration,
    /// From sending the request to the first byte of the answer.
    pub read: Duration,
    /// For one attempt, or one page of it, with credentials, connection and the whole answer.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Two lost SYN packets are sent again after 1 and 3 seconds.
            connect: Duration::from_secs(5),
            // EC2 answers in a second or two; DescribeImages over a large public owner has been seen to take over 10.
            read: Duration::from_secs(30),
            // A full page of DescribeImages is several megabytes, on a slow line too; a credential process or an SSO
            // refresh before the first call counts as well.
            attempt: Duration::from_secs(60),
        }
    }
}

/// Why there is no account to talk to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No region is known.
    #[error(
        "no AWS region is known{}: give one with --region, with `aws: {{ region: us-east-2 }}` in the pipeline, with the \
         environment variable AWS_REGION, or as `region` of the profile in ~/.aws/config",
        .profile.as_ref().map(|p| format!(" (profile {p:?} names none)")).unwrap_or_default()
    )]
    NoRegion {
        /// The profile that was asked for, if one was.
        profile: Option<String>,
    },
    /// The SDK was set up without a source of credentials.
    #[error(
        "there is no source of AWS credentials: give a profile with --profile or AWS_PROFILE, or log in (`aws sso login`)"
    )]
    NoCredentials,
    /// The profile cannot give credentials as it is written.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The code of an MFA device was asked for in vain.
    #[error("{0}; --mfa-code gives one on the command line")]
    Mfa(
        /// Why there is none.
        String,
    ),
    /// Credentials of the local EC2 were given without saying where it is.
    #[error(
        "credentials of the local EC2 were given without its endpoint; `qib local status` prints it"
    )]
    NoLocalEndpoint,
    /// What was given as a region cannot be one.
    #[error(
        "{region:?} cannot be an AWS region: a region's name is of lower-case letters, digits and hyphens, such as us-east-2"
    )]
    NotARegion {
        /// What was given.
        region: String,
    },
    /// What was given as an endpoint cannot be one.
    #[error(
        "{url:?} cannot be an endpoint: it must start with http:// or https:// (the local EC2's with http://)"
    )]
    NotAnEndpoint {
        /// What was given.
        url: String,
    },
}
