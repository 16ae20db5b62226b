//! Copies of an image in other regions, or in its own under another name: `qib images copy`.
//!
//! ```text
//!   in each region by itself, all at once
//!
//!   look ── a copy has the name ─────────────▶ there ──┐
//!     │                                                ▼
//!     ├── nobody has it ─▶ CopyImage ──▶ under way ──▶ wait ──▶ available: `copied` or `found`
//!     │      ▲   │ as many as EC2 allows are under way   │
//!     │      │   └──── pause ─────┐                      ├──▶ failed: what there is of it is removed
//!     │      └────────────────────┘                      └──▶ too slow: it stays, and the same command goes on
//!     │
//!     └── another image has it ──▶ failed, nothing made
//! ```
//!
//! There is no run and no journal: a copy is known by its name, which is unique in a region, and by its tag `qib:copy-of`,
//! both given in the call that makes it. So whoever calls again, after whatever end, finds it.

use super::remove::{Removed, remove};
use super::state_word;
use crate::names::tag;
use crate::spec::Encryption;
use cloud::wait::{Verdict, WaitError, deadline, image_poller};
use cloud::*;
use futures::future::join_all;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// How often a copy that EC2 has no room for is asked for again.
const AGAIN_EVERY: Duration = Duration::from_secs(30);

/// What is to be copied, and where to.
#[derive(Clone, Debug)]
pub struct CopyOrder {
    /// The image.
    pub source: Image,
    /// Where it is.
    pub source_region: RegionName,
    /// The copies' name.
    pub name: String,
    /// What the source's snapshots carry, each of them: see [`common_tags`].
    pub snapshot_tags: Tags,
    /// Tags that are added to the image's and to its snapshots'.
    pub tags: Tags,
    /// Where to, each region once.
    pub targets: Vec<CopyTo>,
    /// How long all that a region needs may take.
    pub wait: Duration,
    /// Tells this call's copies from those of calls before: EC2 keeps client tokens for longer than copies may last.
    pub nonce: u64,
}

/// One region to copy to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyTo {
    /// The region.
    pub region: RegionName,
    /// How the copy is encrypted there.
    pub encryption: Encryption,
}

/// Why an image cannot be copied anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCopyable {
    /// It is not whole.
    #[error("image {image} is {state}, and only what is available can be copied")]
    NotAvailable {
        /// The image.
        image: ImageId,
        /// Its state.
        state: String,
    },
    /// A run has made it and not finished it: what has no `qib:complete` is swept, and so would be its copies.
    #[error(
        "run {run} has not finished image {image}; nothing is to use it yet, and `qib sweep` may remove it"
    )]
    NotComplete {
        /// The image.
        image: ImageId,
        /// The run.
        run: String,
    },
}

/// What came of it in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopiedImage {
    /// The image.
    pub source_image: String,
    /// Where that is.
    pub source_region: String,
    /// Where the copy is, or was to be.
    pub region: String,
    /// The copy's name.
    pub name: String,
    /// The copy; none if there is none.
    pub image_id: Option<String>,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// What came of it.
    pub status: CopyStatus,
    /// Why it is not available, if it is not.
    pub error: Option<String>,
}

/// What came of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyStatus {
    /// It was made, and is available.
    Copied,
    /// It was there before, and is available.
    Found,
    /// It is being made, and was not available in time.
    Pending,
    /// There is none as it was asked for.
    Failed,
    /// It failed, and what there is of it could not be removed.
    LeftBehind,
}

/// What happens meanwhile in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyProgress {
    /// EC2 has begun to make the copy.
    Begun(ImageId),
    /// The copy of an earlier call is there, in this state.
    Found(ImageId, String),
    /// As many copies as EC2 allows are under way.
    WaitsForTurn,
    /// An earlier copy had failed, and is removed.
    FailedBefore(ImageId),
}

/// Who is told of what happens.
pub trait CopyWatch: Send + Sync {
    /// It happens in `region`.
    fn progress(&self, region: &RegionName, progress: &CopyProgress);
}

/// The tags that all of `snapshots` have: CopyImage gives all snapshots of the copy the same. AWS's own cannot be given.
pub fn common_tags(snapshots: &[Snapshot]) -> Tags {
    let Some((first, others)) = snapshots.split_first() else {
        return Tags::new();
    };
    first
        .tags
        .iter()
        .filter(|(key, value)| {
            !key.starts_with("aws:") && others.iter().all(|one| one.tags.get(key) == Some(*value))
        })
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl CopyOrder {
    /// # Errors
    /// If the image is not one that may be copied.
    pub fn check(&self) -> Result<(), NotCopyable> {
        let image = self.source.image_id.clone();
        if self.source.state != ImageState::Available {
            let state = state_word(&self.source.state);
            return Err(NotCopyable::NotAvailable { image, state });
        }
        match self.source.tags.get(tag::RUN) {
            Some(run) if self.source.tags.get(tag::COMPLETE).is_none() => {
                let run = run.to_owned();
                Err(NotCopyable::NotComplete { image, run })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The image that this and all other copies of it are of.
    fn origin(&self) -> &str {
        let of = self.source.tags.get(tag::COPY_OF);
        of.unwrap_or(self.source.image_id.as_str())
    }

    /// What the copy carries: the image's tags, but for what is not so of the copy.
    fn image_tags(&self) -> Tags {
        let renamed = self.name != self.source.name;
        let carried: Tags = self
            .source
            .tags
            .iter()
            .filter(|(key, _)| {
                let not_so = [tag::FINAL_NAME, tag::KEPT, tag::REPLACES, tag::EXPIRES];
                // A run that looks for its image must not come upon one with a name that it would not give.
                let misleads = renamed && *key == tag::CACHE_KEY;
                !key.starts_with("aws:") && !not_so.contains(key) && !misleads
            })
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        carried.merged(&self.tags).with(tag::COPY_OF, self.origin())
    }

    fn request(&self, target: &CopyTo, attempt: u32) -> CopyRequest {
        let (encrypted, kms_key_id) = match &target.encryption {
            Encryption::AsSource => (false, None),
            Encryption::With(key) => (true, key.clone()),
        };
        let mut snapshot_tags = self.snapshot_tags.clone();
        snapshot_tags.0.remove(tag::EXPIRES);
        let mut request = CopyRequest {
            client_token: String::new(),
            source_region: self.source_region.clone(),
            source_image: self.source.image_id.clone(),
            name: self.name.clone(),
            description: self.source.description.clone(),
            encrypted,
            kms_key_id,
            image_tags: self.image_tags(),
            snapshot_tags: snapshot_tags
                .merged(&self.tags)
                .with(tag::COPY_OF, self.origin()),
        };
        let mut hash = Sha256::new();
        let (region, nonce) = (&target.region, self.nonce);
        hash.update(format!("{nonce}\n{attempt}\n{region}\n{request:?}"));
        request.client_token = hex::encode(hash.finalize());
        request
    }

    fn outcome(&self, region: &RegionName) -> CopiedImage {
        CopiedImage {
            source_image: self.source.image_id.to_string(),
            source_region: self.source_region.to_string(),
            region: region.to_string(),
            name: self.name.clone(),
            image_id: None,
            snapshots: Vec::new(),
            status: CopyStatus::Failed,
            error: None,
        }
    }
}

/// Copies to all regions at once. A region that fails leaves the others; the outcomes are in the order of the targets.
///
/// # Errors
/// If the image is not one that may be copied; nothing has been made then.
pub async fn copy(
    account: &dyn Account,
    clock: &Arc<dyn Clock>,
    order: &CopyOrder,
    watch: &dyn CopyWatch,
) -> Result<Vec<CopiedImage>, NotCopyable> {
    order.check()?;
    let copies = order.targets.iter().map(|target| {
        let region = account.region(&target.region);
        async move {
            let one = OneCopy {
                order,
                target,
                region,
                clock,
                watch,
                until: deadline(clock.as_ref(), order.wait),
            };
            one.make().await
        }
    });
    Ok(join_all(copies).await)
}

/// The copy in one region.
struct OneCopy<'a> {
    order: &'a CopyOrder,
    target: &'a CopyTo,
    region: Arc<dyn Region>,
    clock: &'a Arc<dyn Clock>,
    watch: &'a dyn CopyWatch,
    until: Timestamp,
}

/// Whose the wanted name is.
enum Holder {
    Nobody,
    /// A copy of the image, in whatever state.
    Copy(Image),
    Other(Image),
}

impl OneCopy<'_> {
    async fn make(&self) -> CopiedImage {
        let mut outcome = self.order.outcome(&self.target.region);
        let begun = match self.begin().await {
            Ok(begun) => begun,
            Err(why) => {
                outcome.error = Some(why);
                return outcome;
            }
        };
        let (id, status) = begun;
        outcome.image_id = Some(id.to_string());
        let poller = image_poller(self.region.clone(), self.clock.clone());
        let waited = poller
            .wait(&id, self.until, |seen| match seen {
                None => Verdict::Wait,
                Some(image) => match image.state {
                    ImageState::Available => Verdict::Done(image.clone()),
                    ImageState::Pending | ImageState::Other(_) => Verdict::Wait,
                    ImageState::Failed | ImageState::Gone => Verdict::Impossible(image.clone()),
                },
            })
            .await;
        match waited {
            Ok(image) => {
                outcome.snapshots = snapshots_of(&image);
                match self.as_asked_for(&image, status).await {
                    Ok(()) => outcome.status = status,
                    Err(why) => outcome.error = Some(why),
                }
            }
            Err(WaitError::Impossible(image)) => self.came_to_nothing(image, &mut outcome).await,
            Err(WaitError::Deadline { last_error }) => {
                outcome.status = CopyStatus::Pending;
                let last = last_error.map_or_else(String::new, |error| format!("; {error}"));
                outcome.error = Some(format!(
                    "{id} is still being made{last}; the same command goes on waiting for it"
                ));
            }
            Err(WaitError::Cloud(error)) => {
                outcome.status = CopyStatus::Pending;
                outcome.error = Some(format!(
                    "{id} is being made, but cannot be looked at: {error}"
                ));
            }
        }
        outcome
    }

    /// Makes the copy, or finds it. Else the reason.
    async fn begin(&self) -> Result<(ImageId, CopyStatus), String> {
        let said = |error: CloudError| error.to_string();
        let mut attempt = 0;
        match self.holder().await.map_err(said)? {
            Holder::Nobody => {}
            Holder::Other(image) => return Err(self.taken_by(&image)),
            Holder::Copy(image) if image.state == ImageState::Failed => {
                self.tell(CopyProgress::FailedBefore(image.image_id.clone()));
                self.clear_away(image).await?;
                attempt = 1;
            }
            Holder::Copy(image) => {
                let state = state_word(&image.state);
                self.tell(CopyProgress::Found(image.image_id.clone(), state));
                return Ok((image.image_id, CopyStatus::Found));
            }
        }
        let request = self.order.request(self.target, attempt);
        let mut told = false;
        loop {
            match self.region.copy_image(&request).await {
                Ok(id) => {
                    self.tell(CopyProgress::Begun(id.clone()));
                    return Ok((id, CopyStatus::Copied));
                }
                // Others copy to that region as well: EC2 lets so many at once, and who waits gets a turn.
                Err(error) if error.kind == ErrorKind::Quota && self.clock.now() < self.until => {
                    if !told {
                        self.tell(CopyProgress::WaitsForTurn);
                        told = true;
                    }
                    self.clock.sleep(AGAIN_EVERY).await;
                }
                // Somebody was faster: perhaps the same command, given elsewhere.
                Err(error) if error.kind == ErrorKind::Duplicate => {
                    return match self.holder().await.map_err(said)? {
                        Holder::Nobody => Err(said(error)),
                        Holder::Other(image) => Err(self.taken_by(&image)),
                        Holder::Copy(image) => Ok((image.image_id, CopyStatus::Found)),
                    };
                }
                Err(error) => return Err(said(error)),
            }
        }
    }

    async fn holder(&self) -> Result<Holder, CloudError> {
        let filter = ImageFilter {
            owners: vec![String::from("self")],
            filters: vec![(String::from("name"), vec![self.order.name.clone()])],
            ..ImageFilter::default()
        };
        let images = self.region.images(&filter).await?;
        let there = images
            .into_iter()
            .find(|image| image.name == self.order.name && image.state != ImageState::Gone);
        Ok(match there {
            None => Holder::Nobody,
            Some(image) if image.tags.get(tag::COPY_OF) == Some(self.order.origin()) => {
                Holder::Copy(image)
            }
            Some(image) => Holder::Other(image),
        })
    }

    /// What was there before may have been asked for otherwise: tags can be added, encryption cannot.
    async fn as_asked_for(&self, image: &Image, status: CopyStatus) -> Result<(), String> {
        if status != CopyStatus::Found {
            return Ok(());
        }
        let (id, region) = (&image.image_id, &self.target.region);
        let open = image
            .volumes
            .iter()
            .any(|volume| volume.snapshot_id.is_some() && volume.encrypted != Some(true));
        if open && matches!(self.target.encryption, Encryption::With(_)) {
            return Err(format!(
                "{id} is the copy there, and is not encrypted; `qib images rm {id} --region {region} --yes` removes it, \
                 and --name gives the encrypted one another name"
            ));
        }
        let tags = &self.order.tags;
        let has_all = tags
            .iter()
            .all(|(key, value)| image.tags.get(key) == Some(value));
        if has_all {
            return Ok(());
        }
        let mut resources = snapshots_of(image);
        resources.push(id.to_string());
        let tagged = self.region.create_tags(&resources, tags).await;
        tagged.map_err(|error| format!("{id} is there, and does not have the tags: {error}"))
    }

    fn taken_by(&self, image: &Image) -> String {
        format!(
            "{} has the name `{}` there, and is no copy of {}; --name gives the copy another",
            image.image_id, image.name, self.order.source.image_id
        )
    }

    /// A copy that failed is of no use to anybody.
    async fn came_to_nothing(&self, image: Image, outcome: &mut CopiedImage) {
        let why = image
            .state_reason
            .clone()
            .unwrap_or_else(|| String::from("EC2 gives no reason"));
        let (id, state) = (image.image_id.clone(), state_word(&image.state));
        outcome.snapshots = snapshots_of(&image);
        let failed = format!("{id} is {state}: {why}");
        match self.clear_away(image).await {
            Ok(()) => {
                outcome.image_id = None;
                outcome.snapshots = Vec::new();
                outcome.error = Some(failed);
            }
            Err(left) => {
                outcome.status = CopyStatus::LeftBehind;
                outcome.error = Some(format!("{failed}; and {left}"));
            }
        }
    }

    async fn clear_away(&self, image: Image) -> Result<(), String> {
        let id = image.image_id.clone();
        let removed = remove(self.region.as_ref(), self.clock.as_ref(), vec![image]).await;
        let cannot = |why: String| format!("what there is of {id} cannot be removed: {why}");
        let removed = removed.map_err(|error| cannot(error.to_string()))?;
        for one in removed {
            match one.outcome {
                Removed::Gone { .. } => {}
                Removed::Resisted(error) => return Err(cannot(error.to_string())),
                Removed::SnapshotsLeft(left) => {
                    let left: Vec<String> = left
                        .iter()
                        .map(|(snapshot, error)| format!("{snapshot}: {error}"))
                        .collect();
                    return Err(cannot(left.join("; ")));
                }
            }
        }
        Ok(())
    }

    fn tell(&self, progress: CopyProgress) {
        self.watch.progress(&self.target.region, &progress);
    }
}

fn snapshots_of(image: &Image) -> Vec<String> {
    image.snapshots.iter().map(ToString::to_string).collect()
}
