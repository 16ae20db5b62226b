//! Progress for a terminal: a bar for each cell at the bottom, what happens above.

use super::stopwatch::Stopwatch;
use super::style::{Palette, Role};
use super::wording::{Saying, saying};
use super::{Progress, Spoken};
use build::event::Event;
use build::names::CellName;
use cloud::Clock;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(120);

/// Draws bars.
pub struct LiveBars {
    all: MultiProgress,
    bars: HashMap<CellName, ProgressBar>,
    palette: Palette,
    stopwatch: Stopwatch,
}

impl LiveBars {
    /// Bars on `target`.
    pub fn new(target: ProgressDrawTarget, clock: Arc<dyn Clock>, palette: Palette) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            bars: HashMap::new(),
            palette,
            stopwatch: Stopwatch::new(clock),
        }
    }

    fn bar(&mut self, cell: &CellName) -> &ProgressBar {
        let Self {
            all, bars, palette, ..
        } = self;
        bars.entry(cell.clone()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(palette.paint(Role::Strong, &cell.to_string()));
            bar.enable_steady_tick(TICK);
            bar
        })
    }

    fn remove(&mut self, cell: &CellName) {
        if let Some(bar) = self.bars.remove(cell) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
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
        match event {
            Event::StepStarted { cell, step } => {
                let bar = self.bar(cell);
                bar.reset_elapsed();
                bar.set_message(step.describe());
                true
            }
            Event::ImageProgress { cell, percent } => {
                self.bar(cell)
                    .set_message(format!("creating the image: {percent} %"));
                true
            }
            Event::ProvisionerStarted { cell, provisioner } => {
                let bar = self.bar(cell);
                bar.reset_elapsed();
                bar.set_message(format!("provisioning: {provisioner}"));
                false
            }
            Event::Built { cell, .. } | Event::Cached { cell, .. } | Event::Failed { cell, .. } => {
                self.remove(cell);
                false
            }
            Event::Finished(_) => {
                let cells: Vec<CellName> = self.bars.keys().cloned().collect();
                cells.iter().for_each(|cell| self.remove(cell));
                false
            }
            Event::Started { .. }
            | Event::StepFinished { .. }
            | Event::Note { .. }
            | Event::Warning { .. }
            | Event::ProvisionerSkipped { .. }
            | Event::ProvisionerFinished { .. }
            | Event::Output { .. } => false,
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{FixedClock, a_run};
    use indicatif::InMemoryTerm;

    fn on(term: &InMemoryTerm) -> LiveBars {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 100);
        LiveBars::new(target, Arc::new(FixedClock), Palette::Plain)
    }

    #[test]
    fn a_bar_shows_the_step_and_the_image_and_goes_with_its_cell() {
        let term = InMemoryTerm::new(20, 100);
        let mut live = on(&term);
        let cell = CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        };
        let show = |live: &mut LiveBars, event: Event| {
            live.event(&event).expect("memory takes everything");
            live.bars.values().for_each(ProgressBar::tick);
        };
        show(
            &mut live,
            Event::StepStarted {
                cell: cell.clone(),
                step: build::event::Step::Launch,
            },
        );
        assert!(
            term.contents()
                .contains("base/us-east-2 launching the instance"),
            "{}",
            term.contents()
        );
        show(
            &mut live,
            Event::ImageProgress {
                cell: cell.clone(),
                percent: 40,
            },
        );
        assert!(live.bars[&cell].message().contains("40 %"));
        show(
            &mut live,
            Event::Built {
                cell,
                image_id: "ami-1".into(),
                name: "n".into(),
            },
        );
        assert!(live.bars.is_empty());
    }

    #[test]
    fn what_happened_stands_above_and_no_bar_is_left() {
        let term = InMemoryTerm::new(60, 120);
        let mut live = on(&term);
        for event in a_run() {
            live.event(&event).expect("memory takes everything");
        }
        insta::assert_snapshot!(term.contents());
    }
}
