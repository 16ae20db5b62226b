//! IAM: each call of the port with its nature.

use super::CallNature::{Creating, Idempotent, Read};
use super::attempts::Attempts;
use super::calls::repeated_calls;
use crate::port::Result;
use crate::*;
use async_trait::async_trait;
use std::sync::Arc;

/// IAM whose calls are repeated.
pub(super) struct RetryingIam {
    inner: Arc<dyn Iam>,
    attempts: Arc<Attempts>,
}

impl RetryingIam {
    pub(super) fn new(inner: Arc<dyn Iam>, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

repeated_calls! {
    impl Iam for RetryingIam {}
    role(name: &str) -> Option<Role> = Read, "GetRole" of name;
    roles_below(path: &str) -> Vec<Role> = Read, "ListRoles" of path;
    create_instance_role(name: &str, path: &str, tags: &Tags) -> Role = Creating, "CreateRole" of name;
    put_role_policy(role: &str, policy: &str, document: &str) -> () = Idempotent, "PutRolePolicy" of role;
    delete_role_policy(role: &str, policy: &str) -> () = Idempotent, "DeleteRolePolicy" of role;
    delete_role(name: &str) -> () = Idempotent, "DeleteRole" of name;
    instance_profile(name: &str) -> Option<InstanceProfile> = Read, "GetInstanceProfile" of name;
    instance_profiles_below(path: &str) -> Vec<InstanceProfile> = Read, "ListInstanceProfiles" of path;
    create_instance_profile(name: &str, path: &str, tags: &Tags) -> InstanceProfile = Creating, "CreateInstanceProfile" of name;
    add_role(profile: &str, role: &str) -> () = Idempotent, "AddRoleToInstanceProfile" of profile;
    remove_role(profile: &str, role: &str) -> () = Idempotent, "RemoveRoleFromInstanceProfile" of profile;
    delete_instance_profile(name: &str) -> () = Idempotent, "DeleteInstanceProfile" of name;
    simulate(principal: &str, actions: &[String], resources: &[String], context: &[(String, String)]) -> Vec<Simulated> = Read, "SimulatePrincipalPolicy" of principal;
}
