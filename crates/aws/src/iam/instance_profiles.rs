//! Instance profiles: GetInstanceProfile, ListInstanceProfiles, ListInstanceProfileTags, CreateInstanceProfile,
//! AddRoleToInstanceProfile, RemoveRoleFromInstanceProfile, DeleteInstanceProfile.

use super::{roles, tags};
use crate::answer::{BadAnswer, moment, required};
use crate::classify::failed;
use aws_sdk_iam::Client;
use aws_sdk_iam::types;
use cloud::port::Result;
use cloud::{ErrorKind, InstanceProfile, Tags};

pub(super) async fn get(iam: &Client, name: &str) -> Result<Option<InstanceProfile>> {
    const CALL: &str = "GetInstanceProfile";
    let sent = iam
        .get_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    match sent.map_err(failed(CALL)) {
        Ok(answer) => required(answer.instance_profile(), "InstanceProfile")
            .map(|answered| Some(profile(answered)))
            .map_err(|bad| BadAnswer::to(CALL)(bad).about(name)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.about(name)),
    }
}

fn profile(answered: &types::InstanceProfile) -> InstanceProfile {
    InstanceProfile {
        name: answered.instance_profile_name().to_owned(),
        arn: answered.arn().to_owned(),
        roles: answered.roles().iter().map(roles::role).collect(),
        created: moment(answered.create_date()),
        tags: tags::read(answered.tags()),
    }
}

/// The listing has no tags. A profile that is deleted while it is read is left out.
pub(super) async fn below(iam: &Client, path: &str) -> Result<Vec<InstanceProfile>> {
    const CALL: &str = "ListInstanceProfiles";
    let mut pages = iam
        .list_instance_profiles()
        .path_prefix(path)
        .into_paginator()
        .items()
        .send();
    let mut profiles = Vec::new();
    while let Some(answered) = pages
        .try_next()
        .await
        .map_err(|error| failed(CALL)(error).about(path))?
    {
        let listed = profile(&answered);
        if let Some(tags) = tags_of(iam, &listed.name).await? {
            profiles.push(InstanceProfile { tags, ..listed });
        }
    }
    Ok(profiles)
}

/// None if there is no such profile any more.
async fn tags_of(iam: &Client, name: &str) -> Result<Option<Tags>> {
    let mut pages = iam
        .list_instance_profile_tags()
        .instance_profile_name(name)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    loop {
        let next = pages.try_next().await;
        match next.map_err(failed("ListInstanceProfileTags")) {
            Ok(Some(tag)) => found.push(tag),
            Ok(None) => return Ok(Some(tags::read(&found))),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.about(name)),
        }
    }
}

pub(super) async fn create(
    iam: &Client,
    name: &str,
    path: &str,
    given: &Tags,
) -> Result<InstanceProfile> {
    const CALL: &str = "CreateInstanceProfile";
    let answer = iam
        .create_instance_profile()
        .instance_profile_name(name)
        .path(path)
        .set_tags(tags::write(CALL, given)?)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(name))?;
    required(answer.instance_profile(), "InstanceProfile")
        .map(profile)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

/// A profile holds one role; of a second one, and of the same one again, IAM says that the limit is reached.
pub(super) async fn add_role(iam: &Client, profile: &str, role: &str) -> Result<()> {
    let sent = iam
        .add_role_to_instance_profile()
        .instance_profile_name(profile)
        .role_name(role)
        .send()
        .await;
    let Err(error) = sent.map_err(failed("AddRoleToInstanceProfile")) else {
        return Ok(());
    };
    if matches!(error.kind, ErrorKind::Quota | ErrorKind::Duplicate) {
        let held = get(iam, profile).await?;
        if held.is_some_and(|held| held.roles.iter().any(|in_it| in_it.name == role)) {
            return Ok(());
        }
    }
    Err(error.about(profile))
}

pub(super) async fn remove_role(iam: &Client, profile: &str, role: &str) -> Result<()> {
    let sent = iam
        .remove_role_from_instance_profile()
        .instance_profile_name(profile)
        .role_name(role)
        .send()
        .await;
    match sent.map_err(failed("RemoveRoleFromInstanceProfile")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(profile)),
    }
}

pub(super) async fn delete(iam: &Client, name: &str) -> Result<()> {
    let sent = iam
        .delete_instance_profile()
        .instance_profile_name(name)
        .send()
        .await;
    match sent.map_err(failed("DeleteInstanceProfile")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(name)),
    }
}
