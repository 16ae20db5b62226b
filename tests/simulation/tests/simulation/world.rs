//! One account, its instances and its time; and the processes that work on it.

use crate::clock::Simulated;
use crate::fault::{Crash, Fault};
use crate::holdings::holdings;
use crate::machines::{Ailment, Machines, Nowhere};
use crate::wire::{Made, Wire};
use cloud::Clock;
use emulator::account::Account;
use emulator::clock::Clock as EmulatorClock;
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::{Engine, Memory, Served, Store, Surroundings};
use emulator::network::Doors;
use emulator::runtime::GuestRuntime;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The value of the pipeline's secret variable. Nothing that is written down may hold it.
pub const SECRET: &str = "tok-7f3c9a51e2d84b60";

/// One account, its instances and its time.
pub struct World {
    pub engine: Arc<Engine>,
    pub machines: Arc<Machines>,
    pub clock: Simulated,
    folder: tempfile::TempDir,
    made: Arc<Made>,
    before: BTreeSet<String>,
}

impl World {
    /// A new account, prepared by `change`. Must be called within the runtime that everything runs on.
    pub fn new(ailment: Ailment, change: impl FnOnce(&mut Account)) -> Self {
        let folder = match Path::new("/dev/shm").is_dir() {
            // Journals are written through to the disk, which is what most of the time would go to.
            true => tempfile::tempdir_in("/dev/shm"),
            false => tempfile::tempdir(),
        }
        .expect("a folder for the simulation");
        let clock = Simulated::begin();
        let machines = Arc::new(Machines::default());
        *machines.ailment.lock().unwrap() = ailment;
        let mut account = Store::forgetful().load().expect("a new account");
        change(&mut account);
        let engine = engine_over(
            &folder.path().join("ec2"),
            clock.0,
            machines.clone(),
            account,
        );
        machines.attach(&engine, clock);
        let before = holdings(&engine.snapshot());
        Self {
            engine,
            machines,
            clock,
            folder,
            made: Arc::default(),
            before,
        }
    }

    /// Where processes on host `name` keep their state.
    pub fn state_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join("hosts").join(name)
    }

    /// Everything that was written to files by anybody.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What is there now and was not at the beginning.
    pub fn added(&self) -> BTreeSet<String> {
        let now = holdings(&self.engine.snapshot());
        now.difference(&self.before).cloned().collect()
    }

    /// What was ever made, whether it is still there or not.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// A connection for a new process.
    pub fn wire(&self, faults: Vec<Fault>, crash: Crash) -> Arc<Wire> {
        let (folder, clock) = (self.folder.path().join("stale"), self.clock.0);
        let shadow = move |account| engine_over(&folder, clock, Arc::new(Nowhere), account);
        Arc::new(Wire::new(
            self.engine.clone(),
            self.clock,
            faults,
            crash,
            self.made.clone(),
            Some(Box::new(shadow)),
        ))
    }

    /// The time.
    pub fn now(&self) -> cloud::Timestamp {
        self.clock.now()
    }
}

fn engine_over(
    folder: &Path,
    clock: EmulatorClock,
    machines: Arc<dyn GuestRuntime>,
    account: Account,
) -> Arc<Engine> {
    std::fs::create_dir_all(folder).expect("a folder for the local EC2");
    let surroundings = Surroundings {
        clock,
        doors: Doors::None,
        memory: Memory::OfTheProcess,
    };
    let config = EmulatorConfig {
        delays: Delays::Short,
        firewall: false,
        ..EmulatorConfig::default()
    };
    let served = Served {
        endpoint: "127.0.0.1:1".parse().unwrap(),
        ssh_port: 22,
    };
    Engine::within(surroundings, folder, &config, machines, account, served)
        .expect("the local EC2 starts")
}
