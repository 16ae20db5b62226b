//! `qib run`.

use super::account::AccountArgs;
use super::cells::CellArgs;
use super::variables::VariableArgs;
use build::pause::PausePoint;
use clap::Args;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Builds the images of a pipeline.
///
/// A cell whose inputs have not changed is not built again: its image is found by tag. A cell that fails stops those that
/// start from it and no others; run again, and only what is missing is built. Whatever the run creates
/// besides the images is removed when it ends, also when it fails or is interrupted.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The pipeline's file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub account: AccountArgs,
    #[command(flatten)]
    pub cells: CellArgs,
    /// How many cells build at once, and so how many instances run, at most. Without it: 8.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Lets no other cell begin once one has failed. Those that have begun go on.
    #[arg(long)]
    pub fail_fast: bool,
    /// Writes what happens to each cell, with all output, to STAGE--CELL.log in this folder, with times in UTC. Without it:
    /// in the run's folder; `qib runs show` names it.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// Waits for you after this step, as it is named in JSON, or after a provisioner, as provision:NAME, and prints the way
    /// in. Needs a terminal. Can be given several times.
    #[arg(long, value_name = "STEP")]
    pub pause_after: Vec<PausePoint>,
    /// Asks before each step, one cell at a time. Needs a terminal.
    #[arg(long, conflicts_with = "jobs")]
    pub step: bool,
    /// Keeps the instance of a cell that fails, with its key and security group, and prints the way in.
    #[arg(long)]
    pub keep_on_failure: bool,
    /// Makes debugging easy: waits 30 minutes for SSH unless the pipeline says how long, writes the login key and
    /// prints the way in as soon as the instance is launched.
    #[arg(long)]
    pub debug: bool,
    /// Lets SSH in from these IPv4 addresses too, such as a laptop's; implies --debug. Can be given several times.
    #[arg(long, value_name = "CIDR", value_parser = ipv4_range)]
    pub debug_from: Vec<String>,
    /// Builds a stage even if there is an image with the same inputs. Can be given several times.
    #[arg(long, value_name = "STAGE")]
    pub rebuild: Vec<String>,
    /// Prints one JSON object per line on stdout for everything that happens; the last one has the result.
    #[arg(long)]
    pub json: bool,
}

/// An address range in CIDR notation (RFC 4632), as EC2 takes it: the bits behind the prefix are zero. An address
/// alone stands for itself.
fn ipv4_range(text: &str) -> Result<String, String> {
    let malformed = || String::from("it is written like 203.0.113.7 or 203.0.113.0/24");
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (
            address,
            bits.parse::<u32>()
                .ok()
                .filter(|bits| *bits <= 32)
                .ok_or_else(malformed)?,
        ),
        None => (text, 32),
    };
    let address: Ipv4Addr = address.parse().map_err(|_| malformed())?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let first = Ipv4Addr::from(address.to_bits() & mask);
    if first == address {
        Ok(format!("{address}/{bits}"))
    } else {
        Err(format!(
            "the range of {bits} bits that it is in begins at {first}: write {first}/{bits}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::ipv4_range;

    #[test]
    fn a_range_is_taken_as_ec2_takes_it() {
        assert_eq!(
            ipv4_range("203.0.113.7"),
            Ok(String::from("203.0.113.7/32"))
        );
        assert_eq!(
            ipv4_range("203.0.113.0/24"),
            Ok(String::from("203.0.113.0/24"))
        );
        assert_eq!(ipv4_range("0.0.0.0/0"), Ok(String::from("0.0.0.0/0")));
        assert!(ipv4_range("203.0.113.7/24").is_err_and(|why| why.contains("203.0.113.0/24")));
        assert!(ipv4_range("203.0.113.0/33").is_err());
        assert!(ipv4_range("2001:db8::1").is_err());
        assert!(ipv4_range("").is_err());
    }
}
