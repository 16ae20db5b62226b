//! IAM in memory: as strict about what holds what as IAM is.

use super::account::{FakeAccount, error, lost};
use async_trait::async_trait;
use cloud::*;
use std::collections::BTreeMap;

/// A role with its path and its inline policies by name.
#[derive(Clone, Debug)]
pub struct FakeRole {
    pub role: Role,
    pub path: String,
    pub policies: BTreeMap<String, String>,
}

/// A profile with its path and the name of its role.
#[derive(Clone, Debug)]
pub struct FakeProfile {
    pub profile: InstanceProfile,
    pub path: String,
    pub role: Option<String>,
}

/// What IAM keeps.
#[derive(Default)]
pub struct FakeIam {
    pub roles: BTreeMap<String, FakeRole>,
    pub profiles: BTreeMap<String, FakeProfile>,
    /// Actions that the simulator denies.
    pub denied_actions: Vec<String>,
    /// How many times RunInstances does not know a new profile yet.
    pub profiles_show_late: u32,
    /// Every document that a role was ever given.
    pub documents: Vec<String>,
}

impl FakeIam {
    /// What a run may have made and that is still there.
    pub fn holdings(&self) -> impl Iterator<Item = String> {
        let roles = self.roles.keys().map(|name| format!("role {name}"));
        roles.chain(
            self.profiles
                .keys()
                .map(|name| format!("instance profile {name}")),
        )
    }

    /// A role that is there, and nobody's of qib.
    pub fn with_role(&mut self, name: &str) {
        let role = Role {
            name: name.to_owned(),
            arn: arn("role", "/", name),
            created: None,
            tags: Tags::new(),
        };
        let kept = FakeRole {
            role,
            path: "/".to_owned(),
            policies: BTreeMap::new(),
        };
        self.roles.insert(name.to_owned(), kept);
    }

    /// The profile as it is described, with its role as that is now.
    fn described(&self, name: &str) -> Option<InstanceProfile> {
        let kept = self.profiles.get(name)?;
        let role = kept.role.as_ref().and_then(|role| self.roles.get(role));
        Some(InstanceProfile {
            roles: role.map(|kept| kept.role.clone()).into_iter().collect(),
            ..kept.profile.clone()
        })
    }
}

fn arn(kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::123456789012:{kind}{path}{name}")
}

#[async_trait]
impl Iam for FakeAccount {
    async fn role(&self, name: &str) -> Result<Option<Role>, CloudError> {
        self.call("GetRole")?;
        let role = self.store().iam.roles.get(name).map(|r| r.role.clone());
        Ok(role)
    }

    async fn roles_below(&self, path: &str) -> Result<Vec<Role>, CloudError> {
        self.call("ListRoles")?;
        let store = self.store();
        let below = store
            .iam
            .roles
            .values()
            .filter(|r| r.path.starts_with(path));
        Ok(below.map(|r| r.role.clone()).collect())
    }

    async fn create_instance_role(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<Role, CloudError> {
        let fault = self.call("CreateRole")?;
        assert!(path.starts_with('/') && path.ends_with('/') && name.len() <= 64);
        let mut store = self.store();
        if store.iam.roles.contains_key(name) {
            return Err(error("CreateRole", ErrorKind::Duplicate));
        }
        let role = Role {
            name: name.into(),
            arn: arn("role", path, name),
            created: store.now(),
            tags: tags.clone(),
        };
        let kept = FakeRole {
            role: role.clone(),
            path: path.into(),
            policies: BTreeMap::new(),
        };
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
        let fault = self.call("PutRolePolicy")?;
        let mut store = self.store();
        let Some(kept) = store.iam.roles.get_mut(role) else {
            return Err(error("PutRolePolicy", ErrorKind::NotFound));
        };
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(document);
        if parsed.is_err() || document.len() > 10_240 {
            return Err(error("PutRolePolicy", ErrorKind::InvalidInput));
        }
        kept.policies.insert(policy.into(), document.into());
        store.iam.documents.push(document.into());
        drop(store);
        lost((), fault)
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), CloudError> {
        let fault = self.call("DeleteRolePolicy")?;
        if let Some(kept) = self.store().iam.roles.get_mut(role) {
            kept.policies.remove(policy);
        }
        lost((), fault)
    }

    async fn delete_role(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.call("DeleteRole")?;
        let mut store = self.store();
        let holds = store
            .iam
            .roles
            .get(name)
            .is_some_and(|kept| !kept.policies.is_empty());
        let held = store
            .iam
            .profiles
            .values()
            .any(|profile| profile.role.as_deref() == Some(name));
        if holds || held {
            return Err(error("DeleteRole", ErrorKind::Dependency));
        }
        store.iam.roles.remove(name);
        drop(store);
        lost((), fault)
    }

    async fn instance_profile(&self, name: &str) -> Result<Option<InstanceProfile>, CloudError> {
        self.call("GetInstanceProfile")?;
        Ok(self.store().iam.described(name))
    }

    async fn instance_profiles_below(
        &self,
        path: &str,
    ) -> Result<Vec<InstanceProfile>, CloudError> {
        self.call("ListInstanceProfiles")?;
        let store = self.store();
        let below = store.iam.profiles.iter();
        let below = below.filter(|(_, kept)| kept.path.starts_with(path));
        Ok(below
            .filter_map(|(name, _)| store.iam.described(name))
            .collect())
    }

    async fn create_instance_profile(
        &self,
        name: &str,
        path: &str,
        tags: &Tags,
    ) -> Result<InstanceProfile, CloudError> {
        let fault = self.call("CreateInstanceProfile")?;
        assert!(path.starts_with('/') && path.ends_with('/') && name.len() <= 128);
        let mut store = self.store();
        if store.iam.profiles.contains_key(name) {
            return Err(error("CreateInstanceProfile", ErrorKind::Duplicate));
        }
        let profile = InstanceProfile {
            name: name.into(),
            arn: arn("instance-profile", path, name),
            roles: Vec::new(),
            created: store.now(),
            tags: tags.clone(),
        };
        let kept = FakeProfile {
            profile: profile.clone(),
            path: path.into(),
            role: None,
        };
        store.iam.profiles.insert(name.into(), kept);
        drop(store);
        lost(profile, fault)
    }

    async fn add_role(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let fault = self.call("AddRoleToInstanceProfile")?;
        let mut store = self.store();
        let known = store.iam.roles.contains_key(role);
        let Some(kept) = store.iam.profiles.get_mut(profile).filter(|_| known) else {
            return Err(error("AddRoleToInstanceProfile", ErrorKind::NotFound));
        };
        if kept.role.as_ref().is_some_and(|other| other != role) {
            return Err(error("AddRoleToInstanceProfile", ErrorKind::Quota));
        }
        kept.role = Some(role.into());
        drop(store);
        lost((), fault)
    }

    async fn remove_role(&self, profile: &str, role: &str) -> Result<(), CloudError> {
        let fault = self.call("RemoveRoleFromInstanceProfile")?;
        if let Some(kept) = self.store().iam.profiles.get_mut(profile)
            && kept.role.as_deref() == Some(role)
        {
            kept.role = None;
        }
        lost((), fault)
    }

    async fn delete_instance_profile(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.call("DeleteInstanceProfile")?;
        let mut store = self.store();
        let holds = store
            .iam
            .profiles
            .get(name)
            .is_some_and(|kept| kept.role.is_some());
        if holds {
            return Err(error("DeleteInstanceProfile", ErrorKind::Dependency));
        }
        store.iam.profiles.remove(name);
        drop(store);
        lost((), fault)
    }

    async fn simulate(
        &self,
        _principal: &str,
        actions: &[String],
        _resources: &[String],
        _context: &[(String, String)],
    ) -> Result<Vec<Simulated>, CloudError> {
        self.call("SimulatePrincipalPolicy")?;
        let store = self.store();
        let of = |action: &String| Simulated {
            action: action.clone(),
            allowed: !store.iam.denied_actions.contains(action),
        };
        Ok(actions.iter().map(of).collect())
    }
}
