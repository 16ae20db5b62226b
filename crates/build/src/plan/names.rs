//! Image names: unique in an account and a region, so that two cells must not want the same, and none that is taken.

use super::survey::VALUES;
use crate::names::CellName;
use cloud::{Account, CloudError, Image, ImageFilter, RegionName};
use futures::future::join_all;
use std::collections::BTreeMap;

/// A name that a cell's image is to have in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The cell.
    pub cell: CellName,
    /// Where the image will be.
    pub region: RegionName,
    /// Its name.
    pub name: String,
}

/// Two cells whose images would have the same name in the same region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The first cell.
    pub first: CellName,
    /// The second.
    pub second: CellName,
    /// Where.
    pub region: RegionName,
    /// The name.
    pub name: String,
}

/// Cells that want the same name: each with the first one that does. Pure.
pub fn clashes(targets: &[Target]) -> Vec<Clash> {
    let mut first: BTreeMap<(&RegionName, &str), &Target> = BTreeMap::new();
    let mut clashes = Vec::new();
    for target in targets {
        let place = (&target.region, target.name.as_str());
        match first.get(&place) {
            Some(other) if other.cell != target.cell => clashes.push(Clash {
                first: other.cell.clone(),
                second: target.cell.clone(),
                region: target.region.clone(),
                name: target.name.clone(),
            }),
            Some(_) => {}
            None => {
                first.insert(place, target);
            }
        }
    }
    clashes
}

/// A name that an image has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who wants it, and where.
    pub target: Target,
    /// Who has it.
    pub by: Image,
}

/// The names that are taken, in all regions at once, by one call for each region. A region that cannot be asked is left
/// out: its cells fail by themselves.
pub async fn taken(account: &dyn Account, targets: &[Target]) -> Vec<Taken> {
    let mut regions: BTreeMap<&RegionName, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        regions.entry(&target.region).or_default().push(target);
    }
    let looks = regions.into_iter().map(|(region, targets)| async move {
        let images = images_named(account, region, &targets)
            .await
            .unwrap_or_default();
        targets
            .into_iter()
            .filter_map(|target| {
                let by = images.iter().find(|image| image.name == target.name)?;
                Some(Taken {
                    target: target.clone(),
                    by: by.clone(),
                })
            })
            .collect::<Vec<Taken>>()
    });
    join_all(looks).await.into_iter().flatten().collect()
}

async fn images_named(
    account: &dyn Account,
    region: &RegionName,
    targets: &[&Target],
) -> Result<Vec<Image>, CloudError> {
    let region = account.region(region);
    let mut names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    names.sort();
    names.dedup();
    let mut images = Vec::new();
    for part in names.chunks(VALUES) {
        let filter = ImageFilter {
            owners: vec!["self".into()],
            filters: vec![("name".to_owned(), part.to_vec())],
            ..ImageFilter::default()
        };
        images.extend(region.images(&filter).await?);
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(cell: &str, region: &str, name: &str) -> Target {
        Target {
            cell: CellName {
                stage: "s".into(),
                cell: cell.into(),
            },
            region: region.into(),
            name: name.into(),
        }
    }

    #[test]
    fn the_same_name_clashes_in_the_same_region_only() {
        let targets = [
            target("a", "us-east-1", "image"),
            target("b", "us-west-1", "image"),
            target("c", "us-east-1", "other"),
            target("d", "us-east-1", "image"),
            target("e", "us-east-1", "image"),
        ];
        let seen: Vec<_> = clashes(&targets)
            .iter()
            .map(|clash| (clash.first.cell.clone(), clash.second.cell.clone()))
            .collect();
        assert_eq!(seen, [("a".into(), "d".into()), ("a".into(), "e".into())]);
    }
}
