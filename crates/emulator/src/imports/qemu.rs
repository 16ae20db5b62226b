//! The program `qemu-img`, kept on a short lead: the format is given, so that it guesses nothing; its environment is empty; it is
//! ended when it takes too long.

use super::Unusable;
use super::container::Kind;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long a conversion may take.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// How much of what it says is passed on.
const MOST_WORDS: usize = 300;

/// Converts a file to a raw one with holes.
pub(super) async fn convert(kind: Kind, from: &Path, to: &Path) -> Result<(), Unusable> {
    let mut command = Command::new("qemu-img");
    command
        .args(["convert", "-f", kind.name(), "-O", "raw", "-S", "4k", "--"])
        .args([from, to])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Unusable::Internal(
            "the local EC2 converts disk images with qemu-img, which is not installed on this host"
                .to_owned(),
        ),
        _ => Unusable::Internal(format!("cannot start qemu-img: {e}")),
    })?;
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.map_err(|_| {
        Unusable::Internal(format!(
            "qemu-img took longer than {} s",
            PATIENCE.as_secs()
        ))
    })??;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    tracing::info!("qemu-img refused a disk image: {}", said.trim());
    // Its words name the local EC2's own files, which are nobody's business.
    let said = said.trim().rsplit(": ").next().unwrap_or_default();
    let said: String = said.chars().take(MOST_WORDS).collect();
    let format = kind.name().to_ascii_uppercase();
    Err(Unusable::Invalid(format!(
        "Invalid {} File: {said}",
        if kind == Kind::Vpc { "VHD" } else { &format }
    )))
}
