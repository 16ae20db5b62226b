//! Well-known public images, all of them backed by the host's own system.

mod entries;

use crate::account::image::{DeviceMapping, EbsDevice, Image, Permission, Progress};
use crate::account::tags::Tags;
use crate::guest::BootAgent;
use crate::ids::{ImageId, SnapshotId};
use entries::{ENTRIES, Family};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The public images of every region.
///
/// Ids are the same for the same host: they cover the image's name, the region, the host's os-release and its package
/// list, so that a cache built on another host's content is not taken for this one's.
#[derive(Clone, Debug)]
pub struct Catalogue {
    host_content: String,
    architecture: &'static str,
}

impl Catalogue {
    /// The catalogue of a host whose system has that content id.
    pub fn new(host_content: impl Into<String>) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        Self {
            host_content: host_content.into(),
            architecture,
        }
    }

    /// The images of a region, by id. Only those of the host's architecture: the others could not run here.
    pub fn images(&self, region: &str) -> BTreeMap<ImageId, Image> {
        let entries = ENTRIES
            .iter()
            .filter(|e| e.architecture == self.architecture);
        let images = entries.filter_map(|e| {
            self.image(region, e.name, e.created, e.architecture, e.agent, e.family)
        });
        images.map(|i| (i.id.clone(), i)).collect()
    }

    /// One image.
    pub fn find(&self, region: &str, id: &ImageId) -> Option<Image> {
        self.images(region).remove(id)
    }

    fn image(
        &self,
        region: &str,
        name: &str,
        created: &str,
        architecture: &str,
        agent: BootAgent,
        family: &Family,
    ) -> Option<Image> {
        let created: Timestamp = created.parse().ok()?;
        let parts = [region, name, family.owner, self.host_content.as_str()];
        let root = EbsDevice {
            snapshot: Some(SnapshotId::derived(&parts)),
            size_gib: family.root_gib,
            volume_type: family.volume_type.to_owned(),
            iops: None,
            throughput: None,
            delete_on_termination: true,
            encrypted: false,
        };
        Some(Image {
            id: ImageId::derived(&parts),
            name: name.to_owned(),
            description: format!(
                "{} (local EC2: the host's own system under this name)",
                family.description
            ),
            owner: family.owner.to_owned(),
            owner_alias: family.alias.map(str::to_owned),
            created,
            progress: Progress::Done { complete: created },
            architecture: architecture.to_owned(),
            root_device: family.root_device.to_owned(),
            mappings: vec![DeviceMapping {
                device: family.root_device.to_owned(),
                ebs: root,
            }],
            launch_permission: Permission {
                all: true,
                users: Default::default(),
            },
            ena_support: true,
            sriov_net_support: Some("simple".to_owned()),
            boot_mode: family.boot_mode.map(str::to_owned),
            tpm_support: None,
            imds_support: family.imds_v2.then(|| "v2.0".to_owned()),
            uefi_data: None,
            platform_details: family.platform_details.to_owned(),
            usage_operation: family.usage_operation.to_owned(),
            deprecated: None,
            source_instance: None,
            source_image: None,
            default_user: family.default_user.to_owned(),
            agent,
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
        let all: usize = ["x86_64", "arm64"]
            .into_iter()
            .map(|architecture| {
                Catalogue {
                    host_content: "h".into(),
                    architecture,
                }
                .images("us-east-2")
                .len()
            })
            .sum();
        assert_eq!(all, ENTRIES.len());
        let names: BTreeSet<_> = ENTRIES.iter().map(|e| (e.family.owner, e.name)).collect();
        assert_eq!(names.len(), ENTRIES.len());
    }

    #[test]
    fn ids_depend_on_the_host_and_the_region_and_nothing_else() {
        let ids = |host: &str, region: &str| {
            Catalogue::new(host)
                .images(region)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("a", "us-east-2"), ids("a", "us-east-2"));
        assert_ne!(ids("a", "us-east-2"), ids("b", "us-east-2"));
        assert_ne!(ids("a", "us-east-2"), ids("a", "eu-west-1"));
    }

    #[test]
    fn every_image_says_what_it_really_is() {
        for image in Catalogue::new("h").images("us-east-2").values() {
            assert!(
                image.description.contains("host's own system"),
                "{}",
                image.name
            );
        }
    }
}
