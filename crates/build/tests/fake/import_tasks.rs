//! ImportSnapshot in memory: a task that is looked at goes on, to the end that the test has put ready.

use super::account::{FakeAccount, error, lost};
use bytes::Bytes;
use cloud::*;
use std::collections::{BTreeMap, VecDeque};

/// What a task comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// A snapshot.
    Snapshot,
    /// Nothing, and this is what EC2 says.
    Fails(String),
    /// It stays as it is.
    Stuck,
    /// A snapshot, although it was to be cancelled.
    SnapshotInSpite,
}

/// The tasks of a region.
#[derive(Default)]
pub struct Tasks {
    /// By id.
    pub all: BTreeMap<String, Kept>,
    /// What the next tasks come to; then to a snapshot.
    pub ends: VecDeque<TaskEnd>,
    /// What ImportSnapshot was asked for.
    pub asked: Vec<ImportRequest>,
    /// So many looks do not see the newest task.
    pub shows_late: u32,
}

/// A task.
#[derive(Clone)]
pub struct Kept {
    pub task: ImportTask,
    token: String,
    end: TaskEnd,
    looks: u32,
}

impl FakeAccount {
    pub(super) fn import_begun(&self, request: &ImportRequest) -> Result<ImportTaskId, CloudError> {
        const CALL: &str = "ImportSnapshot";
        let fault = self.call(CALL)?;
        assert!(request.client_token.len() <= 64 && request.client_token.is_ascii());
        self.store().tasks.asked.push(request.clone());
        let known = {
            let store = self.store();
            let mut all = store.tasks.all.values();
            let known = all.find(|kept| kept.token == request.client_token);
            known.map(|kept| kept.task.task_id.clone())
        };
        if let Some(known) = known {
            return lost(known, fault);
        }
        let key = (request.object.bucket.clone(), request.object.key.clone());
        if !self.store().buckets.objects.contains_key(&key) {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let id = ImportTaskId::new(self.id("import-snap"));
        let mut store = self.store();
        let end = store.tasks.ends.pop_front().unwrap_or(TaskEnd::Snapshot);
        let task = ImportTask {
            task_id: id.clone(),
            state: ImportState::Active,
            status: "active".to_owned(),
            status_message: "pending".to_owned(),
            progress_percent: Some(0),
            snapshot_id: None,
            object: Some(request.object.clone()),
            tags: request.tags.clone(),
        };
        let kept = Kept {
            task,
            token: request.client_token.clone(),
            end,
            looks: 0,
        };
        store.tasks.all.insert(id.to_string(), kept);
        drop(store);
        lost(id, fault)
    }

    pub(super) fn import_tasks_seen(&self) -> Result<Vec<ImportTask>, CloudError> {
        self.call("DescribeImportSnapshotTasks")?;
        if !self.store().tasks.all.is_empty() && self.store().tasks.shows_late > 0 {
            self.store().tasks.shows_late -= 1;
            return Ok(Vec::new());
        }
        let ids: Vec<String> = self.store().tasks.all.keys().cloned().collect();
        let mut seen = Vec::new();
        for id in ids {
            let kept = self.store().tasks.all[&id].clone();
            seen.push(kept.task.clone());
            let next = self.next(kept);
            self.store().tasks.all.insert(id, next);
        }
        Ok(seen)
    }

    /// What the next look sees.
    fn next(&self, mut kept: Kept) -> Kept {
        if kept.task.state != ImportState::Active {
            return kept;
        }
        kept.looks += 1;
        kept.task.status_message = "downloading/converting".to_owned();
        kept.task.progress_percent = Some(28);
        match &kept.end {
            _ if kept.looks < 2 => {}
            TaskEnd::Stuck => {}
            TaskEnd::Fails(message) => {
                kept.task.state = ImportState::Ended;
                kept.task.status = "deleted".to_owned();
                kept.task.status_message.clone_from(message);
            }
            TaskEnd::Snapshot | TaskEnd::SnapshotInSpite => self.complete_task(&mut kept),
        }
        kept
    }

    fn complete_task(&self, kept: &mut Kept) {
        let place = kept.task.object.clone().expect("each has one");
        let key = (place.bucket, place.key);
        let object = self.store().buckets.objects.get(&key).cloned();
        let Some(object) = object else {
            kept.task.state = ImportState::Ended;
            kept.task.status = "deleted".to_owned();
            kept.task.status_message = "The object is not there: Access Denied".to_owned();
            return;
        };
        let id = self.id("snap");
        let blocks = object.bytes.chunks(BLOCK_BYTES).enumerate();
        let blocks = blocks
            .map(|(index, bytes)| {
                let mut block = bytes.to_vec();
                block.resize(BLOCK_BYTES, 0);
                (u32::try_from(index).unwrap(), Bytes::from(block))
            })
            .collect();
        let gib = (object.bytes.len() as u64).div_ceil(1 << 30);
        // It carries no tag at all.
        self.with_snapshot(&id, u32::try_from(gib).unwrap(), blocks);
        kept.task.state = ImportState::Completed;
        kept.task.status = "completed".to_owned();
        kept.task.status_message.clear();
        kept.task.progress_percent = Some(100);
        kept.task.snapshot_id = Some(SnapshotId::new(id));
    }

    pub(super) fn import_cancelled(&self, task: &ImportTaskId) -> Result<(), CloudError> {
        let fault = self.call("CancelImportTask")?;
        let kept = self.store().tasks.all.get(task.as_str()).cloned();
        let Some(mut kept) = kept else {
            return Err(error("CancelImportTask", ErrorKind::NotFound));
        };
        if kept.task.state == ImportState::Active {
            if kept.end == TaskEnd::SnapshotInSpite {
                self.complete_task(&mut kept);
            } else {
                kept.task.state = ImportState::Ended;
                kept.task.status = "deleted".to_owned();
                kept.task.status_message = "User initiated task cancelation".to_owned();
            }
            self.store().tasks.all.insert(task.to_string(), kept);
        }
        lost((), fault)
    }
}
