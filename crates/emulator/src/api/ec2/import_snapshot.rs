//! Importing disk images from S3 as snapshots.
//!
//! <https://docs.aws.amazon.com/vm-import/latest/userguide/vmimport-import-snapshot.html>

use super::Action;
use super::block_devices;
use super::client_token::ClientToken;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::snapshot_copy::Encryption;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::iam::Role;
use crate::account::import_task::{DiskFormat, ImportPhase, ImportSource, ImportTask};
use crate::account::policy::{Context, Kind, Policy, Question, Verdict, judge};
use crate::api::error::ApiError;
use crate::api::s3::route::{bucket_arn, object_arn};
use crate::api::{Cx, Effect};
use crate::ids::{ImportTaskId, SnapshotId};
use jiff::Timestamp;

/// The role that reads the object if none is named.
const USUAL_ROLE: &str = "vmimport";

/// Who assumes it, and what it says of itself then: the trust policy of
/// <https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html#vmimport-role>.
const SERVICE: &str = "vmie.amazonaws.com";

/// "Concurrent ImportImage or ImportSnapshot tasks: 20"
/// (<https://docs.aws.amazon.com/general/latest/gr/vmimport.html>).
const MOST_TASKS: usize = 20;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameter", message)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportSnapshot.html>
pub(crate) struct ImportSnapshot {
    description: String,
    disk_description: Option<String>,
    format: DiskFormat,
    bucket: String,
    key: String,
    url: Option<String>,
    role: String,
    encryption: Encryption,
    token: Option<ClientToken>,
    tags: TagSpecs,
}

impl Action for ImportSnapshot {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let disk = p.inside("DiskContainer");
        let format = disk.required("Format")?;
        let format = DiskFormat::named(format)
            .ok_or_else(|| invalid(format!("The format '{format}' is not supported.")))?;
        let (bucket, key, url) = place(&disk)?;
        // "The client-specific data": said to the service and never seen again.
        for name in ["Comment", "UploadEnd", "UploadSize", "UploadStart"] {
            p.inside("ClientData").text(name);
        }
        Ok(Self {
            description: p.text("Description").unwrap_or_default().to_owned(),
            disk_description: disk.text("Description").map(str::to_owned),
            format,
            bucket,
            key,
            url,
            role: p.text("RoleName").unwrap_or(USUAL_ROLE).to_owned(),
            encryption: Encryption::parse(p)?,
            token: ClientToken::parse(p)?,
            tags: TagSpecs::parse(p, &["import-snapshot-task"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "ImportSnapshot")?
        {
            let id = ImportTaskId::parse(&made)?;
            let tasks = &cx.region().import_tasks;
            let task = tasks.get(&id).ok_or_else(|| not_found(&made))?;
            return Ok(answer(task, now));
        }
        check_role(cx, &self)?;
        let source = self.source(cx)?;
        let (encrypted, kms_key) = self.key(cx)?;
        let tasks = &mut cx.region().import_tasks;
        tasks.retain(|_, t| t.is_shown(now));
        if tasks.values().filter(|t| t.is_active()).count() >= MOST_TASKS {
            return Err(ApiError::new(
                "ResourceLimitExceeded",
                format!("You have reached the limit of {MOST_TASKS} concurrent import tasks."),
            ));
        }
        let due = now.checked_add(cx.timing.import).unwrap_or(now);
        let task = ImportTask {
            id: ImportTaskId::random(),
            created: now,
            description: self.description,
            disk_description: self.disk_description,
            format: self.format,
            source,
            role: self.role,
            encrypted,
            kms_key,
            fate: (cx.import_fate)()?,
            phase: ImportPhase::Active {
                due,
                target: SnapshotId::random(),
            },
            tags: self.tags.of("import-snapshot-task"),
        };
        if let Some(token) = self.token {
            token.remember(cx, "ImportSnapshot", task.id.as_str());
        }
        let x = answer(&task, now);
        cx.effects.push(Effect::Import(task.id.clone()));
        cx.region().import_tasks.insert(task.id.clone(), task);
        Ok(x)
    }
}

/// Reads where the object is: `UserBucket`, or a `Url` that begins with `s3://`.
fn place(disk: &Scope<'_>) -> Result<(String, String, Option<String>), ApiError> {
    let user_bucket = disk.inside("UserBucket");
    match (disk.text("Url"), user_bucket.given()) {
        (Some(_), true) => Err(ApiError::combination(
            "The parameter DiskContainer.Url cannot be used with the parameter DiskContainer.UserBucket",
        )),
        (None, false) => Err(ApiError::missing("DiskContainer.UserBucket")),
        (None, true) => {
            let bucket = user_bucket.required("S3Bucket")?;
            let key = user_bucket.required("S3Key")?;
            Ok((bucket.to_owned(), key.to_owned(), None))
        }
        (Some(url), false) => {
            let path = url.strip_prefix("s3://").ok_or_else(|| {
                invalid("The local EC2 imports from s3:// URLs alone, not from https:// ones.")
            })?;
            match path.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok((bucket.to_owned(), key.to_owned(), Some(url.to_owned())))
                }
                _ => Err(invalid("Invalid S3 source location.")),
            }
        }
    }
}

/// Whether the role is there, trusts the service, and may read the object.
fn check_role(cx: &Cx<'_>, asked: &ImportSnapshot) -> Result<(), ApiError> {
    let role = cx.account.role(cx.owner(), &asked.role);
    match role.is_some_and(|role| trusts_service(role) && may_read(cx, role, asked)) {
        true => Ok(()),
        false => Err(invalid(format!(
            "The service role {} provided does not exist or does not have sufficient permissions",
            asked.role
        ))),
    }
}

fn trusts_service(role: &Role) -> bool {
    let context = Context::default().with("sts:ExternalId", USUAL_ROLE);
    Policy::parse(&role.trust, Kind::Trust)
        .is_ok_and(|trust| trust.trusts(SERVICE, &context) == Ok(true))
}

fn may_read(cx: &Cx<'_>, role: &Role, asked: &ImportSnapshot) -> bool {
    let policies = role.effective(cx.now, cx.timing.iam);
    let context = Context::default().with("aws:RequestedRegion", cx.region);
    let (bucket, object) = (
        bucket_arn(&asked.bucket),
        object_arn(&asked.bucket, &asked.key),
    );
    let needed = [
        ("s3:GetBucketLocation", bucket.as_str()),
        ("s3:ListBucket", bucket.as_str()),
        ("s3:GetObject", object.as_str()),
    ];
    needed.into_iter().all(|(action, resource)| {
        let question = Question {
            action,
            resource,
            context: &context,
        };
        judge(&policies, question) == Verdict::Allowed
    })
}

impl ImportSnapshot {
    /// The object, which must be there, in a bucket of this region and account.
    fn source(&self, cx: &Cx<'_>) -> Result<ImportSource, ApiError> {
        let bucket = cx.storage.lock().bucket(&self.bucket).cloned();
        let bucket = bucket.filter(|b| b.owner == cx.owner());
        let bucket = bucket.ok_or_else(|| invalid("Invalid S3 source location."))?;
        if bucket.region != cx.region {
            return Err(invalid(format!(
                "The given S3 object is not local to the region. The object must be located in {}.",
                cx.region
            )));
        }
        let (object, _) = cx
            .storage
            .object(&self.bucket, &self.key)
            .ok_or_else(|| invalid("Invalid S3 source location."))?;
        Ok(ImportSource {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            etag: object.etag,
            size: object.size,
            url: self.url.clone(),
        })
    }

    fn key(&self, cx: &mut Cx<'_>) -> Result<(bool, Option<String>), ApiError> {
        if !self.encryption.is_wanted() {
            return Ok((false, None));
        }
        let key = block_devices::key(cx, self.encryption.key());
        let named = self.encryption.key().unwrap_or_default();
        let arn = key.map_err(|_| invalid(format!("The KMS key '{named}' cannot be used.")))?;
        Ok((true, Some(arn)))
    }
}

fn answer(task: &ImportTask, now: Timestamp) -> Xml {
    let mut x = Xml::new();
    write(&mut x, task, now);
    x
}

fn write(x: &mut Xml, task: &ImportTask, now: Timestamp) {
    x.put("description", &task.description)
        .put("importTaskId", &task.id);
    x.node("snapshotTaskDetail", |x| {
        x.maybe("description", task.disk_description.as_ref())
            .put("diskImageSize", format!("{:.1}", disk_size(task, now)))
            .put("encrypted", task.encrypted)
            .put("format", task.format.name())
            .maybe("kmsKeyId", task.kms_key.as_ref())
            .maybe("progress", task.percent(now))
            .maybe("snapshotId", snapshot(task))
            .put("status", task.status(now))
            .maybe("statusMessage", task.message(now))
            .maybe("url", task.source.url.as_ref());
        if task.source.url.is_none() {
            x.node("userBucket", |x| {
                x.put("s3Bucket", &task.source.bucket)
                    .put("s3Key", &task.source.key);
            });
        }
    });
    write_tags(x, &task.tags);
}

/// In bytes, whatever the reference says: EC2's own examples show it so. It is not known while the task is pending.
fn disk_size(task: &ImportTask, now: Timestamp) -> f64 {
    match task.message(now) {
        Some("pending") => 0.0,
        _ => task.source.size as f64,
    }
}

fn snapshot(task: &ImportTask) -> Option<&SnapshotId> {
    match &task.phase {
        ImportPhase::Completed { snapshot, .. } => Some(snapshot),
        ImportPhase::Active { .. } | ImportPhase::Ended { .. } => None,
    }
}

/// `InvalidConversionTaskId`: "The specified conversion task ID … is not valid".
fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "InvalidConversionTaskId",
        format!("The task with the ID {id} does not exist."),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImportSnapshotTasks.html>
pub(crate) struct DescribeImportSnapshotTasks {
    ids: Vec<ImportTaskId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeImportSnapshotTasks {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p.texts("ImportTaskId").into_iter();
        let ids = ids
            .map(ImportTaskId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        // In this action the list is not called Filter.
        Ok(Self {
            ids,
            filters: Filters::parse_list(p, "Filters", &["task-state"])?,
            page: Page::parse(p, 1)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let tasks = &cx.region().import_tasks;
        let shown = |id: &ImportTaskId| tasks.get(id).filter(|t| t.is_shown(now));
        if let Some(unknown) = self.ids.iter().find(|id| shown(id).is_none()) {
            return Err(not_found(unknown.as_str()));
        }
        let chosen = tasks.values().filter(|t| {
            let asked = self.ids.is_empty() || self.ids.contains(&t.id);
            let passes = self
                .filters
                .pass(&t.tags, |_| vec![t.status(now).to_owned()]);
            asked && t.is_shown(now) && passes
        });
        let (page, token) = self.page.cut(chosen.collect(), |t| t.id.to_string());
        let mut x = Xml::new();
        x.list("importSnapshotTaskSet", page, |x, t| write(x, t, now));
        write_token(&mut x, token);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CancelImportTask.html>
pub(crate) struct CancelImportTask {
    id: ImportTaskId,
    reason: Option<String>,
}

impl Action for CancelImportTask {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: ImportTaskId::parse(p.required("ImportTaskId")?)?,
            reason: p.text("CancelReason").map(str::to_owned),
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let gone = now.checked_add(cx.timing.import / 10).unwrap_or(now);
        let tasks = &mut cx.region().import_tasks;
        let task = tasks
            .get_mut(&self.id)
            .ok_or_else(|| not_found(self.id.as_str()))?;
        let before = task.status(now);
        if !task.is_active() {
            return Err(ApiError::new(
                "IncorrectState",
                format!(
                    "The task {} cannot be canceled: it is not active but {before}.",
                    task.id
                ),
            ));
        }
        task.phase = ImportPhase::Ended {
            gone,
            message: match self.reason {
                Some(reason) => format!("ClientError: Task canceled by user [{reason}]"),
                None => "ClientError: Task canceled by user".to_owned(),
            },
        };
        let mut x = Xml::new();
        x.put("importTaskId", &task.id)
            .put("previousState", before)
            .put("state", "deleting");
        // What was written of the snapshot is nobody's.
        cx.effects.push(Effect::SweepLayers);
        Ok(x)
    }
}
