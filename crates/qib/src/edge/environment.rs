//! The environment: read once, in here, and passed on.

use super::crash_point::CrashPoint;
use etcetera::BaseStrategy;
use std::path::PathBuf;

/// What of the environment qib itself heeds. The AWS SDK reads its own variables.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where runs are kept: QIB_STATE_DIR, else `qib` in the XDG state folder.
    pub state_dir: PathBuf,
    /// Where the local EC2 lives: QIB_LOCAL_DIR, else `qib/local-ec2` in the XDG state folder.
    pub local_dir: PathBuf,
    /// Where downloaded disk images are kept: QIB_CACHE_DIR, else `qib` in the XDG cache folder.
    pub cache_dir: PathBuf,
    /// The user's home, for `~` in a pipeline's paths.
    pub home: Option<PathBuf>,
    /// The socket of the user's SSH agent.
    pub agent_socket: Option<PathBuf>,
    /// QIB_CALLER_ADDRESS_URL: the service that says what address one calls from.
    pub caller_address_url: Option<String>,
    /// The EC2 endpoint that the AWS environment names instead of AWS's own.
    pub ec2_endpoint: Option<String>,
    /// QIB_CRASH_AT: where the process kills itself, in tests.
    pub crash_at: Option<CrashPoint>,
}

/// The environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadEnvironment {
    /// The folders cannot be told.
    #[error(
        "there is no home folder to keep state in: set HOME, or QIB_STATE_DIR, QIB_LOCAL_DIR and QIB_CACHE_DIR"
    )]
    NoHome,
    /// QIB_CRASH_AT is malformed.
    #[error("{0}")]
    CrashPoint(String),
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// If a folder is neither named nor can be derived from the user's home, or a variable is malformed.
    pub fn read() -> Result<Self, BadEnvironment> {
        let strategy = etcetera::choose_base_strategy().ok();
        let named = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let state = || {
            let strategy = strategy.as_ref().ok_or(BadEnvironment::NoHome)?;
            // Where a system has no folder for state, such as macOS's own layout, its folder for data.
            Ok(strategy
                .state_dir()
                .unwrap_or_else(|| strategy.data_dir())
                .join("qib"))
        };
        let cache = || {
            let strategy = strategy.as_ref().ok_or(BadEnvironment::NoHome)?;
            Ok(strategy.cache_dir().join("qib"))
        };
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            state_dir: named("QIB_STATE_DIR").map_or_else(state, Ok)?,
            local_dir: named("QIB_LOCAL_DIR")
                .map_or_else(|| state().map(|dir| dir.join("local-ec2")), Ok)?,
            cache_dir: named("QIB_CACHE_DIR").map_or_else(cache, Ok)?,
            home: strategy
                .as_ref()
                .map(|strategy| strategy.home_dir().to_owned()),
            agent_socket: named("SSH_AUTH_SOCK"),
            caller_address_url: text("QIB_CALLER_ADDRESS_URL"),
            crash_at: text("QIB_CRASH_AT")
                .map(|point| point.parse().map_err(BadEnvironment::CrashPoint))
                .transpose()?,
            ec2_endpoint: text("AWS_ENDPOINT_URL_EC2").or_else(|| text("AWS_ENDPOINT_URL")),
        })
    }

    /// A variable that a pipeline asks for by name; none if it is unset or not text.
    pub fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
