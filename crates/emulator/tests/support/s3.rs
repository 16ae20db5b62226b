//! A client of S3 on a real socket, which signs by itself.

use super::wire::Served;
use super::{Credentials, LocalEc2};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A local EC2 that is served, seen by a client of S3.
pub struct S3 {
    pub served: Served,
    pub region: String,
    pub key: Credentials,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a body is sent.
#[derive(Clone, Debug)]
pub enum Sent<'a> {
    /// As it is, with its hash in the signature.
    Signed(&'a [u8]),
    /// As it is; the header says this.
    Claimed(&'a str, &'a [u8]),
    /// In chunks of a size, with a trailer; signed or not.
    Chunks {
        data: &'a [u8],
        size: usize,
        signed: bool,
        trailer: Option<(&'a str, &'a str)>,
    },
}

impl S3 {
    pub async fn new() -> Self {
        Self::over(LocalEc2::new()).await
    }

    pub async fn over(ec2: LocalEc2) -> Self {
        let key = ec2.key.clone();
        Self {
            served: Served::new(ec2).await,
            region: "us-east-2".to_owned(),
            key,
        }
    }

    /// The same as another caller, or in another region.
    pub fn also(&self, key: &Credentials, region: &str) -> Self {
        let ec2 = self.served.ec2.in_region(region);
        Self {
            served: Served {
                ec2,
                at: self.served.at,
            },
            region: region.to_owned(),
            key: key.clone(),
        }
    }

    /// Makes a bucket.
    pub async fn bucket(&self, name: &str) {
        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region
        );
        self.send("PUT", &format!("/{name}"), &[], body.as_bytes())
            .await
            .ok();
    }

    /// Sends a request without a body.
    pub async fn ask(&self, method: &str, target: &str) -> Got {
        self.send(method, target, &[], b"").await
    }

    /// Sends a request with a signed body.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Got {
        self.sent(method, target, headers, Sent::Signed(body)).await
    }

    /// Sends a request.
    pub async fn sent(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        sent: Sent<'_>,
    ) -> Got {
        let bytes = self.request(method, target, headers, sent);
        let got = exchange(self.served.at, bytes).await;
        got.expect("an answer")
    }

    /// The same where the connection may be closed in place of an answer.
    pub async fn may_break(&self, method: &str, target: &str, body: &[u8]) -> Option<Got> {
        let bytes = self.request(method, target, &[], Sent::Signed(body));
        exchange(self.served.at, bytes).await
    }

    /// A request's bytes.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        sent: Sent<'_>,
    ) -> Vec<u8> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let hash = match &sent {
            Sent::Signed(body) => hex::encode(Sha256::digest(body)),
            Sent::Claimed(hash, _) => (*hash).to_owned(),
            Sent::Chunks {
                signed, trailer, ..
            } => match (signed, trailer) {
                (true, None) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
                (true, Some(_)) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
                (false, _) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
            },
        };
        let time = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), (*v).to_owned()))
            .collect();
        all.push(("host".into(), self.served.at.to_string()));
        all.push(("x-amz-date".into(), time.clone()));
        all.push(("x-amz-content-sha256".into(), hash.clone()));
        all.extend(
            self.key
                .token
                .iter()
                .map(|t| ("x-amz-security-token".to_owned(), t.clone())),
        );
        if let Sent::Chunks { data, trailer, .. } = &sent {
            all.push((
                "x-amz-decoded-content-length".into(),
                data.len().to_string(),
            ));
            all.push(("content-encoding".into(), "aws-chunked".into()));
            all.extend(
                trailer
                    .iter()
                    .map(|(n, _)| ("x-amz-trailer".into(), (*n).into())),
            );
        }
        all.sort();
        let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
        let names = names.join(";");
        let lines: String = all.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|p| match p.contains('=') {
                true => p.to_owned(),
                false => format!("{p}="),
            })
            .collect();
        pairs.sort();
        // The path is sent as it is signed: the tests' own keys are encoded already.
        let canonical = format!(
            "{method}\n{path}\n{}\n{lines}\n{names}\n{hash}",
            pairs.join("&")
        );
        let date = &time[..8];
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let mut key = format!("AWS4{}", self.key.secret).into_bytes();
        for part in [date, self.region.as_str(), "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let canonical = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let signature = hex::encode(mac(&key, &text));
        let body = match sent {
            Sent::Signed(body) | Sent::Claimed(_, body) => body.to_vec(),
            Sent::Chunks {
                data,
                size,
                signed,
                trailer,
            } => {
                let signer = signed.then(|| Chunks {
                    key,
                    scope: format!("{time}\n{scope}"),
                    previous: signature.clone(),
                });
                chunked(data, size, signer, trailer)
            }
        };
        let mut request = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &all {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let id = &self.key.access_key;
        request.push_str(&format!(
            "authorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        ));
        let mut request = request.into_bytes();
        request.extend(body);
        request
    }
}

struct Chunks {
    key: Vec<u8>,
    scope: String,
    previous: String,
}

impl Chunks {
    fn sign(&mut self, kind: &str, what: &str) -> String {
        let text = format!("{kind}\n{}\n{}\n{what}", self.scope, self.previous);
        self.previous = hex::encode(mac(&self.key, &text));
        self.previous.clone()
    }
}

fn chunked(
    data: &[u8],
    size: usize,
    mut signer: Option<Chunks>,
    trailer: Option<(&str, &str)>,
) -> Vec<u8> {
    let mut body = Vec::new();
    let nothing = hex::encode(Sha256::digest(b""));
    for chunk in data.chunks(size).chain([&[][..]]) {
        let signature = signer.as_mut().map(|s| {
            let hash = hex::encode(Sha256::digest(chunk));
            s.sign("AWS4-HMAC-SHA256-PAYLOAD", &format!("{nothing}\n{hash}"))
        });
        let extension = signature.map_or(String::new(), |s| format!(";chunk-signature={s}"));
        body.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        if !chunk.is_empty() {
            body.extend(b"\r\n");
        }
    }
    if let Some((name, value)) = trailer {
        body.extend(format!("{name}:{value}\r\n").bytes());
        if let Some(signer) = &mut signer {
            let hash = hex::encode(Sha256::digest(format!("{name}:{value}\n")));
            let signature = signer.sign("AWS4-HMAC-SHA256-TRAILER", &hash);
            body.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
        }
    }
    body.extend(b"\r\n");
    body
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Got {
    #[track_caller]
    pub fn ok(self) -> Self {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert!((200..300).contains(&self.status), "{}: {text}", self.status);
        self
    }

    /// The status and the error's code.
    #[track_caller]
    pub fn refused(&self) -> (u16, String) {
        let code = self.text("Code");
        (self.status, code.unwrap_or_else(|| self.said()))
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.texts(path).into_iter().next()
    }

    pub fn texts(&self, path: &str) -> Vec<String> {
        let (status, body) = (self.status, self.said());
        super::Answer { status, body }.texts(path)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    }
}

/// Sends bytes and reads the answer; none if the connection is closed instead.
pub async fn exchange(at: SocketAddr, request: Vec<u8>) -> Option<Got> {
    let head_only = request.starts_with(b"HEAD ");
    let seen = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        // Who refuses early may close before all is sent.
        let _ = stream.write_all(&request);
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        got
    });
    let got = seen.await.unwrap();
    if got.is_empty() {
        return None;
    }
    let end = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(got[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|l| l.split_once(": ").unwrap())
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let body = got[end + 4..].to_vec();
    let got = Got {
        status: status.parse().unwrap(),
        headers,
        body,
    };
    if let Some(length) = got.header("content-length").filter(|_| !head_only) {
        assert_eq!(got.body.len(), length.parse::<usize>().unwrap(), "{head}");
    }
    Some(got)
}
