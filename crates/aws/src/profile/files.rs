//! The shared configuration files: what they say, and on which line.

use super::failure::{ProfileError, ProfileProblem};
use crate::classify::reasons;
use aws_config::profile::{ProfileSet, load};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};
use std::path::PathBuf;

/// The files, read anew each time: who logs in again changes them while a run goes on.
#[derive(Clone, Debug)]
pub(super) struct ProfileFiles {
    fs: Fs,
    env: Env,
}

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its sections are `[profile NAME]`, and `[default]`.
    Config,
    /// Its sections are `[NAME]`.
    Credentials,
}

impl ProfileFiles {
    /// This machine's.
    pub(super) fn real() -> Self {
        Self {
            fs: Fs::real(),
            env: Env::real(),
        }
    }

    #[cfg(test)]
    pub(super) fn given(config: &str, credentials: &str) -> Self {
        Self {
            fs: Fs::from_slice(&[
                ("/home/.aws/config", config),
                ("/home/.aws/credentials", credentials),
            ]),
            env: Env::from_slice(&[("HOME", "/home")]),
        }
    }

    /// What they say. A file that is not there says nothing.
    pub(super) async fn load(&self) -> Result<ProfileSet, ProfileError> {
        load(&self.fs, &self.env, &EnvConfigFiles::default(), None)
            .await
            .map_err(|error| {
                let problem = ProfileProblem::Unreadable(reasons(&error));
                ProfileError::without_place("", problem)
            })
    }

    /// The error of a profile, with its place: of the key, if it is in one of the files, else of the profile.
    pub(super) fn error(
        &self,
        profile: &str,
        key: Option<&str>,
        problem: ProfileProblem,
    ) -> ProfileError {
        ProfileError {
            profile: profile.to_owned(),
            place: key
                .and_then(|key| self.place(profile, Some(key)))
                .or_else(|| self.place(profile, None)),
            problem,
        }
    }

    /// Where a profile, or a key of it, is written. What the credentials file says wins.
    fn place(&self, profile: &str, key: Option<&str>) -> Option<String> {
        [Kind::Credentials, Kind::Config]
            .into_iter()
            .find_map(|kind| {
                let path = self.path(kind)?;
                let text = self.text(&path)?;
                let line = line_of(&text, kind, profile, key)?;
                Some(format!("{}:{line}", path.display()))
            })
    }

    #[cfg(not(test))]
    fn text(&self, path: &PathBuf) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    #[cfg(test)]
    fn text(&self, path: &PathBuf) -> Option<String> {
        use futures::FutureExt as _;
        let bytes = self.fs.read_to_end(path).now_or_never()?.ok()?;
        String::from_utf8(bytes).ok()
    }

    /// <https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html>
    fn path(&self, kind: Kind) -> Option<PathBuf> {
        let (variable, name) = match kind {
            Kind::Config => ("AWS_CONFIG_FILE", "config"),
            Kind::Credentials => ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        };
        let home = || self.env.get("HOME").ok().map(PathBuf::from);
        match self.env.get(variable) {
            Ok(path) => match path.strip_prefix("~/") {
                Some(rest) => Some(home()?.join(rest)),
                None => Some(PathBuf::from(path)),
            },
            Err(_) => Some(home()?.join(".aws").join(name)),
        }
    }
}

/// The line, from 1, of a profile's section, or of a key in it.
fn line_of(text: &str, kind: Kind, profile: &str, key: Option<&str>) -> Option<usize> {
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(section) = section(line) {
            inside = is_of(section, kind, profile);
            if inside && key.is_none() {
                return Some(number);
            }
        } else if inside
            && let Some((name, _)) = line.split_once('=')
            && Some(name.trim()) == key
        {
            return Some(number);
        }
    }
    None
}

fn section(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    Some(name.trim())
}

fn is_of(section: &str, kind: Kind, profile: &str) -> bool {
    let named = match kind {
        Kind::Credentials => Some(section),
        Kind::Config if section == "default" => Some(section),
        Kind::Config => section
            .strip_prefix("profile")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map(str::trim),
    };
    named == Some(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = us-east-2\n\n[profile a]\nrole_arn = arn\n source_profile=b\n\n[profileb]\nx = 1\n";

    #[test]
    fn a_profile_and_a_key_have_their_lines() {
        let line = |profile, key| line_of(CONFIG, Kind::Config, profile, key);
        assert_eq!(line("default", None), Some(1));
        assert_eq!(line("a", None), Some(4));
        assert_eq!(line("a", Some("source_profile")), Some(6));
        assert_eq!(line("a", Some("region")), None);
        assert_eq!(line("b", None), None);
        let credentials = "[a]\naws_access_key_id = A\n";
        assert_eq!(line_of(credentials, Kind::Credentials, "a", None), Some(1));
    }

    #[test]
    fn the_place_of_a_key_is_that_of_the_file_it_is_in() {
        let files = ProfileFiles::given(CONFIG, "[a]\naws_access_key_id = A\n");
        let place = |profile, key| {
            files
                .error(profile, key, ProfileProblem::NoSource)
                .to_string()
        };
        let of = |place: String| place.split(": ").next().unwrap().to_owned();
        assert_eq!(of(place("a", Some("role_arn"))), "/home/.aws/config:5");
        assert_eq!(of(place("a", None)), "/home/.aws/credentials:1");
        assert_eq!(of(place("c", None)), "AWS profile \"c\"");
    }
}
