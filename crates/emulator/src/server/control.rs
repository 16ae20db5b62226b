//! What the local EC2 is told beside AWS's own calls, by HTTP.
//!
//! | path | what | PUT takes |
//! |---|---|---|
//! | `/_local/faults` | what is to go wrong | `faults.json`, and begins its counts anew |
//! | `/_local/policy` | what the account's user may do | an IAM policy |
//! | `/_local/quotas` | quotas | values by quota code |
//!
//! GET gives what is in force (200). PUT replaces it whole (204; 400 if the body is not what it should be, which changes
//! nothing). DELETE goes back to what there was before anything was put (204).
//!
//! `Authorization: Bearer <the account's secret access key>` is needed, else 403. Guests never have that secret, and these
//! paths are not served to them at all.

use super::plain;
use crate::engine::{Engine, Setting};
use crate::faults::BadFaults;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::{MethodRouter, any, get};
use std::sync::Arc;

/// What a path is about.
#[derive(Clone, Copy)]
enum Subject {
    Faults,
    Setting(Setting),
}

const SUBJECTS: [(&str, Subject); 3] = [
    ("/_local/faults", Subject::Faults),
    ("/_local/policy", Subject::Setting(Setting::Policy)),
    ("/_local/quotas", Subject::Setting(Setting::Quotas)),
];

/// The paths, for callers on the host.
pub(super) fn for_host(router: Router<Arc<Engine>>) -> Router<Arc<Engine>> {
    SUBJECTS.into_iter().fold(router, |r, (path, subject)| {
        r.route(path, answered(subject))
    })
}

/// The paths, for guests: there are none.
pub(super) fn for_guests(router: Router<Arc<Engine>>) -> Router<Arc<Engine>> {
    let nothing = || any(|| async { plain(StatusCode::NOT_FOUND, "not found\n") });
    SUBJECTS
        .into_iter()
        .fold(router, |r, (path, _)| r.route(path, nothing()))
}

fn answered(subject: Subject) -> MethodRouter<Arc<Engine>> {
    let handler =
        move |State(engine): State<Arc<Engine>>,
              method: Method,
              headers: HeaderMap,
              body: Bytes| handle(subject, engine, method, headers, body);
    get(handler).put(handler).delete(handler)
}

async fn handle(
    subject: Subject,
    engine: Arc<Engine>,
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
    let answered = tokio::task::spawn_blocking(move || match subject {
        Subject::Faults => faults(&engine, &method, &body),
        Subject::Setting(of) => setting(&engine, of, &method, &body),
    });
    answered
        .await
        .unwrap_or_else(|e| plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")))
}

fn faults(engine: &Engine, method: &Method, body: &[u8]) -> Response<Body> {
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
        Ok(Some(text)) => json(text),
        Err(e) => refused(&e),
    }
}

fn setting(engine: &Engine, of: Setting, method: &Method, body: &[u8]) -> Response<Body> {
    let done = match *method {
        Method::PUT => engine.set(of, Some(body)),
        Method::DELETE => engine.set(of, None),
        _ => return json(engine.setting(of).to_string().into_bytes()),
    };
    match done {
        Ok(()) => plain(StatusCode::NO_CONTENT, ""),
        Err(e) => plain(StatusCode::BAD_REQUEST, format!("{e}\n")),
    }
}

fn json(text: Vec<u8>) -> Response<Body> {
    let mut response = plain(StatusCode::OK, text);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

fn refused(why: &BadFaults) -> Response<Body> {
    let status = match why.malformed {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    plain(status, format!("{why}\n"))
}
