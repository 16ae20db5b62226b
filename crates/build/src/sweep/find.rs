//! Looking at a region: what carries qib's tags, and what it takes to judge it.

use super::imports::Imports;
use crate::lease::{self, LeaseRecord};
use crate::names::tag;
use crate::steps::IAM_PATH;
use cloud::*;

/// What qib made in IAM, which has no regions. Each has the tag `qib:region`.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Instance profiles below qib's path.
    pub profiles: Vec<InstanceProfile>,
    /// Roles below qib's path.
    pub roles: Vec<Role>,
}

impl Roles {
    /// Looks. Who may not read IAM cannot have made anything in it either: to them there is nothing.
    pub(super) async fn observe(iam: &dyn Iam) -> Result<Self, CloudError> {
        let looked = futures::try_join!(
            iam.instance_profiles_below(IAM_PATH),
            iam.roles_below(IAM_PATH)
        );
        match looked {
            Ok((profiles, roles)) => Ok(Self { profiles, roles }),
            Err(error) if error.kind == ErrorKind::AccessDenied => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Those whose run works in `region`: whether it lives can be told from there only.
    fn of(&self, region: &RegionName) -> Self {
        let is_of = |tags: &Tags| tags.get(tag::REGION) == Some(region.as_str());
        Self {
            profiles: self
                .profiles
                .iter()
                .filter(|p| is_of(&p.tags))
                .cloned()
                .collect(),
            roles: self
                .roles
                .iter()
                .filter(|r| is_of(&r.tags))
                .cloned()
                .collect(),
        }
    }
}

/// What a region holds.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The region.
    pub region: RegionName,
    /// Instances with qib's tag.
    pub instances: Vec<Instance>,
    /// Volumes with qib's tag.
    pub volumes: Vec<Volume>,
    /// Key pairs with qib's tag.
    pub key_pairs: Vec<KeyPairDescription>,
    /// Security groups with qib's tag.
    pub groups: Vec<SecurityGroup>,
    /// Roles and instance profiles of runs that work in the region.
    pub roles: Roles,
    /// All images of the account: also one without any tag keeps its snapshots.
    pub images: Vec<Image>,
    /// Snapshots with qib's tag.
    pub snapshots: Vec<Snapshot>,
    /// What is left of imports through S3.
    pub imports: Imports,
    /// All Elastic IPs: they are never qib's own, but may be bound to an instance of its.
    pub addresses: Vec<Address>,
    /// All leases, or why these credentials may not read them.
    pub leases: Result<Vec<LeaseRecord>, String>,
}

/// Looks. The leases are read last: a run writes its lease before it makes anything, so that everything seen here had
/// its run's lease before.
pub(super) async fn observe(
    region: &dyn Region,
    roles: &Roles,
    buckets: &[String],
) -> Result<Observed, CloudError> {
    let tagged = vec![("tag-key".to_owned(), vec![tag::RUN.to_owned()])];
    let instances = InstanceFilter {
        filters: tagged.clone(),
        ..InstanceFilter::default()
    };
    let images = ImageFilter {
        owners: vec!["self".into()],
        ..ImageFilter::default()
    };
    let addresses = AddressFilter::default();
    let (instances, volumes, key_pairs, groups, images, snapshots, addresses, imports) = futures::try_join!(
        region.instances(&instances),
        region.volumes(&tagged),
        region.key_pairs(&tagged),
        region.security_groups(&tagged),
        region.images(&images),
        region.snapshots(&tagged),
        region.addresses(&addresses),
        Imports::observe(region, buckets),
    )?;
    Ok(Observed {
        region: region.name().clone(),
        instances,
        volumes,
        key_pairs,
        groups,
        roles: roles.of(region.name()),
        images,
        snapshots,
        imports,
        addresses,
        leases: leases(region).await?,
    })
}

/// The region's leases; inside, why these credentials may not read them.
pub(super) async fn leases(
    region: &dyn Region,
) -> Result<Result<Vec<LeaseRecord>, String>, CloudError> {
    match lease::all(region).await {
        Ok(leases) => Ok(Ok(leases)),
        Err(error) if error.kind == ErrorKind::AccessDenied => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

impl Observed {
    /// The leases, as far as they can be read.
    pub(super) fn leases(&self) -> Vec<LeaseRecord> {
        self.leases.clone().unwrap_or_default()
    }

    /// The tags of everything.
    pub(super) fn all_tags(&self) -> impl Iterator<Item = &Tags> {
        let instances = self.instances.iter().map(|one| &one.tags);
        let volumes = self.volumes.iter().map(|one| &one.tags);
        let pairs = self.key_pairs.iter().map(|one| &one.tags);
        let groups = self.groups.iter().map(|one| &one.tags);
        let profiles = self.roles.profiles.iter().map(|one| &one.tags);
        let roles = self.roles.roles.iter().map(|one| &one.tags);
        let images = self.images.iter().map(|one| &one.tags);
        let snapshots = self.snapshots.iter().map(|one| &one.tags);
        instances
            .chain(volumes)
            .chain(pairs)
            .chain(groups)
            .chain(profiles)
            .chain(roles)
            .chain(images)
            .chain(snapshots)
            .chain(self.imports.tasks.iter().map(|one| &one.tags))
    }
}
