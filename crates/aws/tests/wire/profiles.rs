//! Profiles of the shared configuration files, as teams have them: roles, MFA, logins, files that other tools write.

use crate::environment::{IDENTITY, NO_SUBNETS, key_of, outcome, outcome_at};
use crate::server::{Answer, Request, Server};
use std::path::Path;
use tempfile::TempDir;

const DEVICE: &str = "arn:aws:iam::123456789012:mfa/b";
const KEYS: &str = "[user]\naws_access_key_id = AKIDUSER\naws_secret_access_key = s\n";

/// A role's session with this key.
fn session(key: &str) -> Answer {
    Answer::xml(format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token-of-{key}</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ))
}

fn asked_afterwards() -> [Answer; 2] {
    [Answer::xml(IDENTITY), Answer::xml(NO_SUBNETS)]
}

/// What comes of these files, with all calls going to `server`.
async fn with(
    server: &Server,
    config: &str,
    credentials: &str,
    variables: &[(&str, &str)],
) -> String {
    let always = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", server.url()),
        ("PATH", "/usr/bin:/bin"),
    ];
    let variables: Vec<_> = always.iter().chain(variables).copied().collect();
    outcome(config, credentials, &variables).await
}

/// What is said of files that are wrong, before anything is sent.
async fn refused(config: &str, credentials: &str, variables: &[(&str, &str)]) -> String {
    let server = Server::start([]).await;
    let said = with(&server, config, credentials, variables).await;
    assert_eq!(server.requests().len(), 0, "{said}");
    said
}

const OK: &str = "arn:aws:iam::123456789012:user/b in eu-west-1";
const UNTIL: &str = " until 2999-01-01T00:00:00Z";

/// All but the session's name, which has the time in it.
#[track_caller]
fn assert_assumed(request: &Request, key: &str, expected: &[(&str, &str)]) {
    assert_eq!(key_of(request), key);
    request.assert_signed_for("eu-west-1", "sts");
    let name = request.param("RoleSessionName").unwrap_or_default();
    let mut expected = expected.to_vec();
    expected.push(("Action", "AssumeRole"));
    if !expected.iter().any(|(key, _)| *key == "RoleSessionName") {
        let time = name
            .strip_prefix("qib-")
            .and_then(|t| t.parse::<u64>().ok());
        assert!(time.is_some(), "{name}");
        expected.push(("RoleSessionName", name));
    }
    request.assert_params(&expected);
}

#[tokio::test]
async fn a_role_is_assumed_with_all_that_its_profile_says() {
    let server = Server::start([session("AKIDROLE")].into_iter().chain(asked_afterwards())).await;
    let config = "[profile build]\nrole_arn = arn:role\nsource_profile = user\nexternal_id = outside\n\
                  duration_seconds = 7200\nrole_session_name = nightly\n";
    let said = with(&server, config, KEYS, &[("TEST_PROFILE", "build")]).await;
    assert_eq!(said, format!("{OK}{UNTIL}"));
    let requests = server.requests();
    assert_assumed(
        &requests[0],
        "AKIDUSER",
        &[
            ("RoleArn", "arn:role"),
            ("ExternalId", "outside"),
            ("DurationSeconds", "7200"),
            ("RoleSessionName", "nightly"),
        ],
    );
    let keys: Vec<&str> = requests[1..].iter().map(key_of).collect();
    assert_eq!(keys, ["AKIDROLE", "AKIDROLE"]);
    let token = requests[2].header("x-amz-security-token");
    assert_eq!(token, Some("token-of-AKIDROLE"));
}

#[tokio::test]
async fn a_chain_of_roles_is_walked_from_its_source_on() {
    for named in ["TEST_PROFILE", "AWS_PROFILE"] {
        let answers = [session("AKIDHUB"), session("AKIDPROD")];
        let server = Server::start(answers.into_iter().chain(asked_afterwards())).await;
        let config = "[profile prod]\nrole_arn = arn:prod\nsource_profile = hub\n\
                      [profile hub]\nrole_arn = arn:hub\nsource_profile = user\n";
        let said = with(&server, config, KEYS, &[(named, "prod")]).await;
        assert_eq!(said, format!("{OK}{UNTIL}"), "{named}");
        let requests = server.requests();
        assert_assumed(&requests[0], "AKIDUSER", &[("RoleArn", "arn:hub")]);
        assert_assumed(&requests[1], "AKIDHUB", &[("RoleArn", "arn:prod")]);
        assert_eq!(key_of(&requests[3]), "AKIDPROD");
    }
}

#[tokio::test]
async fn a_role_is_assumed_from_what_a_process_or_the_environment_gives() {
    let process = "[profile build]\nrole_arn = arn:role\nsource_profile = vault\n[profile vault]\ncredential_process = \
                   echo '{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s\"}'\n";
    let environment = "[profile build]\nrole_arn = arn:role\ncredential_source = Environment\n";
    let keys = [
        ("TEST_PROFILE", "build"),
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    for (config, key) in [(process, "AKIDPROC"), (environment, "AKIDENV")] {
        let server =
            Server::start([session("AKIDROLE")].into_iter().chain(asked_afterwards())).await;
        let said = with(&server, config, "", &keys).await;
        assert_eq!(said, format!("{OK}{UNTIL}"));
        assert_assumed(&server.requests()[0], key, &[("RoleArn", "arn:role")]);
    }
}

#[tokio::test]
async fn a_role_that_is_refused_is_named_with_stss_reason() {
    let server = Server::start([Answer::sts_error(
        403,
        "AccessDenied",
        "User is not authorized to perform: sts:AssumeRole",
    )])
    .await;
    let config = "[profile build]\nrole_arn = arn:role\nsource_profile = user\n";
    let said = with(&server, config, KEYS, &[("TEST_PROFILE", "build")]).await;
    for part in [
        "Credentials: ",
        "arn:role of the profile \"build\"",
        "not authorized to perform: sts:AssumeRole",
        "AccessDenied",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

fn guarded() -> String {
    format!("[profile build]\nrole_arn = arn:role\nsource_profile = user\nmfa_serial = {DEVICE}\n")
}

#[tokio::test]
async fn a_code_that_is_given_goes_with_its_device() {
    for named in ["TEST_PROFILE", "AWS_PROFILE"] {
        let server =
            Server::start([session("AKIDROLE")].into_iter().chain(asked_afterwards())).await;
        let variables = [(named, "build"), ("TEST_MFA_CODE", "123456")];
        let said = with(&server, &guarded(), KEYS, &variables).await;
        assert_eq!(said, format!("{OK}{UNTIL}"), "{named}");
        let device = ("SerialNumber", DEVICE);
        let expected = [("RoleArn", "arn:role"), device, ("TokenCode", "123456")];
        assert_assumed(&server.requests()[0], "AKIDUSER", &expected);
    }
}

#[tokio::test]
async fn a_code_is_asked_for_where_there_is_somebody() {
    let server = Server::start([session("AKIDROLE")].into_iter().chain(asked_afterwards())).await;
    let variables = [("TEST_PROFILE", "build"), ("TEST_MFA_ANSWER", "654321")];
    let said = with(&server, &guarded(), KEYS, &variables).await;
    assert_eq!(said, format!("{OK}{UNTIL}"));
    assert_eq!(server.requests()[0].param("TokenCode"), Some("654321"));

    let nobody = [("TEST_PROFILE", "build"), ("TEST_MFA_ANSWER", "")];
    let said = refused(&guarded(), KEYS, &nobody).await;
    assert!(said.contains("nobody answers"), "{said}");
    assert!(said.contains("--mfa-code"), "{said}");
}

#[tokio::test]
async fn without_a_code_and_without_anybody_nothing_is_sent() {
    let said = refused(&guarded(), KEYS, &[("TEST_PROFILE", "build")]).await;
    for part in ["config:4: ", DEVICE, "--mfa-code", "\"build\""] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn a_code_that_nothing_wants_is_an_error() {
    let code = ("TEST_MFA_CODE", "123456");
    let config = "[profile build]\nrole_arn = arn:role\nsource_profile = user\n";
    let said = refused(config, KEYS, &[("TEST_PROFILE", "build"), code]).await;
    assert!(said.contains("no role on the way"), "{said}");
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        code,
    ];
    let said = refused("", "", &keys).await;
    assert!(said.contains("no role on the way"), "{said}");
}

#[tokio::test]
async fn a_wrong_code_is_tried_once() {
    let message = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    let server = Server::start([
        Answer::sts_error(403, "AccessDenied", message),
        Answer::sts_error(403, "AccessDenied", message),
    ])
    .await;
    let variables = [("TEST_PROFILE", "build"), ("TEST_MFA_CODE", "000000")];
    let said = with(&server, &guarded(), KEYS, &variables).await;
    assert!(said.contains("invalid MFA one time pass code"), "{said}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_does_not_spend_a_code_twice() {
    let server = Server::start([Answer::HangUp, session("AKIDROLE")]).await;
    let variables = [("TEST_PROFILE", "build"), ("TEST_MFA_CODE", "123456")];
    let said = with(&server, &guarded(), KEYS, &variables).await;
    assert!(said.starts_with("Credentials: "), "{said}");
    assert_eq!(server.requests().len(), 1);
}

/// The session that the code was for goes on serving when a later one has to be made anew.
#[tokio::test]
async fn a_session_with_a_code_is_kept_while_later_ones_are_renewed() {
    let server = Server::start([
        session("AKIDHUB"),
        session("AKIDPROD1"),
        Answer::sts_error(403, "ExpiredToken", "The security token is expired"),
        session("AKIDPROD2"),
        Answer::xml(IDENTITY),
        Answer::xml(NO_SUBNETS),
    ])
    .await;
    let config = format!(
        "[profile prod]\nrole_arn = arn:prod\nsource_profile = hub\n\
         [profile hub]\nrole_arn = arn:hub\nsource_profile = user\nmfa_serial = {DEVICE}\n"
    );
    let variables = [("TEST_PROFILE", "prod"), ("TEST_MFA_CODE", "123456")];
    let said = with(&server, &config, KEYS, &variables).await;
    assert_eq!(said, format!("{OK}{UNTIL}"));
    let requests = server.requests();
    let keys: Vec<&str> = requests.iter().map(key_of).collect();
    assert_eq!(
        keys,
        [
            "AKIDUSER",
            "AKIDHUB",
            "AKIDPROD1",
            "AKIDHUB",
            "AKIDPROD2",
            "AKIDPROD2"
        ]
    );
    assert_eq!(requests[3].param("RoleArn"), Some("arn:prod"));
}

#[tokio::test]
async fn a_second_device_wants_a_second_code() {
    let config = format!(
        "[profile prod]\nrole_arn = arn:prod\nsource_profile = hub\nmfa_serial = {DEVICE}2\n\
         [profile hub]\nrole_arn = arn:hub\nsource_profile = user\nmfa_serial = {DEVICE}\n"
    );
    let variables = [("TEST_PROFILE", "prod"), ("TEST_MFA_CODE", "123456")];
    let said = refused(&config, KEYS, &variables).await;
    assert!(said.contains(&format!("{DEVICE}2 as well")), "{said}");
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_named_with_those_that_do() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    for named in ["TEST_PROFILE", "AWS_PROFILE"] {
        let variables = [keys[0], keys[1], (named, "nobody")];
        let said = refused("[profile build]\nregion = us-east-2\n", KEYS, &variables).await;
        assert!(said.starts_with("AWS profile \"nobody\": "), "{said}");
        assert!(said.ends_with("there are build, user"), "{said}");
        let said = refused("", "", &variables).await;
        assert!(said.ends_with("there are none"), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_profile_is_told_with_file_and_line() {
    let missing = "[default]\n[profile build]\nrole_arn = arn:role\nsource_profile = hub\n";
    let said = refused(missing, KEYS, &[("TEST_PROFILE", "build")]).await;
    assert!(
        said.contains("config:4: AWS profile \"build\": its source_profile \"hub\""),
        "{said}"
    );

    let circle = "[profile a]\nrole_arn = 1\nsource_profile = b\n[profile b]\nrole_arn = 2\nsource_profile = a\n";
    let said = refused(circle, KEYS, &[("AWS_PROFILE", "a")]).await;
    assert!(said.contains("config:3: "), "{said}");
    assert!(said.ends_with("a -> b -> a"), "{said}");

    let said = refused("[profile a\n", KEYS, &[("TEST_PROFILE", "a")]).await;
    assert!(
        said.starts_with("the AWS configuration files cannot be read"),
        "{said}"
    );
}

/// As `saml2aws login` writes it.
fn saml(key: &str, end: &str) -> String {
    format!(
        "[saml]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = token-of-{key}\n\
         aws_security_token = token-of-{key}\nx_principal_arn = arn:aws:sts::123456789012:assumed-role/B/b\n\
         x_security_token_expires = {end}\n"
    )
}

#[tokio::test]
async fn the_end_of_keys_that_saml2aws_wrote_is_known() {
    for named in ["TEST_PROFILE", "AWS_PROFILE"] {
        let server = Server::start(asked_afterwards()).await;
        let file = saml("AKIDSAML", "2999-01-01T02:00:00+02:00");
        let said = with(&server, "", &file, &[(named, "saml")]).await;
        assert_eq!(said, format!("{OK}{UNTIL}"), "{named}");
        let token = server.requests()[1]
            .header("x-amz-security-token")
            .map(str::to_owned);
        assert_eq!(token.as_deref(), Some("token-of-AKIDSAML"));
    }
}

#[tokio::test]
async fn keys_that_have_ended_are_not_used() {
    let file = saml("AKIDSAML", "2026-03-01T10:20:30Z");
    let said = refused("", &file, &[("TEST_PROFILE", "saml")]).await;
    for part in [
        "Credentials: ",
        "\"saml\"",
        "2026-03-01T10:20:30Z",
        "saml2aws login",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn who_logs_in_again_in_between_is_followed() {
    let server = Server::start([
        Answer::xml(IDENTITY),
        Answer::ec2_error(400, "RequestExpired", "Request has expired."),
        Answer::xml(NO_SUBNETS),
    ])
    .await;
    let new = saml("AKIDNEW", "2999-01-01T00:00:00Z");
    let variables = [
        ("TEST_PROFILE", "saml"),
        ("TEST_NEW_CREDENTIALS", new.as_str()),
    ];
    let old = saml("AKIDOLD", "2998-01-01T00:00:00Z");
    let said = with(&server, "", &old, &variables).await;
    assert_eq!(said, format!("{OK}{UNTIL}"));
    let requests = server.requests();
    let keys: Vec<&str> = requests.iter().map(key_of).collect();
    assert_eq!(keys, ["AKIDOLD", "AKIDOLD", "AKIDNEW"]);
}

const SSO: &str = "[profile build]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Builder\n\
                   [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.invalid/start\n";

/// A home with a token of the login `corp` that ends then, and what comes of it.
async fn with_a_login(server: &Server, end: &str) -> String {
    let home = TempDir::new().unwrap();
    let cache = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    // The SHA-1 of the session's name.
    let token = format!(
        "{{\"accessToken\":\"sso-token\",\"expiresAt\":\"{end}\",\"region\":\"eu-west-1\",\
         \"startUrl\":\"https://example.invalid/start\"}}"
    );
    write_token(&cache, &token);
    let variables = [
        ("TEST_PROFILE", "build"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    outcome_at(home.path(), SSO, "", &variables).await
}

fn write_token(cache: &Path, token: &str) {
    const SHA1_OF_CORP: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f";
    std::fs::write(cache.join(format!("{SHA1_OF_CORP}.json")), token).unwrap();
}

#[tokio::test]
async fn a_login_that_has_ended_names_the_command() {
    let server = Server::start([]).await;
    let said = with_a_login(&server, "2026-03-01T10:20:30Z").await;
    assert_eq!(server.requests().len(), 0);
    for part in [
        "Credentials: ",
        "`aws sso login --profile build`",
        "expired",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn a_login_gives_a_roles_credentials() {
    let role = Answer::json(
        r#"{"roleCredentials":{"accessKeyId":"AKIDSSO","secretAccessKey":"s","sessionToken":"t","expiration":32472144000000}}"#,
    );
    let server = Server::start([role].into_iter().chain(asked_afterwards())).await;
    let said = with_a_login(&server, "2999-01-01T00:00:00Z").await;
    assert_eq!(said, format!("{OK}{UNTIL}"));
    assert_eq!(key_of(&server.requests()[2]), "AKIDSSO");
}
