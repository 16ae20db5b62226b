//! What runs on a channel: a command, a shell or the sftp server, with its pipes or terminal.
//!
//! ```text
//!            ┌─ input task ──► queue ──► writer task ──► process's stdin or terminal
//!  channel ──┤
//!            └◄─ output task ◄── stdout, stderr or terminal        status ──► exit-status, eof, close
//! ```
//!
//! Input is taken from the channel at once and queued without limit. russh opens the channel's window again as soon as data
//! arrives, whoever reads it; were the input task to wait for its process, the whole connection would stand still, window
//! adjustments for the process's output included, and a `cat` with more input than fits into its pipes would never end. Output
//! is only read while the client's window has room.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, oneshot, watch};

use super::authorized_keys::Permission;
use super::terminal::{self, TerminalRequest};
use crate::guest::accounts::Account;
use crate::guest::init::{Guest, Started};
use crate::guest::sys::{self, Watched};

/// As sshd's on the distributions that have `sbin` in everybody's path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where distributions keep sftp-server.
const SFTP_SERVERS: [&str; 4] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
];
/// How much is read from a process at once.
const CHUNK: usize = 32 * 1024;

/// The sftp server that the guest has, if any.
pub fn sftp_server() -> Option<&'static str> {
    SFTP_SERVERS
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// What to run.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The login shell.
    Shell,
    /// A command line for the login shell.
    Command(Vec<u8>),
}

/// For whom.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub account: Account,
    /// What the key permits.
    pub permission: Permission,
    /// Variables the client sent.
    pub environment: Vec<(String, String)>,
    /// The terminal it wants.
    pub terminal: Option<TerminalRequest>,
    /// Client and server address, for `SSH_CONNECTION`.
    pub peer: String,
}

/// What stays reachable of a running session.
#[derive(Debug)]
pub struct Running {
    /// Its terminal.
    pub terminal: Option<Arc<OwnedFd>>,
    process: u32,
    ended: watch::Receiver<bool>,
}

impl Running {
    /// Sends a signal to the session's process group, as RFC 4254 section 6.9 asks.
    pub fn signal(&self, signal: &Sig) {
        let number = match signal {
            Sig::ABRT => libc::SIGABRT,
            Sig::ALRM => libc::SIGALRM,
            Sig::FPE => libc::SIGFPE,
            Sig::HUP => libc::SIGHUP,
            Sig::ILL => libc::SIGILL,
            Sig::INT => libc::SIGINT,
            Sig::KILL => libc::SIGKILL,
            Sig::PIPE => libc::SIGPIPE,
            Sig::QUIT => libc::SIGQUIT,
            Sig::SEGV => libc::SIGSEGV,
            Sig::TERM => libc::SIGTERM,
            Sig::USR1 => libc::SIGUSR1,
            Sig::Custom(name) if name == "USR2" => libc::SIGUSR2,
            Sig::Custom(_) => return,
        };
        // Not after its end: the id may be another process's by then.
        if !*self.ended.borrow()
            && let Ok(process) = i32::try_from(self.process)
        {
            // It may be gone in this very moment; then there is no one to signal.
            let _ = sys::kill_raw(-process, number);
        }
    }
}

/// Starts `ask` for `login` and connects it to the channel.
///
/// # Errors
/// If the terminal cannot be opened or the shell cannot be started.
pub fn start(
    guest: &Arc<Guest>,
    sessions: &Arc<watch::Sender<usize>>,
    login: Login,
    ask: Ask,
    channel: Channel<Msg>,
    client: Handle,
) -> io::Result<Running> {
    let mut command = shell(&login, &ask);
    let identity = login.account.identity(guest.mode)?;
    let master = match &login.terminal {
        Some(request) => {
            let opened = terminal::open(request, &login.account, guest.mode)?;
            command
                .env("TERM", &request.kind)
                .env("SSH_TTY", &opened.path);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            sys::in_new_session(&mut command, identity, Some(opened.slave));
            Some(Arc::new(opened.master))
        }
        None => {
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            sys::in_new_session(&mut command, identity, None);
            None
        }
    };
    let mut started = guest.children.spawn(&mut command)?;
    // It holds the terminal's other side.
    drop(command);
    let process = started.child.id();
    let streams = match &master {
        Some(master) => Streams::of_terminal(master)?,
        None => Streams::of_pipes(&mut started)?,
    };
    let (ended_sender, ended) = watch::channel(false);
    sessions.send_modify(|count| *count += 1);
    let sessions = Arc::clone(sessions);
    tokio::spawn(async move {
        connect(channel, &client, streams, started.status, &ended_sender).await;
        sessions.send_modify(|count| *count -= 1);
    });
    Ok(Running {
        terminal: master,
        process,
        ended,
    })
}

fn shell(login: &Login, ask: &Ask) -> Command {
    let account = &login.account;
    let mut command = Command::new(&account.shell);
    let asked = match ask {
        Ask::Command(line) => Some(OsStr::from_bytes(line).to_owned()),
        Ask::Shell => None,
    };
    let line = match &login.permission.forced_command {
        Some(forced) => Some(OsString::from(forced)),
        None => asked.clone(),
    };
    match line {
        Some(line) => {
            command.arg("-c").arg(line);
        }
        None => {
            let mut name = OsString::from("-");
            name.push(account.shell.file_name().unwrap_or(OsStr::new("sh")));
            command.arg0(name);
        }
    }
    command.env_clear();
    for (name, value) in &login.environment {
        command.env(name, value);
    }
    let mut client = login.peer.split(' ');
    let (address, port, server_port) = (
        client.next().unwrap_or_default(),
        client.next().unwrap_or_default(),
        client.nth(1).unwrap_or_default(),
    );
    command
        .env("HOME", &account.home)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name)
        .env("SHELL", &account.shell)
        .env("PATH", PATH)
        .env("MAIL", Path::new("/var/mail").join(&account.name))
        .env("SSH_CONNECTION", &login.peer)
        .env("SSH_CLIENT", format!("{address} {port} {server_port}"));
    if let (Some(_), Some(original)) = (&login.permission.forced_command, asked) {
        command.env("SSH_ORIGINAL_COMMAND", original);
    }
    // As sshd: a missing home is no reason to refuse a login.
    command.current_dir(if account.home.is_dir() {
        account.home.as_path()
    } else {
        Path::new("/")
    });
    command
}

/// The server's ends of a process's streams, non-blocking.
#[derive(Debug)]
struct Streams {
    input: Watched,
    output: Watched,
    errors: Option<Watched>,
    is_terminal: bool,
}

impl Streams {
    fn of_terminal(master: &Arc<OwnedFd>) -> io::Result<Streams> {
        // A descriptor of its own, because one descriptor can be registered once only.
        let writing = Arc::new(master.try_clone()?);
        Ok(Streams {
            input: sys::watch(writing)?,
            output: sys::watch(Arc::clone(master))?,
            errors: None,
            is_terminal: true,
        })
    }

    fn of_pipes(started: &mut Started) -> io::Result<Streams> {
        let child = &mut started.child;
        let missing = || io::Error::other("a pipe of the process is missing");
        let register = |pipe: OwnedFd| sys::watch(Arc::new(pipe));
        Ok(Streams {
            input: register(child.stdin.take().ok_or_else(missing)?.into())?,
            output: register(child.stdout.take().ok_or_else(missing)?.into())?,
            errors: Some(register(child.stderr.take().ok_or_else(missing)?.into())?),
            is_terminal: false,
        })
    }
}

/// Reads what is there, up to a chunk; empty at the end. A terminal whose other side is closed gives EIO.
async fn read(stream: &Watched) -> Vec<u8> {
    let mut buffer = vec![0; CHUNK];
    let read = stream
        .async_io(tokio::io::Interest::READABLE, |fd| {
            Ok(rustix::io::read(fd.as_fd(), buffer.as_mut_slice())?)
        })
        .await
        .unwrap_or(0);
    buffer.truncate(read);
    buffer
}

async fn write_all(stream: &Watched, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = stream
            .async_io(tokio::io::Interest::WRITABLE, |fd| {
                Ok(rustix::io::write(fd.as_fd(), bytes)?)
            })
            .await?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

async fn connect(
    channel: Channel<Msg>,
    client: &Handle,
    streams: Streams,
    status: oneshot::Receiver<ExitStatus>,
    ended: &watch::Sender<bool>,
) {
    let (from_client, to_client) = channel.split();
    let (gone_sender, gone) = watch::channel(false);
    let input = tokio::spawn(feed(
        from_client,
        streams.input,
        gone_sender,
        streams.is_terminal,
    ));
    let sent = deliver(
        &to_client,
        client,
        streams.output,
        streams.errors,
        status,
        ended,
        gone,
    )
    .await;
    if sent.is_ok() {
        // If the client is gone meanwhile there is no one to tell.
        let _ = to_client.eof().await;
        let _ = to_client.close().await;
    }
    // For a terminal, this and the end of `deliver` close the last descriptors: whatever still runs on it gets SIGHUP.
    input.abort();
}

/// Takes the client's input until it closes the channel.
async fn feed(
    mut from: ChannelReadHalf,
    to: Watched,
    gone: watch::Sender<bool>,
    is_terminal: bool,
) {
    let (sender, mut queue) = mpsc::unbounded_channel();
    let write = async move {
        while let Some(bytes) = queue.recv().await {
            let bytes: &[u8] = AsRef::<[u8]>::as_ref(&bytes);
            if write_all(&to, bytes).await.is_err() {
                // The process no longer reads; what still comes is dropped, as a closed pipe does.
                break;
            }
        }
        // A terminal stays open for output's sake; a pipe's reader sees the end.
        if is_terminal {
            std::future::pending::<()>().await;
        }
    };
    let take = async move {
        let mut sender = Some(sender);
        loop {
            match from.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if let Some(sender) = &sender {
                        // The writer has given up if it cannot be told.
                        let _ = sender.send(data);
                    }
                }
                Some(ChannelMsg::Eof) => sender = None,
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        gone.send_replace(true);
    };
    tokio::pin!(write, take);
    tokio::select! {
        () = &mut take => {}
        () = &mut write => take.await,
    }
}

/// What a running session does next.
enum Step {
    Output(Vec<u8>),
    Errors(Vec<u8>),
    Exited(Option<ExitStatus>),
}

async fn read_if_open(stream: Option<&Watched>) -> Vec<u8> {
    match stream {
        Some(stream) => read(stream).await,
        None => std::future::pending().await,
    }
}

/// The client is gone.
struct Gone;

impl From<russh::Error> for Gone {
    fn from(_: russh::Error) -> Gone {
        Gone
    }
}

/// Sends output and the exit status, in whatever order they come: a background process may hold the pipes longer.
async fn deliver(
    to: &ChannelWriteHalf<Msg>,
    client: &Handle,
    output: Watched,
    errors: Option<Watched>,
    mut status: oneshot::Receiver<ExitStatus>,
    ended: &watch::Sender<bool>,
    mut gone: watch::Receiver<bool>,
) -> Result<(), Gone> {
    let (mut output, mut errors, mut exited) = (Some(output), errors, false);
    while output.is_some() || errors.is_some() || !exited {
        let step = tokio::select! {
            _ = gone.wait_for(|gone| *gone) => return Err(Gone),
            bytes = read_if_open(output.as_ref()) => Step::Output(bytes),
            bytes = read_if_open(errors.as_ref()) => Step::Errors(bytes),
            result = &mut status, if !exited => Step::Exited(result.ok()),
        };
        match step {
            Step::Output(bytes) if bytes.is_empty() => output = None,
            Step::Errors(bytes) if bytes.is_empty() => errors = None,
            Step::Output(bytes) => send(to.data_bytes(bytes), &mut gone).await?,
            Step::Errors(bytes) => send(to.extended_data_bytes(1, bytes), &mut gone).await?,
            Step::Exited(status) => {
                exited = true;
                ended.send_replace(true);
                tell_status(to, client, status).await?;
            }
        }
    }
    Ok(())
}

/// Waits for room in the client's window, but not for a client that is gone.
async fn send(
    sending: impl Future<Output = Result<(), russh::Error>>,
    gone: &mut watch::Receiver<bool>,
) -> Result<(), Gone> {
    tokio::select! {
        sent = sending => Ok(sent?),
        _ = gone.wait_for(|gone| *gone) => Err(Gone),
    }
}

async fn tell_status(
    to: &ChannelWriteHalf<Msg>,
    client: &Handle,
    status: Option<ExitStatus>,
) -> Result<(), Gone> {
    match status.map(|status| (status.code(), status.signal(), status.core_dumped())) {
        Some((Some(code), _, _)) => Ok(to.exit_status(code.cast_unsigned()).await?),
        Some((None, Some(signal), core_dumped)) => {
            let told = client.exit_signal_request(
                to.id(),
                signal_name(signal),
                core_dumped,
                String::new(),
                String::new(),
            );
            told.await.map_err(|()| Gone)
        }
        // Process 1 is ending and no longer collects; sshd reports such sessions as failed.
        _ => Ok(to.exit_status(255).await?),
    }
}

fn signal_name(signal: i32) -> Sig {
    match signal {
        libc::SIGABRT => Sig::ABRT,
        libc::SIGALRM => Sig::ALRM,
        libc::SIGFPE => Sig::FPE,
        libc::SIGHUP => Sig::HUP,
        libc::SIGILL => Sig::ILL,
        libc::SIGINT => Sig::INT,
        libc::SIGKILL => Sig::KILL,
        libc::SIGPIPE => Sig::PIPE,
        libc::SIGQUIT => Sig::QUIT,
        libc::SIGSEGV => Sig::SEGV,
        libc::SIGTERM => Sig::TERM,
        libc::SIGUSR1 => Sig::USR1,
        libc::SIGUSR2 => Sig::Custom("USR2".to_owned()),
        libc::SIGBUS => Sig::Custom("BUS@openssh.com".to_owned()),
        other => Sig::Custom(format!("{other}@local-ec2")),
    }
}
