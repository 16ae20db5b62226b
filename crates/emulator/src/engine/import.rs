//! Import tasks at work: the object is read, converted, and written as the blocks of a snapshot.
//!
//! ```text
//!  0 %       20 %      40 %             60 %      80 %      due
//!   ├─────────┼─────────┼─ the work ─────┼─────────┼─────────┤── snapshot
//!   the object must be there at each of them, and be the one that it was
//! ```

use super::Engine;
use crate::account::Account;
use crate::account::image::{Permission, Progress, Snapshot};
use crate::account::import_task::{DiskFormat, ImportFate, ImportPhase, ImportTask};
use crate::account::region::Region;
use crate::account::tags::Tags;
use crate::ids::{ImportTaskId, SnapshotId};
use crate::imports;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// When the object is read.
const READ_AT: u8 = 40;

/// When else it is looked at.
const LOOKED_AT: [u8; 3] = [20, 60, 80];

/// How a task that does not become a snapshot ends.
enum Ending {
    /// It fails, with this status message.
    Failed(String),
    /// It was cancelled, or stays where it is: nothing is to be done.
    None,
}

impl Engine {
    /// Lets a task go on, from its start.
    pub(super) fn start_import(self: &Arc<Self>, id: ImportTaskId) {
        let engine = self.clone();
        tokio::spawn(async move {
            match engine.import(&id).await {
                Ok(()) | Err(Ending::None) => {}
                Err(Ending::Failed(message)) => engine.end_import(&id, &message),
            }
            engine.sweep_layers().await;
        });
    }

    /// After a start: what was going on begins again.
    pub(super) fn resume_imports(self: &Arc<Self>) {
        let active: Vec<ImportTaskId> = {
            let account = self.account();
            let tasks = account
                .regions
                .values()
                .flat_map(|r| r.import_tasks.values());
            tasks
                .filter(|t| t.is_active())
                .map(|t| t.id.clone())
                .collect()
        };
        for id in active {
            // What was written of the snapshot before is swept: the new one has another id.
            self.update(|account| {
                if let Some(task) = task_mut(account, &id)
                    && let ImportPhase::Active { target, .. } = &mut task.phase
                {
                    *target = SnapshotId::random();
                }
            });
            self.start_import(id);
        }
    }

    async fn import(self: &Arc<Self>, id: &ImportTaskId) -> Result<(), Ending> {
        let mut size = None;
        let mut milestones = [LOOKED_AT.as_slice(), &[READ_AT]].concat();
        milestones.sort_unstable();
        for percent in milestones {
            self.come_to(id, percent).await?;
            let object = self.object_of(id)?;
            if percent == READ_AT {
                size = Some(self.read_in(id, object).await?);
            }
        }
        self.come_to(id, 100).await?;
        self.object_of(id)?;
        let Some(size) = size else {
            return Err(Ending::None);
        };
        self.complete_import(id, size);
        Ok(())
    }

    /// A task that still goes on.
    fn active(&self, id: &ImportTaskId) -> Result<ImportTask, Ending> {
        let account = self.account();
        let mut tasks = account
            .regions
            .values()
            .filter_map(|r| r.import_tasks.get(id));
        let task = tasks.next().filter(|t| t.is_active());
        task.cloned().ok_or(Ending::None)
    }

    /// Waits until a task has come so far, or until its fate overtakes it.
    async fn come_to(&self, id: &ImportTaskId, percent: u8) -> Result<(), Ending> {
        let task = self.active(id)?;
        let until = |percent| {
            let at = task.reaches(percent).unwrap_or(task.created);
            Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default()
        };
        match &task.fate {
            Some(ImportFate::Fails {
                percent: at,
                message,
            }) if *at <= percent => {
                tokio::time::sleep(until(*at)).await;
                self.active(id)?;
                Err(Ending::Failed(message.clone()))
            }
            Some(ImportFate::Stuck { percent: at }) if *at <= percent => Err(Ending::None),
            _ => {
                tokio::time::sleep(until(percent)).await;
                self.active(id).map(drop)
            }
        }
    }

    /// The object that the task imports.
    fn object_of(&self, id: &ImportTaskId) -> Result<crate::storage::content::Content, Ending> {
        let source = self.active(id)?.source;
        let found = self.storage.object(&source.bucket, &source.key);
        match found {
            Some((object, content)) if object.etag == source.etag => Ok(content),
            _ => Err(Ending::Failed(
                "ClientError: Disk validation failed [We do not have access to the given resource. Reason 404 Not Found]"
                    .to_owned(),
            )),
        }
    }

    /// Writes the blocks; the disk's length in bytes.
    async fn read_in(
        self: &Arc<Self>,
        id: &ImportTaskId,
        object: crate::storage::content::Content,
    ) -> Result<u64, Ending> {
        let task = self.active(id)?;
        let ImportPhase::Active { target, .. } = &task.phase else {
            return Err(Ending::None);
        };
        let target = target.clone();
        let failed = |why: imports::Unusable| Ending::Failed(why.message());
        let disk = match task.format {
            DiskFormat::Raw => imports::Disk::raw(object, task.source.size),
            format => {
                let file = || self.storage.receive().map_err(|e| failed(e.into()));
                let files = (file()?, file()?);
                imports::convert(format, object, files, task.source.size)
                    .await
                    .map_err(failed)?
            }
        };
        let engine = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            disk.write(&engine.blocks, &target, engine.clock.now())
        });
        match written.await {
            Ok(written) => written.map_err(failed),
            Err(e) => Err(failed(imports::Unusable::Internal(e.to_string()))),
        }
    }

    fn complete_import(&self, id: &ImportTaskId, size: u64) {
        let now = self.clock.now();
        self.update(|account| {
            for region in account.regions.values_mut() {
                complete(region, id, size, now);
            }
        });
    }

    fn end_import(&self, id: &ImportTaskId, message: &str) {
        let now = self.clock.now();
        let gone = now.checked_add(self.timing.import / 10).unwrap_or(now);
        self.update(|account| {
            if let Some(task) = task_mut(account, id).filter(|t| t.is_active()) {
                task.phase = ImportPhase::Ended {
                    gone,
                    message: message.to_owned(),
                };
            }
        });
    }
}

fn task_mut<'a>(account: &'a mut Account, id: &ImportTaskId) -> Option<&'a mut ImportTask> {
    let mut regions = account.regions.values_mut();
    regions.find_map(|r| r.import_tasks.get_mut(id))
}

/// Makes the snapshot. It has none of the task's tags: "The tags to apply to the import snapshot task".
fn complete(region: &mut Region, id: &ImportTaskId, size: u64, now: Timestamp) {
    let owner = region.owner.clone();
    let Some(task) = region.import_tasks.get_mut(id) else {
        return;
    };
    let ImportPhase::Active { target, .. } = &task.phase else {
        return;
    };
    let snapshot = Snapshot {
        id: target.clone(),
        owner,
        volume: "vol-ffffffff".to_owned(),
        size_gib: imports::size_gib(size),
        description: format!("Created by AWS-VMImport service for {id}"),
        started: task.created,
        progress: Progress::Done { complete: now },
        encrypted: task.encrypted,
        kms_key: task.kms_key.clone(),
        create_volume_permission: Permission::default(),
        layers: Vec::new(),
        blocks: vec![target.clone()],
        disk: None,
        tags: Tags::default(),
    };
    task.phase = ImportPhase::Completed {
        snapshot: snapshot.id.clone(),
        at: now,
    };
    region.snapshots.insert(snapshot.id.clone(), snapshot);
}
