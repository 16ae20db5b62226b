//! A web server of the test's own on 127.0.0.1, which serves a folder as a mirror does, with ranges, and fails as it is told
//! to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tempfile::TempDir;

/// A request that the server was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Its path, with the slash that it begins with.
    pub path: String,
    /// The `Range` that was asked for.
    pub range: Option<String>,
    /// The status that was answered.
    pub status: u16,
}

/// What goes wrong with the next requests for a path.
struct Fault {
    /// The end of the path.
    path: String,
    how: How,
    /// With how many requests.
    times: usize,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The connection is closed after so many bytes of the body.
    Cut(u64),
    /// Nothing comes from this offset of the file on, and the connection stays open.
    Stall(u64),
    /// This status is answered, with a page.
    Status(u16),
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    faults: Mutex<Vec<Fault>>,
    /// Connections that stay open.
    stalled: Mutex<Vec<TcpStream>>,
    ends: AtomicBool,
}

/// The server. It ends when this is dropped.
pub struct WebServer {
    address: SocketAddr,
    folder: PathBuf,
    /// The folder, where it is the server's own.
    _own: Option<TempDir>,
    shared: Arc<Shared>,
    listens: Option<JoinHandle<()>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for WebServer {
    fn default() -> Self {
        Self::new()
    }
}

impl WebServer {
    /// Serves what is [put](Self::put) there.
    #[track_caller]
    pub fn new() -> Self {
        let own = tempfile::tempdir().expect("a folder of its own");
        let mut server = Self::of(own.path());
        server._own = Some(own);
        server
    }

    /// Serves what is in `folder`, at a port that is free.
    #[track_caller]
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        let served = folder.clone();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of 127.0.0.1 is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        let listens = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ends.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    let (shared, folder) = (serving.clone(), served.clone());
                    // A client that goes away ends its own connection alone.
                    thread::spawn(move || serve(&stream, &folder, &shared).ok());
                }
            }
        });
        Self {
            address,
            folder,
            _own: None,
            shared,
            listens: Some(listens),
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where a path of the folder is, whether something is there or not.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}/{path}", self.url())
    }

    /// Puts something into the folder, and gives its address.
    #[track_caller]
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        let file = self.folder.join(path);
        let parent = file.parent().expect("it is in the folder");
        fs::create_dir_all(parent).expect("its folder can be made");
        fs::write(&file, content).expect("it can be written");
        self.url_of(path)
    }

    /// Lets something go wrong with the next request for a path that ends so.
    pub fn fails(&self, path: impl Into<String>, how: How) {
        self.fails_times(1, path, how);
    }

    /// Lets something go wrong with every request for a path that ends so.
    pub fn always_fails(&self, path: impl Into<String>, how: How) {
        self.fails_times(usize::MAX, path, how);
    }

    fn fails_times(&self, times: usize, path: impl Into<String>, how: How) {
        let path = path.into();
        held(&self.shared.faults).push(Fault { path, how, times });
    }

    /// All requests until now.
    pub fn requests(&self) -> Vec<Request> {
        held(&self.shared.requests).clone()
    }

    /// All requests until now. They are forgotten.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *held(&self.shared.requests))
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // So that the thread that waits for a connection sees it.
        TcpStream::connect(self.address).ok();
        if let Some(listens) = self.listens.take() {
            listens.join().ok();
        }
    }
}

/// The file that a path of a URL names; none if it would lead out of the folder.
fn file_of(folder: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let inside = relative
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    inside.then(|| folder.join(relative))
}

/// `bytes=FROM-` and `bytes=FROM-TO`.
fn range_of(header: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let to = match to {
        "" => size,
        to => to.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    (from < to).then_some((from, to))
}

fn serve(stream: &TcpStream, folder: &Path, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((key, value)) => headers.push((key.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        if answer(stream, &first, &headers, folder, shared)? == Then::Close {
            return Ok(());
        }
    }
}

#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
}

fn answer(
    mut stream: &TcpStream,
    first: &str,
    headers: &[(String, String)],
    folder: &Path,
    shared: &Shared,
) -> std::io::Result<Then> {
    let mut words = first.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let header = |key: &str| {
        headers
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    };
    let range = header("range").map(str::to_owned);
    let fault = {
        let mut faults = held(&shared.faults);
        let mut of_path = faults
            .iter_mut()
            .filter(|fault| fault.times > 0 && path.ends_with(&fault.path));
        of_path.next().map(|fault| {
            fault.times -= 1;
            fault.how
        })
    };
    let tell = |status: u16| {
        held(&shared.requests).push(Request {
            method: method.clone(),
            path: path.clone(),
            range: range.clone(),
            status,
        });
    };
    let content = file_of(folder, &path).and_then(|file| {
        // As most servers do, by size and time: what is written anew is another file.
        let facts = fs::metadata(&file).ok()?;
        let tag = format!(
            "\"{:x}-{:x}{:x}\"",
            facts.len(),
            facts.mtime(),
            facts.mtime_nsec()
        );
        Some((fs::read(file).ok()?, tag))
    });
    let (content, tag) = match (fault, content) {
        (Some(How::Status(status)), _) => {
            tell(status);
            let page = "<html>as told</html>";
            write!(
                stream,
                "HTTP/1.1 {status} As Told\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            )?;
            return Ok(Then::GoOn);
        }
        (_, None) => {
            tell(404);
            write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            )?;
            return Ok(Then::GoOn);
        }
        (_, Some(content)) => content,
    };
    let size = content.len() as u64;
    let same = header("if-range").is_none_or(|wanted| wanted == tag);
    let asked = range.as_deref().filter(|_| same);
    let (status, from, to) = match asked.map(|range| range_of(range, size)) {
        None => (200, 0, size),
        Some(Some((from, to))) => (206, from, to),
        Some(None) => {
            tell(416);
            write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
            )?;
            return Ok(Then::GoOn);
        }
    };
    tell(status);
    let name = if status == 206 {
        "Partial Content"
    } else {
        "OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status} {name}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: {tag}\r\n",
        to - from
    )?;
    if status == 206 {
        write!(stream, "Content-Range: bytes {from}-{}/{size}\r\n", to - 1)?;
    }
    write!(stream, "\r\n")?;
    if method == "HEAD" {
        return Ok(Then::GoOn);
    }
    let until = match fault {
        Some(How::Cut(bytes)) => to.min(from + bytes),
        Some(How::Stall(offset)) => to.min(offset.max(from)),
        _ => to,
    };
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    stream.write_all(&content[at(from)..at(until)])?;
    stream.flush()?;
    match fault {
        Some(How::Cut(_)) => {
            stream.shutdown(std::net::Shutdown::Both)?;
            Ok(Then::Close)
        }
        Some(How::Stall(_)) => {
            held(&shared.stalled).push(stream.try_clone()?);
            Ok(Then::Close)
        }
        _ => Ok(Then::GoOn),
    }
}
