//! What the roles of instances must be permitted, as far as qib knows: what provisioners call is theirs to say.

use super::features::ANY_REGION;
use super::partition_of_region;
use crate::selection::ChosenCell;
use pipeline::model::{Address, Bind, ElasticIpChoice, InstanceProfile, binding_statement};
use serde::Serialize;
use serde_json::{Value, json};

/// What a cell's instances need of a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProfileNeed {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// The instance profile that is there; none if qib makes one, or if there is none.
    pub instance_profile: Option<String>,
    /// What its role must be permitted; none if qib itself needs nothing of it.
    pub policy: Option<RolePolicy>,
}

/// A policy for the role of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolePolicy {
    /// Who attaches it: `user`, or `qib`, which makes the role.
    pub attached_by: &'static str,
    /// The policy.
    pub document: Value,
}

/// The need of each cell that launches.
pub fn profile_needs(cells: &[ChosenCell<'_>]) -> Vec<ProfileNeed> {
    cells.iter().filter_map(need).collect()
}

/// The policy for the roles that are somebody else's to permit: one statement for each of their needs; none if they have
/// none.
pub fn roles_policy(needs: &[ProfileNeed]) -> Option<Value> {
    let mut statements: Vec<Value> = Vec::new();
    let policies = needs.iter().filter_map(|need| need.policy.as_ref());
    for policy in policies.filter(|policy| policy.attached_by == USER) {
        for statement in policy.document["Statement"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if !statements.contains(statement) {
                statements.push(statement.clone());
            }
        }
    }
    // Statements of one policy have different ids.
    for (number, statement) in statements.iter_mut().enumerate().skip(1) {
        if let Some(Value::String(sid)) = statement.get_mut("Sid") {
            sid.push_str(&(number + 1).to_string());
        }
    }
    (!statements.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// Who attaches policies to roles that are there.
const USER: &str = "user";

fn need(chosen: &ChosenCell<'_>) -> Option<ProfileNeed> {
    let launch = chosen.cell.launch.as_ref()?;
    let profile = launch.instance_profile.as_ref().map(|named| &named.value);
    let binding = binding(chosen);
    let policy = match profile {
        Some(InstanceProfile::Temporary(policy)) => {
            let text = policy.with_statements(binding.into_iter().collect());
            // It was made of JSON.
            serde_json::from_str(&text).ok().map(|document| RolePolicy {
                attached_by: "qib",
                document,
            })
        }
        Some(InstanceProfile::Named(_)) => binding.map(|statement| RolePolicy {
            attached_by: USER,
            document: json!({ "Version": "2012-10-17", "Statement": [statement] }),
        }),
        None => None,
    };
    Some(ProfileNeed {
        stage: chosen.name.stage.clone(),
        cell: chosen.name.cell.clone(),
        instance_profile: match profile {
            Some(InstanceProfile::Named(name)) => Some(name.to_string()),
            Some(InstanceProfile::Temporary(_)) | None => None,
        },
        policy,
    })
}

/// What an instance that binds its Elastic IP itself needs. Which address of a pool it will be is not known, so that any
/// that carries the pool's tags is meant.
fn binding(chosen: &ChosenCell<'_>) -> Option<Value> {
    let connect = chosen.cell.connect.as_ref()?;
    let Address::ElasticIp(address) = &connect.address.value else {
        return None;
    };
    if address.bind != Bind::UserData {
        return None;
    }
    let region = chosen.region.as_str();
    let partition = partition_of_region(if region == ANY_REGION { "" } else { region });
    let allocation = match &address.choice {
        ElasticIpChoice::One(id) => id.as_str(),
        ElasticIpChoice::Pool(_) => "*",
    };
    Some(binding_statement(partition, region, allocation))
}
