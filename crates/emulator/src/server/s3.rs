//! S3 over HTTP: bodies are read and written as they come.

use super::{head_of, plain};
use crate::api::protocol::http_date;
use crate::api::s3::Answered;
use crate::engine::Engine;
use crate::engine::s3::S3Answer;
use crate::server::connection::Cut;
use crate::storage::content::ContentRange;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use futures::StreamExt;
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How much of an object is read at once.
const PIECE: usize = 256 * 1024;

/// Whether a request is signed for S3.
pub(super) fn is_asked_for(request: &Request) -> bool {
    let signed = request.headers().get(header::AUTHORIZATION);
    let signed = signed.and_then(|v| v.to_str().ok());
    signed.is_some_and(|text| text.contains("/s3/aws4_request"))
}

/// Answers it.
pub(super) async fn answer(engine: Arc<Engine>, cut: &Cut, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let head = head_of(&parts);
    let mut body = Incoming {
        body,
        handle: Handle::current(),
        piece: Bytes::new(),
    };
    let handled = tokio::task::spawn_blocking(move || engine.handle_s3(&head, &mut body));
    match handled.await {
        Ok(answer) => deliver(answer, cut).await,
        Err(e) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the local EC2 failed on this request: {e}"),
        ),
    }
}

/// A request's body, read from a thread that may wait. The client that waits to be asked for it is asked by the first read.
struct Incoming {
    body: Body,
    handle: Handle,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let body = &mut self.body;
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            match self.handle.block_on(frame) {
                None => return Ok(0),
                Some(Err(e)) => return Err(io::Error::other(e)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.piece = data;
                    }
                }
            }
        }
        let take = into.len().min(self.piece.len());
        into[..take].copy_from_slice(&self.piece.split_to(take));
        Ok(take)
    }
}

/// The answer, or the end of the connection in its place.
async fn deliver(answer: S3Answer, cut: &Cut) -> Response<Body> {
    cut.as_told(answer.delivery).await;
    let mut response = Response::builder()
        .status(answer.reply.status)
        .header("x-amz-request-id", &answer.id)
        .header("x-amz-id-2", &answer.id)
        .header(header::SERVER, "AmazonS3")
        .header(header::DATE, http_date(answer.date));
    for (name, value) in &answer.reply.headers {
        response = response.header(name, value);
    }
    let response = match answer.reply.content {
        Answered::Nothing => response.body(Body::empty()),
        Answered::Xml(text) => response
            .header(header::CONTENT_TYPE, "application/xml")
            .body(Body::from(text)),
        Answered::Length(length) => response
            .header(header::CONTENT_LENGTH, HeaderValue::from(length))
            .body(Body::empty()),
        Answered::Content(range) => response
            .header(header::CONTENT_LENGTH, HeaderValue::from(range.length()))
            .body(outgoing(range)),
    };
    response.unwrap_or_else(|e| plain(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// A body that is read from files while it is sent. A file that cannot be read ends the connection in the middle.
fn outgoing(range: ContentRange) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut reader = range.reader();
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => Ok(read),
                Err(e) => {
                    tracing::error!("cannot read an object: {e}");
                    Err(e)
                }
            };
            let ended = read.is_err();
            let piece = read.map(|read| {
                piece.truncate(read);
                Bytes::from(piece)
            });
            // The client may be gone.
            if sender.blocking_send(piece).is_err() || ended {
                return;
            }
        }
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    Body::from_stream(pieces.boxed())
}
