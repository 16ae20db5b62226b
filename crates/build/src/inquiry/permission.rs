//! Whether the calls that a run makes are permitted: the actions of the least policy, each by the first that can tell.

use super::access::{Need, needs};
use super::check::{Answer, Check, Kind};
use super::dry_runs::{self, Told};
use super::{reads, simulation};
use crate::permissions::{Arns, Features, Questions, Statement, statements};
use crate::plan::Sight;
use crate::ports::Ports;
use cloud::{CloudError, ErrorKind, Iam, Region, RegionName};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a role's ARN is known that stands in a statement for the pattern of the profile's name.
const PASS_ROLE: &str = "iam:PassRole";

pub(super) async fn checks(sight: &Sight<'_>, ports: &Ports) -> Vec<Check> {
    let iam = ports.account.iam();
    let regions = sight.selection.regions();
    let open = regions
        .iter()
        .filter(|region| !sight.closed.contains_key(*region));
    let asked = open.map(|region| {
        let there = ports.account.region(region);
        let iam = iam.as_ref();
        async move { in_region(sight, there.as_ref(), iam).await }
    });
    let mut checks: Vec<Check> = Vec::new();
    for check in join_all(asked).await.into_iter().flatten() {
        // What has no region is found in each of them.
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    checks
}

/// One need, and what the account says to it.
struct Known {
    need: Need,
    answer: Answer,
    detail: String,
}

async fn in_region(sight: &Sight<'_>, region: &dyn Region, iam: &dyn Iam) -> Vec<Check> {
    let name = region.name();
    let features = Features::in_region(&sight.selection.cells, name);
    let arns = Arns {
        account: Some(sight.identity.account.to_string()),
        regions: [name.clone()].into(),
    };
    let mut checks = Vec::new();
    let (roles, missing) = roles(&features, iam).await;
    checks.extend(missing);
    let mut wanted = statements(&features, &arns, Questions::NotAsked);
    for statement in &mut wanted {
        narrow_roles(statement, &features, &roles);
        narrow_keys(statement, &features, region).await;
    }
    let needs = needs(&wanted);
    let dry = dry_runs::ask(sight, &features, region).await;
    let complaints = dry.complaints().map(|(action, words)| {
        let words = format!("asked with DryRun, EC2 says: {words}");
        Check::new(Kind::Call, Some(name), action, Answer::Warning, words)
    });
    checks.extend(complaints);
    let reads = read(sight, &needs, region).await;
    let is_root = sight.identity.arn.ends_with(":root");
    let undecided: Vec<Need> = needs
        .iter()
        .filter(|need| !reads.contains_key(need.action.as_str()))
        .filter(|need| matches!(dry.of(&need.action, need.creating()), Told::Nothing(_)))
        .cloned()
        .collect();
    // "You cannot simulate the root user."
    let simulated = if is_root {
        undecided.iter().map(|_| Ok(true)).collect()
    } else {
        simulation::ask(iam, &sight.identity.arn, name, &undecided).await
    };
    let mut simulated = undecided
        .iter()
        .zip(simulated)
        .collect::<Vec<_>>()
        .into_iter();
    let mut known = Vec::new();
    for need in &needs {
        let (answer, detail) = if let Some((answer, detail)) = reads.get(need.action.as_str()) {
            (*answer, detail.clone())
        } else {
            match dry.of(&need.action, need.creating()) {
                Told::Allowed => (Answer::Allowed, String::from("asked with DryRun")),
                Told::Denied(words) => (Answer::Denied, words),
                Told::Nothing(words) => match simulated.next() {
                    Some((_, said)) => by_simulator(need, said, words, is_root),
                    None => (Answer::Unknown, String::from("nobody was asked")),
                },
            }
        };
        known.push(Known {
            need: need.clone(),
            answer,
            detail,
        });
    }
    checks.extend(by_action(known, name));
    checks
}

/// What the simulator's word means, and who else had one.
fn by_simulator(
    need: &Need,
    said: Result<bool, Arc<CloudError>>,
    dry: Option<String>,
    is_root: bool,
) -> (Answer, String) {
    let besides = |text: String| match &dry {
        Some(words) => format!("{text}; asked with DryRun, EC2 says: {words}"),
        None => text,
    };
    let on = need.statement.resource.join(", ");
    let named = !on.contains("role/*/");
    match said {
        Ok(true) if is_root => (
            Answer::Allowed,
            String::from("the account's root may do all"),
        ),
        Ok(true) => (Answer::Allowed, String::from("by IAM's policy simulator")),
        Ok(false) if need.action == PASS_ROLE && !named => (
            Answer::Unknown,
            String::from(
                "which role the instance profile has is not known, as iam:GetInstanceProfile was refused",
            ),
        ),
        Ok(false) => (
            Answer::Denied,
            format!("by IAM's policy simulator, no policy allows it on {on}"),
        ),
        Err(error) => (
            Answer::Unknown,
            besides(format!(
                "IAM's policy simulator could not be asked: {error}"
            )),
        ),
    }
}

/// What the calls say that are simply made.
async fn read(
    sight: &Sight<'_>,
    needs: &[Need],
    region: &dyn Region,
) -> BTreeMap<&'static str, (Answer, String)> {
    let machines: Vec<String> = sight
        .surveyed
        .iter()
        .flatten()
        .filter_map(|seen| seen.work.build())
        .filter(|spec| spec.region == *region.name())
        .flat_map(|spec| spec.launch.machines.iter().cloned())
        .collect();
    let machines = &machines;
    let wanted = reads::ACTIONS
        .iter()
        .filter(|action| needs.iter().any(|need| need.action == **action));
    let calls = wanted.map(|action| async move {
        let said = reads::call(region, action, machines).await?;
        let told = match said {
            Ok(()) => (Answer::Allowed, String::from("asked")),
            Err(error) if error.kind == ErrorKind::AccessDenied => {
                (Answer::Denied, error.to_string())
            }
            Err(error) => (Answer::Unknown, error.to_string()),
        };
        Some((*action, told))
    });
    join_all(calls).await.into_iter().flatten().collect()
}

/// One check for each action: the worst that was said of it.
fn by_action(known: Vec<Known>, region: &RegionName) -> Vec<Check> {
    let mut actions: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    for one in known {
        actions
            .entry(one.need.action.clone())
            .or_default()
            .push(one);
    }
    let rank = |answer: Answer| match answer {
        Answer::Denied => 3,
        Answer::Unknown => 2,
        Answer::Warning => 1,
        Answer::Allowed => 0,
    };
    let mut checks = Vec::new();
    for (action, known) in actions {
        let worst = known.iter().map(|one| one.answer).max_by_key(|a| rank(*a));
        let answer = worst.unwrap_or(Answer::Unknown);
        let mut details: Vec<&str> = known
            .iter()
            .filter(|one| one.answer == answer)
            .map(|one| one.detail.as_str())
            .collect();
        details.dedup();
        // IAM has no regions.
        let region = (!action.starts_with("iam:")).then_some(region);
        let mut check = Check::new(
            Kind::Permission,
            region,
            &action,
            answer,
            details.join("; "),
        );
        if answer == Answer::Denied {
            let denied = known.iter().filter(|one| one.answer == answer);
            check.statements = denied.map(|one| one.need.statement.clone()).collect();
            check = check.with_next("`qib iam-policy` prints the statement that permits it");
        }
        checks.push(check);
    }
    checks
}

/// The roles of the named instance profiles, and a check for each profile that is not there.
async fn roles(features: &Features, iam: &dyn Iam) -> (BTreeMap<String, String>, Vec<Check>) {
    let profiles = features.profiles.iter();
    let asked = profiles.map(|name| async move { (name, iam.instance_profile(name).await) });
    let mut roles = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, found) in join_all(asked).await {
        let problem = match found {
            Ok(Some(profile)) => match profile.roles.first() {
                Some(role) => {
                    roles.insert(name.clone(), role.arn.clone());
                    continue;
                }
                None => "it has no role",
            },
            Ok(None) => "there is none of this name",
            // Who may not look finds out at the launch.
            Err(_) => continue,
        };
        missing.push(
            Check::new(
                Kind::Profile,
                None,
                format!("the instance profile `{name}`"),
                Answer::Denied,
                problem,
            )
            .with_next("`aws iam list-instance-profiles` lists them"),
        );
    }
    (roles, missing)
}

/// Names the roles that profiles have, where the statement has patterns for them.
fn narrow_roles(statement: &mut Statement, features: &Features, roles: &BTreeMap<String, String>) {
    let is_known = features
        .profiles
        .iter()
        .all(|name| roles.contains_key(name));
    let is_temporary = statement
        .resource
        .iter()
        .any(|arn| arn.contains(":role/qib/"));
    if statement.action == [PASS_ROLE] && !is_temporary && is_known {
        statement.resource = roles.values().cloned().collect();
        statement.resource.sort();
        statement.resource.dedup();
    }
}

/// Names the keys that aliases stand for: a policy names keys.
async fn narrow_keys(statement: &mut Statement, features: &Features, region: &dyn Region) {
    if !statement
        .action
        .iter()
        .any(|action| action.starts_with("kms:"))
    {
        return;
    }
    let aliases = statement
        .condition
        .get("ForAnyValue:StringEquals")
        .and_then(|keys| keys.get("kms:ResourceAliases"));
    let Some(aliases) = aliases else { return };
    let meant = |key: &String| aliases.iter().any(|alias| key.ends_with(alias.as_str()));
    let named = features
        .keys
        .iter()
        .filter(|(there, _)| there == region.name());
    let named = named.map(|(_, key)| key).filter(|key| meant(key));
    let found = join_all(named.map(|key| region.kms_key(key))).await;
    let known: Option<Vec<String>> = found
        .into_iter()
        .map(|key| key.ok().flatten().map(|key| key.arn))
        .collect();
    if let Some(known) = known.filter(|known| !known.is_empty()) {
        statement.resource = known;
    }
}
