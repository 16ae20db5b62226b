//! IAM in memory: as strict about what must go before what as the real one.

use super::account::{FakeAccount, error, lost};
use async_trait::async_trait;
use cloud::*;
use std::collections::BTreeMap;

/// A role, its path and its inline policies.
#[derive(Clone, Debug)]
pub struct KeptRole {
    pub role: Role,
    pub path: String,
    pub policies: BTreeMap<String, String>,
}

/// An instance profile and its path.
#[derive(Clone, Debug)]
pub struct KeptProfile {
    pub profile: InstanceProfile,
    pub path: String,
}

#[derive(Default)]
pub struct IamStore {
    pub roles: BTreeMap<String, KeptRole>,
    pub profiles: BTreeMap<String, KeptProfile>,
    /// Every policy that was ever put.
    pub documents: Vec<String>,
    /// How many launches EC2 refuses because it does not know a new profile yet.
    pub unknown_to_ec2: u32,
}

impl IamStore {
    /// What is there.
    pub fn holdings(&self) -> impl Iterator<Item = String> {
        let roles = self.roles.keys().map(|name| format!("role {name}"));
        let profiles = self.profiles.keys();
        roles.chain(profiles.map(|name| format!("instance profile {name}")))
    }
}

pub struct FakeIam(pub FakeAccount);

fn named(path: &str, name: &str) {
    assert!(name.len() <= 64, "IAM refuses the name {name}");
    assert!(path.starts_with('/') && path.ends_with('/'), "{path}");
}

#[async_trait]
impl Iam for FakeIam {
    async fn role(&self, name: &str) -> Result<Option<Role>, CloudError> {
        self.0.call("GetRole")?;
        let store = self.0.store();
        Ok(store.iam.roles.get(name).map(|kept| kept.role.clone()))
    }

    async fn roles_below(&self, path: &str) -> Result<Vec<Role>, CloudError> {
        self.0.call("ListRoles")?;
        let store = self.0.store();
        let below = store
            .iam
            .roles
            .values()
            .filter(|kept| kept.path.starts_with(path));
        Ok(below.map(|kept| kept.role.clone()).collect())
    }

    async fn create_instance_role(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<Role, CloudError> {
        let fault = self.0.call("CreateRole")?;
        named(path, name);
        let role = Role {
            name: name.into(),
            arn: format!("arn:aws:iam::123456789012:role{path}{name}"),
            created: None,
            tags: tags.clone(),
        };
        let kept = KeptRole {
            role: role.clone(),
            path: path.into(),
            policies: BTreeMap::new(),
        };
        let mut store = self.0.store();
        if store.iam.roles.contains_key(name) {
            return Err(error("CreateRole", ErrorKind::Duplicate));
        }
        store.iam.roles.insert(name.into(), kept);
        drop(store);
        lost(role, fault)
    }

    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), CloudError> {
        let fault = self.0.call("PutRolePolicy")?;
        assert!(document.len() <= 10_240, "IAM refuses so long a policy");
        let mut store = self.0.store();
        store.iam.documents.push(document.into());
        let kept = store.iam.roles.get_mut(role);
        let kept = kept.ok_or_else(|| error("PutRolePolicy", ErrorKind::NotFound))?;
        kept.policies.insert(policy.into(), document.into());
        drop(store);
        lost((), fault)
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), CloudError> {
        let fault = self.0.call("DeleteRolePolicy")?;
        if let Some(kept) = self.0.store().iam.roles.get_mut(role) {
            kept.policies.remove(policy);
        }
        lost((), fault)
    }

    async fn delete_role(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.0.call("DeleteRole")?;
        let mut store = self.0.store();
        let policies = store
            .iam
            .roles
            .get(name)
            .is_some_and(|kept| !kept.policies.is_empty());
        let in_profile = store
            .iam
            .profiles
            .values()
            .any(|kept| kept.profile.roles.iter().any(|role| role.name == name));
        if policies || in_profile {
            return Err(error("DeleteRole", ErrorKind::Dependency));
        }
        store.iam.roles.remove(name);
        drop(store);
        lost((), fault)
    }

    async fn instance_profile(&self, name: &str) -> Result<Option<InstanceProfile>, CloudError> {
        self.0.call("GetInstanceProfile")?;
        let store = self.0.store();
        Ok(store
            .iam
            .profiles
            .get(name)
            .map(|kept| kept.profile.clone()))
    }

    async fn instance_profiles_below(
        &self,
        path: &str,
    ) -> Result<Vec<InstanceProfile>, CloudError> {
        self.0.call("ListInstanceProfiles")?;
        let store = self.0.store();
        let below = store
            .iam
            .profiles
            .values()
            .filter(|kept| kept.path.starts_with(path));
        Ok(below.map(|kept| kept.profile.clone()).collect())
    }

    async fn create_instance_profile(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<InstanceProfile, CloudError> {
        let fault = self.0.call("CreateInstanceProfile")?;
        named(path, name);
        let profile = InstanceProfile {
            name: name.into(),
            arn: format!("arn:aws:iam::123456789012:instance-profile{path}{name}"),
            roles: Vec::new(),
            created: None,
            tags: tags.clone(),
        };
        let kept = KeptProfile {
            profile: profile.clone(),
            path: path.into(),
        };
        let mut store = self.0.store();
        if store.iam.profiles.contains_key(name) {
            return Err(error("CreateInstanceProfile", ErrorKind::Duplicate));
        }
        store.iam.profiles.insert(name.into(), kept);
        drop(store);
        lost(profile, fault)
    }

    async fn add_role(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let fault = self.0.call("AddRoleToInstanceProfile")?;
        let mut store = self.0.store();
        let missing = || error("AddRoleToInstanceProfile", ErrorKind::NotFound);
        let role = store.iam.roles.get(role).ok_or_else(missing)?.role.clone();
        let kept = store.iam.profiles.get_mut(profile).ok_or_else(missing)?;
        kept.profile.roles = vec![role];
        drop(store);
        lost((), fault)
    }

    async fn remove_role(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let fault = self.0.call("RemoveRoleFromInstanceProfile")?;
        let mut store = self.0.store();
        if let Some(kept) = store.iam.profiles.get_mut(profile) {
            kept.profile.roles.retain(|one| one.name != role);
        }
        drop(store);
        lost((), fault)
    }

    async fn delete_instance_profile(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.0.call("DeleteInstanceProfile")?;
        let mut store = self.0.store();
        let kept = store.iam.profiles.get(name);
        if kept.is_some_and(|kept| !kept.profile.roles.is_empty()) {
            return Err(error("DeleteInstanceProfile", ErrorKind::Dependency));
        }
        store.iam.profiles.remove(name);
        drop(store);
        lost((), fault)
    }
}

/// What EC2 answers to a launch with a profile that it does not know.
pub fn unknown_profile(name: &str) -> CloudError {
    CloudError {
        code: "InvalidParameterValue".into(),
        message: format!(
            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        ),
        ..error("RunInstances", ErrorKind::InvalidInput)
    }
}
