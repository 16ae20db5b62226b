//! Asking web servers, from this machine.
//!
//! No proxy is used and no redirection followed: an answer comes from the server that was named, or not at all.

use async_trait::async_trait;
use build::failure::with_causes;
use build::host::{HttpAnswer, HttpClient, HttpRequest, MAX_HTTP_BODY};
use http::header::{HeaderName, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Some servers refuse requests that do not say what they come from.
const AGENT: &str = concat!("qib/", env!("CARGO_PKG_VERSION"));

/// Asks over HTTP and HTTPS, with the certificate authorities of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Web;

#[async_trait]
impl HttpClient for Web {
    async fn get(&self, request: &HttpRequest) -> Result<HttpAnswer, String> {
        fetch(request, MAX_HTTP_BODY)
            .await
            .map_err(|why| format!("{}: {why}", request.url))
    }
}

/// Asks with GET. A body of more than `longest` bytes is an error.
///
/// # Errors
/// Why there is no answer, in words, without the URL.
pub async fn fetch(request: &HttpRequest, longest: usize) -> Result<HttpAnswer, String> {
    let answer = tokio::time::timeout(request.within, ask(request, longest)).await;
    answer.unwrap_or_else(|_| Err(format!("it did not answer within {:?}", request.within)))
}

async fn ask(request: &HttpRequest, longest: usize) -> Result<HttpAnswer, String> {
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|error| {
            format!("this machine's certificate authorities cannot be read: {error}")
        })?;
    let client = Client::builder(TokioExecutor::new())
        .build::<_, Empty<&'static [u8]>>(tls.https_or_http().enable_http1().build());
    let mut asked = http::Request::get(&request.url)
        .body(Empty::new())
        .map_err(|error| format!("it is not a URL: {error}"))?;
    let fields = asked.headers_mut();
    fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &request.headers {
        let field = HeaderName::try_from(name).map_err(|error| format!("{name}: {error}"))?;
        // Not the value: it may be secret.
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| format!("the value of {name} cannot be sent"))?;
        value.set_sensitive(true);
        fields.insert(field, value);
    }
    let answer = client
        .request(asked)
        .await
        .map_err(|error| with_causes(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), longest)
        .collect()
        .await
        .map_err(|error| with_causes(error.as_ref()))?;
    Ok(HttpAnswer {
        status,
        body: body.to_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that gives every request the same answer, and keeps the requests.
    async fn server(answer: String) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let n = stream.read(&mut request).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                requests.lock().expect("the list").push(text);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (format!("http://127.0.0.1:{port}/graph?channel=a"), seen)
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            url: url.to_owned(),
            headers: vec![("Authorization".into(), "Bearer s3cret".into())],
            within: Duration::from_secs(20),
        }
    }

    fn with_body(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn the_path_and_the_fields_arrive_and_the_answer_comes_whole() {
        let (url, seen) = server(with_body("200 OK", "{\"nodes\":[]}")).await;
        let answer = Web.get(&request(&url)).await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, b"{\"nodes\":[]}");
        let seen = seen.lock().expect("the list");
        assert!(
            seen[0].starts_with("GET /graph?channel=a HTTP/1.1\r\n"),
            "{seen:?}"
        );
        let lower = seen[0].to_ascii_lowercase();
        assert!(
            lower.contains("authorization: bearer s3cret\r\n"),
            "{seen:?}"
        );
        assert!(lower.contains("user-agent: qib/"), "{seen:?}");
    }

    #[tokio::test]
    async fn a_redirection_is_not_followed() {
        let (elsewhere, seen) = server(with_body("200 OK", "")).await;
        let (url, _) = server(format!(
            "HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let answer = Web.get(&request(&url)).await.expect("an answer");
        assert_eq!(answer.status, 302);
        assert!(seen.lock().expect("the list").is_empty());
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why_and_shows_no_secret() {
        let (url, _) = server(with_body("200 OK", "123456789")).await;
        let long = fetch(&request(&url), 8).await.expect_err("it is too long");
        assert!(long.contains("limit"), "{long}");
        let refused = Web
            .get(&request("http://127.0.0.1:1/"))
            .await
            .expect_err("nothing listens there");
        assert!(refused.starts_with("http://127.0.0.1:1/: "), "{refused}");
        let mut bad = request(&url);
        bad.headers[0].1 = "s3cret\n".into();
        let bad = Web.get(&bad).await.expect_err("it cannot be sent");
        assert!(
            bad.contains("Authorization") && !bad.contains("s3cret"),
            "{bad}"
        );
        assert!(Web.get(&request("not a url")).await.is_err());
    }
}
