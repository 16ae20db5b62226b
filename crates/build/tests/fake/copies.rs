//! Images that are made otherwise than from an instance: copies, and what is registered from snapshots.

use super::account::{FakeAccount, error, lost};
use cloud::*;

impl FakeAccount {
    /// A snapshot that is being made.
    pub fn begin_snapshot(&self, tags: &Tags, description: &str) -> SnapshotId {
        let snapshot_id = SnapshotId::new(self.id("snap"));
        let mut store = self.store();
        let snapshot = Snapshot {
            volume_gib: 8,
            kms_key_id: None,
            snapshot_id: snapshot_id.clone(),
            state: SnapshotState::Pending,
            progress_percent: 50,
            description: description.into(),
            started: store.now(),
            tags: tags.clone(),
        };
        store.snapshots.insert(snapshot_id.to_string(), snapshot);
        snapshot_id
    }

    pub(super) fn copied(&self, request: &CopyRequest) -> Result<ImageId, CloudError> {
        const CALL: &str = "CopyImage";
        let fault = self.call(CALL)?;
        assert!(request.client_token.len() <= 64 && request.client_token.is_ascii());
        self.store().copies.push(request.clone());
        let known = self.store().tokens.get(&request.client_token).cloned();
        if let Some(known) = known {
            return lost(ImageId::new(known), fault);
        }
        let there = self.in_region(&request.source_region);
        let source = there
            .store()
            .images
            .get(request.source_image.as_str())
            .cloned()
            .ok_or_else(|| error(CALL, ErrorKind::NotFound))?;
        if source.state != ImageState::Available {
            return Err(error(CALL, ErrorKind::WrongState));
        }
        if self.has_image_named(&request.name) {
            return Err(error(CALL, ErrorKind::Duplicate));
        }
        let id = ImageId::new(self.id("ami"));
        let volumes: Vec<EbsVolume> = source
            .volumes
            .iter()
            .map(|volume| self.copy_of(volume, request))
            .collect();
        let mut store = self.store();
        let image = Image {
            image_id: id.clone(),
            name: request.name.clone(),
            description: request.description.clone(),
            state: ImageState::Pending,
            created: store.now(),
            snapshots: volumes
                .iter()
                .filter_map(|v| v.snapshot_id.clone())
                .collect(),
            volumes,
            tags: request.image_tags.clone(),
            deprecated: None,
            protected: false,
            public: false,
            ..source
        };
        store.images.insert(id.to_string(), image);
        store
            .tokens
            .insert(request.client_token.clone(), id.to_string());
        drop(store);
        lost(id, fault)
    }

    fn copy_of(&self, volume: &EbsVolume, request: &CopyRequest) -> EbsVolume {
        let description = format!("Copied for {}", request.source_image);
        EbsVolume {
            snapshot_id: Some(self.begin_snapshot(&request.snapshot_tags, &description)),
            encrypted: Some(request.encrypted || volume.encrypted == Some(true)),
            kms_key_id: request.kms_key_id.clone(),
            ..volume.clone()
        }
    }

    pub(super) fn registered(&self, request: &RegisterRequest) -> Result<ImageId, CloudError> {
        const CALL: &str = "RegisterImage";
        let fault = self.call(CALL)?;
        if self.has_image_named(&request.name) {
            return Err(error(CALL, ErrorKind::Duplicate));
        }
        let id = ImageId::new(self.id("ami"));
        let mut store = self.store();
        store.registrations.push(request.clone());
        let mut snapshots = Vec::new();
        for snapshot in request
            .volumes
            .iter()
            .filter_map(|v| v.snapshot_id.as_ref())
        {
            match store.snapshots.get(snapshot.as_str()) {
                None => return Err(error(CALL, ErrorKind::NotFound)),
                Some(kept) if kept.state != SnapshotState::Completed => {
                    return Err(error(CALL, ErrorKind::WrongState));
                }
                Some(_) => snapshots.push(snapshot.clone()),
            }
        }
        let root = request
            .volumes
            .iter()
            .find(|v| v.device == request.root_device);
        if root.is_none_or(|root| root.snapshot_id.is_none()) {
            return Err(error(CALL, ErrorKind::InvalidInput));
        }
        let image = Image {
            image_id: id.clone(),
            name: request.name.clone(),
            description: request.description.clone(),
            state: ImageState::Pending,
            state_reason: None,
            created: store.now(),
            owner: Some("123456789012".into()),
            architecture: request.architecture.clone(),
            root_device: Some(request.root_device.clone()),
            snapshots,
            tags: request.image_tags.clone(),
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: request.boot_mode.clone(),
            virtualization: request.virtualization.clone(),
            volumes: request.volumes.clone(),
        };
        store.images.insert(id.to_string(), image);
        drop(store);
        lost(id, fault)
    }

    /// The volumes of an instance by device: its root volume, and those that its launch names.
    pub(super) fn volumes_attached(&self, instance: &InstanceId) -> Vec<(String, VolumeId)> {
        let store = self.store();
        let launch = store.launches.iter().find(|launch| {
            store.tokens.get(&launch.client_token).map(String::as_str) == Some(instance.as_str())
        });
        let mut devices = vec![String::from("/dev/sda1")];
        for volume in launch.iter().flat_map(|launch| &launch.volumes) {
            if !devices.contains(&volume.device) {
                devices.push(volume.device.clone());
            }
        }
        let volume = |device: &str| {
            let name = device.trim_start_matches("/dev/");
            VolumeId::new(format!("vol-{name}-of-{instance}"))
        };
        devices
            .into_iter()
            .map(|device| (device.clone(), volume(&device)))
            .collect()
    }

    pub(super) fn snapshots_begun(
        &self,
        request: &SnapshotsRequest,
    ) -> Result<Vec<VolumeSnapshot>, CloudError> {
        let fault = self.call("CreateSnapshots")?;
        let known = self
            .store()
            .instances
            .contains_key(request.instance_id.as_str());
        if !known {
            return Err(error("CreateSnapshots", ErrorKind::NotFound));
        }
        let made = self
            .volumes_attached(&request.instance_id)
            .into_iter()
            .filter(|(_, volume)| !request.excluded.contains(volume))
            .map(|(_, volume_id)| {
                let snapshot_id = self.begin_snapshot(&request.tags, &request.description);
                let key = snapshot_id.to_string();
                self.store().snapshot_volumes.insert(key, volume_id.clone());
                VolumeSnapshot {
                    snapshot_id,
                    volume_id,
                }
            })
            .collect();
        lost(made, fault)
    }

    fn has_image_named(&self, name: &str) -> bool {
        self.store().images.values().any(|image| image.name == name)
    }
}
