//! A sweep against an account in memory: what a dead run left goes, in an order that EC2 takes, whatever goes wrong; what
//! could not be removed is named, and a second sweep finishes.

#[path = "../fake/mod.rs"]
mod fake;
mod imports;
mod journals;
mod meanwhile;
mod removed;

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
