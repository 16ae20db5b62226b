//! What imports leave.

use super::*;

fn place(key: &str) -> ObjectPlace {
    ObjectPlace {
        bucket: "images".to_owned(),
        key: key.to_owned(),
    }
}

/// What an import through S3 leaves: an object and an upload of the dead run, and those of others.
fn with_objects(account: &FakeAccount) {
    let mut store = account.store();
    for (bucket, region) in [("images", REGION), ("elsewhere", "eu-west-1")] {
        store.buckets.regions.insert(bucket.into(), region.into());
    }
    for run in [run(), RunId::from_random(8)] {
        let key = format!("qib/{run}/disk.raw");
        let object = Object {
            bytes: vec![0; 1 << 20],
            checksum: String::new(),
        };
        store
            .buckets
            .objects
            .insert(("images".into(), key.clone()), object);
        let begun = Begun {
            place: place(&key),
            parts: Default::default(),
        };
        store.buckets.uploads.insert(format!("upload-{run}"), begun);
    }
    let foreign = Object {
        bytes: Vec::new(),
        checksum: String::new(),
    };
    for key in ["qib/readme.txt", "other/disk.raw"] {
        let key = ("images".to_owned(), key.to_owned());
        store.buckets.objects.insert(key, foreign.clone());
    }
}

/// Begins a task of `run` and looks at it so often.
async fn task(account: &FakeAccount, run: &RunId, end: TaskEnd, looks: usize) {
    account.store().tasks.ends.push_back(end);
    let request = ImportRequest {
        client_token: format!("{run}-{}", account.store().tasks.all.len()),
        object: place(&format!("qib/{run}/disk.raw")),
        format: "RAW".to_owned(),
        description: String::new(),
        role: "vmimport".to_owned(),
        encryption: SnapshotEncryption::AsAccount,
        tags: tags().with(tag::RUN, run.as_str()),
    };
    account.import_snapshot(&request).await.unwrap();
    for _ in 0..looks {
        account.import_tasks(&[]).await.unwrap();
    }
}

#[test]
fn what_an_import_through_s3_left_is_found_by_its_tasks() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        with_objects(&account);
        let sweep = sweep(&account, clock, folder.path());
        // One is active, another has come to a snapshot that nobody has tagged; a third failed.
        task(&account, &run(), TaskEnd::Stuck, 1).await;
        task(&account, &run(), TaskEnd::Snapshot, 3).await;
        task(&account, &run(), TaskEnd::Fails("broken".to_owned()), 3).await;
        let kinds: Vec<String> = planned_rows(&look(&sweep).await.unwrap(), None)
            .into_iter()
            .filter(|row| row.action == "remove")
            .map(|row| row.kind)
            .collect();
        for kind in ["import-task", "upload", "object"] {
            assert!(kinds.iter().any(|of| of == kind), "{kind}: {kinds:?}");
        }
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        let mut others: Vec<String> = OTHERS.map(str::to_owned).into();
        let alive = RunId::from_random(8);
        others.extend([format!("qib/{alive}/disk.raw"), format!("upload-{alive}")]);
        others.extend(["qib/readme.txt", "other/disk.raw"].map(str::to_owned));
        let mut holdings = account.holdings();
        holdings.sort();
        others.sort();
        // Nothing else tells of the other run: what it has stays.
        assert_eq!(holdings, others);
        let calls = account.store().calls.clone();
        assert!(position(&calls, "CancelImportTask") < position(&calls, "AbortMultipartUpload"));
        assert!(position(&calls, "AbortMultipartUpload") < position(&calls, "DeleteSnapshot"));
    });
}

#[test]
fn a_snapshot_that_comes_in_spite_of_the_cancellation_goes_as_well() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        with_objects(&account);
        let sweep = sweep(&account, clock, folder.path());
        task(&account, &run(), TaskEnd::SnapshotInSpite, 1).await;
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        let snapshots: Vec<String> = account.store().snapshots.keys().cloned().collect();
        assert_eq!(snapshots, ["snap-of-ami-foreign", "snap-of-ami-whole"]);
    });
}

#[test]
fn a_tasks_snapshot_stays_that_a_complete_image_stands_on() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        with_objects(&account);
        let sweep = sweep(&account, clock, folder.path());
        task(&account, &run(), TaskEnd::Snapshot, 3).await;
        let made = {
            let store = account.store();
            let mut made = store.tasks.all.values();
            made.find_map(|kept| kept.task.snapshot_id.clone()).unwrap()
        };
        let mut whole = image("ami-imported", tags().with(tag::COMPLETE, "true"));
        whole.snapshots = vec![made.clone()];
        account.store().images.insert("ami-imported".into(), whole);
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        assert!(account.store().snapshots.contains_key(made.as_str()));
    });
}

#[test]
fn a_bucket_that_is_named_is_looked_into_where_it_is() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        with_objects(&account);
        // EC2 has forgotten the tasks.
        let sweep = Sweep {
            buckets: vec!["images".into(), "elsewhere".into(), "of-nobody".into()],
            ..sweep(&account, clock, folder.path())
        };
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        let keys: Vec<String> = account
            .store()
            .buckets
            .objects
            .keys()
            .map(|(_, key)| key.clone())
            .collect();
        let other = RunId::from_random(8);
        let expected = [
            "other/disk.raw".to_owned(),
            format!("qib/{other}/disk.raw"),
            "qib/readme.txt".to_owned(),
        ];
        assert_eq!(keys, expected, "nothing tells whether the other run lives");
        // It is taken if it is asked for.
        let sweep = Sweep {
            only: Some(other.clone()),
            ..sweep
        };
        swept(&sweep, &Nobody).await;
        let store = account.store();
        let left = store
            .buckets
            .objects
            .keys()
            .filter(|(_, key)| key.contains(other.as_str()));
        assert_eq!(left.count(), 0);
        assert!(store.buckets.uploads.is_empty());
    });
}

#[test]
fn a_snapshot_that_blocks_were_being_put_into_goes() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        let sweep = sweep(&account, clock, folder.path());
        let request = StartRequest {
            client_token: "t".to_owned(),
            volume_gib: 1,
            description: "a disk".to_owned(),
            parent: None,
            encryption: SnapshotEncryption::AsAccount,
            idle_minutes: 60,
            tags: tags(),
        };
        let started = account.blocks().start(&request).await.unwrap().snapshot_id;
        let state = account.store().snapshots[started.as_str()].state.clone();
        assert_eq!(state, SnapshotState::Pending);
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        assert!(!account.store().snapshots.contains_key(started.as_str()));
    });
}

#[test]
fn who_may_not_see_imports_sweeps_all_the_rest() {
    timed(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let account = left_by_a_dead_run();
        account.store().denied.push("DescribeImportSnapshotTasks");
        let sweep = sweep(&account, clock, folder.path());
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), [""; 0]);
        assert_eq!(account.holdings(), OTHERS);
    });
}
