//! What the fault matrices have in common: how much of them to do, and how it went.
//!
//! A matrix goes on after a case that fails, so that the table says how many do. `QIB_FAULTS_REPORT` names a file that
//! each matrix adds a line of JSON to, from which `cargo xtask faults` makes the table.

use serde_json::json;
use std::any::Any;
use std::io::Write;
use std::time::Duration;

/// Whether the whole matrix is asked for (`QIB_FAULTS=whole`), rather than the form that takes minutes.
pub fn is_whole() -> bool {
    std::env::var("QIB_FAULTS").is_ok_and(|form| form == "whole")
}

/// How one matrix went.
pub struct Tally {
    matrix: &'static str,
    passed: usize,
    failures: Vec<String>,
    took: Duration,
}

impl Tally {
    /// Nothing yet.
    pub fn new(matrix: &'static str) -> Self {
        Self {
            matrix,
            passed: 0,
            failures: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// One case more that went as it should.
    pub fn passed(&mut self, took: Duration) {
        self.passed += 1;
        self.took += took;
    }

    /// One case more that did not, with what its panic said.
    pub fn failed(&mut self, case: &str, cause: &(dyn Any + Send), took: Duration) {
        let said = cause
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        self.took += took;
        self.failures.push(format!("{case}: {said}"));
    }

    fn count(&self, word: &str) -> usize {
        self.failures
            .iter()
            .filter(|said| said.contains(word))
            .count()
    }

    /// Writes the matrices down, and fails if a case of one did.
    ///
    /// # Panics
    /// If a case failed, or the report cannot be written.
    pub fn report(all: &[Self]) {
        for tally in all {
            let line = json!({
                "matrix": tally.matrix,
                "cases": tally.passed + tally.failures.len(),
                "passed": tally.passed,
                "leaks": tally.count("leaked"),
                "double_effects": tally.count("exactly once") + tally.count("was carried out"),
                "hangs": tally.count("did not end within"),
                "secrets": tally.count("secret:"),
                "seconds": tally.took.as_secs(),
            });
            eprintln!("{line}");
            if let Some(path) = std::env::var_os("QIB_FAULTS_REPORT") {
                let file = std::fs::OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&path);
                let written = file.and_then(|mut file| writeln!(file, "{line}"));
                assert!(written.is_ok(), "cannot write {path:?}: {written:?}");
            }
        }
        let failures: Vec<&String> = all.iter().flat_map(|tally| &tally.failures).collect();
        assert!(
            failures.is_empty(),
            "{} cases failed:\n{}",
            failures.len(),
            failures
                .iter()
                .map(|said| said.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
}
