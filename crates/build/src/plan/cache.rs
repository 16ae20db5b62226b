//! Whether a cell has to be built: its image is found by the hash of all that decides its content.

use crate::failure::StepError;
use crate::images::state_word;
use crate::names::{CellName, tag};
use crate::options::{RunOptions, Venue};
use crate::spec::{ImageSpec, TestSpec};
use cloud::wait::{ImagePoller, Verdict, WaitError, deadline};
use cloud::*;
use pipeline::cache_key::{CacheKey, InputSummary, SourceIdentity, StageInputs, cache_key};
use pipeline::model::{self, Cache, Cell};
use pipeline::template::RunFacts;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long an image that is available may take until its run marks it as complete: one call.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);

/// What to do about a cell.
#[derive(Clone, Debug)]
pub enum CacheDecision {
    /// Use this image.
    Reuse {
        /// The image.
        image: Box<Image>,
        /// Why, in words.
        reason: String,
    },
    /// Build.
    Build {
        /// Why, in words.
        reason: String,
    },
}

/// What the cache says, without waiting for anything.
#[derive(Clone, Debug)]
pub enum CacheState {
    /// There is a complete image.
    Hit(Image),
    /// One is being made.
    Pending(Image),
    /// There is none: why, in words.
    Miss(String),
}

/// What the cell's image is found by.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The hash of all that decides the image's content.
    pub key: CacheKey,
    /// The inputs one by one, to say what changed.
    inputs: StageInputs,
    /// The source image.
    source: SourceIdentity,
    /// The tags by which the image is found later.
    pub tags: Tags,
}

/// What the cache knows a source by: an image's id, or what stands for a disk image.
fn source_identity(source: &ImageId) -> Result<SourceIdentity, StepError> {
    let refused = |reason: String| StepError::SourceNotAvailable {
        image: source.to_string(),
        state: reason,
    };
    match source.as_str().strip_prefix("import:") {
        Some(digest) => model::Checksum::parse(digest)
            .map(SourceIdentity::Import)
            .map_err(refused),
        None => model::ImageId::new(source.as_str())
            .map(SourceIdentity::Image)
            .map_err(refused),
    }
}

/// Hashes what decides the content of the cell's image.
pub fn identify(cell: &Cell, source: &ImageId, venue: Venue) -> Result<Identified, StepError> {
    let inputs =
        StageInputs::collect(cell, &pipeline::Disk).map_err(|error| StepError::LocalFile {
            path: format!("(a file of stage {})", cell.stage.value),
            reason: error.to_string(),
        })?;
    let source = source_identity(source)?;
    let skipped: BTreeSet<usize> = match venue {
        Venue::Aws => BTreeSet::new(),
        Venue::Rehearsal => {
            let positions = cell.provision.iter().enumerate();
            positions
                .filter(|(_, provisioner)| !provisioner.needs.is_empty())
                .map(|(position, _)| position)
                .collect()
        }
    };
    let key = cache_key(&inputs, &source, &skipped);
    let mut tags = Tags::new().with(tag::CACHE_KEY, key.as_str());
    for (name, value) in InputSummary::new(&inputs, &source).tags() {
        tags.set(name, value);
    }
    Ok(Identified {
        key,
        inputs,
        source,
        tags,
    })
}

/// What the images with the cell's key say, before anything is compared.
pub(super) enum Recalled {
    /// Enough to decide.
    Known(Box<CacheState>),
    /// There is none: what changed can be told from an earlier image of the cell.
    Unlike,
}

impl Recalled {
    fn known(state: CacheState) -> Self {
        Self::Known(Box::new(state))
    }
}

/// Whether the disk image that the cell is imported from may stand on other files: what is in them decides the image's
/// content as well.
fn has_backing_files(cell: &Cell) -> bool {
    cell.import()
        .is_some_and(|import| import.backing_file == model::BackingFile::Allowed)
}

/// Whether the cell's images are looked up at all; else why not.
pub(crate) fn ignored(cell: &Cell, options: &RunOptions) -> Option<String> {
    match cell.cache {
        Cache::Off => Some(String::from("the stage says `cache: false`")),
        Cache::On { .. } if options.rebuild.contains(cell.stage.as_str()) => {
            Some(String::from("--rebuild asks for it"))
        }
        Cache::On { .. } if has_backing_files(cell) => Some(String::from(
            "its disk image may stand on backing files, which its digest does not cover",
        )),
        Cache::On { .. } => None,
    }
}

/// Decides by the images that have the cell's key, newest first.
///
/// An image of another cell of the same stage is none of this one's, whatever its content: a matrix asks for an image of
/// each, and theirs have other names and tags.
pub(super) fn recall(
    mut found: Vec<Image>,
    cell: &Cell,
    name: &CellName,
    now: Timestamp,
) -> Recalled {
    found.retain(|image| {
        image.tags.get(tag::STAGE) != Some(&name.stage)
            || image.tags.get(tag::CELL) == Some(&name.cell)
    });
    // An image of a disk and nothing else is as good as its name: it is what somebody asked for by it, and costs no build. One
    // of another name is another's.
    if cell.is_import()
        && let Ok(wanted) = cell.image.name.render(&RunFacts::default())
    {
        let named =
            |image: &Image| image.tags.get(tag::FINAL_NAME).unwrap_or(&image.name) == wanted;
        found.retain(named);
    }
    let max_age = match cell.cache {
        Cache::On { max_age } => max_age.map(|age| age.get()),
        Cache::Off => None,
    };
    let is_fresh = |image: &Image| match (max_age, image.created) {
        (Some(age), Some(created)) => cloud::clock::between(created, now) < age,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let old = found
        .iter()
        .any(|image| image.state == ImageState::Available && !is_fresh(image));
    found.retain(is_fresh);
    let complete = |image: &&Image| {
        image.state == ImageState::Available && image.tags.get(tag::COMPLETE).is_some()
    };
    if let Some(hit) = found.iter().find(complete) {
        return Recalled::known(CacheState::Hit(hit.clone()));
    }
    if let Some(pending) = found
        .iter()
        .find(|image| image.state == ImageState::Pending)
    {
        return Recalled::known(CacheState::Pending(pending.clone()));
    }
    if old {
        let age = max_age.unwrap_or_default();
        return Recalled::known(CacheState::Miss(format!(
            "the image with the same inputs is older than {age:?}"
        )));
    }
    Recalled::Unlike
}

/// Looks the cell up.
pub async fn look_up(
    region: &dyn Region,
    clock: &dyn Clock,
    cell: &Cell,
    name: &CellName,
    identified: &Identified,
    options: &RunOptions,
) -> Result<CacheState, StepError> {
    if let Some(why) = ignored(cell, options) {
        return Ok(CacheState::Miss(why));
    }
    let key = vec![identified.key.as_str().to_owned()];
    let found = own_images(region, &[(tag::CACHE_KEY, key)]).await?;
    match recall(found, cell, name, clock.now()) {
        Recalled::Known(state) => Ok(*state),
        Recalled::Unlike => {
            let of_cell = [
                (tag::STAGE, vec![name.stage.clone()]),
                (tag::CELL, vec![name.cell.clone()]),
            ];
            let earlier = own_images(region, &of_cell).await?;
            Ok(CacheState::Miss(what_changed(&earlier, identified)))
        }
    }
}

/// What is to be said of an image that is reused although the pipeline names its images otherwise now. A name decides
/// nothing of an image's content, and EC2 lets nobody change it. Names that only a run knows differ each time, and count
/// for nothing.
pub fn named_otherwise(cell: &Cell, image: &Image) -> Option<String> {
    let wanted = cell.image.name.render(&RunFacts::default()).ok()?;
    let has = image.tags.get(tag::FINAL_NAME).unwrap_or(&image.name);
    (wanted != has).then(|| {
        format!(
            "{} is reused as it is, with the name `{has}`, not `{wanted}`: names and tags decide no content; `--rebuild {}` makes it anew",
            image.image_id, cell.stage.value
        )
    })
}

/// Compares with the newest of the cell's earlier images, to say what changed.
pub(super) fn what_changed(earlier: &[Image], identified: &Identified) -> String {
    let Some(newest) = earlier
        .iter()
        .find(|image| image.tags.get(tag::CACHE_KEY).is_some())
    else {
        return String::from("there is no image of it yet");
    };
    let id = &newest.image_id;
    if newest.tags.get(tag::CACHE_KEY) == Some(identified.key.as_str()) {
        return format!(
            "{id} has the same inputs, but is {} and not complete",
            state_word(&newest.state)
        );
    }
    let changes = match InputSummary::from_tags(|key| newest.tags.get(key)) {
        Some(Ok(summary)) => {
            InputSummary::changes(&summary, &identified.inputs, &identified.source)
        }
        Some(Err(_)) | None => Vec::new(),
    };
    if changes.is_empty() {
        return format!("{id} was made from other inputs");
    }
    format!("changed against {id}: {}", changes.join(", "))
}

/// The account's images with one of the values for each of these tags, newest first.
pub(super) async fn own_images(
    region: &dyn Region,
    tags: &[(&str, Vec<String>)],
) -> Result<Vec<Image>, CloudError> {
    let filters = tags
        .iter()
        .map(|(key, values)| (format!("tag:{key}"), values.clone()))
        .collect();
    let filter = ImageFilter {
        owners: vec!["self".into()],
        filters,
        ..ImageFilter::default()
    };
    let mut images = region.images(&filter).await?;
    images.sort_by(|a, b| {
        b.created
            .cmp(&a.created)
            .then_with(|| b.image_id.cmp(&a.image_id))
    });
    Ok(images)
}

/// How long an image that another run is making is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is available.
    available: Duration,
    /// From then until its run marks it as complete: as long as its test, if it has one.
    complete: Duration,
}

impl Patience {
    /// For an image like this one.
    pub fn with(image: &ImageSpec, test: Option<&TestSpec>) -> Self {
        Self {
            available: image.wait,
            complete: test.map_or(COMPLETE_WITHIN, |test| {
                COMPLETE_WITHIN + test.launch.max_lifetime
            }),
        }
    }
}

/// Where a cell's image is looked for.
#[derive(Clone, Copy)]
pub struct Lookout<'a> {
    /// The cell's region.
    pub region: &'a dyn Region,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who asks for the region's images.
    pub images: &'a ImagePoller,
}

/// Looks the cell up, and waits for an image that is being made.
pub async fn decide(
    at: Lookout<'_>,
    cell: &Cell,
    name: &CellName,
    source: &Image,
    options: &RunOptions,
    patience: Patience,
) -> Result<CacheDecision, StepError> {
    let Lookout { region, clock, .. } = at;
    let identified = identify(cell, &source.image_id, options.venue)?;
    let state = look_up(region, clock, cell, name, &identified, options).await?;
    match state {
        CacheState::Hit(image) => {
            let age = image
                .created
                .map(|at| age_in_words(cloud::clock::between(at, clock.now())))
                .unwrap_or_default();
            Ok(CacheDecision::Reuse {
                reason: format!("same inputs{age}"),
                image: Box::new(image),
            })
        }
        CacheState::Pending(image) => wait_for_other(clock, at.images, image, patience).await,
        CacheState::Miss(reason) => Ok(CacheDecision::Build {
            reason: format!("builds: {reason}"),
        }),
    }
}

/// Another run is making the image. If it comes to nothing, this run builds.
async fn wait_for_other(
    clock: &dyn Clock,
    images: &ImagePoller,
    image: Image,
    patience: Patience,
) -> Result<CacheDecision, StepError> {
    let by = image.tags.get(tag::RUN).unwrap_or("another run").to_owned();
    let until = deadline(clock, patience.available);
    let mut available_since = None;
    let waited = images
        .wait(&image.image_id, until, |seen| match seen {
            Some(seen) if seen.state == ImageState::Available => {
                if seen.tags.get(tag::COMPLETE).is_some() {
                    return Verdict::Done(seen.clone());
                }
                let since = *available_since.get_or_insert(clock.now());
                if cloud::clock::between(since, clock.now()) >= patience.complete {
                    return Verdict::Impossible(String::from(
                        "its run never marked it as complete",
                    ));
                }
                Verdict::Wait
            }
            Some(seen) if seen.state == ImageState::Pending => Verdict::Wait,
            Some(seen) => Verdict::Impossible(format!("it is {}", state_word(&seen.state))),
            None => Verdict::Impossible(String::from("it is gone")),
        })
        .await;
    let id = &image.image_id;
    match waited {
        Ok(image) => Ok(CacheDecision::Reuse {
            reason: format!("made meanwhile by {by}"),
            image: Box::new(image),
        }),
        Err(WaitError::Impossible(why)) => Ok(CacheDecision::Build {
            reason: format!("builds: {id} of {by} came to nothing: {why}"),
        }),
        Err(WaitError::Deadline { .. }) => Ok(CacheDecision::Build {
            reason: format!("builds: {id} of {by} is still not complete"),
        }),
        Err(WaitError::Cloud(error)) => Err(error.into()),
    }
}

fn age_in_words(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0 => String::from(", made less than a minute ago"),
        1..60 => format!(", made {minutes} min ago"),
        60..2880 => format!(", made {} h ago", minutes / 60),
        _ => format!(", made {} days ago", minutes / 1440),
    }
}
