//! Requests about single blocks: their bodies are read without being copied together, and zeros are not kept.

use super::{MOST_BODY, deliver, head_of, plain};
use crate::api::ebs;
use crate::blocks::body::BlockBody;
use crate::engine::Engine;
use crate::server::connection::Cut;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Response, StatusCode, header};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

/// Whether a request is about a single block: by its place, and by the service that it is signed for.
pub(super) fn are_asked_for(request: &Request) -> bool {
    let action = ebs::request::action(request.method().as_str(), request.uri().path());
    let signed = request.headers().get(header::AUTHORIZATION);
    let signed = signed.and_then(|v| v.to_str().ok());
    action.is_some_and(ebs::is_about_a_block)
        && signed.is_some_and(|text| text.contains("/ebs/aws4_request"))
}

/// Answers it.
pub(super) async fn answer(engine: Arc<Engine>, cut: &Cut, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(why) => {
            let message = format!("cannot read the request: {why}");
            return plain(StatusCode::BAD_REQUEST, message);
        }
    };
    let head = head_of(&parts);
    // Zeros touch no disk but for a record of the index: the way to another thread would be longer.
    let reads = parts.method == axum::http::Method::GET;
    let reply = match body.data().is_none() && !reads {
        true => engine.handle_block(&head, body),
        false => {
            let handled = tokio::task::spawn_blocking(move || engine.handle_block(&head, body));
            match handled.await {
                Ok(reply) => reply,
                Err(e) => {
                    let message = format!("the local EC2 failed on this request: {e}");
                    return plain(StatusCode::INTERNAL_SERVER_ERROR, message);
                }
            }
        }
    };
    deliver(reply, cut).await
}

/// Reads a body, all of it, so that who sends too much hears why.
async fn read(mut body: Body) -> Result<BlockBody, String> {
    let mut block = BlockBody::default();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|e| e.to_string())?;
        if let Some(part) = frame.data_ref() {
            block.push(part).await;
        }
        if block.length() > MOST_BODY {
            return Err("it is too long".to_owned());
        }
    }
    Ok(block)
}
