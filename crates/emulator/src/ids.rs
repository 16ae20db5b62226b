//! EC2's identifiers as types, with EC2's own rules for a malformed one.
//!
//! An id is a prefix and 17 hexadecimal digits (8 for resources made before 2016), see
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>. A malformed one is refused with
//! `Invalid…​.Malformed`, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>.

use crate::api::error::ApiError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The allocation that every account of the local EC2 holds from the start. Pipelines name it in their `rehearsal:`
/// values, so it is accepted although it is no hexadecimal id.
pub const FIRST_ALLOCATION: &str = "eipalloc-0local";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $malformed:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        #[allow(dead_code)]
        impl $name {
            /// What the id starts with, without the hyphen.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, from the operating system's randomness.
            pub fn random() -> Self {
                Self(random($prefix))
            }

            /// An id that is the same for the same `parts`: for what exists without anybody having made it.
            pub fn derived(parts: &[&str]) -> Self {
                Self(derived($prefix, parts))
            }

            /// Reads an id from a request.
            ///
            /// # Errors
            /// EC2's `….Malformed` if it has the wrong prefix or is not hexadecimal.
            pub fn parse(text: &str) -> Result<Self, ApiError> {
                if well_formed($prefix, text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(ApiError::new($malformed, format!("Invalid id: \"{text}\" (expecting \"{}-...\")", $prefix)))
            }

            /// The id as EC2 writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/** An instance: `i-…`. */ InstanceId, "i", "InvalidInstanceID.Malformed");
id!(/** An image: `ami-…`. */ ImageId, "ami", "InvalidAMIID.Malformed");
id!(/** A snapshot: `snap-…`. */ SnapshotId, "snap", "InvalidSnapshotID.Malformed");
id!(/** A volume: `vol-…`. */ VolumeId, "vol", "InvalidVolumeID.Malformed");
id!(/** A security group: `sg-…`. */ GroupId, "sg", "InvalidGroupId.Malformed");
id!(/** A rule of a security group: `sgr-…`. */ GroupRuleId, "sgr", "InvalidSecurityGroupRuleId.Malformed");
id!(/** A subnet: `subnet-…`. */ SubnetId, "subnet", "InvalidSubnetID.Malformed");
id!(/** A VPC: `vpc-…`. */ VpcId, "vpc", "InvalidVpcID.Malformed");
id!(/** An Elastic IP's allocation: `eipalloc-…`. */ AllocationId, "eipalloc", "InvalidAllocationID.Malformed");
id!(/** An Elastic IP's association: `eipassoc-…`. */ AssociationId, "eipassoc", "InvalidAssociationID.Malformed");
id!(/** A key pair: `key-…`. */ KeyPairId, "key", "InvalidKeyPair.Malformed");
id!(/** A network interface: `eni-…`. */ InterfaceId, "eni", "InvalidNetworkInterfaceId.Malformed");
id!(/** A network interface's attachment: `eni-attach-…`. */ InterfaceAttachmentId, "eni-attach", "InvalidAttachmentID.Malformed");
id!(/** A reservation, the group of instances that one RunInstances made: `r-…`. */ ReservationId, "r", "InvalidReservationID.Malformed");
id!(/** A spot request: `sir-…`. */ SpotRequestId, "sir", "InvalidSpotInstanceRequestID.Malformed");
id!(/** An instance profile's association: `iip-assoc-…`. */ ProfileAssociationId, "iip-assoc", "InvalidAssociationID.Malformed");
id!(/** A launch template: `lt-…`. */ LaunchTemplateId, "lt", "InvalidLaunchTemplateId.Malformed");
id!(/** A capacity reservation: `cr-…`. */ CapacityReservationId, "cr", "InvalidCapacityReservationId.Malformed");
id!(/** A dedicated host: `h-…`. */ HostId, "h", "InvalidHostID.Malformed");
id!(/** A placement group: `pg-…`. */ PlacementGroupId, "pg", "InvalidPlacementGroupId.Malformed");
id!(/** A task that imports a snapshot: `import-snap-…`. */ ImportTaskId, "import-snap", "InvalidConversionTaskId.Malformed");
id!(/** A frozen disk layer. EC2 has no such id: it stands for the blocks behind a snapshot. */ LayerId, "layer", "InvalidSnapshotID.Malformed");

fn random(prefix: &str) -> String {
    let bytes: [u8; 8] = rand::random();
    format!("{prefix}-0{}", hex::encode(bytes))
}

fn derived(prefix: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("{prefix}-0{}", hex::encode(&hash.finalize()[..8]))
}

fn well_formed(prefix: &str, text: &str) -> bool {
    if text == FIRST_ALLOCATION && prefix == AllocationId::PREFIX {
        return true;
    }
    let Some(digits) = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    matches!(digits.len(), 8 | 17)
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl AllocationId {
    /// The allocation every account holds from the start.
    pub fn first() -> Self {
        Self(FIRST_ALLOCATION.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_made_here_is_well_formed() {
        let id = InstanceId::random();
        assert_eq!(InstanceId::parse(id.as_str()).unwrap(), id);
        let id = ImageId::derived(&["us-east-2", "RHEL"]);
        assert_eq!(ImageId::parse(id.as_str()).unwrap(), id);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(VpcId::derived(&["a", "bc"]), VpcId::derived(&["ab", "c"]));
    }

    #[test]
    fn a_malformed_id_has_ec2s_code() {
        for text in [
            "",
            "i-",
            "i-xyz",
            "ami-0123456789abcdef0",
            "i-0123456789ABCDEF0",
            "i-0123456789abcdef",
        ] {
            assert_eq!(
                InstanceId::parse(text).unwrap_err().code(),
                "InvalidInstanceID.Malformed",
                "{text}"
            );
        }
    }

    #[test]
    fn the_first_allocation_is_an_allocation_and_nothing_else() {
        assert_eq!(
            AllocationId::parse(FIRST_ALLOCATION).unwrap(),
            AllocationId::first()
        );
        assert!(InstanceId::parse(FIRST_ALLOCATION).is_err());
    }
}
