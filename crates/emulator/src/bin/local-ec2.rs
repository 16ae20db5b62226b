//! The local EC2 by itself, for tests and for looking at it: `local-ec2 up --dir D`.

use clap::{Parser, Subcommand, ValueEnum};
use emulator::config::{Delays, EmulatorConfig};
use emulator::daemon;
use emulator::engine::request_log;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A local EC2.
#[derive(Parser)]
struct Arguments {
    /// Its folder.
    #[arg(
        long,
        global = true,
        env = "QIB_LOCAL_DIR",
        default_value = ".local-ec2"
    )]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start it in the background unless it runs.
    Up(Settings),
    /// Serve in the foreground.
    Serve(Settings),
    /// End it; its instances boot again with it.
    Down,
    /// Print what is known of it, as JSON.
    Status,
    /// End it and remove everything it holds.
    Reset,
    /// Say whether and how this host can run guests.
    Probe,
    /// Print how often each action was asked for, as JSON.
    Requests,
}

#[derive(clap::Args)]
struct Settings {
    /// How long EC2 takes for things.
    #[arg(long, value_enum)]
    delays: Option<DelaysArgument>,
    /// Let random public addresses be reached too.
    #[arg(long)]
    no_firewall: bool,
    /// After how long without a request and without an instance it ends.
    #[arg(long)]
    idle_seconds: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DelaysArgument {
    None,
    Short,
    Ec2Like,
}

fn main() -> ExitCode {
    emulator::guest::run_if_guest_process();
    daemon::run_if_daemon_process();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "local-ec2: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let dir = &arguments.dir;
    match &arguments.command {
        Command::Up(settings) => {
            std::fs::create_dir_all(dir)?;
            let status =
                daemon::start_detached(dir, Some(&settings.over(EmulatorConfig::read(dir)?)))?;
            print(&status)
        }
        Command::Serve(settings) => {
            std::fs::create_dir_all(dir)?;
            settings.over(EmulatorConfig::read(dir)?).write(dir)?;
            Ok(daemon::serve(dir, || {})?)
        }
        Command::Down => {
            daemon::stop(dir)?;
            Ok(())
        }
        Command::Status => print(&daemon::status(dir)?),
        Command::Reset => Ok(daemon::reset(dir)?),
        Command::Probe => {
            let host = emulator::guest::GuestHost::probe()
                .map_err(|p| format!("this host cannot run guests: {}. {}", p.missing, p.remedy))?;
            print(&emulator::runtime::GuestRuntime::mode(&host))
        }
        Command::Requests => print(&request_log::counts(&request_log::read(dir)?)),
    }
}

impl Settings {
    fn over(&self, mut config: EmulatorConfig) -> EmulatorConfig {
        match self.delays {
            Some(DelaysArgument::None) => config.delays = Delays::None,
            Some(DelaysArgument::Short) => config.delays = Delays::Short,
            Some(DelaysArgument::Ec2Like) => config.delays = Delays::Ec2Like,
            None => {}
        }
        if self.no_firewall {
            config.firewall = false;
        }
        config.idle_seconds = self.idle_seconds.unwrap_or(config.idle_seconds);
        config
    }
}

fn print(value: &impl serde::Serialize) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}
