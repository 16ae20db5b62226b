//! A guest in memory.

use async_trait::async_trait;
use build::event::OutputStream;
use build::guest::*;
use cloud::Clock;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the guest does.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Every connection fails so.
    pub refuse: Option<OpenError>,
    /// Scripts by name that end with this code.
    pub exit_codes: Vec<(String, u32)>,
    /// A line that every script prints.
    pub prints: Option<String>,
    /// The connection ends after this script has ended.
    pub closes_after: Option<String>,
    /// The connection breaks while this script runs.
    pub breaks_in: Option<String>,
}

#[derive(Default)]
pub struct FakeGuests {
    pub behaviour: Behaviour,
    /// What was run and uploaded, in order.
    pub done: Arc<Mutex<Vec<String>>>,
    /// How long each script takes.
    pub works: Option<(Arc<dyn Clock>, Duration)>,
    /// By which ways it was connected to.
    pub ways: Mutex<Vec<ssh::Dial>>,
}

#[async_trait]
impl GuestAccess for FakeGuests {
    async fn open(
        &self,
        target: &GuestTarget,
        _within: Duration,
    ) -> Result<Box<dyn GuestSession>, OpenError> {
        self.ways.lock().unwrap().push(target.dial.clone());
        self.done
            .lock()
            .unwrap()
            .push(format!("open {}@{}", target.user, target.destination()));
        match &self.behaviour.refuse {
            Some(error) => Err(error.clone()),
            None => Ok(Box::new(FakeSession {
                behaviour: self.behaviour.clone(),
                closed: Mutex::new(false),
                done: self.done.clone(),
                works: self.works.clone(),
            })),
        }
    }

    async fn agent_keys(&self, _socket: &Path) -> Result<Option<String>, String> {
        Ok(None)
    }
}

struct FakeSession {
    behaviour: Behaviour,
    closed: Mutex<bool>,
    done: Arc<Mutex<Vec<String>>>,
    works: Option<(Arc<dyn Clock>, Duration)>,
}

#[async_trait]
impl GuestSession for FakeSession {
    fn host_fingerprint(&self) -> String {
        String::from("SHA256:fake")
    }

    fn login_key(&self) -> Option<String> {
        None
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
        self.done.lock().unwrap().push(format!("run {name}"));
        if let Some((clock, duration)) = &self.works {
            clock.sleep(*duration).await;
        }
        if self.behaviour.breaks_in.as_ref() == Some(name) {
            return Err(SessionError::ConnectionLost(String::from("reset by peer")));
        }
        if let Some(line) = &self.behaviour.prints {
            output.line(OutputStream::Stdout, line);
        }
        if self.behaviour.closes_after.as_ref() == Some(name) {
            *self.closed.lock().unwrap() = true;
        }
        let code = self
            .behaviour
            .exit_codes
            .iter()
            .find(|(of, _)| of == name)
            .map_or(0, |(_, code)| *code);
        Ok(CommandEnd::Exited(code))
    }

    async fn upload_file(
        &self,
        from: &Path,
        to: &str,
        _mode: Option<u32>,
    ) -> Result<(), SessionError> {
        self.done
            .lock()
            .unwrap()
            .push(format!("upload {} to {to}", from.display()));
        Ok(())
    }

    async fn upload_directory(&self, from: &Path, to: &str) -> Result<(), SessionError> {
        self.done
            .lock()
            .unwrap()
            .push(format!("upload {}/ to {to}", from.display()));
        Ok(())
    }

    async fn upload_bytes(&self, content: &[u8], to: &str, mode: u32) -> Result<(), SessionError> {
        self.done.lock().unwrap().push(format!(
            "upload {} bytes to {to} mode {mode:o}",
            content.len()
        ));
        Ok(())
    }

    async fn download_file(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        self.done.lock().unwrap().push(format!(
            "download {from} to {} as {}",
            to.display(),
            become_user.unwrap_or("the login user")
        ));
        std::fs::write(to, from).map_err(|error| SessionError::Refused(error.to_string()))
    }

    async fn download_directory(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        self.download_file(from, &to.join("fetched"), become_user)
            .await
    }

    async fn proxy(&self) -> Result<Box<dyn GuestProxy>, SessionError> {
        Err(SessionError::Refused(String::from(
            "this guest lends nothing",
        )))
    }

    async fn close(self: Box<Self>) {}
}
