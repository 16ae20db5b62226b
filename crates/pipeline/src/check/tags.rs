//! Tags, by EC2's limits. (EC2 User Guide, "Tag your Amazon EC2 resources", Tag restrictions.)

use crate::model::{Cell, Located, TagKey, Tags};
use crate::problem::Fault;
use std::collections::BTreeSet;

/// EC2 allows 50 tags; qib adds up to ten of its own to an image.
const MAX_TAGS: usize = 40;
/// EC2 allows values of 256 characters.
const MAX_VALUE: usize = 256;

pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    let launch = stage.launch.as_ref().map(|launch| &launch.tags);
    for tags in [&stage.tags, &stage.image.tags].into_iter().chain(launch) {
        for (key, value) in tags {
            if let Some(text) = value.as_literal()
                && text.chars().count() > MAX_VALUE
            {
                let message =
                    format!("the value of the tag `{key}` has more than {MAX_VALUE} characters");
                faults.push(Fault::new(value.span(), message));
            }
        }
    }
    faults.extend(launch.and_then(|launch| too_many(&stage.tags, launch)));
    faults.extend(too_many(&stage.tags, &stage.image.tags));
    faults
}

fn too_many(stage: &Tags, own: &Tags) -> Option<Fault> {
    let keys: BTreeSet<&Located<TagKey>> = stage.keys().chain(own.keys()).collect();
    let last = own.keys().chain(stage.keys()).max_by_key(|key| key.span)?;
    (keys.len() > MAX_TAGS).then(|| {
        Fault::new(
            last.span,
            format!(
                "{} tags for one resource; at most {MAX_TAGS}, besides qib's own",
                keys.len()
            ),
        )
    })
}
