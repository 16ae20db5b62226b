//! The shell programs that receive files at the host, and what their endings mean. POSIX sh only: the host's may be
//! dash, busybox or anything else.

use super::{RemotePath, UploadError};
use crate::connect::Connection;
use crate::exec::{Collected, CommandExit, Stream};
use crate::quote::shell_quote;

/// The content's hash is not the one announced.
const MISMATCH: u32 = 96;
/// A program is missing; its name is on standard output.
const MISSING_TOOL: u32 = 97;

/// Most that is kept of what a failing program says, in bytes.
pub const MOST_SAID: usize = 16 * 1024;

/// Shell text that stops with [`MISSING_TOOL`] unless all of `tools` are there.
pub fn require(tools: &[&str]) -> String {
    format!(
        "for t in {}; do command -v \"$t\" >/dev/null 2>&1 || {{ echo \"$t\"; exit {MISSING_TOOL}; }}; done",
        tools.join(" ")
    )
}

/// Shell text that receives one file: first a line with its SHA-256, then its content. It is written next to its place
/// under a name of its own (`unique`), open to nobody else, and moved into place only when its hash is right. `finish`
/// is shell text that may change `$part` before that.
///
/// If `remote` is a folder, or ends in a slash, the file goes into it as `name`. Missing folders are made.
pub fn receive_file(
    remote: &RemotePath,
    name: &str,
    unique: &str,
    mode: &str,
    finish: &str,
) -> String {
    let require = require(&["sha256sum"]);
    let target = shell_quote(remote.as_str());
    let name = shell_quote(name);
    let part = format!(".qib-{unique}.part");
    // `read` takes one byte at a time from a pipe, as POSIX asks of it, so the content is left to `cat`.
    [
        require.as_str(),
        &format!("f={target}"),
        "case $f in */) mkdir -p \"$f\" || exit 1;; esac",
        &format!("if [ -d \"$f\" ]; then f=${{f%/}}/{name}; fi"),
        "if [ -d \"$f\" ]; then echo \"$f is a folder\" >&2; exit 1; fi",
        "case $f in ?*/*) mkdir -p \"${f%/*}\" || exit 1;; esac",
        &format!("part=$f{part}"),
        "trap 'rm -f \"$part\"' EXIT; trap 'exit 1' HUP INT TERM",
        "IFS= read -r wanted || exit 1",
        "(umask 077 && cat >\"$part\") || exit 1",
        "got=$(sha256sum <\"$part\") || exit 1",
        &format!("[ \"${{got%% *}}\" = \"$wanted\" ] || exit {MISMATCH}"),
        &format!("chmod {mode} \"$part\" || exit 1"),
        finish,
        "mv -f \"$part\" \"$f\"",
    ]
    .iter()
    .filter(|line| !line.is_empty())
    .copied()
    .collect::<Vec<_>>()
    .join("; ")
}

/// Shell text that receives a folder's content: a compressed tar stream whose entry `manifest` lists the SHA-256 of each
/// file. Owners are not taken over (`-o`), modes are (`-p`).
pub fn receive_directory(remote: &RemotePath, manifest: &str, mode: &str) -> String {
    let require = require(&["sha256sum", "tar", "gzip"]);
    let target = shell_quote(remote.as_str());
    [
        require.as_str(),
        &format!("d={target}; m=./{manifest}"),
        &format!("[ -d \"$d\" ] || {{ mkdir -p \"$d\" && chmod {mode} \"$d\"; }} || exit 1"),
        "cd \"$d\" || exit 1",
        "trap 'rm -f \"$m\"' EXIT; trap 'exit 1' HUP INT TERM",
        "gzip -dc | tar -xpof - || exit 1",
        // Without the manifest the stream was cut short.
        "[ -f \"$m\" ] || { echo 'the stream ended too early' >&2; exit 1; }",
        // An empty list is an error to sha256sum.
        &format!(
            "if [ -s \"$m\" ]; then out=$(sha256sum -c \"$m\" 2>&1) || {{ printf '%s\\n' \"$out\" | sed '/: OK$/d' >&2; exit {MISMATCH}; }}; fi"
        ),
    ]
    .join("; ")
}

/// Turns the ending of one of these programs into a result.
pub fn conclude(
    connection: &Connection,
    remote: &RemotePath,
    exit: &CommandExit,
    said: &Collected,
) -> Result<(), UploadError> {
    let destination = connection.destination().clone();
    let remote = remote.clone();
    match exit {
        CommandExit::Code(0) => Ok(()),
        CommandExit::Code(MISSING_TOOL) => Err(UploadError::MissingTool {
            destination,
            tool: said.text(Stream::Stdout),
            remote,
        }),
        CommandExit::Code(MISMATCH) => Err(UploadError::Mismatch {
            destination,
            remote,
            detail: said.text(Stream::Stderr),
        }),
        other => {
            let words = said.text(Stream::Stderr);
            let detail = if words.is_empty() {
                other.to_string()
            } else {
                format!("{words} ({other})")
            };
            Err(UploadError::Remote {
                destination,
                remote,
                detail,
            })
        }
    }
}
