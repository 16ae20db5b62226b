//! Commands on this machine, for `run: { local: true }` and `preflight`.
//!
//! ```text
//!   script ─▶ a file of its own, 0600 ─▶ INTERPRETER [-e [-o pipefail]] FILE </dev/null    in a process group of its own
//!                                                 │ stop            │ its end
//!                                                 ▼                 ▼
//!                                        SIGTERM to the group    what the group has left running is not waited for
//!                                                 │ still there after some seconds
//!                                                 ▼
//!                                        SIGKILL to the group
//! ```
//!
//! A group of its own: Ctrl-C at the terminal goes to qib alone, which then stops the command in its turn.

use async_trait::async_trait;
use build::event::OutputStream;
use build::guest::{CommandEnd, Output};
use build::host::{
    Interpreter, LineSplitter, LocalCommand, LocalCommands, LocalError, ShebangError, Stop,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How long a command may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(10);
/// How long output may stay open and quiet after a command's end: a daemon that it started holds it open for ever.
const QUIET_AFTER_EXIT: Duration = Duration::from_secs(2);

/// Runs commands on this machine.
#[derive(Clone, Debug)]
pub struct ThisHost {
    /// Where scripts are kept while they run.
    scratch: PathBuf,
}

impl ThisHost {
    /// Keeps scripts in `scratch` while they run; it is made if it is not there.
    pub const fn new(scratch: PathBuf) -> Self {
        Self { scratch }
    }
}

#[async_trait]
impl LocalCommands for ThisHost {
    async fn run(
        &self,
        command: &LocalCommand,
        output: &mut dyn Output,
        stop: Stop<'_>,
    ) -> Result<CommandEnd, LocalError> {
        let failed =
            |what: &str, error: std::io::Error| LocalError::NotRun(format!("{what}: {error}"));
        let file = ScriptFile::write(&self.scratch, &command.script.text)
            .map_err(|error| failed("its script cannot be written", error))?;
        let words = words(command, &file.0)
            .await
            .map_err(|why| LocalError::NotRun(why.to_string()))?;
        let Some((program, arguments)) = words.split_first() else {
            return Err(LocalError::NotRun(String::from("it has no interpreter")));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .envs(
                command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(&command.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let folder = command.folder.display();
                failed(&format!("{program} cannot be started in {folder}"), error)
            })?;
        let group = Group::of(&child);
        let ended = follow(&mut child, output, stop, &group).await;
        // Whatever happened to the waiting, the group's first process is gone or was killed: nothing of it is left to kill.
        if ended.is_ok() {
            group.forget();
        }
        match ended {
            Ok(Followed::Ended(status)) => Ok(end(status)),
            Ok(Followed::Stopped) => Err(LocalError::Stopped),
            Err(error) => Err(failed("its end cannot be waited for", error)),
        }
    }
}

/// What became of a command.
enum Followed {
    Ended(ExitStatus),
    Stopped,
}

/// Passes output on until the command has ended.
async fn follow(
    child: &mut Child,
    output: &mut dyn Output,
    mut stop: Stop<'_>,
    group: &Group,
) -> std::io::Result<Followed> {
    let mut out = Lines::of(child.stdout.take(), OutputStream::Stdout);
    let mut err = Lines::of(child.stderr.take(), OutputStream::Stderr);
    let mut stopped = false;
    let mut status = None;
    // Far away until there is a reason to wait for it.
    let far = Duration::from_secs(3_600 * 24 * 365);
    let timer = tokio::time::sleep(far);
    tokio::pin!(timer);
    let from_now = |length: Duration| tokio::time::Instant::now() + length;
    loop {
        tokio::select! {
            () = &mut stop, if !stopped => {
                stopped = true;
                group.signal(Signal::TERM);
                timer.as_mut().reset(from_now(GRACE));
            }
            () = &mut timer => {
                if status.is_some() {
                    break;
                }
                group.signal(Signal::KILL);
                timer.as_mut().reset(from_now(far));
            }
            read = out.read(), if out.is_open() => {
                out.take(read?, output);
                if status.is_some() {
                    timer.as_mut().reset(from_now(QUIET_AFTER_EXIT));
                }
            }
            read = err.read(), if err.is_open() => {
                err.take(read?, output);
                if status.is_some() {
                    timer.as_mut().reset(from_now(QUIET_AFTER_EXIT));
                }
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended?);
                if stopped {
                    // Its children may have heard the signal later, or not have minded it.
                    group.signal(Signal::KILL);
                }
                timer.as_mut().reset(from_now(QUIET_AFTER_EXIT));
            }
        }
        if status.is_some() && !out.is_open() && !err.is_open() {
            break;
        }
    }
    out.finish(output);
    err.finish(output);
    Ok(match status {
        Some(status) if !stopped => Followed::Ended(status),
        Some(_) | None => Followed::Stopped,
    })
}

/// The command line: no value of the environment and no text of the script is on it.
async fn words(command: &LocalCommand, file: &Path) -> Result<Vec<String>, ShebangError> {
    let interpreter = match &command.interpreter {
        Some(words) => Interpreter::of_script(format!("#!{words}\n").as_bytes())?,
        None => Interpreter::of_script(&command.script.text)?,
    };
    let mut line: Vec<String> = interpreter.words().map(str::to_owned).collect();
    if command.errexit && interpreter.has_errexit() {
        let pipefail = has_pipefail(&line).await;
        line.push(String::from("-e"));
        if pipefail {
            line.extend(["-o", "pipefail"].map(String::from));
        }
    }
    line.push(file.display().to_string());
    Ok(line)
}

/// dash has no pipefail before 0.5.13, and refuses to start with an option that it does not know.
async fn has_pipefail(shell: &[String]) -> bool {
    let Some((program, arguments)) = shell.split_first() else {
        return false;
    };
    let asked = Command::new(program)
        .args(arguments)
        .args(["-c", "set -o pipefail"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
    asked.is_ok_and(|status| status.success())
}

fn end(status: ExitStatus) -> CommandEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => CommandEnd::Exited(u32::try_from(code).unwrap_or(u32::MAX)),
        (None, Some(signal)) => CommandEnd::Signalled(signal.to_string()),
        (None, None) => CommandEnd::Signalled(String::from("unknown")),
    }
}

/// A script's file, which goes when the script has ended.
struct ScriptFile(PathBuf);

impl ScriptFile {
    fn write(folder: &Path, text: &[u8]) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("script-{:032x}", rand::random::<u128>()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let file_of = Self(path);
        file.write_all(text)?;
        Ok(file_of)
    }
}

impl Drop for ScriptFile {
    fn drop(&mut self) {
        // One that stays is untidy and no more: secrets are in no script.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The process group of a command. Killed when it is dropped before the command's end is known.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// One stream of output, line by line.
struct Lines<R> {
    from: Option<R>,
    stream: OutputStream,
    splitter: LineSplitter,
    block: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn of(from: Option<R>, stream: OutputStream) -> Self {
        Self {
            from,
            stream,
            splitter: LineSplitter::new(),
            block: vec![0; 16 * 1024],
        }
    }

    const fn is_open(&self) -> bool {
        self.from.is_some()
    }

    async fn read(&mut self) -> std::io::Result<usize> {
        match &mut self.from {
            Some(from) => from.read(&mut self.block).await,
            None => Ok(0),
        }
    }

    fn take(&mut self, n: usize, output: &mut dyn Output) {
        if n == 0 {
            self.from = None;
            return;
        }
        let stream = self.stream;
        self.splitter
            .push(&self.block[..n], |line| output.line(stream, line));
    }

    fn finish(&mut self, output: &mut dyn Output) {
        let stream = self.stream;
        self.splitter.finish(|line| output.line(stream, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use build::guest::Script;
    use std::time::Instant;

    #[derive(Default)]
    struct Said(Vec<String>);

    impl Output for Said {
        fn line(&mut self, stream: OutputStream, line: &str) {
            self.0.push(format!("{stream:?}: {line}"));
        }
    }

    struct Here {
        folder: tempfile::TempDir,
    }

    impl Here {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().expect("a folder"),
            }
        }

        fn command(&self, text: &str) -> LocalCommand {
            LocalCommand {
                script: Script {
                    name: "test".into(),
                    text: text.as_bytes().to_vec(),
                },
                interpreter: None,
                errexit: true,
                environment: vec![("TOKEN".into(), "t0ken".into())],
                folder: self.folder.path().to_owned(),
            }
        }

        async fn run(
            &self,
            command: &LocalCommand,
        ) -> (Result<CommandEnd, LocalError>, Vec<String>) {
            let host = ThisHost::new(self.folder.path().join("scratch"));
            let mut said = Said::default();
            let never = Box::pin(std::future::pending());
            let ended = host.run(command, &mut said, never).await;
            let left = std::fs::read_dir(self.folder.path().join("scratch")).expect("a folder");
            assert_eq!(left.count(), 0, "the script's file is gone");
            (ended, said.0)
        }
    }

    #[tokio::test]
    async fn it_runs_in_its_folder_with_its_variables_and_says_what_it_says() {
        let here = Here::new();
        let command = here.command("pwd; echo \"$TOKEN\"; echo no >&2; printf 'no end'; cat");
        let (ended, mut said) = here.run(&command).await;
        assert_eq!(ended, Ok(CommandEnd::Exited(0)));
        said.sort();
        let folder = here.folder.path().canonicalize().expect("it is there");
        assert_eq!(
            said,
            [
                "Stderr: no".to_owned(),
                format!("Stdout: {}", folder.display()),
                "Stdout: no end".to_owned(),
                "Stdout: t0ken".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn it_ends_at_the_first_failure_unless_told_otherwise() {
        let here = Here::new();
        let mut command = here.command("#!/bin/bash\nfalse | true\necho reached");
        assert_eq!(
            here.run(&command).await,
            (Ok(CommandEnd::Exited(1)), vec![])
        );
        command.errexit = false;
        let (ended, said) = here.run(&command).await;
        assert_eq!(ended, Ok(CommandEnd::Exited(0)));
        assert_eq!(said, ["Stdout: reached"]);
        let (ended, _) = here.run(&here.command("kill -9 $$")).await;
        assert_eq!(ended, Ok(CommandEnd::Signalled("9".into())));
    }

    #[tokio::test]
    async fn no_secret_stands_on_a_command_line_and_other_interpreters_work() {
        let here = Here::new();
        let (_, said) = here
            .run(&here.command("tr '\\0' ' ' </proc/$$/cmdline"))
            .await;
        assert!(
            said[0].contains("/script-") && !said[0].contains("t0ken"),
            "{said:?}"
        );
        let mut command = here.command("print(6 * 7)");
        command.interpreter = Some("/usr/bin/env python3".into());
        assert_eq!(here.run(&command).await.1, ["Stdout: 42"]);
        let (ended, _) = here.run(&here.command("#!/no/such/program\n")).await;
        assert!(matches!(ended, Err(LocalError::NotRun(why)) if why.contains("/no/such/program")));
    }

    /// Whether a process is there and is no zombie.
    fn runs(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .starts_with(" Z")
        })
    }

    async fn gone(pid: &str) {
        let began = Instant::now();
        while runs(pid) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{pid} still runs"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn pids(folder: &Path, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let text = std::fs::read_to_string(folder.join("pids")).unwrap_or_default();
            let pids: Vec<String> = text.lines().map(str::to_owned).collect();
            if pids.len() == count {
                return pids;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it has not begun"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn stopping_ends_the_whole_group_politely_and_waits_for_it() {
        let here = Here::new();
        let command = here.command(
            "trap 'echo sorry >told; exit 3' TERM; sleep 600 & echo $! >>pids; echo $$ >>pids; wait",
        );
        let host = ThisHost::new(here.folder.path().join("scratch"));
        let mut said = Said::default();
        let folder = here.folder.path().to_owned();
        let begun = folder.clone();
        let stop = Box::pin(async move {
            pids(&begun, 2).await;
        });
        let ended = host.run(&command, &mut said, stop).await;
        assert_eq!(ended, Err(LocalError::Stopped));
        let told = std::fs::read_to_string(folder.join("told")).expect("it was told to end");
        assert_eq!(told, "sorry\n");
        for pid in pids(&folder, 2).await {
            gone(&pid).await;
        }
    }

    #[tokio::test]
    async fn what_is_dropped_is_killed_with_its_children() {
        let here = Here::new();
        let command =
            here.command("trap '' TERM; sleep 600 & echo $! >>pids; echo $$ >>pids; wait");
        let host = ThisHost::new(here.folder.path().join("scratch"));
        let mut said = Said::default();
        let begun = tokio::select! {
            _ = host.run(&command, &mut said, Box::pin(std::future::pending())) => panic!("it ends by itself"),
            begun = pids(here.folder.path(), 2) => begun,
        };
        for pid in begun {
            gone(&pid).await;
        }
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
        let here = Here::new();
        let began = Instant::now();
        let (ended, said) = here
            .run(&here.command("echo done; sleep 60 & echo $! >pids"))
            .await;
        assert_eq!(ended, Ok(CommandEnd::Exited(0)));
        assert_eq!(said, ["Stdout: done"]);
        assert!(began.elapsed() < Duration::from_secs(30));
        let pid = std::fs::read_to_string(here.folder.path().join("pids")).expect("a pid");
        let pid = pid
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, Signal::KILL).expect("the daemon was left running");
    }
}
