//! A source that is found by what an earlier stage of the same run has just tagged.
//!
//! EC2 shows a new image to some calls later than to others
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>), so a filter may for a while find only what was
//! there before. Building on that would be building on yesterday's layer without a word.

use crate::failure::{SourceError, StepError};
use crate::plan::source::{find_source, wanted_words};
use crate::steps::CellContext;
use cloud::{Image, Timestamp};
use pipeline::model::Source;
use std::time::Duration;

/// How long after an image was created a filter may not find it yet.
const SEEN_WITHIN: Duration = Duration::from_secs(2 * 60);
/// The time between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// What `wanted` finds, once that is not older than `before`.
pub(super) async fn found_after(
    context: &CellContext,
    wanted: &Source,
    before: &Image,
) -> Result<Image, StepError> {
    loop {
        let now = context.clock().now();
        let region = context.region();
        let images = context.run().ports.host.disk_images.as_ref();
        let found = context
            .race(find_source(region, wanted, now, images))
            .await?;
        let may_come = is_new(before, now);
        match found {
            Ok(image) if !is_older(&image, before) => return Ok(image),
            Ok(_) if may_come => {}
            Ok(image) => {
                return Err(SourceError::Older {
                    region: region.name().to_string(),
                    before: before.image_id.to_string(),
                    found: image.image_id.to_string(),
                    wanted: wanted_words(wanted),
                }
                .into());
            }
            Err(StepError::NoImageMatches { .. }) if may_come => {}
            Err(error) => return Err(error),
        }
        context.race(context.clock().sleep(EVERY)).await?;
    }
}

fn is_older(image: &Image, before: &Image) -> bool {
    image.image_id != before.image_id && image.created < before.created
}

/// Whether `before` was created so lately that a filter need not find it yet.
fn is_new(before: &Image, now: Timestamp) -> bool {
    before
        .created
        .is_some_and(|created| cloud::clock::between(created, now) < SEEN_WITHIN)
}
