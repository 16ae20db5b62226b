//! How long each cell's present step has taken.

use build::event::{Event, Step};
use build::names::CellName;
use cloud::{Clock, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Remembers when steps began.
pub struct Stopwatch {
    clock: Arc<dyn Clock>,
    begun: HashMap<(CellName, Step), Timestamp>,
}

impl Stopwatch {
    /// One that reads `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            begun: HashMap::new(),
        }
    }

    /// Takes note of `event`. For the end of a step that was seen to begin: how long it took.
    pub fn lap(&mut self, event: &Event) -> Option<Duration> {
        match event {
            Event::StepStarted { cell, step } => {
                self.begun.insert((cell.clone(), *step), self.clock.now());
                None
            }
            Event::StepFinished { cell, step } => {
                let begun = self.begun.remove(&(cell.clone(), *step))?;
                Some(cloud::clock::between(begun, self.clock.now()))
            }
            _ => None,
        }
    }
}
