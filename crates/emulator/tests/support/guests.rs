//! Guests that are only remembered: a folder as the disk, and no process.

use async_trait::async_trait;
use emulator::guest::{GuestExit, GuestSpec, StopKind};
use emulator::runtime::{Guest, GuestRuntime, RuntimeError, StartedGuest};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// All guests of a local EC2.
#[derive(Default)]
pub struct MemoryGuests {
    running: Mutex<BTreeMap<String, Running>>,
    fails: Mutex<Option<String>>,
}

#[derive(Clone)]
struct Running {
    spec: GuestSpec,
    imds: SocketAddr,
    endpoint: SocketAddr,
    exited: watch::Sender<Option<GuestExit>>,
}

struct MemoryGuest {
    id: String,
    exited: watch::Sender<Option<GuestExit>>,
}

impl MemoryGuests {
    /// From now on no guest starts.
    pub fn fail(&self, why: &str) {
        *self.fails.lock().unwrap() = Some(why.to_owned());
    }

    /// What an instance was started with, while it runs.
    pub fn spec(&self, id: &str) -> Option<GuestSpec> {
        self.running.lock().unwrap().get(id).map(|r| r.spec.clone())
    }

    /// Ends a guest as from inside.
    pub fn exit(&self, id: &str, how: GuestExit) {
        let gone = self.running.lock().unwrap().remove(id).unwrap();
        gone.exited.send_replace(Some(how));
    }

    /// Where the API is served to an instance.
    pub fn endpoint(&self, id: &str) -> SocketAddr {
        self.running.lock().unwrap()[id].endpoint
    }

    /// Asks an instance's metadata service: status and body.
    pub fn imds(
        &self,
        id: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let at = self.running.lock().unwrap()[id].imds;
        let mut stream = TcpStream::connect(at).unwrap();
        let extra: String = headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}\r\n"))
            .collect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n{extra}\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    /// Asks an instance's metadata service; nothing if there is no answer within `limit`.
    pub fn imds_within(&self, id: &str, limit: std::time::Duration) -> Option<String> {
        let at = self.running.lock().unwrap()[id].imds;
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(limit)).unwrap();
        write!(
            stream,
            "GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Whether an instance's guest runs.
    pub fn runs(&self, id: &str) -> bool {
        let running = self.running.lock().unwrap();
        running.get(id).is_some_and(|r| r.exited.borrow().is_none())
    }

    /// A version 2 token.
    pub fn imds_token(&self, id: &str) -> String {
        let (status, token) = self.imds(
            id,
            "PUT",
            "/latest/api/token",
            &[("X-aws-ec2-metadata-token-ttl-seconds", "60")],
        );
        assert_eq!(status, 200);
        token
    }
}

#[async_trait]
impl GuestRuntime for MemoryGuests {
    fn content_id(&self) -> String {
        "memory".to_owned()
    }

    fn mode(&self) -> String {
        "memory".to_owned()
    }

    async fn start(&self, spec: GuestSpec) -> Result<StartedGuest, RuntimeError> {
        if let Some(why) = self.fails.lock().unwrap().clone() {
            return Err(RuntimeError(why));
        }
        std::fs::create_dir_all(spec.instance_dir.join("layer")).unwrap();
        for layer in &spec.image_layers {
            assert!(layer.is_dir(), "{} is missing", layer.display());
        }
        let mut console = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(spec.instance_dir.join("console.log"))
            .unwrap();
        writeln!(console, "{} is up", spec.instance_id).unwrap();
        let imds = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
        let exited = watch::Sender::new(None);
        let running = Running {
            imds: imds.local_addr().unwrap(),
            endpoint: endpoint.local_addr().unwrap(),
            exited: exited.clone(),
            spec: spec.clone(),
        };
        self.running
            .lock()
            .unwrap()
            .insert(spec.instance_id.clone(), running);
        let guest = MemoryGuest {
            id: spec.instance_id,
            exited,
        };
        Ok(StartedGuest {
            imds,
            endpoint,
            guest: Arc::new(guest),
        })
    }

    fn freeze(&self, instance_dir: &Path, layer: &Path) -> Result<(), RuntimeError> {
        let id = instance_dir
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let running = self
            .running
            .lock()
            .unwrap()
            .get(&id)
            .is_some_and(|r| r.exited.borrow().is_none());
        assert!(!running, "{id} was captured while it ran");
        std::fs::rename(instance_dir.join("layer"), layer).map_err(|e| RuntimeError(e.to_string()))
    }

    fn remove_layer(&self, dir: &Path) -> Result<(), RuntimeError> {
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(RuntimeError(e.to_string())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Guest for MemoryGuest {
    async fn connect_ssh(&self) -> io::Result<UnixStream> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let banner = format!("SSH-2.0-{}\r\n", self.id);
        tokio::spawn(async move { theirs.write_all(banner.as_bytes()).await });
        Ok(ours)
    }

    async fn stop(&self, _: StopKind) -> Result<(), RuntimeError> {
        self.exited.send_replace(Some(GuestExit::Stopped));
        Ok(())
    }

    fn exited(&self) -> watch::Receiver<Option<GuestExit>> {
        self.exited.subscribe()
    }
}
