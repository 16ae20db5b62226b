//! What volumes of each type can be.
//!
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>

use crate::account::image::EbsDevice;
use crate::api::error::ApiError;
use std::ops::RangeInclusive;

/// What a type of volume can be.
struct Limits {
    size_gib: RangeInclusive<u32>,
    /// Operations per second; none where they cannot be chosen.
    iops: Option<RangeInclusive<u32>>,
    /// The most operations per second for each GiB.
    iops_per_gib: u32,
}

fn limits(volume_type: &str) -> Limits {
    let of = |size_gib, iops, iops_per_gib| Limits {
        size_gib,
        iops,
        iops_per_gib,
    };
    match volume_type {
        "gp3" => of(1..=65_536, Some(3_000..=80_000), 500),
        "io1" => of(4..=16_384, Some(100..=64_000), 50),
        "io2" => of(4..=65_536, Some(100..=256_000), 1_000),
        "st1" | "sc1" => of(125..=16_384, None, 0),
        "standard" => of(1..=1_024, None, 0),
        _ => of(1..=16_384, None, 0),
    }
}

/// Checks size, operations and throughput against the volume's type.
///
/// # Errors
/// `InvalidParameterValue` outside a range, `InvalidParameterCombination` for what the type does not have or for more than its
/// size allows, `MissingParameter` for what it cannot do without.
pub(crate) fn check(v: &EbsDevice) -> Result<(), ApiError> {
    let kind = v.volume_type.as_str();
    let limits = limits(kind);
    let value = |message: String| Err(ApiError::new("InvalidParameterValue", message));
    if !limits.size_gib.contains(&v.size_gib) {
        let (least, most) = (limits.size_gib.start(), limits.size_gib.end());
        return value(format!(
            "Volume size {} GiB is not in the range {least} to {most} GiB of volume type {kind}",
            v.size_gib
        ));
    }
    match (&limits.iops, v.iops) {
        (Some(_), None) if kind != "gp3" => {
            return Err(ApiError::new(
                "MissingParameter",
                format!("The parameter iops must be specified for {kind} volumes"),
            ));
        }
        (None, Some(_)) => {
            return Err(ApiError::combination(format!(
                "The parameter iops is not supported for {kind} volumes."
            )));
        }
        (Some(range), Some(iops)) if !range.contains(&iops) => {
            let (least, most) = (range.start(), range.end());
            return value(format!(
                "Volume iops of {iops} is not in the range {least} to {most} of volume type {kind}"
            ));
        }
        // A gp3 volume of any size has its first 3000.
        (Some(_), Some(iops))
            if iops > v.size_gib.saturating_mul(limits.iops_per_gib)
                && !(kind == "gp3" && iops == 3_000) =>
        {
            let (ratio, most) = (f64::from(iops) / f64::from(v.size_gib), limits.iops_per_gib);
            return value(format!(
                "Iops to volume size ratio of {ratio:.6} is too high; maximum is {most}"
            ));
        }
        _ => {}
    }
    match v.throughput {
        Some(_) if kind != "gp3" => Err(ApiError::combination(format!(
            "The parameter throughput is not supported for {kind} volumes."
        ))),
        Some(mib) if !(125..=2_000).contains(&mib) => value(format!(
            "Throughput of {mib} MiB/s is not in the range 125 to 2000 of volume type gp3"
        )),
        // "0.25 MiB/s per provisioned IOPS"
        Some(mib) if mib * 4 > v.iops.unwrap_or(3_000) => Err(ApiError::combination(format!(
            "Throughput (MiBps) to iops ratio of {:.6} is too high; maximum is 0.250000 MiBps per iops",
            f64::from(mib) / f64::from(v.iops.unwrap_or(3_000))
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: &str, size_gib: u32, iops: Option<u32>, throughput: Option<u32>) -> String {
        let volume = EbsDevice {
            snapshot: None,
            size_gib,
            volume_type: kind.to_owned(),
            iops,
            throughput,
            delete_on_termination: true,
            encrypted: false,
            kms_key: None,
        };
        check(&volume).map_or_else(|e| e.code().to_owned(), |()| "good".to_owned())
    }

    #[test]
    fn each_type_has_its_own() {
        for (kind, size, iops, throughput, expected) in [
            ("gp2", 1, None, None, "good"),
            ("gp2", 16_385, None, None, "InvalidParameterValue"),
            ("gp2", 8, Some(100), None, "InvalidParameterCombination"),
            ("gp2", 8, None, Some(125), "InvalidParameterCombination"),
            ("gp3", 1, Some(3_000), Some(125), "good"),
            ("gp3", 8, Some(2_999), None, "InvalidParameterValue"),
            ("gp3", 8, Some(4_000), Some(1_000), "good"),
            ("gp3", 8, Some(4_001), None, "InvalidParameterValue"),
            ("gp3", 8, None, Some(751), "InvalidParameterCombination"),
            ("gp3", 8, None, Some(124), "InvalidParameterValue"),
            ("io1", 4, Some(200), None, "good"),
            ("io1", 4, Some(201), None, "InvalidParameterValue"),
            ("io1", 3, Some(100), None, "InvalidParameterValue"),
            ("io1", 4, None, None, "MissingParameter"),
            ("io2", 4, Some(4_000), None, "good"),
            ("st1", 124, None, None, "InvalidParameterValue"),
            ("standard", 1_024, None, None, "good"),
            ("standard", 1_025, None, None, "InvalidParameterValue"),
        ] {
            assert_eq!(
                checked(kind, size, iops, throughput),
                expected,
                "{kind} {size} {iops:?} {throughput:?}"
            );
        }
    }
}
