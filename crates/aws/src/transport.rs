//! Another way to AWS than a socket: how a simulation puts its own EC2, and its own time, behind the real SDK.
//!
//! Everything above the connection is the SDK as it always is: serialisation, signatures, the timeouts of
//! attempts and operations, and the classification of what comes back.

use crate::options::Timeouts;
use async_trait::async_trait;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use cloud::{Clock, RegionName};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A signed request as it would go over the wire.
#[derive(Clone, Debug)]
pub struct WireRequest {
    /// Such as `POST`.
    pub method: String,
    /// Scheme, host, path and query.
    pub uri: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer as it would come over the wire.
#[derive(Clone, Debug)]
pub struct WireReply {
    /// The HTTP status.
    pub status: u16,
    /// Among them `content-type`, and `date`, by which the ages of parameters are told.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The connection broke: whether before or after the request was carried out, a client cannot know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectionBroken(pub String);

/// Carries requests. An answer that never comes is a future that never ends: the read timeout applies.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and waits for its answer.
    async fn send(&self, request: WireRequest) -> Result<WireReply, ConnectionBroken>;
}

/// Credentials that may be those of a role.
#[derive(Clone)]
pub struct WireCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// A role's session; none for a user.
    pub session_token: Option<String>,
}

impl fmt::Debug for WireCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// An account that is reached over a [`Transport`].
#[derive(Clone)]
pub struct WireOptions {
    /// What carries the requests.
    pub transport: Arc<dyn Transport>,
    /// What time it is, for signatures.
    pub clock: Arc<dyn Clock>,
    /// The default region.
    pub region: RegionName,
    /// As whom.
    pub credentials: WireCredentials,
    /// How long a call may take.
    pub timeouts: Timeouts,
}

/// A [`Transport`] as the SDK's client.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(crate) Arc<dyn Transport>);

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            transport: self.0.clone(),
            read_timeout: settings.read_timeout().zip(components.sleep_impl()),
        })
    }
}

#[derive(Clone, Debug)]
struct Connector {
    transport: Arc<dyn Transport>,
    read_timeout: Option<(Duration, SharedAsyncSleep)>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let request = read(request)?;
            let answered = this.transport.send(request);
            let reply = match &this.read_timeout {
                None => answered.await,
                Some((limit, sleep)) => match Timeout::new(answered, sleep.sleep(*limit)).await {
                    Ok(reply) => reply,
                    Err(_) => {
                        let why = format!("no answer within {limit:?}");
                        return Err(ConnectorError::timeout(
                            io::Error::new(io::ErrorKind::TimedOut, why).into(),
                        ));
                    }
                },
            };
            let reply = reply.map_err(|broken| ConnectorError::io(broken.into()))?;
            answer(reply)
        })
    }
}

fn read(request: HttpRequest) -> Result<WireRequest, ConnectorError> {
    // The calls of this crate have their bodies in memory; a stream could be sent once only, and not be retried.
    let Some(body) = request.body().bytes() else {
        let why = "the request's body is a stream";
        return Err(ConnectorError::user(io::Error::other(why).into()));
    };
    Ok(WireRequest {
        method: request.method().to_owned(),
        uri: request.uri().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_vec(),
    })
}

fn answer(reply: WireReply) -> Result<HttpResponse, ConnectorError> {
    let unusable = |why: String| ConnectorError::other(io::Error::other(why).into(), None);
    let status = reply
        .status
        .try_into()
        .map_err(|_| unusable(format!("{} is no HTTP status", reply.status)))?;
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    for (name, value) in reply.headers {
        let set = response.headers_mut().try_insert(name, value);
        set.map_err(|error| unusable(error.to_string()))?;
    }
    Ok(response)
}

/// The port's clock as the SDK's.
pub(crate) struct Time(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeSource for Time {
    fn now(&self) -> SystemTime {
        SystemTime::from(self.0.now())
    }
}
