//! One region, and what is done there.

use super::super::Progress;
use super::super::context::CellContext;
use super::super::test_image;
use super::{copies, finishing, parameters, retire, sharing};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::Effect;
use crate::names::tag;
use crate::publication::{Action, Due, Holder, Phase, Place, Seen, Standing, Under, next};
use crate::spec::{CopySpec, PublicationSpec};
use cloud::{Image, ImageId, ImageState, RegionName, SnapshotId, Tags};

/// What all regions of a cell share.
pub(super) struct Shared<'a> {
    /// The cell.
    pub spec: &'a PublicationSpec,
    /// The name that the image is to have.
    pub name: String,
    /// The image that all copies are of, as the build's region made it first.
    pub origin: ImageId,
    /// The image in the build's region as it is now.
    pub home: Image,
    /// What the cell has come to.
    pub progress: &'a Progress,
}

/// An image of ours: its id, and what it is once it is available.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub id: ImageId,
    pub image: Option<Image>,
}

/// One region.
pub(super) struct Site {
    /// The cell, in this region.
    pub context: CellContext,
    /// Whether it is the build's.
    pub place: Place,
    /// How it is copied here; none in the build's region.
    pub copy: Option<CopySpec>,
    /// What is seen.
    pub seen: Seen,
    /// Our image under its name.
    pub named: Option<Ours>,
    /// Our image under a name of transit.
    pub transit: Option<Ours>,
    /// Another image that has the name.
    pub holder: Option<Image>,
    /// A retired image, and what is still there of its snapshots.
    pub remains: Option<(ImageId, Vec<SnapshotId>)>,
    /// What the image that was retired here had itself taken the place of.
    pub earlier: Option<String>,
    /// Why nothing more is done here.
    pub failed: Option<CellFailure>,
}

/// The name that an image has, or is to have.
pub(super) fn wanted_name(image: &Image) -> String {
    image
        .tags
        .get(tag::FINAL_NAME)
        .unwrap_or(&image.name)
        .to_owned()
}

/// Under which name an image is there.
pub(super) fn under(image: &Image) -> Under {
    match image.tags.get(tag::FINAL_NAME) {
        Some(_) => Under::Transit,
        None => Under::Name,
    }
}

pub(super) fn standing(image: &Image) -> Standing {
    match (&image.state, image.tags.get(tag::COMPLETE)) {
        (ImageState::Available, Some(_)) => Standing::Complete,
        (ImageState::Available, None) => Standing::Whole,
        _ => Standing::Pending,
    }
}

/// Whether the image still has to pass the cell's test.
pub(super) fn test_due(spec: &PublicationSpec, image: &Image) -> Due {
    match &spec.test {
        Some(test) if image.tags.get(tag::TESTED) != Some(test.digest.as_str()) => Due::Yes,
        Some(_) | None => Due::No,
    }
}

impl Site {
    /// A region in which nothing is seen.
    pub fn empty(context: CellContext, place: Place, copy: Option<CopySpec>) -> Self {
        Self {
            context,
            place,
            copy,
            seen: Seen::NOTHING,
            named: None,
            transit: None,
            holder: None,
            remains: None,
            earlier: None,
            failed: None,
        }
    }

    /// The build's region with an image that was just made there.
    pub fn captured(context: &CellContext, spec: &PublicationSpec, image: &Image) -> Self {
        let mut site = Self::empty(context.clone(), Place::Home, None);
        site.take_in(image);
        site.seen.test = test_due(spec, image);
        site
    }

    /// Takes in an image of ours.
    pub fn take_in(&mut self, image: &Image) {
        let ours = Ours {
            id: image.image_id.clone(),
            image: (image.state == ImageState::Available).then(|| image.clone()),
        };
        let (slot, seen) = match under(image) {
            Under::Name => (&mut self.named, &mut self.seen.named),
            Under::Transit => (&mut self.transit, &mut self.seen.transit),
        };
        let found = Some(standing(image));
        // Of several, the one that is furthest.
        if *seen < found {
            *seen = found;
            *slot = Some(ours);
        }
    }

    /// The region.
    pub fn region(&self) -> &RegionName {
        self.context.region().name()
    }

    /// Our image as far as it is known: under its name if it has it.
    pub fn image(&self) -> Option<Image> {
        let ours = self.named.as_ref().and_then(|ours| ours.image.as_ref());
        let transit = || self.transit.as_ref().and_then(|ours| ours.image.as_ref());
        ours.or_else(transit).cloned()
    }

    /// The region's image: ours, or the one that keeps the name.
    pub fn image_id(&self) -> Option<ImageId> {
        let ours = self.named.as_ref().or(self.transit.as_ref());
        let kept = self.holder.as_ref().filter(|_| ours.is_none());
        ours.map(|ours| ours.id.clone())
            .or_else(|| kept.map(|image| image.image_id.clone()))
    }

    /// Whether an image that has the name is about to be retired for ours, or has been.
    pub(super) fn changes_its_name(&self) -> bool {
        self.failed.is_none() && self.transit.is_some() && self.seen.holder != Some(Holder::Stays)
    }

    pub(super) fn ours(&self, under: Under) -> Result<&Ours, StepError> {
        let ours = match under {
            Under::Name => self.named.as_ref(),
            Under::Transit => self.transit.as_ref(),
        };
        ours.ok_or_else(|| self.vanished())
    }

    fn slot(&mut self, under: Under) -> &mut Option<Ours> {
        match under {
            Under::Name => &mut self.named,
            Under::Transit => &mut self.transit,
        }
    }

    /// The image under its name, which what follows is about.
    pub(super) fn finished(&self) -> Result<&Image, StepError> {
        let image = self.named.as_ref().and_then(|ours| ours.image.as_ref());
        image.ok_or_else(|| self.vanished())
    }

    fn vanished(&self) -> StepError {
        StepError::NoImageMatches {
            region: self.region().to_string(),
            wanted: String::from("the image that was there a moment ago"),
        }
    }

    /// Does all that is due up to `phase`. A failure ends the work here, and is kept.
    pub async fn run_to(&mut self, phase: Phase, shared: &Shared<'_>) {
        while let Some((due, action)) = next(self.place, &self.seen) {
            if due > phase {
                return;
            }
            if let Err(failure) = self.perform(action, due, shared).await {
                self.failed = Some(failure);
                return;
            }
            self.seen = self.seen.after(action);
        }
    }

    async fn perform(
        &mut self,
        action: Action,
        phase: Phase,
        shared: &Shared<'_>,
    ) -> Result<(), CellFailure> {
        let cell = self.context.cell().clone();
        let fail = |error: StepError| CellFailure::new(cell.clone(), super::step_of(phase), error);
        self.context.check().map_err(fail)?;
        match action {
            Action::Test => self.test(shared).await,
            Action::Copy(under) => copies::copy(self, under, shared).await.map_err(fail),
            Action::Await(under) => copies::wait(self, under, shared).await.map_err(fail),
            Action::Complete(under) if self.place == Place::Home && phase == Phase::Complete => {
                self.context.begin(Step::Complete).await?;
                self.complete(under, shared).await.map_err(fail)?;
                self.context.finish(Step::Complete);
                Ok(())
            }
            Action::Complete(under) => self.complete(under, shared).await.map_err(fail),
            Action::Retire => retire::retire(self).await.map_err(fail),
            Action::TakeName => copies::take_name(self, shared).await.map_err(fail),
            Action::Deprecate => finishing::deprecate(self, shared).await.map_err(fail),
            Action::Protect => finishing::protect(self, shared).await.map_err(fail),
            Action::Share => sharing::share(self, shared).await.map_err(fail),
            Action::WriteParameters => parameters::write(self, shared).await.map_err(fail),
            Action::RemoveTransit => retire::remove_transit(self).await.map_err(fail),
            Action::RemoveRemains => retire::remove_remains(self).await.map_err(fail),
        }
    }

    /// Boots the image and checks it.
    async fn test(&mut self, shared: &Shared<'_>) -> Result<(), CellFailure> {
        let (Some(image), Some(test)) = (self.image(), &shared.spec.test) else {
            return Ok(());
        };
        test_image::test(&self.context, shared.spec, test, &image, shared.progress).await?;
        if image.tags.get(tag::COMPLETE).is_none() {
            // Marked together with its being complete.
            return Ok(());
        }
        let tags = Tags::new().with(tag::TESTED, test.digest.as_str());
        self.mark(&image.image_id, &tags)
            .await
            .map_err(|error| CellFailure::new(self.context.cell().clone(), Step::Test, error))
    }

    /// Marks our image as complete, and declares it part of the result.
    async fn complete(&mut self, under: Under, shared: &Shared<'_>) -> Result<(), StepError> {
        let id = self.ours(under)?.id.clone();
        let imds_v2 = shared.spec.image.properties.imds_v2;
        // The build's own image was asked to before its test.
        if imds_v2 && (self.place == Place::Away || under == Under::Name) {
            finishing::require_imds_v2(&self.context, &id).await?;
        }
        let mut tags = Tags::new().with(tag::COMPLETE, "true");
        if let (Place::Home, Some(test)) = (self.place, &shared.spec.test) {
            tags.set(tag::TESTED, test.digest.as_str());
        }
        self.mark(&id, &tags).await?;
        self.context
            .effects()
            .deliver_image(self.context.region().name(), &id)?;
        Ok(())
    }

    async fn mark(&mut self, id: &ImageId, tags: &Tags) -> Result<(), StepError> {
        let context = &self.context;
        let effect = Effect::MarkComplete {
            region: context.region().name().clone(),
            image: id.clone(),
        };
        let resources = [id.to_string()];
        context
            .effects()
            .set(context.cell(), effect, async || {
                context
                    .until_visible(|| context.region().create_tags(&resources, tags))
                    .await
            })
            .await?;
        for under in [Under::Name, Under::Transit] {
            if let Some(Ours {
                id: ours,
                image: Some(image),
            }) = self.slot(under)
                && ours == id
            {
                image.tags = image.tags.clone().merged(tags);
            }
        }
        Ok(())
    }
}
