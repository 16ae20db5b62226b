//! The other side of the wire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
pub enum Answer {
    /// Answers.
    Http {
        status: u16,
        content_type: &'static str,
        /// The `Date` header, if there is one.
        date: Option<&'static str>,
        body: String,
    },
    /// Keeps the connection and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Promises a longer body than it sends.
    CutOff,
}

impl Answer {
    pub fn xml(body: impl Into<String>) -> Self {
        Self::Http {
            status: 200,
            content_type: "text/xml;charset=UTF-8",
            date: None,
            body: body.into(),
        }
    }

    pub fn json(body: impl Into<String>) -> Self {
        Self::Http {
            status: 200,
            content_type: "application/x-amz-json-1.1",
            date: None,
            body: body.into(),
        }
    }

    /// The answer, with this `Date`.
    pub fn at(mut self, moment: &'static str) -> Self {
        if let Self::Http { date, .. } = &mut self {
            *date = Some(moment);
        }
        self
    }

    /// An error as EC2 writes it.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html#api-error-response>
    pub fn ec2_error(status: u16, code: &str, message: &str) -> Self {
        Self::Http {
            status,
            content_type: "text/xml;charset=UTF-8",
            date: None,
            body: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
                 <Message>{message}</Message></Error></Errors><RequestID>req-1</RequestID></Response>"
            ),
        }
    }

    /// An error as STS writes it.
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
    pub fn sts_error(status: u16, code: &str, message: &str) -> Self {
        Self::Http {
            status,
            content_type: "text/xml",
            date: None,
            body: format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>{message}</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"
            ),
        }
    }

    /// An error as SSM, Service Quotas and KMS write it.
    pub fn json_error(code: &str, message: &str) -> Self {
        Self::Http {
            status: 400,
            content_type: "application/x-amz-json-1.1",
            date: None,
            body: format!("{{\"__type\":\"{code}\",\"message\":\"{message}\"}}"),
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    headers: BTreeMap<String, String>,
    pub body: String,
    params: BTreeMap<String, String>,
}

impl Request {
    /// A parameter of a Query request.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Exactly these parameters, besides the version.
    #[track_caller]
    pub fn assert_params(&self, expected: &[(&str, &str)]) {
        let sent: BTreeMap<&str, &str> = self
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| *name != "Version")
            .collect();
        assert_eq!(sent, expected.iter().copied().collect());
    }

    #[track_caller]
    pub fn assert_signed_for(&self, region: &str, service: &str) {
        let authorization = self.header("authorization").unwrap_or_default();
        assert!(
            authorization.contains(&format!("/{region}/{service}/aws4_request")),
            "{authorization}"
        );
    }
}

/// An HTTP server that lives as long as the test.
pub struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), answers.clone()));
            }
        });
        Self {
            url,
            requests,
            task,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request, answers it and closes the connection.
async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    seen.lock().unwrap().push(request);
    let answer = answers.lock().unwrap().pop_front();
    let (status, content_type, date, body, promised) = match answer {
        Some(Answer::Http {
            status,
            content_type,
            date,
            body,
        }) => (status, content_type, date, body, 0),
        Some(Answer::CutOff) => (200, "text/xml", None, "<DescribeInst".to_owned(), 1000),
        Some(Answer::HangUp) => return,
        Some(Answer::Silence) => {
            // Until the client has had enough.
            let _ = stream.read(&mut [0; 1]).await;
            return;
        }
        None => (
            418,
            "text/plain",
            None,
            "the test has no answer left".to_owned(),
            0,
        ),
    };
    let date = date.map_or(String::new(), |date| format!("date: {date}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Test\r\ncontent-type: {content_type}\r\n{date}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len() + promised
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let got = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..got]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let headers: BTreeMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        // A GET says nothing of a length.
        let length = headers.get("content-length").map_or("0", String::as_str);
        let length: usize = length.parse().ok()?;
        let body = &bytes[end + 4..];
        if body.len() < length {
            continue;
        }
        return Some(Request {
            params: form_urlencoded::parse(body).into_owned().collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            headers,
        });
    }
}
