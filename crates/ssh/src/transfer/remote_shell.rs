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

/// Shell text that sends a folder's content: a line of `sha256sum` for each file, an empty line, and a compressed tar
/// stream.
pub fn send_directory(remote: &RemotePath) -> String {
    let require = require(&["find", "sha256sum", "tar", "gzip"]);
    [
        require.as_str(),
        &format!("cd {} || exit 1", shell_quote(remote.as_str())),
        "find . -type f -exec sha256sum {} + || exit 1",
        "echo",
        // A pipeline ends as its last command does; what tar ends with comes by another way.
        "exec 3>&1",
        "ended=$( { { tar -cf - . 3>&- 4>&-; echo $? >&4; } | gzip -1 >&3 3>&- 4>&-; } 4>&1 ) || exit 1",
        "[ \"$ended\" = 0 ]",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    /// Every shell of this machine that a host's `/bin/sh` may be.
    fn shells() -> Vec<&'static str> {
        let shells = ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/ksh", "/bin/zsh"];
        shells
            .into_iter()
            .filter(|shell| Path::new(shell).exists())
            .collect()
    }

    fn run(shell: &str, program: &str, input: &[u8]) -> Output {
        let mut child = Command::new(shell)
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the shell runs");
        // A program that stops early does not read all of its input.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        child.wait_with_output().expect("the shell ends")
    }

    // SHA-256 of "abc": FIPS 180-4, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nabc";

    #[test]
    fn a_file_is_put_in_place_only_with_the_announced_hash() {
        for shell in shells() {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let target = dir.path().join("it's here");
            let remote: RemotePath = target.to_str().expect("a name").parse().expect("a path");
            let program = receive_file(&remote, "name", "1", "0640", "");
            let right = run(shell, &program, ABC.as_bytes());
            assert_eq!(right.status.code(), Some(0), "{shell}: {right:?}");
            assert_eq!(fs::read_to_string(&target).expect("it is there"), "abc");

            for wrong in [
                ABC.replace("\nabc", "\nabd"),
                ABC.replace("\nabc", "\nab"),
                ABC.replace("\nabc", "\nabcd"),
            ] {
                let output = run(shell, &program, wrong.as_bytes());
                assert_eq!(
                    output.status.code(),
                    Some(MISMATCH as i32),
                    "{shell}: {output:?}"
                );
            }
            for cut in ["", "ba7816"] {
                assert_ne!(
                    run(shell, &program, cut.as_bytes()).status.code(),
                    Some(0),
                    "{shell}"
                );
            }
            assert_eq!(
                fs::read_to_string(&target).expect("the former one stays"),
                "abc"
            );
            assert_eq!(
                fs::read_dir(dir.path()).expect("the folder").count(),
                1,
                "{shell}: no part is left"
            );
        }
    }

    #[test]
    fn a_file_that_is_still_arriving_is_open_to_its_owner_only() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let remote: RemotePath = dir
            .path()
            .join("x")
            .to_str()
            .expect("a name")
            .parse()
            .expect("a path");
        let program = format!(
            "umask 000; {}",
            receive_file(&remote, "name", "1", "0644", "")
        );
        let mut child = Command::new("/bin/sh")
            .args(["-c", &program])
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(&ABC.as_bytes()[..ABC.len() - 1])
            .expect("most of it is taken");
        let part = dir.path().join("x.qib-1.part");
        let started = std::time::Instant::now();
        while !fs::metadata(&part).is_ok_and(|m| m.len() > 0) {
            assert!(
                started.elapsed().as_secs() < 60,
                "the file is being written"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(
            fs::metadata(&part)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert!(!dir.path().join("x").exists());
        stdin
            .write_all(&ABC.as_bytes()[ABC.len() - 1..])
            .expect("the rest is taken");
        drop(stdin);
        assert!(child.wait().expect("sh ends").success());
        assert_eq!(
            fs::metadata(dir.path().join("x"))
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777,
            0o644
        );
    }

    #[test]
    fn a_folder_whose_files_are_not_as_listed_is_reported_by_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let remote: RemotePath = dir
            .path()
            .join("to")
            .to_str()
            .expect("a name")
            .parse()
            .expect("a path");
        let program = receive_directory(&remote, ".m", "0755");
        let stream = |content: &str, listed: bool| {
            let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let mut tar = tar::Builder::new(gzip);
            let mut add = |name: &str, content: &str| {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o644);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_bytes())
                    .expect("an entry");
            };
            add("file", content);
            if listed {
                add(".m", &format!("{}  ./file\n", &ABC[..64]));
            }
            tar.into_inner()
                .and_then(|gzip| gzip.finish())
                .expect("a stream")
        };
        for shell in shells() {
            assert_eq!(
                run(shell, &program, &stream("abc", true)).status.code(),
                Some(0),
                "{shell}"
            );
            let wrong = run(shell, &program, &stream("abd", true));
            assert_eq!(
                wrong.status.code(),
                Some(MISMATCH as i32),
                "{shell}: {wrong:?}"
            );
            assert!(
                String::from_utf8_lossy(&wrong.stderr).contains("./file: FAILED"),
                "{shell}: {wrong:?}"
            );
            let unlisted = run(shell, &program, &stream("abc", false));
            assert_eq!(unlisted.status.code(), Some(1), "{shell}: {unlisted:?}");
            let whole = stream("abc", true);
            assert_eq!(
                run(shell, &program, &whole[..whole.len() / 2])
                    .status
                    .code(),
                Some(1),
                "{shell}: cut short"
            );
            assert!(
                !dir.path().join("to/.m").exists(),
                "{shell}: the list is removed"
            );
        }
    }
}
