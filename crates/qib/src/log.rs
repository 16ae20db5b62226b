//! `-v`: what qib's own crates say about what they do.

use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// qib's own crates.
const OWN_CRATES: [&str; 7] = [
    "qib", "pipeline", "build", "cloud", "aws", "ssh", "emulator",
];

/// Starts logging to stderr, if it is wanted. RUST_LOG is not heeded: the SDK's log holds whole requests, and so
/// user-data with keys in it.
pub fn start(verbose: bool) {
    if verbose {
        let own = filter_fn(|metadata| {
            *metadata.level() <= LevelFilter::DEBUG && is_own(metadata.target())
        });
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false);
        tracing_subscriber::registry()
            .with(lines.with_filter(own))
            .init();
    }
}

/// Whether a record or a span is of one of qib's own crates. The whole name of the crate must be right: directives such
/// as `aws=debug` go by its beginning, and would let `aws_smithy_runtime` through as well.
fn is_own(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    OWN_CRATES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn only_qibs_own_crates_are_heard() {
        for own in ["qib", "aws", "aws::launch", "build::run::stage"] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "aws_smithy_runtime::client",
            "aws_sdk_ec2",
            "hyper::client",
            "russh",
            "ssh_key",
            "buildx::y",
            "",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
