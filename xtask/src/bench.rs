//! `cargo xtask bench`: figures, not verdicts. They are of this machine; compare them only with others of it.

use crate::bench_import::{self, ImportOptions};
use crate::command::{Failure, Program, failed};
use crate::emulator::LocalEc2;
use crate::rusage::wait_with_usage;
use crate::tree;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How to measure.
#[derive(Args)]
pub struct Options {
    /// How often each thing is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Measure this binary instead of building a release.
    #[arg(long, value_name = "QIB", global = true)]
    binary: Option<PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
}

/// What else can be measured.
#[derive(Subcommand)]
enum What {
    /// Sending a disk image into a snapshot, side by side with coldsnap.
    Import(ImportOptions),
}

/// Measures and prints.
///
/// # Errors
/// If qib cannot be built or one of the measured commands fails.
pub fn bench(options: &Options) -> Result<(), Failure> {
    let qib = match &options.binary {
        Some(binary) => {
            std::path::absolute(binary).map_err(|error| failed("finding the binary", &error))?
        }
        None => {
            Program::cargo()
                .args(["build", "--release", "--locked", "--bin", "qib"])
                .run()?;
            tree::target().join("release").join("qib")
        }
    };
    println!("qib: {}", qib.display());
    if let Some(What::Import(import)) = &options.what {
        return bench_import::bench(&qib, import);
    }
    a_run(&qib, options.runs)?;
    validate(&qib, options.runs)
}

/// A one-stage pipeline that does nothing, from start to exit.
fn a_run(qib: &Path, runs: u32) -> Result<(), Failure> {
    let pipeline = tree::root().join("xtask").join("bench-noop.yaml");
    let pipeline = pipeline.to_string_lossy();
    let ec2 = LocalEc2::start(qib)?;
    let args = ["run", "--local", pipeline.as_ref()];
    // The first fills the page cache and is shown apart.
    ec2.program(&args).stdout()?;
    let mut before = 0;
    let mut samples = Samples::default();
    for _ in 0..runs {
        before = ec2.requests()?;
        samples.measure(ec2.quiet(&args), "qib run --local")?;
    }
    println!("\none stage, no-op, local EC2 without delays, `qib run` to exit ({runs} runs):");
    samples.print();
    let calls = ec2.calls_after(before)?;
    println!(
        "\nAPI calls of the last of them: {}",
        calls.values().sum::<usize>()
    );
    for (action, count) in calls {
        println!("  {count:>4}  {action}");
    }
    Ok(())
}

/// `qib validate pipelines/ocp.yaml`.
fn validate(qib: &Path, runs: u32) -> Result<(), Failure> {
    let mut samples = Samples::default();
    for _ in 0..runs {
        let mut command = Program::new(qib)
            .args(["validate", "--local", "pipelines/ocp.yaml"])
            .into_command();
        command.stdout(std::process::Stdio::null());
        samples.measure(command, "qib validate")?;
    }
    println!("\nqib validate pipelines/ocp.yaml ({runs} runs):");
    samples.print();
    Ok(())
}

/// Times and peaks of one command, measured several times.
#[derive(Default)]
struct Samples {
    times: Vec<Duration>,
    peaks_kib: Vec<u64>,
}

impl Samples {
    fn measure(&mut self, mut command: Command, what: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        let child = command
            .spawn()
            .map_err(|error| failed(&format!("starting {what}"), &error))?;
        let usage = wait_with_usage(child)
            .map_err(|error| failed(&format!("waiting for {what}"), &error))?;
        if !usage.status.success() {
            return Err(Failure(format!(
                "{what} ended with {}; run it by hand to see why",
                usage.status
            )));
        }
        self.times.push(begun.elapsed());
        self.peaks_kib.push(usage.peak_kib);
        Ok(())
    }

    fn print(&mut self) {
        self.times.sort_unstable();
        self.peaks_kib.sort_unstable();
        let ms =
            |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0);
        println!(
            "  time         min {:.1} ms, median {:.1} ms, max {:.1} ms",
            ms(self.times.first()),
            ms(self.times.get(self.times.len() / 2)),
            ms(self.times.last())
        );
        if let Some(peak) = self.peaks_kib.last() {
            println!("  peak memory  {:.1} MiB", *peak as f64 / 1024.0);
        }
    }
}
