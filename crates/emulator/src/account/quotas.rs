//! Quotas: how much of something an account may have.
//!
//! Codes and AWS's defaults: <https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>,
//! <https://docs.aws.amazon.com/general/latest/gr/ebs-service.html>,
//! <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>. AWS gives little at first and more on request;
//! a rehearsal should not need to ask, so what applies here is more, unless it is set otherwise.

use std::collections::BTreeMap;

/// A quota that holds here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Virtual processors of running on-demand instances of the standard families.
    OnDemandVcpus,
    /// Virtual processors of running spot instances of the standard families.
    SpotVcpus,
    /// Elastic IPs of a region.
    ElasticIps,
    /// Public images of a region.
    PublicImages,
    /// Images of a region.
    Images,
    /// Accounts, organisations and units that an image is shared with. Service Quotas is not asked about it here.
    ImageSharing,
    /// Security groups of a region.
    Groups,
    /// Rules of a security group in one direction.
    GroupRules,
    /// VPCs of a region.
    Vpcs,
    /// Snapshot copies under way to a region.
    SnapshotCopies,
    /// Snapshots of a region that are pending. Service Quotas is not asked about it here.
    PendingSnapshots,
}

/// What Service Quotas says of a quota.
#[derive(Clone, Copy, Debug)]
pub struct QuotaInfo {
    /// Which.
    pub quota: Quota,
    /// The service's code.
    pub service: &'static str,
    /// The quota's code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// AWS's default.
    pub default: f64,
    /// What applies here unless it is set otherwise.
    pub here: f64,
}

const fn info(
    quota: Quota,
    service: &'static str,
    code: &'static str,
    name: &'static str,
    default: f64,
    here: f64,
) -> QuotaInfo {
    QuotaInfo {
        quota,
        service,
        code,
        name,
        default,
        here,
    }
}

/// All that Service Quotas knows here.
pub const QUOTAS: [QuotaInfo; 9] = [
    info(
        Quota::OnDemandVcpus,
        "ec2",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        5.0,
        512.0,
    ),
    info(
        Quota::SpotVcpus,
        "ec2",
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        5.0,
        512.0,
    ),
    info(
        Quota::ElasticIps,
        "ec2",
        "L-0263D0A3",
        "EC2-VPC Elastic IPs",
        5.0,
        20.0,
    ),
    info(
        Quota::PublicImages,
        "ec2",
        "L-0E3CBAB9",
        "Public AMIs",
        5.0,
        20.0,
    ),
    info(
        Quota::Images,
        "ec2",
        "L-B665C33B",
        "AMIs",
        50_000.0,
        50_000.0,
    ),
    info(
        Quota::SnapshotCopies,
        "ebs",
        "L-A84ABF80",
        "Concurrent snapshot copies per destination Region",
        20.0,
        20.0,
    ),
    info(
        Quota::Groups,
        "vpc",
        "L-E79EC296",
        "VPC security groups per Region",
        2_500.0,
        2_500.0,
    ),
    info(
        Quota::GroupRules,
        "vpc",
        "L-0EA8095F",
        "Inbound or outbound rules per security group",
        60.0,
        60.0,
    ),
    info(
        Quota::Vpcs,
        "vpc",
        "L-F678F1CE",
        "VPCs per Region",
        5.0,
        5.0,
    ),
];

/// Services and their names, as Service Quotas has them.
pub const SERVICES: [(&str, &str); 3] = [
    ("ebs", "Amazon Elastic Block Store (Amazon EBS)"),
    ("ec2", "Amazon Elastic Compute Cloud (Amazon EC2)"),
    ("vpc", "Amazon Virtual Private Cloud (Amazon VPC)"),
];

/// Values by quota code, where they are set.
pub type Values = BTreeMap<String, f64>;

/// The quotas in force.
#[derive(Clone, Copy, Debug)]
pub struct Quotas<'a> {
    /// What was set last.
    pub set: &'a Values,
    /// What the configuration says.
    pub configured: &'a Values,
}

impl Quotas<'_> {
    /// A quota's value.
    pub fn value(&self, info: &QuotaInfo) -> f64 {
        let set = self.set.get(info.code);
        set.or(self.configured.get(info.code))
            .copied()
            .unwrap_or(info.here)
    }

    /// How many there may be.
    pub fn count(&self, quota: Quota) -> usize {
        let value = QUOTAS
            .iter()
            .find(|q| q.quota == quota)
            .map_or(untold(quota), |q| self.value(q));
        // Values are checked when they are set.
        value as usize
    }
}

/// What Service Quotas is not asked about here.
fn untold(quota: Quota) -> f64 {
    match quota {
        // "Pending snapshots per account: 100"
        // (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html).
        Quota::PendingSnapshots => 100.0,
        _ => 1_000.0,
    }
}

/// Checks values that somebody sets.
///
/// # Errors
/// Names the code that there is none of, or the value that is no count.
pub fn check(values: &Values) -> Result<(), String> {
    for (code, value) in values {
        if !QUOTAS.iter().any(|q| q.code == code) {
            return Err(format!("the local EC2 has no quota `{code}`"));
        }
        if !value.is_finite() || *value < 0.0 || value.fract() != 0.0 {
            return Err(format!("quota `{code}` is no count: {value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_goes_before_what_is_configured() {
        let values = |n: f64| Values::from([("L-1216C47A".to_owned(), n)]);
        let (set, configured, nothing) = (values(8.0), values(16.0), Values::new());
        let of = |set, configured| Quotas { set, configured }.count(Quota::OnDemandVcpus);
        assert_eq!(of(&set, &configured), 8);
        assert_eq!(of(&nothing, &configured), 16);
        assert_eq!(of(&nothing, &nothing), 512);
    }

    #[test]
    fn only_counts_of_known_quotas_are_taken() {
        let checked = |code: &str, n: f64| check(&Values::from([(code.to_owned(), n)]));
        assert!(checked("L-1216C47A", 0.0).is_ok());
        for (code, n) in [
            ("L-0", 1.0),
            ("L-1216C47A", 1.5),
            ("L-1216C47A", -1.0),
            ("L-1216C47A", f64::NAN),
        ] {
            assert!(checked(code, n).is_err(), "{code} {n}");
        }
    }
}
