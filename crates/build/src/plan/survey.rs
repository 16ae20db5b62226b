//! Looking at the account for many cells at once: what each starts from, and whether there is an image of it already.
//!
//! Cells that start from others are looked at after those. Within one such level every region is asked at the same time,
//! and by as few calls as it takes: one for all source images given by id, one for each different filter, one for all
//! cache keys, and one for the earlier images of all cells whose key is new.

use super::cache::{
    CacheState, Identified, Recalled, identify, ignored, own_images, recall, what_changed,
};
use super::made_files::to_be_made;
use super::source::{find_source, launchable};
use crate::failure::StepError;
use crate::host::DiskImages;
use crate::names::CellName;
use crate::names::tag;
use crate::options::RunOptions;
use crate::run::{cell_spec_for, copy_spec_for, planned_facts};
use crate::selection::{ChosenCell, Selection};
use crate::spec::{CellSpec, ImageSpec, PublicationSpec};
use cloud::{
    Account, CallerIdentity, CloudError, Image, ImageFilter, ImageId, Region, RegionName, Timestamp,
};
use futures::future::join_all;
use pipeline::model::Source;
use pipeline::template::{RunFacts, SourceTags};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// So many values one filter of a describe call may have.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
pub(super) const VALUES: usize = 200;

/// For whom and when one looks.
pub struct Survey<'s> {
    /// The account.
    pub account: &'s dyn Account,
    /// Whose credentials they are.
    pub identity: &'s CallerIdentity,
    /// How the run is to be done.
    pub options: &'s RunOptions,
    /// What `run.id` stands for.
    pub run: &'s str,
    /// What `run.time` stands for, and now.
    pub now: Timestamp,
    /// What disk images are known by.
    pub images: &'s dyn DiskImages,
}

/// What was seen for one cell.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The cell as it would be done now.
    pub work: Work,
    /// The image that it starts from; none if that has to be built first.
    pub source: Option<Image>,
    /// What its images are found by; none while its source is not known.
    pub identified: Option<Identified>,
    /// Whether there is an image; none while its source is not known.
    pub cache: Option<CacheState>,
    /// The image's name as far as it is known before the source is.
    pub image_name: Option<String>,
}

/// What it takes to make a cell's image.
#[derive(Clone, Debug)]
pub enum Work {
    /// An instance, which is captured.
    Build(Box<CellSpec>),
    /// A copy of the source image, and nothing else.
    Copy(Box<PublicationSpec>),
    /// The image of an imported disk, and nothing else.
    Import(Box<PublicationSpec>),
}

impl Work {
    /// The instance's cell, if there is one.
    pub fn build(&self) -> Option<&CellSpec> {
        match self {
            Self::Build(spec) => Some(spec),
            Self::Copy(_) | Self::Import(_) => None,
        }
    }

    /// Whose it is.
    pub fn cell(&self) -> &CellName {
        match self {
            Self::Build(spec) => &spec.cell,
            Self::Copy(spec) | Self::Import(spec) => &spec.cell,
        }
    }

    /// Where the image is made, and what becomes of it.
    pub fn publishes(&self) -> (&RegionName, &ImageSpec) {
        match self {
            Self::Build(spec) => (&spec.region, &spec.image),
            Self::Copy(spec) | Self::Import(spec) => (&spec.region, &spec.image),
        }
    }
}

impl Seen {
    /// Whether an image would be made.
    pub fn makes(&self) -> bool {
        !matches!(
            self.cache,
            Some(CacheState::Hit(_) | CacheState::Pending(_))
        )
    }

    /// The image that there is or will be soon.
    fn image(&self) -> Option<&Image> {
        match &self.cache {
            Some(CacheState::Hit(image) | CacheState::Pending(image)) => Some(image),
            Some(CacheState::Miss(_)) | None => None,
        }
    }
}

/// What was seen for one cell, or why it could not be. One failure may be several cells'.
pub type Surveyed = Result<Seen, Arc<StepError>>;

impl Survey<'_> {
    /// Looks for all cells of `selection`, in their order. Regions of `left_out` are not asked; their cells have that
    /// error.
    pub async fn look(
        &self,
        selection: &Selection<'_>,
        left_out: &BTreeMap<RegionName, CloudError>,
    ) -> Vec<Surveyed> {
        let cells = &selection.cells;
        let mut seen: Vec<Option<Surveyed>> = cells.iter().map(|_| None).collect();
        for (at, cell) in cells.iter().enumerate() {
            if let Some(error) = left_out.get(&cell.region) {
                seen[at] = Some(Err(Arc::new(error.clone().into())));
            }
        }
        loop {
            let ready = |at: &usize| {
                seen[*at].is_none()
                    && cells[*at]
                        .source
                        .is_none_or(|source| seen[source].is_some())
            };
            let level: Vec<usize> = (0..cells.len()).filter(ready).collect();
            if level.is_empty() {
                // A selection is in order, so that all have been looked at by now.
                return seen.into_iter().flatten().collect();
            }
            let mut regions: BTreeMap<&RegionName, Vec<Asked<'_, '_>>> = BTreeMap::new();
            for at in level {
                let cell = &cells[at];
                let start = start(cells, cell, &seen);
                let asked = Asked { at, cell, start };
                regions.entry(&cell.region).or_default().push(asked);
            }
            let looks = regions
                .into_iter()
                .map(|(region, asked)| self.look_in(region, asked));
            for (at, surveyed) in join_all(looks).await.into_iter().flatten() {
                seen[at] = Some(surveyed);
            }
        }
    }

    /// One level in one region.
    async fn look_in(
        &self,
        region: &RegionName,
        asked: Vec<Asked<'_, '_>>,
    ) -> Vec<(usize, Surveyed)> {
        let region = self.account.region(region);
        let sources = Sources::find(region.as_ref(), &asked, self.now, self.images).await;
        let mut looked: Vec<(usize, &ChosenCell<'_>, Surveyed)> = asked
            .iter()
            .map(|one| (one.at, one.cell, self.begin(one, &sources)))
            .collect();
        self.remember(region.as_ref(), &mut looked).await;
        looked
            .into_iter()
            .map(|(at, _, surveyed)| (at, surveyed))
            .collect()
    }

    /// What can be told of a cell once its source is known, without its images.
    fn begin(&self, asked: &Asked<'_, '_>, sources: &Sources<'_>) -> Surveyed {
        let cell = asked.cell;
        let source = match &asked.start {
            Start::Image(image) => Some(image.as_ref().clone()),
            Start::BuiltFirst => None,
            Start::Failed(error) => return Err(error.clone()),
            Start::Find(source) => Some(sources.of(source)?),
        };
        let facts = planned_facts(self.run, self.now, self.identity, cell, source.as_ref());
        let known = match source {
            Some(_) => facts.clone(),
            None => RunFacts {
                source_id: None,
                source_name: None,
                source_created: None,
                source_owner: None,
                source_tags: SourceTags::NotKnown,
                ..facts.clone()
            },
        };
        let work = if cell.cell.is_copy() {
            let spec = copy_spec_for(&cell.name, &cell.region, cell.cell, &facts)?;
            Work::Copy(Box::new(spec))
        } else if cell.cell.is_import() {
            let spec = copy_spec_for(&cell.name, &cell.region, cell.cell, &facts)?;
            Work::Import(Box::new(spec))
        } else {
            let venue = self.options.venue;
            let spec = cell_spec_for(&cell.name, &cell.region, cell.cell, venue, &facts)?;
            Work::Build(Box::new(spec))
        };
        // What decides the image's content is known once `preflight` has made it.
        let missing = to_be_made(cell.cell, self.options.venue);
        let identified = source
            .as_ref()
            .filter(|_| missing.is_none())
            .map(|source| identify(cell.cell, &source.image_id, self.options.venue))
            .transpose()?;
        Ok(Seen {
            work,
            source,
            identified,
            cache: missing.map(CacheState::Miss),
            image_name: cell.cell.image.name.render(&known).ok(),
        })
    }

    /// Looks up the images of cells whose source is known.
    async fn remember(
        &self,
        region: &dyn Region,
        looked: &mut [(usize, &ChosenCell<'_>, Surveyed)],
    ) {
        let mut keys = BTreeSet::new();
        for (_, chosen, surveyed) in looked.iter_mut() {
            let Ok(seen) = surveyed else { continue };
            let Some(identified) = &seen.identified else {
                continue;
            };
            match ignored(chosen.cell, self.options) {
                Some(why) => seen.cache = Some(CacheState::Miss(why)),
                None => {
                    keys.insert(identified.key.as_str().to_owned());
                }
            }
        }
        let found = images_with(region, tag::CACHE_KEY, keys).await;
        let mut new_stages = BTreeSet::new();
        for (_, chosen, surveyed) in looked.iter_mut() {
            let Some(identified) = waiting(surveyed) else {
                continue;
            };
            let key = identified.key.as_str();
            match &found {
                Err(error) => *surveyed = Err(error.clone()),
                Ok(images) => {
                    let of_key = |image: &&Image| image.tags.get(tag::CACHE_KEY) == Some(key);
                    let with_key = images.iter().filter(of_key).cloned().collect();
                    match recall(with_key, chosen.cell, &chosen.name, self.now) {
                        Recalled::Known(state) => set(surveyed, *state),
                        Recalled::Unlike => {
                            new_stages.insert(chosen.name.stage.clone());
                        }
                    }
                }
            }
        }
        let earlier = images_with(region, tag::STAGE, new_stages).await;
        for (_, chosen, surveyed) in looked.iter_mut() {
            let Some(identified) = waiting(surveyed) else {
                continue;
            };
            match &earlier {
                Err(error) => *surveyed = Err(error.clone()),
                Ok(images) => {
                    let of_cell = |image: &&Image| {
                        image.tags.get(tag::STAGE) == Some(&chosen.name.stage)
                            && image.tags.get(tag::CELL) == Some(&chosen.name.cell)
                    };
                    let own: Vec<Image> = images.iter().filter(of_cell).cloned().collect();
                    let why = what_changed(&own, identified);
                    set(surveyed, CacheState::Miss(why));
                }
            }
        }
    }
}

/// What a cell's images are found by, if that is still to be asked.
fn waiting(surveyed: &Surveyed) -> Option<&Identified> {
    let seen = surveyed.as_ref().ok()?;
    match seen.cache {
        None => seen.identified.as_ref(),
        Some(_) => None,
    }
}

fn set(surveyed: &mut Surveyed, state: CacheState) {
    if let Ok(seen) = surveyed {
        seen.cache = Some(state);
    }
}

/// A cell that is looked at.
struct Asked<'s, 'p> {
    at: usize,
    cell: &'s ChosenCell<'p>,
    start: Start<'s>,
}

/// What a cell starts from.
enum Start<'s> {
    /// The image of another cell.
    Image(Box<Image>),
    /// The image of another cell, which has to be built first.
    BuiltFirst,
    /// Nothing: that other cell has this failure.
    Failed(Arc<StepError>),
    /// What the account has.
    Find(&'s Source),
}

fn start<'s>(
    cells: &[ChosenCell<'s>],
    cell: &ChosenCell<'s>,
    seen: &[Option<Surveyed>],
) -> Start<'s> {
    let Some(source) = cell.source else {
        return Start::Find(&cell.cell.source.value);
    };
    match &seen[source] {
        Some(Ok(seen)) => match seen.image() {
            // A copy's id is not known from here.
            Some(image) if cells[source].region == cell.region => match &cell.cell.source.value {
                found @ Source::Filter { .. } => Start::Find(found),
                _ => Start::Image(Box::new(image.clone())),
            },
            Some(_) | None => Start::BuiltFirst,
        },
        Some(Err(error)) => Start::Failed(error.clone()),
        None => Start::BuiltFirst,
    }
}

/// The source images of one region.
struct Sources<'s> {
    region: RegionName,
    now: Timestamp,
    by_id: Result<HashMap<ImageId, Image>, Arc<StepError>>,
    others: Vec<(&'s Source, Result<Image, Arc<StepError>>)>,
}

impl<'s> Sources<'s> {
    async fn find(
        region: &dyn Region,
        asked: &[Asked<'s, '_>],
        now: Timestamp,
        images: &dyn DiskImages,
    ) -> Self {
        let mut ids: Vec<ImageId> = Vec::new();
        let mut others: Vec<&'s Source> = Vec::new();
        for one in asked {
            match &one.start {
                Start::Find(Source::ImageId { id, .. }) => {
                    let id = ImageId::new(id.as_str());
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                Start::Find(source) if !others.contains(source) => others.push(source),
                Start::Find(_) | Start::Image(_) | Start::BuiltFirst | Start::Failed(_) => {}
            }
        }
        let by_id = async {
            if ids.is_empty() {
                return Ok(HashMap::new());
            }
            let filter = ImageFilter {
                image_ids: ids,
                include_deprecated: true,
                ..ImageFilter::default()
            };
            let found = region.images(&filter).await.map_err(shared)?;
            let named = found
                .into_iter()
                .map(|image| (image.image_id.clone(), image));
            Ok(named.collect())
        };
        let found = others.iter().map(|source| async {
            find_source(region, source, now, images)
                .await
                .map_err(Arc::new)
        });
        let (by_id, found) = futures::join!(by_id, join_all(found));
        Self {
            region: region.name().clone(),
            now,
            by_id,
            others: others.into_iter().zip(found).collect(),
        }
    }

    /// The image that `source` means.
    fn of(&self, source: &Source) -> Result<Image, Arc<StepError>> {
        let Source::ImageId { id, deprecated } = source else {
            let found = self.others.iter().find(|(other, _)| *other == source);
            let not_looked_for = || {
                Err(Arc::new(StepError::NoImageMatches {
                    region: self.region.to_string(),
                    wanted: String::from("a source that was not looked for"),
                }))
            };
            return found.map_or_else(not_looked_for, |(_, found)| found.clone());
        };
        let all = self.by_id.as_ref().map_err(Arc::clone)?;
        let found = all.get(&ImageId::new(id.as_str())).cloned();
        launchable(found, &self.region, id.as_str(), "", *deprecated, self.now).map_err(Arc::new)
    }
}

fn shared(error: CloudError) -> Arc<StepError> {
    Arc::new(error.into())
}

/// The account's images with one of `values` for the tag, newest first.
async fn images_with(
    region: &dyn Region,
    key: &str,
    values: BTreeSet<String>,
) -> Result<Vec<Image>, Arc<StepError>> {
    let values: Vec<String> = values.into_iter().collect();
    let mut all = Vec::new();
    for part in values.chunks(VALUES) {
        let found = own_images(region, &[(key, part.to_vec())]).await;
        all.extend(found.map_err(shared)?);
    }
    Ok(all)
}
