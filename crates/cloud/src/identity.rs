//! IAM: roles, instance profiles, and what a caller may do.

use crate::port::Result;
use crate::{Tags, Timestamp};
use async_trait::async_trait;

/// A role as IAM describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created; none if IAM does not say.
    pub created: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}

/// An instance profile as IAM describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceProfile {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The roles in it, at most one.
    pub roles: Vec<Role>,
    /// When it was created; none if IAM does not say.
    pub created: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}

/// What IAM's policy simulator says about one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The action, such as `ec2:RunInstances`.
    pub action: String,
    /// Whether it is allowed.
    pub allowed: bool,
}

/// The account's IAM. What qib makes has a path of qib's own, so that a sweep finds it.
///
/// Deleting what is already gone is a success: the caller wanted it gone.
#[async_trait]
pub trait Iam: Send + Sync {
    /// GetRole; none if there is no such role.
    async fn role(&self, name: &str) -> Result<Option<Role>>;
    /// ListRoles below a path, with their tags (ListRoleTags).
    async fn roles_below(&self, path: &str) -> Result<Vec<Role>>;
    /// CreateRole that EC2 instances may assume.
    async fn create_instance_role(&self, name: &str, path: &str, tags: &Tags) -> Result<Role>;
    /// PutRolePolicy: sets the role's inline policy of that name.
    async fn put_role_policy(&self, role: &str, policy: &str, document: &str) -> Result<()>;
    /// DeleteRolePolicy.
    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<()>;
    /// DeleteRole.
    async fn delete_role(&self, name: &str) -> Result<()>;
    /// GetInstanceProfile; none if there is no such profile.
    async fn instance_profile(&self, name: &str) -> Result<Option<InstanceProfile>>;
    /// ListInstanceProfiles below a path, with their tags (ListInstanceProfileTags).
    async fn instance_profiles_below(&self, path: &str) -> Result<Vec<InstanceProfile>>;
    /// CreateInstanceProfile.
    async fn create_instance_profile(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<InstanceProfile>;
    /// AddRoleToInstanceProfile. A role that is in it already counts as done.
    async fn add_role(&self, profile: &str, role: &str) -> Result<()>;
    /// RemoveRoleFromInstanceProfile.
    async fn remove_role(&self, profile: &str, role: &str) -> Result<()>;
    /// DeleteInstanceProfile.
    async fn delete_instance_profile(&self, name: &str) -> Result<()>;
    /// SimulatePrincipalPolicy: what the user or role `principal` may do to all of `resources` (any, if there are none), where
    /// the condition keys of `context` have these values: without one, a statement that asks for it does not count. The ARN
    /// of an assumed role's session stands for its role.
    async fn simulate(
        &self,
        principal: &str,
        actions: &[String],
        resources: &[String],
        context: &[(String, String)],
    ) -> Result<Vec<Simulated>>;
}
