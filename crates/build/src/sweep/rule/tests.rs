//! Random accounts, in which it is known by construction what each thing is.

use super::*;
use crate::lease::{Leased, run_lease};
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

const NOW: i64 = 1_790_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn run(number: usize) -> RunId {
    RunId::from_random(number as u64 + 1)
}

/// By what a run is known to live, or not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    HoldsJournal,
    RenewedLease,
    RenewedTicket,
    LeaselessNotExpired,
    JournalNotHeld,
    LeaseOld,
    LeaselessExpired,
    NoSign,
}

impl Life {
    const ALL: [Self; 8] = [
        Self::HoldsJournal,
        Self::RenewedLease,
        Self::RenewedTicket,
        Self::LeaselessNotExpired,
        Self::JournalNotHeld,
        Self::LeaseOld,
        Self::LeaselessExpired,
        Self::NoSign,
    ];

    fn is_alive(self) -> bool {
        matches!(
            self,
            Self::HoldsJournal
                | Self::RenewedLease
                | Self::RenewedTicket
                | Self::LeaselessNotExpired
        )
    }

    fn lock(self) -> JournalLock {
        match self {
            Self::HoldsJournal => JournalLock::Held,
            Self::JournalNotHeld => JournalLock::Free,
            _ => JournalLock::Absent,
        }
    }

    fn leases(self, run: &RunId) -> Vec<LeaseRecord> {
        let lease = |name: String, what, age| LeaseRecord {
            name,
            run: run.clone(),
            what,
            age: Duration::from_secs(age),
        };
        let own = |age| lease(run_lease(run), Leased::Run, age);
        let ticket = |age| {
            let allocation = String::from("eipalloc-1");
            let name = format!("/qib/leases/address/eipalloc-1/1790000000000-{run}-s-c");
            lease(name, Leased::Address { allocation }, age)
        };
        match self {
            Self::HoldsJournal => vec![own(500), ticket(500)],
            // This machine knows better than a lease that was renewed before the process died.
            Self::JournalNotHeld => vec![own(10), ticket(10)],
            Self::RenewedLease => vec![own(119), ticket(300)],
            Self::RenewedTicket => vec![own(300), ticket(3)],
            Self::LeaseOld => vec![own(120), ticket(7200)],
            Self::LeaselessNotExpired | Self::LeaselessExpired | Self::NoSign => Vec::new(),
        }
    }

    fn expires(self) -> i64 {
        match self {
            Self::LeaselessExpired => NOW - 1,
            _ => NOW + 60,
        }
    }
}

/// What stands in a thing's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// None of qib's.
    Foreign,
    /// `qib:run`, but not a run's id.
    Malformed,
    /// A run, and one of its two cells.
    Run(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Not,
    Kept,
    KeptTooLong,
}

#[derive(Clone, Debug)]
struct AnInstance {
    owner: Owner,
    keeping: Keeping,
    ending: bool,
    bound: bool,
}

#[derive(Clone, Debug)]
struct AnImage {
    owner: Owner,
    complete: bool,
    snapshot_owner: Owner,
}

#[derive(Clone, Debug)]
struct AVolume {
    owner: Owner,
    /// The instance it is attached to, by its place.
    attached: Option<usize>,
}

#[derive(Clone, Debug)]
struct AnAccount {
    lives: Vec<Life>,
    instances: Vec<AnInstance>,
    images: Vec<AnImage>,
    volumes: Vec<AVolume>,
    snapshots: Vec<Owner>,
    pairs: Vec<Owner>,
    groups: Vec<Owner>,
    kept: KeptToo,
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        1 => Just(Owner::Foreign),
        1 => Just(Owner::Malformed),
        6 => (0..4_usize, 0..2_usize).prop_map(|(run, cell)| Owner::Run(run, cell)),
    ]
}

fn an_account() -> impl Strategy<Value = AnAccount> {
    let instance = (
        owner(),
        select(vec![Keeping::Not, Keeping::Kept, Keeping::KeptTooLong]),
        proptest::bool::weighted(0.2),
        any::<bool>(),
    );
    let instance = instance.prop_map(|(owner, keeping, ending, bound)| AnInstance {
        owner,
        keeping,
        ending,
        bound,
    });
    let image = (owner(), any::<bool>(), owner());
    let image = image.prop_map(|(owner, complete, snapshot_owner)| AnImage {
        owner,
        complete,
        snapshot_owner,
    });
    let volume = (owner(), proptest::option::of(0..4_usize));
    let volume = volume.prop_map(|(owner, attached)| AVolume { owner, attached });
    let several = 0..4_usize;
    (
        proptest::collection::vec(select(Life::ALL.to_vec()), 4),
        proptest::collection::vec(instance, several.clone()),
        proptest::collection::vec(image, several.clone()),
        proptest::collection::vec(volume, several.clone()),
        proptest::collection::vec(owner(), several.clone()),
        proptest::collection::vec(owner(), several.clone()),
        proptest::collection::vec(owner(), several),
        select(vec![KeptToo::No, KeptToo::Yes]),
    )
        .prop_map(
            |(lives, instances, images, volumes, snapshots, pairs, groups, kept)| AnAccount {
                lives,
                instances,
                images,
                volumes,
                snapshots,
                pairs,
                groups,
                kept,
            },
        )
}

impl AnAccount {
    fn tags(&self, owner: Owner) -> Tags {
        match owner {
            Owner::Foreign => Tags::new().with("Name", "somebody's"),
            Owner::Malformed => Tags::new()
                .with(tag::RUN, "r-not one")
                .with(tag::STAGE, "s")
                .with(tag::CELL, "c0"),
            Owner::Run(number, cell) => {
                let life = self.lives[number];
                let tags = Tags::new()
                    .with(tag::RUN, run(number).as_str())
                    .with(tag::STAGE, "s")
                    .with(tag::CELL, format!("c{cell}"))
                    .with(tag::EXPIRES, lifetime::tag_value(at(life.expires())));
                match life {
                    Life::LeaselessNotExpired | Life::LeaselessExpired => {
                        tags.with(tag::LEASE, tag::LEASE_NONE)
                    }
                    _ => tags,
                }
            }
        }
    }

    fn instance_tags(&self, one: &AnInstance) -> Tags {
        let tags = self.tags(one.owner);
        let kept = |tags: Tags, until: i64| {
            tags.with(tag::KEPT, "keep-on-failure")
                .with(tag::EXPIRES, lifetime::tag_value(at(until)))
        };
        match (self.keeping(one), one.owner) {
            (Keeping::Not, _) | (_, Owner::Foreign) => tags,
            (Keeping::Kept, _) => kept(tags, NOW + 3600),
            (Keeping::KeptTooLong, _) => kept(tags, NOW - 3600),
        }
    }

    /// Nothing is kept of a run without a lease here: the later end of a kept instance would be the run's own.
    fn keeping(&self, one: &AnInstance) -> Keeping {
        match one.owner {
            Owner::Run(n, _)
                if matches!(
                    self.lives[n],
                    Life::LeaselessNotExpired | Life::LeaselessExpired
                ) =>
            {
                Keeping::Not
            }
            _ => one.keeping,
        }
    }

    fn observed(&self) -> Observed {
        let instances = self.instances.iter().enumerate().map(|(n, one)| Instance {
            availability_zone: None,
            instance_type: "t3.micro".into(),
            ipv6: None,
            instance_id: InstanceId::new(format!("i-{n}")),
            state: if one.ending {
                InstanceState::ShuttingDown
            } else {
                InstanceState::Running
            },
            state_reason: None,
            image_id: None,
            public_ip: None,
            private_ip: None,
            vpc_id: None,
            security_groups: Vec::new(),
            launched: None,
            key_name: None,
            tags: self.instance_tags(one),
            purchase: Purchase::OnDemand,
        });
        let images = self.images.iter().enumerate().map(|(n, one)| Image {
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: "hvm".into(),
            volumes: Vec::new(),
            image_id: ImageId::new(format!("ami-{n}")),
            name: format!("image {n}"),
            description: String::new(),
            state: ImageState::Available,
            state_reason: None,
            created: None,
            owner: None,
            architecture: String::from("x86_64"),
            root_device: None,
            snapshots: vec![SnapshotId::new(format!("snap-of-{n}"))],
            tags: if one.complete {
                self.tags(one.owner).with(tag::COMPLETE, "true")
            } else {
                self.tags(one.owner)
            },
        });
        let snapshot = |id: String, owner| Snapshot {
            volume_gib: 8,
            kms_key_id: None,
            snapshot_id: SnapshotId::new(id),
            state: SnapshotState::Completed,
            progress_percent: 100,
            description: String::new(),
            started: None,
            tags: self.tags(owner),
        };
        let of_images = self.images.iter().enumerate();
        let of_images =
            of_images.map(|(n, one)| snapshot(format!("snap-of-{n}"), one.snapshot_owner));
        let others = self.snapshots.iter().enumerate();
        let others = others.map(|(n, owner)| snapshot(format!("snap-{n}"), *owner));
        let volumes = self.volumes.iter().enumerate().map(|(n, one)| Volume {
            volume_id: VolumeId::new(format!("vol-{n}")),
            state: String::from("in-use"),
            attached_to: one
                .attached
                .map(|place| InstanceId::new(format!("i-{place}")))
                .into_iter()
                .collect(),
            created: None,
            tags: self.tags(one.owner),
        });
        let pairs = self
            .pairs
            .iter()
            .enumerate()
            .map(|(n, owner)| KeyPairDescription {
                key_pair_id: KeyPairId::new(format!("key-{n}")),
                name: format!("pair {n}"),
                tags: self.tags(*owner),
            });
        let groups = self
            .groups
            .iter()
            .enumerate()
            .map(|(n, owner)| SecurityGroup {
                group_id: SecurityGroupId::new(format!("sg-{n}")),
                name: format!("group {n}"),
                vpc_id: None,
                tags: self.tags(*owner),
            });
        let addresses = self.instances.iter().enumerate();
        let addresses = addresses
            .filter(|(_, one)| one.bound)
            .map(|(n, _)| Address {
                allocation_id: AllocationId::new(format!("eipalloc-{n}")),
                public_ip: std::net::Ipv4Addr::new(198, 51, 100, 1),
                binding: Some(AddressBinding {
                    association_id: AssociationId::new(format!("eipassoc-{n}")),
                    instance_id: Some(InstanceId::new(format!("i-{n}"))),
                }),
                tags: Tags::new(),
            });
        let leases = self.lives.iter().enumerate();
        Observed {
            region: RegionName::new("us-east-2"),
            instances: instances.collect(),
            volumes: volumes.collect(),
            key_pairs: pairs.collect(),
            groups: groups.collect(),
            roles: crate::sweep::Roles::default(),
            images: images.collect(),
            snapshots: of_images.chain(others).collect(),
            addresses: addresses.collect(),
            imports: crate::sweep::Imports::default(),
            leases: Ok(leases.flat_map(|(n, life)| life.leases(&run(n))).collect()),
        }
    }

    fn judge(&self, observed: &[Observed], only: Option<&RunId>) -> Vec<Judged> {
        let lock = |wanted: &RunId| {
            let number = (0..self.lives.len()).find(|n| run(*n) == *wanted);
            number.map_or(JournalLock::Absent, |n| self.lives[n].lock())
        };
        let facts = SweepFacts {
            now: at(NOW),
            only,
            kept: self.kept,
            lock: &lock,
        };
        judge(observed, &[], &facts)
    }

    /// What must go and nothing else, worked out from what each thing is.
    fn must_go(&self) -> BTreeSet<String> {
        let dead = |owner: Owner| matches!(owner, Owner::Run(n, _) if !self.lives[n].is_alive());
        let stays_for_a_person = |one: &AnInstance| {
            !one.ending && self.keeping(one) == Keeping::Kept && self.kept == KeptToo::No
        };
        let cell_stays = |owner: Owner| {
            self.instances
                .iter()
                .any(|one| one.owner == owner && stays_for_a_person(one))
        };
        let instance_goes =
            |one: &AnInstance| !one.ending && dead(one.owner) && !stays_for_a_person(one);
        let mut gone = BTreeSet::new();
        for (n, one) in self.instances.iter().enumerate() {
            if instance_goes(one) {
                gone.insert(format!("i-{n}"));
                if one.bound {
                    gone.insert(format!("eipassoc-{n}"));
                }
            }
        }
        for (n, one) in self.images.iter().enumerate() {
            let image_goes = dead(one.owner) && !one.complete;
            if image_goes {
                gone.insert(format!("ami-{n}"));
                if dead(one.snapshot_owner) {
                    gone.insert(format!("snap-of-{n}"));
                }
            }
        }
        for (n, owner) in self.snapshots.iter().enumerate() {
            if dead(*owner) {
                gone.insert(format!("snap-{n}"));
            }
        }
        for (n, one) in self.volumes.iter().enumerate() {
            let free = one.attached.is_none_or(|place| {
                let instance = self.instances.get(place);
                instance.is_some_and(|one| one.ending || instance_goes(one))
            });
            if dead(one.owner) && free && !cell_stays(one.owner) {
                gone.insert(format!("vol-{n}"));
            }
        }
        for (prefix, owners) in [("key", &self.pairs), ("sg", &self.groups)] {
            for (n, owner) in owners.iter().enumerate() {
                if dead(*owner) && !cell_stays(*owner) {
                    gone.insert(format!("{prefix}-{n}"));
                }
            }
        }
        for (n, life) in self.lives.iter().enumerate() {
            if !life.is_alive() {
                gone.extend(life.leases(&run(n)).into_iter().map(|lease| lease.name));
            }
        }
        gone
    }
}

fn going(judged: &[Judged]) -> BTreeSet<String> {
    judged
        .iter()
        .filter(|one| matches!(one.verdict, Verdict::Remove { .. }))
        .map(|one| one.finding.thing.id().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Everything of dead runs goes but what is kept and what is part of a result; nothing of living runs and nothing
    /// that is not qib's.
    #[test]
    fn exactly_what_dead_runs_left_goes(account in an_account()) {
        let judged = account.judge(&[account.observed()], None);
        prop_assert_eq!(going(&judged), account.must_go());
    }

    /// Whatever else is there, and whoever says so: these never go.
    #[test]
    fn what_is_alive_complete_or_foreign_never_goes(account in an_account()) {
        let observed = account.observed();
        let going = going(&account.judge(std::slice::from_ref(&observed), None));
        for image in &observed.images {
            if image.tags.get(tag::COMPLETE).is_some() || origin(&image.tags).is_none() {
                prop_assert!(!going.contains(image.image_id.as_str()));
                for snapshot in &image.snapshots {
                    prop_assert!(!going.contains(snapshot.as_str()));
                }
            }
        }
        let tagged = observed.instances.iter().map(|one| (one.instance_id.as_str(), &one.tags));
        let tagged = tagged
            .chain(observed.volumes.iter().map(|one| (one.volume_id.as_str(), &one.tags)))
            .chain(observed.key_pairs.iter().map(|one| (one.key_pair_id.as_str(), &one.tags)))
            .chain(observed.groups.iter().map(|one| (one.group_id.as_str(), &one.tags)))
            .chain(observed.snapshots.iter().map(|one| (one.snapshot_id.as_str(), &one.tags)));
        for (id, tags) in tagged {
            let alive = origin(tags).is_none_or(|origin| {
                (0..4).any(|n| run(n) == origin.run && account.lives[n].is_alive())
            });
            prop_assert!(!(alive && going.contains(id)), "{id}");
        }
    }

    /// Asked about one run, the rule says the same of it and nothing of others.
    #[test]
    fn one_run_alone_is_judged_as_among_all(account in an_account(), number in 0..4_usize) {
        let observed = [account.observed()];
        let wanted = run(number);
        let alone = account.judge(&observed, Some(&wanted));
        let mut among = account.judge(&observed, None);
        among.retain(|one| one.finding.origin.run == wanted);
        prop_assert_eq!(alone, among);
    }

    /// Where leases cannot be read, what another machine's run made stays until its `qib:expires`.
    #[test]
    fn without_leases_only_this_machine_and_expiry_tell(mut account in an_account()) {
        account.instances.retain(|one| one.keeping != Keeping::KeptTooLong);
        let mut observed = account.observed();
        observed.leases = Err(String::from("AccessDenied"));
        for one in account.judge(&[observed], None) {
            let number = (0..4).find(|n| run(*n) == one.finding.origin.run).unwrap();
            let life = account.lives[number];
            if matches!(one.verdict, Verdict::Remove { .. }) {
                prop_assert!(matches!(life, Life::JournalNotHeld | Life::LeaselessExpired));
            }
        }
    }
}

#[test]
fn a_journal_is_settled_if_its_run_died_or_what_it_kept_is_gone() {
    let journal = |number, outstanding, kept, closed| LocalJournal {
        run: run(number),
        region: RegionName::new("us-east-2"),
        pipeline: String::from("p"),
        started: at(NOW),
        outstanding,
        kept,
        closed,
    };
    let account = AnAccount {
        lives: vec![Life::JournalNotHeld; 4],
        instances: vec![AnInstance {
            owner: Owner::Run(3, 0),
            keeping: Keeping::Kept,
            ending: false,
            bound: false,
        }],
        images: Vec::new(),
        volumes: Vec::new(),
        snapshots: Vec::new(),
        pairs: Vec::new(),
        groups: Vec::new(),
        kept: KeptToo::No,
    };
    let lock = |wanted: &RunId| {
        if *wanted == run(0) {
            JournalLock::Held
        } else {
            JournalLock::Free
        }
    };
    let facts = SweepFacts {
        now: at(NOW),
        only: None,
        kept: KeptToo::No,
        lock: &lock,
    };
    let journals = [
        journal(0, 2, 0, false),
        journal(1, 2, 0, false),
        journal(2, 0, 3, true),
        journal(3, 0, 3, true),
    ];
    let mut observed = account.observed();
    observed.leases = Ok(Vec::new());
    let judged = judge(&[observed], &journals, &facts);
    let journals: Vec<(&RunId, bool)> = judged
        .iter()
        .filter(|one| one.finding.thing.kind() == "journal")
        .map(|one| {
            (
                &one.finding.origin.run,
                matches!(one.verdict, Verdict::Remove { .. }),
            )
        })
        .collect();
    let (living, died, outlived) = (run(0), run(1), run(2));
    assert_eq!(
        journals,
        [(&living, false), (&died, true), (&outlived, true)]
    );
}

/// A region in which there is nothing but an image with these tags and its snapshot.
fn with_one_image(name: &str, tags: &Tags) -> Observed {
    let account = AnAccount {
        lives: vec![Life::NoSign; 4],
        instances: Vec::new(),
        images: Vec::new(),
        volumes: Vec::new(),
        snapshots: Vec::new(),
        pairs: Vec::new(),
        groups: Vec::new(),
        kept: KeptToo::No,
    };
    let mut observed = account.observed();
    observed.images = vec![Image {
        image_id: "ami-1".into(),
        name: name.into(),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        owner: None,
        architecture: "x86_64".into(),
        root_device: None,
        snapshots: vec!["snap-1".into()],
        tags: tags.clone(),
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: "hvm".into(),
        volumes: Vec::new(),
    }];
    observed.snapshots = vec![Snapshot {
        snapshot_id: "snap-1".into(),
        state: SnapshotState::Completed,
        progress_percent: 100,
        description: String::new(),
        volume_gib: 8,
        kms_key_id: None,
        started: None,
        tags: tags.clone(),
    }];
    observed
}

/// How many things go, and what is said of the image.
fn judged_image(observed: &Observed, facts: &SweepFacts<'_>) -> (usize, Judged) {
    let all = judge(std::slice::from_ref(observed), &[], facts);
    let gone = going(&all).len();
    let is_image = |one: &Judged| one.finding.thing.kind() == "image";
    (gone, all.into_iter().find(is_image).unwrap())
}

/// An image that failed its test and was kept for a person stays with its snapshots until its time has come, or it is
/// asked for; and it never counts as a result.
#[test]
fn a_kept_image_stays_until_its_time() {
    let tags = Tags::new()
        .with(tag::RUN, run(0).as_str())
        .with(tag::KEPT, "keep-on-failure")
        .with(tag::EXPIRES, lifetime::tag_value(at(NOW + 60)));
    let observed = with_one_image("golden", &tags);
    let judged = |now: i64, kept: KeptToo| {
        let facts = SweepFacts {
            now: at(now),
            only: None,
            kept,
            lock: &|_| JournalLock::Absent,
        };
        let (gone, image) = judged_image(&observed, &facts);
        (gone, image.standing)
    };
    assert_eq!(judged(NOW, KeptToo::No), (0, Standing::Kept));
    assert_eq!(judged(NOW, KeptToo::Yes), (2, Standing::Aid));
    assert_eq!(judged(NOW + 61, KeptToo::No), (2, Standing::Aid));
}

/// An image that was to take another's place, and whose run died before that, is no leftover; but it is shown.
#[test]
fn an_image_that_still_has_to_be_named_stays_and_is_shown() {
    let tags = Tags::new()
        .with(tag::RUN, run(0).as_str())
        .with(tag::COMPLETE, "true")
        .with(tag::FINAL_NAME, "golden");
    let judged = |name: &str, lock: JournalLock| {
        let facts = SweepFacts {
            now: at(NOW),
            only: None,
            kept: KeptToo::No,
            lock: &|_| lock,
        };
        let (gone, image) = judged_image(&with_one_image(name, &tags), &facts);
        assert_eq!(gone, 0);
        (image.standing, image.verdict)
    };
    let transit = format!("golden--{}", run(0));
    let (standing, Verdict::Keep { reason }) = judged(&transit, JournalLock::Free) else {
        panic!("it goes");
    };
    assert_eq!(standing, Standing::Unnamed);
    assert!(reason.contains("named golden"), "{reason}");
    assert_eq!(judged(&transit, JournalLock::Held).0, Standing::Result);
    assert_eq!(judged("golden", JournalLock::Free).0, Standing::Result);
}

/// Once the image that had the name is gone, a sweep leaves the name to the one that has it now.
#[test]
fn the_copy_that_has_taken_a_name_stays() {
    let run_tags = Tags::new().with(tag::RUN, run(0).as_str());
    let transit = run_tags
        .clone()
        .with(tag::COMPLETE, "true")
        .with(tag::FINAL_NAME, "golden");
    let mut observed = with_one_image("golden--transit", &transit);
    let copy = |name: &str, of: &str, state: ImageState| Image {
        image_id: "ami-2".into(),
        name: name.into(),
        state,
        snapshots: vec!["snap-2".into()],
        tags: run_tags.clone().with(tag::COPY_OF, of),
        ..observed.images[0].clone()
    };
    let cases = [
        (copy("golden", "ami-1", ImageState::Available), true),
        (copy("golden", "ami-1", ImageState::Pending), true),
        (copy("golden", "ami-1", ImageState::Failed), false),
        (copy("golden", "ami-9", ImageState::Available), false),
        (copy("silver", "ami-1", ImageState::Available), false),
    ];
    let of_copy = Snapshot {
        snapshot_id: "snap-2".into(),
        tags: run_tags.clone(),
        ..observed.snapshots[0].clone()
    };
    observed.snapshots.push(of_copy);
    for (copy, stays) in cases {
        let about = format!("{copy:?}");
        observed.images.truncate(1);
        observed.images.push(copy);
        let facts = SweepFacts {
            now: at(NOW),
            only: None,
            kept: KeptToo::No,
            lock: &|_| JournalLock::Free,
        };
        let gone = going(&judge(std::slice::from_ref(&observed), &[], &facts));
        let expected: &[&str] = if stays { &[] } else { &["ami-2", "snap-2"] };
        assert!(
            gone.iter().map(String::as_str).eq(expected.iter().copied()),
            "{gone:?} of {about}"
        );
    }
}
