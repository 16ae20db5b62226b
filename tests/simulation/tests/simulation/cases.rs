//! Running many cases: each on a runtime and a clock of its own, two at a time, with a row of the table at the end.

use crate::verdict::Verdict;
use simulation::{CASES_VARIABLE, FORM_VARIABLE, REPORT_VARIABLE, Row, SEED_VARIABLE, WHOLE};
use std::fmt::Display;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A case that takes longer by the clock on the wall turns in a circle without waiting for anything.
const GUARD: Duration = Duration::from_secs(300);
/// How many cases that failed are shown.
const SHOWN: usize = 12;
/// Cases at the same time.
const THREADS: usize = 2;

/// What the environment asks for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub seed: u64,
    pub cases: u32,
    pub whole: bool,
}

impl Settings {
    /// `cases` random schedules unless the environment says otherwise.
    pub fn read(cases: u32) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            let value: u64 = text
                .parse()
                .unwrap_or_else(|_| panic!("{name}={text} is no number"));
            Some(value)
        };
        Self {
            seed: number(SEED_VARIABLE).unwrap_or(1),
            cases: number(CASES_VARIABLE).map_or(cases, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            whole: std::env::var(FORM_VARIABLE).is_ok_and(|form| form == WHOLE),
        }
    }
}

/// Does one thing in a world that waits for nothing.
pub fn simulate<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Counts verdicts.
pub struct Tally {
    row: Mutex<Row>,
    begun: Instant,
    failed: Mutex<Vec<String>>,
}

impl Tally {
    pub fn new(matrix: &str) -> Self {
        Self {
            row: Mutex::new(Row {
                matrix: matrix.to_owned(),
                ..Row::default()
            }),
            begun: Instant::now(),
            failed: Mutex::default(),
        }
    }

    pub fn add(&self, label: &str, verdict: &Verdict) {
        let mut row = self.row.lock().unwrap();
        row.cases += 1;
        row.passed += usize::from(verdict.is_good());
        row.leaks += usize::from(!verdict.leaks.is_empty());
        row.double_effects += usize::from(!verdict.doubles.is_empty());
        row.hangs += usize::from(!verdict.hangs.is_empty());
        row.secrets += usize::from(!verdict.secrets.is_empty());
        if !verdict.is_good() {
            let text = format!("── {label}\n{}", verdict.text());
            self.failed.lock().unwrap().push(text);
        }
    }

    /// Writes the row, and fails the test unless every case passed.
    pub fn close(self) {
        let mut row = self.row.into_inner().unwrap();
        row.seconds = self.begun.elapsed().as_secs_f64();
        println!("{}", simulation::table(std::slice::from_ref(&row)));
        if let Some(path) = std::env::var_os(REPORT_VARIABLE) {
            simulation::append(Path::new(&path), &row).expect("the report can be written");
        }
        let failed = self.failed.into_inner().unwrap();
        for text in failed.iter().take(SHOWN) {
            println!("{text}\n");
        }
        assert!(row.cases > 0, "there was no case");
        assert!(
            failed.is_empty(),
            "{}: {} of {} cases failed, the first {SHOWN} are above",
            row.matrix,
            failed.len(),
            row.cases
        );
    }
}

/// Runs all of `cases`, each in its own world, and counts what they come to.
pub fn run_all<C: Display + Sync>(tally: &Tally, cases: &[C], run: impl Fn(&C) -> Verdict + Sync) {
    let next = AtomicUsize::new(0);
    let watched = Watched::default();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { break };
            let label = case.to_string();
            let verdict = watched.during(&label, || run(case));
            tally.add(&label, &verdict);
        }
    };
    watched.guarded(|| {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(work);
            }
        });
    });
}

/// The cases that are being run.
#[derive(Default)]
pub struct Watched {
    running: Mutex<Vec<(String, Instant)>>,
    over: AtomicBool,
}

impl Watched {
    pub fn during<T>(&self, label: &str, work: impl FnOnce() -> T) -> T {
        let entry = (label.to_owned(), Instant::now());
        self.running.lock().unwrap().push(entry.clone());
        let result = work();
        self.running.lock().unwrap().retain(|other| *other != entry);
        result
    }

    /// Does `work` with the guard beside it.
    pub fn guarded(&self, work: impl FnOnce()) {
        std::thread::scope(|scope| {
            let guard = scope.spawn(|| self.guard());
            work();
            self.over.store(true, Ordering::Relaxed);
            guard.join().expect("the guard does not panic");
        });
    }

    /// Ends the whole program if a case does not come to an end: a thread that turns in a circle cannot be ended.
    fn guard(&self) {
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            for (label, since) in self.running.lock().unwrap().iter() {
                if since.elapsed() > GUARD {
                    eprintln!(
                        "hang: {label} has not ended after {GUARD:?} by the clock on the wall"
                    );
                    std::process::abort();
                }
            }
        }
    }
}
