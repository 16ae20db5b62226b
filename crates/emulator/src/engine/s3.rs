//! One request of S3's, from its head to its answer.
//!
//! As all others, see `engine::request`, but its body is read as it comes and goes to a file:
//!
//! ```text
//!  head ─► signature ─► bucket ─► permission ─► token bucket ─► fault? ─► body ─► carry out ─► log ─► answer
//! ```
//!
//! A refusal that comes before the body does not wait for it if the client itself waits (`Expect: 100-continue`); otherwise
//! the body is read to its end first, so that the client hears the refusal and not of a broken connection.

use super::Engine;
use super::request::request_id;
use super::request_log::RequestRecord;
use super::throttle::Wanted;
use crate::api::authorize::{Asked, Authority};
use crate::api::caller::Caller;
use crate::api::ec2::params::Params;
use crate::api::error::ApiError;
use crate::api::protocol::{Delivery, HttpReply, HttpRequest, Service};
use crate::api::s3::authenticate::{self, Signed};
use crate::api::s3::body::{Expected, Payload};
use crate::api::s3::chunked::Protection;
use crate::api::s3::error::S3Error;
use crate::api::s3::route::{Action, BodyKind, Call};
use crate::api::s3::{self, Answered, Arrived, MOST_DOCUMENT, Reply, S3Cx};
use crate::api::session::Expiry;
use crate::api::sigv4::ChunkSigner;
use crate::faults::Faults;
use crate::faults::requests::{EffectTime, RequestFault};
use crate::faults::storage::Stored;
use crate::storage::checksum::Algorithm;
use jiff::Timestamp;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// An answer of S3's.
#[derive(Debug)]
pub struct S3Answer {
    /// The answer itself.
    pub reply: Reply,
    /// The request's id.
    pub id: String,
    /// The service's time, for the header `Date`.
    pub date: Timestamp,
    /// Whether the client gets it.
    pub delivery: Delivery,
}

/// What is known of a request, for the log and the answer.
struct Seen {
    id: String,
    action: &'static str,
    caller: String,
    region: String,
    fault: Option<&'static str>,
    effect: bool,
    faults: Faults,
    delay: Option<Duration>,
}

/// A request that may have its effect.
struct Order {
    head: HttpRequest,
    call: Call,
    caller: Caller,
    region: String,
    chunks: Option<ChunkSigner>,
    /// By which the body is to have a checksum.
    algorithm: Algorithm,
}

/// A body, as long as nobody has read it.
struct Unread<'a> {
    body: &'a mut dyn Read,
    /// Whether the client waits to be asked for it.
    expects: bool,
    begun: bool,
}

impl Read for Unread<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.begun = true;
        self.body.read(into)
    }
}

impl Unread<'_> {
    fn drain(&mut self) {
        if !self.expects || self.begun {
            // Whoever is gone does not hear the answer either.
            let _ = io::copy(self.body, &mut io::sink());
        }
    }
}

impl Engine {
    /// Answers a request of S3's whose body is read from `body`. Blocks for as long as the body takes to come.
    pub fn handle_s3(self: &Arc<Self>, head: &HttpRequest, body: &mut dyn Read) -> S3Answer {
        self.activity.send_replace(self.clock.instant());
        let mut body = Unread {
            body,
            expects: head
                .header("expect")
                .is_some_and(|e| e.eq_ignore_ascii_case("100-continue")),
            begun: false,
        };
        let mut seen = Seen {
            id: request_id(),
            action: "",
            caller: String::new(),
            region: String::new(),
            fault: None,
            effect: false,
            faults: Faults::default(),
            delay: None,
        };
        let (outcome, delivery) = match self.admit_s3(head, &mut seen) {
            Err(refusal) => (Err(refusal), Delivery::Sent),
            Ok(order) => match self.faults.meet(seen.action, &seen.region) {
                Err(unusable) => (Err(unusable.into()), Delivery::Sent),
                Ok(None) => {
                    let outcome = self.carry_out_s3(order, &mut body, &mut seen);
                    (outcome, Delivery::Sent)
                }
                Ok(Some(fault)) => match self.go_wrong_s3(order, fault, &mut body, seen) {
                    Ok((given_back, outcome, delivery)) => {
                        seen = given_back;
                        (outcome, delivery)
                    }
                    Err(answer) => return *answer,
                },
            },
        };
        if outcome.is_err() || delivery != Delivery::Sent {
            body.drain();
        }
        self.settle_s3(&seen, outcome.as_ref().err().map(|e| e.code().to_owned()));
        self.word_s3(&seen, head, outcome, delivery)
    }

    /// The same where the body is in the request and the answer is to be whole.
    pub(super) fn handle_s3_whole(self: &Arc<Self>, request: &HttpRequest) -> HttpReply {
        let answer = self.handle_s3(request, &mut request.body.as_slice());
        let mut headers: Vec<(&'static str, String)> = vec![("x-amz-request-id", answer.id)];
        let mut content_type = "application/xml";
        for (name, value) in answer.reply.headers {
            match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&name)) {
                Some(known) => headers.push((known, value)),
                None if name == "content-type" => content_type = "binary/octet-stream",
                None => {}
            }
        }
        let mut body = Vec::new();
        match answer.reply.content {
            Answered::Nothing => {}
            Answered::Length(length) => headers.push(("Content-Length", length.to_string())),
            Answered::Xml(text) => body = text.into_bytes(),
            Answered::Content(range) => {
                if let Err(e) = range.reader().read_to_end(&mut body) {
                    tracing::error!("cannot read an object: {e}");
                }
            }
        }
        HttpReply {
            status: answer.reply.status,
            content_type,
            headers,
            body,
            date: answer.date,
            delivery: answer.delivery,
        }
    }

    /// The one place that every request passes before it has any effect.
    fn admit_s3(&self, head: &HttpRequest, seen: &mut Seen) -> Result<Order, S3Error> {
        let call = Call::read(head);
        if let Ok(call) = &call {
            seen.action = call.action.name();
        }
        let faults = self.faults.now()?;
        seen.faults = faults.clone();
        let now = self.clock.now();
        let sessions = Expiry {
            now,
            expired_before: self.faults.sessions_expired_before(now)?,
        };
        let skewed = now.checked_add(faults.clock_skew()).unwrap_or(now);
        let signed = authenticate::authenticate(&self.account(), head, skewed, sessions)?;
        let Signed {
            caller,
            region,
            chunks,
        } = signed;
        seen.caller = caller.arn();
        seen.region.clone_from(&region);
        let call = call?;
        s3::reachable(&self.storage, &call, caller.account(), &region)?;
        if let Some(permission) = call.action.permission() {
            self.permit(&caller, &region, permission, &call.arn())?;
        }
        let wanted = Wanted {
            service: Service::S3,
            region: &region,
            action: call.action.name(),
            access: call.action.access(),
        };
        self.buckets
            .take(wanted, &faults.throttle, self.clock.instant())?;
        seen.delay = faults.latency.of(call.action.name());
        let mut order = Order {
            head: HttpRequest {
                body: Vec::new(),
                ..head.clone()
            },
            call,
            caller,
            region,
            chunks: Some(chunks),
            algorithm: Algorithm::Crc64Nvme,
        };
        order.algorithm = self.with_s3(&order, s3::check)?;
        Ok(order)
    }

    /// Whether a caller has a permission on a resource.
    fn permit(
        &self,
        caller: &Caller,
        region: &str,
        permission: &str,
        arn: &str,
    ) -> Result<(), ApiError> {
        let authority = Authority {
            account: &self.account(),
            config: &self.config,
            now: self.clock.now(),
        };
        let params = Params::new([("Arn".to_owned(), arn.to_owned())]);
        authority.check(Asked {
            service: Service::S3,
            action: permission,
            region,
            caller,
            params: &params,
            body: &[],
        })
    }

    fn with_s3<T>(&self, order: &Order, act: impl FnOnce(&S3Cx<'_>) -> T) -> T {
        let permits = |permission: &str, arn: &str| {
            let permitted = self.permit(&order.caller, &order.region, permission, arn);
            permitted.is_ok()
        };
        let corrupts = |stored: &Stored<'_>| self.faults.corrupts(stored);
        act(&S3Cx {
            storage: &self.storage,
            request: &order.head,
            call: &order.call,
            caller: &order.caller,
            region: &order.region,
            now: self.clock.now(),
            permits: &permits,
            corrupts: &corrupts,
        })
    }

    /// Receives the body, whatever becomes of it.
    fn receive_s3(&self, order: &mut Order, body: &mut dyn Read) -> Result<Arrived, S3Error> {
        let kind = order.call.action.body();
        if kind == BodyKind::None {
            return Ok(Arrived::Nothing);
        }
        let protection = match (Payload::of(&order.head)?, order.chunks.take()) {
            (Payload::Chunked { signed: true, .. }, Some(signer)) => {
                Protection::Signed(Box::new(signer))
            }
            _ => Protection::Unsigned,
        };
        let wanted = order.algorithm;
        if kind == BodyKind::Content {
            let expected = Expected::of(&order.head)?;
            let mut incoming = self.storage.receive()?;
            let received = expected.receive(body, protection, wanted, &mut incoming.file)?;
            return Ok(Arrived::Content(incoming, received));
        }
        let expected = match order.call.action {
            // There the header is about the object and not about the body.
            Action::CompleteMultipartUpload => Expected::of_document(&order.head)?,
            _ => Expected::of(&order.head)?,
        };
        if expected.length() > MOST_DOCUMENT {
            return Err(S3Error::new(
                "MaxMessageLengthExceeded",
                400,
                "Your request was too large.",
            ));
        }
        let needs = matches!(
            order.call.action,
            Action::DeleteObjects | Action::PutObjectTagging
        );
        if needs && !expected.is_protected() {
            return Err(S3Error::invalid(
                "Missing required header for this request: Content-MD5",
            ));
        }
        let mut document = Vec::new();
        expected.receive(body, protection, wanted, &mut document)?;
        Ok(Arrived::Document(document))
    }

    fn carry_out_s3(
        &self,
        mut order: Order,
        body: &mut dyn Read,
        seen: &mut Seen,
    ) -> Result<Reply, S3Error> {
        let arrived = self.receive_s3(&mut order, body)?;
        self.commit_s3(&order, arrived, seen)
    }

    fn commit_s3(
        &self,
        order: &Order,
        arrived: Arrived,
        seen: &mut Seen,
    ) -> Result<Reply, S3Error> {
        let outcome = self.with_s3(order, |cx| s3::run(cx, arrived));
        seen.effect = outcome.is_ok();
        outcome
    }

    /// What a fault makes of a request; the whole answer of one that is carried out later.
    fn go_wrong_s3(
        self: &Arc<Self>,
        mut order: Order,
        fault: RequestFault,
        body: &mut dyn Read,
        mut seen: Seen,
    ) -> Result<(Seen, Result<Reply, S3Error>, Delivery), Box<S3Answer>> {
        seen.fault = Some(fault.name());
        let nothing = || {
            Ok(Reply {
                status: 200,
                headers: Vec::new(),
                content: Answered::Nothing,
            })
        };
        let (outcome, delivery) = match fault {
            RequestFault::Error {
                code,
                message,
                status,
            } => (Err(S3Error::new(code, status, message)), Delivery::Sent),
            RequestFault::Throttle => {
                (Err(ApiError::throttled(Service::S3).into()), Delivery::Sent)
            }
            RequestFault::DropBefore => (nothing(), Delivery::Dropped),
            RequestFault::DropAfter => {
                let outcome = self.carry_out_s3(order, body, &mut seen);
                (outcome, Delivery::Dropped)
            }
            RequestFault::Timeout { effect, hold } => {
                let delivery = Delivery::Withheld(hold);
                match effect {
                    EffectTime::None => (nothing(), delivery),
                    EffectTime::Before => {
                        let outcome = self.carry_out_s3(order, body, &mut seen);
                        (outcome, delivery)
                    }
                    EffectTime::After => {
                        let arrived = self.receive_s3(&mut order, body);
                        let answer = self.word_s3(&seen, &order.head, nothing(), delivery);
                        self.commit_later(order, arrived, seen, hold);
                        return Err(Box::new(answer));
                    }
                }
            }
        };
        Ok((seen, outcome, delivery))
    }

    fn commit_later(
        self: &Arc<Self>,
        order: Order,
        arrived: Result<Arrived, S3Error>,
        mut seen: Seen,
        hold: Duration,
    ) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(hold).await;
            let done = tokio::task::spawn_blocking(move || {
                let outcome =
                    arrived.and_then(|arrived| engine.commit_s3(&order, arrived, &mut seen));
                engine.settle_s3(&seen, outcome.err().map(|e| e.code().to_owned()));
            });
            if let Err(e) = done.await {
                tracing::error!("a request of S3's that was to be carried out later failed: {e}");
            }
        });
    }

    /// The one place that every request passes after it has had its effect, before it is answered.
    fn settle_s3(&self, seen: &Seen, code: Option<String>) {
        let record = RequestRecord {
            time: self.clock.now(),
            id: seen.id.clone(),
            service: Service::S3.name().to_owned(),
            region: seen.region.clone(),
            caller: seen.caller.clone(),
            action: seen.action.to_owned(),
            code,
            fault: seen.fault.map(str::to_owned),
            effect: seen.effect,
        };
        if let Err(e) = self.log.add(&record) {
            tracing::error!("cannot write the request log: {e}");
        }
    }

    fn word_s3(
        &self,
        seen: &Seen,
        head: &HttpRequest,
        outcome: Result<Reply, S3Error>,
        delivery: Delivery,
    ) -> S3Answer {
        let now = self.clock.now();
        let reply = outcome.unwrap_or_else(|error| {
            let headers = error.headers().iter();
            Reply {
                status: error.status(),
                headers: headers.map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
                content: match head.method.as_str() {
                    // "HEAD … does not return a body", not even with a refusal.
                    "HEAD" => Answered::Nothing,
                    _ => Answered::Xml(error.xml(&head.path, &seen.id)),
                },
            }
        });
        S3Answer {
            reply,
            id: seen.id.clone(),
            date: now.checked_add(seen.faults.clock_skew()).unwrap_or(now),
            delivery: match (delivery, seen.delay) {
                (Delivery::Sent, Some(delay)) => Delivery::Late(delay),
                (other, _) => other,
            },
        }
    }
}

/// The headers that an answer that is given whole has.
const KNOWN: [&str; 14] = [
    "ETag",
    "Last-Modified",
    "Location",
    "Accept-Ranges",
    "Content-Range",
    "x-amz-bucket-region",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-server-side-encryption",
];
