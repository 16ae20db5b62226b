//! Instance profiles.

use super::names;
use super::{
    Call, Page, delete_conflict, exists, iam, limit_exceeded, no_such, roles, set_tags, time,
};
use crate::account::iam::{Iam, InstanceProfile, random_id};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::ec2::xml::Xml;
use crate::api::error::ApiError;

fn missing(name: &str) -> ApiError {
    ApiError::new(
        "NoSuchEntity",
        format!("Instance Profile {name} cannot be found."),
    )
    .with_status(404)
}

/// A profile that reads know of.
fn seen<'a>(cx: &'a mut Cx<'_>, name: &str) -> Result<(&'a Iam, &'a InstanceProfile), ApiError> {
    let (now, visibility) = (cx.now, cx.timing.visibility);
    let iam = &*iam(cx);
    let profile = iam
        .profiles
        .get(name)
        .filter(|p| now.duration_since(p.created).unsigned_abs() >= visibility);
    Ok((iam, profile.ok_or_else(|| missing(name))?))
}

fn change<'a>(cx: &'a mut Cx<'_>, name: &str) -> Result<&'a mut InstanceProfile, ApiError> {
    iam(cx).profiles.get_mut(name).ok_or_else(|| missing(name))
}

/// Writes what is in an `InstanceProfile`.
fn write(x: &mut Xml, iam: &Iam, profile: &InstanceProfile, account: &str) {
    x.put("Path", &profile.path)
        .put("InstanceProfileName", &profile.name)
        .put("InstanceProfileId", &profile.id)
        .put("Arn", profile.arn(account))
        .put("CreateDate", time(profile.created));
    let role = profile.role.as_ref().and_then(|r| iam.roles.get(r));
    x.members("Roles", role, |x, r| roles::write(x, r, account));
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html>
pub(super) fn create(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, path, pairs) = (names::profile(call)?, names::path(call)?, call.tags()?);
    call.finish()?;
    let mut tags = Tags::default();
    set_tags(&mut tags, &pairs)?;
    let (now, owner) = (cx.now, cx.owner());
    let iam = iam(cx);
    if iam.profiles.keys().any(|n| n.eq_ignore_ascii_case(&name)) {
        return Err(exists("Instance Profile", &name));
    }
    let profile = InstanceProfile {
        name: name.clone(),
        path,
        id: random_id("AIPA"),
        created: now,
        role: None,
        role_since: now,
        tags,
    };
    let mut x = Xml::new();
    x.node("InstanceProfile", |x| {
        write(x, iam, &profile, owner);
        super::write_tags(x, &profile.tags);
    });
    iam.profiles.insert(name, profile);
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html>
pub(super) fn get(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::profile(call)?;
    call.finish()?;
    let owner = cx.owner();
    let (iam, profile) = seen(cx, &name)?;
    let mut x = Xml::new();
    x.node("InstanceProfile", |x| {
        write(x, iam, profile, owner);
        super::write_tags(x, &profile.tags);
    });
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html>: without tags.
pub(super) fn list(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (page, prefix) = (Page::parse(call)?, names::path_prefix(call)?);
    call.finish()?;
    listed(page, cx, |p| p.path.starts_with(&prefix))
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html>
pub(super) fn list_for_role(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (page, name) = (Page::parse(call)?, names::role(call)?);
    call.finish()?;
    roles::seen(cx, &name)?;
    listed(page, cx, |p| p.role.as_ref() == Some(&name))
}

fn listed(
    page: Page,
    cx: &mut Cx<'_>,
    wanted: impl Fn(&InstanceProfile) -> bool,
) -> Result<Xml, ApiError> {
    let (now, visibility, owner) = (cx.now, cx.timing.visibility, cx.owner());
    let iam = &*iam(cx);
    let chosen = iam
        .profiles
        .values()
        .filter(|p| wanted(p) && now.duration_since(p.created).unsigned_abs() >= visibility);
    let mut x = Xml::new();
    let profiles = page.cut(&mut x, chosen.collect(), |p| p.name.clone());
    x.members("InstanceProfiles", profiles, |x, p| write(x, iam, p, owner));
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteInstanceProfile.html>
pub(super) fn delete(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::profile(call)?;
    call.finish()?;
    if change(cx, &name)?.role.is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    iam(cx).profiles.remove(&name);
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html>: "An instance profile can contain
/// only one role, and this quota cannot be increased."
pub(super) fn add_role(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, role) = (names::profile(call)?, names::role(call)?);
    call.finish()?;
    let now = cx.now;
    if !iam(cx).roles.contains_key(&role) {
        return Err(no_such("role", &role));
    }
    let profile = change(cx, &name)?;
    if profile.role.is_some() {
        return Err(limit_exceeded(
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        ));
    }
    (profile.role, profile.role_since) = (Some(role), now);
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html>
pub(super) fn remove_role(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, role) = (names::profile(call)?, names::role(call)?);
    call.finish()?;
    let profile = change(cx, &name)?;
    if profile.role.as_ref() != Some(&role) {
        return Err(no_such("role", &role));
    }
    profile.role = None;
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html>
pub(super) fn tag(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, pairs) = (names::profile(call)?, call.tags()?);
    call.finish()?;
    set_tags(&mut change(cx, &name)?.tags, &pairs)?;
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html>
pub(super) fn untag(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, keys) = (names::profile(call)?, call.tag_keys());
    call.finish()?;
    let tags = &mut change(cx, &name)?.tags;
    for key in keys {
        tags.remove(&key, None);
    }
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html>
pub(super) fn tags(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, page) = (names::profile(call)?, Page::parse(call)?);
    call.finish()?;
    let (_, profile) = seen(cx, &name)?;
    let mut x = Xml::new();
    let tags = page.cut(&mut x, profile.tags.iter().collect(), |(k, _)| {
        (*k).to_owned()
    });
    x.members("Tags", tags, |x, (key, value)| {
        x.put("Key", key).put("Value", value);
    });
    Ok(x)
}
