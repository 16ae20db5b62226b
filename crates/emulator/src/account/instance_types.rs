//! A small table of instance types.
//!
//! Figures: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-types.html>.

/// An instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `m5.xlarge`.
    pub name: &'static str,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Whether it is on the Nitro system (GetConsoleOutput's `Latest` needs that).
    pub nitro: bool,
    /// Whether its processor share bursts.
    pub burstable: bool,
}

const fn x86(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    InstanceType {
        name,
        architecture: "x86_64",
        vcpus,
        memory_mib,
        nitro: true,
        burstable: name.as_bytes()[0] == b't',
    }
}

const fn arm(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    InstanceType {
        name,
        architecture: "arm64",
        vcpus,
        memory_mib,
        nitro: true,
        burstable: name.as_bytes()[0] == b't',
    }
}

const fn xen(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    InstanceType {
        name,
        architecture: "x86_64",
        vcpus,
        memory_mib,
        nitro: false,
        burstable: name.as_bytes()[0] == b't',
    }
}

/// The types that can be launched, by name.
pub const TYPES: [InstanceType; 33] = [
    x86("c5.2xlarge", 8, 16_384),
    x86("c5.large", 2, 4_096),
    x86("c5.xlarge", 4, 8_192),
    x86("c6i.large", 2, 4_096),
    x86("c6i.xlarge", 4, 8_192),
    arm("c7g.large", 2, 4_096),
    arm("c7g.xlarge", 4, 8_192),
    xen("m3.medium", 1, 3_840),
    xen("m3.large", 2, 7_680),
    xen("m4.large", 2, 8_192),
    x86("m5.2xlarge", 8, 32_768),
    x86("m5.4xlarge", 16, 65_536),
    x86("m5.large", 2, 8_192),
    x86("m5.xlarge", 4, 16_384),
    x86("m6i.large", 2, 8_192),
    x86("m6i.xlarge", 4, 16_384),
    arm("m6g.large", 2, 8_192),
    arm("m6g.xlarge", 4, 16_384),
    arm("m7g.large", 2, 8_192),
    x86("m7i.large", 2, 8_192),
    x86("r5.large", 2, 16_384),
    x86("r5.xlarge", 4, 32_768),
    xen("t2.medium", 2, 4_096),
    xen("t2.micro", 1, 1_024),
    xen("t2.small", 1, 2_048),
    x86("t3.large", 2, 8_192),
    x86("t3.medium", 2, 4_096),
    x86("t3.micro", 2, 1_024),
    x86("t3.nano", 2, 512),
    x86("t3.small", 2, 2_048),
    arm("t4g.medium", 2, 4_096),
    arm("t4g.micro", 2, 1_024),
    arm("t4g.small", 2, 2_048),
];

/// The type of that name.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        assert_eq!(
            TYPES.iter().map(|t| t.name).collect::<BTreeSet<_>>().len(),
            TYPES.len()
        );
    }
}
