//! Roles, instance profiles and policies, and that they really hold.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use serde_json::{Value, json};
use support::wire::Served;
use support::{Answer, Credentials, LocalEc2, credentials_of_role, session};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}"#;

fn without_delays() -> EmulatorConfig {
    EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    }
}

fn allowing(statements: Value) -> EmulatorConfig {
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    EmulatorConfig {
        policy: Some(policy),
        ..without_delays()
    }
}

/// An action, its parameters, and the code and status of its refusal.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16);

/// A role of that name in a profile of the same name.
fn profile(ec2: &LocalEc2, name: &str, policy: &Value) {
    let role = [
        ("RoleName", name),
        ("Path", "/qib/"),
        ("AssumeRolePolicyDocument", TRUST),
        ("Tags.member.1.Key", "run"),
        ("Tags.member.1.Value", "r1"),
    ];
    ec2.iam("CreateRole", &role).ok();
    put(ec2, name, policy).ok();
    let profile = [("InstanceProfileName", name), ("Path", "/qib/")];
    ec2.iam("CreateInstanceProfile", &profile).ok();
    let both = [("InstanceProfileName", name), ("RoleName", name)];
    ec2.iam("AddRoleToInstanceProfile", &both).ok();
}

fn put(ec2: &LocalEc2, role: &str, policy: &Value) -> Answer {
    let document = policy.to_string();
    let parameters = [
        ("RoleName", role),
        ("PolicyName", "inline"),
        ("PolicyDocument", document.as_str()),
    ];
    ec2.iam("PutRolePolicy", &parameters)
}

fn launch<'a>(image: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut parameters = vec![
        ("ImageId", image),
        ("InstanceType", "m5.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
    ];
    parameters.extend(more);
    parameters
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roles_life_and_what_iam_refuses() {
    let ec2 = LocalEc2::new();
    let anything =
        json!({ "Statement": { "Effect": "Allow", "Action": "ec2:*", "Resource": "*" } });
    profile(&ec2, "builder", &anything);
    let role = ec2.iam("GetRole", &[("RoleName", "builder")]).ok();
    assert_eq!(
        role.text("Arn").unwrap(),
        "arn:aws:iam::123456789012:role/qib/builder"
    );
    assert_eq!(role.text("Tags/member/Key").unwrap(), "run");
    assert!(
        role.text("AssumeRolePolicyDocument")
            .unwrap()
            .starts_with("%7B%22Version")
    );
    let shown = ec2.iam("GetInstanceProfile", &[("InstanceProfileName", "builder")]);
    assert_eq!(shown.ok().text("Roles/member/RoleName").unwrap(), "builder");
    for (action, list) in [
        ("ListRoles", "RoleName"),
        ("ListInstanceProfiles", "InstanceProfileName"),
    ] {
        let below = ec2.iam(action, &[("PathPrefix", "/qib/")]).ok();
        assert_eq!(below.texts(list)[0], "builder", "{action}");
        assert!(!below.body.contains("packer"), "{action}");
    }
    let policies = ec2.iam("ListRolePolicies", &[("RoleName", "builder")]).ok();
    assert_eq!(policies.text("PolicyNames/member").unwrap(), "inline");
    let read = ec2.iam(
        "GetRolePolicy",
        &[("RoleName", "builder"), ("PolicyName", "inline")],
    );
    let read = read.ok().text("PolicyDocument").unwrap();
    let read = percent_encoding::percent_decode_str(&read)
        .decode_utf8()
        .unwrap()
        .into_owned();
    assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), anything);
    let tags = ec2.iam("ListRoleTags", &[("RoleName", "builder")]).ok();
    assert_eq!(tags.text("Tags/member/Value").unwrap(), "r1");
    ec2.iam(
        "CreateRole",
        &[("RoleName", "second"), ("AssumeRolePolicyDocument", TRUST)],
    )
    .ok();
    let both = [("InstanceProfileName", "builder"), ("RoleName", "second")];
    let cases: [Refusal<'_>; 12] = [
        (
            "CreateRole",
            &[("RoleName", "Builder"), ("AssumeRolePolicyDocument", TRUST)],
            "EntityAlreadyExists",
            409,
        ),
        (
            "CreateRole",
            &[("RoleName", "a b"), ("AssumeRolePolicyDocument", TRUST)],
            "ValidationError",
            400,
        ),
        (
            "CreateRole",
            &[
                ("RoleName", "x"),
                ("Path", "qib"),
                ("AssumeRolePolicyDocument", TRUST),
            ],
            "ValidationError",
            400,
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), ("AssumeRolePolicyDocument", "{}")],
            "MalformedPolicyDocument",
            400,
        ),
        (
            "CreateRole",
            &[
                ("RoleName", "x"),
                ("AssumeRolePolicyDocument", TRUST),
                ("Colour", "red"),
            ],
            "UnknownParameter",
            400,
        ),
        (
            "PutRolePolicy",
            &[
                ("RoleName", "builder"),
                ("PolicyName", "p"),
                ("PolicyDocument", "no"),
            ],
            "MalformedPolicyDocument",
            400,
        ),
        ("AddRoleToInstanceProfile", &both, "LimitExceeded", 409),
        (
            "DeleteRole",
            &[("RoleName", "builder")],
            "DeleteConflict",
            409,
        ),
        (
            "DeleteInstanceProfile",
            &[("InstanceProfileName", "builder")],
            "DeleteConflict",
            409,
        ),
        ("GetRole", &[("RoleName", "nobody")], "NoSuchEntity", 404),
        ("RemoveRoleFromInstanceProfile", &both, "NoSuchEntity", 404),
        (
            "AttachRolePolicy",
            &[("RoleName", "builder")],
            "InvalidAction",
            400,
        ),
    ];
    for (action, parameters, code, status) in cases {
        let refused = ec2.iam(action, parameters);
        assert_eq!(
            (refused.code().as_str(), refused.status),
            (code, status),
            "{action}"
        );
    }
    let long = json!({ "Statement": { "Effect": "Allow", "Action": "ec2:*", "Resource": format!("arn:{}", "x".repeat(10_240)) } });
    assert_eq!(put(&ec2, "builder", &long).code(), "LimitExceeded");
    let both = [("InstanceProfileName", "builder"), ("RoleName", "builder")];
    ec2.iam("RemoveRoleFromInstanceProfile", &both).ok();
    ec2.iam("DeleteInstanceProfile", &both[..1]).ok();
    assert_eq!(
        ec2.iam("DeleteRole", &[("RoleName", "builder")]).code(),
        "DeleteConflict"
    );
    ec2.iam(
        "DeleteRolePolicy",
        &[("RoleName", "builder"), ("PolicyName", "inline")],
    )
    .ok();
    ec2.iam("DeleteRole", &[("RoleName", "builder")]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_may_do_what_its_new_roles_policy_says() {
    let ec2 = LocalEc2::new();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["ec2:Describe*", "ssm:GetParameter"], "Resource": "*" },
        { "Effect": "Deny", "Action": "ec2:DescribeVpcs", "Resource": "*" },
        { "Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*",
          "Condition": { "StringEquals": { "ec2:ResourceTag/mine": "yes" } } },
        { "Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*",
          "Condition": { "StringEquals": { "ec2:Moon": "full" } } },
    ] });
    profile(&ec2, "builder", &policy);
    let tagged = [
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "mine"),
        ("TagSpecification.1.Tag.1.Value", "yes"),
    ];
    let mine = ec2.running(&tagged).await;
    let id = ec2.running(&[("IamInstanceProfile.Name", "builder")]).await;
    let guest = ec2.as_caller(credentials_of_role(&ec2, &id, "builder"));
    let arn = guest.sts("GetCallerIdentity").ok().text("Arn").unwrap();
    assert_eq!(
        arn,
        format!("arn:aws:sts::123456789012:assumed-role/builder/{id}")
    );
    guest.ec2("DescribeInstances", &[]).ok();
    let denied = guest.ec2("DescribeVpcs", &[]);
    assert_eq!(
        (denied.code().as_str(), denied.status),
        ("UnauthorizedOperation", 403)
    );
    assert!(
        denied.body.contains("with an explicit deny"),
        "{}",
        denied.body
    );
    let parameter = guest.ssm("GetParameter", &json!({ "Name": "/a" }));
    assert_eq!(
        parameter.code(),
        "ParameterNotFound",
        "allowed, but not there"
    );
    let put = guest.ssm(
        "PutParameter",
        &json!({ "Name": "/a", "Value": "b", "Type": "String" }),
    );
    assert_eq!(put.code(), "AccessDeniedException");
    let unknown = guest.ec2("StopInstances", &[("InstanceId.1", &mine)]);
    assert_eq!(unknown.code(), "UnauthorizedOperation");
    assert!(
        unknown
            .body
            .contains("does not know the condition key ec2:Moon")
    );
    let other = guest.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(other.code(), "UnauthorizedOperation");
    guest
        .ec2("TerminateInstances", &[("InstanceId.1", &mine)])
        .ok();
    // What changes in IAM changes what the guest may do.
    let nothing = json!({ "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*" } });
    put_ok(&ec2, &nothing);
    assert_eq!(
        guest.ec2("DescribeInstances", &[]).code(),
        "UnauthorizedOperation"
    );
    // Without its role the profile gives nothing, and what it gave is worth nothing.
    let both = [("InstanceProfileName", "builder"), ("RoleName", "builder")];
    ec2.iam("RemoveRoleFromInstanceProfile", &both).ok();
    assert_eq!(guest.ec2("DescribeInstances", &[]).code(), "AuthFailure");
    let token = ec2.guests.imds_token(&id);
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    let path = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(ec2.guests.imds(&id, "GET", path, &header).0, 404);
}

fn put_ok(ec2: &LocalEc2, policy: &Value) {
    put(ec2, "builder", policy).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_profile_is_unknown_to_ec2_for_a_while() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Short,
        ..EmulatorConfig::default()
    });
    let image = ec2.image();
    let parameters = launch(&image, &[("IamInstanceProfile.Name", "builder")]);
    let refused = || {
        let refused = ec2.ec2("RunInstances", &parameters);
        assert_eq!(refused.code(), "InvalidParameterValue");
        refused.body
    };
    let text = "Value (builder) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
    assert!(refused().contains(text));
    ec2.iam(
        "CreateInstanceProfile",
        &[("InstanceProfileName", "builder")],
    )
    .ok();
    assert!(refused().contains(text), "not known yet");
    let known = |a: &Answer| !a.body.contains(text);
    let without_role = ec2.until("RunInstances", &parameters, known).await;
    assert!(without_role.body.contains("has no associated IAM Roles"));
    ec2.iam(
        "CreateRole",
        &[("RoleName", "builder"), ("AssumeRolePolicyDocument", TRUST)],
    )
    .ok();
    let both = [("InstanceProfileName", "builder"), ("RoleName", "builder")];
    ec2.iam("AddRoleToInstanceProfile", &both).ok();
    assert!(
        refused().contains("has no associated IAM Roles"),
        "not known yet"
    );
    let launched = |a: &Answer| a.status == 200;
    ec2.until("RunInstances", &parameters, launched).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_policy_holds_for_calls_and_dry_runs() {
    let ec2 = LocalEc2::with(allowing(json!([
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "ec2:CopyImage", "Resource": "*" },
    ])));
    let image = ec2.image();
    let copy = [
        ("SourceRegion", "us-east-2"),
        ("SourceImageId", image.as_str()),
        ("Name", "copy"),
    ];
    let mut dry = copy.to_vec();
    dry.push(("DryRun", "true"));
    for parameters in [&copy[..], &dry[..]] {
        let refused = ec2.ec2("CopyImage", parameters);
        assert_eq!(
            (refused.code().as_str(), refused.status),
            ("UnauthorizedOperation", 403)
        );
        assert!(
            refused
                .body
                .contains("ec2:CopyImage on resource: arn:aws:ec2:us-east-2::image/")
        );
    }
    let other = ec2.ec2("RunInstances", &launch(&image, &[("DryRun", "true")]));
    assert_eq!(
        (other.code().as_str(), other.status),
        ("DryRunOperation", 412)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_needs_permission_for_tags_and_for_the_role_it_passes() {
    let everything_but = |action: &str| {
        allowing(json!([
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": action, "Resource": "*" },
        ]))
    };
    let tags = [
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "k"),
    ];
    let packer = [("IamInstanceProfile.Name", "packer")];
    for (denied, parameters) in [("ec2:CreateTags", &tags[..]), ("iam:PassRole", &packer[..])] {
        let ec2 = LocalEc2::with(everything_but(denied));
        let image = ec2.image();
        ec2.ec2("RunInstances", &launch(&image, &[])).ok();
        let refused = ec2.ec2("RunInstances", &launch(&image, parameters));
        assert_eq!(refused.code(), "UnauthorizedOperation", "{denied}");
        assert!(refused.body.contains(denied), "{}", refused.body);
    }
    // Only what carries the team's tag may be launched, and only tagged so in the call.
    let ec2 = LocalEc2::with(allowing(json!([
        { "Effect": "Allow", "Action": ["ec2:Describe*", "ec2:CreateTags"], "Resource": "*" },
        { "Effect": "Allow", "Action": "ec2:RunInstances", "NotResource": "arn:aws:ec2:*:*:instance/*" },
        { "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:123456789012:instance/*",
          "Condition": { "StringEquals": { "aws:RequestTag/Team": "a" } } },
    ])));
    let image = ec2.image();
    let team = |value| {
        launch(
            &image,
            &[
                ("TagSpecification.1.ResourceType", "instance"),
                ("TagSpecification.1.Tag.1.Key", "Team"),
                ("TagSpecification.1.Tag.1.Value", value),
            ],
        )
    };
    assert_eq!(
        ec2.ec2("RunInstances", &launch(&image, &[])).code(),
        "UnauthorizedOperation"
    );
    assert_eq!(
        ec2.ec2("RunInstances", &team("b")).code(),
        "UnauthorizedOperation"
    );
    ec2.ec2("RunInstances", &team("a")).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_can_be_set_while_it_runs_and_outlives_it() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let ec2 = LocalEc2::over(dir.clone(), Default::default(), without_delays());
    let served = Served::new(ec2).await;
    let secret = served.ec2.key.secret.clone();
    let path = |subject: &str| format!("/_local/{subject}");
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"ec2:DescribeVpcs","Resource":"*"}]}"#;
    let put = |method: &'static str, secret: String, body: String| {
        let (served, path) = (&served, path("policy"));
        async move {
            served
                .control_at(&path, method, &secret, &body)
                .await
                .status()
        }
    };
    assert_eq!(put("PUT", "wrong".into(), policy.into()).await, 403);
    assert_eq!(
        put("PUT", secret.clone(), r#"{"Statement":[]}"#.into()).await,
        400
    );
    assert_eq!(
        served.ec2("DescribeSubnets", &[]).await.status(),
        200,
        "nothing has changed"
    );
    assert_eq!(put("PUT", secret.clone(), policy.into()).await, 204);
    assert_eq!(served.ec2("DescribeVpcs", &[]).await.status(), 200);
    assert_eq!(
        served.ec2("DescribeSubnets", &[]).await.code(),
        "UnauthorizedOperation"
    );
    let again = LocalEc2::over(dir, Default::default(), without_delays());
    assert_eq!(
        again.ec2("DescribeSubnets", &[]).code(),
        "UnauthorizedOperation"
    );
    assert_eq!(again.ec2("DescribeVpcs", &[]).status, 200);
    let got = served.control_at(&path("policy"), "GET", &secret, "").await;
    assert!(got.body().contains("ec2:DescribeVpcs"));
    assert_eq!(put("DELETE", secret, String::new()).await, 204);
    assert_eq!(served.ec2("DescribeSubnets", &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_says_what_would_hold() {
    let ec2 = LocalEc2::with(allowing(json!([
        { "Effect": "Allow", "Action": ["ec2:*", "iam:*"], "Resource": "*" },
        { "Effect": "Deny", "Action": "ec2:CopyImage", "Resource": "*" },
    ])));
    let ask = |principal: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("PolicySourceArn", principal)];
        parameters.extend(more);
        ec2.iam("SimulatePrincipalPolicy", &parameters)
    };
    let actions = [
        ("ActionNames.member.1", "ec2:RunInstances"),
        ("ActionNames.member.2", "ec2:CopyImage"),
        ("ActionNames.member.3", "ssm:GetParameter"),
    ];
    let user = "arn:aws:iam::123456789012:user/local";
    let said = ask(user, &actions).ok();
    assert_eq!(
        said.texts("EvalDecision"),
        ["allowed", "explicitDeny", "implicitDeny"]
    );
    assert_eq!(said.texts("EvalActionName")[1], "ec2:CopyImage");
    let role = "arn:aws:iam::123456789012:role/packer";
    let bind = [
        ("ActionNames.member.1", "ec2:AssociateAddress"),
        (
            "ResourceArns.member.1",
            "arn:aws:ec2:us-east-2:123456789012:elastic-ip/eipalloc-0local",
        ),
        (
            "ResourceArns.member.2",
            "arn:aws:ec2:us-east-2:123456789012:instance/i-1",
        ),
    ];
    assert_eq!(
        ask(role, &bind).ok().texts("EvalDecision"),
        ["allowed", "allowed"]
    );
    assert_eq!(
        ask("arn:aws:iam::123456789012:role/nobody", &actions).code(),
        "NoSuchEntity"
    );
    assert_eq!(
        ask(user, &[("ActionNames.member.1", "RunInstances")]).code(),
        "InvalidInput"
    );
}

#[tokio::test]
async fn who_gives_the_devices_code_has_it_said_of_them() {
    let ec2 = LocalEc2::new();
    let trust = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}}"#;
    ec2.iam(
        "CreateRole",
        &[("RoleName", "careful"), ("AssumeRolePolicyDocument", trust)],
    )
    .ok();
    let all =
        json!({ "Statement": { "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*" } });
    put(&ec2, "careful", &all).ok();
    let role = [
        ("RoleArn", "arn:aws:iam::123456789012:role/careful"),
        ("RoleSessionName", "night"),
    ];
    let device = ec2
        .iam("ListMFADevices", &[])
        .ok()
        .text("SerialNumber")
        .unwrap();
    let assume = |caller: &LocalEc2, more: &[(&str, &str)]| {
        let mut parameters = role.to_vec();
        parameters.extend(more);
        caller.sts_with("AssumeRole", &parameters)
    };
    let code = |code: &'static str| [("SerialNumber", device.as_str()), ("TokenCode", code)];
    assert_eq!(assume(&ec2, &[]).code(), "AccessDenied");
    let wrong = assume(&ec2, &code("654321"));
    assert_eq!(wrong.code(), "AccessDenied");
    assert!(wrong.body.contains("invalid MFA one time pass code"));
    assert_eq!(assume(&ec2, &code("12345")).code(), "ValidationError");
    assert_eq!(assume(&ec2, &code("123456")[..1]).code(), "ValidationError");
    let careful: Credentials = session(&assume(&ec2, &code("123456")).ok());
    ec2.as_caller(careful).ec2("DescribeVpcs", &[]).ok();
    // A session of the user's that was made with the code will do as well.
    let plain = session(&ec2.sts_with("GetSessionToken", &[]).ok());
    assert_eq!(assume(&ec2.as_caller(plain), &[]).code(), "AccessDenied");
    let with_code = session(&ec2.sts_with("GetSessionToken", &code("123456")).ok());
    assume(&ec2.as_caller(with_code), &[]).ok();
    let long = assume(
        &ec2,
        &[code("123456").as_slice(), &[("DurationSeconds", "7200")]].concat(),
    );
    assert_eq!(long.code(), "ValidationError", "longer than the role says");
}
