//! What the account shows of an image and its copies, before anything is done about them.

use super::super::context::CellContext;
use super::site::{self, Shared, Site};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::names::tag;
use crate::publication::{Due, Holder, Place};
use crate::spec::{ImageSpec, OnConflict, ParameterRegions, Replaceable};
use cloud::{CloudError, Image, ImageFilter, ImageId, ImageState, Permissions, Region, SnapshotId};
use futures::future::join_all;

/// The image that all copies of `image` are of.
pub(super) fn origin(image: &Image) -> ImageId {
    match image.tags.get(tag::COPY_OF) {
        Some(id) => id.into(),
        None => image.image_id.clone(),
    }
}

/// All regions of the cell, the build's first, each as it is seen now.
pub(super) async fn sites(context: &CellContext, shared: &Shared<'_>) -> Vec<Site> {
    let home = Site::empty(context.clone(), Place::Home, None);
    let away = shared.spec.image.copies.iter().map(|copy| {
        let there = context.in_region(&copy.region);
        Site::empty(there, Place::Away, Some(copy.clone()))
    });
    let looks = std::iter::once(home)
        .chain(away)
        .map(|mut site| async move {
            let place = site.place;
            if let Err(error) = look(&mut site, shared).await {
                let step = match place {
                    Place::Home => Step::Resolve,
                    Place::Away => Step::Copy,
                };
                site.failed = Some(CellFailure::new(site.context.cell().clone(), step, error));
            }
            site
        });
    join_all(looks).await
}

async fn look(site: &mut Site, shared: &Shared<'_>) -> Result<(), StepError> {
    let context = site.context.clone();
    let region = context.region();
    let mut ours = context.race(copies_of(region, &shared.origin)).await??;
    // A person may have copied it to another name (`qib images copy`): that one is theirs.
    ours.retain(|image| site::wanted_name(image) == shared.name);
    if site.place == Place::Home {
        ours.retain(|image| image.image_id != shared.home.image_id);
        ours.push(shared.home.clone());
        if shared.home.image_id != shared.origin {
            let filter = ImageFilter {
                image_ids: vec![shared.origin.clone()],
                ..own_images()
            };
            ours.extend(context.race(region.images(&filter)).await??);
        }
    }
    let is_there = |image: &&Image| !matches!(image.state, ImageState::Failed | ImageState::Gone);
    for image in ours.iter().filter(is_there) {
        site.take_in(image);
        // Whoever made it may have died before it came to that, and nothing that is seen of it says so.
        if shared.spec.image.properties.imds_v2 && image.state == ImageState::Available {
            super::finishing::require_imds_v2(&context, &image.image_id).await?;
        }
    }
    if site.place == Place::Home {
        site.seen.test = site::test_due(shared.spec, &shared.home);
    }
    due(site, shared, context.clock().now());
    if site.named.is_none() {
        let others = context.race(holders(region, &shared.name)).await??;
        let holder = others
            .into_iter()
            .find(|image| ours.iter().all(|own| own.image_id != image.image_id));
        if let Some(holder) = holder {
            site.seen.holder = Some(judge(&context, &shared.spec.image, &holder).await?);
            if site.seen.holder == Some(Holder::Stays) {
                context.note(format!(
                    "{} has the name {} in {} and stays (`on_conflict: skip`)",
                    holder.image_id,
                    shared.name,
                    region.name()
                ));
            }
            site.holder = Some(holder);
        }
    }
    let replaced = [&site.named, &site.transit]
        .into_iter()
        .flatten()
        .filter_map(|ours| ours.image.as_ref())
        .find_map(|image| image.tags.get(tag::REPLACES))
        .map(ImageId::from);
    if let Some(replaced) = replaced {
        let snapshots = context.race(remains(region, &replaced)).await??;
        if !snapshots.is_empty() {
            site.seen.remains = Due::Yes;
            site.remains = Some((replaced, snapshots));
        }
    }
    Ok(())
}

/// What is wanted of the region's image, and is not so yet.
fn due(site: &mut Site, shared: &Shared<'_>, now: cloud::Timestamp) {
    let wanted = |wanted: bool| if wanted { Due::Yes } else { Due::No };
    let spec = &shared.spec.image;
    let named = site.named.as_ref().and_then(|ours| ours.image.as_ref());
    site.seen.deprecation = wanted(super::finishing::deprecation(shared, named, now).is_some());
    let protected = named.is_some_and(|image| image.protected);
    site.seen.protection = wanted(spec.protection.is_some() && !protected);
    site.seen.sharing = wanted(spec.share != crate::spec::ShareSpec::default());
    site.seen.parameters =
        wanted(spec.parameters.iter().any(|parameter| {
            site.place == Place::Home || parameter.regions == ParameterRegions::All
        }));
}

fn own_images() -> ImageFilter {
    ImageFilter {
        owners: vec!["self".into()],
        ..ImageFilter::default()
    }
}

async fn copies_of(region: &dyn Region, origin: &ImageId) -> Result<Vec<Image>, CloudError> {
    let filter = ImageFilter {
        filters: vec![(
            format!("tag:{}", tag::COPY_OF),
            vec![origin.as_str().to_owned()],
        )],
        ..own_images()
    };
    region.images(&filter).await
}

/// The account's images of that name in `region`: one at most.
pub(in crate::steps) async fn holders(
    region: &dyn Region,
    name: &str,
) -> Result<Vec<Image>, CloudError> {
    let filter = ImageFilter {
        filters: vec![("name".to_owned(), vec![name.to_owned()])],
        ..own_images()
    };
    let mut found = region.images(&filter).await?;
    found.retain(|image| image.name == name && image.state != ImageState::Gone);
    Ok(found)
}

async fn remains(region: &dyn Region, retired: &ImageId) -> Result<Vec<SnapshotId>, CloudError> {
    let filters = [(
        format!("tag:{}", tag::RETIRED),
        vec![retired.as_str().to_owned()],
    )];
    let found = region.snapshots(&filters).await?;
    Ok(found.into_iter().map(|one| one.snapshot_id).collect())
}

/// What is to become of another image that has the wanted name.
///
/// # Errors
/// If it may neither stay nor be replaced.
pub(in crate::steps) async fn judge(
    context: &CellContext,
    spec: &ImageSpec,
    holder: &Image,
) -> Result<Holder, StepError> {
    let region = context.region();
    let allowed = match spec.on_conflict {
        OnConflict::Fail => {
            return Err(StepError::NameTaken {
                name: holder.name.clone(),
                taken: vec![format!("in {} by {}", region.name(), holder.image_id)],
            });
        }
        OnConflict::Skip => return Ok(Holder::Stays),
        OnConflict::Replace(allowed) => allowed,
    };
    match against_replacing(context, spec, holder, allowed).await? {
        None => Ok(Holder::Goes),
        Some(why) => Err(StepError::NotReplaceable {
            name: holder.name.clone(),
            region: region.name().to_string(),
            image: holder.image_id.to_string(),
            why,
        }),
    }
}

/// Why `holder` may not be replaced, if so.
async fn against_replacing(
    context: &CellContext,
    spec: &ImageSpec,
    holder: &Image,
    allowed: Replaceable,
) -> Result<Option<String>, StepError> {
    let is_being_made = holder.state == ImageState::Pending
        || (is_ours(context, holder) && holder.tags.get(tag::COMPLETE).is_none());
    if is_being_made {
        let by = holder.tags.get(tag::RUN).unwrap_or("somebody");
        return Ok(Some(format!("{by} is making it, or has died doing so")));
    }
    if allowed == Replaceable::Any {
        return Ok(None);
    }
    if !is_ours(context, holder) {
        return Ok(Some(String::from("this stage did not make it")));
    }
    if holder.protected && spec.protection.is_none() {
        return Ok(Some(String::from(
            "somebody protected it against being deregistered",
        )));
    }
    let region = context.region();
    let templates = context.race(region.launch_template_images()).await??;
    if let Some(template) = templates
        .iter()
        .find(|template| template.image_id == holder.image_id)
    {
        return Ok(Some(format!(
            "version {} of the launch template {} ({}) starts instances from it",
            template.version, template.template_name, template.template_id
        )));
    }
    let shared = context
        .race(region.image_permissions(&holder.image_id))
        .await??;
    let beyond = shared.without(&spec.share.image);
    if !beyond.is_empty() {
        return Ok(Some(format!(
            "it is shared with {}, and the new one will not be",
            words(&beyond).join(", ")
        )));
    }
    Ok(None)
}

/// Whether this stage made the image.
pub(in crate::steps) fn is_ours(context: &CellContext, image: &Image) -> bool {
    image.tags.get(tag::PIPELINE) == Some(context.run().pipeline.as_str())
        && image.tags.get(tag::STAGE) == Some(context.cell().stage.as_str())
}

/// Who permissions are given to, in words.
pub(crate) fn words(permissions: &Permissions) -> Vec<String> {
    let accounts = permissions.accounts.iter().map(ToString::to_string);
    let organizations = permissions.organizations.iter().cloned();
    let units = permissions.organizational_units.iter().cloned();
    let everyone = permissions.public.then(|| String::from("all"));
    accounts
        .chain(organizations)
        .chain(units)
        .chain(everyone)
        .collect()
}
