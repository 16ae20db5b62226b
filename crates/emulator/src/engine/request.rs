//! One request, from its bytes to its answer.
//!
//! ```text
//!  read ─► signature ─► permission ─► token bucket ─► fault? ──none──────────► carry out ─► log ─► answer
//!                                                       ├─ error, throttle ───────────────► log ─► refusal
//!                                                       ├─ drop-before ───────────────────► log ─► connection closed
//!                                                       ├─ drop-after ───────► carry out ─► log ─► connection closed
//!                                                       └─ timeout ─► effect before, after or none ─► … ─► closed
//! ```

use super::Engine;
use super::address_log::bindings;
use super::authenticate::{self, Clocks};
use super::blocks::{Incoming, asks_for_a_block};
use super::request_log::RequestRecord;
use super::throttle::Wanted;
use crate::account::Account;
use crate::api::authorize::{Asked, Authority};
use crate::api::caller::Caller;
use crate::api::ec2::Access;
use crate::api::ec2::params::Params;
use crate::api::error::ApiError;
use crate::api::protocol::{Delivery, HttpReply, HttpRequest, Service};
use crate::api::session::Expiry;
use crate::api::{Cx, Effect, ebs, ec2, iam, kms, service_quotas, ssm, sts};
use crate::blocks::body::BlockBody;
use crate::faults::Faults;
use crate::faults::requests::{EffectTime, RequestFault};
use crate::faults::service::CapacityRequest;
use crate::ids::InstanceId;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    /// Answers a request. Blocks for as long as the state file takes to write. Whether the client is to get the answer
    /// is part of it.
    pub fn handle(self: &Arc<Self>, request: &HttpRequest) -> HttpReply {
        if request.service() == Service::S3 {
            return self.handle_s3_whole(request);
        }
        let body = asks_for_a_block(request).then(|| BlockBody::of(&request.body));
        self.handle_with(request, body)
    }

    /// The same for a request about a block, whose body is not in the request.
    pub(crate) fn handle_block(self: &Arc<Self>, head: &HttpRequest, body: BlockBody) -> HttpReply {
        self.handle_with(head, Some(body))
    }

    fn handle_with(self: &Arc<Self>, request: &HttpRequest, body: Option<BlockBody>) -> HttpReply {
        self.activity.send_replace(self.clock.instant());
        self.fail_idle_snapshots();
        let mut seen = Seen::of(request);
        match self.admit(request, body, &mut seen) {
            Err(refusal) => self.answer(&seen, Err(refusal)),
            Ok(order) => match self.faults.meet(&seen.action, &seen.region) {
                Err(unusable) => self.answer(&seen, Err(unusable)),
                Ok(Some(fault)) => self.go_wrong(order, fault, seen),
                Ok(None) => {
                    let outcome = self.carry_out(&order, &mut seen);
                    self.answer(&seen, outcome)
                }
            },
        }
    }

    /// The one place that every request passes before it has any effect.
    fn admit(
        &self,
        request: &HttpRequest,
        body: Option<BlockBody>,
        seen: &mut Seen,
    ) -> Result<Order, ApiError> {
        let service = seen.service;
        let call = Call::read(service, request)?;
        let block = body.map(Incoming::of);
        seen.action.clone_from(&call.action);
        let faults = self.faults.now()?;
        seen.faults = faults.clone();
        let now = self.clock.now();
        let clocks = Clocks {
            signatures: now.checked_add(faults.clock_skew()).unwrap_or(now),
            sessions: Expiry {
                now,
                expired_before: self.faults.sessions_expired_before(now)?,
            },
        };
        let digest = block.as_ref().and_then(|b| b.digest);
        let (caller, region) =
            authenticate::authenticate(&self.account(), service, request, digest, clocks)?;
        seen.caller = caller.arn();
        seen.region.clone_from(&region);
        let access = call.access(service)?;
        let authority = Authority {
            account: &self.account(),
            config: &self.config,
            now,
        };
        authority.check(Asked {
            service,
            action: &call.action,
            region: &region,
            caller: &caller,
            params: &call.params,
            body: &call.body,
        })?;
        let wanted = Wanted {
            service,
            region: &region,
            action: &call.action,
            access,
        };
        self.buckets
            .take(wanted, &faults.throttle, self.clock.instant())?;
        seen.delay = faults.latency.of(&call.action);
        Ok(Order {
            service,
            call,
            caller,
            region,
            access,
            faults,
            block,
        })
    }

    fn go_wrong(self: &Arc<Self>, order: Order, fault: RequestFault, mut seen: Seen) -> HttpReply {
        seen.fault = Some(fault.name());
        let nothing = || Ok(Content::default());
        let (outcome, delivery) = match fault {
            RequestFault::Error {
                code,
                message,
                status,
            } => {
                let refusal = ApiError::new(code, message).with_status(status);
                (Err(refusal), Delivery::Sent)
            }
            RequestFault::Throttle => (Err(ApiError::throttled(seen.service)), Delivery::Sent),
            RequestFault::DropBefore => (nothing(), Delivery::Dropped),
            RequestFault::DropAfter => (self.carry_out(&order, &mut seen), Delivery::Dropped),
            RequestFault::Timeout { effect, hold } => {
                let delivery = Delivery::Withheld(hold);
                match effect {
                    EffectTime::None => (nothing(), delivery),
                    EffectTime::Before => (self.carry_out(&order, &mut seen), delivery),
                    EffectTime::After => {
                        let reply = self.word(&seen, nothing());
                        let engine = self.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(hold).await;
                            let outcome = engine.carry_out(&order, &mut seen);
                            engine.settle(&seen, &outcome);
                        });
                        return HttpReply { delivery, ..reply };
                    }
                }
            }
        };
        HttpReply {
            delivery,
            ..self.answer(&seen, outcome)
        }
    }

    fn answer(&self, seen: &Seen, outcome: Result<Content, ApiError>) -> HttpReply {
        self.settle(seen, &outcome);
        self.word(seen, outcome)
    }

    /// The answer's bytes.
    fn word(&self, seen: &Seen, outcome: Result<Content, ApiError>) -> HttpReply {
        let now = self.clock.now();
        let date = now.checked_add(seen.faults.clock_skew()).unwrap_or(now);
        let mut reply = match outcome {
            Ok(content) => {
                let text = content.text.as_str();
                let mut reply = seen.service.success(&seen.action, text, &seen.id, date);
                reply.headers.extend(content.headers);
                if let Some(bytes) = content.bytes {
                    (reply.body, reply.content_type) = (bytes, "application/octet-stream");
                }
                reply
            }
            Err(error) => seen.service.failure(&error, &seen.id, date),
        };
        if let Some(delay) = seen.delay {
            reply.delivery = Delivery::Late(delay);
        }
        reply
    }

    /// The one place that every request passes after it has had its effect, before it is answered.
    fn settle(&self, seen: &Seen, outcome: &Result<Content, ApiError>) {
        // Blocks have a log of their own.
        if ebs::is_about_a_block(&seen.action) && outcome.is_ok() && seen.fault.is_none() {
            return;
        }
        let record = RequestRecord {
            time: self.clock.now(),
            id: seen.id.clone(),
            service: seen.service.name().to_owned(),
            region: seen.region.clone(),
            caller: seen.caller.clone(),
            action: seen.action.clone(),
            code: outcome.as_ref().err().map(|e| e.code().to_owned()),
            fault: seen.fault.map(str::to_owned),
            effect: seen.effect,
        };
        if let Err(e) = self.log.add(&record) {
            tracing::error!("cannot write the request log: {e}");
        }
    }

    fn carry_out(self: &Arc<Self>, order: &Order, seen: &mut Seen) -> Result<Content, ApiError> {
        let outcome = match (&order.block, order.access) {
            (Some(block), _) => self.about_a_block(order, block),
            (None, Access::Read) => self.look(order).map(Content::from),
            (None, Access::Write) => self.change(order).map(Content::from),
        };
        seen.effect = outcome.is_ok();
        outcome
    }

    /// An action that only looks, possibly at what was.
    fn look(&self, order: &Order) -> Result<String, ApiError> {
        let lag = order.faults.stale_reads;
        match self.history.shown(lag, self.clock.instant()) {
            Some(mut shown) => self.run(order, &mut shown).0,
            None => self.run(order, &mut self.account()).0,
        }
    }

    /// An action that may change something.
    fn change(self: &Arc<Self>, order: &Order) -> Result<String, ApiError> {
        let mut account = self.account();
        let before = account.clone();
        let (outcome, effects) = self.run(order, &mut account);
        let outcome = outcome.and_then(|content| {
            self.store.save(&account).map(|()| content).map_err(|e| {
                tracing::error!("{e}");
                ApiError::new("InternalError", e.to_string()).with_status(500)
            })
        });
        if outcome.is_err() {
            *account = before;
            return outcome;
        }
        let lag = order.faults.stale_reads;
        self.history.changed(&before, lag, self.clock.instant());
        self.note_bindings(&bindings(&before), &account, &order.call.action);
        self.refresh_network(&account, &order.faults);
        drop(account);
        for effect in effects {
            self.start_effect(effect);
        }
        outcome
    }

    fn run(&self, order: &Order, account: &mut Account) -> (Result<String, ApiError>, Vec<Effect>) {
        let console = |id: &InstanceId| self.console_tail(id);
        let import_fate = || self.faults.import_fate();
        let capacity = |request: &CapacityRequest<'_>| self.faults.place(request);
        let mut cx = Cx {
            account,
            region: &order.region,
            caller: &order.caller,
            now: self.clock.now(),
            config: &self.config,
            timing: &self.timing,
            catalogue: &self.catalogue,
            faults: &order.faults,
            blocks: &self.blocks,
            storage: &self.storage,
            import_fate: &import_fate,
            capacity: &capacity,
            console: &console,
            effects: Vec::new(),
        };
        let outcome = order.call.run(order.service, &mut cx);
        (outcome, cx.effects)
    }
}

/// What is known of a request, for the log and the answer.
struct Seen {
    id: String,
    service: Service,
    action: String,
    caller: String,
    region: String,
    faults: Faults,
    fault: Option<&'static str>,
    effect: bool,
    delay: Option<Duration>,
}

/// What an action answers.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// In place of the text.
    pub(super) bytes: Option<Vec<u8>>,
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl Seen {
    fn of(request: &HttpRequest) -> Self {
        Self {
            id: request_id(),
            service: request.service(),
            action: String::new(),
            caller: String::new(),
            region: String::new(),
            faults: Faults::default(),
            fault: None,
            effect: false,
            delay: None,
        }
    }
}

/// A request that may have its effect.
pub(super) struct Order {
    service: Service,
    pub(super) call: Call,
    pub(super) caller: Caller,
    pub(super) region: String,
    access: Access,
    pub(super) faults: Faults,
    /// The block's own bytes, where it is about one.
    block: Option<Incoming>,
}

/// A request whose action is known.
pub(super) struct Call {
    pub(super) action: String,
    params: Params,
    pub(super) body: Vec<u8>,
}

impl Call {
    fn read(service: Service, request: &HttpRequest) -> Result<Self, ApiError> {
        if service.is_json() {
            let target = request.header("x-amz-target").unwrap_or_default();
            return Ok(Self {
                action: service.action_of(target).to_owned(),
                params: Params::new([]),
                body: request.body.clone(),
            });
        }
        if service == Service::Ebs {
            let (action, body) = ebs::request::read(request)?;
            return Ok(Self {
                action: action.to_owned(),
                params: Params::new([]),
                body,
            });
        }
        let form = if request.method == "GET" {
            request.query.as_bytes()
        } else {
            &request.body
        };
        let params = Params::new(form_urlencoded::parse(form).into_owned());
        let action = params.top().text("Action").filter(|a| !a.is_empty());
        let action = action
            .ok_or_else(|| {
                ApiError::new(
                    "MissingAction",
                    "The request is missing an action or a required parameter.",
                )
            })?
            .to_owned();
        Ok(Self {
            action,
            params,
            body: Vec::new(),
        })
    }

    fn access(&self, service: Service) -> Result<Access, ApiError> {
        match service {
            Service::Ec2 => {
                let version = self.params.top().text("Version");
                let entry = ec2::find(&self.action).filter(|_| version == Some(ec2::VERSION));
                entry.map(|e| e.access).ok_or_else(|| {
                    ApiError::new(
                        "InvalidAction",
                        format!(
                            "The action {} is not valid for this web service.",
                            self.action
                        ),
                    )
                })
            }
            Service::Iam => iam::access(&self.action, &self.params),
            Service::Ssm => Ok(ssm::access(&self.action)),
            Service::Kms => Ok(kms::access(&self.action)),
            Service::Sts | Service::Quotas => Ok(Access::Read),
            Service::Ebs => Ok(ebs::access(&self.action)),
            // Its requests go another way.
            Service::S3 => Ok(Access::Read),
        }
    }

    fn run(&self, service: Service, cx: &mut Cx<'_>) -> Result<String, ApiError> {
        match service {
            Service::Ec2 => match ec2::find(&self.action) {
                Some(entry) => (entry.run)(&self.params, cx).map(ec2::xml::Xml::into_text),
                None => Err(ApiError::new(
                    "InvalidAction",
                    format!(
                        "The action {} is not valid for this web service.",
                        self.action
                    ),
                )),
            },
            Service::Sts => sts::run(&self.action, &self.params, cx).map(ec2::xml::Xml::into_text),
            Service::Iam => iam::run(&self.action, &self.params, cx).map(ec2::xml::Xml::into_text),
            Service::Ssm => ssm::run(&self.action, &self.body, cx).map(|v| v.to_string()),
            Service::Kms => kms::run(&self.action, &self.body, cx).map(|v| v.to_string()),
            Service::Quotas => {
                service_quotas::run(&self.action, &self.body, cx).map(|v| v.to_string())
            }
            Service::Ebs => ebs::run(&self.action, &self.body, cx).map(|v| v.to_string()),
            Service::S3 => Err(ApiError::new(
                "NotImplemented",
                "A request of S3's came where those of other services go",
            )),
        }
    }
}

/// A request id in the form of AWS's: a random UUID.
pub(super) fn request_id() -> String {
    let bytes: [u8; 16] = rand::random();
    let text = hex::encode(bytes);
    format!(
        "{}-{}-4{}-8{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..]
    )
}
