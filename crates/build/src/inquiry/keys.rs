//! KMS keys: whether they are there, enabled, and may be given to EBS.

use super::check::{Answer, Check, Kind};
use crate::permissions::Features;
use crate::plan::Sight;
use crate::ports::Ports;
use cloud::{CloudError, KmsKey, RegionName, Verdict};
use futures::future::join_all;

/// `known` are the checks of permissions.
pub(super) async fn checks(sight: &Sight<'_>, ports: &Ports, known: &[Check]) -> Vec<Check> {
    let grants = |region: &RegionName| {
        let of = known.iter().find(|check| {
            check.asked == "kms:CreateGrant" && check.region.as_deref() == Some(region.as_str())
        });
        of.map_or(Answer::Unknown, |check| check.answer)
    };
    let grants = &grants;
    let features = Features::of(&sight.selection.cells);
    let keys = features
        .keys
        .iter()
        .filter(|(region, _)| !sight.closed.contains_key(region));
    let asked = keys.map(|(region, key)| async move {
        let there = ports.account.region(region);
        let found = there.kms_key(key).await;
        let mut checks = vec![state(region, key, &found)];
        if matches!(&found, Ok(Some(found)) if found.enabled) {
            let verdict = there.kms_grant(key).await;
            checks.push(grant(region, key, verdict, grants(region)));
        }
        checks
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn state(region: &RegionName, key: &str, found: &Result<Option<KmsKey>, CloudError>) -> Check {
    let check = |answer, detail: String| Check::new(Kind::Key, Some(region), key, answer, detail);
    match found {
        Ok(Some(found)) if found.enabled => {
            check(Answer::Allowed, format!("{} is enabled", found.arn))
        }
        Ok(Some(found)) => check(Answer::Denied, format!("{} is not enabled", found.arn))
            .with_next(format!(
                "aws kms enable-key --region {region} --key-id {}",
                found.arn
            )),
        Ok(None) => check(Answer::Denied, String::from("there is no such key")).with_next(format!(
            "`aws kms list-aliases --region {region}` lists them"
        )),
        Err(error) => check(Answer::Unknown, error.to_string()),
    }
}

/// A denial is no proof: policies that let only AWS's services have grants refuse the question as well. Then it counts what
/// is known of the permission by other means.
fn grant(
    region: &RegionName,
    key: &str,
    verdict: Result<Verdict, CloudError>,
    permitted: Answer,
) -> Check {
    let asked = format!("a grant of {key} for EBS");
    let check =
        |answer, detail: String| Check::new(Kind::Key, Some(region), &asked, answer, detail);
    match (verdict, permitted) {
        (Ok(Verdict::Allowed), _) => check(Answer::Allowed, String::from("asked with DryRun")),
        (Ok(Verdict::Denied(_)), Answer::Allowed) => check(
            Answer::Allowed,
            String::from("permitted for AWS's services (kms:GrantIsForAWSResource)"),
        ),
        (Ok(Verdict::Denied(words)), _) => check(
            Answer::Warning,
            format!(
                "{words}. A policy that permits grants for AWS's services alone (kms:GrantIsForAWSResource) refuses the \
                 question, too, and is enough"
            ),
        ),
        (Ok(Verdict::Unknown(words)), _) => check(Answer::Unknown, words),
        (Err(error), _) => check(Answer::Unknown, error.to_string()),
    }
}
