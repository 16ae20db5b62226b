//! What of a region carries tags.

use super::region::Region;
use super::tags::Tags;
use crate::ids::{
    AllocationId, CapacityReservationId, GroupId, HostId, ImageId, ImportTaskId, InstanceId,
    KeyPairId, LaunchTemplateId, SnapshotId, SpotRequestId, SubnetId, VolumeId, VpcId,
};
use std::collections::BTreeMap;

impl Region {
    /// The tags of a resource of any kind.
    pub fn tags_mut(&mut self, id: &str) -> Option<&mut Tags> {
        fn by<K: Ord, V>(
            map: &mut BTreeMap<K, V>,
            key: Option<K>,
            tags: fn(&mut V) -> &mut Tags,
        ) -> Option<&mut Tags> {
            map.get_mut(&key?).map(tags)
        }
        match id.rsplit_once('-')?.0 {
            "i" => by(&mut self.instances, InstanceId::parse(id).ok(), |i| {
                &mut i.tags
            }),
            "ami" => by(&mut self.images, ImageId::parse(id).ok(), |i| &mut i.tags),
            "snap" => by(&mut self.snapshots, SnapshotId::parse(id).ok(), |s| {
                &mut s.tags
            }),
            "import-snap" => by(&mut self.import_tasks, ImportTaskId::parse(id).ok(), |t| {
                &mut t.tags
            }),
            "vol" => by(&mut self.volumes, VolumeId::parse(id).ok(), |v| &mut v.tags),
            "sg" => by(&mut self.groups, GroupId::parse(id).ok(), |g| &mut g.tags),
            "subnet" => by(&mut self.subnets, SubnetId::parse(id).ok(), |s| &mut s.tags),
            "key" => by(&mut self.key_pairs, KeyPairId::parse(id).ok(), |k| {
                &mut k.tags
            }),
            "eipalloc" => by(&mut self.addresses, AllocationId::parse(id).ok(), |a| {
                &mut a.tags
            }),
            "sir" => by(
                &mut self.spot_requests,
                SpotRequestId::parse(id).ok(),
                |r| &mut r.tags,
            ),
            "vpc" => self
                .find_vpc_mut(&VpcId::parse(id).ok()?)
                .map(|v| &mut v.tags),
            "cr" => by(
                &mut self.reservations,
                CapacityReservationId::parse(id).ok(),
                |r| &mut r.tags,
            ),
            "h" => by(&mut self.hosts, HostId::parse(id).ok(), |h| &mut h.tags),
            "lt" => by(
                &mut self.launch_templates,
                LaunchTemplateId::parse(id).ok(),
                |t| &mut t.tags,
            ),
            "pg" => self
                .placement_groups
                .values_mut()
                .find(|g| g.id.as_str() == id)
                .map(|g| &mut g.tags),
            "eni" => self
                .instances
                .values_mut()
                .find(|i| i.interface.id.as_str() == id)
                .map(|i| &mut i.interface.tags),
            "sgr" => self
                .groups
                .values_mut()
                .flat_map(|g| &mut g.rules)
                .find(|r| r.id.as_str() == id)
                .map(|r| &mut r.tags),
            _ => None,
        }
    }

    /// Every resource with tags: its id, EC2's word for its kind, and the tags.
    pub fn all_tags(&self) -> Vec<(&str, &'static str, &Tags)> {
        let mut all: Vec<(&str, &'static str, &Tags)> = self
            .all_vpcs()
            .map(|v| (v.id.as_str(), "vpc", &v.tags))
            .collect();
        all.extend(
            self.instances
                .values()
                .map(|i| (i.id.as_str(), "instance", &i.tags)),
        );
        all.extend(self.instances.values().map(|i| {
            (
                i.interface.id.as_str(),
                "network-interface",
                &i.interface.tags,
            )
        }));
        all.extend(
            self.images
                .values()
                .map(|i| (i.id.as_str(), "image", &i.tags)),
        );
        all.extend(
            self.snapshots
                .values()
                .map(|s| (s.id.as_str(), "snapshot", &s.tags)),
        );
        all.extend(
            self.import_tasks
                .values()
                .map(|t| (t.id.as_str(), "import-snapshot-task", &t.tags)),
        );
        all.extend(
            self.volumes
                .values()
                .map(|v| (v.id.as_str(), "volume", &v.tags)),
        );
        all.extend(
            self.groups
                .values()
                .map(|g| (g.id.as_str(), "security-group", &g.tags)),
        );
        all.extend(
            self.groups
                .values()
                .flat_map(|g| &g.rules)
                .map(|r| (r.id.as_str(), "security-group-rule", &r.tags)),
        );
        all.extend(
            self.subnets
                .values()
                .map(|s| (s.id.as_str(), "subnet", &s.tags)),
        );
        all.extend(
            self.key_pairs
                .values()
                .map(|k| (k.id.as_str(), "key-pair", &k.tags)),
        );
        all.extend(
            self.addresses
                .values()
                .map(|a| (a.allocation.as_str(), "elastic-ip", &a.tags)),
        );
        all.extend(
            self.reservations
                .values()
                .map(|r| (r.id.as_str(), "capacity-reservation", &r.tags)),
        );
        all.extend(
            self.hosts
                .values()
                .map(|h| (h.id.as_str(), "dedicated-host", &h.tags)),
        );
        all.extend(
            self.launch_templates
                .values()
                .map(|t| (t.id.as_str(), "launch-template", &t.tags)),
        );
        all.extend(
            self.placement_groups
                .values()
                .map(|g| (g.id.as_str(), "placement-group", &g.tags)),
        );
        all.extend(
            self.spot_requests
                .values()
                .map(|r| (r.id.as_str(), "spot-instances-request", &r.tags)),
        );
        all
    }
}
