//! What disk images leave on their way through S3: import tasks, which carry tags; the snapshots that they came to, which
//! carry none; uploads and objects, whose keys begin with the run.

use crate::names::{OBJECTS, RunId, tag};
use cloud::*;
use std::collections::BTreeSet;

/// What is left of imports in a region, and in the buckets that are known.
#[derive(Clone, Debug, Default)]
pub struct Imports {
    /// Import tasks with qib's tag.
    pub tasks: Vec<ImportTask>,
    /// Snapshots that these tasks came to and that are there.
    pub snapshots: Vec<Snapshot>,
    /// Uploads under way below `qib/`.
    pub uploads: Vec<(ObjectPlace, UploadId)>,
    /// Objects below `qib/`.
    pub objects: Vec<ObjectPlace>,
}

impl Imports {
    /// Looks. To those who may not see import tasks or a bucket there is nothing of that kind: they cannot have made any.
    pub(super) async fn observe(
        region: &dyn Region,
        buckets: &[String],
    ) -> Result<Self, CloudError> {
        let mut tasks = seen(region.import_tasks(&[]).await)?;
        tasks.retain(|task| task.tags.get(tag::RUN).is_some());
        let made: Vec<String> = tasks
            .iter()
            .filter_map(|task| Some(task.snapshot_id.as_ref()?.to_string()))
            .collect();
        let snapshots = match made.is_empty() {
            true => Vec::new(),
            false => {
                let filters = [("snapshot-id".to_owned(), made)];
                region.snapshots(&filters).await?
            }
        };
        let named = tasks.iter().filter_map(|task| task.object.as_ref());
        let named = named.map(|object| object.bucket.clone());
        let buckets: BTreeSet<String> = named.chain(buckets.iter().cloned()).collect();
        let objects = region.objects();
        let mut this = Self {
            tasks,
            snapshots,
            ..Self::default()
        };
        for bucket in &buckets {
            // S3 answers about buckets of other regions with a redirection alone.
            match seen(objects.bucket_region(bucket).await)? {
                Some(other) if other != region.name().as_str() => continue,
                Some(_) | None => {}
            }
            let (uploads, there) = futures::join!(
                objects.uploads(bucket, OBJECTS),
                objects.list(bucket, OBJECTS)
            );
            this.uploads.extend(seen(uploads)?);
            this.objects.extend(seen(there)?);
        }
        Ok(this)
    }

    /// The run whose object this is, by its key.
    pub(super) fn run_of(place: &ObjectPlace) -> Option<RunId> {
        RunId::parse(place.key.strip_prefix(OBJECTS)?.split('/').next()?)
    }
}

/// What may not be seen, or is not there, counts as nothing.
fn seen<T: Default>(looked: Result<T, CloudError>) -> Result<T, CloudError> {
    match looked {
        Err(error) if matches!(error.kind, ErrorKind::AccessDenied | ErrorKind::NotFound) => {
            Ok(T::default())
        }
        looked => looked,
    }
}
