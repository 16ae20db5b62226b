//! Elastic IP addresses.

use crate::{AllocationId, AssociationId, InstanceId, Tags};
use std::net::Ipv4Addr;

/// An Elastic IP of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its allocation.
    pub allocation_id: AllocationId,
    /// The address itself.
    pub public_ip: Ipv4Addr,
    /// What it is bound to now, if anything.
    pub binding: Option<AddressBinding>,
    /// Its tags.
    pub tags: Tags,
}

/// Which Elastic IPs to describe. Every given part must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressFilter {
    /// Exactly these; empty for any.
    pub allocation_ids: Vec<AllocationId>,
    /// EC2 filters by name, such as `tag:Purpose` or `instance-id`.
    pub filters: Vec<(String, Vec<String>)>,
}

impl AddressFilter {
    /// One allocation.
    pub fn allocation(id: &AllocationId) -> Self {
        Self {
            allocation_ids: vec![id.clone()],
            filters: Vec::new(),
        }
    }
}

/// What an Elastic IP is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressBinding {
    /// The binding, needed to undo it.
    pub association_id: AssociationId,
    /// The instance; none if it is bound to a network interface of something else.
    pub instance_id: Option<InstanceId>,
}
