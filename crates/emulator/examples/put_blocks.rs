//! How fast the local EC2 takes blocks: `put_blocks ENDPOINT KEY SECRET [GIB] [CONNECTIONS] [zero|data|mixed]`.
//!
//! One thread for each connection, which sends one block after the other on it and waits for each answer. What it sends is
//! signed without the body, as the AWS SDKs do it.

// A program for measuring is an edge.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

const BLOCK: usize = 524_288;
const REGION: &str = "us-east-2";

struct Client {
    host: String,
    key: String,
    secret: String,
}

impl Client {
    /// A request's head.
    fn head(
        &self,
        method: &str,
        path: &str,
        payload: &str,
        own: &[(&str, &str)],
        length: usize,
    ) -> String {
        let time = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let date = &time[..8];
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("x-amz-content-sha256", payload),
            ("x-amz-date", &time),
        ];
        headers.extend(own);
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(n, _)| *n).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{payload}");
        let scope = format!("{date}/{REGION}/ebs/aws4_request");
        let hashed = hex::encode(Sha256::digest(canonical));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [date, REGION, "ebs", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = mac(
            &key,
            &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}"),
        );
        format!(
            "{method} {path} HTTP/1.1\r\n{}authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}\r\ncontent-length: {length}\r\n\r\n",
            headers
                .iter()
                .map(|(n, v)| format!("{n}: {v}\r\n"))
                .collect::<String>(),
            self.key,
            hex::encode(signature)
        )
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.host).expect("the endpoint answers");
        stream.set_nodelay(true).expect("a socket");
        let reader = BufReader::new(stream.try_clone().expect("a socket"));
        Connection { stream, reader }
    }

    fn json(&self, path: &str, body: &str, own: &[(&str, &str)]) -> String {
        let payload = hex::encode(Sha256::digest(body));
        let head = self.head("POST", path, &payload, own, body.len());
        self.connect().exchange(&head, body.as_bytes())
    }
}

struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn exchange(&mut self, head: &str, body: &[u8]) -> String {
        self.stream.write_all(head.as_bytes()).expect("it is sent");
        self.stream.write_all(body).expect("it is sent");
        let (mut status, mut length) = (String::new(), 0);
        self.reader.read_line(&mut status).expect("an answer");
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("an answer");
            if line.trim().is_empty() {
                break;
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(status.contains(" 20"), "{status}{answer}");
        answer
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, key, secret, rest @ ..] = arguments.as_slice() else {
        println!("put_blocks ENDPOINT KEY SECRET [GIB] [CONNECTIONS] [zero|data|mixed]");
        return;
    };
    let number = |n: usize, usual: u32| rest.get(n).map_or(usual, |t| t.parse().expect("a number"));
    let (gib, connections) = (number(0, 4), number(1, 4));
    let kind = rest.get(2).map_or("zero", String::as_str);
    let client = Client {
        host: endpoint.trim_start_matches("http://").to_owned(),
        key: key.clone(),
        secret: secret.clone(),
    };
    let answer = client.json("/snapshots", &format!("{{\"VolumeSize\":{gib}}}"), &[]);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let id = answer["SnapshotId"].as_str().expect("an id").to_owned();
    // It is not known to other requests at once.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let zero = vec![0; BLOCK];
    let data: Vec<u8> = (0..BLOCK).map(|n| (n * 31 % 251 + 1) as u8).collect();
    let sum = |bytes: &[u8]| BASE64_STANDARD.encode(Sha256::digest(bytes));
    let (zero_sum, data_sum) = (sum(&zero), sum(&data));
    let (count, next) = (gib * 2048, AtomicU32::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = client.connect();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let (bytes, sum) = match kind {
                        "zero" => (&zero, &zero_sum),
                        "mixed" if index % 3 != 0 => (&zero, &zero_sum),
                        _ => (&data, &data_sum),
                    };
                    let own = [
                        ("x-amz-checksum", sum.as_str()),
                        ("x-amz-checksum-algorithm", "SHA256"),
                        ("x-amz-data-length", "524288"),
                    ];
                    let path = format!("/snapshots/{id}/blocks/{index}");
                    let head = client.head("PUT", &path, "UNSIGNED-PAYLOAD", &own, BLOCK);
                    connection.exchange(&head, bytes);
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let path = format!("/snapshots/completion/{id}");
    client.json(
        &path,
        "",
        &[("x-amz-changedblockscount", &count.to_string())],
    );
    println!(
        "{gib} GiB of {kind} on {connections} connections: {seconds:.2} s, {:.2} GiB/s, {:.0} puts/s",
        f64::from(gib) / seconds,
        f64::from(count) / seconds
    );
}
