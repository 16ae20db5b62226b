//! VPCs, subnets, instance types and where they are had. Filters are EC2's own: one that EC2 does not have ends the test.

use cloud::*;

/// The network of the account's only region: one default VPC with one default subnet, until a test says otherwise.
pub struct Network {
    pub vpcs: Vec<Vpc>,
    pub subnets: Vec<Subnet>,
    /// Types that are not 64-bit x86 with two processors.
    pub types: Vec<InstanceTypeDescription>,
    /// Types that not every zone has, with the zones that do.
    pub offered: Vec<(&'static str, Vec<&'static str>)>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            vpcs: vec![vpc("vpc-1", true, &[])],
            subnets: vec![Subnet {
                default_for_zone: true,
                ..subnet("subnet-1", "vpc-1", "c", 250, &[])
            }],
            types: Vec::new(),
            offered: Vec::new(),
        }
    }
}

pub fn vpc(id: &str, is_default: bool, tags: &[(&str, &str)]) -> Vpc {
    Vpc {
        vpc_id: id.into(),
        is_default,
        tags: tagged(tags),
    }
}

/// A subnet in a zone of us-east-2, by its letter.
pub fn subnet(id: &str, vpc: &str, zone: &str, free: u32, tags: &[(&str, &str)]) -> Subnet {
    Subnet {
        subnet_id: id.into(),
        vpc_id: vpc.into(),
        availability_zone: AvailabilityZone::new(format!("us-east-2{zone}")),
        default_for_zone: false,
        maps_public_ip: true,
        free_addresses: free,
        ipv6: false,
        tags: tagged(tags),
    }
}

/// A group of a VPC.
pub fn group(id: &str, name: &str, vpc: &str, tags: &[(&str, &str)]) -> SecurityGroup {
    SecurityGroup {
        group_id: id.into(),
        name: name.into(),
        vpc_id: Some(vpc.into()),
        tags: tagged(tags),
    }
}

/// A type that runs only what is for `architecture`.
pub fn machine(name: &str, architecture: &str) -> InstanceTypeDescription {
    InstanceTypeDescription {
        name: name.into(),
        architectures: vec![architecture.into()],
        virtualizations: vec!["hvm".into()],
        boot_modes: vec!["legacy-bios".into(), "uefi".into()],
        vcpus: 2,
        nitro: true,
        burstable: name.starts_with('t'),
        spot: true,
    }
}

pub fn tagged(tags: &[(&str, &str)]) -> Tags {
    let tags = tags.iter();
    tags.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Whether a value fits a pattern of EC2's: `*` stands for any characters and `?` for one.
pub fn matches(pattern: &str, value: &str) -> bool {
    match pattern.chars().next() {
        None => value.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            (0..=value.len())
                .filter(|at| value.is_char_boundary(*at))
                .any(|at| matches(rest, &value[at..]))
        }
        Some(wanted) => value.chars().next().is_some_and(|first| {
            (wanted == '?' || wanted == first)
                && matches(&pattern[wanted.len_utf8()..], &value[first.len_utf8()..])
        }),
    }
}

fn all_fit(filters: &[(String, Vec<String>)], tags: &Tags, named: &[(&str, &str)]) -> bool {
    filters.iter().all(|(name, values)| {
        let value = match name.strip_prefix("tag:") {
            Some(key) => tags.get(key),
            None => {
                let known = named.iter().find(|(known, _)| known == name);
                let (_, value) = known.unwrap_or_else(|| panic!("EC2 has no filter {name} here"));
                Some(*value)
            }
        };
        value.is_some_and(|value| values.iter().any(|pattern| matches(pattern, value)))
    })
}

impl Network {
    pub fn vpcs(&self, filters: &[(String, Vec<String>)]) -> Vec<Vpc> {
        let fits = |vpc: &&Vpc| {
            let is_default = vpc.is_default.to_string();
            all_fit(
                filters,
                &vpc.tags,
                &[("vpc-id", vpc.vpc_id.as_str()), ("is-default", &is_default)],
            )
        };
        self.vpcs.iter().filter(fits).cloned().collect()
    }

    pub fn subnets(&self, filters: &[(String, Vec<String>)]) -> Vec<Subnet> {
        let fits = |subnet: &&Subnet| {
            let default = subnet.default_for_zone.to_string();
            all_fit(
                filters,
                &subnet.tags,
                &[
                    ("subnet-id", subnet.subnet_id.as_str()),
                    ("vpc-id", subnet.vpc_id.as_str()),
                    ("availability-zone", subnet.availability_zone.as_str()),
                    ("default-for-az", &default),
                ],
            )
        };
        self.subnets.iter().filter(fits).cloned().collect()
    }

    pub fn instance_types(&self, names: &[String]) -> Vec<InstanceTypeDescription> {
        let named = |name: &String| {
            let known = self.types.iter().find(|one| one.name == *name);
            known.cloned().unwrap_or_else(|| machine(name, "x86_64"))
        };
        names.iter().map(named).collect()
    }

    pub fn offerings(&self, instance_types: &[String]) -> Vec<Offering> {
        let mut offerings = Vec::new();
        for name in instance_types {
            let limited = self.offered.iter().find(|(one, _)| one == name);
            let zones = limited.map_or(vec!["a", "b", "c"], |(_, zones)| zones.clone());
            offerings.extend(zones.into_iter().map(|zone| Offering {
                instance_type: name.clone(),
                availability_zone: AvailabilityZone::new(format!("us-east-2{zone}")),
            }));
        }
        offerings
    }
}
