//! Roles and their inline policies.

use super::names::{self, encoded, invalid};
use super::{Call, Page, delete_conflict, exists, iam, limit_exceeded, no_such, set_tags, time};
use crate::account::iam::{InlinePolicy, Role, random_id};
use crate::account::policy::Kind;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::ec2::xml::Xml;
use crate::api::error::ApiError;
use std::collections::BTreeMap;

/// "The total aggregate policy size for a role is 10,240 characters. IAM doesn't count white space."
const MOST_POLICY: usize = 10_240;

/// "2,048 characters" for a trust policy.
const MOST_TRUST: usize = 2_048;

/// A role that reads know of.
pub(super) fn seen<'a>(cx: &'a mut Cx<'_>, name: &str) -> Result<&'a Role, ApiError> {
    let (now, visibility) = (cx.now, cx.timing.visibility);
    iam(cx)
        .roles
        .get(name)
        .filter(|r| now.duration_since(r.created).unsigned_abs() >= visibility)
        .ok_or_else(|| no_such("role", name))
}

fn change<'a>(cx: &'a mut Cx<'_>, name: &str) -> Result<&'a mut Role, ApiError> {
    iam(cx)
        .roles
        .get_mut(name)
        .ok_or_else(|| no_such("role", name))
}

/// Writes what is in a `Role`.
pub(super) fn write(x: &mut Xml, role: &Role, account: &str) {
    x.put("Path", &role.path)
        .put("RoleName", &role.name)
        .put("RoleId", &role.id)
        .put("Arn", role.arn(account))
        .put("CreateDate", time(role.created))
        .put("AssumeRolePolicyDocument", encoded(&role.trust))
        .maybe("Description", role.description.as_ref())
        .put("MaxSessionDuration", role.longest_session);
}

fn description(call: &Call<'_>) -> Result<Option<String>, ApiError> {
    let text = call.top.text("Description");
    match text.filter(|t| t.chars().count() > 1000) {
        Some(_) => Err(invalid("Description has at most 1000 characters")),
        None => Ok(text.map(str::to_owned)),
    }
}

fn longest_session(call: &Call<'_>) -> Result<Option<u32>, ApiError> {
    match call.top.number("MaxSessionDuration")? {
        Some(n) if !(3_600..=43_200).contains(&n) => Err(invalid(format!(
            "Value '{n}' at 'maxSessionDuration' failed to satisfy constraint: between 3600 and 43200"
        ))),
        given => Ok(given),
    }
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
pub(super) fn create(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, path) = (names::role(call)?, names::path(call)?);
    let trust = names::document(call, "AssumeRolePolicyDocument", Kind::Trust)?;
    let (description, longest) = (description(call)?, longest_session(call)?);
    let pairs = call.tags()?;
    call.finish()?;
    check_trust(&trust)?;
    let mut tags = Tags::default();
    set_tags(&mut tags, &pairs)?;
    let (now, owner) = (cx.now, cx.owner());
    let roles = &mut iam(cx).roles;
    // "Names are not distinguished by case."
    if roles.keys().any(|n| n.eq_ignore_ascii_case(&name)) {
        return Err(exists("Role", &name));
    }
    let role = Role {
        name: name.clone(),
        path,
        id: random_id("AROA"),
        trust,
        description,
        longest_session: longest.unwrap_or(3_600),
        created: now,
        policies: BTreeMap::new(),
        tags,
    };
    let mut x = Xml::new();
    x.node("Role", |x| {
        write(x, &role, owner);
        super::write_tags(x, &role.tags);
    });
    roles.insert(name, role);
    Ok(x)
}

fn check_trust(document: &str) -> Result<(), ApiError> {
    match counted(document) > MOST_TRUST {
        true => Err(limit_exceeded(format!(
            "Cannot exceed quota for ACLSizePerRole: {MOST_TRUST}"
        ))),
        false => Ok(()),
    }
}

fn counted(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html>
pub(super) fn get(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::role(call)?;
    call.finish()?;
    let owner = cx.owner();
    let role = seen(cx, &name)?;
    let mut x = Xml::new();
    x.node("Role", |x| {
        write(x, role, owner);
        super::write_tags(x, &role.tags);
        x.node("RoleLastUsed", |_| {});
    });
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>: without tags.
pub(super) fn list(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (page, prefix) = (Page::parse(call)?, names::path_prefix(call)?);
    call.finish()?;
    let (now, visibility, owner) = (cx.now, cx.timing.visibility, cx.owner());
    let roles = iam(cx).roles.values();
    let chosen = roles.filter(|r| {
        r.path.starts_with(&prefix) && now.duration_since(r.created).unsigned_abs() >= visibility
    });
    let mut x = Xml::new();
    let roles = page.cut(&mut x, chosen.collect(), |r| r.name.clone());
    x.members("Roles", roles, |x, r| write(x, r, owner));
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>
pub(super) fn delete(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::role(call)?;
    call.finish()?;
    let role = change(cx, &name)?;
    if !role.policies.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    let iam = iam(cx);
    if iam
        .profiles
        .values()
        .any(|p| p.role.as_deref() == Some(&name))
    {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    iam.roles.remove(&name);
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html>
pub(super) fn update(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::role(call)?;
    let (description, longest) = (description(call)?, longest_session(call)?);
    call.finish()?;
    let role = change(cx, &name)?;
    if description.is_some() {
        role.description = description;
    }
    role.longest_session = longest.unwrap_or(role.longest_session);
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html>
pub(super) fn update_trust(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = names::role(call)?;
    let trust = names::document(call, "PolicyDocument", Kind::Trust)?;
    call.finish()?;
    check_trust(&trust)?;
    change(cx, &name)?.trust = trust;
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html>
pub(super) fn put_policy(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, policy) = (names::role(call)?, names::name(call, "PolicyName", 128)?);
    let document = names::document(call, "PolicyDocument", Kind::Identity)?;
    call.finish()?;
    let now = cx.now;
    let role = change(cx, &name)?;
    let others = role.policies.iter().filter(|(n, _)| **n != policy);
    let size: usize = others.map(|(_, p)| counted(&p.document)).sum();
    if size + counted(&document) > MOST_POLICY {
        return Err(limit_exceeded(format!(
            "Maximum policy size of {MOST_POLICY} bytes exceeded for role {name}"
        )));
    }
    let before = role.policies.get(&policy).map(|p| p.document.clone());
    // What says the same again changes nothing.
    if before.as_ref() != Some(&document) {
        let put = InlinePolicy {
            document,
            since: now,
            before,
        };
        role.policies.insert(policy, put);
    }
    Ok(Xml::new())
}

fn no_policy(name: &str) -> ApiError {
    no_such("role policy", name)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>
pub(super) fn get_policy(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, policy) = (names::role(call)?, names::name(call, "PolicyName", 128)?);
    call.finish()?;
    let role = seen(cx, &name)?;
    let found = role
        .policies
        .get(&policy)
        .ok_or_else(|| no_policy(&policy))?;
    let mut x = Xml::new();
    x.put("RoleName", &name)
        .put("PolicyName", &policy)
        .put("PolicyDocument", encoded(&found.document));
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html>
pub(super) fn delete_policy(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, policy) = (names::role(call)?, names::name(call, "PolicyName", 128)?);
    call.finish()?;
    let removed = change(cx, &name)?.policies.remove(&policy);
    removed.ok_or_else(|| no_policy(&policy))?;
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html>
pub(super) fn policies(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, page) = (names::role(call)?, Page::parse(call)?);
    call.finish()?;
    let role = seen(cx, &name)?;
    let mut x = Xml::new();
    let names = page.cut(&mut x, role.policies.keys().collect(), |n| (*n).clone());
    x.member_texts("PolicyNames", names);
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html>: there are none here.
pub(super) fn attached(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, page) = (names::role(call)?, Page::parse(call)?);
    names::path_prefix(call)?;
    call.finish()?;
    seen(cx, &name)?;
    let mut x = Xml::new();
    let none = page.cut(&mut x, Vec::<String>::new(), Clone::clone);
    x.member_texts("AttachedPolicies", none);
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html>
pub(super) fn tag(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, pairs) = (names::role(call)?, call.tags()?);
    call.finish()?;
    set_tags(&mut change(cx, &name)?.tags, &pairs)?;
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html>
pub(super) fn untag(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, keys) = (names::role(call)?, call.tag_keys());
    call.finish()?;
    let tags = &mut change(cx, &name)?.tags;
    for key in keys {
        tags.remove(&key, None);
    }
    Ok(Xml::new())
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html>
pub(super) fn tags(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let (name, page) = (names::role(call)?, Page::parse(call)?);
    call.finish()?;
    let role = seen(cx, &name)?;
    let mut x = Xml::new();
    let tags = page.cut(&mut x, role.tags.iter().collect(), |(k, _)| (*k).to_owned());
    x.members("Tags", tags, |x, (key, value)| {
        x.put("Key", key).put("Value", value);
    });
    Ok(x)
}
