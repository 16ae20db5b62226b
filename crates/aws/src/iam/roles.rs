//! Roles: GetRole, ListRoles, ListRoleTags, CreateRole, PutRolePolicy, DeleteRolePolicy, DeleteRole.

use super::tags;
use crate::answer::{BadAnswer, moment, required};
use crate::classify::failed;
use aws_sdk_iam::Client;
use aws_sdk_iam::types;
use cloud::port::Result;
use cloud::{ErrorKind, Role, Tags};

pub(super) async fn get(iam: &Client, name: &str) -> Result<Option<Role>> {
    const CALL: &str = "GetRole";
    let sent = iam.get_role().role_name(name).send().await;
    match sent.map_err(failed(CALL)) {
        Ok(answer) => required(answer.role(), "Role")
            .map(|answered| Some(role(answered)))
            .map_err(|bad| BadAnswer::to(CALL)(bad).about(name)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.about(name)),
    }
}

pub(super) fn role(answered: &types::Role) -> Role {
    Role {
        name: answered.role_name().to_owned(),
        arn: answered.arn().to_owned(),
        created: moment(answered.create_date()),
        tags: tags::read(answered.tags()),
    }
}

/// The listing has no tags. A role that is deleted while it is read is left out.
pub(super) async fn below(iam: &Client, path: &str) -> Result<Vec<Role>> {
    const CALL: &str = "ListRoles";
    let mut pages = iam
        .list_roles()
        .path_prefix(path)
        .into_paginator()
        .items()
        .send();
    let mut roles = Vec::new();
    while let Some(answered) = pages
        .try_next()
        .await
        .map_err(|error| failed(CALL)(error).about(path))?
    {
        let listed = role(&answered);
        if let Some(tags) = tags_of(iam, &listed.name).await? {
            roles.push(Role { tags, ..listed });
        }
    }
    Ok(roles)
}

/// None if there is no such role any more.
async fn tags_of(iam: &Client, name: &str) -> Result<Option<Tags>> {
    let mut pages = iam
        .list_role_tags()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    loop {
        match pages.try_next().await.map_err(failed("ListRoleTags")) {
            Ok(Some(tag)) => found.push(tag),
            Ok(None) => return Ok(Some(tags::read(&found))),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.about(name)),
        }
    }
}

/// Who may assume the role.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2.html>
fn trust(service: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"{service}\"}},\
         \"Action\":\"sts:AssumeRole\"}}]}}"
    )
}

pub(super) async fn create(
    iam: &Client,
    name: &str,
    path: &str,
    given: &Tags,
    service: &str,
) -> Result<Role> {
    const CALL: &str = "CreateRole";
    let answer = iam
        .create_role()
        .role_name(name)
        .path(path)
        .assume_role_policy_document(trust(service))
        .set_tags(tags::write(CALL, given)?)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(name))?;
    required(answer.role(), "Role")
        .map(role)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

pub(super) async fn put_policy(
    iam: &Client,
    role: &str,
    policy: &str,
    document: &str,
) -> Result<()> {
    iam.put_role_policy()
        .role_name(role)
        .policy_name(policy)
        .policy_document(document)
        .send()
        .await
        .map_err(|error| failed("PutRolePolicy")(error).about(role))?;
    Ok(())
}

pub(super) async fn delete_policy(iam: &Client, role: &str, policy: &str) -> Result<()> {
    let sent = iam
        .delete_role_policy()
        .role_name(role)
        .policy_name(policy)
        .send()
        .await;
    match sent.map_err(failed("DeleteRolePolicy")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(role)),
    }
}

pub(super) async fn delete(iam: &Client, name: &str) -> Result<()> {
    let sent = iam.delete_role().role_name(name).send().await;
    match sent.map_err(failed("DeleteRole")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(name)),
    }
}
