//! The steps of one cell, one file per subject.
//!
//! ```text
//!  look around ─▶ lease address ─▶ key pair ─▶ group ─▶ role ─▶ launch ─▶ bind address ─▶ connect ─▶ provision ─▶ scrub
//!                                                                                                                  │
//!  share ◀─ terminate ◀─ complete ◀─ create image ◀─ group and key gone ◀─ stop ◀─ free address
//! ```
//!
//! A step announces each of its effects to the journal. Whatever happens, the journal knows what has to be undone; the
//! steps themselves never clean up after a failure. A run that is taken up again enters at the [`Point`] that it had
//! reached; each effect that was done already gives its result without being done again.

mod access;
mod address;
mod address_queue;
mod adopt;
mod ansible;
pub mod candidates;
mod capture;
mod connect;
mod context;
mod copy;
mod group;
mod launch;
pub mod lease;
mod network;
mod pollers;
mod profile;
mod progress;
pub(crate) mod provision;
mod publish;
pub mod site;
pub(crate) mod user_data_parts;

pub(crate) use address_queue::members;
pub(crate) use connect::CONNECT_WITHIN;
pub use context::{CellContext, RunContext};
pub use copy::copy_cell;
pub(crate) use launch::recipe;
pub use pollers::{Pollers, RegionPollers, SnapshotWatch};
pub(crate) use profile::{PATH as IAM_PATH, POLICY};

use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::Effect;
use crate::lifetime;
use crate::report::WayIn;
use crate::resumption::Point;
use crate::spec::{AddressSpec, CellSpec, ProfileSpec};
use cloud::Image;
use launch::Launched;
use profile::InstanceProfile;
use site::Site;
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

/// What a cell is built from, besides its spec.
#[derive(Clone, Copy, Debug)]
pub struct Ingredients<'a> {
    /// The image it starts from.
    pub source: &'a Image,
    /// The cache key of what is done to it.
    pub inputs: &'a str,
}

/// Builds a cell: from `point` to a complete, shared image. On failure the journal knows what is there.
pub async fn build_cell(
    context: &CellContext,
    spec: &CellSpec,
    from: Ingredients<'_>,
    point: Point,
    progress: &Progress,
) -> Result<BuiltImage, CellFailure> {
    let context = &context.living_for(spec.launch.max_lifetime);
    for warning in lifetime::warnings(spec) {
        context.warn(warning);
    }
    let (launched, skipped) = match point {
        Point::Guest | Point::Provisioned { .. } => {
            prepare_guest(context, spec, from, point, progress).await?
        }
        Point::Scrubbed { skipped } | Point::Captured { skipped } => {
            let launched = adopt::captured_instance(context)
                .await
                .map_err(|error| CellFailure::new(spec.cell.clone(), Step::Launch, error))?;
            (launched, skipped)
        }
    };
    let image = capture_guest(context, spec, from, &launched, &skipped).await?;
    Ok(BuiltImage { image, skipped })
}

/// From nothing to a guest that is ready to be captured. Gives the instance, and the provisioners that were skipped.
async fn prepare_guest(
    context: &CellContext,
    spec: &CellSpec,
    from: Ingredients<'_>,
    point: Point,
    progress: &Progress,
) -> Result<(Launched, Vec<String>), CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    let site = match point {
        Point::Guest if context.standing(is_launch).is_empty() => {
            Some(look_around(context, spec, from.source).await?)
        }
        _ => None,
    };
    let elastic = match &spec.connect.address {
        AddressSpec::Elastic {
            choice,
            by,
            timeout,
            wait,
        } => {
            context.begin(Step::LeaseAddress).await?;
            let terms = address_queue::Terms {
                by: *by,
                timeout: *timeout,
                wait: *wait,
            };
            let claimed = address_queue::claim(context, choice, terms)
                .await
                .map_err(fail(Step::LeaseAddress))?;
            context.finish(Step::LeaseAddress);
            Some(claimed)
        }
        AddressSpec::Public | AddressSpec::Private | AddressSpec::Ipv6 => None,
    };
    let adopted = adopt::running_instance(context)
        .await
        .map_err(fail(Step::Launch))?;

    context.begin(Step::KeyPair).await?;
    let instance = match adopted {
        Some(_) => access::Instance::Launched,
        None => access::Instance::ToBeLaunched,
    };
    let access = access::prepare(context, spec, instance)
        .await
        .map_err(fail(Step::KeyPair))?;
    context.finish(Step::KeyPair);

    let launched = match adopted {
        Some(launched) => launched,
        None => {
            let site = match site {
                Some(site) => site,
                None => look_around(context, spec, from.source).await?,
            };
            launch_guest(context, spec, from.source, &site, &access, elastic.as_ref()).await?
        }
    };

    if let Some(elastic) = &elastic {
        context.begin(Step::BindAddress).await?;
        address::bind(context, elastic, &launched)
            .await
            .map_err(fail(Step::BindAddress))?;
        context.finish(Step::BindAddress);
    }

    context.begin(Step::Connect).await?;
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

    let skipped = match point {
        Point::Provisioned { skipped } => skipped,
        Point::Guest | Point::Scrubbed { .. } | Point::Captured { .. } => {
            context.begin(Step::Provision).await?;
            let skipped =
                provision::provision(context, spec, &mut link, &launched, progress, from.inputs)
                    .await
                    .map_err(fail(Step::Provision))?;
            context.finish(Step::Provision);
            skipped
        }
    };

    context.begin(Step::Scrub).await?;
    capture::scrub(context, link, &launched, &access)
        .await
        .map_err(fail(Step::Scrub))?;
    context.finish(Step::Scrub);
    Ok((launched, skipped))
}

fn is_launch(effect: &Effect) -> bool {
    matches!(effect, Effect::LaunchInstance { .. })
}

/// Looks where the instance may go, before anything is made for it.
async fn look_around(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
) -> Result<Site, CellFailure> {
    let looked = context
        .race(site::survey(context.region(), &spec.launch, Some(source)))
        .await
        .and_then(|looked| looked);
    let site = looked.map_err(|error| CellFailure::new(spec.cell.clone(), Step::Resolve, error))?;
    for unknown in &site.unknown {
        context.warn(unknown);
    }
    Ok(site)
}

/// The group, the role and the instance.
async fn launch_guest(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    site: &Site,
    access: &access::Access,
    elastic: Option<&address::ElasticAddress>,
) -> Result<Launched, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    context.begin(Step::SecurityGroup).await?;
    let groups = group::prepare(context, spec, site)
        .await
        .map_err(fail(Step::SecurityGroup))?;
    context.finish(Step::SecurityGroup);

    let profile = match &spec.launch.instance_profile {
        Some(ProfileSpec::Temporary { policy }) => {
            context.begin(Step::InstanceProfile).await?;
            let profile = profile::prepare(context, spec, policy, elastic)
                .await
                .map_err(fail(Step::InstanceProfile))?;
            context.finish(Step::InstanceProfile);
            Some(profile)
        }
        Some(ProfileSpec::Named(name)) => Some(InstanceProfile::Named(name.clone())),
        None => None,
    };

    context.begin(Step::Launch).await?;
    let user_data =
        user_data_parts::compose_for(context, spec, access, elastic).map_err(fail(Step::Launch))?;
    if let Some(elastic) = elastic {
        elastic.check(context).map_err(fail(Step::Launch))?;
    }
    let with = launch::Equipment {
        access,
        groups: &groups,
        profile,
        user_data,
    };
    let launched = launch::launch(context, spec, source, site, with)
        .await
        .map_err(fail(Step::Launch))?;
    context.finish(Step::Launch);
    Ok(launched)
}

/// From a guest that is ready to be captured to a complete, shared image. What else stands of the cell is found in the
/// journal, so that it makes no difference which process made it.
async fn capture_guest(
    context: &CellContext,
    spec: &CellSpec,
    from: Ingredients<'_>,
    launched: &Launched,
    skipped: &[String],
) -> Result<Image, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    if !context
        .standing(|effect| matches!(effect, Effect::BindAddress { .. }))
        .is_empty()
        || lease::holds_address(context)
    {
        context.begin(Step::FreeAddress).await?;
        address::free(context)
            .await
            .map_err(fail(Step::FreeAddress))?;
        context.finish(Step::FreeAddress);
    }

    context.begin(Step::Stop).await?;
    capture::stop(context, launched)
        .await
        .map_err(fail(Step::Stop))?;
    context.finish(Step::Stop);

    context.begin(Step::CreateImage).await?;
    let captured = capture::create_image(context, spec, from.source, launched, skipped)
        .await
        .map_err(fail(Step::CreateImage))?;
    context.finish(Step::CreateImage);

    context.begin(Step::Complete).await?;
    publish::complete(context, &captured)
        .await
        .map_err(fail(Step::Complete))?;
    context.finish(Step::Complete);

    // Nothing more is needed of the instance, and it costs money: it goes before sharing, which can wait.
    context.begin(Step::Terminate).await?;
    context
        .effects()
        .unmake(launched.effect)
        .await
        .map_err(fail(Step::Terminate))?;
    profile::remove(context)
        .await
        .map_err(fail(Step::Terminate))?;
    context.finish(Step::Terminate);

    if !spec.image.share_accounts.is_empty() {
        context.begin(Step::Share).await?;
        publish::share(context, &captured.image, &spec.image)
            .await
            .map_err(fail(Step::Share))?;
        context.finish(Step::Share);
    }
    Ok(captured.image)
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
    context.begin(Step::Share).await?;
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
