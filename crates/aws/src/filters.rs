//! EC2's filters, and its limit on their values.

use aws_sdk_ec2::types::Filter;
use std::fmt::Display;

/// "You can specify up to 50 filters and up to 200 values per filter in a single request."
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html> and
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
pub(crate) const VALUES_PER_FILTER: usize = 200;

/// The largest page that the Describe calls give. Without a page size EC2 tries to send all at once, and may time out.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination>
pub(crate) const PAGE: i32 = 1000;

/// One filter.
pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = impl Display>) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().map(|v| v.to_string()).collect()))
        .build()
}

/// The port's filters as the SDK's; none if there are none, so that no empty list is sent.
pub(crate) fn filters(given: &[(String, Vec<String>)]) -> Option<Vec<Filter>> {
    (!given.is_empty()).then(|| {
        given
            .iter()
            .map(|(name, values)| filter(name, values))
            .collect()
    })
}

/// The filters of each request that it takes to ask for all of `ids`: `given` and as many ids as one request may have.
///
/// Ids go into a filter and not into the request's own list of ids because EC2 refuses a list with an unknown id in
/// it, while a filter leaves it out; a resource made a moment ago may be unknown yet.
pub(crate) fn requests<Id: Display>(
    id_filter: &str,
    ids: &[Id],
    given: &[(String, Vec<String>)],
) -> Vec<Option<Vec<Filter>>> {
    if ids.is_empty() {
        return vec![filters(given)];
    }
    ids.chunks(VALUES_PER_FILTER)
        .map(|ids| {
            let mut all = filters(given).unwrap_or_default();
            all.push(filter(id_filter, ids));
            Some(all)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ids_and_no_filters_send_nothing() {
        assert_eq!(requests::<String>("image-id", &[], &[]), [None]);
    }

    #[test]
    fn ids_are_split_at_the_limit_and_each_request_has_the_filters() {
        let ids: Vec<String> = (0..401).map(|n| format!("i-{n}")).collect();
        let given = [("tag:qib:run".to_owned(), vec!["r1".to_owned()])];
        let requests = requests("instance-id", &ids, &given);
        let sizes: Vec<usize> = requests
            .iter()
            .map(|request| request.as_ref().unwrap()[1].values().len())
            .collect();
        assert_eq!(sizes, [200, 200, 1]);
        for request in &requests {
            let request = request.as_ref().unwrap();
            assert_eq!(request[0].name(), Some("tag:qib:run"));
            assert_eq!(request[1].name(), Some("instance-id"));
        }
    }
}
