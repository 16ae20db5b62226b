//! Runs of the same pipeline that died on this host: the next run finishes the images that they had begun to make, and
//! removes everything else.
//!
//! ```text
//!   journal not locked, and not all of it undone ─▶ locked by this run
//!        │
//!        ├─ image available ─▶ marked as complete, before this run looks for images
//!        ├─ image pending ───▶ waited for, then marked ┐
//!        └─ all else ────────▶ undone                  ┴─▶ journal closed as `swept`     while this run builds
//! ```
//!
//! An image that CreateImage was called for is as good as any: its guest had been provisioned and scrubbed, and what it
//! was made from stands in its tags from birth. Only the mark lacks. So does a copy of a complete image. One that has to
//! pass a test first is finished only if it had passed; else it goes with the rest.

use crate::effects::Effects;
use crate::event::Event;
use crate::failure::StepError;
use crate::journal::{
    Effect, EffectEntry, EffectNumber, Journal, JournalError, JournalLock, JournalReader,
    JournalState, ParameterVersion, Recorded, RunDirectory, RunStatus,
};
use crate::lease::{RENEW_EVERY, run_lease};
use crate::names::{CellName, RunId, tag};
use crate::options::RunOptions;
use crate::steps::RunContext;
use crate::undo::own;
use crate::way_in;
use cloud::wait::{Verdict, deadline};
use cloud::{Image, ImageFilter, ImageId, ImageState, ParameterWrite, Tags};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a dead run's image.
const IMAGE_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A dead run whose journal this process holds now.
pub(super) struct DeadRun {
    run: RunId,
    directory: RunDirectory,
    effects: Effects,
}

/// The dead runs of this pipeline, in the same account and place. A journal that cannot be read is told of, and left.
pub(super) fn find(context: &RunContext, account: &str) -> Vec<DeadRun> {
    let options = &context.options;
    let all = match RunDirectory::all(&options.state_dir) {
        Ok(all) => all,
        Err(error) => {
            tell(context, "journals", error.to_string());
            return Vec::new();
        }
    };
    let mut dead = Vec::new();
    for (run, directory) in all {
        if run == *context.effects.run() || directory.lock_state() != JournalLock::Free {
            continue;
        }
        let journal = JournalReader::read(&directory).and_then(|state| {
            if is_ours(&state, context, options, account) {
                Journal::reopen(&directory, &run, None).map(Some)
            } else {
                Ok(None)
            }
        });
        match journal {
            Ok(Some(journal)) => {
                let effects = Effects::new(
                    run.clone(),
                    Arc::new(journal),
                    context.ports.clock.clone(),
                    context.ports.account.clone(),
                    options.endpoint.clone(),
                );
                dead.push(DeadRun {
                    run,
                    directory,
                    effects,
                });
            }
            // Another process was faster.
            Ok(None) | Err(JournalError::Alive { .. }) => {}
            Err(error) => tell(context, run.as_str(), error.to_string()),
        }
    }
    dead
}

fn is_ours(
    state: &JournalState,
    context: &RunContext,
    options: &RunOptions,
    account: &str,
) -> bool {
    state.opened().is_some_and(|opened| {
        opened.pipeline == context.pipeline
            && opened.account == account
            && opened.is_at(options.endpoint.as_deref())
            && (state.closed().is_none() || !state.outstanding().is_empty())
    })
}

/// Marks the images of dead runs that are available, so that this run finds them.
pub(super) async fn finish_available_images(context: &RunContext, dead: &[DeadRun]) {
    for run in dead {
        if let Err(error) = run.keep_parameters().await {
            tell(context, run.run.as_str(), error.to_string());
        }
        for (number, image) in run.images(context).await {
            if image.state == ImageState::Available
                && let Err(error) = run.complete(number, &image.image_id).await
            {
                tell(context, run.run.as_str(), error.to_string());
            }
        }
    }
}

/// Finishes what can be finished of dead runs, and removes the rest.
pub(super) async fn clear(context: &RunContext, dead: Vec<DeadRun>) {
    futures::future::join_all(dead.into_iter().map(|run| clear_one(context, run))).await;
}

async fn clear_one(context: &RunContext, dead: DeadRun) {
    let state = dead.effects.state();
    let held: Vec<String> = state
        .outstanding()
        .into_iter()
        .filter(|(_, entry)| !matches!(entry.effect, Effect::ClaimLease { .. }))
        .map(|(_, entry)| {
            let left = crate::undo::left_resource(&entry.effect, &entry.state, String::new(), None);
            format!("{} {}", left.kind, left.id)
        })
        .collect();
    let held = if held.is_empty() {
        String::from("nothing but its leases and its journal")
    } else {
        held.join(", ")
    };
    tell(
        context,
        dead.run.as_str(),
        format!("this run died; removing what it left: {held}"),
    );
    let finished = tokio::select! {
        biased;
        finished = finish_pending_images(context, &dead) => finished,
        never = dead.seem_alive(context) => match never {},
    };
    if finished.is_err() {
        // This run is to stop: the dead one's image stays as it is, for whoever comes next.
        return;
    }
    let left = dead.effects.unmake_all(None).await;
    for resource in &left {
        tell(
            context,
            dead.run.as_str(),
            format!(
                "{} {} could not be removed: {}. To remove it: {}",
                resource.kind, resource.id, resource.reason, resource.remove_with
            ),
        );
    }
    if !left.is_empty() {
        return;
    }
    if let Err(error) = dead.effects.close(RunStatus::Swept) {
        tell(context, dead.run.as_str(), error.to_string());
    }
    if let Err(error) = way_in::forget_run(&dead.directory) {
        tell(context, dead.run.as_str(), error.to_string());
    }
}

/// Waits for the images that are still being made. Errs if this run is to stop.
async fn finish_pending_images(context: &RunContext, dead: &DeadRun) -> Result<(), StepError> {
    for (number, image) in dead.images(context).await {
        if image.state == ImageState::Pending
            && dead.wait(context, number, &image.image_id).await?
            && let Err(error) = dead.complete(number, &image.image_id).await
        {
            tell(context, dead.run.as_str(), error.to_string());
        }
    }
    Ok(())
}

impl DeadRun {
    /// Renews the run's leases, so that no sweep from another host takes the images that are being finished here. The
    /// leases go with everything else of the run.
    async fn seem_alive(&self, context: &RunContext) -> Infallible {
        let state = self.effects.state();
        let name = run_lease(&self.run);
        let claims = state.outstanding().into_iter().filter(|(_, entry)| {
            matches!(&entry.effect, Effect::ClaimLease { name: claimed, .. } if *claimed == name)
        });
        let regions: Vec<_> = claims
            .map(|(_, entry)| self.effects.region(entry.effect.region()))
            .collect();
        let text = format!("finished by {}", context.effects.run());
        let write = ParameterWrite::Overwrite;
        loop {
            let renewals = regions
                .iter()
                .map(|region| region.put_parameter(&name, &text, write));
            for renewed in futures::future::join_all(renewals).await {
                // One that fails is made up for by the next: a lease is good for four of them.
                if let Err(error) = renewed {
                    tell(context, self.run.as_str(), error.to_string());
                }
            }
            context.ports.clock.sleep(RENEW_EVERY).await;
        }
    }

    /// The images that the run had begun to make, or to copy, and that are there and good: one that has to pass a test
    /// first is, once it has passed.
    async fn images(&self, context: &RunContext) -> Vec<(EffectNumber, Image)> {
        let state = self.effects.state();
        let mut images = Vec::new();
        for (number, entry) in state.outstanding() {
            let Some(name) = entry.effect.makes_image() else {
                continue;
            };
            // One that an instance was to start from is nobody's result.
            if entry.cell.is_import() {
                continue;
            }
            let region = entry.effect.region();
            let filters = match entry.state.outcome().and_then(ImageId::recorded) {
                Some(id) => own("image-id", id.as_str(), &self.run),
                None => own("name", name, &self.run),
            };
            let filter = ImageFilter {
                owners: vec!["self".into()],
                filters,
                ..ImageFilter::default()
            };
            match context.ports.account.region(region).images(&filter).await {
                Ok(found) => images.extend(
                    found
                        .into_iter()
                        .filter(|image| passed(&state, entry, &image.image_id))
                        .map(|image| (number, image)),
                ),
                Err(error) => tell(context, self.run.as_str(), error.to_string()),
            }
        }
        images
    }

    /// Lets parameters that name an image of the run stay so: the image is complete, for they are written after that, and
    /// this run, which looks at them too, writes those that lack. To put the old value back would be to work against it.
    async fn keep_parameters(&self) -> Result<(), StepError> {
        let state = self.effects.state();
        for (number, entry) in state.outstanding() {
            let Effect::WriteParameter {
                region,
                name,
                image,
                ..
            } = &entry.effect
            else {
                continue;
            };
            let held = self.effects.region(region).parameter(name).await?;
            let Some(held) = held.filter(|held| held.value == image.as_str()) else {
                // It never was written, or another has written it since: there is nothing to put back. What this run
                // writes is not to be taken for it.
                if entry.state.outcome().is_none() {
                    let why = String::from("looked for, and not there");
                    self.effects.refused(number, why)?;
                }
                continue;
            };
            if entry.state.outcome().is_none() {
                let version = ParameterVersion(held.version);
                self.effects
                    .settle(number, &Ok(version), ParameterVersion::outcome)?;
            }
            self.effects.deliver(number)?;
        }
        Ok(())
    }

    /// Waits until the image is available, or is seen never to be. Errs if this run is to stop.
    async fn wait(
        &self,
        context: &RunContext,
        number: EffectNumber,
        image: &ImageId,
    ) -> Result<bool, StepError> {
        let state = self.effects.state();
        let Some(entry) = state.effect(number) else {
            return Ok(false);
        };
        let region = self.effects.region(entry.effect.region());
        let pollers = context.pollers.of(&region);
        let until = deadline(context.ports.clock.as_ref(), IMAGE_WITHIN);
        let waited = context
            .cancellation
            .race(pollers.images.wait(image, until, |seen| match seen {
                Some(image) => match &image.state {
                    ImageState::Available => Verdict::Done(()),
                    ImageState::Pending | ImageState::Other(_) => Verdict::Wait,
                    ImageState::Failed | ImageState::Gone => Verdict::Impossible(()),
                },
                None => Verdict::Wait,
            }))
            .await?;
        Ok(waited.is_ok())
    }

    /// Marks the image as complete: it is part of the dead run's result.
    async fn complete(&self, number: EffectNumber, image: &ImageId) -> Result<(), StepError> {
        let state = self.effects.state();
        let Some(entry) = state.effect(number) else {
            return Ok(());
        };
        let region = self.effects.region(entry.effect.region());
        let effect = Effect::MarkComplete {
            region: entry.effect.region().clone(),
            image: image.clone(),
        };
        let mut tags = Tags::new().with(tag::COMPLETE, "true");
        if let Some(test) = entry.effect.test() {
            tags.set(tag::TESTED, test);
        }
        let resources = [image.to_string()];
        self.effects
            .set(&entry.cell, effect, async || {
                region.create_tags(&resources, &tags).await
            })
            .await?;
        if entry.state.outcome().is_none() {
            self.effects
                .settle(number, &Ok(image.clone()), ImageId::outcome)?;
        }
        self.effects.deliver_image(entry.effect.region(), image)?;
        Ok(())
    }
}

/// Whether the image has passed the test that it has to, if it has to.
fn passed(state: &JournalState, entry: &EffectEntry, image: &ImageId) -> bool {
    let Some(test) = entry.effect.test() else {
        return true;
    };
    state.effects().any(|(_, done)| {
        done.state.outcome().is_some()
            && matches!(
                &done.effect,
                Effect::TestImage { image: of, test: with, .. } if of == image && with == test
            )
    })
}

fn tell(context: &RunContext, run: &str, text: String) {
    let cell = CellName {
        stage: context.pipeline.clone(),
        cell: run.to_owned(),
    };
    context.tell(Event::Warning { cell, text });
}
