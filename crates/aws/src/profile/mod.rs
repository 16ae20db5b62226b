//! Credentials of a profile of the shared configuration files, as the AWS CLI finds them.
//!
//! The SDK has a provider for this, which passes over `mfa_serial` and `duration_seconds` in silence, does not know when
//! keys in a file end, and reads the files once. So the profile is followed to its source here, the roles on the way are
//! assumed here, and the SDK's provider is left what it does well: SSO, credential processes and web identities.
//!
//! ```text
//!   files ──▶ ProfileSet ──▶ Chain { base, roles } ──▶ ProfileCredentials
//!                              │                          base: keys of the file, read anew each time
//!                              │                                SSO, credential process, web identity (the SDK's)
//!                              │                                environment, instance or container (credential_source)
//!                              └─ wrong: ProfileError       roles: AssumeRole one after the other, with MFA where said
//! ```

mod chain;
mod failure;
mod files;
mod provider;
mod roles;

pub use failure::{ProfileError, ProfileProblem};
pub(crate) use provider::ProfileCredentials;

use crate::mfa::Mfa;
use chain::Chain;
use files::ProfileFiles;

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The SDK's default chain: keys in the environment, a web identity, a container's or an instance's role.
    Default,
    /// A profile.
    Profile(Followed),
}

/// A profile, followed to its source.
#[derive(Debug)]
pub(crate) struct Followed {
    files: ProfileFiles,
    chain: Chain,
}

/// What of the environment decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The profile that the command line names.
    pub(crate) named: Option<String>,
    /// The profile that AWS_PROFILE names.
    pub(crate) environment: Option<String>,
    /// Whether keys are in the environment.
    pub(crate) keys: bool,
}

impl Asked {
    /// As this process's environment has it.
    pub(crate) fn of(named: Option<&str>) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            named: named.map(str::to_owned),
            environment: variable("AWS_PROFILE"),
            keys: variable("AWS_ACCESS_KEY_ID").is_some()
                && variable("AWS_SECRET_ACCESS_KEY").is_some(),
        }
    }
}

/// Finds where credentials come from, in the AWS CLI's order: the profile that is named, keys in the environment, the
/// profile that AWS_PROFILE names, the one called `default`, and everything else. A profile that is named and not there is
/// an error wherever it is named.
/// <https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-configure.html#configure-precedence>
pub(crate) async fn source(asked: &Asked, mfa: &Mfa) -> Result<Source, ProfileError> {
    let explicit = asked.named.as_ref().or(asked.environment.as_ref());
    let files = ProfileFiles::real();
    if asked.keys && explicit.is_none() {
        return unprompted(mfa, Source::Default);
    }
    let name = explicit.map_or("default", String::as_str);
    let set = files.load().await?;
    if set.get_profile(name).is_none() {
        if explicit.is_some() {
            return Err(files.error(name, None, ProfileProblem::missing(&set)));
        }
        return unprompted(mfa, Source::Default);
    }
    if asked.keys && asked.named.is_none() {
        return unprompted(mfa, Source::Default);
    }
    let chain = match Chain::follow(&set, name) {
        Ok(chain) => chain,
        // Such as a region alone.
        Err(wrong) if wrong.problem == ProfileProblem::NoCredentials && asked.named.is_none() => {
            return unprompted(mfa, Source::Default);
        }
        Err(wrong) => return Err(files.error(&wrong.profile, wrong.key, wrong.problem)),
    };
    match chain.lacks_codes(mfa) {
        Some((role, problem)) => Err(files.error(&role.profile, Some("mfa_serial"), problem)),
        None if mfa.code.is_some() && !chain.asks_for_codes() => {
            Err(files.error(name, None, ProfileProblem::NoMfa))
        }
        None => Ok(Source::Profile(Followed { files, chain })),
    }
}

/// A code is for a profile: without one it would be left unused in silence.
fn unprompted(mfa: &Mfa, source: Source) -> Result<Source, ProfileError> {
    match mfa.code {
        Some(_) => Err(ProfileError::without_place(
            "default",
            ProfileProblem::NoMfa,
        )),
        None => Ok(source),
    }
}
