//! A sweep against an account in memory: what a dead run left goes, in an order that EC2 takes, whatever goes wrong; what
//! could not be removed is named, and a second sweep finishes.

mod fake;

use build::journal::{
    Effect, Invocation, Journal, JournalReader, Opening, Outcome, Record, RunDirectory, RunStatus,
};
use build::lease::{address_folder, run_lease};
use build::names::{CellName, RunId, tag};
use build::sweep::{
    Carried, Finding, KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look, planned_rows,
    rows, sweep_run,
};
use cloud::retry::Retrying;
use cloud::*;
use fake::account::{FakeAccount, Fault, Written};
use fake::import_tasks::TaskEnd;
use fake::objects::{Begun, Object};
use fake::time::EventClock;
use std::path::Path;
use std::sync::Arc;

const REGION: &str = "us-east-2";

fn run() -> RunId {
    RunId::from_random(7)
}

fn cell() -> CellName {
    CellName {
        stage: "base".into(),
        cell: REGION.into(),
    }
}

fn tags() -> Tags {
    Tags::new()
        .with(tag::RUN, run().as_str())
        .with(tag::PIPELINE, "p")
        .with(tag::STAGE, "base")
        .with(tag::CELL, REGION)
        .with(tag::EXPIRES, "2030-01-01T00:00:00Z")
}

fn instance(id: &str, tags: Tags) -> Instance {
    Instance {
        availability_zone: None,
        instance_type: "t3.micro".into(),
        ipv6: None,
        instance_id: id.into(),
        state: InstanceState::Running,
        state_reason: None,
        image_id: None,
        public_ip: None,
        private_ip: None,
        vpc_id: None,
        security_groups: vec!["sg-1".into()],
        launched: None,
        key_name: None,
        tags,
        purchase: Purchase::OnDemand,
    }
}

fn image(id: &str, tags: Tags) -> Image {
    Image {
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: "hvm".into(),
        volumes: Vec::new(),
        image_id: id.into(),
        name: format!("image {id}"),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        owner: None,
        architecture: "x86_64".into(),
        root_device: None,
        snapshots: vec![SnapshotId::new(format!("snap-of-{id}"))],
        tags,
    }
}

fn snapshot(id: &str, tags: Tags) -> Snapshot {
    Snapshot {
        volume_gib: 8,
        kms_key_id: None,
        snapshot_id: id.into(),
        state: SnapshotState::Completed,
        progress_percent: 100,
        description: String::new(),
        started: None,
        tags,
    }
}

/// An account in which a run has left one thing of each kind, and in which there are others' things.
fn left_by_a_dead_run() -> FakeAccount {
    let account = FakeAccount::new();
    let mut store = account.store();
    store
        .instances
        .insert("i-1".into(), instance("i-1", tags()));
    store.groups.insert(
        "sg-1".into(),
        SecurityGroup {
            group_id: "sg-1".into(),
            name: "qib-group".into(),
            vpc_id: None,
            tags: tags(),
        },
    );
    store.key_pairs.insert(
        "key-1".into(),
        KeyPairDescription {
            key_pair_id: "key-1".into(),
            name: "qib-pair".into(),
            tags: tags(),
        },
    );
    for (id, tags) in [
        ("ami-1", tags()),
        ("ami-whole", tags().with(tag::COMPLETE, "true")),
        ("ami-foreign", Tags::new()),
    ] {
        store.images.insert(id.into(), image(id, tags.clone()));
        let id = format!("snap-of-{id}");
        store.snapshots.insert(id.clone(), snapshot(&id, tags));
    }
    store
        .snapshots
        .insert("snap-alone".into(), snapshot("snap-alone", tags()));
    let bound = AddressBinding {
        association_id: "eipassoc-1".into(),
        instance_id: Some("i-1".into()),
    };
    if let Some(address) = store.addresses.get_mut("eipalloc-1") {
        address.binding = Some(bound);
    }
    let ticket = format!(
        "{}/1790000000000-{}-base-{REGION}",
        address_folder("eipalloc-1"),
        run()
    );
    for name in [run_lease(&run()), ticket] {
        let written = Written {
            kind: ParameterKind::Text,
            value: String::from("{}"),
            version: 1,
            at: Timestamp::from_second(1_789_990_000).ok(),
        };
        store.parameters.insert(name, written);
    }
    drop(store);
    account
}

/// What of it is not the dead run's leavings.
const OTHERS: [&str; 4] = [
    "ami-foreign",
    "ami-whole",
    "snap-of-ami-foreign",
    "snap-of-ami-whole",
];

/// Runs a test in its own time.
fn timed(test: impl AsyncFnOnce(&EventClock)) {
    let clock = EventClock::new();
    clock.run(test(&clock));
}

fn sweep(account: &FakeAccount, clock: &EventClock, state_dir: &Path) -> Sweep {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    account.store().clock = Some(clock.clone());
    // As the program has it: what passes by itself is repeated below.
    let retrying = Retrying::new(Arc::new(account.clone()), clock.clone(), 7);
    Sweep {
        account: Arc::new(retrying),
        account_id: "123456789012".into(),
        regions: vec![REGION.into()],
        endpoint: None,
        clock,
        buckets: Vec::new(),
        state_dir: state_dir.to_owned(),
        only: None,
        kept: KeptToo::No,
    }
}

struct Nobody;

impl SweepWatch for Nobody {
    fn progress(&self, _progress: &SweepProgress<'_>) {}
}

/// Does something when a thing begins to be removed, or is gone.
struct When<F>(F);

impl<F: Fn(&SweepProgress<'_>) + Send + Sync> SweepWatch for When<F> {
    fn progress(&self, progress: &SweepProgress<'_>) {
        self.0(progress);
    }
}

async fn swept(sweep: &Sweep, watch: &dyn SweepWatch) -> Carried {
    let plan = look(sweep).await.unwrap();
    carry_out(sweep, plan, watch).await.unwrap()
}

fn failed(carried: &Carried) -> Vec<String> {
    let rows = rows(carried, None);
    let failed = rows.iter().filter(|row| row.action == "failed");
    failed.map(|row| row.id.clone()).collect()
}

fn position(calls: &[&str], call: &str) -> usize {
    calls
        .iter()
        .position(|of| *of == call)
        .unwrap_or_else(|| panic!("no {call} in {calls:?}"))
}

#[test]
fn everything_that_a_dead_run_left_goes_in_order_and_nothing_else() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let plan = look(&sweep).await.unwrap();
        let planned = planned_rows(&plan, None);
        assert!(planned.iter().all(|row| row.action != "removed"));
        let before = account.holdings().len();
        assert_eq!(account.holdings().len(), before, "looking changes nothing");

        account.store().calls.clear();
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert_eq!(failed(&carried), [""; 0]);
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), OTHERS);
        let calls = account.store().calls.clone();
        let order = [
            "DisassociateAddress",
            "TerminateInstances",
            "DeregisterImage",
            "DeleteSnapshot",
            "DeleteKeyPair",
            "DeleteSecurityGroup",
            "DeleteParameter",
        ];
        let places: Vec<usize> = order.iter().map(|call| position(&calls, call)).collect();
        assert!(places.is_sorted(), "{calls:?}");

        let again = swept(&sweep, &Nobody).await;
        assert!(again.is_complete());
        let touched = rows(&again, None);
        assert!(
            touched.iter().all(|row| row.action == "keep"),
            "{touched:?}"
        );
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn a_passing_refusal_and_a_lost_reply_end_nothing() {
    timed(async |clock| {
        for (call, fault) in [
            ("TerminateInstances", Fault::LostReply),
            ("DeregisterImage", Fault::LostReply),
            ("DeleteSnapshot", Fault::Refused(ErrorKind::Throttled)),
            ("DeleteKeyPair", Fault::LostReply),
            ("DeleteSecurityGroup", Fault::Refused(ErrorKind::Dependency)),
            ("DeleteParameter", Fault::Refused(ErrorKind::Transient)),
            ("DisassociateAddress", Fault::LostReply),
        ] {
            let account = left_by_a_dead_run();
            let state = tempfile::tempdir().unwrap();
            let sweep = sweep(&account, clock, state.path());
            account.store().faults.extend([(call, fault); 3]);
            let carried = swept(&sweep, &Nobody).await;
            assert!(carried.is_complete(), "{call}: {:?}", failed(&carried));
            assert_eq!(account.holdings(), OTHERS, "{call}");
        }
    });
}

#[test]
fn what_cannot_be_removed_is_named_with_its_command_and_a_second_sweep_finishes() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        account.store().denied = vec!["TerminateInstances"];
        let carried = swept(&sweep, &Nobody).await;
        assert!(!carried.is_complete());
        // The group is in use for as long as the instance is there.
        assert_eq!(failed(&carried), ["i-1", "sg-1"]);
        let left = carried.left(Some("http://127.0.0.1:1"));
        assert_eq!(
            left[0].remove_with,
            "aws --region us-east-2 --endpoint-url http://127.0.0.1:1 ec2 terminate-instances --instance-ids i-1"
        );
        assert!(left[0].reason.contains("TerminateInstances"), "{left:?}");

        account.store().denied.clear();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn a_run_that_comes_to_life_after_it_was_shown_is_spared() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let plan = look(&sweep).await.unwrap();
        let before = account.holdings();
        let renewed = Written {
            kind: ParameterKind::Text,
            value: String::from("{}"),
            version: 2,
            at: Some(sweep.clock.now()),
        };
        account
            .store()
            .parameters
            .insert(run_lease(&run()), renewed);
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), before);
        let rows = rows(&carried, None);
        assert!(rows.iter().all(|row| row.action == "keep"), "{rows:?}");
    });
}

#[test]
fn a_run_whose_journal_another_process_holds_is_spared() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let journal = begin(state.path(), "123456789012");
        drop(journal);
        let plan = look(&sweep).await.unwrap();
        let before = account.holdings();
        let directory = RunDirectory::of(state.path(), &run());
        let _resumed = Journal::reopen(&directory, &run(), None).unwrap();
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), before);
    });
}

#[test]
fn an_image_that_became_complete_meanwhile_stays_with_its_snapshot() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let finished = account.clone();
        let watch = When(move |progress: &SweepProgress<'_>| {
            if let SweepProgress::Removing(Finding { thing, .. }) = progress
                && thing.id() == "i-1"
                && let Some(image) = finished.store().images.get_mut("ami-1")
            {
                image.tags.set(tag::COMPLETE, "true");
            }
        });
        let carried = swept(&sweep, &watch).await;
        let holdings = account.holdings();
        assert!(holdings.contains(&String::from("ami-1")), "{holdings:?}");
        let snapshot = String::from("snap-of-ami-1");
        assert!(holdings.contains(&snapshot), "{holdings:?}");
        assert_eq!(failed(&carried), [""; 0]);
        assert!(!holdings.contains(&String::from("i-1")), "{holdings:?}");
    });
}

#[test]
fn what_a_call_of_the_dead_process_makes_meanwhile_goes_as_well() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let late = account.clone();
        let watch = When(move |progress: &SweepProgress<'_>| {
            if let SweepProgress::Removed(Finding { thing, .. }) = progress
                && thing.id() == "sg-1"
            {
                let image = image("ami-late", tags());
                let mut store = late.store();
                store.images.insert("ami-late".into(), image);
                let snapshot = snapshot("snap-of-ami-late", tags());
                store.snapshots.insert("snap-of-ami-late".into(), snapshot);
            }
        });
        let carried = swept(&sweep, &watch).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), OTHERS);
    });
}

/// A journal that says of the run what `left_by_a_dead_run` shows, and two effects whose fate it does not know.
fn begin(state_dir: &Path, account: &str) -> Journal {
    let directory = RunDirectory::of(state_dir, &run());
    let opening = Opening {
        pipeline: "p".into(),
        file: "p.yaml".into(),
        account: account.into(),
        region: REGION.into(),
        endpoint: None,
        invocation: Invocation::default(),
    };
    let at = Timestamp::from_second(1_789_990_000).unwrap();
    let journal = Journal::create(&directory, &run(), opening, at, None).unwrap();
    let region = || RegionName::new(REGION);
    let done = |effect: Effect, outcome: Outcome| {
        let number = journal.intend(&cell(), effect, at).unwrap();
        journal.succeeded(number, outcome).unwrap();
    };
    done(
        Effect::ClaimLease {
            region: region(),
            name: run_lease(&run()),
        },
        Outcome::Done,
    );
    done(
        Effect::ImportKeyPair {
            region: region(),
            name: "qib-pair".into(),
        },
        Outcome::KeyPair { id: "key-1".into() },
    );
    done(
        Effect::CreateSecurityGroup {
            region: region(),
            name: "qib-group".into(),
            vpc: "vpc-1".into(),
        },
        Outcome::SecurityGroup { id: "sg-1".into() },
    );
    done(
        Effect::LaunchInstance {
            region: region(),
            client_token: "token".into(),
            source_image: "ami-0".into(),
            recipe: String::new(),
        },
        Outcome::Instance { id: "i-1".into() },
    );
    let unknown = Effect::CreateImage {
        region: region(),
        name: "image ami-1".into(),
        instance: "i-1".into(),
        test: None,
    };
    journal.intend(&cell(), unknown, at).unwrap();
    journal
}

#[test]
fn the_journal_of_this_machine_is_brought_up_to_date_and_closed() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        let directory = RunDirectory::of(state.path(), &run());
        let folder = directory.cell(&cell()).unwrap();
        std::fs::write(folder.join("id"), "a private key").unwrap();
        // Nothing but the journal tells that this may be there: it shows only after the first look.
        let effect = Effect::LaunchInstance {
            region: REGION.into(),
            client_token: "late".into(),
            source_image: "ami-0".into(),
            recipe: String::new(),
        };
        let journal = Journal::reopen(&directory, &run(), None).unwrap();
        let at = sweep.clock.now();
        journal.intend(&cell(), effect, at).unwrap();
        drop(journal);
        let carried = swept(&sweep, &Nobody).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.closed(), Some(RunStatus::Swept));
        assert!(journal.outstanding().is_empty());
        assert!(
            !folder.join("id").exists(),
            "the key leads nowhere any more"
        );
        assert_eq!(account.holdings(), OTHERS);
        let plan = look(&sweep).await.unwrap();
        assert_eq!(plan.removals().count(), 0);
    });
}

#[test]
fn what_only_the_journal_knows_of_is_looked_for() {
    timed(async |clock| {
        let account = FakeAccount::new();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        // Made by a call that was under way when the process died. EC2 shows it after a while.
        let mut tags = tags();
        tags.set("Name", "late");
        let late = account.clone();
        late.store().shows_late = 12;
        late.store()
            .instances
            .insert("i-1".into(), instance("i-1", tags));
        let carried = swept(&sweep, &Nobody).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), [""; 0]);
    });
}

#[test]
fn what_resists_keeps_the_journal_open_for_the_next_sweep() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        account.store().denied = vec!["DeleteKeyPair"];
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), ["key-1", run().as_str()]);
        let directory = RunDirectory::of(state.path(), &run());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!((journal.closed(), journal.outstanding().len()), (None, 1));
        account.store().denied.clear();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.closed(), Some(RunStatus::Swept));
    });
}

#[test]
fn the_journal_of_another_accounts_run_is_left_alone() {
    timed(async |clock| {
        let account = FakeAccount::new();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "999999999999"));
        let directory = RunDirectory::of(state.path(), &run());
        let before = JournalReader::read(&directory).unwrap();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(JournalReader::read(&directory).unwrap(), before);
    });
}

#[test]
fn a_journal_that_cannot_be_read_does_not_keep_the_runs_things_alive() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        let directory = RunDirectory::of(state.path(), &run());
        let file = directory.path().join("journal.jsonl");
        std::fs::write(&file, "from another world\n").unwrap();
        let plan = look(&sweep).await.unwrap();
        assert_eq!(plan.unreadable.len(), 1);
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn what_is_kept_stays_until_it_is_asked_for_and_the_rest_of_the_run_goes() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let mut sweep = sweep(&account, clock, state.path());
        let journal = begin(state.path(), "123456789012");
        let numbers: Vec<_> = journal
            .state()
            .outstanding()
            .into_iter()
            .filter(|(_, entry)| {
                let kept = matches!(
                    entry.effect,
                    Effect::LaunchInstance { .. }
                        | Effect::ImportKeyPair { .. }
                        | Effect::CreateSecurityGroup { .. }
                );
                kept
            })
            .map(|(number, _)| number)
            .collect();
        for number in numbers {
            journal.append(&Record::Kept { number }).unwrap();
        }
        drop(journal);
        if let Some(instance) = account.store().instances.get_mut("i-1") {
            instance.tags.set(tag::KEPT, "keep-on-failure");
        }
        assert!(swept(&sweep, &Nobody).await.is_complete());
        let mut kept = OTHERS.map(String::from).to_vec();
        kept.extend(["i-1", "sg-1", "key-1", "binding of eipalloc-1"].map(String::from));
        kept.sort();
        let mut holdings = account.holdings();
        holdings.sort();
        assert_eq!(holdings, kept);
        let directory = RunDirectory::of(state.path(), &run());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.kept().len(), 3);
        assert_eq!(journal.closed(), Some(RunStatus::Swept));

        sweep.kept = KeptToo::Yes;
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(account.holdings(), OTHERS);
        let journal = JournalReader::read(&directory).unwrap();
        assert!(journal.kept().is_empty());
    });
}

#[test]
fn one_run_can_be_swept_alone() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let other = RunId::from_random(8);
        let before = account.holdings();
        assert!(sweep_run(&sweep, &other, &Nobody).await.unwrap().is_empty());
        assert_eq!(account.holdings(), before);
        assert!(sweep_run(&sweep, &run(), &Nobody).await.unwrap().is_empty());
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn nothing_is_removed_where_it_cannot_be_looked() {
    timed(async |clock| {
        for call in [
            "DescribeInstances",
            "DescribeVolumes",
            "DescribeKeyPairs",
            "DescribeSecurityGroups",
            "DescribeImages",
            "DescribeSnapshots",
            "DescribeAddresses",
        ] {
            let account = left_by_a_dead_run();
            let state = tempfile::tempdir().unwrap();
            let sweep = sweep(&account, clock, state.path());
            let plan = look(&sweep).await.unwrap();
            let before = account.holdings();
            account.store().denied = vec![call];
            assert!(look(&sweep).await.is_err(), "{call}");
            assert!(carry_out(&sweep, plan, &Nobody).await.is_err(), "{call}");
            assert_eq!(account.holdings(), before, "{call}");
        }
    });
}

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
