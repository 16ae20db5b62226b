//! Roles and instance profiles, each account's own. IAM knows no regions.
//!
//! From the start the user's account has three instance profiles whose roles may bind an address, the role `vmimport`, which
//! ImportSnapshot reads buckets with, and the role `administrator`, which may do everything. The other accounts have a role `administrator` that trusts the user's account.

use super::policy::{Kind, Policy};
use super::tags::Tags;
use super::{ACCOUNT_ID, organization};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The role that may do everything. It belongs to no instance profile.
pub const ADMINISTRATOR: &str = "administrator";

/// The instance profiles that the user's account has from the start, each with a role of the same name.
pub const FIRST_PROFILES: [&str; 3] = [
    "packer-build",
    "packer",
    "ec2-instance-profile-for-quay-image-builder",
];

/// What a guest needs to bind its own Elastic IP.
const BIND_ADDRESS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:AssociateAddress","ec2:DescribeAddresses","ec2:DescribeInstances"],"Resource":"*"}]}"#;

const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// The role that imports disk images, which AWS's users are told to make
/// (<https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html#vmimport-role>).
pub const VMIMPORT: &str = "vmimport";

const VMIMPORT_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"vmie.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:Externalid":"vmimport"}}}]}"#;

/// The documented policy, for all buckets.
const VMIMPORT_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::*"]},{"Effect":"Allow","Action":["ec2:ModifySnapshotAttribute","ec2:CopySnapshot","ec2:RegisterImage","ec2:Describe*"],"Resource":"*"}]}"#;

/// The IAM of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Iam {
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// By name.
    pub profiles: BTreeMap<String, InstanceProfile>,
}

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its path, such as `/` or `/qib/`.
    pub path: String,
    /// Its id, `AROA…`.
    pub id: String,
    /// Who may assume it.
    pub trust: String,
    /// Its description.
    pub description: Option<String>,
    /// How long its sessions may be, in seconds.
    pub longest_session: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Its inline policies, by name.
    pub policies: BTreeMap<String, InlinePolicy>,
    /// Its tags.
    pub tags: Tags,
}

/// A role's inline policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlinePolicy {
    /// What it says.
    pub document: String,
    /// Since when.
    pub since: Timestamp,
    /// What it said before: that holds until other services have heard of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// An instance profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its id, `AIPA…`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The role in it.
    pub role: Option<String>,
    /// When that was put into it.
    pub role_since: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

/// What every account has from the start.
pub fn first() -> BTreeMap<String, Iam> {
    let accounts = [
        ACCOUNT_ID,
        organization::SISTER_ACCOUNT,
        organization::STRANGER_ACCOUNT,
    ];
    accounts
        .into_iter()
        .map(|account| (account.to_owned(), Iam::first(account)))
        .collect()
}

impl Iam {
    fn first(account: &str) -> Self {
        let mut iam = Self::default();
        // Whoever uses the local EC2 may act for all of its accounts.
        let administrator = Role::first(account, ADMINISTRATOR, EVERYTHING, false);
        iam.roles.insert(ADMINISTRATOR.to_owned(), administrator);
        if account == ACCOUNT_ID {
            let vmimport = Role {
                trust: VMIMPORT_TRUST.to_owned(),
                ..Role::first(account, VMIMPORT, VMIMPORT_POLICY, false)
            };
            iam.roles.insert(VMIMPORT.to_owned(), vmimport);
        }
        let profiles = FIRST_PROFILES.iter().filter(|_| account == ACCOUNT_ID);
        for name in profiles {
            let role = Role::first(account, name, BIND_ADDRESS, true);
            iam.roles.insert((*name).to_owned(), role);
            let profile = InstanceProfile {
                name: (*name).to_owned(),
                path: "/".to_owned(),
                id: derived_id("AIPA", account, name),
                created: Timestamp::UNIX_EPOCH,
                role: Some((*name).to_owned()),
                role_since: Timestamp::UNIX_EPOCH,
                tags: Tags::default(),
            };
            iam.profiles.insert((*name).to_owned(), profile);
        }
        iam
    }

    /// The role in the profile of that name.
    pub fn role_of_profile(&self, profile: &str) -> Option<&Role> {
        let role = self.profiles.get(profile)?.role.as_ref()?;
        self.roles.get(role)
    }
}

impl Role {
    fn first(account: &str, name: &str, policy: &str, of_instances: bool) -> Self {
        let service = of_instances.then_some(r#","Service":"ec2.amazonaws.com""#);
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT_ID}:root"{}}},"Action":"sts:AssumeRole"}}]}}"#,
            service.unwrap_or_default()
        );
        let policy = InlinePolicy {
            document: policy.to_owned(),
            since: Timestamp::UNIX_EPOCH,
            before: None,
        };
        Self {
            name: name.to_owned(),
            path: "/".to_owned(),
            id: derived_id("AROA", account, name),
            trust,
            description: None,
            longest_session: 43_200,
            created: Timestamp::UNIX_EPOCH,
            policies: BTreeMap::from([("policy".to_owned(), policy)]),
            tags: Tags::default(),
        }
    }

    /// Its ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }

    /// Its policies that other services know of at `now`, if they hear of a change so much later.
    pub fn effective(&self, now: Timestamp, later: Duration) -> Vec<Policy> {
        let later = SignedDuration::try_from(later).unwrap_or_default();
        let documents =
            self.policies
                .values()
                .filter_map(|p| match now.duration_since(p.since) >= later {
                    true => Some(&p.document),
                    false => p.before.as_ref(),
                });
        // Documents are checked when they are put.
        documents
            .filter_map(|document| Policy::parse(document, Kind::Identity).ok())
            .collect()
    }
}

impl InstanceProfile {
    /// Its ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        let (path, name) = (&self.path, &self.name);
        format!("arn:aws:iam::{account}:instance-profile{path}{name}")
    }
}

/// A new id: the prefix and 17 letters and digits.
pub fn random_id(prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; 17] = rand::random();
    let id: String = random
        .iter()
        .map(|b| char::from(LETTERS[usize::from(b % 32)]))
        .collect();
    format!("{prefix}{id}")
}

fn derived_id(prefix: &str, account: &str, name: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("{account}/{name}"));
    format!("{prefix}{}", hex::encode_upper(&hash[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::policy::{Context, Question, Verdict, judge};

    #[test]
    fn a_change_is_heard_of_later_and_until_then_what_was_before_holds() {
        let mut iam = Iam::first(ACCOUNT_ID);
        let role = iam.roles.get_mut("packer").unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let nothing = EVERYTHING.replace("Allow", "Deny");
        role.policies.insert(
            "policy".into(),
            InlinePolicy {
                document: nothing,
                since: at(100),
                before: Some(BIND_ADDRESS.into()),
            },
        );
        let context = Context::default();
        let asked = |role: &Role, now| {
            let question = Question {
                action: "ec2:AssociateAddress",
                resource: "*",
                context: &context,
            };
            judge(&role.effective(at(now), Duration::from_secs(10)), question)
        };
        assert_eq!(asked(role, 109), Verdict::Allowed);
        assert_eq!(asked(role, 110), Verdict::Denied);
        role.policies.clear();
        assert_eq!(asked(role, 110), Verdict::Unmentioned);
    }

    #[test]
    fn every_account_has_its_administrator_and_only_the_users_has_profiles() {
        for (account, iam) in first() {
            assert!(iam.roles.contains_key(ADMINISTRATOR), "{account}");
            let profiles = if account == ACCOUNT_ID { 3 } else { 0 };
            assert_eq!(iam.profiles.len(), profiles, "{account}");
            for role in iam.roles.values() {
                assert!(Policy::parse(&role.trust, Kind::Trust).is_ok(), "{role:?}");
                assert_eq!(role.effective(Timestamp::MAX, Duration::ZERO).len(), 1);
            }
        }
    }
}
