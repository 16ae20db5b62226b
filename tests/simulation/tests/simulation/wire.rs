//! The connection of one process to the local EC2: no socket, every fault on demand, and a crash at any call.

use crate::clock::Simulated;
use crate::fault::{Crash, Fault, FaultKind};
use async_trait::async_trait;
use aws::{ConnectionBroken, Transport, WireReply, WireRequest};
use cloud::Clock;
use emulator::account::Account;
use emulator::api::error::ApiError;
use emulator::api::protocol::{HttpReply, HttpRequest, Service};
use emulator::engine::Engine;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One way of a request or an answer.
const LATENCY: Duration = Duration::from_millis(20);

/// Ends the process that is being polled, as SIGKILL does: nothing of it runs again.
pub fn crash_now() -> ! {
    std::panic::resume_unwind(Box::new(Crashed))
}

/// The ids of everything that was ever made, by the action that made it.
#[derive(Default)]
pub struct Made {
    ids: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Made {
    /// How many things an action made.
    pub fn of(&self, action: &str) -> usize {
        self.ids
            .lock()
            .unwrap()
            .get(action)
            .map_or(0, BTreeSet::len)
    }

    fn note(&self, action: &str, reply: &HttpReply) {
        let (action, element) = match action {
            "ec2:RunInstances" => ("RunInstances", "instanceId"),
            "ec2:CreateImage" => ("CreateImage", "imageId"),
            "ec2:CreateSecurityGroup" => ("CreateSecurityGroup", "groupId"),
            "ec2:ImportKeyPair" => ("ImportKeyPair", "keyPairId"),
            _ => return,
        };
        if reply.status != 200 {
            return;
        }
        let open = format!("<{element}>");
        let body = std::str::from_utf8(&reply.body).expect("EC2 answers in UTF-8");
        let id = body
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once('<'))
            .map(|(id, _)| id.to_owned())
            .expect("an answer that names what was made");
        let mut made = self.ids.lock().unwrap();
        made.entry(action.to_owned()).or_default().insert(id);
    }
}

/// What a crashed process's task ends with.
pub struct Crashed;

/// One call as it went.
#[derive(Clone, Debug)]
pub struct Call {
    /// Such as `ec2:RunInstances`.
    pub action: String,
    /// The error's code, if it was refused.
    pub code: Option<String>,
}

#[derive(Default)]
struct State {
    attempts: HashMap<String, u32>,
    calls: Vec<Call>,
    /// The account as it was before the latest change.
    before: Option<Account>,
}

/// Makes an engine over an account as it once was.
pub type Shadow = Box<dyn Fn(Account) -> Arc<Engine> + Send + Sync>;

/// A process's connection.
pub struct Wire {
    engine: Arc<Engine>,
    clock: Simulated,
    faults: Vec<Fault>,
    crash: Crash,
    made: Arc<Made>,
    /// Answers stale reads; nothing is stale without it.
    shadow: Option<Shadow>,
    state: Mutex<State>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    pub fn new(
        engine: Arc<Engine>,
        clock: Simulated,
        faults: Vec<Fault>,
        crash: Crash,
        made: Arc<Made>,
        shadow: Option<Shadow>,
    ) -> Self {
        Self {
            engine,
            clock,
            faults,
            crash,
            made,
            shadow,
            state: Mutex::default(),
        }
    }

    /// The calls so far, every attempt by itself.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Counts the call; gives its number over all, and the fault that hits it.
    fn count(&self, action: &str) -> (u32, Option<FaultKind>) {
        let mut state = self.state.lock().unwrap();
        let name = action
            .split_once(':')
            .map_or(action, |(_, name)| name)
            .to_owned();
        let attempt = state.attempts.entry(name.clone()).or_default();
        *attempt += 1;
        let attempt = *attempt;
        state.calls.push(Call {
            action: action.to_owned(),
            code: None,
        });
        let number = u32::try_from(state.calls.len()).unwrap();
        let hit = self.faults.iter().find(|f| f.hits(&name, attempt));
        (number, hit.map(|f| f.kind))
    }

    fn carry_out(&self, action: &str, request: &HttpRequest, stale: bool) -> HttpReply {
        let writes = writes(action);
        let remembers = self.faults.iter().any(|f| f.kind == FaultKind::Stale);
        if stale {
            let before = self.state.lock().unwrap().before.clone();
            if let (Some(before), Some(shadow)) = (before, &self.shadow) {
                let reply = shadow(before).handle(request);
                // A change that the old state allows is made in earnest.
                if !writes || reply.status != 200 {
                    return reply;
                }
            }
        }
        if writes && remembers {
            self.state.lock().unwrap().before = Some(self.engine.snapshot());
        }
        let reply = self.engine.handle(request);
        self.made.note(action, &reply);
        reply
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: WireRequest) -> Result<WireReply, ConnectionBroken> {
        let request = readable(request);
        let service = request.service();
        let action = action_of(service, &request);
        let (number, fault) = self.count(&action);
        if self.crash == Crash::BeforeCall(number) {
            crash_now();
        }
        tokio::time::sleep(LATENCY).await;
        let broken = |when: &str| ConnectionBroken(format!("simulated: reset {when} the effect"));
        let refusal = |code: &'static str, status| {
            let error = ApiError::new(code, "simulated").with_status(status);
            service.failure(
                &error,
                "00000000-0000-4000-8000-000000000000",
                self.clock.now(),
            )
        };
        let reply = match fault {
            Some(FaultKind::Throttle) => match service {
                Service::Ec2 => refusal("RequestLimitExceeded", 503),
                Service::Sts | Service::Iam => refusal("Throttling", 400),
                Service::Ssm | Service::Kms => refusal("ThrottlingException", 400),
                Service::Quotas => refusal("TooManyRequestsException", 400),
                Service::Ebs => refusal("RequestThrottledException", 400),
                Service::S3 => refusal("SlowDown", 503),
            },
            Some(FaultKind::ServerError) => match service {
                Service::Ec2 => refusal("InternalError", 500),
                Service::Sts => refusal("InternalFailure", 500),
                Service::Iam => refusal("ServiceFailure", 500),
                Service::Ssm => refusal("InternalServerError", 500),
                Service::Kms => refusal("KMSInternalException", 500),
                Service::Quotas => refusal("ServiceException", 500),
                Service::Ebs => refusal("InternalServerException", 500),
                Service::S3 => refusal("InternalError", 500),
            },
            Some(FaultKind::LostRequest) => return Err(broken("before")),
            Some(FaultKind::SilentRequest) => std::future::pending().await,
            Some(FaultKind::LostReply) => {
                self.carry_out(&action, &request, false);
                tokio::time::sleep(LATENCY).await;
                return Err(broken("after"));
            }
            Some(FaultKind::SilentReply) => {
                self.carry_out(&action, &request, false);
                std::future::pending().await
            }
            Some(FaultKind::Stale) => self.carry_out(&action, &request, true),
            None => self.carry_out(&action, &request, false),
        };
        if self.crash == Crash::AfterCall(number) {
            crash_now();
        }
        if reply.status != 200 {
            let index = usize::try_from(number).unwrap() - 1;
            self.state.lock().unwrap().calls[index].code = Some(reply.status.to_string());
        }
        tokio::time::sleep(LATENCY).await;
        let own = reply.headers.iter();
        let own = own.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let mut headers = vec![
            ("content-type".to_owned(), reply.content_type.to_owned()),
            ("date".to_owned(), reply.http_date()),
        ];
        headers.extend(own);
        Ok(WireReply {
            status: reply.status,
            headers,
            body: reply.body,
        })
    }
}

fn readable(request: WireRequest) -> HttpRequest {
    let rest = request
        .uri
        .split_once("://")
        .map_or(request.uri.as_str(), |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = request.headers;
    if !headers.iter().any(|(name, _)| name == "host") {
        headers.push(("host".to_owned(), host.to_owned()));
    }
    HttpRequest {
        method: request.method,
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        query: query.to_owned(),
        headers,
        body: request.body,
    }
}

/// Such as `ec2:RunInstances`.
fn action_of(service: Service, request: &HttpRequest) -> String {
    let action = match service {
        json if json.is_json() => json
            .action_of(request.header("x-amz-target").unwrap_or_default())
            .to_owned(),
        Service::S3 => emulator::api::s3::route::Call::read(request)
            .map(|call| call.action.name().to_owned())
            .unwrap_or_default(),
        _ => form_urlencoded::parse(&request.body)
            .find(|(name, _)| name == "Action")
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default(),
    };
    format!("{}:{action}", service.name())
}

/// Whether an action changes something, by EC2's and SSM's way of naming.
pub fn writes(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    let looks = ["Describe", "Get", "Head", "List", "Simulate"];
    !looks.iter().any(|prefix| name.starts_with(prefix))
}
