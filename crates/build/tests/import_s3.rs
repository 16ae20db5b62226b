//! Disk images that become images by an object in S3 and ImportSnapshot, in whole runs.

mod fake;

use build::names::tag;
use build::report::ExitCode;
use cloud::{ErrorKind, ImportState};
use fake::account::Fault;
use fake::import_tasks::TaskEnd;
use fake::importing::{Importing, MIB, Of, disk, only_failure};

const VIA: &str = ", via: s3, bucket: images";

/// Two parts and a bit.
fn three_parts() -> Importing {
    Importing::of(disk(&[Of::Data(7); 66]))
}

/// One part.
fn small() -> Importing {
    Importing::of(disk(&[Of::Data(7); 3]))
}

#[test]
fn the_object_goes_in_parts_and_is_gone_when_it_is_imported() {
    let world = three_parts();
    assert!(world.bytes.len() > 2 * 16 * MIB);
    let report = world.run(1, &world.pipeline(VIA, ""));
    let snapshot = world.is_all_there_is(&report);
    let store = world.site.account.store();
    let mut parts: Vec<u32> = store
        .buckets
        .parts
        .iter()
        .map(|(_, number)| *number)
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, [1, 2, 3]);
    let [asked] = store.tasks.asked.as_slice() else {
        panic!("{:?}", store.tasks.asked);
    };
    assert_eq!(asked.format, "RAW");
    assert_eq!(asked.role, "vmimport");
    let run = store.images[&report.images[0].image_id]
        .tags
        .get(tag::RUN)
        .unwrap()
        .to_owned();
    assert!(
        asked.object.key.starts_with(&format!("qib/{run}/")),
        "{}",
        asked.object
    );
    assert_eq!(asked.tags.get(tag::RUN), Some(run.as_str()));
    // The task's tags are no tags of its snapshot: it is given them afterwards.
    let tags = &store.snapshots[&snapshot].tags;
    assert_eq!(tags.get(tag::RUN), Some(run.as_str()));
    assert!(
        world
            .site
            .recorder
            .text()
            .contains("downloading/converting"),
        "EC2's words are shown"
    );
}

#[test]
fn an_instance_starts_from_what_was_imported() {
    let world = small();
    let report = world.run(1, &world.launching(VIA));
    let image = world.image(&report);
    let expected = [image.image_id.to_string(), image.snapshots[0].to_string()];
    assert_eq!(world.holdings(), expected);
}

#[test]
fn a_bucket_of_another_region_is_found_before_anything_is_fetched() {
    let world = small();
    let mut store = world.site.account.store();
    store
        .buckets
        .regions
        .insert("images".into(), "eu-west-1".into());
    drop(store);
    let failure = only_failure(&world.run(1, &world.pipeline(VIA, "")));
    assert!(
        failure.contains("eu-west-1") && failure.contains("us-east-2"),
        "{failure}"
    );
    assert_eq!(*world.disks().fetched.lock().unwrap(), 0);

    // Whoever may not ask is let try.
    let world = small();
    world.site.account.store().denied.push("HeadBucket");
    let report = world.run(1, &world.pipeline(VIA, ""));
    world.is_all_there_is(&report);
}

#[test]
fn a_lost_reply_makes_nothing_twice() {
    let calls = [
        "CreateMultipartUpload",
        "CompleteMultipartUpload",
        "ImportSnapshot",
        "RegisterImage",
    ];
    for call in calls {
        let world = small();
        world
            .site
            .account
            .store()
            .faults
            .push((call, Fault::LostReply));
        let report = world.run(1, &world.pipeline(VIA, ""));
        world.is_all_there_is(&report);
        let store = world.site.account.store();
        assert!(store.faults.is_empty(), "{call} was made");
        assert_eq!(store.tasks.all.len(), 1, "{call}");
        assert_eq!(store.buckets.parts.len(), 1, "{call}");
        assert_eq!(store.registrations.len(), 1, "{call}");
    }
}

#[test]
fn parts_that_are_joined_without_an_answer_are_joined_again() {
    let world = small();
    let fault = (
        "CompleteMultipartUpload",
        Fault::Refused(ErrorKind::Transient),
    );
    world.site.account.store().faults.extend([fault, fault]);
    let report = world.run(1, &world.pipeline(VIA, ""));
    world.is_all_there_is(&report);
    assert_eq!(world.count("CompleteMultipartUpload"), 3);
}

#[test]
fn an_object_that_is_not_what_was_sent_is_not_imported() {
    let world = small();
    world.site.account.store().buckets.corrupts = true;
    let failure = only_failure(&world.run(1, &world.pipeline(VIA, "")));
    assert!(
        failure.contains("its checksum is") && failure.contains("s3://images/qib/"),
        "{failure}"
    );
    assert_eq!(world.count("ImportSnapshot"), 0);
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn what_may_pass_is_tried_again_with_another_object_and_another_task() {
    let world = small();
    let failed = "ClientError: Disk validation failed [Timeout]".to_owned();
    world
        .site
        .account
        .store()
        .tasks
        .ends
        .extend([TaskEnd::Fails(failed), TaskEnd::Stuck]);
    let report = world.run(1, &world.pipeline(VIA, ""));
    world.is_all_there_is(&report);
    let store = world.site.account.store();
    let mut keys: Vec<&str> = store
        .tasks
        .asked
        .iter()
        .map(|one| one.object.key.as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert_eq!(store.tasks.all.len(), 3);
    let cancelled = |kept: &&fake::import_tasks::Kept| kept.task.state == ImportState::Ended;
    assert_eq!(store.tasks.all.values().filter(cancelled).count(), 2);
    drop(store);
    let said = world.site.recorder.text();
    assert!(
        said.contains("Disk validation failed [Timeout] (28 % were done), after 1 of 3 attempts"),
        "{said}"
    );
    assert!(said.contains("28 % done after 1800s"), "{said}");
}

#[test]
fn what_does_not_pass_is_tried_once_and_nothing_is_left() {
    let world = small();
    let failed = "ClientError: Unsupported disk image format".to_owned();
    world
        .site
        .account
        .store()
        .tasks
        .ends
        .push_back(TaskEnd::Fails(failed));
    let failure = only_failure(&world.run(1, &world.pipeline(VIA, "")));
    assert!(
        failure.contains("was deleted: ClientError: Unsupported"),
        "{failure}"
    );
    assert_eq!(world.count("ImportSnapshot"), 1);
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn the_attempts_come_to_an_end() {
    let world = small();
    world
        .site
        .account
        .store()
        .tasks
        .ends
        .extend(vec![TaskEnd::Stuck; 9]);
    let text = world.pipeline(&format!("{VIA}, attempts: 2, timeout: 10m"), "");
    let failure = only_failure(&world.run(1, &text));
    assert!(
        failure.contains("after 600s") && failure.contains("2 of 2 attempts"),
        "{failure}"
    );
    assert_eq!(world.count("ImportSnapshot"), 2);
    assert_eq!(world.holdings(), [""; 0]);
    // Whoever takes the run up again means it.
    world.site.account.store().tasks.ends.clear();
    let report = world.resume(1, &text);
    world.is_all_there_is(&report);
}

#[test]
fn a_snapshot_that_comes_although_its_task_was_cancelled_goes() {
    let world = small();
    let ends = [TaskEnd::SnapshotInSpite];
    world.site.account.store().tasks.ends.extend(ends);
    let looks = || world.count("DescribeImportSnapshotTasks") >= 1;
    let report = world.stopped_when(1, &world.pipeline(VIA, ""), looks);
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert_eq!(world.site.account.store().tasks.all.len(), 1);
    assert_eq!(world.holdings(), [""; 0]);
}

#[test]
fn a_run_that_is_stopped_leaves_nothing() {
    type Moment = fn(&Importing) -> bool;
    let moments: [Moment; 3] = [
        |world| !world.site.account.store().buckets.parts.is_empty(),
        |world| !world.site.account.store().buckets.objects.is_empty(),
        |world| world.count("DescribeImportSnapshotTasks") > 0,
    ];
    for (number, moment) in moments.into_iter().enumerate() {
        let world = three_parts();
        let report = world.stopped_when(1, &world.pipeline(VIA, ""), || moment(&world));
        assert_eq!(report.exit, ExitCode::Interrupted, "moment {number}");
        assert_eq!(world.holdings(), [""; 0], "moment {number}");
        assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    }
}

/// Killed after any record of its journal, and taken up again: one image in the end, of one task, of one object of which no
/// part was sent twice.
#[test]
fn a_crash_at_any_moment_makes_nothing_twice() {
    let mut killed = 0;
    for record in 1.. {
        let world = small();
        let text = world.pipeline(VIA, "");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        killed += 1;
        let report = world.resume_to_the_end(1, record, &text);
        world.is_all_there_is(&report);
        let store = world.site.account.store();
        assert_eq!(
            store.tasks.all.len(),
            1,
            "after record {record}: {}",
            world.journal(1)
        );
        assert_eq!(store.buckets.parts.len(), 1, "after record {record}");
        assert_eq!(store.registrations.len(), 1, "after record {record}");
    }
    assert!(killed >= 18, "{killed} moments");
}

#[test]
fn a_crash_between_two_attempts_costs_none() {
    let mut killed = 0;
    for record in 10.. {
        let world = small();
        world
            .site
            .account
            .store()
            .tasks
            .ends
            .push_back(TaskEnd::Stuck);
        let text = world.pipeline(&format!("{VIA}, attempts: 2, timeout: 10m"), "");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        killed += 1;
        let report = world.resume_to_the_end(1, record, &text);
        world.is_all_there_is(&report);
        let tasks = world.site.account.store().tasks.all.len();
        assert!(tasks <= 2, "after record {record}: {tasks}");
    }
    assert!(killed >= 20, "{killed} moments");
}

#[test]
fn a_dead_runs_object_upload_and_task_are_removed_by_the_next_run() {
    let mut killed = 0;
    for record in 1.. {
        let world = small();
        let text = world.pipeline(VIA, "");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        killed += 1;
        let report = world.run(2, &text);
        world.is_all_there_is(&report);
    }
    assert!(killed >= 18, "{killed} moments");
}

#[test]
fn parts_that_s3_has_are_not_sent_again() {
    let world = three_parts();
    let text = world.pipeline(VIA, "");
    // A part is sent, and the run is killed.
    let over = || !world.site.account.store().buckets.parts.is_empty();
    assert!(world.run_until(1, &text, over).is_none());
    let sent = world.site.account.store().buckets.parts.len();
    assert!(sent < 3, "it was killed on its way");
    let report = world.resume(1, &text);
    world.is_all_there_is(&report);
    assert_eq!(world.site.account.store().buckets.parts.len(), 3);
    assert_eq!(world.count("CreateMultipartUpload"), 1);
}

#[test]
fn a_part_that_s3_has_of_another_content_is_sent_again() {
    let world = three_parts();
    let text = world.pipeline(VIA, "");
    let over = || !world.site.account.store().buckets.parts.is_empty();
    assert!(world.run_until(1, &text, over).is_none());
    {
        let mut store = world.site.account.store();
        let upload = store.buckets.uploads.values_mut().next().unwrap();
        for (_, digest) in upload.parts.values_mut() {
            digest.0 = [9; 32];
        }
    }
    let report = world.resume(1, &text);
    world.is_all_there_is(&report);
}

#[test]
fn an_upload_that_somebody_has_aborted_begins_anew() {
    let world = three_parts();
    let text = world.pipeline(VIA, "");
    let over = || !world.site.account.store().buckets.parts.is_empty();
    assert!(world.run_until(1, &text, over).is_none());
    world.site.account.store().buckets.uploads.clear();
    let report = world.resume(1, &text);
    world.is_all_there_is(&report);
    assert_eq!(world.count("CreateMultipartUpload"), 2);
}

#[test]
fn an_object_that_is_no_longer_wanted_so_goes_with_its_task() {
    let world = small();
    let over = || world.count("ImportSnapshot") > 0;
    assert!(world.run_until(1, &world.pipeline(VIA, ""), over).is_none());
    // By the other way now.
    let report = world.resume(1, &world.pipeline("", ""));
    world.is_all_there_is(&report);

    let mut world = small();
    let over = |world: &Importing| world.count("ImportSnapshot") > 0;
    assert!(
        world
            .run_until(1, &world.pipeline(VIA, ""), || over(&world))
            .is_none()
    );
    world.write(disk(&[Of::Data(99); 2]));
    let report = world.resume(1, &world.pipeline(VIA, ""));
    world.is_all_there_is(&report);

    // Read as another role: the same object, another task.
    let world = small();
    assert!(
        world
            .run_until(1, &world.pipeline(VIA, ""), || over(&world))
            .is_none()
    );
    let report = world.resume(1, &world.pipeline(&format!("{VIA}, role: importer"), ""));
    world.is_all_there_is(&report);
    let store = world.site.account.store();
    assert_eq!(store.tasks.asked.last().unwrap().role, "importer");
}

#[test]
fn ec2_may_have_forgotten_the_task_of_a_snapshot() {
    let mut forgotten = 0;
    for record in 12.. {
        let world = small();
        let text = world.pipeline(VIA, "");
        if world.killed_after(1, record, &text).is_none() {
            break;
        }
        let mut store = world.site.account.store();
        let tagged = store
            .snapshots
            .values()
            .any(|one| one.tags.get(tag::RUN).is_some());
        if !tagged || !store.registrations.is_empty() || !store.buckets.objects.is_empty() {
            continue;
        }
        forgotten += 1;
        store.tasks.all.clear();
        drop(store);
        let report = world.resume(1, &text);
        world.is_all_there_is(&report);
        assert_eq!(world.count("ImportSnapshot"), 1);
    }
    assert!(forgotten >= 1, "{forgotten} moments");
}
