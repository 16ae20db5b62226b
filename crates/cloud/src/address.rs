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

/// What an Elastic IP is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressBinding {
    /// The binding, needed to undo it.
    pub association_id: AssociationId,
    /// The instance; none if it is bound to a network interface of something else.
    pub instance_id: Option<InstanceId>,
}
