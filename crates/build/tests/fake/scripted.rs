//! A guest and a build host that do as a test says, script by script.

use async_trait::async_trait;
use build::event::OutputStream;
use build::guest::*;
use build::host::*;
use cloud::Clock;
use pipeline::Loaded;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How a script ends.
#[derive(Clone, Debug)]
pub enum Ends {
    Exit(u32),
    /// With the connection, which is closed.
    Lost,
    /// Not by itself.
    Never,
    /// After this time, with 0.
    After(Duration),
}

/// What a restart comes to.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    /// Connections that still reach the boot before.
    pub stale: u32,
    /// Connections that reach nothing after that.
    pub down: u32,
}

#[derive(Default)]
pub struct State {
    /// What was done, in order.
    pub done: Vec<String>,
    /// How the next calls of a script end; then with 0.
    pub ends: BTreeMap<String, VecDeque<Ends>>,
    /// What a script prints.
    pub prints: BTreeMap<String, Vec<String>>,
    /// The scripts that restart the guest, and how.
    pub restarts: BTreeMap<String, Restart>,
    /// The environments of scripts.
    pub environments: Vec<(String, BTreeMap<String, String>)>,
    boot: u32,
    restarting: Option<Restart>,
    /// Connections are refused from now on.
    pub unreachable: bool,
    /// The host shows another key after the next boot.
    pub other_key_after_boot: bool,
    /// Answers to requests; the last one stays.
    pub answers: VecDeque<Result<HttpAnswer, String>>,
    pub requests: Vec<HttpRequest>,
    pub questions: Vec<String>,
}

/// Both, sharing a state.
#[derive(Clone)]
pub struct Scripted {
    pub state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl Scripted {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn ends(&self, script: &str, ends: impl IntoIterator<Item = Ends>) {
        let ends = ends.into_iter().collect();
        self.state().ends.insert(script.to_owned(), ends);
    }

    /// What was done, but qib's own: connecting, cloud-init, the traces.
    pub fn done(&self) -> Vec<String> {
        let own = ["wait-cloud-init", "scrub", "boot-mark"];
        let all = self.state().done.clone();
        all.into_iter()
            .filter(|line| !own.iter().any(|name| line.ends_with(name)))
            .filter(|line| line != "open")
            .collect()
    }

    pub fn environment(&self, script: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let found = state.environments.iter().rev();
        let mut found = found.filter(|(name, _)| name == script);
        found.next().expect("it was run").1.clone()
    }

    /// Notes that a script is run; gives how it ends.
    fn begin(&self, place: &str, name: &str, environment: &[(String, String)]) -> Ends {
        let mut state = self.state();
        state.done.push(format!("{place} {name}"));
        let environment = environment.iter().cloned().collect();
        state.environments.push((name.to_owned(), environment));
        if let Some(restart) = state.restarts.get(name).copied() {
            state.restarting = Some(restart);
        }
        let next = state.ends.get_mut(name).and_then(VecDeque::pop_front);
        next.unwrap_or(Ends::Exit(0))
    }

    fn print(&self, name: &str, output: &mut dyn Output) {
        let lines = self.state().prints.get(name).cloned().unwrap_or_default();
        for line in lines {
            output.line(OutputStream::Stdout, &line);
        }
    }

    pub fn host(&self, operator: bool, pipeline: Arc<dyn PipelineSource>) -> Host {
        Host {
            commands: Arc::new(self.clone()),
            http: Arc::new(self.clone()),
            disk_images: Arc::new(super::disks::FakeDisks::default()),
            operator: operator.then(|| Arc::new(self.clone()) as Arc<dyn Operator>),
            pipeline,
        }
    }
}

#[async_trait]
impl GuestAccess for Scripted {
    async fn open(&self, _: &GuestTarget, _: Duration) -> Result<Box<dyn GuestSession>, OpenError> {
        let mut state = self.state();
        state.done.push(String::from("open"));
        if state.unreachable {
            return Err(OpenError::NotYet(String::from("nothing answers")));
        }
        if let Some(restart) = &mut state.restarting {
            if restart.stale > 0 {
                restart.stale -= 1;
            } else if restart.down > 0 {
                restart.down -= 1;
                return Err(OpenError::NotYet(String::from("connection refused")));
            } else {
                state.restarting = None;
                state.boot += 1;
                if state.other_key_after_boot {
                    return Err(OpenError::HostKeyMismatch(String::from("another key")));
                }
            }
        }
        Ok(Box::new(Session {
            world: self.clone(),
            boot: state.boot,
            closed: Mutex::new(false),
        }))
    }

    async fn agent_keys(&self, _: &Path) -> Result<Option<String>, String> {
        Ok(None)
    }
}

struct Session {
    world: Scripted,
    boot: u32,
    closed: Mutex<bool>,
}

impl Session {
    fn lost(&self) -> SessionError {
        *self.closed.lock().unwrap() = true;
        SessionError::ConnectionLost(String::from("reset by peer"))
    }
}

#[async_trait]
impl GuestSession for Session {
    fn login_key(&self) -> Option<String> {
        None
    }

    async fn proxy(&self) -> Result<Box<dyn build::guest::GuestProxy>, SessionError> {
        Ok(Box::new(Lent))
    }

    fn host_fingerprint(&self) -> String {
        String::from("SHA256:fake")
    }

    fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap()
    }

    async fn run(
        &self,
        command: &GuestCommand,
        output: &mut dyn Output,
    ) -> Result<CommandEnd, SessionError> {
        let name = &command.script.name;
        if self.is_closed() || self.boot != self.world.state().boot {
            return Err(self.lost());
        }
        let place = match &command.become_user {
            Some(user) => format!("guest({user})"),
            None => String::from("guest"),
        };
        let ends = self.world.begin(&place, name, &command.environment);
        if name == "boot-mark" {
            output.line(OutputStream::Stdout, &format!("id boot-{} 7", self.boot));
            return Ok(CommandEnd::Exited(0));
        }
        self.world.print(name, output);
        match ends {
            Ends::Exit(code) => Ok(CommandEnd::Exited(code)),
            Ends::Lost => Err(self.lost()),
            Ends::Never => std::future::pending().await,
            Ends::After(time) => {
                self.world.clock.sleep(time).await;
                Ok(CommandEnd::Exited(0))
            }
        }
    }

    async fn upload_file(&self, _: &Path, to: &str, _: Option<u32>) -> Result<(), SessionError> {
        self.upload(to)
    }

    async fn upload_directory(&self, _: &Path, to: &str) -> Result<(), SessionError> {
        self.upload(to)
    }

    async fn upload_bytes(&self, _: &[u8], to: &str, _: u32) -> Result<(), SessionError> {
        self.upload(to)
    }

    async fn download_file(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        let who = become_user.unwrap_or("login user");
        let mut state = self.world.state();
        state.done.push(format!("fetch {from} as {who}"));
        drop(state);
        std::fs::write(to, from).map_err(|error| SessionError::Refused(error.to_string()))
    }

    async fn download_directory(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        self.download_file(from, &to.join("in-it"), become_user)
            .await
    }

    async fn close(self: Box<Self>) {}
}

impl Session {
    fn upload(&self, to: &str) -> Result<(), SessionError> {
        let name = format!("upload {to}");
        match self.world.begin("guest", &name, &[]) {
            Ends::Exit(0) => Ok(()),
            Ends::Exit(_) => Err(SessionError::Refused(String::from("no space left"))),
            _ => Err(self.lost()),
        }
    }
}

#[async_trait]
impl LocalCommands for Scripted {
    async fn run(
        &self,
        command: &LocalCommand,
        output: &mut dyn Output,
        stop: Stop<'_>,
    ) -> Result<CommandEnd, LocalError> {
        let name = &command.script.name;
        let ends = self.begin("here", name, &command.environment);
        self.print(name, output);
        let text = String::from_utf8_lossy(&command.script.text);
        // The one thing that a script here can do: make a file.
        if let Some(file) = text.trim().strip_prefix("make ") {
            std::fs::write(command.folder.join(file), "made").unwrap();
        }
        match ends {
            Ends::Exit(code) => Ok(CommandEnd::Exited(code)),
            Ends::Lost | Ends::Never => {
                stop.await;
                let mut state = self.state();
                state.done.push(format!("stopped {name}"));
                Err(LocalError::Stopped)
            }
            Ends::After(time) => {
                self.clock.sleep(time).await;
                Ok(CommandEnd::Exited(0))
            }
        }
    }
}

#[async_trait]
impl HttpClient for Scripted {
    async fn get(&self, request: &HttpRequest) -> Result<HttpAnswer, String> {
        let mut state = self.state();
        state.requests.push(request.clone());
        if state.answers.len() > 1 {
            state.answers.pop_front().unwrap()
        } else {
            state
                .answers
                .front()
                .cloned()
                .unwrap_or(Err(String::from("nobody answers")))
        }
    }
}

#[async_trait]
impl Operator for Scripted {
    async fn confirm(&self, question: &str) -> Answer {
        let mut state = self.state();
        state.questions.push(question.to_owned());
        let next = state.ends.get_mut("answer").and_then(VecDeque::pop_front);
        match next {
            None | Some(Ends::Exit(0)) => Answer::GoOn,
            Some(_) => Answer::Abort,
        }
    }
}

/// The way to the guest for local commands, which ask nothing of it.
struct Lent;

impl build::guest::GuestProxy for Lent {
    fn port(&self) -> u16 {
        4242
    }

    fn user(&self) -> String {
        String::from("ec2-user")
    }

    fn private_key(&self) -> ssh::Secret {
        ssh::Secret::new("a key")
    }

    fn known_hosts_line(&self) -> String {
        String::from("[127.0.0.1]:4242 a key")
    }

    fn last_trouble(&self) -> Option<String> {
        Some(String::from("connection refused"))
    }
}

/// A pipeline's file that is read again by loading its text again.
pub struct Again(pub Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>);

impl PipelineSource for Again {
    fn read_again(&self) -> Result<Loaded, String> {
        (self.0)()
    }
}
