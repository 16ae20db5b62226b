//! The role of the instance: an instance profile that is there, or one made for the cell from the pipeline's policy.
//!
//! ```text
//!   CreateRole ─▶ PutRolePolicy ─▶ CreateInstanceProfile ─▶ AddRoleToInstanceProfile ─▶ RunInstances, until EC2 knows it
//!       ▲              ▲                    ▲                                                 │
//!       └─ DeleteRole ─┴─ DeleteRolePolicy ─┴─ RemoveRoleFromInstanceProfile, Delete… ◀── instance terminated
//! ```
//!
//! All of it has the path [`PATH`], so that a sweep finds it by one call, and the tags of the cell. IAM has no regions:
//! the tag `qib:region` says in which one the run is, and with it the run's lease.

use super::address::ElasticAddress;
use super::context::CellContext;
use super::user_data_parts::partition_of;
use crate::failure::StepError;
use crate::journal::{AddressBinder, Effect};
use crate::names::{profile_name, tag};
use crate::spec::CellSpec;
use crate::undo::{own_profile, own_role};
use cloud::wait::deadline;
use cloud::{CloudError, ErrorKind, Iam, Tags};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// The path of the roles and instance profiles that qib makes.
pub(crate) const PATH: &str = "/qib/";
/// The name of the inline policy in such a role.
pub(crate) const POLICY: &str = "qib";

/// How long EC2 may take until it knows an instance profile that was just made. IAM says seconds.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
const KNOWN_WITHIN: Duration = Duration::from_secs(120);
/// The pause between two launches meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The instance profile that an instance gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InstanceProfile {
    /// One that was there before.
    Named(String),
    /// One that was made for the cell, a moment ago perhaps.
    Temporary(String),
}

impl InstanceProfile {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Temporary(name) => name,
        }
    }
}

/// Makes the role with this policy and the instance profile that it is in.
pub(super) async fn prepare(
    context: &CellContext,
    spec: &CellSpec,
    policy: &str,
    elastic: Option<&ElasticAddress>,
) -> Result<InstanceProfile, StepError> {
    let document = document(policy, spec.region.as_str(), elastic)?;
    let name = profile_name(context.run_id(), context.cell());
    let region = spec.region.clone();
    let iam = context.run().ports.account.iam();
    let tags = context.own_tags().with(tag::REGION, region.as_str());
    let (cell, effects) = (context.cell(), context.effects());

    let effect = Effect::CreateRole {
        region: region.clone(),
        name: name.clone(),
    };
    let role = effects
        .make(
            cell,
            effect,
            async || create_role(context, &iam, &name, &tags).await,
            async || own_role(iam.as_ref(), &name, context.run_id()).await,
        )
        .await?;
    let effect = Effect::PutRolePolicy {
        region: region.clone(),
        role: name.clone(),
        of: role.number,
        digest: hex::encode(Sha256::digest(document.as_bytes())),
    };
    // What was just made may not show everywhere yet.
    effects
        .set(cell, effect, async || {
            context
                .until_visible(|| iam.put_role_policy(&name, POLICY, &document))
                .await
        })
        .await?;
    let effect = Effect::CreateInstanceProfile {
        region: region.clone(),
        name: name.clone(),
    };
    let profile = effects
        .make(
            cell,
            effect,
            async || create_profile(context, &iam, &name, &tags).await,
            async || own_profile(iam.as_ref(), &name, context.run_id()).await,
        )
        .await?;
    let effect = Effect::AddRole {
        region,
        profile: name.clone(),
        of: profile.number,
        role: name.clone(),
    };
    effects
        .set(cell, effect, async || {
            context.until_visible(|| iam.add_role(&name, &name)).await
        })
        .await?;
    context.note(format!("instance profile {name}, for this instance alone"));
    Ok(InstanceProfile::Temporary(name))
}

/// The policy as it is sent: with what binding the address from inside needs, where that is what is done.
fn document(
    policy: &str,
    region: &str,
    elastic: Option<&ElasticAddress>,
) -> Result<String, StepError> {
    let Some(address) = elastic.filter(|address| address.by == AddressBinder::UserData) else {
        return Ok(policy.to_owned());
    };
    let unreadable = |reason: String| StepError::Template {
        field: String::from("launch.instance_profile.policy"),
        reason,
    };
    let mut document: serde_json::Value =
        serde_json::from_str(policy).map_err(|error| unreadable(error.to_string()))?;
    let (partition, _) = partition_of(region);
    let statement =
        pipeline::model::binding_statement(partition, region, address.allocation.as_str());
    match document.get_mut("Statement").and_then(|s| s.as_array_mut()) {
        Some(statements) => statements.push(statement),
        None => return Err(unreadable(String::from("its `Statement` is no list"))),
    }
    Ok(document.to_string())
}

/// Creates the role. One of that name that carries the run's tag is the one of a lost reply.
async fn create_role(
    context: &CellContext,
    iam: &Arc<dyn Iam>,
    name: &str,
    tags: &Tags,
) -> Result<(), CloudError> {
    match iam.create_instance_role(name, PATH, tags).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::Duplicate => {
            let ours = own_role(iam.as_ref(), name, context.run_id()).await?;
            ours.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Creates the instance profile, likewise.
async fn create_profile(
    context: &CellContext,
    iam: &Arc<dyn Iam>,
    name: &str,
    tags: &Tags,
) -> Result<(), CloudError> {
    match iam.create_instance_profile(name, PATH, tags).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::Duplicate => {
            let ours = own_profile(iam.as_ref(), name, context.run_id()).await?;
            ours.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Removes the instance profile and the role that were made for the cell, once its instance has been terminated.
pub(super) async fn remove(context: &CellContext) -> Result<(), StepError> {
    let made = context.standing(|effect| {
        matches!(
            effect,
            Effect::CreateRole { .. } | Effect::CreateInstanceProfile { .. }
        )
    });
    for number in made {
        context.effects().unmake(number).await?;
    }
    Ok(())
}

/// Does `launch`, again while EC2 does not know the instance profile yet. Nothing else is repeated: EC2 has one code for
/// all values that it does not like.
pub(super) async fn until_ec2_knows_it<T, F>(
    context: &CellContext,
    mut launch: impl FnMut() -> F,
) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let until = deadline(context.clock(), KNOWN_WITHIN);
    loop {
        match launch().await {
            Err(error)
                if is_unknown_profile(&error)
                    && context.clock().now() < until
                    && context.run().cancellation.check().is_ok() =>
            {
                context.clock().sleep(ASK_EVERY).await;
            }
            result => return result,
        }
    }
}

/// `Value (NAME) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name`
fn is_unknown_profile(error: &CloudError) -> bool {
    error.code == "InvalidParameterValue" && error.message.contains("iamInstanceProfile")
}
