//! HTTP: the API, for callers on the host and for guests.

use crate::api::protocol::HttpRequest;
use crate::engine::Engine;
use crate::runtime::RuntimeError;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Longest request: EC2's largest parameters are user-data of 16 KiB and lists of a thousand ids.
const MOST_BODY: usize = 4 << 20;

/// The API as an HTTP service.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new().fallback(answer).with_state(engine)
}

/// Serves the API on a listener that lives in a guest's network namespace.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve_guest(
    listener: TcpListener,
    engine: Arc<Engine>,
) -> Result<JoinHandle<()>, RuntimeError> {
    spawn(listener, router(engine), "the API")
}

/// Serves `service` on `listener` until the task is aborted.
pub(crate) fn spawn(
    listener: TcpListener,
    service: Router,
    what: &'static str,
) -> Result<JoinHandle<()>, RuntimeError> {
    let unusable =
        |e: std::io::Error| RuntimeError(format!("cannot serve {what} to the guest: {e}"));
    listener.set_nonblocking(true).map_err(unusable)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
    Ok(tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, service).await {
            tracing::error!("serving {what} to a guest ended: {e}");
        }
    }))
}

async fn answer(State(engine): State<Arc<Engine>>, request: Request) -> Response<Body> {
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
    let headers = parts.headers.iter().map(|(n, v)| {
        (
            n.as_str().to_owned(),
            String::from_utf8_lossy(v.as_bytes()).into_owned(),
        )
    });
    let request = HttpRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    };
    // The account is written to a file before the answer goes out.
    match tokio::task::spawn_blocking(move || engine.handle(&request)).await {
        Ok(reply) => Response::builder()
            .status(reply.status)
            .header(header::CONTENT_TYPE, reply.content_type)
            .body(Body::from(reply.body))
            .unwrap_or_else(|e| plain(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
        Err(e) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the local EC2 failed on this request: {e}"),
        ),
    }
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
