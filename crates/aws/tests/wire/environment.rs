//! What the environment and the shared config files decide. Each case runs [`child`] in a process with an environment
//! of its own, since a process has only one.

use crate::Hurried;
use crate::server::{Answer, Server};
use async_trait::async_trait;
use aws::{AwsAccount, AwsOptions, ConnectError, Mfa, MfaPrompt, StaticCredentials};
use cloud::retry::Retrying;
use cloud::{Account, RegionName};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::Command;

pub const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/b</Arn>\
    <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
pub const NO_SUBNETS: &str = "<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>";

/// Connects as the environment says, asks who it is and for subnets, and prints what came of it.
#[tokio::test]
#[ignore = "the other tests here run it, in an environment of its own"]
async fn child() {
    let local = std::env::var("TEST_LOCAL").ok();
    let options = AwsOptions {
        profile: std::env::var("TEST_PROFILE").ok(),
        region: local.as_ref().map(|_| "us-east-2".to_owned()),
        credentials: local.as_ref().map(|_| StaticCredentials {
            access_key_id: "AKIDLOCAL".to_owned(),
            secret_access_key: "local-secret".to_owned(),
        }),
        endpoint_url: local,
        mfa: Mfa {
            code: std::env::var("TEST_MFA_CODE").ok(),
            prompt: std::env::var("TEST_MFA_ANSWER")
                .ok()
                .map(|answer| Arc::new(Person(answer)) as Arc<dyn MfaPrompt>),
        },
        ..AwsOptions::default()
    };
    let outcome = match AwsAccount::connect(options).await {
        Err(error) => format!("{error}"),
        Ok(account) => {
            let region = account.default_region().clone();
            let account = Retrying::new(Arc::new(account), Arc::new(Hurried), 1);
            match asked(&account, &region).await {
                Err(error) => format!("{:?}: {error}", error.kind),
                Ok(outcome) => outcome,
            }
        }
    };
    println!("outcome: {outcome}");
}

/// Answers what the environment says, and says what was asked.
#[derive(Debug)]
struct Person(String);

#[async_trait]
impl MfaPrompt for Person {
    async fn code(&self, device: &str) -> Result<String, String> {
        println!("asked for {device}");
        match self.0.as_str() {
            "" => Err("nobody answers".to_owned()),
            code => Ok(code.to_owned()),
        }
    }
}

/// Who it is and where, and when the credentials end if somebody says so.
async fn asked(account: &Retrying, region: &RegionName) -> cloud::port::Result<String> {
    let identity = account.caller_identity().await?;
    if let Ok(new) = std::env::var("TEST_NEW_CREDENTIALS") {
        // As a person who logs in again while it goes on.
        let file = std::env::var("AWS_SHARED_CREDENTIALS_FILE").unwrap();
        std::fs::write(file, new).unwrap();
    }
    account.region(region).subnets(&[]).await?;
    let end = match account.credentials_expiry().await? {
        None => String::new(),
        Some(end) => format!(" until {end}"),
    };
    Ok(format!("{} in {region}{end}", identity.arn))
}

/// A home with these config files, and what [`child`] made of it with these variables.
pub async fn outcome(config: &str, credentials: &str, variables: &[(&str, &str)]) -> String {
    let home = TempDir::new().unwrap();
    outcome_at(home.path(), config, credentials, variables).await
}

/// The same, in this home.
pub async fn outcome_at(
    home: &Path,
    config: &str,
    credentials: &str,
    variables: &[(&str, &str)],
) -> String {
    let config_file = write(home, "config", config);
    let credentials_file = write(home, "credentials", credentials);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "environment::child", "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", home)
        .env("AWS_CONFIG_FILE", config_file)
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials_file)
        // Tests must not look for the metadata of the machine that they run on.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, outcome) = stdout
        .split_once("outcome: ")
        .unwrap_or_else(|| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)));
    outcome.lines().next().unwrap_or_default().to_owned()
}

fn write(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn aws() -> Server {
    Server::start([Answer::xml(IDENTITY), Answer::xml(NO_SUBNETS)]).await
}

#[tokio::test]
async fn keys_region_and_endpoint_come_from_the_environment() {
    let (sts, ec2) = (aws().await, Server::start([Answer::xml(NO_SUBNETS)]).await);
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", sts.url()),
        ("AWS_ENDPOINT_URL_EC2", ec2.url()),
    ];
    let outcome = outcome("", "", &variables).await;
    assert_eq!(outcome, "arn:aws:iam::123456789012:user/b in eu-central-1");
    sts.only_request().assert_signed_for("eu-central-1", "sts");
    let request = ec2.only_request();
    request.assert_signed_for("eu-central-1", "ec2");
    assert_eq!(request.header("x-amz-security-token"), Some("session"));
}

#[tokio::test]
async fn a_profile_gives_region_credentials_and_endpoint() {
    let server = aws().await;
    let config = format!(
        "[default]\nregion = us-west-1\n[profile build]\nregion = ap-south-1\nendpoint_url = {}\n\
         credential_process = echo '{{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s\"}}'\n",
        server.url()
    );
    let outcome = outcome(
        &config,
        "",
        &[("TEST_PROFILE", "build"), ("PATH", "/usr/bin:/bin")],
    )
    .await;
    assert_eq!(outcome, "arn:aws:iam::123456789012:user/b in ap-south-1");
    let requests = server.requests();
    requests[1].assert_signed_for("ap-south-1", "ec2");
    let authorization = requests[1].header("authorization").unwrap();
    assert!(
        authorization.contains("Credential=AKIDPROC/"),
        "{authorization}"
    );
}

#[tokio::test]
async fn a_profile_asked_for_by_name_wins_over_keys_in_the_environment() {
    let server = aws().await;
    let config = "[profile build]\nregion = ap-south-1\n";
    let credentials = "[build]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s\n";
    let variables = [
        ("TEST_PROFILE", "build"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    let outcome = outcome(config, credentials, &variables).await;
    assert_eq!(outcome, "arn:aws:iam::123456789012:user/b in ap-south-1");
    let requests = server.requests();
    let authorization = requests[1].header("authorization").unwrap();
    assert!(
        authorization.contains("Credential=AKIDFILE/"),
        "{authorization}"
    );
}

#[tokio::test]
async fn no_region_says_how_to_give_one() {
    let config = "[profile build]\ncredential_process = true\n";
    let outcome = outcome(config, "", &[("TEST_PROFILE", "build")]).await;
    let expected = ConnectError::NoRegion {
        profile: Some("build".to_owned()),
    };
    assert_eq!(outcome, expected.to_string());
}

/// The endpoint is a server that must not be asked anything: there is nothing to sign with.
async fn without_credentials(config: &str, variables: &[(&str, &str)]) -> String {
    let server = Server::start([]).await;
    let always = [
        ("AWS_REGION", "us-east-2"),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    let variables: Vec<_> = always.iter().chain(variables).copied().collect();
    let outcome = outcome(config, "", &variables).await;
    assert_eq!(server.requests().len(), 0, "{outcome}");
    assert!(outcome.starts_with("Credentials: "), "{outcome}");
    outcome
}

#[tokio::test]
async fn no_credentials_at_all() {
    let outcome = without_credentials("", &[]).await;
    assert!(
        outcome.contains("no credentials found in chain"),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_credential_process_that_fails_is_quoted() {
    let config =
        "[profile build]\ncredential_process = sh -c \"echo vault is sealed >&2; exit 3\"\n";
    let variables = [("TEST_PROFILE", "build"), ("PATH", "/usr/bin:/bin")];
    let outcome = without_credentials(config, &variables).await;
    assert!(outcome.contains("vault is sealed"), "{outcome}");
}

#[tokio::test]
async fn an_sso_login_that_is_missing_is_a_matter_of_credentials() {
    let config = "[profile build]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Builder\n\
                  [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.invalid/start\n";
    let outcome = without_credentials(config, &[("TEST_PROFILE", "build")]).await;
    assert!(
        outcome.contains("log in with `aws sso login --profile build`"),
        "{outcome}"
    );
}

#[tokio::test]
async fn the_local_ec2_is_reached_whatever_the_environment_says() {
    let (local, elsewhere) = (aws().await, Server::start([]).await);
    let variables = [
        ("TEST_LOCAL", local.url()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_PROFILE", "nobody"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", elsewhere.url()),
        ("AWS_ENDPOINT_URL_EC2", elsewhere.url()),
        ("HTTP_PROXY", elsewhere.url()),
        ("http_proxy", elsewhere.url()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere.url()),
    ];
    let outcome = outcome("", "", &variables).await;
    assert_eq!(outcome, "arn:aws:iam::123456789012:user/b in us-east-2");
    assert_eq!(elsewhere.requests().len(), 0);
    let authorization = local.requests()[1]
        .header("authorization")
        .unwrap()
        .to_owned();
    assert!(
        authorization.contains("Credential=AKIDLOCAL/"),
        "{authorization}"
    );
}

/// A credential process that gives another key each time: AKID1, AKID2 … The file says how often it was asked.
fn new_key_each_time(folder: &Path) -> String {
    let script = r#"cd "$(dirname "$0")" || exit 1
echo asked >> asked
printf '{"Version":1,"AccessKeyId":"AKID%d","SecretAccessKey":"s","SessionToken":"t","Expiration":"2999-01-01T00:00:00Z"}' \
  "$(wc -l < asked)"
"#;
    let script = write(folder, "process.sh", script);
    format!("credential_process = sh {}\n", script.display())
}

pub fn key_of(request: &crate::server::Request) -> &str {
    let authorization = request.header("authorization").unwrap();
    let (_, credential) = authorization.split_once("Credential=").unwrap();
    credential.split('/').next().unwrap()
}

/// With the profile named, and with the SDK's own chain; in EC2's words, and in STS's.
#[tokio::test]
async fn credentials_that_expire_in_between_are_asked_for_anew() {
    for named in ["TEST_PROFILE", "AWS_PROFILE"] {
        let folder = TempDir::new().unwrap();
        let server = Server::start([
            Answer::sts_error(403, "ExpiredToken", "The security token is expired"),
            Answer::xml(IDENTITY),
            Answer::ec2_error(400, "RequestExpired", "Request has expired."),
            Answer::xml(NO_SUBNETS),
        ])
        .await;
        let config = format!(
            "[profile build]\nregion = us-east-2\nendpoint_url = {}\n{}",
            server.url(),
            new_key_each_time(folder.path())
        );
        let variables = [(named, "build"), ("PATH", "/usr/bin:/bin")];
        let outcome = outcome(&config, "", &variables).await;
        assert_eq!(
            outcome,
            "arn:aws:iam::123456789012:user/b in us-east-2 until 2999-01-01T00:00:00Z"
        );
        let requests = server.requests();
        let keys: Vec<&str> = requests.iter().map(key_of).collect();
        assert_eq!(keys, ["AKID1", "AKID2", "AKID2", "AKID3"], "{named}");
        let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
        assert_eq!(asked.lines().count(), 3);
    }
}

#[tokio::test]
async fn credentials_that_stay_expired_are_asked_for_anew_only_once() {
    let folder = TempDir::new().unwrap();
    let expired = || Answer::sts_error(403, "ExpiredToken", "The security token is expired");
    let server = Server::start([expired(), expired(), expired()]).await;
    let config = format!(
        "[profile build]\nregion = us-east-2\nendpoint_url = {}\n{}",
        server.url(),
        new_key_each_time(folder.path())
    );
    let variables = [("AWS_PROFILE", "build"), ("PATH", "/usr/bin:/bin")];
    let outcome = outcome(&config, "", &variables).await;
    assert!(
        outcome.starts_with("Expired: GetCallerIdentity"),
        "{outcome}"
    );
    assert!(outcome.contains("given up after 2 attempts"), "{outcome}");
    assert_eq!(server.requests().len(), 2);
}

/// The SDK reads a session's keys from the environment, but not when they end.
#[tokio::test]
async fn the_end_of_exported_session_keys_is_read() {
    for (key, end) in [
        ("AKIDENV", " until 2999-01-01T00:00:00Z"),
        // Of other keys than those in use.
        ("AKIDOTHER", ""),
    ] {
        let server = aws().await;
        let config = "[profile build]\naws_access_key_id = AKIDENV\naws_secret_access_key = s\n";
        let variables = [
            ("TEST_PROFILE", "build"),
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_CREDENTIAL_EXPIRATION", "2999-01-01T00:00:00Z"),
            ("AWS_REGION", "us-east-2"),
            ("AWS_ENDPOINT_URL", server.url()),
        ];
        let outcome = outcome(config, "", &variables).await;
        let expected = format!("arn:aws:iam::123456789012:user/b in us-east-2{end}");
        assert_eq!(outcome, expected);
    }
}
