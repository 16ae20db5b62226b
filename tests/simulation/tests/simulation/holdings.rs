//! What an account holds, as lines that can be compared.

use emulator::account::Account;
use emulator::account::image::{Image, Progress};
use emulator::account::lifecycle::InstanceState;
use std::collections::{BTreeMap, BTreeSet};

/// What is in the account and costs or blocks something. Terminated instances are gone, as for EC2.
pub fn holdings(account: &Account) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for region in account.regions.values() {
        let instances = region.instances.values();
        held.extend(
            instances
                .filter(|i| i.state != InstanceState::Terminated)
                .map(|i| format!("instance {} {:?}", i.id, i.state)),
        );
        held.extend(region.volumes.keys().map(|id| format!("volume {id}")));
        held.extend(
            region
                .key_pairs
                .values()
                .map(|k| format!("key pair {}", k.name)),
        );
        let groups = region.groups.values().filter(|g| g.name != "default");
        held.extend(groups.map(|g| format!("group {}", g.name)));
        held.extend(region.images.keys().map(|id| format!("image {id}")));
        held.extend(region.snapshots.keys().map(|id| format!("snapshot {id}")));
        held.extend(
            region
                .parameters
                .keys()
                .map(|name| format!("parameter {name}")),
        );
        held.extend(region.addresses.values().filter_map(|a| {
            let binding = a.association.as_ref()?;
            Some(format!("{} bound to {}", a.allocation, binding.instance))
        }));
    }
    held
}

/// What the complete images of an account consist of: the images and their snapshots.
pub fn complete_images(account: &Account) -> BTreeSet<String> {
    let mut whole = BTreeSet::new();
    for image in images(account).filter(|image| is_complete(image)) {
        whole.insert(format!("image {}", image.id));
        let snapshots = image
            .mappings
            .iter()
            .filter_map(|m| m.ebs.snapshot.as_ref());
        whole.extend(snapshots.map(|id| format!("snapshot {id}")));
    }
    whole
}

/// How many complete images there are of each stage.
pub fn complete_by_stage(account: &Account) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for image in images(account).filter(|image| is_complete(image)) {
        let stage = image.tags.get("qib:stage").unwrap_or_default();
        *count.entry(stage.to_owned()).or_default() += 1;
    }
    count
}

fn images(account: &Account) -> impl Iterator<Item = &Image> {
    account.regions.values().flat_map(|r| r.images.values())
}

fn is_complete(image: &Image) -> bool {
    image.tags.get("qib:complete") == Some("true")
        && matches!(image.progress, Progress::Done { .. })
}
