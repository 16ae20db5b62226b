//! What is wrong with a profile, and where it says so.

use aws_config::profile::ProfileSet;
use std::fmt;

/// A profile that cannot give credentials as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The profile that is wrong, which need not be the one that was asked for.
    pub profile: String,
    /// File and line, if the profile is in one.
    pub place: Option<String>,
    /// What is wrong.
    pub problem: ProfileProblem,
}

/// What is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileProblem {
    /// There is none of that name.
    #[error(
        "there is no such profile in ~/.aws/config or ~/.aws/credentials (or the files that AWS_CONFIG_FILE and \
         AWS_SHARED_CREDENTIALS_FILE name); there {}", .known.as_ref().map_or_else(|| "are none".to_owned(), |k| format!("are {k}"))
    )]
    Missing {
        /// The names that there are.
        known: Option<String>,
    },
    /// The files cannot be read.
    #[error("the AWS configuration files cannot be read: {0}")]
    Unreadable(String),
    /// It names no source of credentials.
    #[error(
        "the profile says nothing of credentials: it needs aws_access_key_id, credential_process, an sso_session, or a \
         role_arn with its source_profile"
    )]
    NoCredentials,
    /// An access key without its secret, or the other way round.
    #[error("the profile has only one of aws_access_key_id and aws_secret_access_key")]
    HalfAKey,
    /// Its source is not there.
    #[error("its source_profile {source_profile:?} is not defined; there are {known}")]
    MissingSource {
        /// The source.
        source_profile: String,
        /// The names that there are.
        known: String,
    },
    /// It is its own source, by way of others.
    #[error("source_profile leads round in a circle: {}", .0.join(" -> "))]
    Circle(
        /// The profiles, the first one again at the end.
        Vec<String>,
    ),
    /// It is its own source, and has no keys.
    #[error("the profile is its own source_profile, and has no aws_access_key_id to begin with")]
    OwnSource,
    /// A role with nobody to assume it.
    #[error("role_arn needs a source_profile or a credential_source: who assumes the role")]
    NoSource,
    /// A role with two who assume it.
    #[error("source_profile and credential_source exclude each other")]
    TwoSources,
    /// A source that does not exist.
    #[error(
        "credential_source cannot be {0:?}: it is one of Environment, Ec2InstanceMetadata and EcsContainer"
    )]
    UnknownSource(
        /// What is written.
        String,
    ),
    /// No number of seconds that a session may last.
    #[error("duration_seconds cannot be {0:?}: a role's session lasts 900 to 43200 seconds")]
    Duration(
        /// What is written.
        String,
    ),
    /// Its login session is not there.
    #[error("its sso_session {0:?} is not defined: there is no section [sso-session {0}]")]
    MissingSsoSession(
        /// The session.
        String,
    ),
    /// A kind of login that is not supported.
    #[error(
        "login_session (`aws login`) is not supported by itself; `credential_process = aws configure export-credentials \
         --profile {0} --format process` in a profile of its own hands its credentials on"
    )]
    LoginSession(
        /// The profile.
        String,
    ),
    /// A role wants a code, and nobody can be asked.
    #[error(
        "its role wants the code of the MFA device {0}, and there is no terminal to ask on: give it with --mfa-code"
    )]
    NoCode(
        /// The device.
        String,
    ),
    /// Roles want several codes, and one is given.
    #[error(
        "its role wants the code of the MFA device {0} as well, a code serves once, and there is no terminal to ask on"
    )]
    SecondCode(
        /// The device.
        String,
    ),
    /// A code is given, and nothing wants one.
    #[error("--mfa-code was given, and no role on the way to these credentials has an mfa_serial")]
    NoMfa,
}

impl ProfileProblem {
    pub(super) fn missing(set: &ProfileSet) -> Self {
        let known = known(set);
        Self::Missing {
            known: (!known.is_empty()).then_some(known),
        }
    }
}

/// The names of all profiles.
pub(super) fn known(set: &ProfileSet) -> String {
    let mut names: Vec<&str> = set.profiles().collect();
    names.sort_unstable();
    names.join(", ")
}

impl ProfileError {
    pub(super) fn without_place(profile: &str, problem: ProfileProblem) -> Self {
        Self {
            profile: profile.to_owned(),
            place: None,
            problem,
        }
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match &self.problem {
            problem @ (ProfileProblem::Unreadable(_) | ProfileProblem::NoMfa) => {
                write!(f, "{problem}")
            }
            problem => write!(f, "AWS profile {:?}: {problem}", self.profile),
        }
    }
}

impl std::error::Error for ProfileError {}
