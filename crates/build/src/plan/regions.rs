//! Regions that the account does not use.

use cloud::{Account, CloudError, ErrorKind, OptIn, RegionName};
use std::collections::{BTreeMap, BTreeSet};

/// The error that every call to a region ends with that the account has not opted in to, in words that say so: EC2 itself
/// says that the credentials are wrong.
/// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>
///
/// `default` is asked, the region that one works in anyway. Where it may not be asked, nothing is known, and each region
/// answers for itself.
pub async fn closed(
    account: &dyn Account,
    default: &RegionName,
    regions: &BTreeSet<RegionName>,
) -> BTreeMap<RegionName, CloudError> {
    if regions.iter().all(|region| region == default) {
        return BTreeMap::new();
    }
    let known = account.region(default).regions().await.unwrap_or_default();
    let error = |region: &RegionName, code: &str, message: &str| {
        let error = CloudError {
            operation: "DescribeRegions",
            resource: Some(region.to_string()),
            kind: ErrorKind::InvalidInput,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
        };
        (region.clone(), error)
    };
    regions
        .iter()
        .filter(|_| !known.is_empty())
        .filter_map(|region| match known.iter().find(|one| one.name == *region) {
            Some(one) if one.opt_in == OptIn::NotOptedIn => Some(error(
                region,
                "not-opted-in",
                "the account has not opted in to the region; `aws account enable-region` does, and takes minutes",
            )),
            Some(_) => None,
            None => Some(error(region, "unknown", "AWS has no region of this name")),
        })
        .collect()
}
