//! IAM.

use crate::server::{Answer, Server};
use crate::{TIMEOUTS, options};
use aws::AwsAccount;
use cloud::{Account, ErrorKind, Iam, Tags};
use std::sync::Arc;

/// A server with these answers, and the IAM of an account in `us-east-2` that talks to it.
async fn iam(answers: impl IntoIterator<Item = Answer>) -> (Server, Arc<dyn Iam>) {
    let server = Server::start(answers).await;
    let account = AwsAccount::connect(options(server.url(), TIMEOUTS))
        .await
        .expect("options are whole");
    (server, account.iam())
}

fn answer(call: &str, result: &str) -> Answer {
    Answer::xml(format!(
        "<{call}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{call}Result>{result}</{call}Result>\
         </{call}Response>"
    ))
}

fn refused(code: &str) -> Answer {
    Answer::sts_error(400, code, "as IAM says it")
}

fn role(name: &str, tags: &str) -> String {
    format!(
        "<Path>/qib/</Path><RoleName>{name}</RoleName><RoleId>AROA1</RoleId>\
         <Arn>arn:aws:iam::123456789012:role/qib/{name}</Arn><CreateDate>2026-03-01T10:20:30Z</CreateDate>{tags}"
    )
}

const TAGS: &str = "<Tags><member><Key>qib:run</Key><Value>r1</Value></member></Tags>";

fn profile(name: &str, roles: &str) -> String {
    format!(
        "<Path>/qib/</Path><InstanceProfileName>{name}</InstanceProfileName><InstanceProfileId>AIPA1</InstanceProfileId>\
         <Arn>arn:aws:iam::123456789012:instance-profile/qib/{name}</Arn>\
         <CreateDate>2026-03-01T10:20:30Z</CreateDate><Roles>{roles}</Roles>"
    )
}

#[tokio::test]
async fn iam_is_signed_for_in_the_partitions_region() {
    let (server, iam) = iam([answer(
        "GetRole",
        &format!("<Role>{}</Role>", role("r", TAGS)),
    )])
    .await;
    let role = iam.role("r").await.unwrap().unwrap();
    assert_eq!(role.arn, "arn:aws:iam::123456789012:role/qib/r");
    assert_eq!(role.created, "2026-03-01T10:20:30Z".parse().ok());
    assert_eq!(role.tags.get("qib:run"), Some("r1"));
    let request = server.only_request();
    request.assert_signed_for("us-east-1", "iam");
    request.assert_params(&[("Action", "GetRole"), ("RoleName", "r")]);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_deleting_it_is_done() {
    let (server, iam) = iam(std::iter::repeat_with(|| refused("NoSuchEntity")).take(7)).await;
    assert_eq!(iam.role("r").await.unwrap(), None);
    assert_eq!(iam.instance_profile("p").await.unwrap(), None);
    iam.delete_role("r").await.unwrap();
    iam.delete_role_policy("r", "inline").await.unwrap();
    iam.remove_role("p", "r").await.unwrap();
    iam.delete_instance_profile("p").await.unwrap();
    // But what is to be changed has to be there.
    let error = iam.put_role_policy("r", "inline", "{}").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let requests = server.requests();
    requests[2].assert_params(&[("Action", "DeleteRole"), ("RoleName", "r")]);
    requests[3].assert_params(&[
        ("Action", "DeleteRolePolicy"),
        ("RoleName", "r"),
        ("PolicyName", "inline"),
    ]);
    requests[4].assert_params(&[
        ("Action", "RemoveRoleFromInstanceProfile"),
        ("InstanceProfileName", "p"),
        ("RoleName", "r"),
    ]);
    requests[5].assert_params(&[
        ("Action", "DeleteInstanceProfile"),
        ("InstanceProfileName", "p"),
    ]);
    requests[6].assert_params(&[
        ("Action", "PutRolePolicy"),
        ("RoleName", "r"),
        ("PolicyName", "inline"),
        ("PolicyDocument", "{}"),
    ]);
}

#[tokio::test]
async fn a_role_is_made_for_instances_with_path_and_tags() {
    let (server, iam) = iam([
        answer("CreateRole", &format!("<Role>{}</Role>", role("r", TAGS))),
        refused("EntityAlreadyExists"),
    ])
    .await;
    let tags = Tags::new().with("qib:run", "r1");
    let made = iam.create_instance_role("r", "/qib/", &tags).await.unwrap();
    assert_eq!(made.name, "r");
    let again = iam.create_instance_role("r", "/qib/", &tags).await;
    assert_eq!(again.unwrap_err().kind, ErrorKind::Duplicate);
    server.requests()[0].assert_params(&[
        ("Action", "CreateRole"),
        ("RoleName", "r"),
        ("Path", "/qib/"),
        (
            "AssumeRolePolicyDocument",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#,
        ),
        ("Tags.member.1.Key", "qib:run"),
        ("Tags.member.1.Value", "r1"),
    ]);
}

#[tokio::test]
async fn an_instance_profile_is_made_and_gets_its_role_once() {
    let with_role = format!("<member>{}</member>", role("r", ""));
    let held = format!(
        "<InstanceProfile>{}</InstanceProfile>",
        profile("p", &with_role)
    );
    let (server, iam) = iam([
        answer(
            "CreateInstanceProfile",
            &format!("<InstanceProfile>{}</InstanceProfile>", profile("p", "")),
        ),
        answer("AddRoleToInstanceProfile", ""),
        refused("LimitExceeded"),
        answer("GetInstanceProfile", &held),
        refused("LimitExceeded"),
        answer("GetInstanceProfile", &held),
    ])
    .await;
    let made = iam
        .create_instance_profile("p", "/qib/", &Tags::new())
        .await
        .unwrap();
    assert!(made.roles.is_empty());
    iam.add_role("p", "r").await.unwrap();
    // IAM says of the same role again what it says of another one.
    iam.add_role("p", "r").await.unwrap();
    let other = iam.add_role("p", "other").await.unwrap_err();
    assert_eq!(other.kind, ErrorKind::Quota);
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "CreateInstanceProfile"),
        ("InstanceProfileName", "p"),
        ("Path", "/qib/"),
    ]);
    requests[1].assert_params(&[
        ("Action", "AddRoleToInstanceProfile"),
        ("InstanceProfileName", "p"),
        ("RoleName", "r"),
    ]);
}

#[tokio::test]
async fn what_is_held_is_not_deleted() {
    let (_server, iam) = iam([refused("DeleteConflict"), refused("DeleteConflict")]).await;
    let role = iam.delete_role("r").await.unwrap_err();
    assert_eq!(role.kind, ErrorKind::Dependency);
    let profile = iam.delete_instance_profile("p").await.unwrap_err();
    assert_eq!(profile.kind, ErrorKind::Dependency);
}

#[tokio::test]
async fn a_wrong_policy_is_about_the_input() {
    let (_server, iam) = iam([refused("MalformedPolicyDocument")]).await;
    let error = iam.put_role_policy("r", "inline", "{").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert_eq!(error.resource.as_deref(), Some("r"));
}

#[tokio::test]
async fn roles_below_a_path_are_listed_with_their_tags() {
    let page = |name: &str, more: &str| {
        answer(
            "ListRoles",
            &format!("<Roles><member>{}</member></Roles>{more}", role(name, "")),
        )
    };
    let (server, iam) = iam([
        page("a", "<IsTruncated>true</IsTruncated><Marker>m</Marker>"),
        answer("ListRoleTags", TAGS),
        page("b", "<IsTruncated>false</IsTruncated>"),
        // Deleted in between.
        refused("NoSuchEntity"),
    ])
    .await;
    let roles = iam.roles_below("/qib/").await.unwrap();
    assert_eq!(roles.len(), 1);
    assert_eq!(roles[0].tags.get("qib:run"), Some("r1"));
    let requests = server.requests();
    requests[0].assert_params(&[("Action", "ListRoles"), ("PathPrefix", "/qib/")]);
    requests[1].assert_params(&[("Action", "ListRoleTags"), ("RoleName", "a")]);
    assert_eq!(requests[2].param("Marker"), Some("m"));
}

#[tokio::test]
async fn instance_profiles_below_a_path_are_listed_with_their_tags() {
    let (server, iam) = iam([
        answer(
            "ListInstanceProfiles",
            &format!(
                "<InstanceProfiles><member>{}</member></InstanceProfiles><IsTruncated>false</IsTruncated>",
                profile("p", "")
            ),
        ),
        answer("ListInstanceProfileTags", TAGS),
    ])
    .await;
    let profiles = iam.instance_profiles_below("/qib/").await.unwrap();
    assert_eq!(profiles[0].tags.get("qib:run"), Some("r1"));
    let requests = server.requests();
    requests[0].assert_params(&[("Action", "ListInstanceProfiles"), ("PathPrefix", "/qib/")]);
    requests[1].assert_params(&[
        ("Action", "ListInstanceProfileTags"),
        ("InstanceProfileName", "p"),
    ]);
}

fn decision(action: &str, decision: &str, of_resource: &str) -> String {
    format!(
        "<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision>\
         <ResourceSpecificResults><member><EvalResourceName>*</EvalResourceName>\
         <EvalResourceDecision>{of_resource}</EvalResourceDecision></member></ResourceSpecificResults></member>"
    )
}

#[tokio::test]
async fn a_sessions_policies_are_those_of_its_role() {
    let results = decision("ec2:RunInstances", "allowed", "allowed")
        + &decision("ec2:CopyImage", "implicitDeny", "implicitDeny")
        + &decision("ec2:CreateTags", "allowed", "explicitDeny");
    let (server, iam) = iam([
        answer("GetRole", &format!("<Role>{}</Role>", role("Builder", ""))),
        answer(
            "SimulatePrincipalPolicy",
            &format!(
                "<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
            ),
        ),
    ])
    .await;
    let session = "arn:aws:sts::123456789012:assumed-role/Builder/qib";
    let actions = [
        "ec2:CopyImage",
        "ec2:RunInstances",
        "ec2:CreateTags",
        "ec2:Unheard",
    ]
    .map(str::to_owned);
    let simulated = iam.simulate(session, &actions, &[], &[]).await.unwrap();
    let allowed: Vec<bool> = simulated.iter().map(|one| one.allowed).collect();
    assert_eq!(allowed, [false, true, false, false]);
    assert_eq!(simulated[0].action, "ec2:CopyImage");
    let requests = server.requests();
    assert_eq!(requests[0].param("RoleName"), Some("Builder"));
    requests[1].assert_params(&[
        ("Action", "SimulatePrincipalPolicy"),
        (
            "PolicySourceArn",
            "arn:aws:iam::123456789012:role/qib/Builder",
        ),
        ("ActionNames.member.1", "ec2:CopyImage"),
        ("ActionNames.member.2", "ec2:RunInstances"),
        ("ActionNames.member.3", "ec2:CreateTags"),
        ("ActionNames.member.4", "ec2:Unheard"),
    ]);
}

#[tokio::test]
async fn a_user_is_simulated_by_its_own_name_and_a_refusal_is_an_error() {
    let (server, iam) = iam([refused("AccessDenied")]).await;
    let user = "arn:aws:iam::123456789012:user/b";
    let actions = ["ec2:RunInstances".to_owned()];
    let resources = ["arn:aws:ec2:us-east-2:123456789012:instance/*".to_owned()];
    let context = [("aws:RequestTag/qib:run".to_owned(), "r-0".to_owned())];
    let error = iam
        .simulate(user, &actions, &resources, &context)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    server.only_request().assert_params(&[
        ("Action", "SimulatePrincipalPolicy"),
        ("PolicySourceArn", user),
        ("ActionNames.member.1", "ec2:RunInstances"),
        ("ResourceArns.member.1", resources[0].as_str()),
        (
            "ContextEntries.member.1.ContextKeyName",
            "aws:RequestTag/qib:run",
        ),
        ("ContextEntries.member.1.ContextKeyType", "string"),
        ("ContextEntries.member.1.ContextKeyValues.member.1", "r-0"),
    ]);
}
