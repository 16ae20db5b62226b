//! A local EC2 in the test's own process, with guests that are only remembered, and a client that signs.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod cli;
mod guests;
pub mod s3;
mod signing;
pub mod wire;

pub use guests::MemoryGuests;
pub use signing::Credentials;

use emulator::account::Account;
use emulator::api::protocol::{HttpReply, HttpRequest};
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::{Engine, Served, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A local EC2 and its account's key.
pub struct LocalEc2 {
    pub dir: Arc<tempfile::TempDir>,
    pub engine: Arc<Engine>,
    pub guests: Arc<MemoryGuests>,
    pub key: Credentials,
    pub region: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl LocalEc2 {
    /// A new one without delays.
    pub fn new() -> Self {
        Self::with(EmulatorConfig {
            delays: Delays::None,
            ..EmulatorConfig::default()
        })
    }

    /// A new one with these settings.
    pub fn with(config: EmulatorConfig) -> Self {
        Self::over(
            Arc::new(tempfile::tempdir().unwrap()),
            Arc::new(MemoryGuests::default()),
            config,
        )
    }

    /// One over a folder that may hold a state already.
    pub fn over(
        dir: Arc<tempfile::TempDir>,
        guests: Arc<MemoryGuests>,
        config: EmulatorConfig,
    ) -> Self {
        let account = Store::new(dir.path()).load().unwrap();
        let key = Credentials {
            access_key: account.key.id.clone(),
            secret: account.key.secret.clone(),
            token: None,
        };
        let ssh_port = emulator::network::choose_ssh_port(2222..2322).unwrap();
        let served = Served {
            endpoint: "127.0.0.1:1".parse().unwrap(),
            ssh_port,
        };
        let engine = Engine::new(dir.path(), &config, guests.clone(), account, served).unwrap();
        Self {
            dir,
            engine,
            guests,
            key,
            region: "us-east-2".to_owned(),
        }
    }

    /// Another region of the same account.
    pub fn in_region(&self, region: &str) -> Self {
        Self {
            dir: self.dir.clone(),
            engine: self.engine.clone(),
            guests: self.guests.clone(),
            key: self.key.clone(),
            region: region.to_owned(),
        }
    }

    /// The same with another caller's credentials.
    pub fn as_caller(&self, key: Credentials) -> Self {
        Self {
            key,
            ..self.in_region(&self.region)
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Sends an EC2 action.
    pub fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action)
            .append_pair("Version", "2016-11-15")
            .extend_pairs(parameters);
        self.send(
            "ec2",
            "application/x-www-form-urlencoded; charset=utf-8",
            None,
            form.finish(),
        )
    }

    /// Sends an SSM action.
    pub fn ssm(&self, action: &str, body: &serde_json::Value) -> Answer {
        self.send(
            "ssm",
            "application/x-amz-json-1.1",
            Some(&format!("AmazonSSM.{action}")),
            body.to_string(),
        )
    }

    /// Sends an STS action.
    pub fn sts(&self, action: &str) -> Answer {
        self.send(
            "sts",
            "application/x-www-form-urlencoded",
            None,
            format!("Action={action}&Version=2011-06-15"),
        )
    }

    /// Sends an IAM action.
    pub fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.query("iam", "2010-05-08", action, parameters)
    }

    /// Sends an STS action with parameters.
    pub fn sts_with(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.query("sts", "2011-06-15", action, parameters)
    }

    fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters);
        let kind = "application/x-www-form-urlencoded";
        self.send(service, kind, None, form.finish())
    }

    /// Sends a KMS action.
    pub fn kms(&self, action: &str, body: &serde_json::Value) -> Answer {
        let target = format!("TrentService.{action}");
        let kind = "application/x-amz-json-1.1";
        self.send("kms", kind, Some(&target), body.to_string())
    }

    /// Sends an action of Service Quotas.
    pub fn quotas(&self, action: &str, body: &serde_json::Value) -> Answer {
        let target = format!("ServiceQuotasV20190624.{action}");
        let kind = "application/x-amz-json-1.1";
        self.send("servicequotas", kind, Some(&target), body.to_string())
    }

    /// The same account's user in another account, by its role.
    pub fn in_account(&self, account: &str) -> Self {
        let role = format!("arn:aws:iam::{account}:role/administrator");
        let parameters = [("RoleArn", role.as_str()), ("RoleSessionName", "other")];
        self.as_caller(session(&self.sts_with("AssumeRole", &parameters).ok()))
    }

    /// The newest public image by owner and name.
    pub fn public_image(&self, owner: &str, name: &str) -> String {
        let parameters = [
            ("Owner.1", owner),
            ("Filter.1.Name", "name"),
            ("Filter.1.Value.1", name),
        ];
        let found = self.ec2("DescribeImages", &parameters).ok();
        let newest = found
            .images()
            .into_iter()
            .max_by_key(|i| i.text("creationDate"));
        newest.unwrap_or_else(|| panic!("no image {name}")).id
    }

    pub fn send(
        &self,
        service: &str,
        content_type: &str,
        target: Option<&str>,
        body: String,
    ) -> Answer {
        let mut headers = vec![
            ("host".to_owned(), "127.0.0.1:1".to_owned()),
            ("content-type".to_owned(), content_type.to_owned()),
        ];
        headers.extend(target.map(|t| ("x-amz-target".to_owned(), t.to_owned())));
        let mut request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers,
            body: body.into_bytes(),
        };
        self.key
            .sign(&mut request, &self.region, service, jiff::Timestamp::now());
        self.raw(&request)
    }

    pub fn raw(&self, request: &HttpRequest) -> Answer {
        let HttpReply { status, body, .. } = self.engine.handle(request);
        let body = String::from_utf8(body).unwrap();
        Answer { status, body }
    }

    /// Sends an EC2 action until its answer is as wished.
    pub async fn until(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        wished: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.ec2(action, parameters);
            if wished(&answer) {
                return answer;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{action} never came to it: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until an instance is in a state.
    pub async fn state(&self, instance: &str, state: &str) -> Answer {
        let is = |a: &Answer| a.text("instanceState/name").as_deref() == Some(state);
        self.until("DescribeInstances", &[("InstanceId.1", instance)], is)
            .await
    }

    /// The newest RHEL of the catalogue.
    pub fn image(&self) -> String {
        let found = self.ec2(
            "DescribeImages",
            &[
                ("Owner.1", "309956199498"),
                ("Filter.1.Name", "name"),
                ("Filter.1.Value.1", "RHEL-9*"),
                ("Filter.2.Name", "architecture"),
                ("Filter.2.Value.1", "x86_64"),
            ],
        );
        found.text("imageId").unwrap()
    }

    /// Launches an instance and waits until it runs.
    pub async fn running(&self, parameters: &[(&str, &str)]) -> String {
        let image = self.image();
        let mut all = vec![
            ("ImageId", image.as_str()),
            ("InstanceType", "m5.large"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        all.extend(parameters.iter().filter(|(name, _)| *name != "ImageId"));
        if let Some(given) = parameters.iter().find(|(name, _)| *name == "ImageId") {
            all[0] = *given;
        }
        let id = self
            .ec2("RunInstances", &all)
            .ok()
            .text("instanceId")
            .unwrap();
        self.state(&id, "running").await;
        id
    }

    /// Launches an instance and stops it.
    pub async fn stopped(&self) -> String {
        let id = self.running(&[]).await;
        self.ec2("StopInstances", &[("InstanceId.1", &id)]).ok();
        self.state(&id, "stopped").await;
        id
    }

    /// Makes an image and waits until it is there.
    pub async fn image_of(&self, instance: &str, name: &str) -> String {
        let image = self
            .ec2("CreateImage", &[("InstanceId", instance), ("Name", name)])
            .ok()
            .text("imageId")
            .unwrap();
        let is = |a: &Answer| a.text("imageState").as_deref() == Some("available");
        self.until("DescribeImages", &[("ImageId.1", &image)], is)
            .await;
        image
    }

    pub fn account(&self) -> Account {
        self.engine.snapshot()
    }
}

/// An image of an answer.
#[derive(Debug)]
pub struct ShownImage {
    pub id: String,
    shown: Answer,
}

impl ShownImage {
    /// The first text at a path of it.
    pub fn text(&self, path: &str) -> Option<String> {
        self.shown.text(path)
    }
}

impl Answer {
    /// Each image of DescribeImages by itself.
    pub fn images(&self) -> Vec<ShownImage> {
        let of = |rest: &str| {
            let (id, rest) = rest.split_once('<').unwrap();
            let shown = Answer {
                status: 200,
                body: format!("<{rest}"),
            };
            ShownImage {
                id: id.to_owned(),
                shown,
            }
        };
        self.body.split("<imageId>").skip(1).map(of).collect()
    }

    /// The answer as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    /// The answer, which must be a success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// The error's code, which there must be.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_ne!(self.status, 200, "{}", self.body);
        self.text("Code").unwrap_or_else(|| {
            let value: serde_json::Value = serde_json::from_str(&self.body).unwrap();
            value["__type"].as_str().unwrap().to_owned()
        })
    }

    /// The first text at a path such as `instanceState/name`, each step anywhere below the one before.
    pub fn text(&self, path: &str) -> Option<String> {
        self.texts(path).into_iter().next()
    }

    /// All texts at a path.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let mut parts = vec![self.body.clone()];
        for name in path.split('/') {
            let (open, close) = (format!("<{name}>"), format!("</{name}>"));
            parts = parts
                .iter()
                .flat_map(|part| {
                    part.split(&open)
                        .skip(1)
                        .filter_map(|rest| rest.split_once(&close))
                        .map(|(inner, _)| inner.to_owned())
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        parts
    }
}

/// The credentials that an answer of STS holds.
pub fn session(answer: &Answer) -> Credentials {
    let text = |name: &str| answer.text(name).unwrap();
    Credentials {
        access_key: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
        token: Some(text("SessionToken")),
    }
}

/// A profile whose role may bind addresses.
pub const PROFILE: &str = "ec2-instance-profile-for-quay-image-builder";

/// A guest's own credentials, as its metadata service gives them.
pub fn credentials_of(ec2: &LocalEc2, id: &str) -> Credentials {
    credentials_of_role(ec2, id, PROFILE)
}

/// The same of any role.
pub fn credentials_of_role(ec2: &LocalEc2, id: &str, role: &str) -> Credentials {
    let token = ec2.guests.imds_token(id);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    let (status, body) = ec2.guests.imds(
        id,
        "GET",
        &format!("/latest/meta-data/iam/security-credentials/{role}"),
        &header,
    );
    assert_eq!(status, 200);
    let found: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    Credentials {
        access_key: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
        token: Some(text("Token")),
    }
}
