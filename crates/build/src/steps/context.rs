//! What every step has at hand.

use super::pollers::{Pollers, RegionPollers};
use crate::cancel::{Cancellation, Cancelled};
use crate::effects::Effects;
use crate::event::{Event, OutputStream, Step};
use crate::failure::{CellFailure, StepError};
use crate::host::Answer;
use crate::journal::{Effect, EffectNumber, RunDirectory};
use crate::lease::{LeaseKey, Leases};
use crate::lifetime;
use crate::mask::Mask;
use crate::names::{CellName, RunId, tag};
use crate::options::RunOptions;
use crate::ports::Ports;
use crate::timing::StepLog;
use crate::way_in;
use cloud::{Clock, CloudError, InstanceId, Region, RegionName, Tags, Timestamp};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What all cells of a run share.
pub struct RunContext {
    /// How the run is to be done.
    pub options: RunOptions,
    /// The outside.
    pub ports: Ports,
    /// Does effects and writes them down.
    pub effects: Effects,
    /// Whether to stop.
    pub cancellation: Cancellation,
    /// Keeps secrets out of events.
    pub mask: Mask,
    /// Where the run keeps its files.
    pub directory: RunDirectory,
    /// The folder of the pipeline's file: local commands run in it, and relative paths begin there.
    pub folder: PathBuf,
    /// The pipeline's name.
    pub pipeline: String,
    /// When the run started.
    pub started: Timestamp,
    /// The leases of the run, to be renewed.
    pub leases: Leases,
    /// What all cells of a region share while they wait.
    pub pollers: Pollers,
    /// How long each step took.
    pub steps: StepLog,
}

impl RunContext {
    /// Tells the observer, with secrets masked, and notes what it says of steps.
    pub fn tell(&self, event: Event) {
        let masked = match event {
            Event::Note { cell, text } => Event::Note {
                cell,
                text: self.masked(&text),
            },
            Event::Warning { cell, text } => Event::Warning {
                cell,
                text: self.masked(&text),
            },
            Event::Output {
                cell,
                provisioner,
                stream,
                line,
            } => Event::Output {
                cell,
                provisioner,
                stream,
                line: self.masked(&line),
            },
            Event::ProvisionerFinished {
                cell,
                provisioner,
                outcome,
                reason,
            } => Event::ProvisionerFinished {
                cell,
                provisioner,
                outcome,
                reason: reason.map(|reason| self.masked(&reason)),
            },
            Event::Failed {
                cell,
                step,
                error,
                hint,
            } => Event::Failed {
                cell,
                step,
                error: self.masked(&error),
                hint,
            },
            Event::Skipped { cell, reason } => Event::Skipped {
                cell,
                reason: self.masked(&reason),
            },
            other => other,
        };
        self.steps.note(&masked, self.ports.clock.now());
        self.ports.observer.observe(&masked);
    }

    /// `text` without secrets.
    pub fn masked(&self, text: &str) -> String {
        self.mask.apply(text).into_owned()
    }
}

/// How long the cell's instance lives.
struct Life {
    max_lifetime: Duration,
    end: OnceLock<Timestamp>,
}

impl Life {
    const fn of(max_lifetime: Duration) -> Self {
        Self {
            max_lifetime,
            end: OnceLock::new(),
        }
    }
}

/// What the steps of one cell have at hand.
#[derive(Clone)]
pub struct CellContext {
    run: Arc<RunContext>,
    cell: CellName,
    region: Arc<dyn Region>,
    pollers: Arc<RegionPollers>,
    life: Arc<Life>,
    on_stop: OnStop,
    /// The step that has ended last.
    ended: Arc<Mutex<Option<Step>>>,
}

/// What becomes of a cell's work when the run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnStop {
    /// It stops at the next wait, and what was made is undone.
    Stop,
    /// It goes on to its end.
    GoOn,
}

impl CellContext {
    /// The context of `cell`, which builds in `region`.
    pub fn new(run: Arc<RunContext>, cell: CellName, region: Arc<dyn Region>) -> Self {
        Self {
            pollers: run.pollers.of(&region),
            run,
            cell,
            region,
            life: Arc::new(Life::of(lifetime::DEFAULT)),
            on_stop: OnStop::Stop,
            ended: Arc::default(),
        }
    }

    /// The same for a cell whose instance lives for `max_lifetime`, from the moment its end is first asked for.
    pub fn living_for(&self, max_lifetime: Duration) -> Self {
        Self {
            life: Arc::new(Life::of(max_lifetime)),
            ..self.clone()
        }
    }

    /// The same for what must not be left half done: it is gone on with although the run is to stop. Whoever asks twice ends
    /// the process.
    pub fn going_on(&self) -> Self {
        Self {
            on_stop: OnStop::GoOn,
            ..self.clone()
        }
    }

    /// Whether it is gone on with although the run is to stop.
    pub fn goes_on(&self) -> bool {
        self.on_stop == OnStop::GoOn
    }

    /// Errs if the run is to stop, and this with it.
    pub fn check(&self) -> Result<(), StepError> {
        match self.on_stop {
            OnStop::Stop => Ok(self
                .run
                .cancellation
                .check()
                .map_err(StepError::Cancelled)?),
            OnStop::GoOn => Ok(()),
        }
    }

    /// The same cell in another region, to which its image is copied.
    pub fn in_region(&self, region: &RegionName) -> Self {
        let region = self.effects().region(region);
        Self {
            pollers: self.run.pollers.of(&region),
            region,
            ..self.clone()
        }
    }

    /// The test of the cell's image, as far as the journal knows it.
    pub fn of_test(&self) -> Self {
        Self {
            cell: self.cell.test(),
            ..self.clone()
        }
    }

    /// The import of the disk image that the cell's instance starts from.
    pub fn of_import(&self) -> Self {
        Self {
            cell: self.cell.import(),
            ..self.clone()
        }
    }

    /// The test of the cell's image, whose instance lives for `max_lifetime`.
    pub fn for_test(&self, max_lifetime: Duration) -> Self {
        Self {
            cell: self.cell.test(),
            ..self.living_for(max_lifetime)
        }
    }

    /// When the cell's instance terminates itself. Fixed by the first call, which is the launch's.
    pub fn end_of_life(&self) -> Timestamp {
        *self.life.end.get_or_init(|| self.end_from_now())
    }

    /// Takes over the end that the instance was given when it was launched.
    pub fn ends_at(&self, end: Timestamp) {
        // The first end is the one that the instance knows.
        self.life.end.get_or_init(|| end);
    }

    fn end_from_now(&self) -> Timestamp {
        cloud::clock::after(self.clock().now(), self.life.max_lifetime)
    }

    /// The run.
    pub fn run(&self) -> &RunContext {
        &self.run
    }

    /// The run's id.
    pub fn run_id(&self) -> &RunId {
        self.run.effects.run()
    }

    /// The cell.
    pub fn cell(&self) -> &CellName {
        &self.cell
    }

    /// The region.
    pub fn region(&self) -> &dyn Region {
        self.region.as_ref()
    }

    /// What all cells of the region share while they wait.
    pub fn pollers(&self) -> &RegionPollers {
        &self.pollers
    }

    /// Time.
    pub fn clock(&self) -> &dyn Clock {
        self.run.ports.clock.as_ref()
    }

    /// Does effects and writes them down.
    pub fn effects(&self) -> &Effects {
        &self.run.effects
    }

    /// Begins a step, unless the run is to stop. Waits for a person first, where that was asked for.
    pub async fn begin(&self, step: Step) -> Result<(), CellFailure> {
        let fail = |error| CellFailure::new(self.cell.clone(), step, error);
        self.check().map_err(fail)?;
        let before = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let pauses = &self.run.options.cells.pauses;
        if let Some(at) = pauses.between(before, Some(step)) {
            self.wait_for_person(at).await.map_err(fail)?;
        }
        self.run.tell(Event::StepStarted {
            cell: self.cell.clone(),
            step,
        });
        Ok(())
    }

    /// Ends a step that went well.
    pub fn finish(&self, step: Step) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
        self.run.tell(Event::StepFinished {
            cell: self.cell.clone(),
            step,
        });
    }

    /// Waits for a person after the last step, where that was asked for: no other step begins that would.
    pub async fn end(&self) -> Result<(), StepError> {
        let before = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match self.run.options.cells.pauses.between(before, None) {
            Some(at) => self.wait_for_person(at).await,
            None => Ok(()),
        }
    }

    /// Waits for a person after the provisioner `name`, where that was asked for.
    pub async fn after_provisioner(&self, name: &str) -> Result<(), StepError> {
        if self.run.options.cells.pauses.after_provisioner(name) {
            self.wait_for_person(format!("after provisioner {name}"))
                .await
        } else {
            Ok(())
        }
    }

    /// Waits until a person lets the cell go on; `at` says where it stands, as in `after launching the instance`.
    /// Everything else of the run goes on meanwhile, the renewal of leases above all.
    ///
    /// # Errors
    /// If the person ends the run, if it is to stop, or if nobody can be asked.
    pub async fn wait_for_person(&self, at: String) -> Result<(), StepError> {
        let Some(operator) = &self.run.ports.host.operator else {
            return Err(StepError::NobodyToAsk { at });
        };
        let way_in = way_in::of_cell(&self.run.directory.cell(&self.cell)?);
        let question = format!("{} waits {at}. Go on?", self.cell);
        self.run.tell(Event::Paused {
            cell: self.cell.clone(),
            at,
            way_in,
        });
        match self.race(operator.confirm(&question)).await? {
            Answer::GoOn => Ok(()),
            Answer::Abort => Err(StepError::Cancelled(Cancelled::Interrupted)),
        }
    }

    /// Tells something worth knowing.
    pub fn note(&self, text: impl Into<String>) {
        self.run.tell(Event::Note {
            cell: self.cell.clone(),
            text: text.into(),
        });
    }

    /// Tells something that a person should look at.
    pub fn warn(&self, text: impl Into<String>) {
        self.run.tell(Event::Warning {
            cell: self.cell.clone(),
            text: text.into(),
        });
    }

    /// Passes on a line that a provisioner printed.
    pub fn output(&self, provisioner: &str, stream: OutputStream, line: &str) {
        self.run.tell(Event::Output {
            cell: self.cell.clone(),
            provisioner: provisioner.to_owned(),
            stream,
            line: line.to_owned(),
        });
    }

    /// Runs `work` until it ends or the run is to stop. Not for calls that create something.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Result<T, StepError> {
        match self.on_stop {
            OnStop::Stop => {
                let raced = self.run.cancellation.race(work).await;
                raced.map_err(StepError::Cancelled)
            }
            OnStop::GoOn => Ok(work.await),
        }
    }

    /// Does `call` on something that was just made, again while EC2 does not see it everywhere yet.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
    pub async fn until_visible<T, F>(&self, call: impl FnMut() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        cloud::retry::until_visible(self.clock(), call).await
    }

    /// Lets `duration` pass, unless the run is to stop.
    pub async fn pause(&self, duration: Duration) -> Result<(), StepError> {
        self.race(self.clock().sleep(duration)).await
    }

    /// The moment that lies `allowed` from now.
    pub fn deadline(&self, allowed: Duration) -> Timestamp {
        cloud::wait::deadline(self.clock(), allowed)
    }

    /// The tags that everything of this cell carries from birth. Before the launch, `qib:expires` is what it would be for
    /// a launch now: a key pair or a group is then not outlived by the instance by more than the steps between them take.
    pub fn own_tags(&self) -> Tags {
        let fixed = self.life.end.get().copied();
        let expires = fixed.unwrap_or_else(|| self.end_from_now());
        let tags = Tags::new()
            .with(tag::RUN, self.run_id().as_str())
            .with(tag::PIPELINE, self.run.pipeline.as_str())
            .with(tag::STAGE, self.cell.stage.as_str())
            .with(tag::CELL, self.cell.cell.as_str())
            .with(tag::EXPIRES, lifetime::tag_value(expires));
        if self.run.leases.are_none(self.region.name()) {
            tags.with(tag::LEASE, tag::LEASE_NONE)
        } else {
            tags
        }
    }

    /// The cell's effects that have happened, or may have, and were not undone, latest first.
    pub fn standing(&self, wanted: impl Fn(&Effect) -> bool) -> Vec<EffectNumber> {
        let state = self.effects().state();
        state
            .effects()
            .rev()
            .filter(|(_, entry)| {
                entry.cell == self.cell && entry.state.may_stand() && wanted(&entry.effect)
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// The end of the instance's console, for messages; empty if there is none.
    pub async fn console_tail(&self, instance: &InstanceId, lines: usize) -> Vec<String> {
        let text = self
            .region
            .console_output(instance)
            .await
            .unwrap_or_default();
        let text = self.run.masked(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect()
    }

    /// Renews the leases of the cell no more: they are about to be given back.
    pub async fn drop_leases(&self) {
        for (_, entry) in self.effects().state().outstanding() {
            if let (true, Effect::ClaimLease { region, name }) =
                (entry.cell == self.cell, &entry.effect)
            {
                let key = LeaseKey::new(region, name.as_str());
                self.run.leases.let_go(&key).await;
            }
        }
    }
}
