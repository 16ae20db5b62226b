//! IAM: roles and instance profiles, Query protocol, version 2010-05-08.
//!
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>. There are inline policies only. What is made is
//! seen late by reads, and still later by other services.

mod names;
mod profiles;
mod roles;
mod simulate;

use super::Cx;
use super::caller::{USER, user_arn};
use super::ec2::Access;
use super::ec2::params::{Params, Scope};
use super::ec2::xml::Xml;
use super::error::ApiError;
use crate::account::iam::Iam;
use crate::account::tags::Tags;
use jiff::Timestamp;

/// Every action there is.
pub const ACTIONS: [&str; 27] = [
    "AddRoleToInstanceProfile",
    "CreateInstanceProfile",
    "CreateRole",
    "DeleteInstanceProfile",
    "DeleteRole",
    "DeleteRolePolicy",
    "GetInstanceProfile",
    "GetRole",
    "GetRolePolicy",
    "GetUser",
    "ListAttachedRolePolicies",
    "ListInstanceProfileTags",
    "ListInstanceProfiles",
    "ListInstanceProfilesForRole",
    "ListMFADevices",
    "ListRolePolicies",
    "ListRoleTags",
    "ListRoles",
    "PutRolePolicy",
    "RemoveRoleFromInstanceProfile",
    "SimulatePrincipalPolicy",
    "TagInstanceProfile",
    "TagRole",
    "UntagInstanceProfile",
    "UntagRole",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
];

/// The serial number of the user's MFA device, see [`super::sts`].
pub const MFA_SERIAL: &str = "arn:aws:iam::123456789012:mfa/local";

const VERSION: &str = "2010-05-08";

/// Whether an action may change something.
///
/// # Errors
/// `InvalidAction` for one that there is not.
pub fn access(action: &str, params: &Params) -> Result<Access, ApiError> {
    let version = params.top().text("Version");
    if !ACTIONS.contains(&action) || version != Some(VERSION) {
        return Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {action} for version {VERSION}"),
        ));
    }
    let looks = ["Get", "List", "Simulate"];
    Ok(match looks.iter().any(|p| action.starts_with(p)) {
        true => Access::Read,
        false => Access::Write,
    })
}

/// Carries out an action; its answer's content.
///
/// # Errors
/// IAM's codes, see <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>.
pub fn run(action: &str, params: &Params, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let top = params.top();
    for name in ["Action", "Version"] {
        let _ = top.text(name);
    }
    let call = Call { top, params };
    match action {
        "AddRoleToInstanceProfile" => profiles::add_role(&call, cx),
        "CreateInstanceProfile" => profiles::create(&call, cx),
        "CreateRole" => roles::create(&call, cx),
        "DeleteInstanceProfile" => profiles::delete(&call, cx),
        "DeleteRole" => roles::delete(&call, cx),
        "DeleteRolePolicy" => roles::delete_policy(&call, cx),
        "GetInstanceProfile" => profiles::get(&call, cx),
        "GetRole" => roles::get(&call, cx),
        "GetRolePolicy" => roles::get_policy(&call, cx),
        "GetUser" => user(&call, cx),
        "ListAttachedRolePolicies" => roles::attached(&call, cx),
        "ListInstanceProfileTags" => profiles::tags(&call, cx),
        "ListInstanceProfiles" => profiles::list(&call, cx),
        "ListInstanceProfilesForRole" => profiles::list_for_role(&call, cx),
        "ListMFADevices" => devices(&call, cx),
        "ListRolePolicies" => roles::policies(&call, cx),
        "ListRoleTags" => roles::tags(&call, cx),
        "ListRoles" => roles::list(&call, cx),
        "PutRolePolicy" => roles::put_policy(&call, cx),
        "RemoveRoleFromInstanceProfile" => profiles::remove_role(&call, cx),
        "SimulatePrincipalPolicy" => simulate::run(&call, cx),
        "TagInstanceProfile" => profiles::tag(&call, cx),
        "TagRole" => roles::tag(&call, cx),
        "UntagInstanceProfile" => profiles::untag(&call, cx),
        "UntagRole" => roles::untag(&call, cx),
        "UpdateAssumeRolePolicy" => roles::update_trust(&call, cx),
        _ => roles::update(&call, cx),
    }
}

/// A request that is being read.
struct Call<'a> {
    top: Scope<'a>,
    params: &'a Params,
}

impl Call<'_> {
    /// Refuses what has not been read.
    fn finish(&self) -> Result<(), ApiError> {
        self.params.finish()
    }

    /// Reads `Tags.member.N`.
    fn tags(&self) -> Result<Vec<(String, String)>, ApiError> {
        let mut pairs = Vec::new();
        for tag in self.top.each("Tags.member") {
            let key = tag.required("Key")?.to_owned();
            pairs.push((key, tag.text("Value").unwrap_or_default().to_owned()));
        }
        Ok(pairs)
    }

    /// Reads `TagKeys.member.N`.
    fn tag_keys(&self) -> Vec<String> {
        let keys = self.top.texts("TagKeys.member");
        keys.into_iter().map(str::to_owned).collect()
    }
}

fn set_tags(tags: &mut Tags, pairs: &[(String, String)]) -> Result<(), ApiError> {
    tags.set_all(pairs).map_err(|e| match e.code() {
        "TagLimitExceeded" => ApiError::new("LimitExceeded", e.message()).with_status(409),
        _ => ApiError::new("InvalidInput", e.message()),
    })
}

fn write_tags(x: &mut Xml, tags: &Tags) {
    x.members("Tags", tags.iter(), |x, (key, value)| {
        x.put("Key", key).put("Value", value);
    });
}

/// The IAM of the caller's account.
fn iam<'a>(cx: &'a mut Cx<'_>) -> &'a mut Iam {
    let owner = cx.owner().to_owned();
    cx.account.iam.entry(owner).or_default()
}

fn no_such(what: &str, name: &str) -> ApiError {
    ApiError::new(
        "NoSuchEntity",
        format!("The {what} with name {name} cannot be found."),
    )
    .with_status(404)
}

fn exists(what: &str, name: &str) -> ApiError {
    ApiError::new(
        "EntityAlreadyExists",
        format!("{what} with name {name} already exists."),
    )
    .with_status(409)
}

fn delete_conflict(why: &str) -> ApiError {
    ApiError::new("DeleteConflict", why).with_status(409)
}

fn limit_exceeded(why: impl Into<String>) -> ApiError {
    ApiError::new("LimitExceeded", why).with_status(409)
}

/// IAM writes times to the second.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A page of a list: `MaxItems` (1 to 1000, 100 unless given) and `Marker`.
struct Page {
    most: usize,
    after: Option<String>,
}

impl Page {
    fn parse(call: &Call<'_>) -> Result<Self, ApiError> {
        let most: usize = call.top.number("MaxItems")?.unwrap_or(100);
        if !(1..=1000).contains(&most) {
            return Err(names::invalid(format!(
                "Value '{most}' at 'maxItems' failed to satisfy constraint: between 1 and 1000"
            )));
        }
        let after = call.top.text("Marker").map(str::to_owned);
        Ok(Self { most, after })
    }

    /// The page's part of `all`, and writes whether there is more.
    fn cut<T>(&self, x: &mut Xml, all: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
        let (page, next) = super::json::page(all, key, self.most, self.after.as_deref());
        x.put("IsTruncated", next.is_some()).maybe("Marker", next);
        page
    }
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html>: of the caller, if no other is named.
fn user(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let name = call.top.text("UserName");
    call.finish()?;
    if cx.caller.role().is_some() && name.is_none() {
        return Err(names::invalid(
            "Must specify userName when calling with non-User credentials",
        ));
    }
    if let Some(other) = name.filter(|n| *n != USER) {
        return Err(no_such("user", other));
    }
    let mut x = Xml::new();
    x.node("User", |x| {
        x.put("Path", "/")
            .put("UserName", USER)
            .put("UserId", "AIDALOCALEC2USER")
            .put("Arn", user_arn())
            .put("CreateDate", time(Timestamp::UNIX_EPOCH));
    });
    Ok(x)
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListMFADevices.html>
fn devices(call: &Call<'_>, _: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let page = Page::parse(call)?;
    let name = call.top.text("UserName");
    call.finish()?;
    if let Some(other) = name.filter(|n| *n != USER) {
        return Err(no_such("user", other));
    }
    let mut x = Xml::new();
    let devices = page.cut(&mut x, vec![MFA_SERIAL], |d| (*d).to_owned());
    x.members("MFADevices", devices, |x, serial| {
        x.put("UserName", USER)
            .put("SerialNumber", serial)
            .put("EnableDate", time(Timestamp::UNIX_EPOCH));
    });
    Ok(x)
}
