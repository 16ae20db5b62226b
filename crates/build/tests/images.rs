//! `qib images`: what becomes of images after the build, on an account in memory.

mod fake;

use build::images::*;
use build::names::tag;
use build::outputs::{Manifest, ManifestBuild, ManifestImage};
use build::spec::Encryption;
use cloud::retry::Retrying;
use cloud::*;
use fake::account::{FakeAccount, Fault};
use fake::time::EventClock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOME: &str = "us-east-2";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";

struct World {
    account: FakeAccount,
    clock: Arc<dyn Clock>,
    time: EventClock,
    told: Told,
}

#[derive(Default)]
struct Told(Mutex<Vec<(String, CopyProgress)>>);

impl CopyWatch for Told {
    fn progress(&self, region: &RegionName, progress: &CopyProgress) {
        let mut told = self.0.lock().unwrap();
        told.push((region.to_string(), progress.clone()));
    }
}

impl World {
    /// An account with one complete image of two snapshots.
    fn new() -> Self {
        let account = FakeAccount::new();
        let time = EventClock::new();
        let clock: Arc<dyn Clock> = Arc::new(time.clone());
        account.store().clock = Some(clock.clone());
        let world = Self {
            account,
            clock,
            time,
            told: Told::default(),
        };
        world.put(
            HOME,
            "ami-1",
            "golden",
            &[
                (tag::RUN, "r-00000001"),
                (tag::STAGE, "base"),
                (tag::PIPELINE, "p"),
                (tag::CACHE_KEY, "key"),
                (tag::COMPLETE, "true"),
                (tag::REPLACES, "ami-0"),
                ("Purpose", "base"),
                ("aws:servicecatalog:x", "theirs"),
            ],
        );
        world
    }

    fn region(&self, name: &str) -> FakeAccount {
        self.account.in_region(&name.into())
    }

    /// Puts an image with two snapshots there.
    fn put(&self, region: &str, id: &str, name: &str, tags: &[(&str, &str)]) -> Image {
        let tags: Tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let volumes: Vec<EbsVolume> = ["/dev/sda1", "/dev/sdb"]
            .iter()
            .enumerate()
            .map(|(number, device)| EbsVolume {
                device: (*device).to_owned(),
                size_gib: Some(8),
                encrypted: Some(false),
                snapshot_id: Some(SnapshotId::new(format!("snap-{id}-{number}"))),
                ..EbsVolume::default()
            })
            .collect();
        let snapshots: Vec<SnapshotId> = volumes
            .iter()
            .filter_map(|volume| volume.snapshot_id.clone())
            .collect();
        let there = self.region(region);
        let mut store = there.store();
        for (number, snapshot) in snapshots.iter().enumerate() {
            let tags = Tags::new()
                .with("Purpose", "base")
                .with("Device", number.to_string());
            let snapshot = Snapshot {
                snapshot_id: snapshot.clone(),
                state: SnapshotState::Completed,
                progress_percent: 100,
                description: String::new(),
                volume_gib: 8,
                kms_key_id: None,
                started: None,
                tags,
            };
            store
                .snapshots
                .insert(snapshot.snapshot_id.to_string(), snapshot);
        }
        let image = Image {
            image_id: id.into(),
            name: name.to_owned(),
            description: String::from("for everybody"),
            state: ImageState::Available,
            state_reason: None,
            created: Some(self.clock.now()),
            owner: Some("123456789012".into()),
            architecture: String::from("x86_64"),
            root_device: Some(String::from("/dev/sda1")),
            snapshots,
            tags,
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: String::from("hvm"),
            volumes,
        };
        store.images.insert(id.to_owned(), image.clone());
        image
    }

    fn image(&self, region: &str, id: &str) -> Image {
        self.region(region).store().images[id].clone()
    }

    /// The images of that name in a region.
    fn named(&self, region: &str, name: &str) -> Vec<Image> {
        let there = self.region(region);
        let store = there.store();
        let named = store.images.values().filter(|image| image.name == name);
        named.cloned().collect()
    }

    fn order(&self, to: &[&str]) -> CopyOrder {
        let snapshots: Vec<Snapshot> = self.account.store().snapshots.values().cloned().collect();
        CopyOrder {
            source: self.image(HOME, "ami-1"),
            source_region: HOME.into(),
            name: String::from("golden"),
            snapshot_tags: common_tags(&snapshots),
            tags: Tags::new().with("Team", "images"),
            targets: to
                .iter()
                .map(|region| CopyTo {
                    region: (*region).into(),
                    encryption: Encryption::AsSource,
                })
                .collect(),
            wait: Duration::from_secs(3600),
            nonce: 7,
        }
    }

    /// Copies, through the layer that repeats calls.
    fn copy(&self, order: &CopyOrder) -> Vec<CopiedImage> {
        let account = Retrying::new(Arc::new(self.account.clone()), self.clock.clone(), 7);
        let work = copy(&account, &self.clock, order, &self.told);
        self.time.run(work).unwrap()
    }

    fn calls(&self, region: &str, operation: &str) -> usize {
        let there = self.region(region);
        let store = there.store();
        store
            .calls
            .iter()
            .filter(|call| **call == operation)
            .count()
    }
}

fn statuses(copies: &[CopiedImage]) -> Vec<(&str, CopyStatus)> {
    copies
        .iter()
        .map(|copy| (copy.region.as_str(), copy.status))
        .collect()
}

#[test]
fn a_copy_has_the_tags_of_its_image_but_what_is_not_so_of_it() {
    let world = World::new();
    let mut order = world.order(&[WEST, EUROPE]);
    order.targets[1].encryption = Encryption::With(Some(String::from("alias/images")));
    let copies = world.copy(&order);
    assert_eq!(
        statuses(&copies),
        [(WEST, CopyStatus::Copied), (EUROPE, CopyStatus::Copied)]
    );
    for (region, encrypted, key) in [(WEST, false, None), (EUROPE, true, Some("alias/images"))] {
        let there = world.region(region);
        let store = there.store();
        let [request] = store.copies.as_slice() else {
            panic!("{region}: {:?}", store.copies);
        };
        assert_eq!(request.encrypted, encrypted, "{region}");
        assert_eq!(request.kms_key_id.as_deref(), key, "{region}");
        assert_eq!(request.description, "for everybody");
        let tags = |tags: &Tags| tags.0.clone().into_iter().collect::<Vec<_>>();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            tags(&request.image_tags),
            [
                pair("Purpose", "base"),
                pair("Team", "images"),
                pair("qib:cache-key", "key"),
                pair("qib:complete", "true"),
                pair("qib:copy-of", "ami-1"),
                pair("qib:pipeline", "p"),
                pair("qib:run", "r-00000001"),
                pair("qib:stage", "base"),
            ]
        );
        // `Device` differs between the snapshots.
        assert_eq!(
            tags(&request.snapshot_tags),
            [
                pair("Purpose", "base"),
                pair("Team", "images"),
                pair("qib:copy-of", "ami-1")
            ]
        );
    }
    let first = &copies[0];
    let made = &world.named(WEST, "golden")[0];
    assert_eq!(first.image_id.as_deref(), Some(made.image_id.as_str()));
    assert_eq!(first.snapshots.len(), 2);
    assert_eq!(made.state, ImageState::Available);
}

#[test]
fn nothing_is_copied_twice() {
    let world = World::new();
    let order = world.order(&[WEST, EUROPE]);
    // A reply is lost: the call is repeated with its token.
    world
        .region(WEST)
        .store()
        .faults
        .push(("CopyImage", Fault::LostReply));
    let first = world.copy(&order);
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    let later = CopyOrder {
        nonce: 8,
        tags: Tags::new().with("Team", "others"),
        ..order
    };
    let second = world.copy(&later);
    assert_eq!(
        statuses(&second),
        [(WEST, CopyStatus::Found), (EUROPE, CopyStatus::Found)]
    );
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.image_id, second.image_id);
        assert_eq!(world.named(&first.region, "golden").len(), 1);
        // What was asked for now is so now.
        let image = &world.named(&first.region, "golden")[0];
        assert_eq!(image.tags.get("Team"), Some("others"));
        let there = world.region(&first.region);
        for snapshot in &image.snapshots {
            let tags = &there.store().snapshots[snapshot.as_str()].tags;
            assert_eq!(tags.get("Team"), Some("others"));
        }
    }
    assert_eq!(world.calls(WEST, "CopyImage"), 2);
    assert_eq!(world.calls(EUROPE, "CopyImage"), 1);
}

#[test]
fn a_copy_that_is_not_encrypted_is_not_taken_for_one_that_is() {
    let world = World::new();
    let mut order = world.order(&[WEST]);
    world.copy(&order);
    order.targets[0].encryption = Encryption::With(None);
    order.nonce = 8;
    let copies = world.copy(&order);
    assert_eq!(copies[0].status, CopyStatus::Failed);
    let why = copies[0].error.as_deref().unwrap();
    assert!(
        why.contains("not encrypted") && why.contains("--name"),
        "{why}"
    );
    assert_eq!(world.named(WEST, "golden").len(), 1);
}

#[test]
fn a_region_that_fails_leaves_the_others() {
    let world = World::new();
    let refused = ("CopyImage", Fault::Refused(ErrorKind::AccessDenied));
    world.region(WEST).store().faults.push(refused);
    world.put(EUROPE, "ami-theirs", "golden", &[]);
    let copies = world.copy(&world.order(&[WEST, EUROPE, "sa-east-1"]));
    assert_eq!(
        statuses(&copies),
        [
            (WEST, CopyStatus::Failed),
            (EUROPE, CopyStatus::Failed),
            ("sa-east-1", CopyStatus::Copied)
        ]
    );
    assert!(copies[0].error.as_deref().unwrap().contains("CopyImage"));
    let why = copies[1].error.as_deref().unwrap();
    assert!(why.contains("ami-theirs has the name `golden`"), "{why}");
    assert_eq!(world.calls(EUROPE, "CopyImage"), 0);
    assert_eq!(copies[1].image_id, None);
}

#[test]
fn who_finds_no_room_waits_for_a_turn() {
    let world = World::new();
    let full = ("CopyImage", Fault::Refused(ErrorKind::Quota));
    world.region(WEST).store().faults.extend([full, full]);
    let began = world.clock.now();
    let copies = world.copy(&world.order(&[WEST]));
    assert_eq!(statuses(&copies), [(WEST, CopyStatus::Copied)]);
    let took = cloud::clock::between(began, world.clock.now());
    assert!(took >= Duration::from_secs(60), "{took:?}");
    let told = world.told.0.lock().unwrap();
    let waits = told
        .iter()
        .filter(|(_, one)| *one == CopyProgress::WaitsForTurn);
    assert_eq!(waits.count(), 1, "{told:?}");
}

#[test]
fn a_copy_that_came_to_nothing_is_removed_and_one_of_before_is_made_anew() {
    let world = World::new();
    world.region(WEST).store().image_fails = true;
    let order = world.order(&[WEST]);
    let copies = world.copy(&order);
    assert_eq!(statuses(&copies), [(WEST, CopyStatus::Failed)]);
    assert_eq!(copies[0].image_id, None);
    assert!(world.named(WEST, "golden").is_empty());
    assert!(world.region(WEST).store().snapshots.is_empty());
    // This time it cannot be removed: it is named, with its snapshots.
    world.region(WEST).store().denied.push("DeregisterImage");
    let left = world.copy(&CopyOrder {
        nonce: 8,
        ..order.clone()
    });
    assert_eq!(statuses(&left), [(WEST, CopyStatus::LeftBehind)]);
    assert!(left[0].image_id.is_some());
    assert_eq!(left[0].snapshots.len(), 2);
    // The next call removes it, and has a token of its own.
    {
        let west = world.region(WEST);
        let mut store = west.store();
        store.denied.clear();
        store.image_fails = false;
    }
    let again = world.copy(&order);
    assert_eq!(statuses(&again), [(WEST, CopyStatus::Copied)]);
    assert_ne!(again[0].image_id, left[0].image_id);
    assert_eq!(world.named(WEST, "golden").len(), 1);
}

#[test]
fn a_copy_that_takes_too_long_stays_and_is_found() {
    let world = World::new();
    let mut order = world.order(&[WEST]);
    // Whoever has no time at all sees it pending once.
    order.wait = Duration::ZERO;
    let slow = world.copy(&order);
    assert_eq!(statuses(&slow), [(WEST, CopyStatus::Pending)]);
    order.wait = Duration::from_secs(60);
    let found = world.copy(&order);
    assert_eq!(statuses(&found), [(WEST, CopyStatus::Found)]);
    assert_eq!(found[0].image_id, slow[0].image_id);
}

#[test]
fn no_run_takes_a_copy_of_another_name_for_its_image() {
    let world = World::new();
    let order = CopyOrder {
        name: String::from("golden-pinned"),
        ..world.order(&[HOME, WEST])
    };
    let copies = world.copy(&order);
    assert_eq!(
        statuses(&copies),
        [(HOME, CopyStatus::Copied), (WEST, CopyStatus::Copied)]
    );
    let pinned = &world.named(HOME, "golden-pinned")[0];
    assert_eq!(pinned.tags.get(tag::CACHE_KEY), None);
    assert_eq!(pinned.tags.get(tag::COPY_OF), Some("ami-1"));
    assert_eq!(pinned.tags.get(tag::COMPLETE), Some("true"));
}

#[test]
fn what_is_not_whole_is_not_copied() {
    let world = World::new();
    let account = world.account.clone();
    let refused = |order: CopyOrder| {
        let work = copy(&account, &world.clock, &order, &world.told);
        world.time.run(work).unwrap_err()
    };
    let mut pending = world.order(&[WEST]);
    pending.source.state = ImageState::Pending;
    assert!(matches!(refused(pending), NotCopyable::NotAvailable { .. }));
    let mut unfinished = world.order(&[WEST]);
    unfinished.source.tags.0.remove(tag::COMPLETE);
    assert!(matches!(
        refused(unfinished),
        NotCopyable::NotComplete { .. }
    ));
    assert_eq!(world.calls(WEST, "CopyImage"), 0);
}

#[test]
fn an_image_goes_with_the_snapshots_that_no_other_image_uses() {
    let world = World::new();
    let mut other = world.put(HOME, "ami-2", "other", &[]);
    other.snapshots = vec!["snap-ami-1-1".into()];
    let image = world.image(HOME, "ami-1");
    world
        .account
        .store()
        .images
        .insert(other.image_id.to_string(), other);
    let work = remove(&world.account, world.clock.as_ref(), vec![image]);
    let removed = world.time.run(work).unwrap();
    let Removed::Gone {
        snapshots,
        still_used,
    } = &removed[0].outcome
    else {
        panic!("{:?}", removed[0]);
    };
    assert_eq!(snapshots, &[SnapshotId::new("snap-ami-1-0")]);
    assert_eq!(still_used, &[SnapshotId::new("snap-ami-1-1")]);
    let store = world.account.store();
    assert!(!store.images.contains_key("ami-1"));
    assert!(!store.snapshots.contains_key("snap-ami-1-0"));
    assert!(store.snapshots.contains_key("snap-ami-1-1"));
}

#[test]
fn a_snapshot_that_ec2_still_says_is_in_use_is_asked_for_again() {
    let world = World::new();
    let busy = ("DeleteSnapshot", Fault::Refused(ErrorKind::Dependency));
    world.account.store().faults.extend([busy, busy]);
    let image = world.image(HOME, "ami-1");
    let work = remove(&world.account, world.clock.as_ref(), vec![image]);
    let removed = world.time.run(work).unwrap();
    assert!(removed[0].outcome.is_complete(), "{:?}", removed[0]);
    assert!(world.account.store().snapshots.is_empty());
}

#[test]
fn what_resists_is_told_apart_from_what_is_half_gone() {
    let world = World::new();
    world.account.store().denied.push("DeleteSnapshot");
    let image = world.image(HOME, "ami-1");
    let work = remove(&world.account, world.clock.as_ref(), vec![image.clone()]);
    let removed = world.time.run(work).unwrap();
    let Removed::SnapshotsLeft(left) = &removed[0].outcome else {
        panic!("{:?}", removed[0]);
    };
    assert_eq!(left.len(), 2);
    world.put(HOME, "ami-1", "golden", &[]);
    world.account.store().denied.push("DeregisterImage");
    let work = remove(&world.account, world.clock.as_ref(), vec![image]);
    let removed = world.time.run(work).unwrap();
    assert!(matches!(removed[0].outcome, Removed::Resisted(_)));
    assert!(world.account.store().images.contains_key("ami-1"));
}

#[test]
fn snapshots_are_shared_before_the_image_and_taken_back_after_it() {
    let world = World::new();
    let image = world.image(HOME, "ami-1");
    let permissions = Permissions {
        accounts: [AccountId::from("111122223333")].into(),
        organizations: [String::from(
            "arn:aws:organizations::111122223333:organization/o-1",
        )]
        .into(),
        ..Permissions::default()
    };
    let nobody = Permissions::default();
    let change = |grant, of_snapshots| {
        world.account.store().calls.clear();
        let work = share(&world.account, &image, grant, &permissions, of_snapshots);
        world.time.run(work).unwrap();
        world.account.store().calls.clone()
    };
    let (of_snapshot, of_image) = ("ModifySnapshotAttribute", "ModifyImageAttribute");
    let calls = change(Grant::Add, &permissions);
    assert_eq!(calls, [of_snapshot, of_snapshot, of_image]);
    assert_eq!(world.account.store().permissions["ami-1"], permissions);
    let of_snapshots = world.account.store().permissions["snap-ami-1-0"].clone();
    assert_eq!(of_snapshots.accounts, permissions.accounts);
    // Snapshots cannot be shared with organisations.
    assert!(of_snapshots.organizations.is_empty());
    let calls = change(Grant::Remove, &permissions);
    assert_eq!(calls, [of_image, of_snapshot, of_snapshot]);
    for id in ["ami-1", "snap-ami-1-0", "snap-ami-1-1"] {
        assert!(world.account.store().permissions[id].is_empty(), "{id}");
    }
    assert_eq!(change(Grant::Add, &nobody), [of_image]);
}

#[test]
fn what_names_an_image_is_found() {
    let world = World::new();
    world
        .account
        .store()
        .launch_template_images
        .push(LaunchTemplateImage {
            template_id: String::from("lt-1"),
            template_name: String::from("web"),
            version: 3,
            image_id: "ami-1".into(),
        });
    let launched = world.clock.now();
    world
        .account
        .store()
        .last_launched
        .insert("ami-1".into(), launched);
    let image = world.image(HOME, "ami-1");
    let facts = world
        .time
        .run(facts_of(&world.account, vec![image]))
        .unwrap();
    let said: Vec<String> = facts[0].uses.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["launch template web (lt-1) version 3"]);
    assert_eq!(facts[0].last_launched, Some(launched));
}

#[test]
fn an_account_is_compared_with_a_manifest_region_by_region() {
    let world = World::new();
    world.copy(&world.order(&[WEST]));
    let west = world.named(WEST, "golden")[0].clone();
    world.put(HOME, "ami-extra", "extra", &[(tag::RUN, "r-00000001")]);
    // Of another run: nobody's business.
    world.put(HOME, "ami-other", "other", &[(tag::RUN, "r-00000002")]);
    let place = |region: &str, id: &str, snapshots: &[SnapshotId]| ManifestImage {
        region: region.to_owned(),
        image_id: id.to_owned(),
        snapshots: snapshots.iter().map(ToString::to_string).collect(),
    };
    let home = world.image(HOME, "ami-1");
    let build = |cell: &str, images: Vec<ManifestImage>| ManifestBuild {
        name: format!("base/{cell}"),
        stage: String::from("base"),
        cell: cell.to_owned(),
        matrix: BTreeMap::new(),
        image_name: String::from("golden"),
        cached: false,
        source_image: None,
        artifact_id: String::new(),
        images,
        tags: BTreeMap::from([(String::from("Purpose"), String::from("base"))]),
        custom_data: BTreeMap::new(),
    };
    let manifest = Manifest {
        format: 1,
        run: String::from("r-00000001"),
        pipeline: String::from("p"),
        account: String::from("123456789012"),
        builds: vec![
            build(
                "a",
                vec![
                    place(HOME, "ami-1", &home.snapshots),
                    place(
                        WEST,
                        west.image_id.as_str(),
                        &[SnapshotId::new("snap-other")],
                    ),
                ],
            ),
            build("b", vec![place(HOME, "ami-gone", &[])]),
            build("c", vec![place(EUROPE, "ami-9", &[])]),
        ],
    };
    world.region(EUROPE).store().denied.push("DescribeImages");
    let verified = world.time.run(verify(&world.account, &manifest));
    let told: Vec<(&str, &str, String)> = verified
        .iter()
        .map(|one| {
            let status = serde_json::to_value(&one.verdict).unwrap()["status"].clone();
            let status = status.as_str().unwrap_or_default().to_owned();
            (one.region.as_str(), one.image_id.as_str(), status)
        })
        .collect();
    assert_eq!(
        told,
        [
            (HOME, "ami-1", String::from("correct")),
            (WEST, west.image_id.as_str(), String::from("incorrect")),
            (HOME, "ami-gone", String::from("missing")),
            (EUROPE, "ami-9", String::from("unreachable")),
            (HOME, "ami-extra", String::from("unexpected")),
        ]
    );
}
