//! A web server of the test's own, on 127.0.0.1: what it is asked for can be seen, and it misbehaves as it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What is at a path.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes, ranges of them too.
    Content(Vec<u8>),
    /// This status, with a page.
    Status(u16, &'static str),
    /// The same bytes, but the first so many answers stop after `after` bytes, the connection open.
    Stalls {
        /// The content.
        content: Vec<u8>,
        /// Bytes of the body.
        after: usize,
        /// How many answers.
        times: usize,
    },
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its path.
    pub path: String,
    /// Its `Range` header.
    pub range: Option<String>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    /// Connections that are held open.
    held: Mutex<Vec<TcpStream>>,
    ends: AtomicBool,
}

/// Serves until it is dropped.
pub struct Web {
    at: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Web {
    /// One that has nothing yet.
    #[track_caller]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on 127.0.0.1");
        let at = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.ends.load(Ordering::Relaxed) {
                    return;
                }
                let shared = of_thread.clone();
                // What the client does with a connection is its own affair.
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Self {
            at,
            shared,
            thread: Some(thread),
        }
    }

    /// Puts something at a path, and gives its address.
    pub fn put(&self, path: &str, answer: Answer) -> String {
        locked(&self.shared.answers).insert(format!("/{path}"), answer);
        self.address(path)
    }

    /// The address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("http://{}/{path}", self.at)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.shared.asked).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        TcpStream::connect(self.at).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request: the connection is closed after it.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut range = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    locked(&shared.asked).push(Asked {
        path: path.clone(),
        range: range.clone(),
    });
    let answer = {
        let mut answers = locked(&shared.answers);
        let answer = answers.get(&path).cloned();
        if let Some(Answer::Stalls { times, .. }) = answers.get_mut(&path) {
            *times = times.saturating_sub(1);
        }
        answer
    };
    match answer {
        None => status(&mut stream, 404, "<html>there is no such thing</html>"),
        Some(Answer::Status(code, page)) => status(&mut stream, code, page),
        Some(Answer::Content(content)) => send(&mut stream, &content, range.as_deref(), None),
        Some(Answer::Stalls {
            content,
            after,
            times,
        }) => {
            let until = (times > 0).then_some(after);
            send(&mut stream, &content, range.as_deref(), until)?;
            if until.is_some() {
                locked(&shared.held).push(stream);
            }
            Ok(())
        }
    }
}

fn status(stream: &mut TcpStream, code: u16, page: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {code} Said\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}

fn send(
    stream: &mut TcpStream,
    content: &[u8],
    range: Option<&str>,
    until: Option<usize>,
) -> std::io::Result<()> {
    let from = range
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .split('-')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0_usize);
    let Some(body) = content.get(from..) else {
        return status(stream, 416, "");
    };
    let head = match range {
        None => String::from("200 OK\r\n"),
        Some(_) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
            content.len().saturating_sub(1),
            content.len()
        ),
    };
    write!(
        stream,
        "HTTP/1.1 {head}Content-Length: {}\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..until.unwrap_or(body.len()).min(body.len())])?;
    stream.flush()
}
