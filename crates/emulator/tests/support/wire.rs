//! A local EC2 on a real socket, and a client that reads bytes.

use super::{Credentials, LocalEc2};
use emulator::api::protocol::HttpRequest;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A local EC2 that is served on a socket.
pub struct Served {
    pub ec2: LocalEc2,
    pub at: SocketAddr,
}

/// What a client saw of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saw {
    /// An answer: its head and its body.
    Answer { head: String, body: String },
    /// The connection was closed before a single byte came.
    Closed,
    /// Nothing at all in the time it waited.
    Silence,
}

impl Served {
    pub async fn new(ec2: LocalEc2) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(emulator::server::serve(listener, ec2.engine.clone()));
        Self { ec2, at }
    }

    /// Puts faults into force through the endpoint.
    pub async fn faults(&self, text: &str) {
        let saw = self.control("PUT", &self.ec2.key.secret, text).await;
        assert_eq!(saw.status(), 204, "{saw:?}");
    }

    /// Asks the endpoint for faults.
    pub async fn control(&self, method: &str, secret: &str, text: &str) -> Saw {
        self.control_at("/_local/faults", method, secret, text)
            .await
    }

    /// Asks another endpoint of the local EC2's own.
    pub async fn control_at(&self, path: &str, method: &str, secret: &str, text: &str) -> Saw {
        let length = text.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n{text}"
        );
        exchange(self.at, request, Duration::from_secs(30)).await
    }

    /// Sends an EC2 action.
    pub async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Saw {
        self.within(Duration::from_secs(30), action, parameters)
            .await
    }

    /// Sends an EC2 action and waits so long for an answer.
    pub async fn within(
        &self,
        patience: Duration,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Saw {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action)
            .append_pair("Version", "2016-11-15")
            .extend_pairs(parameters);
        let request = self.signed("ec2", jiff::Timestamp::now(), None, form.finish());
        exchange(self.at, request, patience).await
    }

    /// Sends a request of any service that was signed at a time.
    pub async fn at_time(
        &self,
        service: &str,
        time: jiff::Timestamp,
        target: Option<&str>,
        body: &str,
    ) -> Saw {
        let request = self.signed(service, time, target, body.to_owned());
        exchange(self.at, request, Duration::from_secs(30)).await
    }

    fn signed(
        &self,
        service: &str,
        time: jiff::Timestamp,
        target: Option<&str>,
        body: String,
    ) -> String {
        let content_type = match target {
            Some(_) => "application/x-amz-json-1.1",
            None => "application/x-www-form-urlencoded",
        };
        let mut headers = vec![
            ("host".to_owned(), "x".to_owned()),
            ("content-type".to_owned(), content_type.to_owned()),
        ];
        headers.extend(target.map(|t| ("x-amz-target".to_owned(), t.to_owned())));
        let mut request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers,
            body: body.clone().into_bytes(),
        };
        let key: &Credentials = &self.ec2.key;
        key.sign(&mut request, &self.ec2.region, service, time);
        let headers: String = request
            .headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}\r\n"))
            .collect();
        format!(
            "POST / HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Saw {
    /// The HTTP status of the answer, which there must be.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let Self::Answer { head, .. } = self else {
            panic!("no answer: {self:?}")
        };
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The answer's body.
    #[track_caller]
    pub fn body(&self) -> &str {
        match self {
            Self::Answer { body, .. } => body,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// The error's code.
    #[track_caller]
    pub fn code(&self) -> String {
        let (status, body) = (self.status(), self.body().to_owned());
        super::Answer { status, body }.code()
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<String> {
        let Self::Answer { head, .. } = self else {
            return None;
        };
        head.lines().find_map(|line| {
            let (n, value) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }
}

/// Sends bytes and reads until the other side closes, or patience ends.
pub async fn exchange(at: SocketAddr, request: String, patience: Duration) -> Saw {
    let seen = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        read(&mut stream, patience)
    });
    seen.await.unwrap()
}

fn read(stream: &mut TcpStream, patience: Duration) -> Saw {
    let deadline = Instant::now() + patience;
    let mut got = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            assert!(got.is_empty(), "half an answer");
            return Saw::Silence;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&part[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("{e}"),
        }
    }
    if got.is_empty() {
        return Saw::Closed;
    }
    let text = String::from_utf8(got).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    Saw::Answer {
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
