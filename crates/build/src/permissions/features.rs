//! What of qib a pipeline's cells use, as far as permissions go.

use super::arn::Arns;
use cloud::RegionName;
use pipeline::model::{
    Address, Bind, CapacityReservation, Cell, Connect, ElasticIpChoice, GroupChoice, Import,
    InstanceProfile, KmsKeyId, Launch, LoginKey, OnConflict, Protection, Source, Spot,
    SubnetChoice, Via, Volume, VpcChoice,
};
use std::collections::{BTreeMap, BTreeSet};

use crate::selection::{ChosenCell, image_regions};

/// What of qib a pipeline's cells use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether instances are launched.
    pub launches: bool,
    /// Whether some of them are spot instances.
    pub spot: bool,
    /// Where in the network they may go.
    pub network: Network,
    /// Their security groups.
    pub groups: Groups,
    /// What else a launch names: kinds of EC2's resources and ids, such as `capacity-reservation` and `cr-1`.
    pub hosting: BTreeSet<(&'static str, String)>,
    /// Resource groups that a launch names, by ARN.
    pub resource_groups: BTreeSet<String>,
    /// Whether volumes are made of snapshots that the pipeline names.
    pub from_snapshots: bool,
    /// Whether ENA or SR-IOV is set of an instance.
    pub enhanced_networking: bool,
    /// Whether key pairs are imported.
    pub imports_keys: bool,
    /// Key pairs that are there.
    pub key_pairs: BTreeSet<String>,
    /// Elastic IPs by allocation.
    pub addresses: BTreeSet<String>,
    /// Pools of Elastic IPs, by the tags that all of a pool carry.
    pub pools: BTreeSet<BTreeMap<String, String>>,
    /// Whether qib binds one: else the instance does.
    pub binds: bool,
    /// Instance profiles that are there.
    pub profiles: BTreeSet<String>,
    /// Whether a role is made for an instance.
    pub temporary_profile: bool,
    /// Whether images are made by CreateImage.
    pub captures: bool,
    /// Whether images are made by RegisterImage.
    pub registers: bool,
    /// Whether disk images are imported.
    pub imports: bool,
    /// Whether some of them are sent by the EBS direct APIs.
    pub starts_snapshots: bool,
    /// Snapshots that imports are made on top of.
    pub parents: BTreeSet<String>,
    /// Buckets that disk images go through.
    pub buckets: BTreeSet<String>,
    /// Whether an image's IMDS version is set.
    pub imds: bool,
    /// Whether images are copied.
    pub copies: bool,
    /// Whether images make room for others of their name that the same stage has made.
    pub replaces_own: bool,
    /// Whether images make room for others of their name, whosever they are.
    pub replaces_any: bool,
    /// Whether images are shared.
    pub shares: bool,
    /// Whether their snapshots are shared too.
    pub shares_snapshots: bool,
    /// Whether everyone may launch one.
    pub public_images: bool,
    /// Whether everyone may use the snapshots of one.
    pub public_snapshots: bool,
    /// Whether images are deprecated.
    pub deprecates: bool,
    /// Whether images are protected.
    pub protects: bool,
    /// Parameters that source images are looked up in.
    pub source_parameters: BTreeSet<String>,
    /// Parameters that name images, as patterns: `*` stands for what only a run knows.
    pub parameters: BTreeSet<String>,
    /// KMS keys by region, as the pipeline names them.
    pub keys: BTreeSet<(RegionName, String)>,
}

/// Where instances may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Subnets by id.
    pub subnets: BTreeSet<String>,
    /// Whether other subnets are looked for, too.
    pub any_subnet: bool,
    /// VPCs by id.
    pub vpcs: BTreeSet<String>,
    /// Whether VPCs are looked for.
    pub any_vpc: bool,
}

/// The groups that instances are launched in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Whether qib makes some.
    pub temporary: bool,
    /// Those that the pipeline names.
    pub named: BTreeSet<String>,
    /// Whether it has others looked for.
    pub by_filter: bool,
}

impl Features {
    /// What `cells` use.
    pub fn of(cells: &[ChosenCell<'_>]) -> Self {
        let mut features = Self::default();
        for chosen in cells {
            features.add(chosen);
            features.copies |= !chosen.cell.image.copy_to.is_empty();
        }
        features
    }

    /// What of it is done in one region: of an image that is copied there, what becomes of the copy.
    pub fn in_region(cells: &[ChosenCell<'_>], region: &RegionName) -> Self {
        let mut features = Self::default();
        for chosen in cells {
            if chosen.region == *region {
                features.add(chosen);
            } else if image_regions(chosen.cell, &chosen.region).contains(region) {
                features.add_copy(chosen, region);
            }
        }
        features
    }

    /// The regions that `cells` work in, of `account`. A region that is not known is any.
    pub fn arns(cells: &[ChosenCell<'_>], account: Option<String>) -> Arns {
        let regions: BTreeSet<RegionName> = cells
            .iter()
            .flat_map(|chosen| image_regions(chosen.cell, &chosen.region))
            .collect();
        let known = regions.iter().all(|region| region.as_str() != ANY_REGION);
        Arns {
            account,
            regions: if known { regions } else { BTreeSet::new() },
        }
    }

    fn add(&mut self, chosen: &ChosenCell<'_>) {
        let cell = chosen.cell;
        if let Source::Ssm { parameter, .. } = &cell.source.value {
            self.source_parameters.insert(parameter.to_string());
        }
        if let Some(import) = cell.import() {
            self.add_import(import);
        }
        if let Some(launch) = &cell.launch {
            self.add_launch(launch, &chosen.region);
        }
        let of_test = cell.test.as_ref().and_then(|test| test.connect.as_ref());
        for connect in cell.connect.iter().chain(of_test) {
            self.add_connect(connect);
        }
        let of_test = cell.test.as_ref();
        let of_test = of_test.and_then(|test| test.launch.instance_profile.as_ref());
        self.profiles.extend(of_test.map(ToString::to_string));
        self.add_image(chosen);
    }

    fn add_import(&mut self, import: &Import) {
        self.imports = true;
        match &import.via {
            Via::Ebs { parent, .. } => {
                self.starts_snapshots = true;
                self.parents.extend(parent.iter().map(|id| id.to_string()));
            }
            Via::S3 { bucket, .. } => {
                self.buckets.insert(bucket.as_str().to_owned());
            }
        }
    }

    fn add_launch(&mut self, launch: &Launch, region: &RegionName) {
        self.launches = true;
        self.spot |= matches!(launch.spot, Spot::Yes(_));
        for subnet in &launch.subnets {
            match &subnet.value {
                SubnetChoice::Id(id) => {
                    self.network.subnets.insert(id.to_string());
                }
                SubnetChoice::DefaultVpc { .. } | SubnetChoice::Filter { .. } => {
                    self.network.any_subnet = true;
                    self.network.any_vpc |= launch.vpc.is_none();
                }
            }
        }
        match launch.vpc.as_ref().map(|vpc| &vpc.value) {
            Some(VpcChoice::Id(id)) => {
                self.network.vpcs.insert(id.to_string());
            }
            // The VPC of a subnet is found with the subnet.
            Some(VpcChoice::Filter(_)) | None => self.network.any_vpc = true,
        }
        self.groups.temporary |= launch.security_groups.is_empty();
        for group in &launch.security_groups {
            match &group.value {
                GroupChoice::Id(id) => {
                    self.groups.named.insert(id.to_string());
                }
                GroupChoice::Filter(_) => self.groups.by_filter = true,
            }
        }
        match launch
            .instance_profile
            .as_ref()
            .map(|profile| &profile.value)
        {
            Some(InstanceProfile::Named(name)) => {
                self.profiles.insert(name.to_string());
            }
            Some(InstanceProfile::Temporary(_)) => self.temporary_profile = true,
            None => {}
        }
        self.add_hosting(launch);
        self.add_volumes(&launch.volumes, region);
    }

    fn add_hosting(&mut self, launch: &Launch) {
        match launch.capacity_reservation.as_ref().map(|one| &one.value) {
            Some(CapacityReservation::Id(id)) => {
                self.hosting
                    .insert(("capacity-reservation", id.to_string()));
            }
            Some(CapacityReservation::Group(arn)) => {
                // Which of its reservations EC2 takes is not known.
                self.hosting
                    .insert(("capacity-reservation", String::from("*")));
                self.resource_groups.insert(arn.to_string());
            }
            Some(CapacityReservation::Open | CapacityReservation::None) | None => {}
        }
        let Some(placement) = &launch.placement else {
            return;
        };
        if let Some(host) = &placement.value.host {
            self.hosting.insert(("dedicated-host", host.to_string()));
        }
        if let Some(arn) = &placement.value.host_resource_group {
            self.hosting.insert(("dedicated-host", String::from("*")));
            self.resource_groups.insert(arn.to_string());
        }
        if let Some(group) = &placement.value.group {
            self.hosting.insert(("placement-group", group.to_string()));
        }
    }

    fn add_volumes(&mut self, volumes: &[Volume], region: &RegionName) {
        for volume in volumes {
            self.from_snapshots |= volume.snapshot_id.is_some();
            self.add_key(volume.kms_key_id.as_deref(), region);
        }
    }

    fn add_key(&mut self, key: Option<&KmsKeyId>, region: &RegionName) {
        self.keys
            .extend(key.map(|key| (region.clone(), key.to_string())));
    }

    fn add_connect(&mut self, connect: &Connect) {
        match (&connect.key_pair, &connect.key.value) {
            (Some(name), _) => {
                self.key_pairs.insert(name.to_string());
            }
            // ECDSA goes in by user-data. Of a file or an agent it is not known here which kind its key is.
            (None, LoginKey::EcdsaP256) => {}
            (None, LoginKey::Ed25519 | LoginKey::File(_) | LoginKey::Agent) => {
                self.imports_keys = true;
            }
        }
        let Address::ElasticIp(address) = &connect.address.value else {
            return;
        };
        self.binds |= address.bind == Bind::Api;
        match &address.choice {
            ElasticIpChoice::One(id) => {
                self.addresses.insert(id.to_string());
            }
            ElasticIpChoice::Pool(tags) => {
                self.pools.insert(tags.clone());
            }
        }
    }

    /// The image's copy in another region.
    fn add_copy(&mut self, chosen: &ChosenCell<'_>, region: &RegionName) {
        let mut of_image = Self::default();
        of_image.add_publication(chosen.cell);
        let keys = std::mem::take(&mut of_image.keys);
        self.keys
            .extend(keys.into_iter().filter(|(there, _)| there == region));
        self.merge_publication(of_image);
    }

    fn merge_publication(&mut self, other: Self) {
        self.imds |= other.imds;
        self.copies = true;
        self.replaces_own |= other.replaces_own;
        self.replaces_any |= other.replaces_any;
        self.shares |= other.shares;
        self.shares_snapshots |= other.shares_snapshots;
        self.public_images |= other.public_images;
        self.public_snapshots |= other.public_snapshots;
        self.deprecates |= other.deprecates;
        self.protects |= other.protects;
        self.parameters.extend(other.parameters);
    }

    fn add_image(&mut self, chosen: &ChosenCell<'_>) {
        let cell: &Cell = chosen.cell;
        let image = &cell.image;
        self.add_publication(cell);
        // A copy takes its permissions where it is made.
        self.copies |=
            cell.is_copy() || matches!(image.on_conflict.value, OnConflict::Replace { .. });
        self.add_volumes(&image.volumes, &chosen.region);
        self.add_key(image.kms_key_id.as_deref(), &chosen.region);
        if cell.launch.is_some() {
            if image.is_registered() {
                self.registers = true;
            } else {
                self.captures = true;
            }
            self.enhanced_networking |= image.ena.is_some() || image.sriov.value;
        }
    }

    /// What becomes of an image and its copies.
    fn add_publication(&mut self, cell: &Cell) {
        let image = &cell.image;
        self.imds |= image.imds.is_some();
        match image.on_conflict.value {
            OnConflict::Fail | OnConflict::Skip => {}
            OnConflict::Replace { force: false } => self.replaces_own = true,
            OnConflict::Replace { force: true } => self.replaces_any = true,
        }
        let share = &image.share;
        let said = share.snapshots.as_ref().map(|on| on.value);
        self.shares |= !share.is_empty();
        self.shares_snapshots |= said != Some(false)
            && (!share.accounts.is_empty() || (share.public.value && said == Some(true)));
        self.public_images |= share.public.value;
        self.public_snapshots |= share.public.value && said == Some(true);
        self.deprecates |= image.deprecate_after.is_some();
        self.protects |= image.protect.value != Protection::Off;
        for parameter in &image.parameters {
            self.parameters.insert(parameter.name.pattern());
        }
        for copy in &image.copy_to {
            let region = RegionName::new(copy.region.as_str());
            self.add_key(copy.kms_key_id.as_deref(), &region);
        }
    }
}

/// What stands for a region that is not known.
pub const ANY_REGION: &str = "*";
