//! How a program ended, and assertions that show all it said when they fail.

use serde_json::Value;
use std::fmt;

/// A program that has ended.
pub struct Ended {
    /// Its command line.
    pub line: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        write!(
            f,
            "\n--- {} ended with {code}\n--- its stdout:\n{}\n--- its stderr:\n{}\n---",
            self.line, self.stdout, self.stderr
        )
    }
}

impl Ended {
    /// Fails unless it exited with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "expected exit code {code}{self}");
        self
    }

    /// Fails unless its standard error has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} is not in its stderr{self}"
        );
        self
    }

    /// Fails if either stream has `text`.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        let said = self.stderr.contains(text) || self.stdout.contains(text);
        assert!(!said, "{text:?} is in its output{self}");
        self
    }

    /// Its standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("its stdout is not JSON: {error}{self}"))
    }

    /// Its standard output as one JSON object per line.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?} is not JSON: {error}{self}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The events of one kind.
    #[track_caller]
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == kind)
            .collect()
    }

    /// The last event, which must be `finished`.
    #[track_caller]
    pub fn finished(&self) -> Value {
        let last = self.events().pop().unwrap_or(Value::Null);
        assert_eq!(
            last["event"], "finished",
            "the last event is not `finished`{self}"
        );
        last
    }

    /// The run's id, from the last event.
    #[track_caller]
    pub fn run_id(&self) -> String {
        let finished = self.finished();
        finished["run"]
            .as_str()
            .unwrap_or_else(|| panic!("no run id{self}"))
            .to_owned()
    }

    /// The image of `stage`, from the last event.
    #[track_caller]
    pub fn image(&self, stage: &str) -> Value {
        let finished = self.finished();
        let images = finished["images"].as_array().cloned().unwrap_or_default();
        let found = images.into_iter().find(|image| image["stage"] == stage);
        found.unwrap_or_else(|| panic!("no image of stage {stage}{self}"))
    }

    /// Fails unless it failed in `step` with exit code 1, left nothing behind and says so.
    #[track_caller]
    pub fn failed_in(self, step: &str) -> Self {
        let ended = self.exits(1);
        let finished = ended.finished();
        assert_eq!(finished["status"], "failed", "{ended}");
        let steps: Vec<&Value> = finished["failures"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|failure| &failure["step"])
            .collect();
        assert_eq!(steps, [step], "the step that failed{ended}");
        assert_eq!(finished["left_behind"], serde_json::json!([]), "{ended}");
        ended
    }
}
