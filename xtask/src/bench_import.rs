//! `cargo xtask bench import`: a disk image into a snapshot of the local EC2, side by side with coldsnap; and what reading and
//! hashing alone takes, side by side with `qemu-img convert`.
//!
//! Every figure of one table is of one run on one machine, one command after the other; only their ratios mean anything
//! elsewhere. The endpoint runs on the same processors: how much of them it takes is printed, too.

use crate::coldsnap::{self, Profile};
use crate::command::{Failure, Program, failed};
use crate::emulator::LocalEc2;
use crate::rusage::wait_with_usage;
use clap::Args;
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// How to measure.
#[derive(Args)]
pub struct ImportOptions {
    /// The size of the disk image, in GiB; a third of it is written.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    gib: u64,
    /// Milliseconds that the endpoint takes for a request, one measurement for each.
    #[arg(long, value_delimiter = ',', default_value = "0,50")]
    latency_ms: Vec<u64>,
    /// How often each is measured; the quickest counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    repeat: u32,
    /// coldsnap, instead of building the release.
    #[arg(long, value_name = "COLDSNAP")]
    coldsnap: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// If something cannot be built, or one of the measured commands fails.
pub fn bench(qib: &Path, options: &ImportOptions) -> Result<(), Failure> {
    let coldsnap = match &options.coldsnap {
        Some(program) => program.clone(),
        None => {
            coldsnap::install(Profile::Release)?;
            coldsnap::program(Profile::Release)
        }
    };
    let folder = std::env::temp_dir().join(format!("qib-bench-import-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| failed("making a folder", &error))?;
    let measured = in_folder(qib, &coldsnap, options, &folder);
    fs::remove_dir_all(&folder).map_err(|error| failed("removing the folder", &error))?;
    measured
}

fn in_folder(
    qib: &Path,
    coldsnap: &Path,
    options: &ImportOptions,
    folder: &Path,
) -> Result<(), Failure> {
    let image = folder.join("disk.raw");
    write_image(&image, options.gib).map_err(|error| failed("writing the image", &error))?;
    println!(
        "\n{} GiB, a third written, in pieces of 1 to 16 MiB; {} times each, the quickest; the endpoint is a local EC2 on the \
         same {} processors",
        options.gib,
        options.repeat,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    reading(&image, folder, options)?;
    for latency in &options.latency_ms {
        for zeros in [Zeros::Sent, Zeros::LeftOut] {
            // One for each: what was sent to it goes with it, and sixteen images of some GiB would fill a disk.
            let ec2 = LocalEc2::start(qib)?;
            let account = Account::of(&ec2, folder)?;
            ec2.set_faults(&format!(
                r#"{{ "latency_ms": {{ "PutSnapshotBlock": {latency} }} }}"#
            ))?;
            let theirs_and_ours = |run| {
                let theirs = coldsnap_command(coldsnap, &account, &image, zeros);
                let name = format!("bench-{latency}-{zeros:?}-{run}");
                let ours = qib_command(&ec2, &image, zeros, &name);
                Ok((
                    account.measure(theirs, "coldsnap")?,
                    account.measure(ours, "qib import")?,
                ))
            };
            let (mut theirs, mut ours) = theirs_and_ours(0)?;
            for run in 1..options.repeat {
                let (their_next, our_next) = theirs_and_ours(run)?;
                theirs = theirs.or_quicker(their_next);
                ours = ours.or_quicker(our_next);
            }
            println!("\n{latency} ms a request, zeros {}:", zeros.words());
            println!(
                "  {:<10} {:>8} {:>9} {:>9} {:>11} {:>13}",
                "", "seconds", "MiB/s", "CPU s", "peak MiB", "endpoint CPU s"
            );
            for (name, usage) in [("coldsnap", &theirs), ("qib", &ours)] {
                usage.print(name, options.gib);
            }
            println!(
                "  coldsnap / qib: time {:.2}, CPU {:.2}",
                theirs.took.as_secs_f64() / ours.took.as_secs_f64(),
                theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64()
            );
        }
    }
    Ok(())
}

/// What becomes of blocks of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeros {
    Sent,
    LeftOut,
}

impl Zeros {
    fn words(self) -> &'static str {
        match self {
            Self::Sent => "sent (both programs' default)",
            Self::LeftOut => "left out",
        }
    }
}

/// A sparse file: pieces of random bytes, a third of it in all.
fn write_image(path: &Path, gib: u64) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(gib * 1024 * MIB)?;
    let random = File::open("/dev/urandom")?;
    let mut piece = vec![0; 16 * MIB as usize];
    let mut offset = 0;
    let mut at: u64 = 0;
    while offset < gib * 1024 * MIB {
        // 1, 2, 4, 8 and 16 MiB in turn, each followed by twice as much of nothing.
        let length = MIB << (at % 5);
        let length = length.min(gib * 1024 * MIB - offset);
        let part = &mut piece[..usize::try_from(length).unwrap_or_default()];
        io::Read::read_exact(&mut (&random), part)?;
        file.write_all_at(part, offset)?;
        offset += length * 3;
        at += 1;
    }
    file.sync_all()
}

/// Reading and hashing alone.
fn reading(image: &Path, folder: &Path, options: &ImportOptions) -> Result<(), Failure> {
    let packed = folder.join("disk.qcow2");
    let image_name = image.to_string_lossy().into_owned();
    let packed_name = packed.to_string_lossy().into_owned();
    Program::new("qemu-img")
        .args(["convert", "-O", "qcow2", &image_name, &packed_name])
        .stdout()?;
    println!("\nreading the whole disk:");
    for (format, file) in [("raw", &image_name), ("qcow2", &packed_name)] {
        let out = folder.join("converted.raw");
        let qemu = best(options.repeat, |_| {
            let mut command = Command::new("qemu-img");
            command
                .args(["convert", "-f", format, "-O", "raw", file])
                .arg(&out);
            Used::of(command, "qemu-img", folder)
        })?;
        let disk = disk::open(Path::new(file), &disk::OpenOptions::default())
            .map_err(|error| failed("opening the image", &error))?
            .disk;
        let threads = std::thread::available_parallelism()
            .map_err(|error| failed("counting processors", &error))?;
        let reading = disk::blocks::Reading {
            threads,
            queue: threads,
        };
        let mut ours = Duration::MAX;
        for _ in 0..options.repeat {
            let begun = Instant::now();
            disk::blocks::content_digest(&disk, reading)
                .map_err(|error| failed("reading the image", &error))?;
            ours = ours.min(begun.elapsed());
        }
        let rate = |time: Duration| options.gib as f64 / time.as_secs_f64();
        println!(
            "  {format:<6} qib's reader with SHA-256 {:.2} GiB/s, `qemu-img convert` to raw {:.2} GiB/s: {:.2} times as fast",
            rate(ours),
            rate(qemu.took),
            qemu.took.as_secs_f64() / ours.as_secs_f64()
        );
        fs::remove_file(&out).map_err(|error| failed("removing a file", &error))?;
    }
    Ok(())
}

/// What a command has used.
#[derive(Clone, Copy, Debug)]
struct Used {
    took: Duration,
    cpu: Duration,
    peak_kib: u64,
    endpoint_cpu: Duration,
}

impl Used {
    /// Runs it. What it says of a failure is kept in `folder` until then.
    fn of(mut command: Command, what: &str, folder: &Path) -> Result<Self, Failure> {
        let said = folder.join("stderr");
        let stderr = File::create(&said).map_err(|error| failed("making a file", &error))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let begun = Instant::now();
        let child = command
            .spawn()
            .map_err(|error| failed(&format!("starting {what}"), &error))?;
        let usage = wait_with_usage(child)
            .map_err(|error| failed(&format!("waiting for {what}"), &error))?;
        if !usage.status.success() {
            let said = fs::read_to_string(&said).unwrap_or_default();
            return Err(Failure(format!(
                "{what} ended with {}:\n{said}",
                usage.status
            )));
        }
        Ok(Self {
            took: begun.elapsed(),
            cpu: usage.cpu,
            peak_kib: usage.peak_kib,
            endpoint_cpu: Duration::ZERO,
        })
    }

    fn or_quicker(self, other: Self) -> Self {
        if other.took < self.took { other } else { self }
    }

    fn print(&self, name: &str, gib: u64) {
        println!(
            "  {name:<10} {:>8.2} {:>9.0} {:>9.2} {:>11.0} {:>13.2}",
            self.took.as_secs_f64(),
            (gib * 1024) as f64 / self.took.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.peak_kib as f64 / 1024.0,
            self.endpoint_cpu.as_secs_f64()
        );
    }
}

/// The quickest of several.
fn best(
    repeat: u32,
    mut measure: impl FnMut(u32) -> Result<Used, Failure>,
) -> Result<Used, Failure> {
    let mut best = measure(0)?;
    for run in 1..repeat {
        best = best.or_quicker(measure(run)?);
    }
    Ok(best)
}

/// How a client reaches the local EC2.
struct Account {
    endpoint: String,
    variables: Vec<(&'static str, String)>,
    process: u32,
    folder: PathBuf,
}

impl Account {
    fn of(ec2: &LocalEc2, folder: &Path) -> Result<Self, Failure> {
        let status = ec2.program(&["local", "status", "--json"]).stdout()?;
        let status: Value = serde_json::from_slice(&status)
            .map_err(|error| failed("reading `qib local status`", &error))?;
        let text = |key: &str| {
            let text = status[key].as_str().map(str::to_owned);
            text.ok_or_else(|| Failure(format!("`qib local status` tells no {key}")))
        };
        let process = status["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok());
        Ok(Self {
            endpoint: text("endpoint")?,
            variables: vec![
                ("AWS_ACCESS_KEY_ID", text("access_key_id")?),
                ("AWS_SECRET_ACCESS_KEY", text("secret_access_key")?),
                ("AWS_REGION", text("region")?),
                ("AWS_ENDPOINT_URL", text("endpoint")?),
                ("AWS_EC2_METADATA_DISABLED", String::from("true")),
            ],
            process: process
                .ok_or_else(|| Failure(String::from("`qib local status` tells no pid")))?,
            folder: folder.to_path_buf(),
        })
    }

    /// Processor time of the local EC2 so far.
    fn endpoint_cpu(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process))
            .map_err(|error| failed("reading the endpoint's processor time", &error))?;
        // The second field is the name, in brackets, and may hold anything (proc(5)).
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<u64> = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse().ok())
            .collect();
        // In ticks, of which Linux has always counted 100 a second for programs.
        Ok(Duration::from_millis(fields.iter().sum::<u64>() * 10))
    }

    fn measure(&self, command: Command, what: &str) -> Result<Used, Failure> {
        // What the one before has written must not be written to the disk while this one is measured.
        Program::new("sync").run()?;
        let before = self.endpoint_cpu()?;
        let used = Used::of(command, what, &self.folder)?;
        Ok(Used {
            endpoint_cpu: self.endpoint_cpu()?.saturating_sub(before),
            ..used
        })
    }
}

fn coldsnap_command(program: &Path, account: &Account, image: &Path, zeros: Zeros) -> Command {
    let mut command = Command::new(program);
    command
        .envs(account.variables.iter().map(|(key, value)| (key, value)))
        .args(["--endpoint", &account.endpoint, "upload", "--no-progress"])
        .arg(image);
    if zeros == Zeros::LeftOut {
        command.arg("--omit-zero-blocks");
    }
    command
}

fn qib_command(ec2: &LocalEc2, image: &Path, zeros: Zeros, name: &str) -> Command {
    let holes = match zeros {
        Zeros::Sent => "send",
        Zeros::LeftOut => "skip",
    };
    let image = image.to_string_lossy();
    ec2.quiet(&[
        "import",
        "--local",
        image.as_ref(),
        "--name",
        name,
        "--arch",
        "x86_64",
        "--holes",
        holes,
    ])
}
