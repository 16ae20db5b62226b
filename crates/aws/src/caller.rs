//! Who calls: GetCallerIdentity.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use aws_sdk_sts::Client;
use cloud::port::Result;
use cloud::{AccountId, CallerIdentity};

pub(crate) async fn identity(sts: &Client) -> Result<CallerIdentity> {
    const CALL: &str = "GetCallerIdentity";
    let answer = sts
        .get_caller_identity()
        .send()
        .await
        .map_err(failed(CALL))?;
    let read = || {
        Ok(CallerIdentity {
            account: AccountId::from(required(answer.account(), "Account")?),
            arn: required(answer.arn(), "Arn")?.to_owned(),
        })
    };
    read().map_err(BadAnswer::to(CALL))
}
