//! What disk images that go through S3 need: a bucket in the region, and the role that EC2 reads it as.

use super::check::{Answer, Check, Kind};
use crate::plan::Sight;
use crate::ports::Ports;
use crate::selection::ChosenCell;
use cloud::{ErrorKind, Iam, Region};
use futures::future::join_all;
use pipeline::model::Via;

pub(super) async fn checks(sight: &Sight<'_>, ports: &Ports) -> Vec<Check> {
    let cells = sight.selection.cells.iter();
    let open = cells.filter(|chosen| !sight.closed.contains_key(&chosen.region));
    let iam = ports.account.iam();
    let asked = open.map(|chosen| {
        let region = ports.account.region(&chosen.region);
        let iam = iam.clone();
        async move { of_cell(chosen, region.as_ref(), iam.as_ref()).await }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn of_cell(chosen: &ChosenCell<'_>, region: &dyn Region, iam: &dyn Iam) -> Vec<Check> {
    let Some(Via::S3 { bucket, role, .. }) = chosen.cell.import().map(|import| &import.via) else {
        return Vec::new();
    };
    let (bucket, role) = (bucket.as_str(), role.as_str());
    let check = |asked: String, answer: Answer, detail: String| {
        let asked = format!("{}: {asked}", chosen.name);
        Check::new(Kind::Cell, Some(&chosen.region), asked, answer, detail)
    };
    let objects = region.objects();
    let (found, trusted) = futures::join!(objects.bucket_region(bucket), iam.role(role));
    let (answer, detail) = match found {
        Ok(Some(there)) if there == chosen.region.as_str() => {
            (Answer::Allowed, String::from("it is in the region"))
        }
        Ok(Some(there)) => (
            Answer::Denied,
            format!("it is in {there}, and EC2 imports from buckets of its own region"),
        ),
        Ok(None) => (
            Answer::Unknown,
            String::from("S3 does not say in which region it is"),
        ),
        Err(error) if error.kind == ErrorKind::NotFound => {
            (Answer::Denied, String::from("there is none of this name"))
        }
        Err(error) => (Answer::Unknown, error.to_string()),
    };
    let of_bucket = check(format!("the bucket `{bucket}`"), answer, detail);
    let of_bucket = match answer {
        Answer::Denied => {
            of_bucket.with_next("name a bucket of the stage's region, or take `via: ebs`")
        }
        _ => of_bucket,
    };
    let (answer, detail) = match trusted {
        Ok(Some(_)) => (
            Answer::Allowed,
            String::from(
                "it is there; whether it trusts vmie.amazonaws.com and may read the bucket is not asked",
            ),
        ),
        Ok(None) => (Answer::Denied, String::from("there is none of this name")),
        Err(error) => (Answer::Unknown, error.to_string()),
    };
    let of_role = check(format!("the role `{role}`"), answer, detail);
    let of_role = match answer {
        Answer::Denied => of_role.with_next(
            "https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html says how to make it; or take `via: ebs`",
        ),
        _ => of_role,
    };
    vec![of_bucket, of_role]
}
