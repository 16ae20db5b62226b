//! A table of instance types.
//!
//! Figures: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-types.html>; boot modes:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html>; virtualisation:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ComponentsAMIs.html#virtualization_types>.

use super::image::Virtualization;

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
    /// What it is made of.
    pub generation: Generation,
    /// Whether it has no hypervisor at all.
    pub bare_metal: bool,
    /// Volumes of the host's own that have to be mapped to be seen.
    pub instance_store: u8,
    /// The letters of the zones that have it.
    pub zones: &'static str,
}

/// What an instance type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The first ones: Xen, without enhanced networking, with paravirtual images too.
    First,
    /// Xen with hardware virtualisation, and enhanced networking by SR-IOV.
    Xen,
    /// The Nitro system, which needs ENA.
    Nitro,
}

/// Zones of what is new, and of what is not.
const EVERYWHERE: &str = "abc";
const FEW: &str = "ab";

const fn of(
    name: &'static str,
    architecture: &'static str,
    vcpus: u32,
    memory_mib: u32,
    generation: Generation,
) -> InstanceType {
    InstanceType {
        name,
        architecture,
        vcpus,
        memory_mib,
        generation,
        bare_metal: false,
        instance_store: 0,
        zones: EVERYWHERE,
    }
}

const fn x86(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    of(name, "x86_64", vcpus, memory_mib, Generation::Nitro)
}

const fn arm(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    of(name, "arm64", vcpus, memory_mib, Generation::Nitro)
}

const fn xen(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    of(name, "x86_64", vcpus, memory_mib, Generation::Xen)
}

const fn first(name: &'static str, vcpus: u32, memory_mib: u32, store: u8) -> InstanceType {
    InstanceType {
        instance_store: store,
        zones: FEW,
        ..of(name, "x86_64", vcpus, memory_mib, Generation::First)
    }
}

const fn metal(name: &'static str, vcpus: u32, memory_mib: u32) -> InstanceType {
    InstanceType {
        bare_metal: true,
        zones: FEW,
        ..x86(name, vcpus, memory_mib)
    }
}

/// The types that can be launched, by name.
pub const TYPES: [InstanceType; 64] = [
    first("c1.medium", 2, 1_740, 1),
    first("c3.large", 2, 3_840, 2),
    first("c3.xlarge", 4, 7_680, 2),
    xen("c4.large", 2, 3_840),
    xen("c4.xlarge", 4, 7_680),
    x86("c5.2xlarge", 8, 16_384),
    x86("c5.4xlarge", 16, 32_768),
    x86("c5.large", 2, 4_096),
    x86("c5.xlarge", 4, 8_192),
    x86("c6i.2xlarge", 8, 16_384),
    x86("c6i.large", 2, 4_096),
    x86("c6i.xlarge", 4, 8_192),
    arm("c7g.large", 2, 4_096),
    arm("c7g.xlarge", 4, 8_192),
    first("m1.large", 2, 7_680, 2),
    first("m1.medium", 1, 3_788, 1),
    first("m1.small", 1, 1_740, 1),
    first("m3.2xlarge", 8, 30_720, 2),
    first("m3.large", 2, 7_680, 1),
    first("m3.medium", 1, 3_840, 1),
    first("m3.xlarge", 4, 15_360, 2),
    xen("m4.large", 2, 8_192),
    xen("m4.xlarge", 4, 16_384),
    x86("m5.12xlarge", 48, 196_608),
    x86("m5.2xlarge", 8, 32_768),
    x86("m5.4xlarge", 16, 65_536),
    x86("m5.large", 2, 8_192),
    x86("m5.xlarge", 4, 16_384),
    x86("m5zn.large", 2, 8_192),
    metal("m5zn.metal", 48, 196_608),
    x86("m6a.large", 2, 8_192),
    arm("m6g.large", 2, 8_192),
    arm("m6g.xlarge", 4, 16_384),
    x86("m6i.2xlarge", 8, 32_768),
    x86("m6i.large", 2, 8_192),
    x86("m6i.xlarge", 4, 16_384),
    arm("m7g.large", 2, 8_192),
    arm("m7g.xlarge", 4, 16_384),
    x86("m7i.large", 2, 8_192),
    x86("m7i.xlarge", 4, 16_384),
    first("r3.large", 2, 15_360, 1),
    xen("r4.large", 2, 15_616),
    x86("r5.2xlarge", 8, 65_536),
    x86("r5.large", 2, 16_384),
    x86("r5.xlarge", 4, 32_768),
    arm("r6g.large", 2, 16_384),
    x86("r6i.large", 2, 16_384),
    first("t1.micro", 1, 627, 0),
    xen("t2.large", 2, 8_192),
    xen("t2.medium", 2, 4_096),
    xen("t2.micro", 1, 1_024),
    xen("t2.nano", 1, 512),
    xen("t2.small", 1, 2_048),
    x86("t3.2xlarge", 8, 32_768),
    x86("t3.large", 2, 8_192),
    x86("t3.medium", 2, 4_096),
    x86("t3.micro", 2, 1_024),
    x86("t3.nano", 2, 512),
    x86("t3.small", 2, 2_048),
    x86("t3.xlarge", 4, 16_384),
    arm("t4g.large", 2, 8_192),
    arm("t4g.medium", 2, 4_096),
    arm("t4g.micro", 2, 1_024),
    arm("t4g.small", 2, 2_048),
];

/// The type of that name.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|t| t.name == name)
}

impl InstanceType {
    /// Such as `m5`.
    pub fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// Whether it is on the Nitro system (GetConsoleOutput's `Latest` needs that).
    pub fn nitro(&self) -> bool {
        self.generation == Generation::Nitro
    }

    /// Whether its processor credits can be configured: the T types but the first.
    pub fn burstable(&self) -> bool {
        self.name.starts_with('t') && self.generation != Generation::First
    }

    /// What happens to the processor credits of a burstable type unless something else is asked for, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-how-to.html>.
    pub fn usual_credits(&self) -> &'static str {
        match self.family() {
            "t2" => "standard",
            _ => "unlimited",
        }
    }

    /// How its guests can be virtualised.
    pub fn virtualizations(&self) -> &'static [Virtualization] {
        match self.name {
            "t1.micro" => &[Virtualization::Paravirtual],
            _ if self.generation == Generation::First => {
                &[Virtualization::Hvm, Virtualization::Paravirtual]
            }
            _ => &[Virtualization::Hvm],
        }
    }

    /// How its guests can boot.
    pub fn boot_modes(&self) -> &'static [&'static str] {
        match (self.architecture, self.nitro()) {
            ("arm64", _) => &["uefi"],
            (_, true) if self.bare_metal => &["legacy-bios"],
            (_, true) => &["legacy-bios", "uefi"],
            (_, false) => &["legacy-bios"],
        }
    }

    /// Whether it has a TPM, see <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/enable-nitrotpm-prerequisites.html>.
    pub fn tpm(&self) -> bool {
        self.nitro() && self.architecture == "x86_64" && !self.bare_metal
    }

    /// Whether it can have IPv6 addresses.
    pub fn ipv6(&self) -> bool {
        self.generation != Generation::First || matches!(self.family(), "c3" | "r3")
    }

    /// Whether it is one of the present generation.
    pub fn current(&self) -> bool {
        self.generation != Generation::First
    }

    /// Whether a zone has it; `zone` is a name such as `us-east-2c`.
    pub fn offered_in(&self, zone: &str) -> bool {
        zone.chars().last().is_some_and(|l| self.zones.contains(l))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_in_order() {
        let names: Vec<_> = TYPES.iter().map(|t| t.name).collect();
        let sorted: BTreeSet<_> = names.iter().copied().collect();
        assert_eq!(names, sorted.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_a_type_can_do_follows_from_what_it_is_made_of() {
        let of = |name: &str| find(name).unwrap();
        assert!(
            of("m3.medium")
                .virtualizations()
                .contains(&Virtualization::Paravirtual)
        );
        assert!(
            !of("t2.micro")
                .virtualizations()
                .contains(&Virtualization::Paravirtual)
        );
        assert_eq!(of("t4g.medium").boot_modes(), ["uefi"]);
        assert!(of("t3.micro").burstable() && !of("t1.micro").burstable());
        assert!(of("m5.large").tpm() && !of("m5zn.metal").tpm());
        assert!(
            of("m3.medium").offered_in("us-east-2a") && !of("m3.medium").offered_in("us-east-2c")
        );
    }
}
