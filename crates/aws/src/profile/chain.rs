//! A profile, followed to where its credentials come from.
//!
//! ```text
//!   profile ── role_arn ──▶ its source_profile ── role_arn ──▶ … ──▶ one with keys, SSO, a process: the base
//!                      └──▶ its credential_source ─────────────────▶ the base
//! ```
//!
//! A source that has keys is the end of the way even if it has a role too, as with the AWS CLI.
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html>

use super::failure::{ProfileProblem, known};
use crate::mfa::Mfa;
use aws_config::profile::{Profile, ProfileSet};
use std::ops::RangeInclusive;

/// How long a role's session may last, in seconds.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
const DURATION: RangeInclusive<i32> = 900..=43_200;

/// Where credentials begin, and the roles that are assumed from there, in that order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) base: Base,
    pub(super) roles: Vec<AssumedRole>,
}

/// Where credentials begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The keys that this profile has.
    Keys {
        /// The profile.
        profile: String,
    },
    /// What the SDK finds by this profile.
    Sdk {
        /// The profile.
        profile: String,
        /// How it says where they come from.
        kind: SdkSource,
    },
    /// What a role's `credential_source` names.
    Source(CredentialSource),
}

/// What the SDK's own provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SdkSource {
    /// IAM Identity Center.
    Sso,
    /// A program.
    Process,
    /// A token in a file.
    WebIdentity,
}

/// The values of `credential_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialSource {
    /// AWS_ACCESS_KEY_ID and the like.
    Environment,
    /// The instance's role.
    Ec2InstanceMetadata,
    /// The container's role.
    EcsContainer,
}

/// A role that a profile assumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AssumedRole {
    /// The profile that says so.
    pub(super) profile: String,
    /// The role.
    pub(super) role_arn: String,
    /// What the session is called; none for a name of qib's.
    pub(super) session_name: Option<String>,
    /// What the role's owner wants to be told.
    pub(super) external_id: Option<String>,
    /// How long the session lasts, in seconds; none for an hour.
    pub(super) duration: Option<i32>,
    /// The MFA device whose code the role wants.
    pub(super) mfa_serial: Option<String>,
}

/// What is wrong, in which profile, at which key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) profile: String,
    pub(super) key: Option<&'static str>,
    pub(super) problem: ProfileProblem,
}

impl Wrong {
    fn of(profile: &Profile, key: Option<&'static str>, problem: ProfileProblem) -> Self {
        Self {
            profile: profile.name().to_owned(),
            key,
            problem,
        }
    }
}

impl Chain {
    /// Follows the profile called `name`, which there is.
    pub(super) fn follow(set: &ProfileSet, name: &str) -> Result<Self, Wrong> {
        let mut roles = Vec::new();
        let mut visited: Vec<&str> = Vec::new();
        let mut next = name;
        let base = loop {
            let Some(profile) = set.get_profile(next) else {
                return Err(missing_source(set, &visited, next));
            };
            if visited.contains(&profile.name()) {
                return Err(circle(&visited, profile));
            }
            let first = visited.is_empty();
            visited.push(profile.name());
            let keys = keys(profile)?;
            let assumes = value(profile, "role_arn").filter(|_| {
                // With a token, the role is the web identity's own.
                value(profile, "web_identity_token_file").is_none()
            });
            let Some(role_arn) = assumes.filter(|_| first || keys == Keys::None) else {
                break base(set, profile, keys)?;
            };
            roles.push(role(profile, role_arn)?);
            match source(profile)? {
                Next::Profile(source) if source == profile.name() => match keys {
                    Keys::Both => break of_keys(profile),
                    Keys::None => {
                        let problem = ProfileProblem::OwnSource;
                        return Err(Wrong::of(profile, Some("source_profile"), problem));
                    }
                },
                Next::Profile(source) => next = source,
                Next::Base(source) => break Base::Source(source),
            }
        };
        roles.reverse();
        Ok(Self { base, roles })
    }

    /// Whether a role wants a code.
    pub(super) fn asks_for_codes(&self) -> bool {
        self.wanting_codes().next().is_some()
    }

    fn wanting_codes(&self) -> impl Iterator<Item = (&AssumedRole, &String)> {
        self.roles
            .iter()
            .filter_map(|role| Some((role, role.mfa_serial.as_ref()?)))
    }

    /// The first role for which there is no code and nobody to ask for it.
    pub(super) fn lacks_codes(&self, mfa: &Mfa) -> Option<(&AssumedRole, ProfileProblem)> {
        if mfa.prompt.is_some() {
            return None;
        }
        let given = usize::from(mfa.code.is_some());
        let (role, device) = self.wanting_codes().nth(given)?;
        let problem = match given {
            0 => ProfileProblem::NoCode(device.clone()),
            _ => ProfileProblem::SecondCode(device.clone()),
        };
        Some((role, problem))
    }

    /// The device of the first role that wants a code.
    pub(super) fn first_device(&self) -> Option<&str> {
        self.wanting_codes()
            .next()
            .map(|(_, device)| device.as_str())
    }
}

/// A key of the profile that says something.
fn value<'a>(profile: &'a Profile, key: &str) -> Option<&'a str> {
    profile
        .get(key)
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn missing_source(set: &ProfileSet, visited: &[&str], source: &str) -> Wrong {
    Wrong {
        profile: visited.last().copied().unwrap_or(source).to_owned(),
        key: Some("source_profile"),
        problem: ProfileProblem::MissingSource {
            source_profile: source.to_owned(),
            known: known(set),
        },
    }
}

fn circle(visited: &[&str], again: &Profile) -> Wrong {
    let from = visited.iter().position(|name| *name == again.name());
    let round = visited.iter().skip(from.unwrap_or(0));
    let mut names: Vec<String> = round.map(|name| (*name).to_owned()).collect();
    names.push(again.name().to_owned());
    Wrong::of(again, Some("source_profile"), ProfileProblem::Circle(names))
}

/// Whether a profile has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    None,
    Both,
}

fn keys(profile: &Profile) -> Result<Keys, Wrong> {
    let (id, secret) = ("aws_access_key_id", "aws_secret_access_key");
    match (value(profile, id), value(profile, secret)) {
        (None, None) => Ok(Keys::None),
        (Some(_), Some(_)) => Ok(Keys::Both),
        (Some(_), None) => Err(Wrong::of(profile, Some(id), ProfileProblem::HalfAKey)),
        (None, Some(_)) => Err(Wrong::of(profile, Some(secret), ProfileProblem::HalfAKey)),
    }
}

fn of_keys(profile: &Profile) -> Base {
    Base::Keys {
        profile: profile.name().to_owned(),
    }
}

/// In the AWS CLI's order.
fn base(set: &ProfileSet, profile: &Profile, keys: Keys) -> Result<Base, Wrong> {
    let sdk = |kind| Base::Sdk {
        profile: profile.name().to_owned(),
        kind,
    };
    if value(profile, "web_identity_token_file").is_some() && value(profile, "role_arn").is_some() {
        return Ok(sdk(SdkSource::WebIdentity));
    }
    let session = value(profile, "sso_session");
    if session.is_some() || value(profile, "sso_start_url").is_some() {
        if let Some(session) = session.filter(|name| set.sso_session(name).is_none()) {
            let problem = ProfileProblem::MissingSsoSession(session.to_owned());
            return Err(Wrong::of(profile, Some("sso_session"), problem));
        }
        return Ok(sdk(SdkSource::Sso));
    }
    if keys == Keys::Both {
        return Ok(of_keys(profile));
    }
    if value(profile, "credential_process").is_some() {
        return Ok(sdk(SdkSource::Process));
    }
    if value(profile, "login_session").is_some() {
        let problem = ProfileProblem::LoginSession(profile.name().to_owned());
        return Err(Wrong::of(profile, Some("login_session"), problem));
    }
    Err(Wrong::of(profile, None, ProfileProblem::NoCredentials))
}

fn role(profile: &Profile, role_arn: &str) -> Result<AssumedRole, Wrong> {
    let text = |key| value(profile, key).map(str::to_owned);
    let duration = value(profile, "duration_seconds").map(|written| {
        let seconds = written.parse().ok().filter(|n| DURATION.contains(n));
        seconds.ok_or_else(|| {
            let problem = ProfileProblem::Duration(written.to_owned());
            Wrong::of(profile, Some("duration_seconds"), problem)
        })
    });
    Ok(AssumedRole {
        profile: profile.name().to_owned(),
        role_arn: role_arn.to_owned(),
        session_name: text("role_session_name"),
        external_id: text("external_id"),
        duration: duration.transpose()?,
        mfa_serial: text("mfa_serial"),
    })
}

enum Next<'a> {
    Profile(&'a str),
    Base(CredentialSource),
}

fn source(profile: &Profile) -> Result<Next<'_>, Wrong> {
    const KEY: Option<&str> = Some("credential_source");
    let other = value(profile, "source_profile");
    match (other, value(profile, "credential_source")) {
        (Some(name), None) => Ok(Next::Profile(name)),
        (None, Some(source)) => match source {
            "Environment" => Ok(Next::Base(CredentialSource::Environment)),
            "Ec2InstanceMetadata" => Ok(Next::Base(CredentialSource::Ec2InstanceMetadata)),
            "EcsContainer" => Ok(Next::Base(CredentialSource::EcsContainer)),
            other => {
                let problem = ProfileProblem::UnknownSource(other.to_owned());
                Err(Wrong::of(profile, KEY, problem))
            }
        },
        (Some(_), Some(_)) => Err(Wrong::of(profile, KEY, ProfileProblem::TwoSources)),
        (None, None) => Err(Wrong::of(
            profile,
            Some("role_arn"),
            ProfileProblem::NoSource,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::ProfileFiles;
    use super::*;

    async fn follow(config: &str, credentials: &str, name: &str) -> Result<Chain, Wrong> {
        let set = ProfileFiles::given(config, credentials).load().await;
        Chain::follow(&set.unwrap(), name)
    }

    async fn problem(config: &str, name: &str) -> (String, ProfileProblem) {
        let keys = "[keys]\naws_access_key_id = A\naws_secret_access_key = S\n";
        let wrong = follow(config, keys, name).await.unwrap_err();
        (wrong.profile, wrong.problem)
    }

    #[tokio::test]
    async fn roles_are_assumed_from_the_base_on() {
        let config = "[profile prod]\nrole_arn = arn:prod\nsource_profile = hub\nexternal_id = x\nrole_session_name = me\n\
                      [profile hub]\nrole_arn = arn:hub\nsource_profile = user\nmfa_serial = arn:mfa\nduration_seconds = 43200\n";
        let credentials = "[user]\naws_access_key_id = A\naws_secret_access_key = S\n";
        let chain = follow(config, credentials, "prod").await.unwrap();
        let base = Base::Keys {
            profile: "user".to_owned(),
        };
        assert_eq!(chain.base, base);
        let arns: Vec<_> = chain.roles.iter().map(|r| r.role_arn.as_str()).collect();
        assert_eq!(arns, ["arn:hub", "arn:prod"]);
        assert_eq!(chain.roles[0].duration, Some(43_200));
        assert_eq!(chain.first_device(), Some("arn:mfa"));
        assert_eq!(chain.roles[1].external_id.as_deref(), Some("x"));
        assert_eq!(chain.roles[1].session_name.as_deref(), Some("me"));
    }

    #[tokio::test]
    async fn a_profile_with_keys_and_a_role_may_be_its_own_source() {
        let config = "[profile home]\nrole_arn = arn\nsource_profile = home\n";
        let credentials = "[home]\naws_access_key_id = A\naws_secret_access_key = S\n";
        let chain = follow(config, credentials, "home").await.unwrap();
        assert!(matches!(chain.base, Base::Keys { .. }));
        assert_eq!(chain.roles.len(), 1);
    }

    #[tokio::test]
    async fn keys_of_a_source_end_the_way() {
        let config = "[profile a]\nrole_arn = arn\nsource_profile = b\n[profile b]\nrole_arn = other\nsource_profile = c\n";
        let credentials = "[b]\naws_access_key_id = A\naws_secret_access_key = S\n";
        let chain = follow(config, credentials, "a").await.unwrap();
        assert_eq!(chain.roles.len(), 1);
    }

    #[tokio::test]
    async fn each_kind_of_base_is_known_by_its_keys() {
        let cases = [
            ("credential_process = x", SdkSource::Process),
            (
                "sso_start_url = u\nsso_region = r\nsso_account_id = 1\nsso_role_name = n",
                SdkSource::Sso,
            ),
            (
                "role_arn = arn\nweb_identity_token_file = /t",
                SdkSource::WebIdentity,
            ),
        ];
        for (body, expected) in cases {
            let chain = follow(&format!("[profile a]\n{body}\n"), "", "a").await;
            let base = Base::Sdk {
                profile: "a".to_owned(),
                kind: expected,
            };
            assert_eq!(chain.unwrap().base, base);
        }
        let config = "[profile a]\nrole_arn = arn\ncredential_source = EcsContainer\n";
        let chain = follow(config, "", "a").await.unwrap();
        assert_eq!(chain.base, Base::Source(CredentialSource::EcsContainer));
    }

    #[tokio::test]
    async fn keys_in_the_credentials_file_win_over_a_process() {
        let config = "[profile a]\ncredential_process = x\n";
        let credentials =
            "[a]\naws_access_key_id = A\naws_secret_access_key = S\naws_session_token = T\n";
        let chain = follow(config, credentials, "a").await.unwrap();
        assert!(matches!(chain.base, Base::Keys { .. }), "{chain:?}");
    }

    #[tokio::test]
    async fn a_circle_is_told_with_its_way() {
        let config = "[profile a]\nrole_arn = 1\nsource_profile = b\n[profile b]\nrole_arn = 2\nsource_profile = c\n\
                      [profile c]\nrole_arn = 3\nsource_profile = b\n";
        let (profile, found) = problem(config, "a").await;
        assert_eq!(profile, "b");
        let round = ["b", "c", "b"].map(str::to_owned).to_vec();
        assert_eq!(found, ProfileProblem::Circle(round));
        assert!(found.to_string().ends_with("b -> c -> b"));
    }

    #[tokio::test]
    async fn wrong_profiles_are_refused() {
        use ProfileProblem::*;
        let session = "[profile a]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = n\n";
        for (config, expected) in [
            ("[profile a]\nregion = r\n", NoCredentials),
            ("[profile a]\nrole_arn = 1\n", NoSource),
            (
                "[profile a]\nrole_arn = 1\nsource_profile = keys\ncredential_source = Environment\n",
                TwoSources,
            ),
            ("[profile a]\nrole_arn = 1\nsource_profile = a\n", OwnSource),
            (
                "[profile a]\nrole_arn = 1\ncredential_source = Vault\n",
                UnknownSource("Vault".to_owned()),
            ),
            (
                "[profile a]\nrole_arn = 1\nsource_profile = keys\nduration_seconds = 60\n",
                Duration("60".to_owned()),
            ),
            (
                "[profile a]\nrole_arn = 1\nsource_profile = keys\nduration_seconds = 1h\n",
                Duration("1h".to_owned()),
            ),
            ("[profile a]\naws_access_key_id = A\n", HalfAKey),
            ("[profile a]\naws_secret_access_key = S\n", HalfAKey),
            (session, MissingSsoSession("corp".to_owned())),
            (
                "[profile a]\nlogin_session = arn\n",
                LoginSession("a".to_owned()),
            ),
            (
                "[profile a]\nrole_arn = 1\nsource_profile = b\n",
                MissingSource {
                    source_profile: "b".to_owned(),
                    known: "a, keys".to_owned(),
                },
            ),
        ] {
            assert_eq!(problem(config, "a").await, ("a".to_owned(), expected));
        }
    }

    #[tokio::test]
    async fn a_wrong_source_is_the_one_that_is_named() {
        let config =
            "[profile a]\nrole_arn = 1\nsource_profile = b\n[profile b]\nregion = us-east-2\n";
        let (profile, found) = problem(config, "a").await;
        assert_eq!(
            (profile.as_str(), found),
            ("b", ProfileProblem::NoCredentials)
        );
    }
}
