//! `-v`: what qib's own crates say about what they do.

use tracing_subscriber::EnvFilter;

/// qib's own crates, and no others: the SDK's log at this level holds whole requests, and so user-data with keys in it.
const OWN_CRATES: &str =
    "off,qib=debug,pipeline=debug,build=debug,cloud=debug,aws=debug,ssh=debug,emulator=debug";

/// Starts logging to stderr, if it is wanted. RUST_LOG is not heeded, for the reason above.
pub fn start(verbose: bool) {
    if verbose {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(OWN_CRATES))
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
}
