//! `qib plan`.

use super::error::CommandError;
use super::pipeline_file::{Target, choose, load};
use super::place::Place;
use super::terminal::Terminal;
use crate::args::plan::{PlanArgs, PlannedArgs};
use crate::edge::clock::SystemClock;
use crate::edge::disk_images::CachedImages;
use crate::edge::environment::Environment;
use crate::render::json::document;
use crate::render::plan::{identity_line, plan_text};
use crate::render::wording::until;
use build::event::{Event, Observer};
use build::options::{CellOptions, RunOptions};
use build::ports::Ports;
use build::selection::Choice;
use pipeline::Loaded;
use std::sync::Arc;

/// A plan has no events.
struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _event: &Event) {}
}

/// A pipeline, and an account that is asked about it.
pub struct Planned {
    /// The pipeline.
    pub loaded: Loaded,
    /// How it would be run.
    pub options: RunOptions,
    /// The account, and nothing by which something could be done in a guest or on this machine.
    pub ports: Ports,
}

impl Planned {
    /// What the command line says.
    ///
    /// # Errors
    /// If the pipeline is wrong or the account cannot be found.
    pub async fn from(args: PlannedArgs, environment: &Environment) -> Result<Self, CommandError> {
        let loaded = load(
            &args.pipeline,
            &args.variables,
            Target::of(args.account.local),
            &args.rebuild,
            environment,
        )?;
        let region = loaded
            .pipeline
            .aws
            .region
            .as_ref()
            .map(|region| region.value.as_str());
        let place = Place::find(&args.account, region, environment).await?;
        let options = RunOptions {
            cells: CellOptions {
                choice: Choice {
                    only: args.cells.only,
                    except: args.cells.except,
                },
                ..CellOptions::default()
            },
            ..place.options(&args.rebuild, environment)
        };
        choose(&loaded, &options)?;
        let ports = Ports {
            account: place.account,
            clock: Arc::new(SystemClock),
            guests: Arc::new(build::ssh_access::SshAccess::default()),
            caller_address: place.caller_address,
            host: build::host::Host {
                disk_images: Arc::new(CachedImages::new(environment.cache_dir.join("images"))),
                ..build::host::Host::absent()
            },
            observer: Arc::new(Nobody),
            journal_watch: None,
        };
        Ok(Self {
            loaded,
            options,
            ports,
        })
    }
}

/// Does it and gives the exit code.
///
/// # Errors
/// If the pipeline is wrong or the account cannot be asked.
pub async fn plan(
    args: PlanArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let Planned {
        loaded,
        options,
        ports,
    } = Planned::from(args.planned, environment).await?;
    let plan = build::plan::plan(&loaded.pipeline, &options, &ports).await?;
    // After the plan, whose error is the one to show. Who cannot say when the credentials end says nothing.
    if let Ok(Some(end)) = &ports.account.credentials_expiry().await {
        terminal.say(&format!("the credentials are good{}", until(end)));
    }
    if args.json {
        terminal.say(&identity_line(&plan));
        terminal.result(|out| document(out, &plan.rows))?;
    } else {
        terminal.result_text(&plan_text(&plan, terminal.out))?;
    }
    let blocked: Vec<String> = plan
        .blocked()
        .map(|row| format!("{}/{}: {}", row.stage, row.cell, row.reason))
        .collect();
    if blocked.is_empty() {
        Ok(0)
    } else {
        Err(CommandError::failed(blocked.join("\n")))
    }
}
