//! Well-known public images, all of them backed by the host's own system.

mod entries;
mod families;
mod parameters;

pub use parameters::PublicParameter;

use crate::account::image::{
    DeviceMapping, EbsDevice, Image, Permission, ProductCode, Progress, Virtualization,
};
use crate::account::tags::Tags;
use crate::ids::{ImageId, SnapshotId};
use entries::{ENTRIES, Entry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The public images of every region.
///
/// Ids are the same for the same host: they cover the image's name, the region, the host's os-release and its package
/// list, so that a cache built on another host's content is not taken for this one's.
#[derive(Clone, Debug)]
pub struct Catalogue {
    host_content: String,
    /// The images of the regions that have been asked for.
    regions: Arc<Mutex<BTreeMap<String, Images>>>,
}

/// The images of a region, by id.
pub type Images = Arc<BTreeMap<ImageId, Image>>;

/// Whether other accounts may copy a publisher's images, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// Their snapshots are public.
    Allowed,
    /// Their snapshots are not: "the owner must grant you read permissions for the storage that backs the AMI".
    StorageNotShared,
    /// "You can't directly copy an AMI with a product code": launch an instance and make an image of it.
    Marketplace,
}

impl Catalogue {
    /// The catalogue of a host whose system has that content id.
    pub fn new(host_content: impl Into<String>) -> Self {
        Self {
            host_content: host_content.into(),
            regions: Arc::default(),
        }
    }

    /// The images of a region, by id. Those of another architecture than the host's are the host's own system as well:
    /// nothing but their description differs.
    pub fn images(&self, region: &str) -> Images {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let images = regions.entry(region.to_owned()).or_insert_with(|| {
            let images = ENTRIES.iter().filter_map(|e| self.image(region, e));
            Arc::new(images.map(|i| (i.id.clone(), i)).collect())
        });
        images.clone()
    }

    /// One image.
    pub fn find(&self, region: &str, id: &ImageId) -> Option<Image> {
        self.images(region).get(id).cloned()
    }

    /// Whether other accounts may copy an image.
    pub fn copying(&self, image: &Image) -> Copying {
        ENTRIES
            .iter()
            .find(|e| e.name == image.name && e.family.owner == image.owner)
            .map_or(Copying::Allowed, |e| e.family.copying)
    }

    fn image(&self, region: &str, entry: &Entry) -> Option<Image> {
        let family = entry.family;
        let created = entry.created.parse().ok()?;
        let parts = [region, entry.name, family.owner, self.host_content.as_str()];
        let root = EbsDevice {
            snapshot: Some(SnapshotId::derived(&parts)),
            size_gib: family.root_gib,
            volume_type: family.volume_type.to_owned(),
            iops: None,
            throughput: None,
            delete_on_termination: true,
            encrypted: false,
            kms_key: None,
        };
        let hvm = entry.virtualization == Virtualization::Hvm;
        Some(Image {
            id: ImageId::derived(&parts),
            name: entry.name.to_owned(),
            description: entry.description.map_or_else(
                || {
                    format!(
                        "{} (local EC2: the host's own system under this name)",
                        family.description
                    )
                },
                str::to_owned,
            ),
            owner: family.owner.to_owned(),
            owner_alias: family.alias.map(str::to_owned),
            created,
            progress: Progress::Done { complete: created },
            architecture: entry.architecture.to_owned(),
            root_device: family.root_device.to_owned(),
            mappings: vec![DeviceMapping {
                device: family.root_device.to_owned(),
                ebs: root,
            }],
            virtualization: entry.virtualization,
            // The one that boots a paravirtual image by its own GRUB:
            // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/UserProvidedKernels.html
            kernel: (!hvm).then(|| "aki-919dcaf8".to_owned()),
            ephemeral: BTreeMap::new(),
            product_codes: family
                .product_code
                .map(|id| ProductCode {
                    id: id.to_owned(),
                    kind: "marketplace".to_owned(),
                })
                .into_iter()
                .collect(),
            launch_permission: Permission {
                all: true,
                ..Permission::default()
            },
            ena_support: hvm && family.ena,
            sriov_net_support: hvm.then(|| "simple".to_owned()),
            boot_mode: family.boot_mode.map(str::to_owned),
            tpm_support: None,
            imds_support: family.imds_v2.then(|| "v2.0".to_owned()),
            uefi_data: None,
            platform_details: family.platform_details.to_owned(),
            usage_operation: family.usage_operation.to_owned(),
            deprecated: entry.deprecated.and_then(|at| at.parse().ok()),
            protection: Default::default(),
            last_launched: None,
            source_instance: None,
            source_image: None,
            default_user: family.default_user.to_owned(),
            agent: entry.agent,
            tags: Tags::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_entry_becomes_an_image_with_an_id_of_its_own() {
        let all = Catalogue::new("h").images("us-east-2").len();
        assert_eq!(all, ENTRIES.len());
        let names: BTreeSet<_> = ENTRIES.iter().map(|e| (e.family.owner, e.name)).collect();
        assert_eq!(names.len(), ENTRIES.len());
        assert!(ENTRIES.iter().all(|e| {
            e.deprecated
                .is_none_or(|at| at.parse::<jiff::Timestamp>().is_ok())
        }));
    }

    #[test]
    fn ids_depend_on_the_host_and_the_region_and_nothing_else() {
        let ids = |host: &str, region: &str| {
            Catalogue::new(host)
                .images(region)
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("a", "us-east-2"), ids("a", "us-east-2"));
        assert_ne!(ids("a", "us-east-2"), ids("b", "us-east-2"));
        assert_ne!(ids("a", "us-east-2"), ids("a", "eu-west-1"));
    }

    #[test]
    fn every_image_says_what_it_really_is_unless_its_description_is_looked_for() {
        for image in Catalogue::new("h").images("us-east-2").values() {
            assert!(
                image.description.contains("host's own system")
                    || image.owner_alias.as_deref() == Some("aws-marketplace"),
                "{}",
                image.name
            );
        }
    }
}
