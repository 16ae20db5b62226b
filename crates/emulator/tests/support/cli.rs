//! The real AWS CLI.
#![allow(clippy::print_stderr, reason = "it says what it skips")]

use super::LocalEc2;
use serde_json::Value;
use std::process::{Command, Output};

/// The AWS CLI and a local EC2 for it.
pub struct Cli {
    pub program: String,
    endpoint: String,
    pub ec2: LocalEc2,
}

impl Cli {
    /// The CLI and a local EC2 for it; nothing if there is no CLI.
    pub async fn new() -> Option<Self> {
        Self::over(LocalEc2::new()).await
    }

    /// The CLI for this one.
    pub async fn over(ec2: LocalEc2) -> Option<Self> {
        let Ok(program) = std::env::var("QIB_TEST_AWS") else {
            eprintln!(
                "SKIPPED: QIB_TEST_AWS does not name the AWS CLI; `cargo xtask test` installs it"
            );
            return None;
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(emulator::server::serve(listener, ec2.engine.clone()));
        Some(Self {
            program,
            endpoint,
            ec2,
        })
    }

    pub async fn output(&self, arguments: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.environment());
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// What points AWS's programs at it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let key = &self.ec2.key;
        let mut all = vec![
            ("HOME", self.ec2.path().display().to_string()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-2".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-2".to_owned()),
            ("AWS_ACCESS_KEY_ID", key.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", key.secret.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_MAX_ATTEMPTS", "1".to_owned()),
        ];
        all.extend(key.token.iter().map(|t| ("AWS_SESSION_TOKEN", t.clone())));
        all
    }

    /// The same CLI with the credentials that an answer of STS holds.
    pub fn with_credentials(&self, answer: &Value) -> Self {
        let of = |name: &str| text(&answer["Credentials"][name]);
        Self {
            program: self.program.clone(),
            endpoint: self.endpoint.clone(),
            ec2: self.ec2.as_caller(super::Credentials {
                access_key: of("AccessKeyId"),
                secret: of("SecretAccessKey"),
                token: Some(of("SessionToken")),
            }),
        }
    }

    pub fn faults(&self, faults: &str) {
        std::fs::write(self.ec2.path().join("faults.json"), faults).unwrap();
    }

    /// Runs a command that must succeed; its JSON.
    pub async fn json(&self, arguments: &str) -> Value {
        let output = self.output(arguments).await;
        assert!(
            output.status.success(),
            "aws {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        match output.stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&output.stdout).unwrap(),
        }
    }

    /// Runs a command that must be refused; what it says.
    pub async fn refused(&self, arguments: &str) -> String {
        let output = self.output(arguments).await;
        assert!(!output.status.success(), "aws {arguments} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A text of an answer.
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}
