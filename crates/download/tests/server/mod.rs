//! A web server that behaves as a test says: properly, or as badly as servers do.
#![allow(
    dead_code,
    missing_docs,
    clippy::disallowed_methods,
    reason = "each test program uses a part of it, and tests may use the clock"
)]

use download::{Address, Checksum, Digest, Fetch, Origin, Phase, Progress, Proxies, Settings};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Range, If-Range, ETag, Content-Length: all as in RFC 9110.
    Proper,
    /// Sends all of it with 200, whatever was asked for.
    IgnoreRange,
    /// Sends all of it with 200, but the connection ends after so many bytes.
    IgnoreRangeCut(usize),
    /// Properly, but the connection ends after so many bytes of the body.
    Cut(usize),
    /// Properly, but nothing comes any more after so many bytes of the body.
    Stall(usize),
    /// Says that the body has so many bytes more (or fewer) than it has.
    WrongLength(i64),
    /// Chunked, so without a length.
    Chunked,
    /// Chunked, and the connection ends after so many bytes.
    ChunkedCut(usize),
    /// The body ends where the connection ends.
    UntilClose,
    /// Another answer: status line, header fields, body.
    Say(&'static str, String, String),
    /// 206 from another place than was asked for.
    WrongPart,
    /// Closes without an answer.
    HangUp,
    /// Accepts, reads, and never answers.
    Silence,
    /// The next byte each so often.
    Trickle(Duration),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub fields: BTreeMap<String, String>,
    /// Bytes of body that were sent for it.
    pub sent: usize,
}

type Change = Box<dyn FnOnce(&mut State) + Send>;

pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    pub etag: Option<String>,
    pub modified: Option<String>,
    pub acts: VecDeque<Act>,
    pub always: Act,
    pub requests: Vec<Request>,
    /// Done once, before the next request is answered.
    pub before_next: Option<Change>,
}

#[derive(Clone)]
pub struct Server {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub async fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State {
            files: files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
                .collect(),
            etag: Some("\"one\"".into()),
            modified: Some("Mon, 06 Jul 2026 10:00:00 GMT".into()),
            acts: VecDeque::new(),
            always: Act::Proper,
            requests: Vec::new(),
            before_next: None,
        }));
        let server = Self { port, state };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = accepting.clone();
                tokio::spawn(async move {
                    // A client that goes away is part of the tests.
                    let _ = serving.serve(stream).await;
                });
            }
        });
        server
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("the state"))
    }

    pub fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.with(|state| state.acts.extend(acts));
    }

    pub fn always(&self, act: Act) {
        self.with(|state| state.always = act);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.requests.clone())
    }

    pub fn forget(&self) {
        self.with(|state| state.requests.clear());
    }

    pub fn url(&self, path: &str) -> Address {
        format!("http://127.0.0.1:{}{path}", self.port)
            .parse()
            .expect("a URL")
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut text = Vec::new();
        while !text.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            text.extend_from_slice(&piece[..length]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let fields: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let (act, index, content, etag, modified) = self.with(|state| {
            if let Some(change) = state.before_next.take() {
                change(state);
            }
            state.requests.push(Request {
                path: path.clone(),
                fields: fields.clone(),
                sent: 0,
            });
            let act = state.acts.pop_front().unwrap_or(state.always.clone());
            let name = path.split('?').next().unwrap_or_default();
            (
                act,
                state.requests.len() - 1,
                state.files.get(name).cloned(),
                state.etag.clone(),
                state.modified.clone(),
            )
        });
        let mut answer = Answer {
            server: self,
            stream,
            index,
        };
        let Some(content) = content else {
            if let Act::Say(status, fields, body) = act {
                return answer.say(status, &fields, body.as_bytes()).await;
            }
            return answer.say("404 Not Found", "", b"nothing").await;
        };
        let mut head = String::from("Content-Type: application/octet-stream\r\n");
        if let Some(etag) = &etag {
            head += &format!("ETag: {etag}\r\n");
        }
        if let Some(modified) = &modified {
            head += &format!("Last-Modified: {modified}\r\n");
        }
        let wanted = fields
            .get("range")
            .filter(|_| {
                fields
                    .get("if-range")
                    .is_none_or(|tag| Some(tag) == etag.as_ref() || Some(tag) == modified.as_ref())
            })
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
        let (status, start) = match (wanted, &act) {
            (Some(start), Act::WrongPart) => ("206 Partial Content", start + 1),
            (_, Act::IgnoreRange | Act::IgnoreRangeCut(_)) | (None, _) => ("200 OK", 0),
            (Some(start), _) if start >= content.len() => {
                let range = format!("{head}Content-Range: bytes */{}\r\n", content.len());
                return answer.say("416 Range Not Satisfiable", &range, b"").await;
            }
            (Some(start), _) => ("206 Partial Content", start),
        };
        if status.starts_with("206") {
            head += &format!(
                "Content-Range: bytes {start}-{}/{}\r\n",
                content.len() - 1,
                content.len()
            );
        }
        let body = &content[start..];
        let length = format!("Content-Length: {}\r\n", body.len());
        match act {
            Act::HangUp => Ok(()),
            Act::Silence => answer.hang().await,
            Act::Say(status, fields, body) => answer.say(status, &fields, body.as_bytes()).await,
            Act::Proper | Act::IgnoreRange | Act::WrongPart => {
                answer.head(status, &(head + &length)).await?;
                answer.body(body).await
            }
            Act::Cut(most) | Act::IgnoreRangeCut(most) => {
                answer.head(status, &(head + &length)).await?;
                answer.body(&body[..most.min(body.len())]).await
            }
            Act::Stall(most) => {
                answer.head(status, &(head + &length)).await?;
                answer.body(&body[..most.min(body.len())]).await?;
                answer.hang().await
            }
            Act::Trickle(pause) => {
                answer.head(status, &(head + &length)).await?;
                for byte in body {
                    answer.body(&[*byte]).await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
            Act::WrongLength(by) => {
                let wrong = i64::try_from(body.len()).expect("it is short") + by;
                let length = format!("Content-Length: {wrong}\r\n");
                answer.head(status, &(head + &length)).await?;
                answer.body(body).await
            }
            Act::UntilClose => {
                answer.head(status, &head).await?;
                answer.body(body).await
            }
            Act::Chunked | Act::ChunkedCut(_) => {
                head += "Transfer-Encoding: chunked\r\n";
                answer.head(status, &head).await?;
                let most = match act {
                    Act::ChunkedCut(most) => most.min(body.len()),
                    _ => body.len(),
                };
                for piece in body[..most].chunks(8192) {
                    answer
                        .raw(format!("{:x}\r\n", piece.len()).as_bytes())
                        .await?;
                    answer.body(piece).await?;
                    answer.raw(b"\r\n").await?;
                }
                if most == body.len() {
                    answer.raw(b"0\r\n\r\n").await?;
                }
                Ok(())
            }
        }
    }
}

struct Answer<'a> {
    server: &'a Server,
    stream: TcpStream,
    index: usize,
}

impl Answer<'_> {
    async fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn head(&mut self, status: &str, fields: &str) -> std::io::Result<()> {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Connection: close\r\n\r\n");
        self.raw(head.as_bytes()).await
    }

    async fn body(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(16 << 10) {
            self.raw(piece).await?;
            let (index, length) = (self.index, piece.len());
            self.server.with(|state| {
                if let Some(request) = state.requests.get_mut(index) {
                    request.sent += length;
                }
            });
        }
        Ok(())
    }

    async fn say(&mut self, status: &str, fields: &str, body: &[u8]) -> std::io::Result<()> {
        let fields = format!("{fields}Content-Length: {}\r\n", body.len());
        self.head(status, &fields).await?;
        self.body(body).await
    }

    /// Until the client goes away.
    async fn hang(&mut self) -> std::io::Result<()> {
        let mut nothing = [0; 16];
        while self.stream.read(&mut nothing).await? > 0 {}
        Ok(())
    }
}

/// Content without a pattern, and not packed.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

pub fn sha256(content: &[u8]) -> Digest {
    Digest::Sha256(Sha256::digest(content).into())
}

/// Settings that do not make a test wait.
pub fn settings(cache: &Path) -> Settings {
    let mut settings = Settings::in_cache(cache);
    settings.first_pause = Duration::from_millis(1);
    settings.longest_pause = Duration::from_millis(20);
    settings.connect_timeout = Duration::from_secs(5);
    settings.stall_timeout = Duration::from_secs(5);
    settings.proxies = Proxies::Direct;
    settings.keep_free = 0;
    settings
}

pub fn from_url(url: Address, content: &[u8]) -> Fetch {
    Fetch {
        from: Origin::Url(url),
        checksum: Some(Checksum::Digest(sha256(content))),
        name: "the image".into(),
    }
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Told {
    pub notes: Mutex<Vec<String>>,
    pub last: Mutex<BTreeMap<Phase, (u64, Option<u64>)>>,
}

impl Progress for Told {
    fn advance(&self, phase: Phase, done: u64, total: Option<u64>) {
        self.last
            .lock()
            .expect("the list")
            .insert(phase, (done, total));
    }
    fn note(&self, text: &str) {
        self.notes.lock().expect("the list").push(text.to_owned());
    }
}

pub fn told() -> (Arc<Told>, Arc<dyn Progress>) {
    let told = Arc::new(Told::default());
    (told.clone(), told)
}

/// Every file below a folder, with its path in it.
pub fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(items) = std::fs::read_dir(&next) else {
            continue;
        };
        for item in items {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it");
                all.push(name.display().to_string());
            }
        }
    }
    all.sort();
    all
}
