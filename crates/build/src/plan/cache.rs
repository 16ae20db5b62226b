//! Whether a stage has to be built: its image is found by the hash of all that decides its content.

use crate::failure::StepError;
use crate::images::state_word;
use crate::names::tag;
use crate::options::{RunOptions, Venue};
use cloud::wait::{ImagePoller, Verdict, WaitError, deadline};
use cloud::*;
use pipeline::cache_key::{CacheKey, InputSummary, StageInputs, cache_key};
use pipeline::model::{self, Cache, Cell};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long an image that is available may take until its run marks it as complete: one call.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);

/// What to do about a stage.
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

/// What the stage's image is found by.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The hash of all that decides the image's content.
    pub key: CacheKey,
    /// The inputs one by one, to say what changed.
    inputs: StageInputs,
    /// The source image.
    source: model::ImageId,
    /// The tags by which the image is found later.
    pub tags: Tags,
}

/// Hashes what decides the content of the stage's image.
pub fn identify(stage: &Cell, source: &ImageId, venue: Venue) -> Result<Identified, StepError> {
    let inputs =
        StageInputs::collect(stage, &pipeline::Disk).map_err(|error| StepError::LocalFile {
            path: format!("(a file of stage {})", stage.stage.value),
            reason: error.to_string(),
        })?;
    let source =
        model::ImageId::new(source.as_str()).map_err(|reason| StepError::SourceNotAvailable {
            image: source.to_string(),
            state: reason,
        })?;
    let skipped: BTreeSet<usize> = match venue {
        Venue::Aws => BTreeSet::new(),
        Venue::Rehearsal => {
            let positions = stage.provision.iter().enumerate();
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

/// Looks the stage up.
pub async fn look_up(
    region: &dyn Region,
    clock: &dyn Clock,
    stage: &Cell,
    identified: &Identified,
    options: &RunOptions,
) -> Result<CacheState, StepError> {
    let max_age = match stage.cache {
        Cache::Off => {
            return Ok(CacheState::Miss(String::from(
                "the stage says `cache: false`",
            )));
        }
        Cache::On { .. } if options.rebuild.contains(stage.stage.as_str()) => {
            return Ok(CacheState::Miss(String::from("--rebuild asks for it")));
        }
        Cache::On { max_age } => max_age.map(|age| age.get()),
    };
    let mut found = own_images(region, &[(tag::CACHE_KEY, identified.key.as_str())]).await?;
    let is_fresh = |image: &Image| match (max_age, image.created) {
        (Some(age), Some(created)) => cloud::clock::between(created, clock.now()) < age,
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
        return Ok(CacheState::Hit(hit.clone()));
    }
    if let Some(pending) = found
        .iter()
        .find(|image| image.state == ImageState::Pending)
    {
        return Ok(CacheState::Pending(pending.clone()));
    }
    if old {
        let age = max_age.unwrap_or_default();
        return Ok(CacheState::Miss(format!(
            "the image with the same inputs is older than {age:?}"
        )));
    }
    Ok(CacheState::Miss(
        why_missed(region, stage, identified).await?,
    ))
}

/// Compares with the newest image of the stage, to say what changed.
async fn why_missed(
    region: &dyn Region,
    stage: &Cell,
    identified: &Identified,
) -> Result<String, StepError> {
    let earlier = own_images(region, &[(tag::STAGE, stage.stage.as_str())]).await?;
    let Some(newest) = earlier
        .iter()
        .find(|image| image.tags.get(tag::CACHE_KEY).is_some())
    else {
        return Ok(String::from("there is no image of this stage yet"));
    };
    let id = &newest.image_id;
    if newest.tags.get(tag::CACHE_KEY) == Some(identified.key.as_str()) {
        return Ok(format!(
            "{id} has the same inputs, but is {} and not complete",
            state_word(&newest.state)
        ));
    }
    let changes = match InputSummary::from_tags(|key| newest.tags.get(key)) {
        Some(Ok(summary)) => {
            InputSummary::changes(&summary, &identified.inputs, &identified.source)
        }
        Some(Err(_)) | None => Vec::new(),
    };
    if changes.is_empty() {
        return Ok(format!("{id} was made from other inputs"));
    }
    Ok(format!("changed against {id}: {}", changes.join(", ")))
}

async fn own_images(region: &dyn Region, tags: &[(&str, &str)]) -> Result<Vec<Image>, CloudError> {
    let filters = tags
        .iter()
        .map(|(key, value)| (format!("tag:{key}"), vec![(*value).to_owned()]))
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

/// Looks the stage up, and waits for an image that is being made, for as long as `wait`.
pub async fn decide(
    region: &dyn Region,
    clock: &dyn Clock,
    images: &ImagePoller,
    stage: &Cell,
    source: &Image,
    options: &RunOptions,
    wait: Duration,
) -> Result<CacheDecision, StepError> {
    let identified = identify(stage, &source.image_id, options.venue)?;
    let state = look_up(region, clock, stage, &identified, options).await?;
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
        CacheState::Pending(image) => wait_for_other(clock, images, image, wait).await,
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
    wait: Duration,
) -> Result<CacheDecision, StepError> {
    let by = image.tags.get(tag::RUN).unwrap_or("another run").to_owned();
    let until = deadline(clock, wait);
    let mut available_since = None;
    let waited = images
        .wait(&image.image_id, until, |seen| match seen {
            Some(seen) if seen.state == ImageState::Available => {
                if seen.tags.get(tag::COMPLETE).is_some() {
                    return Verdict::Done(seen.clone());
                }
                let since = *available_since.get_or_insert(clock.now());
                if cloud::clock::between(since, clock.now()) >= COMPLETE_WITHIN {
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
