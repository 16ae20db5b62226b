//! HTTP: the API, for callers on the host and for guests.
//!
//! | path | for whom |
//! |---|---|
//! | `/_local/…` | who is on the host and has the account's secret: faults, the user's policy, quotas |
//! | all others | the API, for callers on the host and in guests |

mod blocks;
mod connection;
mod control;
mod s3;

use crate::api::protocol::{HttpReply, HttpRequest};
use crate::engine::Engine;
use crate::runtime::RuntimeError;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode, header};
use connection::{Cut, Severable};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Longest request: EC2's largest parameters are user-data of 16 KiB and lists of a thousand ids.
const MOST_BODY: usize = 4 << 20;

/// Serves the API to callers on the host until the task is dropped.
///
/// # Errors
/// None that is known: a connection that cannot be accepted is tried again.
pub async fn serve(listener: tokio::net::TcpListener, engine: Arc<Engine>) -> std::io::Result<()> {
    let service = control::for_host(Router::new())
        .fallback(answer)
        .with_state(engine);
    serve_severable(listener, service).await
}

async fn serve_severable(
    listener: tokio::net::TcpListener,
    service: Router,
) -> std::io::Result<()> {
    let service = service.into_make_service_with_connect_info::<Cut>();
    axum::serve(Severable(listener), service).await
}

/// Serves the API on a listener that lives in a guest's network namespace.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve_guest(
    listener: TcpListener,
    engine: Arc<Engine>,
) -> Result<JoinHandle<()>, RuntimeError> {
    let listener = ready(listener, "the API")?;
    // A guest has no business with faults, whatever it knows.
    let service = control::for_guests(Router::new())
        .fallback(answer)
        .with_state(engine);
    Ok(tokio::spawn(async move {
        if let Err(e) = serve_severable(listener, service).await {
            tracing::error!("serving the API to a guest ended: {e}");
        }
    }))
}

/// Serves `service` on `listener` until the task is aborted.
pub(crate) fn spawn(
    listener: TcpListener,
    service: Router,
    what: &'static str,
) -> Result<JoinHandle<()>, RuntimeError> {
    let listener = ready(listener, what)?;
    Ok(tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, service).await {
            tracing::error!("serving {what} to a guest ended: {e}");
        }
    }))
}

fn ready(listener: TcpListener, what: &str) -> Result<tokio::net::TcpListener, RuntimeError> {
    let unusable =
        |e: std::io::Error| RuntimeError(format!("cannot serve {what} to the guest: {e}"));
    listener.set_nonblocking(true).map_err(unusable)?;
    tokio::net::TcpListener::from_std(listener).map_err(unusable)
}

async fn answer(
    State(engine): State<Arc<Engine>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response<Body> {
    if s3::is_asked_for(&request) {
        return s3::answer(engine, &cut, request).await;
    }
    if blocks::are_asked_for(&request) {
        return blocks::answer(engine, &cut, request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, MOST_BODY).await {
        Ok(body) => body.to_vec(),
        Err(e) => {
            return plain(
                StatusCode::BAD_REQUEST,
                format!("cannot read the request: {e}"),
            );
        }
    };
    let request = HttpRequest {
        body,
        ..head_of(&parts)
    };
    // The account is written to a file before the answer goes out.
    match tokio::task::spawn_blocking(move || engine.handle(&request)).await {
        Ok(reply) => deliver(reply, &cut).await,
        Err(e) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the local EC2 failed on this request: {e}"),
        ),
    }
}

/// A request without its body.
fn head_of(parts: &Parts) -> HttpRequest {
    let headers = parts.headers.iter().map(|(n, v)| {
        (
            n.as_str().to_owned(),
            String::from_utf8_lossy(v.as_bytes()).into_owned(),
        )
    });
    HttpRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    }
}

/// The answer, or the end of the connection in its place: nothing of what this returns is written then.
async fn deliver(reply: HttpReply, cut: &Cut) -> Response<Body> {
    cut.as_told(reply.delivery).await;
    let mut response = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header(header::DATE, reply.http_date());
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response
        .body(Body::from(reply.body))
        .unwrap_or_else(|e| plain(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// An answer of plain text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain"),
    );
    response
}
