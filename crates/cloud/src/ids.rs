//! Newtypes for EC2's identifiers, so that an image id cannot be passed where an instance id is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an identifier as EC2 gave it; EC2 alone decides whether it exists.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The identifier as EC2 writes it.
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

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    };
}

id!(/** An image: `ami-…`. */ ImageId);
id!(/** An instance: `i-…`. */ InstanceId);
id!(/** An EBS snapshot: `snap-…`. */ SnapshotId);
id!(/** An EBS volume: `vol-…`. */ VolumeId);
id!(/** A security group: `sg-…`. */ SecurityGroupId);
id!(/** A subnet: `subnet-…`. */ SubnetId);
id!(/** A VPC: `vpc-…`. */ VpcId);
id!(/** An Elastic IP's allocation: `eipalloc-…`. */ AllocationId);
id!(/** An Elastic IP's binding to an instance: `eipassoc-…`. */ AssociationId);
id!(/** A key pair: `key-…`. */ KeyPairId);
id!(/** An AWS account: twelve digits. */ AccountId);
id!(/** A region's name, such as `us-east-2`. */ RegionName);
id!(/** An availability zone's name, such as `us-east-2c`. */ AvailabilityZone);
id!(/** A task that imports a snapshot: `import-snap-…`. */ ImportTaskId);
