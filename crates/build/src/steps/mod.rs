//! The steps of one cell, one file per subject.
//!
//! ```text
//!  lease address ─▶ key pair ─▶ group ─▶ launch ─▶ bind address ─▶ connect ─▶ provision ─▶ scrub
//!                                                                                            │
//!  terminate ◀─ share ◀─ complete ◀─ create image ◀─ group and key gone ◀─ stop ◀─ free address
//! ```
//!
//! A step announces each of its effects to the journal. Whatever happens, the journal knows what has to be undone; the
//! steps themselves never clean up after a failure.

mod access;
mod address;
pub mod candidates;
mod capture;
mod connect;
mod context;
mod group;
mod launch;
pub mod lease;
mod provision;
mod publish;
pub(crate) mod user_data_parts;

pub(crate) use connect::CONNECT_WITHIN;
pub use context::{CellContext, RunContext};

use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::lifetime;
use crate::report::WayIn;
use crate::spec::{AddressSpec, CellSpec};
use cloud::Image;
use std::sync::Mutex;

/// What the cell's build has come to, for whoever has to clean up or keep after it.
#[derive(Debug, Default)]
pub struct Progress {
    way_in: Mutex<Option<WayIn>>,
}

impl Progress {
    /// How to get into the instance, once there is a way.
    pub fn way_in(&self) -> Option<WayIn> {
        self.way_in
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set_way_in(&self, way_in: WayIn) {
        *self
            .way_in
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(way_in);
    }
}

/// Builds a cell from `source`: from nothing to a complete, shared image. On failure the journal knows what is there.
pub async fn build_cell(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    progress: &Progress,
) -> Result<BuiltImage, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    let context = &context.living_for(spec.launch.max_lifetime);
    if let Some(shortage) = lifetime::shortage(spec) {
        context.warn(shortage.to_string());
    }
    let elastic = match &spec.connect.address {
        AddressSpec::Elastic {
            allocation,
            by,
            timeout,
            wait,
        } => {
            context.begin(Step::LeaseAddress)?;
            let claimed = address::claim(context, allocation, *by, *timeout, *wait)
                .await
                .map_err(fail(Step::LeaseAddress))?;
            context.finish(Step::LeaseAddress);
            Some(claimed)
        }
        AddressSpec::Public | AddressSpec::Private => None,
    };

    context.begin(Step::KeyPair)?;
    let access = access::prepare(context, spec)
        .await
        .map_err(fail(Step::KeyPair))?;
    context.finish(Step::KeyPair);

    context.begin(Step::SecurityGroup)?;
    let subnet = group::find_subnet(context, &spec.launch.subnet)
        .await
        .map_err(fail(Step::SecurityGroup))?;
    let group = group::prepare(context, spec, &subnet)
        .await
        .map_err(fail(Step::SecurityGroup))?;
    context.finish(Step::SecurityGroup);

    context.begin(Step::Launch)?;
    let user_data = user_data_parts::compose_for(context, spec, &access, elastic.as_ref())
        .map_err(fail(Step::Launch))?;
    let launched = launch::launch(context, spec, source, &subnet, &access, &group, user_data)
        .await
        .map_err(fail(Step::Launch))?;
    context.finish(Step::Launch);

    let mut bound = None;
    if let Some(elastic) = &elastic {
        context.begin(Step::BindAddress)?;
        bound = Some(
            address::bind(context, elastic, &launched)
                .await
                .map_err(fail(Step::BindAddress))?,
        );
        context.finish(Step::BindAddress);
    }

    context.begin(Step::Connect)?;
    let mut link = connect::connect(
        context,
        spec,
        &access,
        &launched,
        elastic.as_ref(),
        progress,
    )
    .await
    .map_err(fail(Step::Connect))?;
    context.finish(Step::Connect);

    context.begin(Step::Provision)?;
    let skipped = provision::provision(context, spec, &mut link, &launched)
        .await
        .map_err(fail(Step::Provision))?;
    context.finish(Step::Provision);

    context.begin(Step::Scrub)?;
    capture::scrub(context, link, &launched, &access)
        .await
        .map_err(fail(Step::Scrub))?;
    context.finish(Step::Scrub);

    if let (Some(elastic), Some(bound)) = (&elastic, bound) {
        context.begin(Step::FreeAddress)?;
        address::free(context, elastic, bound)
            .await
            .map_err(fail(Step::FreeAddress))?;
        context.finish(Step::FreeAddress);
    }

    context.begin(Step::Stop)?;
    capture::stop(context, &launched, &subnet, &group, &access)
        .await
        .map_err(fail(Step::Stop))?;
    context.finish(Step::Stop);

    context.begin(Step::CreateImage)?;
    let captured = capture::create_image(context, spec, source, &launched, &skipped)
        .await
        .map_err(fail(Step::CreateImage))?;
    context.finish(Step::CreateImage);

    context.begin(Step::Complete)?;
    publish::complete(context, &captured)
        .await
        .map_err(fail(Step::Complete))?;
    context.finish(Step::Complete);

    // Nothing more is needed of the instance, and it costs money: it goes before sharing, which can wait.
    context.begin(Step::Terminate)?;
    context
        .effects()
        .unmake(launched.effect)
        .await
        .map_err(fail(Step::Terminate))?;
    context.finish(Step::Terminate);

    if !spec.image.share_accounts.is_empty() {
        context.begin(Step::Share)?;
        publish::share(context, &captured.image, &spec.image)
            .await
            .map_err(fail(Step::Share))?;
        context.finish(Step::Share);
    }
    Ok(BuiltImage {
        image: captured.image,
        skipped,
    })
}

/// Shares an image that was found rather than built, so that a cache hit has the same effect as a build.
pub async fn share_cached(
    context: &CellContext,
    image: &Image,
    spec: &crate::spec::ImageSpec,
) -> Result<(), CellFailure> {
    if spec.share_accounts.is_empty() {
        return Ok(());
    }
    context.begin(Step::Share)?;
    publish::share(context, image, spec)
        .await
        .map_err(|error| CellFailure::new(context.cell().clone(), Step::Share, error))?;
    context.finish(Step::Share);
    Ok(())
}

/// A complete image.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The image.
    pub image: Image,
    /// The provisioners that a rehearsal skipped.
    pub skipped: Vec<String>,
}
