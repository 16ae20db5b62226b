//! The rule of the leases through random interleavings: actors as step machines over a store that takes one call at a
//! time, with crashes, pauses, writes that arrive late, and a sweeper that deletes what dead runs left.

use build::journal::JournalLock;
use build::lease::{DEAD_AFTER, Fence, Line, Place, Queued, RENEW_EVERY, Standing, Ticket};
use build::names::{CellName, RunId};
use cloud::{Parameter, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const FOLDER: &str = "/qib/leases/address/eipalloc-1";
/// How much earlier or later than the service's the actors' clocks are, and how wrong their numbers therefore.
const SKEW: [i64; 5] = [0, -90_000, 90_000, -1, 3_600_000];

/// What is broken on purpose, to see that the test would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Nothing is.
    Nothing,
    /// A ticket is never withdrawn before a greater one.
    Settling,
    /// A holder does not ask whether it has lost the thing.
    Fence,
    /// A renewal counts from its answer, not from its beginning, and however late that comes.
    LateRenewals,
}

#[derive(Clone, Debug)]
struct Stored {
    written: i64,
    version: i64,
}

/// SSM, with its own clock in milliseconds.
#[derive(Default)]
struct Store {
    now: i64,
    parameters: BTreeMap<String, Stored>,
}

impl Store {
    fn list(&self) -> Line {
        let parameters: Vec<Parameter> = self
            .parameters
            .iter()
            .map(|(name, stored)| Parameter {
                name: name.clone(),
                value: String::new(),
                kind: cloud::ParameterKind::Text,
                version: stored.version,
                age: Duration::from_millis(u64::try_from(self.now - stored.written).unwrap()),
            })
            .collect();
        Line::of(FOLDER, &parameters)
    }

    fn put(&mut self, name: &str) -> i64 {
        let version = self.parameters.get(name).map_or(1, |s| s.version + 1);
        let written = self.now;
        self.parameters
            .insert(name.to_owned(), Stored { written, version });
        version
    }
}

/// A renewal on its way.
#[derive(Clone, Debug)]
enum Renewal {
    Sent { begun: i64 },
    Arrived { begun: i64, version: i64 },
}

#[derive(Clone, Debug)]
enum Doing {
    /// About to list, to learn the next number.
    Begin,
    /// Knows its number, about to create.
    Numbered(u64),
    /// Created; about to list.
    Look,
    /// It has looked, and it is its turn; a moment may pass before it takes it.
    Turn,
    /// Uses the thing, as often as it is its own.
    Hold {
        left: u32,
    },
    /// Gives its ticket back, then begins anew or is done.
    Release {
        again: bool,
    },
    Done,
    Crashed,
}

struct Actor {
    run: RunId,
    skew: i64,
    doing: Doing,
    ticket: Option<(Ticket, Place, Fence)>,
    renewal: Option<Renewal>,
    last_renewal: i64,
    settled_at: Option<u64>,
    /// Until then it does nothing at all, as a machine that sleeps.
    asleep_until: i64,
}

/// What happens next in a schedule.
#[derive(Clone, Debug)]
enum Step {
    /// An actor does its next thing.
    Act(usize),
    /// A renewal of an actor goes on by one step: sent, arrived, answered.
    Renew(usize),
    /// Time passes.
    Pass(i64),
    /// An actor sleeps for this long.
    Sleep(usize, i64),
    /// An actor dies.
    Crash(usize),
    /// A sweeper deletes the tickets of dead runs.
    Sweep,
}

struct World {
    store: Store,
    actors: Vec<Actor>,
    /// Whether waiters can see the others' journals: they are on one host.
    one_host: bool,
    broken: Broken,
    settlements: u64,
    /// The settled tickets, in the order in which they came to hold.
    held: Vec<u64>,
    holds: u64,
}

impl World {
    fn new(actors: usize, one_host: bool, broken: Broken) -> Self {
        let actors = (0..actors)
            .map(|index| Actor {
                run: RunId::from_random(u64::try_from(index).unwrap() + 1),
                skew: SKEW[index % SKEW.len()],
                doing: Doing::Begin,
                ticket: None,
                renewal: None,
                last_renewal: 0,
                settled_at: None,
                asleep_until: 0,
            })
            .collect();
        let store = Store {
            now: 1_790_000_000_000,
            parameters: BTreeMap::new(),
        };
        Self {
            store,
            actors,
            one_host,
            broken,
            settlements: 0,
            held: Vec::new(),
            holds: 0,
        }
    }

    /// The actor's own clock, in milliseconds.
    fn clock(&self, index: usize) -> i64 {
        self.store.now + self.actors[index].skew
    }

    fn time(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    /// Whether the actor takes the thing for its own at this moment.
    fn uses(&self, index: usize) -> bool {
        let actor = &self.actors[index];
        let awake = actor.asleep_until <= self.store.now;
        matches!(actor.doing, Doing::Hold { .. }) && awake && self.owns(index)
    }

    fn owns(&self, index: usize) -> bool {
        let now = Self::time(self.clock(index));
        let Some((_, _, fence)) = &self.actors[index].ticket else {
            return false;
        };
        self.broken == Broken::Fence || fence.check(now).is_ok()
    }

    fn journal(&self, run: &RunId) -> JournalLock {
        if !self.one_host {
            return JournalLock::Absent;
        }
        match self.actors.iter().find(|actor| actor.run == *run) {
            Some(actor) if matches!(actor.doing, Doing::Crashed | Doing::Done) => JournalLock::Free,
            Some(_) => JournalLock::Held,
            None => JournalLock::Absent,
        }
    }

    fn name(&self, index: usize) -> Option<String> {
        let (ticket, ..) = self.actors[index].ticket.as_ref()?;
        Some(ticket.parameter(FOLDER))
    }

    fn act(&mut self, index: usize) {
        if self.actors[index].asleep_until > self.store.now {
            return;
        }
        let now = self.clock(index);
        let doing = self.actors[index].doing.clone();
        let next = match doing {
            Doing::Begin => Doing::Numbered(self.store.list().next_number(Self::time(now))),
            Doing::Numbered(number) => {
                let cell = CellName {
                    stage: "base".into(),
                    cell: "us-east-2".into(),
                };
                let ticket = Ticket::new(number, &self.actors[index].run, &cell);
                let name = ticket.parameter(FOLDER);
                assert!(!self.store.parameters.contains_key(&name), "{name} twice");
                self.store.put(&name);
                let actor = &mut self.actors[index];
                actor.last_renewal = now;
                actor.settled_at = None;
                let fence = Fence::new(Self::time(now));
                actor.ticket = Some((ticket.clone(), Place::new(ticket), fence));
                Doing::Look
            }
            Doing::Look => self.look(index),
            // Between the look and this moment the actor may have slept.
            Doing::Turn if !self.owns(index) => Doing::Release { again: true },
            Doing::Turn => {
                self.held.push(self.actors[index].settled_at.unwrap());
                self.holds += 1;
                Doing::Hold { left: 3 }
            }
            Doing::Hold { .. } if !self.owns(index) => Doing::Release { again: false },
            Doing::Hold { left: 0 } => Doing::Release { again: false },
            Doing::Hold { left } => Doing::Hold { left: left - 1 },
            Doing::Release { again } => {
                if self.actors[index].renewal.is_some() {
                    // Nothing is deleted while a renewal is on its way.
                    Doing::Release { again }
                } else {
                    if let Some(name) = self.name(index) {
                        self.store.parameters.remove(&name);
                    }
                    self.actors[index].ticket = None;
                    if again { Doing::Begin } else { Doing::Done }
                }
            }
            Doing::Done | Doing::Crashed => doing,
        };
        self.actors[index].doing = next;
    }

    fn look(&mut self, index: usize) -> Doing {
        if !self.owns(index) {
            return Doing::Release { again: true };
        }
        let line = self.store.list();
        let locks: BTreeMap<RunId, JournalLock> = self
            .actors
            .iter()
            .map(|actor| (actor.run.clone(), self.journal(&actor.run)))
            .collect();
        let lives = |other: &Queued| other.lives(locks[&other.ticket.run]);
        let broken = self.broken;
        let (ticket, place, _) = self.actors[index].ticket.as_mut().unwrap();
        let mut standing = place.look(&line, lives);
        if broken == Broken::Settling && standing == Standing::Overtaken {
            let lower = |other: &&Queued| other.ticket < *ticket && lives(other);
            standing = match line.tickets().iter().find(lower) {
                None => Standing::First { dead: Vec::new() },
                Some(holder) => Standing::Behind {
                    ahead: 1,
                    holder: holder.clone(),
                },
            };
        }
        if matches!(standing, Standing::First { .. } | Standing::Behind { .. })
            && self.actors[index].settled_at.is_none()
        {
            self.settlements += 1;
            self.actors[index].settled_at = Some(self.settlements);
        }
        match standing {
            Standing::Unseen | Standing::Behind { .. } => Doing::Look,
            Standing::Overtaken => Doing::Release { again: true },
            Standing::First { .. } => Doing::Turn,
        }
    }

    fn renew(&mut self, index: usize) {
        let now = self.clock(index);
        let name = self.name(index);
        // What is on its way arrives also when its sender is dead or asleep.
        if let (Some(Renewal::Sent { begun }), Some(name)) =
            (self.actors[index].renewal.clone(), &name)
        {
            let version = self.store.put(name);
            self.actors[index].renewal = Some(Renewal::Arrived { begun, version });
            return;
        }
        let actor = &self.actors[index];
        if actor.asleep_until > self.store.now || matches!(actor.doing, Doing::Crashed) {
            return;
        }
        let late = self.broken == Broken::LateRenewals;
        let owns = self.owns(index);
        let actor = &mut self.actors[index];
        match (actor.renewal.clone(), &mut actor.ticket) {
            (Some(Renewal::Arrived { begun, version }), Some((_, _, fence))) => {
                actor.renewal = None;
                actor.last_renewal = begun;
                if late {
                    *fence = Fence::new(Self::time(now));
                } else {
                    // A loss stands in the fence: it is not renewed.
                    let _ = fence.renewed(Self::time(begun), Self::time(now), version);
                }
            }
            (None, Some(_))
                if owns && !matches!(actor.doing, Doing::Release { .. } | Doing::Done) =>
            {
                actor.renewal = Some(Renewal::Sent { begun: now });
            }
            _ => {}
        }
    }

    fn sweep(&mut self) {
        let line = self.store.list();
        for queued in line.tickets() {
            if !queued.lives(self.journal(&queued.ticket.run)) {
                self.store
                    .parameters
                    .remove(&queued.ticket.parameter(FOLDER));
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let count = self.actors.len();
        match step {
            Step::Act(index) => self.act(index % count),
            Step::Renew(index) => self.renew(index % count),
            Step::Pass(milliseconds) => self.store.now += milliseconds,
            Step::Sleep(index, milliseconds) => {
                let until = self.store.now + milliseconds;
                let actor = &mut self.actors[index % count];
                actor.asleep_until = actor.asleep_until.max(until);
            }
            Step::Crash(index) => self.actors[index % count].doing = Doing::Crashed,
            Step::Sweep => self.sweep(),
        }
        self.never_two()
    }

    fn never_two(&self) -> Result<(), TestCaseError> {
        let using: Vec<usize> = (0..self.actors.len())
            .filter(|index| self.uses(*index))
            .collect();
        prop_assert!(using.len() < 2, "{using:?} use it at once");
        Ok(())
    }

    /// All is quiet: nobody crashes or sleeps any more, and renewals are in time. Everybody gets its turn.
    fn quiet(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..600 {
            self.store.now += 1_000;
            for index in 0..self.actors.len() {
                let now = self.clock(index);
                let due = i64::try_from(RENEW_EVERY.as_millis()).unwrap();
                if self.actors[index].renewal.is_some()
                    || now - self.actors[index].last_renewal >= due
                {
                    self.renew(index);
                    self.renew(index);
                    self.renew(index);
                }
                // Withdrawn tickets are scattered in time, so that one at a time goes on.
                self.act(index);
                self.never_two()?;
                if matches!(self.actors[index].doing, Doing::Numbered(_)) {
                    self.act(index);
                    self.act(index);
                }
                self.never_two()?;
            }
        }
        for (index, actor) in self.actors.iter().enumerate() {
            prop_assert!(
                matches!(actor.doing, Doing::Done | Doing::Crashed),
                "actor {index} still waits: {:?}",
                actor.doing
            );
        }
        Ok(())
    }
}

fn steps(weird: bool) -> impl Strategy<Value = Vec<Step>> {
    let dead = i64::try_from(DEAD_AFTER.as_millis()).unwrap();
    let usual = prop_oneof![
        12 => (0_usize..5).prop_map(Step::Act),
        8 => (0_usize..5).prop_map(Step::Renew),
        3 => (0_i64..40_000).prop_map(Step::Pass),
    ];
    let odd = prop_oneof![
        2 => (0_usize..5, 0..2 * dead).prop_map(|(index, for_how_long)| Step::Sleep(index, for_how_long)),
        1 => (0_usize..5).prop_map(Step::Crash),
        2 => Just(Step::Sweep),
        2 => (0..2 * dead).prop_map(Step::Pass),
    ];
    let odd_weight = u32::from(weird) * 3;
    let step = if weird {
        prop_oneof![10 => usual, odd_weight => odd].boxed()
    } else {
        usual.boxed()
    };
    proptest::collection::vec(step, 1..250)
}

fn go_through(world: &mut World, schedule: &[Step]) -> Result<(), TestCaseError> {
    for step in schedule {
        world.step(step)?;
    }
    world.quiet()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Never two at once, and in the end everybody who lives had its turn or lost it to nobody's harm.
    #[test]
    fn nobody_uses_it_together_with_another_and_all_come_to_use_it(
        actors in 2_usize..6,
        one_host in any::<bool>(),
        schedule in steps(true),
    ) {
        go_through(&mut World::new(actors, one_host, Broken::Nothing), &schedule)?;
    }

    /// While nobody dies or sleeps, the thing goes from one to the next in the order in which they came to stand in line.
    #[test]
    fn first_come_first_served(actors in 2_usize..6, schedule in steps(false)) {
        // On one host nobody is taken for dead, however long the others pause.
        let mut world = World::new(actors, true, Broken::Nothing);
        let shorter: Vec<Step> = schedule
            .into_iter()
            .map(|step| match step {
                Step::Pass(milliseconds) => Step::Pass(milliseconds / 20),
                other => other,
            })
            .take(150)
            .collect();
        go_through(&mut world, &shorter)?;
        prop_assert!(world.held.is_sorted(), "{:?}", world.held);
        prop_assert_eq!(world.holds, u64::try_from(actors).unwrap());
    }
}

/// What the schedules find when the rule is broken.
fn finds(broken: Broken) -> bool {
    let config = ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let strategy = (2_usize..6, any::<bool>(), steps(true));
    let result = runner.run(&strategy, |(actors, one_host, schedule)| {
        let mut world = World::new(actors, one_host, broken);
        for step in &schedule {
            world.step(step)?;
        }
        Ok(())
    });
    result.is_err()
}

#[test]
fn the_schedules_find_every_part_of_the_rule_that_is_left_out() {
    assert!(finds(Broken::Settling), "without settling");
    assert!(finds(Broken::Fence), "without the fence");
    assert!(finds(Broken::LateRenewals), "with renewals that come late");
}
