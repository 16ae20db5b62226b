//! SSM parameters: GetParameter, GetParametersByPath, PutParameter, DeleteParameter.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{self, ParameterType};
use cloud::port::Result;
use cloud::{Depth, ErrorKind, Parameter, ParameterWrite};

/// The largest page that GetParametersByPath gives.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html>
const PAGE: i32 = 10;

pub(crate) async fn get(ssm: &Client, name: &str) -> Result<Option<Parameter>> {
    const CALL: &str = "GetParameter";
    let answer = match ssm
        .get_parameter()
        .name(name)
        .send()
        .await
        .map_err(failed(CALL))
    {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.about(name)),
    };
    required(answer.parameter(), "Parameter")
        .and_then(parameter)
        .map(Some)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

pub(crate) async fn below(ssm: &Client, path: &str, depth: Depth) -> Result<Vec<Parameter>> {
    const CALL: &str = "GetParametersByPath";
    let mut pages = ssm
        .get_parameters_by_path()
        .path(path)
        .recursive(depth == Depth::All)
        .into_paginator()
        .page_size(PAGE)
        .send();
    let mut parameters = Vec::new();
    while let Some(page) = pages
        .try_next()
        .await
        .map_err(|error| failed(CALL)(error).about(path))?
    {
        for answered in page.parameters() {
            parameters
                .push(parameter(answered).map_err(|bad| BadAnswer::to(CALL)(bad).about(path))?);
        }
    }
    Ok(parameters)
}

fn parameter(answered: &types::Parameter) -> std::result::Result<Parameter, BadAnswer> {
    Ok(Parameter {
        name: required(answered.name(), "Name")?.to_owned(),
        value: required(answered.value(), "Value")?.to_owned(),
        version: answered.version(),
    })
}

/// With [`ParameterWrite::CreateOnly`] a repeat after a lost answer fails as a duplicate though the first attempt made
/// the parameter: the caller sees by the value whether it is its own.
pub(crate) async fn put(
    ssm: &Client,
    name: &str,
    value: &str,
    write: ParameterWrite,
) -> Result<i64> {
    let answer = ssm
        .put_parameter()
        .name(name)
        .value(value)
        .r#type(ParameterType::String)
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
