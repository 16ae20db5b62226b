//! The steps of one cell, one file per subject.
//!
//! ```text
//!  look around ─▶ lease address ─▶ key pair ─▶ group ─▶ role ─▶ launch ─▶ bind address ─▶ connect ─▶ provision ─▶ scrub
//!                                                                                                                  │
//!                  complete ◀─ test ◀─ create image ◀─ group and key gone ◀─ stop ◀─ free address
//!                     │
//!                     └─▶ copies ─▶ name ─▶ deprecation, protection ─▶ share ─▶ parameters        (`publish`)
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
pub mod before_launch;
pub mod candidates;
mod capture;
mod connect;
mod context;
mod copy;
mod group;
mod import;
mod launch;
pub mod lease;
mod network;
mod pollers;
mod profile;
mod progress;
pub(crate) mod provision;
mod publish;
mod register;
pub mod site;
mod test_image;
pub(crate) mod user_data_parts;

pub(crate) use address_queue::members;
pub(crate) use connect::CONNECT_WITHIN;
pub use context::{CellContext, RunContext};
pub use copy::copy_cell;
pub(crate) use import::look_into;
pub use import::{disk_options, import_cell, import_source};
pub(crate) use launch::{hosting, recipe};
pub use pollers::{Pollers, RegionPollers, SnapshotWatch};
pub(crate) use profile::{PATH as IAM_PATH, POLICY};
pub use publish::{Published, publish};
pub(crate) use publish::{parameters_of, words};
pub(crate) use user_data_parts::partition_of;

use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::Effect;
use crate::lifetime;
use crate::report::{ReportedImage, WayIn};
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
    reported: Mutex<Option<ReportedImage>>,
}

impl Progress {
    /// How to get into the instance, once there is a way.
    pub fn way_in(&self) -> Option<WayIn> {
        self.way_in
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// The complete image and what became of it, if not all that was to be done about it could be.
    pub fn reported(&self) -> Option<ReportedImage> {
        self.reported
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Keeps what became of the image for the report of a cell that failed.
    pub(crate) fn set_reported(&self, reported: ReportedImage) {
        *self
            .reported
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(reported);
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

/// Builds a cell: from `point` to a complete image. On failure the journal knows what is there. What becomes of the image
/// is [`publish()`]'s.
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
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    let (launched, skipped) = match point {
        Point::Guest | Point::Provisioned { .. } => {
            let (launched, skipped) = prepare_guest(context, spec, from, point, progress).await?;
            (Some(launched), skipped)
        }
        Point::Scrubbed { skipped } | Point::Captured { skipped } => {
            let launched = adopt::captured_instance(context)
                .await
                .map_err(fail(Step::Launch))?;
            (Some(launched), skipped)
        }
        Point::Imaged { skipped } => (None, skipped),
    };
    let image = match launched {
        Some(launched) => capture_guest(context, spec, from, &launched, &skipped, progress).await?,
        None => {
            context.begin(Step::CreateImage).await?;
            let captured = capture::made_before(context, spec)
                .await
                .map_err(fail(Step::CreateImage))?;
            context.finish(Step::CreateImage);
            // An earlier process may have ended between the instance's end and its role's.
            profile::remove(context)
                .await
                .map_err(fail(Step::Terminate))?;
            publish::complete(context, &spec.publication(), &captured.image, progress).await?
        }
    };
    Ok(BuiltImage { image, skipped })
}

/// An instance that one has got into.
struct Reached {
    launched: Launched,
    link: connect::GuestLink,
    access: access::Access,
}

/// From nothing, or from an instance that an earlier process launched, to a way into it.
async fn reach_guest(
    context: &CellContext,
    spec: &CellSpec,
    source: &Image,
    progress: &Progress,
) -> Result<Reached, CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(spec.cell.clone(), step, error);
    // What is in the way of the launch is better known before anything is made for it.
    let site = if context.standing(is_launch).is_empty() {
        Some(look_around(context, spec, source).await?)
    } else {
        None
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
                None => look_around(context, spec, source).await?,
            };
            launch_guest(context, spec, source, &site, &access, elastic.as_ref()).await?
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
    let link = connect::connect(
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
    Ok(Reached {
        launched,
        link,
        access,
    })
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
    let Reached {
        launched,
        mut link,
        access,
    } = reach_guest(context, spec, from.source, progress).await?;
    let skipped = match point {
        Point::Provisioned { skipped } => skipped,
        Point::Guest | Point::Scrubbed { .. } | Point::Captured { .. } | Point::Imaged { .. } => {
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
        .and_then(|looked| looked)
        .and_then(|looked| {
            site::refuse_without_root(&spec.image.left_out_devices, source)?;
            Ok(looked)
        });
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

/// From a guest that is ready to be captured to a complete image. What else stands of the cell is found in the journal, so
/// that it makes no difference which process made it.
async fn capture_guest(
    context: &CellContext,
    spec: &CellSpec,
    from: Ingredients<'_>,
    launched: &Launched,
    skipped: &[String],
    progress: &Progress,
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

    // Nothing more is needed of the instance, and it costs money. An image that needs no test is complete first, so that
    // not even a termination that fails can cost it.
    if spec.test.is_some() {
        context.begin(Step::Terminate).await?;
        if let Err(error) = context.effects().unmake(launched.effect).await {
            context.warn(format!("the instance could not be terminated yet: {error}"));
        } else if let Err(error) = profile::remove(context).await {
            context.warn(format!("its role could not be removed yet: {error}"));
        }
        context.finish(Step::Terminate);
        return publish::complete(context, &spec.publication(), &captured.image, progress).await;
    }
    let image = publish::complete(context, &spec.publication(), &captured.image, progress).await?;
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
    Ok(image)
}

/// A complete image.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The image.
    pub image: Image,
    /// The provisioners that a rehearsal skipped.
    pub skipped: Vec<String>,
}
