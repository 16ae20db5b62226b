//! What a sweep finds and does, as flat objects, and how a person removes what it could not.

use super::SweepPlan;
use super::carry_out::{Carried, Outcome};
use super::rule::{Finding, Standing, Thing, Verdict};
use crate::report::LeftResource;
use crate::undo::{aws_commands, delete_profile_commands, delete_role_commands};
use serde::Serialize;

/// One thing, as a flat object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SweepRow {
    /// Where it is.
    pub region: String,
    /// `instance`, `volume`, `key-pair`, `security-group`, `instance-profile`, `role`, `image`, `snapshot`,
    /// `import-task`, `upload`, `object`, `address-binding`, `lease` or `journal`.
    pub kind: String,
    /// Its id; a lease's is its parameter's name, a journal's the run, an object's where it is.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// The run that made it.
    pub run: String,
    /// Its pipeline; empty if nothing says so.
    pub pipeline: String,
    /// The stage; empty if it belongs to the run as a whole.
    pub stage: String,
    /// The cell within the stage.
    pub cell: String,
    /// When it was made, RFC 3339; none if that is not known.
    pub created: Option<String>,
    /// `remove` (planned), `removed`, `failed` or `keep`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// The command that removes it.
    pub remove_with: String,
    /// What it is to those who look.
    #[serde(skip)]
    pub standing: Standing,
}

/// The plan's rows.
pub fn planned_rows(plan: &SweepPlan, endpoint: Option<&str>) -> Vec<SweepRow> {
    plan.judged
        .iter()
        .map(|one| {
            let (action, reason) = match &one.verdict {
                Verdict::Remove { reason } => ("remove", reason),
                Verdict::Keep { reason } => ("keep", reason),
            };
            row(&one.finding, one.standing, action, reason, endpoint)
        })
        .collect()
}

/// What became of everything.
pub fn rows(carried: &Carried, endpoint: Option<&str>) -> Vec<SweepRow> {
    let things = carried.outcomes.iter().map(|(finding, standing, outcome)| {
        let (action, reason) = match outcome {
            Outcome::Kept { reason } => ("keep", reason),
            Outcome::Removed { reason } => ("removed", reason),
            Outcome::Failed { reason } => ("failed", reason),
        };
        row(finding, *standing, action, reason, endpoint)
    });
    let unsettled = carried.unsettled.iter().map(|(run, left)| SweepRow {
        region: left.region.clone(),
        kind: left.kind.clone(),
        id: left.id.clone(),
        name: String::new(),
        run: run.to_string(),
        pipeline: String::new(),
        stage: String::new(),
        cell: String::new(),
        created: None,
        action: "failed",
        reason: left.reason.clone(),
        remove_with: left.remove_with.clone(),
        standing: Standing::Aid,
    });
    things.chain(unsettled).collect()
}

fn row(
    finding: &Finding,
    standing: Standing,
    action: &'static str,
    reason: &str,
    endpoint: Option<&str>,
) -> SweepRow {
    let origin = &finding.origin;
    let cell = origin.cell.clone();
    let (stage, cell) = cell.map_or_else(Default::default, |cell| (cell.stage, cell.cell));
    SweepRow {
        region: finding.region.to_string(),
        kind: finding.thing.kind().to_owned(),
        id: finding.thing.id().to_owned(),
        name: finding.name.clone(),
        run: origin.run.to_string(),
        pipeline: origin.pipeline.clone(),
        stage,
        cell,
        created: finding.created.map(|at| at.to_string()),
        action,
        reason: reason.to_owned(),
        remove_with: remove_with(finding, endpoint),
        standing,
    }
}

/// Something that is still there, as a person removes it.
pub(super) fn left(finding: &Finding, reason: String, endpoint: Option<&str>) -> LeftResource {
    LeftResource {
        kind: finding.thing.kind().to_owned(),
        id: finding.thing.id().to_owned(),
        region: finding.region.to_string(),
        remove_with: remove_with(finding, endpoint),
        reason,
    }
}

fn remove_with(finding: &Finding, endpoint: Option<&str>) -> String {
    let region = finding.region.as_str();
    let command = match &finding.thing {
        Thing::AddressBinding { association, .. } => {
            format!("ec2 disassociate-address --association-id {association}")
        }
        Thing::Instance(id) => format!("ec2 terminate-instances --instance-ids {id}"),
        Thing::Image(id) => {
            format!("ec2 deregister-image --delete-associated-snapshots --image-id {id}")
        }
        Thing::ImportTask(id) => format!("ec2 cancel-import-task --import-task-id {id}"),
        Thing::Upload {
            bucket,
            key,
            upload,
            ..
        } => format!(
            "s3api abort-multipart-upload --bucket {bucket} --key {key} --upload-id '{upload}'"
        ),
        Thing::Object { place, .. } => format!("s3 rm {place}"),
        Thing::Snapshot(id) | Thing::ImportedSnapshot { id, .. } => {
            format!("ec2 delete-snapshot --snapshot-id {id}")
        }
        Thing::Volume(id) => format!("ec2 delete-volume --volume-id {id}"),
        Thing::KeyPair(id) => format!("ec2 delete-key-pair --key-pair-id {id}"),
        Thing::SecurityGroup(id) => format!("ec2 delete-security-group --group-id {id}"),
        Thing::InstanceProfile(name) => {
            return aws_commands(region, endpoint, &delete_profile_commands(name));
        }
        Thing::Role(name) => return aws_commands(region, endpoint, &delete_role_commands(name)),
        Thing::Ticket(name) | Thing::RunLease(name) => {
            format!("ssm delete-parameter --name {name}")
        }
        Thing::Journal(run) => {
            return format!("qib sweep --region {} --run {run} --yes", finding.region);
        }
    };
    aws_commands(region, endpoint, &[command])
}
