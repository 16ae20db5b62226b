//! Progress for a terminal: a bar for each running cell at the bottom, and below them a line that counts; what happens
//! stands above.
//!
//! ```text
//!   image/us-east-1-1404-hvm │ instance i-0aaa
//!   ⠋ image/us-east-1-1404-hvm creating the image: 40 %                 ~3 min left, 2m
//!   ⠙ image/us-west-1-1404-hvm provisioning: install                    ~9 min left, 12s
//!   32 cells: 8 running (6 not shown), 20 waiting, 3 done, 1 failed
//! ```

use super::stopwatch::Stopwatch;
use super::style::{Palette, Role};
use super::wording::{Saying, saying, size_text, transfer_text};
use super::{Progress, Spoken};
use build::estimate::Durations;
use build::event::{Event, Step};
use build::names::CellName;
use build::options::Venue;
use cloud::{Clock, Timestamp};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(120);
/// Rows that bars leave free: one for the line that counts, one for the cursor, and one for what happens.
const OTHER_ROWS: usize = 3;

/// How long things take.
pub struct Forecast {
    /// From earlier runs.
    pub durations: Durations,
    /// Where this one is.
    pub venue: Venue,
    /// Of which pipeline.
    pub pipeline: String,
}

/// Draws bars.
pub struct LiveBars {
    all: MultiProgress,
    /// The cells that run, in the order in which they began.
    running: Vec<Running>,
    bars: HashMap<CellName, ProgressBar>,
    count: Count,
    counter: Option<ProgressBar>,
    palette: Palette,
    stopwatch: Stopwatch,
    clock: Arc<dyn Clock>,
    forecast: Forecast,
    /// How many rows the terminal has now.
    rows: Box<dyn Fn() -> usize + Send>,
    held: bool,
}

/// A cell that runs.
struct Running {
    cell: CellName,
    step: Option<Step>,
    begun: Timestamp,
    provisioner: Option<String>,
    /// How far its image is, by region.
    percents: BTreeMap<String, u8>,
    /// How far a disk image is, in words.
    transfer: Option<String>,
}

/// How many cells have come to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    all: usize,
    done: usize,
    failed: usize,
    skipped: usize,
}

impl LiveBars {
    /// Bars on `target`, which has `rows`.
    pub fn new(
        target: ProgressDrawTarget,
        clock: Arc<dyn Clock>,
        palette: Palette,
        forecast: Forecast,
        rows: Box<dyn Fn() -> usize + Send>,
    ) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            running: Vec::new(),
            bars: HashMap::new(),
            count: Count::default(),
            counter: None,
            palette,
            stopwatch: Stopwatch::new(clock.clone()),
            clock,
            forecast,
            rows,
            held: false,
        }
    }

    fn of(&mut self, cell: &CellName) -> &mut Running {
        let known = self.running.iter().position(|one| one.cell == *cell);
        let at = known.unwrap_or_else(|| {
            self.running.push(Running {
                cell: cell.clone(),
                step: None,
                begun: self.clock.now(),
                provisioner: None,
                percents: BTreeMap::new(),
                transfer: None,
            });
            self.running.len() - 1
        });
        &mut self.running[at]
    }

    fn end(&mut self, cell: &CellName) {
        self.running.retain(|one| one.cell != *cell);
        self.remove_bar(cell);
    }

    fn remove_bar(&mut self, cell: &CellName) {
        if let Some(bar) = self.bars.remove(cell) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Brings the bars in line with what runs. As many are shown as there is room for.
    fn arrange(&mut self) {
        let room = if self.held {
            0
        } else {
            (self.rows)().saturating_sub(OTHER_ROWS).max(1)
        };
        let hidden: Vec<CellName> = self
            .running
            .iter()
            .skip(room)
            .map(|one| one.cell.clone())
            .collect();
        hidden.iter().for_each(|cell| self.remove_bar(cell));
        self.arrange_counter(hidden.len());
        for at in 0..self.running.len().min(room) {
            let Self {
                all,
                running,
                bars,
                counter,
                palette,
                clock,
                ..
            } = self;
            let one = &running[at];
            bars.entry(one.cell.clone()).or_insert_with(|| {
                let bar = ProgressBar::new_spinner()
                    .with_elapsed(cloud::clock::between(one.begun, clock.now()));
                let bar = match counter {
                    Some(counter) => all.insert_before(counter, bar),
                    None => all.add(bar),
                };
                bar.set_prefix(palette.paint(Role::Strong, &one.cell.to_string()));
                bar.enable_steady_tick(TICK);
                bar
            });
            self.describe(at);
        }
    }

    /// The line that counts, where there is more than one cell.
    fn arrange_counter(&mut self, hidden: usize) {
        if self.held || self.count.all < 2 || self.running.is_empty() {
            if let Some(counter) = self.counter.take() {
                counter.finish_and_clear();
                self.all.remove(&counter);
            }
            return;
        }
        let text = self.count.describe(self.running.len(), hidden);
        let all = &self.all;
        let counter = self.counter.get_or_insert_with(|| {
            let counter = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                counter.set_style(style);
            }
            counter
        });
        counter.set_message(self.palette.paint(Role::Dim, &text));
        counter.tick();
    }

    /// Says on the bar of running cell `at` what it does, and for how long still.
    fn describe(&self, at: usize) {
        let one = &self.running[at];
        let Some(bar) = self.bars.get(&one.cell) else {
            return;
        };
        let Forecast {
            durations,
            venue,
            pipeline,
        } = &self.forecast;
        let known = durations.of(*venue, pipeline, &one.cell.stage).cloned();
        let step = one.step.map(Step::name);
        let left = move |state: &ProgressState, out: &mut dyn Write| {
            let left = known.as_ref().zip(step);
            let left = left.and_then(|(known, step)| known.remaining(step, state.elapsed()));
            if let Some(words) = left.and_then(remaining) {
                // A bar that cannot be written has nowhere to say so.
                let _ = write!(out, "{words}, ");
            }
        };
        let template = "{spinner} {prefix} {wide_msg} {left}{elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("left", left));
        }
        bar.set_message(one.message());
    }

    fn say(&self, saying: &Saying) -> Spoken {
        let prefix = self
            .palette
            .paint(Role::Dim, &format!("{} │", saying.subject));
        for line in &saying.lines {
            let line = saying
                .role
                .map_or_else(|| line.clone(), |role| self.palette.paint(role, line));
            self.all.println(format!("{prefix} {line}"))?;
        }
        Ok(())
    }

    /// Moves the bars. True if the event is shown by them alone.
    fn move_bars(&mut self, event: &Event) -> bool {
        let alone = match event {
            Event::Started { cells, .. } => {
                self.count.all = cells.len();
                false
            }
            Event::StepStarted { cell, step } => {
                let begun = self.clock.now();
                let one = self.of(cell);
                one.step = Some(*step);
                one.begun = begun;
                one.provisioner = None;
                one.percents.clear();
                one.transfer = None;
                if let Some(bar) = self.bars.get(cell) {
                    bar.reset_elapsed();
                }
                true
            }
            Event::ImageProgress {
                cell,
                region,
                percent,
            } => {
                self.of(cell).percents.insert(region.clone(), *percent);
                true
            }
            Event::Transfer {
                cell,
                what,
                done,
                total,
            } => {
                let now = self.clock.now();
                let one = self.of(cell);
                let took = cloud::clock::between(one.begun, now).as_secs_f64();
                let rate = if took > 0.5 && *total != Some(100) {
                    let a_second = size_text((*done as f64 / took) as u64);
                    format!(", {a_second}/s")
                } else {
                    String::new()
                };
                one.transfer = Some(format!("{}{rate}", transfer_text(*what, *done, *total)));
                true
            }
            Event::ProvisionerStarted { cell, provisioner } => {
                self.of(cell).provisioner = Some(provisioner.clone());
                false
            }
            Event::Built { cell, .. } | Event::Cached { cell, .. } => {
                self.end(cell);
                self.count.done += 1;
                false
            }
            Event::Failed { cell, .. } => {
                self.end(cell);
                self.count.failed += 1;
                false
            }
            Event::Skipped { .. } => {
                self.count.skipped += 1;
                false
            }
            Event::Finished(_) => {
                let cells: Vec<CellName> = self.bars.keys().cloned().collect();
                cells.iter().for_each(|cell| self.remove_bar(cell));
                self.running.clear();
                false
            }
            Event::StepFinished { .. }
            | Event::Note { .. }
            | Event::Warning { .. }
            | Event::ProvisionerSkipped { .. }
            | Event::ProvisionerFinished { .. }
            | Event::Paused { .. }
            | Event::Output { .. } => return false,
        };
        self.arrange();
        alone
    }
}

impl Running {
    fn message(&self) -> String {
        if let Some(transfer) = &self.transfer {
            return transfer.clone();
        }
        let what = match (&self.provisioner, self.step) {
            (Some(provisioner), _) => format!("provisioning: {provisioner}"),
            (None, Some(step)) => step.describe().to_owned(),
            (None, None) => String::new(),
        };
        match (self.percents.values().min(), self.percents.len()) {
            (None, _) => what,
            (Some(percent), 1) => format!("{what}: {percent} %"),
            (Some(percent), regions) => {
                format!("{what}: {percent} % in the last of {regions} regions")
            }
        }
    }
}

impl Count {
    fn describe(self, running: usize, hidden: usize) -> String {
        let mut parts = vec![match hidden {
            0 => format!("{running} running"),
            hidden => format!("{running} running ({hidden} not shown)"),
        }];
        let ended = self.done + self.failed + self.skipped;
        let waiting = self.all.saturating_sub(ended + running);
        for (number, word) in [
            (waiting, "waiting"),
            (self.done, "done"),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        format!("{} cells: {}", self.all, parts.join(", "))
    }
}

/// What is left, as roughly as it is known; none once the time that was expected is over.
fn remaining(left: Duration) -> Option<String> {
    let seconds = left.as_secs_f64().ceil() as u64;
    match seconds {
        0 => None,
        1..60 => Some(format!("~{} s left", seconds.next_multiple_of(10))),
        60..3600 => Some(format!("~{} min left", (seconds + 30) / 60)),
        _ => Some(format!(
            "~{} h {:02} min left",
            seconds / 3600,
            seconds % 3600 / 60
        )),
    }
}

impl Progress for LiveBars {
    fn event(&mut self, event: &Event) -> Spoken {
        let took = self.stopwatch.lap(event);
        if self.move_bars(event) {
            return Ok(());
        }
        match saying(event, took) {
            Some(saying) => self.say(&saying),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Spoken {
        text.lines().try_for_each(|line| self.all.println(line))
    }

    fn hold(&mut self) {
        self.held = true;
        self.arrange();
    }

    fn release(&mut self) {
        self.held = false;
        self.arrange();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{FixedClock, a_run, run_id};
    use build::event::StartedCell;
    use build::report::{ExitCode, Report, ReportedImage, ReportedStep, StepOutcome};
    use indicatif::InMemoryTerm;

    fn forecast(durations: Durations) -> Forecast {
        Forecast {
            durations,
            venue: Venue::Aws,
            pipeline: "ocp".into(),
        }
    }

    fn on(term: &InMemoryTerm, rows: usize, durations: Durations) -> LiveBars {
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let clock = Arc::new(FixedClock);
        let rows = Box::new(move || rows);
        LiveBars::new(target, clock, Palette::Plain, forecast(durations), rows)
    }

    fn cell(name: &str) -> CellName {
        CellName {
            stage: "base".into(),
            cell: name.into(),
        }
    }

    fn show(live: &mut LiveBars, event: &Event) {
        live.event(event).expect("memory takes everything");
        live.bars.values().for_each(ProgressBar::tick);
    }

    fn started(names: &[&str]) -> Event {
        Event::Started {
            run: run_id(),
            pipeline: "ocp".into(),
            account: "000000000000".into(),
            identity: "arn:aws:iam::000000000000:user/local".into(),
            credentials_end: None,
            region: "us-east-2".into(),
            rehearsal: false,
            cells: names
                .iter()
                .map(|name| StartedCell {
                    cell: cell(name),
                    region: "us-east-2".into(),
                    needed_by: None,
                })
                .collect(),
        }
    }

    fn step(name: &str, step: Step) -> Event {
        Event::StepStarted {
            cell: cell(name),
            step,
        }
    }

    #[test]
    fn a_bar_shows_the_step_and_the_image_and_goes_with_its_cell() {
        let term = InMemoryTerm::new(20, 100);
        let mut live = on(&term, 20, Durations::default());
        show(&mut live, &step("us-east-2", Step::Launch));
        let seen = term.contents();
        assert!(
            seen.contains("base/us-east-2 launching the instance"),
            "{seen}"
        );
        assert!(!seen.contains("left"), "{seen}");
        show(&mut live, &step("us-east-2", Step::CreateImage));
        let progress = |region: &str, percent| Event::ImageProgress {
            cell: cell("us-east-2"),
            region: region.into(),
            percent,
        };
        show(&mut live, &progress("us-east-2", 40));
        let seen = term.contents();
        assert!(seen.contains("creating the image: 40 %"), "{seen}");
        show(&mut live, &progress("us-west-2", 10));
        let seen = term.contents();
        assert!(seen.contains("10 % in the last of 2 regions"), "{seen}");
        let built = Event::Built {
            cell: cell("us-east-2"),
            image_id: "ami-1".into(),
            name: "n".into(),
        };
        show(&mut live, &built);
        assert!(live.bars.is_empty() && live.running.is_empty());
    }

    #[test]
    fn more_cells_than_rows_are_counted_and_shown_when_there_is_room() {
        let term = InMemoryTerm::new(6, 100);
        let mut live = on(&term, 6, Durations::default());
        let names = ["a", "b", "c", "d", "e", "f"];
        show(&mut live, &started(&names));
        for name in &names[..5] {
            show(&mut live, &step(name, Step::Launch));
        }
        let seen = term.contents();
        assert!(seen.contains("base/a") && seen.contains("base/c"), "{seen}");
        assert!(!seen.contains("base/d"), "{seen}");
        assert!(
            seen.contains("6 cells: 5 running (2 not shown), 1 waiting"),
            "{seen}"
        );
        let failed = Event::Failed {
            cell: cell("b"),
            step: Step::Launch,
            error: "no".into(),
            hint: None,
        };
        show(&mut live, &failed);
        assert_eq!(live.bars.len(), 3);
        let seen = term.contents();
        assert!(seen.contains("base/d launching"), "{seen}");
        assert!(
            seen.contains("6 cells: 4 running (1 not shown), 1 waiting, 1 failed"),
            "{seen}"
        );
    }

    #[test]
    fn what_is_left_is_told_from_earlier_runs() {
        let dir = tempfile::tempdir().expect("a folder");
        let timed = |name: &str, seconds| ReportedStep {
            stage: "base".into(),
            cell: "a".into(),
            step: name.into(),
            provisioner: None,
            seconds,
            outcome: StepOutcome::Passed,
            reason: None,
        };
        let report = Report {
            images: vec![ReportedImage {
                stage: "base".into(),
                cell: "a".into(),
                cached: false,
                ..crate::render::sample::a_report().images.remove(0)
            }],
            failures: Vec::new(),
            steps: vec![timed("launch", 20.0), timed("create-image", 160.0)],
            exit: ExitCode::Done,
            ..crate::render::sample::a_report()
        };
        Durations::record(dir.path(), Venue::Aws, "ocp", &report).expect("it can be written");
        let term = InMemoryTerm::new(20, 100);
        let mut live = on(&term, 20, Durations::read(dir.path()));
        show(&mut live, &step("a", Step::Launch));
        assert!(
            term.contents().contains("~3 min left"),
            "{}",
            term.contents()
        );
        show(&mut live, &step("a", Step::Share));
        assert!(!term.contents().contains("left"), "{}", term.contents());
    }

    #[test]
    fn nothing_moves_while_somebody_types() {
        let term = InMemoryTerm::new(20, 100);
        let mut live = on(&term, 20, Durations::default());
        show(&mut live, &started(&["a", "b"]));
        show(&mut live, &step("a", Step::Launch));
        live.hold();
        show(&mut live, &step("b", Step::Launch));
        live.text("Go on?").expect("memory takes everything");
        assert!(live.bars.is_empty() && live.counter.is_none());
        assert!(term.contents().contains("Go on?"), "{}", term.contents());
        live.release();
        assert_eq!(live.bars.len(), 2);
    }

    #[test]
    fn what_is_left_is_said_roughly_and_never_as_nothing() {
        let said = |seconds| remaining(Duration::from_secs(seconds)).unwrap_or_default();
        assert_eq!(said(0), "");
        assert_eq!(said(1), "~10 s left");
        assert_eq!(said(41), "~50 s left");
        assert_eq!(said(170), "~3 min left");
        assert_eq!(said(7260), "~2 h 01 min left");
    }

    #[test]
    fn what_happened_stands_above_and_no_bar_is_left() {
        let term = InMemoryTerm::new(60, 120);
        let mut live = on(&term, 60, Durations::default());
        for event in a_run() {
            live.event(&event).expect("memory takes everything");
        }
        insta::assert_snapshot!(term.contents());
    }
}
