//! SSM parameters: GetParameter, GetParametersByPath, PutParameter, DeleteParameter.

use crate::answer::{BadAnswer, moment, required};
use crate::classify::failed;
use crate::service_date::ServiceDate;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{self, ParameterType};
use cloud::port::Result;
use cloud::{Depth, ErrorKind, Parameter, ParameterKind, ParameterWrite, Timestamp};

/// The largest page that GetParametersByPath gives.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html>
const PAGE: i32 = 10;

/// The data type of a parameter that is the id of an image.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>
const IMAGE: &str = "aws:ec2:image";

pub(crate) async fn get(ssm: &Client, name: &str) -> Result<Option<Parameter>> {
    const CALL: &str = "GetParameter";
    let date = ServiceDate::default();
    let answer = match ssm
        .get_parameter()
        .name(name)
        .customize()
        .interceptor(date.clone())
        .send()
        .await
        .map_err(failed(CALL))
    {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.about(name)),
    };
    required(answer.parameter(), "Parameter")
        .and_then(|answered| parameter(answered, date.get()?))
        .map(Some)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

/// Page by page, since each page has a date of its own.
pub(crate) async fn below(ssm: &Client, path: &str, depth: Depth) -> Result<Vec<Parameter>> {
    const CALL: &str = "GetParametersByPath";
    let mut parameters = Vec::new();
    let mut next_token = None;
    loop {
        let date = ServiceDate::default();
        let page = ssm
            .get_parameters_by_path()
            .path(path)
            .recursive(depth == Depth::All)
            .max_results(PAGE)
            .set_next_token(next_token)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| failed(CALL)(error).about(path))?;
        let bad = |bad| BadAnswer::to(CALL)(bad).about(path);
        if !page.parameters().is_empty() {
            let date = date.get().map_err(bad)?;
            for answered in page.parameters() {
                parameters.push(parameter(answered, date).map_err(bad)?);
            }
        }
        next_token = page.next_token.filter(|token| !token.is_empty());
        if next_token.is_none() {
            return Ok(parameters);
        }
    }
}

fn parameter(
    answered: &types::Parameter,
    answered_at: Timestamp,
) -> std::result::Result<Parameter, BadAnswer> {
    const WRITTEN: &str = "LastModifiedDate";
    let written = required(answered.last_modified_date().and_then(moment), WRITTEN)?;
    Ok(Parameter {
        name: required(answered.name(), "Name")?.to_owned(),
        value: required(answered.value(), "Value")?.to_owned(),
        kind: match answered.data_type() {
            Some(IMAGE) => ParameterKind::Image,
            _ => ParameterKind::Text,
        },
        version: answered.version(),
        // The date has whole seconds: what was written in the same one seems to lie ahead of it, and is new.
        age: cloud::clock::between(written, answered_at),
    })
}

/// With [`ParameterWrite::CreateOnly`] a repeat after a lost answer fails as a duplicate though the first attempt made
/// the parameter: the caller sees by the value whether it is its own.
pub(crate) async fn put(
    ssm: &Client,
    name: &str,
    value: &str,
    kind: ParameterKind,
    write: ParameterWrite,
) -> Result<i64> {
    let answer = ssm
        .put_parameter()
        .name(name)
        .value(value)
        .r#type(ParameterType::String)
        .set_data_type(match kind {
            // What SSM does by itself.
            ParameterKind::Text => None,
            ParameterKind::Image => Some(IMAGE.to_owned()),
        })
        .overwrite(match write {
            ParameterWrite::CreateOnly => false,
            ParameterWrite::Overwrite => true,
        })
        .send()
        .await
        .map_err(|error| failed("PutParameter")(error).about(name))?;
    Ok(answer.version())
}

pub(crate) async fn delete(ssm: &Client, name: &str) -> Result<()> {
    match ssm
        .delete_parameter()
        .name(name)
        .send()
        .await
        .map_err(failed("DeleteParameter"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(name)),
    }
}
