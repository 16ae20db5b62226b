//! The instance metadata service, versions 1 and 2.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>

mod token;
mod tree;

use crate::account::instance::MetadataOptions;
use crate::engine::Engine;
use crate::ids::InstanceId;
use crate::runtime::RuntimeError;
use crate::server::{plain, spawn};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Whose metadata it is.
#[derive(Clone)]
struct Service {
    engine: Arc<Engine>,
    id: InstanceId,
}

/// Serves an instance's metadata on a listener that lives in its network namespace.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    id: InstanceId,
) -> Result<JoinHandle<()>, RuntimeError> {
    let router = Router::new()
        .fallback(answer)
        .with_state(Service { engine, id });
    spawn(listener, router, "the metadata service")
}

async fn answer(State(service): State<Service>, request: Request) -> Response<Body> {
    let faults = service.engine.faults_of(&service.id).imds;
    if faults.down {
        // As behind a network that is gone. The server drops this when the caller gives up.
        return std::future::pending().await;
    }
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay).await;
    }
    respond(
        &service,
        request.method(),
        request.uri().path(),
        request.headers(),
        service.engine.clock().now(),
    )
}

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

fn respond(
    service: &Service,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Response<Body> {
    let account = service.engine.account();
    let Some((region, instance)) = account.find_instance(&service.id) else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    // "If the endpoint is disabled, instance metadata cannot be accessed" (HTTP 403).
    if !instance.metadata.enabled {
        return plain(StatusCode::FORBIDDEN, "");
    }
    let secret = account.key.session_secret.as_bytes();
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if *method == Method::PUT {
        return match path == "/latest/api/token" {
            true => issue(
                secret,
                &service.id,
                text(TTL),
                headers.contains_key("x-forwarded-for"),
                now,
            ),
            false => plain(StatusCode::METHOD_NOT_ALLOWED, ""),
        };
    }
    if *method != Method::GET && *method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    if !admitted(secret, &service.id, &instance.metadata, text(TOKEN), now) {
        return plain(StatusCode::UNAUTHORIZED, "");
    }
    let view = tree::View {
        account: &account,
        region,
        instance,
        now,
    };
    match view.get(path) {
        Some(body) => plain(StatusCode::OK, body),
        None => plain(StatusCode::NOT_FOUND, "404 - Not Found"),
    }
}

/// A request without a token is version 1; a token that is wrong or has ended is refused in either case.
fn admitted(
    secret: &[u8],
    id: &InstanceId,
    options: &MetadataOptions,
    token: Option<&str>,
    now: Timestamp,
) -> bool {
    match token {
        None => !options.tokens_required,
        Some(token) => token::check(secret, id, token, now),
    }
}

/// "PUT requests that contain an X-Forwarded-For header are rejected"; a lifetime is 1 second to 6 hours.
fn issue(
    secret: &[u8],
    id: &InstanceId,
    ttl: Option<&str>,
    forwarded: bool,
    now: Timestamp,
) -> Response<Body> {
    if forwarded {
        return plain(StatusCode::FORBIDDEN, "");
    }
    let Some(seconds) = ttl
        .and_then(|t| t.parse::<u32>().ok())
        .filter(|s| (1..=21_600).contains(s))
    else {
        return plain(StatusCode::BAD_REQUEST, "");
    };
    let mut response = plain(StatusCode::OK, token::issue(secret, id, seconds, now));
    response
        .headers_mut()
        .insert(TTL, HeaderValue::from(seconds));
    response
}
