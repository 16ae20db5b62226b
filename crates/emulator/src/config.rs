//! How a local EC2 behaves, from `config.json` in its folder.

use crate::account::policy::{Kind, Policy};
use crate::account::quotas::{self, Values};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// The settings. A key that is not known is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmulatorConfig {
    /// How long EC2 takes for things.
    pub delays: Delays,
    /// Whether a firewall stands between the caller and the instances that lets only Elastic IPs through. It stands before
    /// the regions in which the account has one.
    pub firewall: bool,
    /// The port to serve the API on; a free one if it is taken.
    pub port: u16,
    /// After how long without a request and without an instance the daemon ends.
    pub idle_seconds: u64,
    /// Quotas, by code.
    pub quotas: Values,
    /// What the account's user may do, as an IAM policy; everything without.
    pub policy: Option<serde_json::Value>,
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        Self {
            delays: Delays::Short,
            firewall: true,
            port: 4592,
            idle_seconds: 15 * 60,
            quotas: Values::new(),
            policy: None,
        }
    }
}

/// How long EC2 takes for things, and how many requests it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delays {
    /// Nothing waits: a change is seen at once, and no request is throttled.
    None,
    /// Short enough not to be noticed, long enough that a client that does not wait fails.
    #[default]
    Short,
    /// As long as EC2 itself is seen to take.
    Ec2Like,
}

/// What [`Delays`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new resource is unknown to other requests, see
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>.
    pub visibility: Duration,
    /// `pending` at least.
    pub pending: Duration,
    /// `stopping` at least.
    pub stopping: Duration,
    /// `shutting-down` at least.
    pub shutting_down: Duration,
    /// From the capture's end until the image is available.
    pub image: Duration,
    /// How long a copy of an image or snapshot takes to another region at least.
    pub copy: Duration,
    /// How long an import task takes at least.
    pub import: Duration,
    /// From a launch until its image says when it was last launched from.
    pub launch_reported: Duration,
    /// How long a change of IAM is unknown to other services, see
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>.
    pub iam: Duration,
    /// How long SSM takes to check a parameter's value.
    pub validation: Duration,
    /// From running until the status checks pass.
    pub status_checks: Duration,
    /// How long a terminated instance is still shown.
    pub terminated_shown: Duration,
    /// How requests are throttled, if they are.
    pub throttle: Option<Throttle>,
}

/// Token buckets, one for each region and action, see
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Requests at once, of an action that changes nothing.
    pub read_burst: u32,
    /// Requests per second afterwards.
    pub read_rate: u32,
    /// Requests at once, of an action that changes something.
    pub write_burst: u32,
    /// Requests per second afterwards.
    pub write_rate: u32,
    /// Blocks of snapshots per second, put or got, of an account and of each snapshot, and at once: 1,000 on EC2
    /// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html>).
    pub blocks: u32,
}

impl Delays {
    /// The figures.
    pub fn timing(self) -> Timing {
        let ms = Duration::from_millis;
        match self {
            Self::None => Timing {
                visibility: ms(0),
                pending: ms(0),
                stopping: ms(0),
                shutting_down: ms(0),
                image: ms(0),
                copy: ms(0),
                import: ms(0),
                launch_reported: ms(0),
                iam: ms(0),
                validation: ms(0),
                status_checks: ms(0),
                terminated_shown: Duration::from_secs(600),
                throttle: None,
            },
            Self::Short => Timing {
                visibility: ms(60),
                pending: ms(100),
                stopping: ms(60),
                shutting_down: ms(60),
                image: ms(250),
                copy: ms(400),
                import: ms(600),
                launch_reported: ms(0),
                iam: ms(400),
                validation: ms(150),
                status_checks: ms(250),
                terminated_shown: Duration::from_secs(600),
                throttle: Some(Throttle {
                    read_burst: 200,
                    read_rate: 100,
                    write_burst: 100,
                    write_rate: 50,
                    blocks: 100_000,
                }),
            },
            Self::Ec2Like => Timing {
                visibility: ms(1_500),
                pending: Duration::from_secs(8),
                stopping: Duration::from_secs(15),
                shutting_down: Duration::from_secs(20),
                image: Duration::from_secs(45),
                copy: Duration::from_secs(90),
                import: Duration::from_secs(300),
                launch_reported: Duration::from_secs(24 * 3_600),
                iam: Duration::from_secs(10),
                validation: Duration::from_secs(5),
                status_checks: Duration::from_secs(60),
                terminated_shown: Duration::from_secs(3_600),
                throttle: Some(Throttle {
                    read_burst: 100,
                    read_rate: 20,
                    write_burst: 50,
                    write_rate: 5,
                    blocks: 1_000,
                }),
            },
        }
    }
}

/// `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {why}; correct it, or remove it to go back to the defaults")]
pub struct BadConfig {
    path: String,
    why: String,
}

impl EmulatorConfig {
    /// Reads `config.json` in `dir`; the defaults if there is none.
    ///
    /// # Errors
    /// If it cannot be read or holds something unknown.
    pub fn read(dir: &Path) -> Result<Self, BadConfig> {
        let path = dir.join("config.json");
        let bad = |why: String| BadConfig {
            path: path.display().to_string(),
            why,
        };
        match std::fs::read(&path) {
            Ok(text) => {
                let config: Self = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
                quotas::check(&config.quotas).map_err(bad)?;
                let policy = config.policy.as_ref();
                policy
                    .map(|p| Policy::of_value(p, Kind::Identity))
                    .transpose()
                    .map_err(|e| bad(format!("`policy`: {e}")))?;
                Ok(config)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(bad(e.to_string())),
        }
    }

    /// Writes `config.json` in `dir`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), BadConfig> {
        let path = dir.join("config.json");
        let bad = |why: String| BadConfig {
            path: path.display().to_string(),
            why,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|e| bad(e.to_string()))?;
        crate::files::replace(&path, &text).map_err(|e| bad(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            EmulatorConfig::read(dir.path()).unwrap(),
            EmulatorConfig::default()
        );
        std::fs::write(dir.path().join("config.json"), r#"{"delays":"none"}"#).unwrap();
        let config = EmulatorConfig::read(dir.path()).unwrap();
        assert_eq!((config.delays, config.firewall), (Delays::None, true));
        std::fs::write(dir.path().join("config.json"), r#"{"delay":"none"}"#).unwrap();
        assert!(
            EmulatorConfig::read(dir.path())
                .unwrap_err()
                .to_string()
                .contains("delay")
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let config = EmulatorConfig {
            delays: Delays::Ec2Like,
            firewall: false,
            port: 1,
            idle_seconds: 2,
            quotas: Values::from([("L-1216C47A".to_owned(), 8.0)]),
            policy: None,
        };
        config.write(dir.path()).unwrap();
        assert_eq!(EmulatorConfig::read(dir.path()).unwrap(), config);
    }
}
