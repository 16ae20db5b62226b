//! How a local EC2 behaves, from `config.json` in its folder.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// The settings. A key that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmulatorConfig {
    /// How long EC2 takes for things.
    pub delays: Delays,
    /// Whether a firewall stands between the caller and the instances that lets only Elastic IPs through.
    pub firewall: bool,
    /// The port to serve the API on; a free one if it is taken.
    pub port: u16,
    /// After how long without a request and without an instance the daemon ends.
    pub idle_seconds: u64,
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        Self {
            delays: Delays::Short,
            firewall: true,
            port: 4592,
            idle_seconds: 15 * 60,
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
                status_checks: ms(250),
                terminated_shown: Duration::from_secs(600),
                throttle: Some(Throttle {
                    read_burst: 200,
                    read_rate: 100,
                    write_burst: 100,
                    write_rate: 50,
                }),
            },
            Self::Ec2Like => Timing {
                visibility: ms(1_500),
                pending: Duration::from_secs(8),
                stopping: Duration::from_secs(15),
                shutting_down: Duration::from_secs(20),
                image: Duration::from_secs(45),
                status_checks: Duration::from_secs(60),
                terminated_shown: Duration::from_secs(3_600),
                throttle: Some(Throttle {
                    read_burst: 100,
                    read_rate: 20,
                    write_burst: 50,
                    write_rate: 5,
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
            Ok(text) => serde_json::from_slice(&text).map_err(|e| bad(e.to_string())),
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
        };
        config.write(dir.path()).unwrap();
        assert_eq!(EmulatorConfig::read(dir.path()).unwrap(), config);
    }
}
