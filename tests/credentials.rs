//! Credentials as teams have them, by the real binary against the local EC2's STS: profiles, roles, processes, MFA.

use end_to_end::{Config, Ended, LocalEc2, OneStage};

/// The local EC2's only MFA device, and its only code.
const DEVICE: &str = "arn:aws:iam::123456789012:mfa/local";
const CODE: &str = "123456";
/// A role that may do everything.
const ROLE: &str = "arn:aws:iam::123456789012:role/administrator";

/// Writes the profiles, with `KEY` and `SECRET` standing for the local account's, and runs a command where AWS's endpoint is
/// the local EC2 and no key is in the environment. Without a controlling terminal: nobody can be asked.
fn with_profiles(ec2: &LocalEc2, profiles: &str, command: &str) -> Ended {
    ec2.write("work/profiles", profiles);
    // Without --local nobody tells qib that this user may not have port 22.
    ec2.qib(["local", "up"]).exits(0);
    let status = ec2.qib(["local", "status", "--json"]).exits(0).json();
    let connect = format!(
        "{{ user: ec2-user, timeout: 60s, port: {} }}",
        status["ssh_port"]
    );
    let stage = OneStage {
        connect: &connect,
        launch: "subnet: { default_vpc: true, zone: c }, ssh_from: [127.0.0.0/8]",
        ..OneStage::default()
    };
    ec2.pipeline(stage.text());
    ec2.shell(&format!(
        "mkdir -p \"$HOME/.aws\"\n\
         sed -e \"s|KEY|$AWS_ACCESS_KEY_ID|; s|SECRET|$AWS_SECRET_ACCESS_KEY|\" profiles > \"$HOME/.aws/config\"\n\
         unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN\n\
         exec setsid -w {command}"
    ))
}

fn role(more: &str) -> String {
    format!(
        "[profile user]\naws_access_key_id = KEY\naws_secret_access_key = SECRET\n\
         [profile build]\nregion = us-east-2\nrole_arn = {ROLE}\nsource_profile = user\n{more}"
    )
}

#[test]
fn a_plan_shows_the_role_that_a_profile_assumes_and_when_it_ends() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let profiles = role("role_session_name = nightly\nduration_seconds = 1800\n");
    let plan = "qib plan --profile build pipeline.yaml";
    let ended = with_profiles(&ec2, &profiles, plan).exits(0);
    assert!(
        ended.stdout.contains("assumed-role/administrator/nightly"),
        "{ended}"
    );
    assert!(
        ended.stderr.contains("the credentials are good until 20"),
        "{ended}"
    );
}

#[test]
fn a_run_works_with_what_a_credential_process_gives() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let process = "#!/bin/sh\necho asked >> asked\n\
                   echo '{\"Version\":1,\"AccessKeyId\":\"'$1'\",\"SecretAccessKey\":\"'$2'\"}'\n";
    let program = ec2.write("work/process", process);
    end_to_end::local_ec2::make_executable(&program);
    let profiles = format!(
        "[profile vault]\ncredential_process = {} KEY SECRET\n\
         [profile build]\nrole_arn = {ROLE}\nsource_profile = vault\n",
        program.display()
    );
    let run = "env AWS_PROFILE=build qib run --json pipeline.yaml";
    let ended = with_profiles(&ec2, &profiles, run).exits(0);
    let started = ended
        .stdout
        .lines()
        .find(|line| line.contains("\"started\""));
    let started = started.unwrap_or_else(|| panic!("no event{ended}"));
    assert!(
        started.contains("assumed-role/administrator/qib-"),
        "{started}"
    );
    assert!(started.contains("\"credentials_end\":\"20"), "{started}");
    let asked = std::fs::read_to_string(ec2.path("work/asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "{ended}");
}

#[test]
fn a_profile_that_is_wrong_ends_before_anything_is_asked() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let plan = "qib plan --profile nobody pipeline.yaml";
    with_profiles(&ec2, &role(""), plan)
        .exits(2)
        .says("AWS profile \"nobody\"")
        .says("build, user");
    let profiles = "[profile build]\nregion = us-east-2\nrole_arn = arn\nsource_profile = build\n";
    let plan = "env AWS_PROFILE=build qib plan pipeline.yaml";
    with_profiles(&ec2, profiles, plan)
        .exits(2)
        .says(".aws/config:4: AWS profile \"build\"");
    let plan = "qib plan --profile build --mfa-code 12345 pipeline.yaml";
    with_profiles(&ec2, &role(""), plan)
        .exits(2)
        .says("six digits");
    let plan = "qib plan --profile build --mfa-code 123456 pipeline.yaml";
    with_profiles(&ec2, &role(""), plan)
        .exits(2)
        .says("no role on the way");
    let plan = "qib plan --local --mfa-code 123456 pipeline.yaml";
    with_profiles(&ec2, &role(""), plan)
        .exits(2)
        .says("--mfa-code");
}

fn guarded() -> String {
    role(&format!("mfa_serial = {DEVICE}\n"))
}

#[test]
fn mfa_takes_a_code_from_the_command_line_or_says_how_to_give_one() {
    let ec2 = LocalEc2::new(Config::QUICK);
    with_profiles(&ec2, &guarded(), "qib plan --profile build pipeline.yaml")
        .exits(2)
        .says(DEVICE)
        .says("--mfa-code");
    let plan = format!("qib plan --profile build --mfa-code {CODE} pipeline.yaml");
    let ended = with_profiles(&ec2, &guarded(), &plan).exits(0);
    assert!(
        ended.stdout.contains("assumed-role/administrator/qib-"),
        "{ended}"
    );
    let plan = "qib plan --profile build --mfa-code 000000 pipeline.yaml";
    with_profiles(&ec2, &guarded(), plan)
        .exits(1)
        .says("invalid MFA one time pass code");
}

#[test]
fn mfa_asks_on_the_terminal() {
    let ec2 = LocalEc2::new(Config::QUICK);
    // `script` is a terminal, in which the command runs, and types what it is given.
    let plan =
        "sh -c 'echo CODE | script -qefc \"qib plan --profile build pipeline.yaml\" /dev/null'";
    let ended = with_profiles(&ec2, &guarded(), &plan.replace("CODE", CODE)).exits(0);
    let question = format!("code of the MFA device {DEVICE}: ");
    assert!(ended.stdout.contains(&question), "{ended}");
    assert!(
        ended.stdout.contains("assumed-role/administrator/qib-"),
        "{ended}"
    );
}
