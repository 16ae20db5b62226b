//! Removing a temporary role and its instance profile: each in the order in which IAM lets its parts go, and each part that is
//! gone already counts as removed.

use crate::names::{RunId, tag};
use crate::steps::POLICY;
use cloud::{CloudError, ErrorKind, Iam};

/// Whether there is a role of that name that carries the run's tag.
pub(crate) async fn own_role(
    iam: &dyn Iam,
    name: &str,
    run: &RunId,
) -> Result<Option<()>, CloudError> {
    let found = iam.role(name).await?;
    let ours = found.filter(|role| role.tags.get(tag::RUN) == Some(run.as_str()));
    Ok(ours.map(|_| ()))
}

/// Whether there is an instance profile of that name that carries the run's tag.
pub(crate) async fn own_profile(
    iam: &dyn Iam,
    name: &str,
    run: &RunId,
) -> Result<Option<()>, CloudError> {
    let found = iam.instance_profile(name).await?;
    let ours = found.filter(|profile| profile.tags.get(tag::RUN) == Some(run.as_str()));
    Ok(ours.map(|_| ()))
}

/// Deletes an instance profile of qib's with what is in it: its role is of the same name.
pub(crate) async fn delete_profile(iam: &dyn Iam, name: &str) -> Result<(), CloudError> {
    unless_absent(iam.remove_role(name, name).await)?;
    unless_absent(iam.delete_instance_profile(name).await)
}

/// Deletes a role of qib's with its policy: a role that has one cannot go.
pub(crate) async fn delete_role(iam: &dyn Iam, name: &str) -> Result<(), CloudError> {
    unless_absent(iam.delete_role_policy(name, POLICY).await)?;
    unless_absent(iam.delete_role(name).await)
}

fn unless_absent(result: Result<(), CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The commands by which a person removes a temporary instance profile.
pub(crate) fn delete_profile_commands(name: &str) -> [String; 2] {
    [
        format!(
            "iam remove-role-from-instance-profile --instance-profile-name {name} --role-name {name}"
        ),
        format!("iam delete-instance-profile --instance-profile-name {name}"),
    ]
}

/// The commands by which a person removes a temporary role.
pub(crate) fn delete_role_commands(name: &str) -> [String; 2] {
    [
        format!("iam delete-role-policy --role-name {name} --policy-name {POLICY}"),
        format!("iam delete-role --role-name {name}"),
    ]
}
