//! A client of the instance metadata service, version 2: a session token first, then everything with it.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::guest::network::IMDS;

/// For one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For the service to come up. cloud-init's default is 120 s; here the service runs before the guest does.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer that is taken: user-data has at most 16 KiB.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// An open session.
#[derive(Debug)]
pub struct Imds {
    token: String,
}

impl Imds {
    /// Gets a token. A service that refuses connections or answers with a server error is asked again until the time is up.
    ///
    /// # Errors
    /// If there is no service in time, or it gives no token.
    pub fn connect() -> io::Result<Imds> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match request(
                "PUT",
                "/latest/api/token",
                &[("X-aws-ec2-metadata-token-ttl-seconds", "21600")],
            ) {
                Ok((200, body)) => {
                    let token = String::from_utf8(body).map_err(io::Error::other)?;
                    return Ok(Imds {
                        token: token.trim().to_owned(),
                    });
                }
                Ok((status, _)) if status < 500 => {
                    return Err(io::Error::other(format!(
                        "the IMDS gives no token: status {status}"
                    )));
                }
                Ok((status, _)) if Instant::now() > deadline => {
                    return Err(io::Error::other(format!(
                        "the IMDS gives no token: status {status}"
                    )));
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// One item below `/latest/`, such as `user-data`; `None` if there is no such item.
    ///
    /// # Errors
    /// If the service fails.
    pub fn get(&self, item: &str) -> io::Result<Option<Vec<u8>>> {
        match request(
            "GET",
            &format!("/latest/{item}"),
            &[("X-aws-ec2-metadata-token", &self.token)],
        )? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (status, _) => Err(io::Error::other(format!(
                "the IMDS answers {status} for {item}"
            ))),
        }
    }

    /// Like [`get`](Self::get), as text without surrounding white space.
    ///
    /// # Errors
    /// If the service fails or the item is not text.
    pub fn text(&self, item: &str) -> io::Result<Option<String>> {
        let body = self.get(item)?;
        body.map(|b| {
            String::from_utf8(b)
                .map(|t| t.trim().to_owned())
                .map_err(io::Error::other)
        })
        .transpose()
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&IMDS, REQUEST_TIMEOUT)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        IMDS.ip()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "PUT" {
        head.push_str("Content-Length: 0\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the IMDS's answer is no HTTP or is cut off",
        )
    })
}

/// Status and body of a complete answer on a closed connection.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let body = answer.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    let header = |name: &str| {
        lines.clone().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Some((status, unchunked(body)?));
    }
    match header("content-length") {
        Some(length) => Some((status, body.get(..length.parse().ok()?)?.to_vec())),
        None => Some((status, body.to_vec())),
    }
}

fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(body.get(..end)?)
            .ok()?
            .split(';')
            .next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        let start = end + 2;
        let stop = start.checked_add(size)?;
        whole.extend_from_slice(body.get(start..stop)?);
        body = body.get(stop.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_in_either_framing() {
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap(),
            (200, b"hi".to_vec())
        );
        assert_eq!(
            parse(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap(),
            (404, Vec::new())
        );
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), (200, b"hi!".to_vec()));
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
            None,
            "a cut-off answer is no answer"
        );
    }

    proptest! {
        #[test]
        fn garbage_is_no_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = unchunked(&bytes);
        }
    }
}
