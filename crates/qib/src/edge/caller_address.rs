//! The address that the internet sees this machine at, for `ssh_from: caller`.

use super::http::fetch;
use async_trait::async_trait;
use build::host::HttpRequest;
use build::ports::CallerAddress;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Asked unless QIB_CALLER_ADDRESS_URL names another. It answers with the caller's IPv4 address alone, see
/// <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html>.
pub const DEFAULT_SERVICE: &str = "https://checkip.amazonaws.com/";

const TIMEOUT: Duration = Duration::from_secs(5);
/// An address has at most 15 characters; a page that explains itself is not an answer.
const LONGEST_ANSWER: usize = 256;

/// Asks a service on the internet.
///
/// A proxy is not used: it would be seen at its own address, and SSH does not go through it.
pub struct EchoService {
    url: String,
    timeout: Duration,
}

impl EchoService {
    /// Asks `url`, which must be HTTPS: whoever could change the answer would be let in to the instance. Plain HTTP is
    /// for this machine itself.
    ///
    /// # Errors
    /// Says what is wrong with `url`.
    pub fn new(url: &str) -> Result<Self, String> {
        let here = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        // What stands before an `@` is a user's name, and the host comes after it.
        let is_here = here.iter().any(|prefix| url.starts_with(prefix)) && !url.contains('@');
        if url.starts_with("https://") || is_here {
            Ok(Self {
                url: url.to_owned(),
                timeout: TIMEOUT,
            })
        } else {
            Err(format!(
                "QIB_CALLER_ADDRESS_URL is {url:?}: it must start with https://"
            ))
        }
    }

    async fn ask(&self) -> Result<Ipv4Addr, String> {
        let request = HttpRequest {
            url: self.url.clone(),
            headers: Vec::new(),
            within: self.timeout,
        };
        let answer = fetch(&request, LONGEST_ANSWER).await?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("it answered with status {}", answer.status));
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.trim().parse().map_err(|_| {
            format!(
                "it answered {:?}, which is not an IPv4 address",
                text.trim()
            )
        })
    }
}

#[async_trait]
impl CallerAddress for EchoService {
    async fn caller_address(&self) -> Result<Ipv4Addr, String> {
        let answer = self.ask().await;
        answer.map_err(|why| format!("{}: {why}", self.url))
    }
}

/// The caller of the local EC2: this machine.
pub struct ThisMachine;

#[async_trait]
impl CallerAddress for ThisMachine {
    async fn caller_address(&self) -> Result<Ipv4Addr, String> {
        Ok(Ipv4Addr::LOCALHOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A service that gives every request the same answer; none for one that never answers.
    async fn service(answer: Option<&'static str>) -> EchoService {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Some(answer) = answer {
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                open.push(stream);
            }
        });
        EchoService::new(&format!("http://127.0.0.1:{port}/")).expect("a URL of this machine")
    }

    #[tokio::test]
    async fn the_answer_is_the_address() {
        let service = service(Some(
            "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n198.51.100.7\n",
        ))
        .await;
        assert_eq!(
            service.caller_address().await,
            Ok(Ipv4Addr::new(198, 51, 100, 7))
        );
    }

    #[tokio::test]
    async fn anything_else_is_no_address_and_says_what_was_asked() {
        for (answer, says) in [
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                "302",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n2001:db8::1\n",
                "2001:db8::1",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", ""),
        ] {
            let said = service(Some(answer))
                .await
                .caller_address()
                .await
                .expect_err(answer);
            assert!(
                said.starts_with("http://127.0.0.1:") && said.contains(says),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_waited_for_only_so_long() {
        let service = EchoService {
            timeout: Duration::from_millis(20),
            ..service(None).await
        };
        assert!(
            service
                .caller_address()
                .await
                .is_err_and(|said| said.contains("did not answer within 20ms"))
        );
    }

    #[test]
    fn only_https_is_asked_across_a_network() {
        assert!(EchoService::new(DEFAULT_SERVICE).is_ok());
        for url in [
            "http://checkip.amazonaws.com/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1.evil.example/",
            "ftp://x",
            "",
        ] {
            assert!(EchoService::new(url).is_err(), "{url}");
        }
    }
}
