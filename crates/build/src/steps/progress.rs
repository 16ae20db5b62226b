//! How far an image is, or a copy of it: told while one waits for it.

use super::context::CellContext;
use super::pollers::PROGRESS_EVERY;
use crate::event::Event;
use cloud::RegionName;
use std::convert::Infallible;

/// Tells how far the cell's snapshots in `region` are, for as long as it is polled.
pub(super) async fn tell(context: &CellContext, region: &RegionName) -> Infallible {
    let region = context.effects().region(region);
    let pollers = context.run().pollers.of(&region);
    let mut told = None;
    loop {
        context.clock().sleep(PROGRESS_EVERY).await;
        // Progress is a courtesy: a look that fails is left out.
        let look = pollers.snapshots.percent(context.run_id(), context.cell());
        let Ok(Some(percent)) = look.await else {
            continue;
        };
        if told != Some(percent) {
            context.run().tell(Event::ImageProgress {
                cell: context.cell().clone(),
                region: region.name().to_string(),
                percent,
            });
            told = Some(percent);
        }
    }
}
