//! Service Quotas: GetServiceQuota, GetAWSDefaultServiceQuota.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::types::ServiceQuota;
use cloud::port::Result;
use cloud::{ErrorKind, Quota};

/// A quota that was never changed may be known by its default only.
/// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>
pub(crate) async fn get(quotas: &Client, service: &str, code: &str) -> Result<Option<Quota>> {
    const APPLIED: &str = "GetServiceQuota";
    const DEFAULT: &str = "GetAWSDefaultServiceQuota";
    let applied = quotas
        .get_service_quota()
        .service_code(service)
        .quota_code(code)
        .send()
        .await
        .map_err(failed(APPLIED));
    match applied {
        Ok(answer) => return read(APPLIED, answer.quota(), code).map(Some),
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error.about(code)),
    }
    let default = quotas
        .get_aws_default_service_quota()
        .service_code(service)
        .quota_code(code)
        .send()
        .await
        .map_err(failed(DEFAULT));
    match default {
        Ok(answer) => read(DEFAULT, answer.quota(), code).map(Some),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.about(code)),
    }
}

fn read(call: &'static str, answered: Option<&ServiceQuota>, code: &str) -> Result<Quota> {
    let read = || {
        let quota = required(answered, "Quota")?;
        Ok(Quota {
            name: quota.quota_name().unwrap_or(code).to_owned(),
            value: required(quota.value(), "Value")?,
        })
    };
    read().map_err(|bad| BadAnswer::to(call)(bad).about(code))
}
