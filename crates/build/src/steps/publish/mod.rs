//! The image is available: it is tested, marked as complete, copied, given its name, its end, its users and its
//! parameters. What comes when is [`crate::publication`]'s; here it is done.
//!
//! It makes no difference whether the image was built by this process, by an earlier one of the run, or found: what the
//! account shows is brought to what the pipeline wants, and what is so already is not touched.

mod copies;
mod finishing;
mod look;
pub(super) mod parameters;
mod retire;
mod sharing;
mod site;

pub(super) use copies::transitional_name;
pub(super) use finishing::require_imds_v2;
pub(crate) use look::words;
pub(super) use look::{holders, is_ours, judge};
pub(crate) use parameters::of as parameters_of;

use super::Progress;
use super::context::CellContext;
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::publication::{Phase, next};
use crate::report::ReportedCopy;
use crate::spec::PublicationSpec;
use cloud::Image;
use futures::stream::{self, StreamExt};
use site::Site;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

/// To how many regions at once an image is copied. EC2 lets 20 snapshots be copied to one region at once; who comes too
/// late waits in line. <https://docs.aws.amazon.com/general/latest/gr/ebs-service.html>
const REGIONS_AT_ONCE: usize = 16;

/// What became of an image.
pub struct Published {
    /// The image in the build's region, under its name.
    pub image: Image,
    /// Its copies, by region.
    pub copies: Vec<ReportedCopy>,
    /// Why not all was done, if so. The image is complete all the same.
    pub failure: Option<CellFailure>,
}

/// Tests the image, and marks it as complete. From here on it is part of the result: other runs may find and use it.
pub(super) async fn complete(
    context: &CellContext,
    spec: &PublicationSpec,
    image: &Image,
    progress: &Progress,
) -> Result<Image, CellFailure> {
    let mut site = Site::captured(context, spec, image);
    let shared = site::Shared {
        spec,
        name: site::wanted_name(image),
        origin: image.image_id.clone(),
        home: image.clone(),
        progress,
    };
    site.run_to(Phase::Complete, &shared).await;
    match site.failed.take() {
        Some(failure) => Err(failure),
        None => Ok(site.image().unwrap_or_else(|| image.clone())),
    }
}

/// Brings what becomes of a complete image to what the pipeline wants, in all regions.
pub async fn publish(
    context: &CellContext,
    spec: &PublicationSpec,
    image: &Image,
    progress: &Progress,
) -> Result<Published, CellFailure> {
    let mut shared = site::Shared {
        spec,
        name: site::wanted_name(image),
        origin: look::origin(image),
        home: image.clone(),
        progress,
    };
    let mut sites = look::sites(context, &shared).await;
    let mut context = context.clone();
    let told_to_stop = AtomicBool::new(false);
    for phase in Phase::ALL {
        let waits = sites
            .iter()
            .any(|site| site.failed.is_none() && site.has_work(phase));
        if !waits {
            continue;
        }
        if phase == Phase::Name && sites.iter().any(Site::changes_its_name) {
            // From the old image's end to the last parameter there is no good place to stop: nobody would have the name, and
            // parameters and users of the old image would be left with nothing. Before that, all is as it was.
            context
                .check()
                .map_err(|error| CellFailure::new(context.cell().clone(), Step::Name, error))?;
            context = context.going_on();
            for site in &mut sites {
                site.context = site.context.going_on();
            }
        }
        let context = &context;
        let step = step_of(phase);
        // The steps of the test are told one by one.
        let told = phase != Phase::Complete;
        if told {
            context.begin(step).await?;
        }
        let shared_now = &shared;
        let work =
            stream::iter(sites.iter_mut()).for_each_concurrent(REGIONS_AT_ONCE, async |site| {
                if site.failed.is_none() {
                    site.run_to(phase, shared_now).await;
                }
            });
        tokio::select! {
            // Whoever asked for a stop is told before the work is done, however little of it there is.
            biased;
            never = tell_that_it_goes_on(context, &told_to_stop) => match never {},
            () = work => {}
        }
        if let Some(home) = sites.first().and_then(Site::image) {
            shared.home = home;
        }
        // Nobody is given an image that has not passed; and what is asked to stop stops.
        let home_failed = sites.first_mut().and_then(|home| {
            (phase == Phase::Complete)
                .then(|| home.failed.take())
                .flatten()
        });
        if let Some(failure) = home_failed {
            return Err(failure);
        }
        for site in &mut sites {
            if let Some(CellFailure { error, .. }) = &site.failed
                && let StepError::Cancelled(why) = **error
            {
                return Err(CellFailure::new(
                    context.cell().clone(),
                    step,
                    StepError::Cancelled(why),
                ));
            }
        }
        if told && sites.iter().all(|site| site.failed.is_none()) {
            context.finish(step);
        }
    }
    Ok(Published {
        failure: failure(&context, &shared.home, &sites),
        copies: copies(&sites),
        image: shared.home,
    })
}

/// Says once, when the run is to stop, that this is gone on with. Never comes back.
async fn tell_that_it_goes_on(context: &CellContext, told: &AtomicBool) -> Infallible {
    if context.goes_on() && !told.load(Ordering::Relaxed) {
        context.run().cancellation.cancelled().await;
        told.store(true, Ordering::Relaxed);
        context.warn(String::from(
            "the old image is gone: its successor is given its name before the run stops; whoever asks again ends it at once",
        ));
    }
    std::future::pending().await
}

fn step_of(phase: Phase) -> Step {
    match phase {
        Phase::Complete => Step::Complete,
        Phase::Copy => Step::Copy,
        Phase::Name => Step::Name,
        Phase::Deprecate => Step::Deprecate,
        Phase::Share => Step::Share,
        Phase::Parameters => Step::Parameters,
        Phase::Tidy => Step::Tidy,
    }
}

/// One failure that names all: the step is that of the first.
fn failure(context: &CellContext, image: &Image, sites: &[Site]) -> Option<CellFailure> {
    let failures: Vec<(&Site, &CellFailure)> = sites
        .iter()
        .filter_map(|site| Some((site, site.failed.as_ref()?)))
        .collect();
    let (_, first) = failures.first()?;
    let reasons = failures
        .iter()
        .map(|(site, failure)| {
            format!(
                "in {}, {}: {}",
                site.region(),
                failure.step.describe(),
                failure.error
            )
        })
        .collect();
    let error = StepError::NotPublished {
        image: image.image_id.to_string(),
        reasons,
        hint: first.error.hint(),
    };
    Some(CellFailure::new(context.cell().clone(), first.step, error))
}

fn copies(sites: &[Site]) -> Vec<ReportedCopy> {
    let mut copies: Vec<ReportedCopy> = sites
        .iter()
        .skip(1)
        .map(|site| {
            let image = site.image();
            ReportedCopy {
                region: site.region().to_string(),
                image_id: site.image_id().map(|id| id.to_string()),
                snapshots: image
                    .map(|image| image.snapshots.iter().map(ToString::to_string).collect())
                    .unwrap_or_default(),
                error: site
                    .failed
                    .as_ref()
                    .map(|failure| failure.error.to_string()),
            }
        })
        .collect();
    copies.sort_by(|a, b| a.region.cmp(&b.region));
    copies
}

impl Site {
    fn has_work(&self, phase: Phase) -> bool {
        next(self.place, &self.seen).is_some_and(|(due, _)| due <= phase)
    }
}
