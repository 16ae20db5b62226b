//! `/_local/faults`: what is to go wrong, by HTTP.
//!
//! | method | does | answer |
//! |---|---|---|
//! | GET | – | 200 and `faults.json` as it is; `{}` if there is none |
//! | PUT | writes `faults.json` and begins its counts anew | 204; 400 if the body is not faults, which changes nothing |
//! | DELETE | removes `faults.json` | 204 |
//!
//! `Authorization: Bearer <the account's secret access key>` is needed, else 403. Guests never have that secret, and this
//! path is not served to them at all.

use super::plain;
use crate::engine::Engine;
use crate::faults::BadFaults;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::{MethodRouter, any, get};
use std::sync::Arc;

/// The path.
pub(super) const FAULTS: &str = "/_local/faults";

/// For callers on the host.
pub(super) fn faults() -> MethodRouter<Arc<Engine>> {
    get(handle).put(handle).delete(handle)
}

/// For guests.
pub(super) fn nothing() -> MethodRouter<Arc<Engine>> {
    any(|| async { plain(StatusCode::NOT_FOUND, "not found\n") })
}

async fn handle(
    State(engine): State<Arc<Engine>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let secret = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    if !secret.is_some_and(|s| engine.is_accounts_secret(s)) {
        let message = "needs Authorization: Bearer and the secret access key that `local status --json` prints\n";
        return plain(StatusCode::FORBIDDEN, message);
    }
    // Files are small, but they are files.
    let answered = tokio::task::spawn_blocking(move || answer(&engine, &method, &body)).await;
    answered.unwrap_or_else(|e| plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")))
}

fn answer(engine: &Engine, method: &Method, body: &[u8]) -> Response<Body> {
    let file = engine.faults();
    let done = match *method {
        Method::PUT => file.set(Some(body)).map(|()| None),
        Method::DELETE => file.set(None).map(|()| None),
        _ => file
            .text()
            .map(|text| Some(text.unwrap_or_else(|| b"{}".to_vec()))),
    };
    match done {
        Ok(None) => plain(StatusCode::NO_CONTENT, ""),
        Ok(Some(text)) => {
            let mut response = plain(StatusCode::OK, text);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            response
        }
        Err(e) => refused(&e),
    }
}

fn refused(why: &BadFaults) -> Response<Body> {
    let status = match why.malformed {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    plain(status, format!("{why}\n"))
}
