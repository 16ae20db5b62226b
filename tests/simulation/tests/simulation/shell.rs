//! SSH into the instances in memory: nobody gets in whom the security group, the address and both keys do not let in.

use crate::machines::{Ailment, Machines, Mark};
use async_trait::async_trait;
use build::event::OutputStream;
use build::guest::*;
use emulator::account::instance::Instance;
use emulator::engine::Engine;
use emulator::network::exposures;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The address that qib comes from.
pub const CALLER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// How long a provisioner takes.
const PROVISIONER: Duration = Duration::from_secs(20);

/// The SSH client of a process.
pub struct Shells {
    pub engine: Arc<Engine>,
    pub machines: Arc<Machines>,
    /// What provisioners print, among other things.
    pub secret: String,
}

impl Shells {
    /// The instance that answers at an address.
    fn behind(&self, host: &str) -> Result<Instance, OpenError> {
        let not_yet = |why: &str| OpenError::NotYet(format!("simulated: {why}"));
        let address: Ipv4Addr = host
            .parse()
            .map_err(|_| OpenError::Permanent(format!("{host} is no address")))?;
        let account = self.engine.snapshot();
        let exposure = exposures(&account, false)
            .remove(&address)
            .ok_or_else(|| not_yet("nobody has that address"))?;
        if !exposure.sources.iter().any(|s| s.contains(CALLER)) {
            return Err(not_yet("timed out"));
        }
        let id = exposure.instance.ok_or_else(|| not_yet("unbound"))?;
        if !self.machines.answers(id.as_str()) {
            return Err(not_yet("connection refused"));
        }
        let (_, instance) = account
            .find_instance(&id)
            .ok_or_else(|| not_yet("the instance is gone"))?;
        Ok(instance.clone())
    }
}

#[async_trait]
impl GuestAccess for Shells {
    async fn open(
        &self,
        target: &GuestTarget,
        within: Duration,
    ) -> Result<Box<dyn GuestSession>, OpenError> {
        tokio::time::sleep(Duration::from_millis(200).min(within)).await;
        let instance = self.behind(&target.host)?;
        let user_data = crate::machines::plain_text(&instance.user_data);
        let HostKeys::Pinned(keys) = &target.host_keys else {
            return Err(OpenError::Permanent(
                "simulated: host keys are pinned".into(),
            ));
        };
        // The guest shows the keys that its user-data gave it.
        if !keys.iter().all(|key| user_data.contains(body(key))) {
            let why = format!("{} has other host keys", instance.id);
            return Err(OpenError::HostKeyMismatch(why));
        }
        let Identity::Key(login) = &target.identity else {
            return Err(OpenError::Permanent("simulated: there is no agent".into()));
        };
        let login = login.public_openssh();
        let known = instance
            .key
            .as_ref()
            .is_some_and(|key| key.public_key.contains(body(&login)));
        if !known && !user_data.contains(body(&login)) {
            return Err(OpenError::Refused("simulated: unknown key".into()));
        }
        Ok(Box::new(Session {
            machines: self.machines.clone(),
            id: instance.id.to_string(),
            secret: self.secret.clone(),
            broken: std::sync::atomic::AtomicBool::new(false),
        }))
    }

    async fn agent_keys(&self, _: &Path) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// The part of a public key's line that decides.
fn body(key: &str) -> &str {
    key.split_whitespace().nth(1).unwrap_or(key)
}

struct Session {
    machines: Arc<Machines>,
    id: String,
    secret: String,
    broken: std::sync::atomic::AtomicBool,
}

impl Session {
    /// Lets time pass in the guest, as long as there is one.
    async fn pass(&self, duration: Duration) -> Result<(), SessionError> {
        let lost = || SessionError::ConnectionLost(format!("simulated: {} is gone", self.id));
        let machine = self.machines.running(&self.id).ok_or_else(lost)?;
        let mut exited = machine.exited.subscribe();
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            _ = exited.wait_for(Option::is_some) => Err(lost()),
        }
    }
}

#[async_trait]
impl GuestSession for Session {
    fn host_fingerprint(&self) -> String {
        "SHA256:simulated".to_owned()
    }

    fn login_key(&self) -> Option<String> {
        None
    }

    fn is_closed(&self) -> bool {
        self.broken.load(std::sync::atomic::Ordering::Relaxed)
            || self.machines.running(&self.id).is_none()
    }

    async fn run(
        &self,
        command: &GuestCommand,
        output: &mut dyn Output,
    ) -> Result<CommandEnd, SessionError> {
        let name = command.script.name.clone();
        match name.as_str() {
            "wait-cloud-init" | "place-upload" => {
                self.pass(Duration::from_secs(2)).await?;
                return Ok(CommandEnd::Exited(0));
            }
            "scrub" => {
                self.pass(Duration::from_secs(2)).await?;
                self.machines.mark(&self.id, Mark::Scrubbed);
                return Ok(CommandEnd::Exited(0));
            }
            _ => {}
        }
        self.machines.mark(&self.id, Mark::Began(name.clone()));
        let ailment = *self.machines.ailment.lock().unwrap();
        output.line(
            OutputStream::Stdout,
            &format!("the token is {}", self.secret),
        );
        match ailment {
            Ailment::ProvisionerHangs => self.pass(Duration::from_secs(3600)).await?,
            Ailment::ProvisionerFails => return Ok(CommandEnd::Exited(7)),
            Ailment::ConnectionBreaks => {
                self.pass(PROVISIONER / 2).await?;
                self.broken
                    .store(true, std::sync::atomic::Ordering::Relaxed);
                return Err(SessionError::ConnectionLost("simulated: reset".into()));
            }
            Ailment::None | Ailment::NeverBoots => self.pass(PROVISIONER).await?,
        }
        self.machines.mark(&self.id, Mark::Ended(name));
        Ok(CommandEnd::Exited(0))
    }

    async fn upload_file(&self, _: &Path, _: &str, _: Option<u32>) -> Result<(), SessionError> {
        self.pass(Duration::from_secs(1)).await
    }

    async fn upload_directory(&self, _: &Path, _: &str) -> Result<(), SessionError> {
        self.pass(Duration::from_secs(1)).await
    }

    async fn upload_bytes(&self, _: &[u8], _: &str, _: u32) -> Result<(), SessionError> {
        self.pass(Duration::from_secs(1)).await
    }

    async fn download_file(&self, _: &str, _: &Path, _: Option<&str>) -> Result<(), SessionError> {
        self.pass(Duration::from_secs(1)).await
    }

    async fn download_directory(
        &self,
        _: &str,
        _: &Path,
        _: Option<&str>,
    ) -> Result<(), SessionError> {
        self.pass(Duration::from_secs(1)).await
    }

    async fn proxy(&self) -> Result<Box<dyn GuestProxy>, SessionError> {
        Err(SessionError::Refused(String::from(
            "this guest lends nothing",
        )))
    }

    async fn close(self: Box<Self>) {}
}
