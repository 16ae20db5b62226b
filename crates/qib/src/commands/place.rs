//! Where a command works: in AWS, or in the local EC2, which is started if need be.

use super::error::CommandError;
use crate::args::account::AccountArgs;
use crate::edge::caller_address::{DEFAULT_SERVICE, EchoService, ThisMachine};
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::edge::mfa_prompt::TerminalPrompt;
use crate::render::summary::GuestLimits;
use aws::{AwsAccount, AwsOptions, Mfa, StaticCredentials};
use build::journal::Invocation;
use build::options::{CellOptions, Debugging, GuestEndpoint, OnFailure, RunOptions, Venue};
use build::ports::CallerAddress;
use cloud::retry::Retrying;
use cloud::{Account, RegionName};
use emulator::daemon::Status;
use std::path::Path;
use std::sync::Arc;

/// The port of SSH servers that nobody has moved (RFC 4253, section 4.1).
const SSH_PORT: u16 = 22;

/// Where a command works.
pub struct Place {
    /// The account.
    pub account: Arc<dyn Account>,
    /// The region.
    pub region: RegionName,
    /// Whether it is AWS.
    pub venue: Venue,
    /// The endpoint that commands in messages must name, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// The endpoint that instances reach.
    pub guest_endpoint: GuestEndpoint,
    /// The port of instances' SSH servers.
    pub ssh_port: u16,
    /// Where SSH comes from.
    pub caller_address: Arc<dyn CallerAddress>,
    /// Where the local EC2's guests fall short.
    pub guest_limits: GuestLimits,
}

impl Place {
    /// The place that the command line names; `region` is what the pipeline says about it.
    ///
    /// # Errors
    /// If no region is known, or the local EC2 cannot be started.
    pub async fn find(
        args: &AccountArgs,
        region: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        let region = args
            .region
            .as_ref()
            .map(|region| region.as_str().to_owned())
            .or_else(|| region.map(str::to_owned));
        if args.local {
            if args.mfa_code.is_some() {
                return Err(CommandError::bad_input(
                    "--mfa-code was given, and the local EC2 asks for none",
                ));
            }
            Self::local(region, environment).await
        } else {
            Self::aws(args, region, environment).await
        }
    }

    /// The options of a run of all cells here that cleans up and needs no debugging.
    pub fn options(&self, rebuild: &[String], environment: &Environment) -> RunOptions {
        RunOptions {
            venue: self.venue,
            region: self.region.clone(),
            cells: CellOptions::default(),
            endpoint: self.endpoint.clone(),
            guest_endpoint: self.guest_endpoint.clone(),
            ssh_port: self.ssh_port,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: rebuild.iter().cloned().collect(),
            agent_socket: environment.agent_socket.clone(),
            state_dir: environment.state_dir.clone(),
            invocation: Invocation::default(),
        }
    }

    async fn aws(
        args: &AccountArgs,
        region: Option<String>,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        let url = environment
            .caller_address_url
            .as_deref()
            .unwrap_or(DEFAULT_SERVICE);
        let caller_address = EchoService::new(url).map_err(CommandError::bad_input)?;
        let options = AwsOptions {
            region,
            profile: args.profile.clone(),
            mfa: Mfa {
                code: args.mfa_code.clone(),
                prompt: TerminalPrompt::find(),
            },
            ..AwsOptions::default()
        };
        let account = AwsAccount::connect(options).await?;
        Ok(Self {
            region: account.default_region().clone(),
            account: with_repeats(account),
            venue: Venue::Aws,
            endpoint: environment.ec2_endpoint.clone(),
            // Who names an endpoint for the whole environment means the EC2 that the instances are in as well.
            guest_endpoint: environment
                .ec2_endpoint
                .clone()
                .map_or(GuestEndpoint::Regional, GuestEndpoint::Fixed),
            ssh_port: SSH_PORT,
            caller_address: Arc::new(caller_address),
            guest_limits: GuestLimits::None,
        })
    }

    async fn local(
        region: Option<String>,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        let dir = environment.local_dir.clone();
        let started = tokio::task::spawn_blocking(move || start(&dir)).await;
        let status = started.map_err(|error| {
            CommandError::failed(format!("starting the local EC2 ended early: {error}"))
        })??;
        let endpoint = known(status.endpoint, "endpoint")?;
        let options = AwsOptions {
            region: Some(region.map_or_else(|| known(status.region, "region"), Ok)?),
            endpoint_url: Some(endpoint.clone()),
            credentials: Some(StaticCredentials {
                access_key_id: known(status.access_key_id, "access key")?,
                secret_access_key: known(status.secret_access_key, "secret access key")?,
            }),
            ..AwsOptions::default()
        };
        let account = AwsAccount::connect(options).await?;
        let rootless = status.guest_mode.as_deref() == Some("rootless");
        Ok(Self {
            region: account.default_region().clone(),
            account: with_repeats(account),
            venue: Venue::Rehearsal,
            endpoint: Some(endpoint.clone()),
            guest_endpoint: GuestEndpoint::Fixed(endpoint),
            ssh_port: known(status.ssh_port, "SSH port")?,
            caller_address: Arc::new(ThisMachine),
            guest_limits: if rootless {
                GuestLimits::Rootless
            } else {
                GuestLimits::None
            },
        })
    }
}

/// The account that runs use: nothing beneath or above it repeats a call.
fn with_repeats(account: AwsAccount) -> Arc<dyn Account> {
    let retrying = Retrying::new(Arc::new(account), Arc::new(SystemClock), rand::random());
    Arc::new(retrying)
}

/// Starts the local EC2 of `dir` unless it runs.
///
/// # Errors
/// What is missing on this host, or why it did not start.
pub fn start(dir: &Path) -> Result<Status, CommandError> {
    Ok(emulator::daemon::start_detached(dir, None)?)
}

/// A part of a running local EC2's status.
///
/// # Errors
/// If it is not there.
pub fn known<T>(part: Option<T>, what: &str) -> Result<T, CommandError> {
    part.ok_or_else(|| {
        CommandError::failed(format!("the local EC2 runs, but does not tell its {what}"))
            .hinted("`qib local down` and then `qib local up` start it anew")
    })
}
