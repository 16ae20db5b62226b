//! Names, paths and policies as IAM takes them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

use super::Call;
use crate::account::policy::{Kind, Policy};
use crate::api::error::ApiError;

/// IAM's refusal of what a request says.
pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

/// Reads a name: letters, digits and `_+=,.@-`.
pub(super) fn name(call: &Call<'_>, parameter: &str, most: usize) -> Result<String, ApiError> {
    let name = call.top.text(parameter).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || name.len() > most || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and be 1 to {most} characters long",
            lower_first(parameter)
        )));
    }
    Ok(name.to_owned())
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + chars.as_str()
    })
}

/// Reads a role's name.
pub(super) fn role(call: &Call<'_>) -> Result<String, ApiError> {
    name(call, "RoleName", 64)
}

/// Reads an instance profile's name.
pub(super) fn profile(call: &Call<'_>) -> Result<String, ApiError> {
    name(call, "InstanceProfileName", 128)
}

/// Reads `Path`: `/`, or what begins and ends with it.
pub(super) fn path(call: &Call<'_>) -> Result<String, ApiError> {
    let path = call.top.text("Path").unwrap_or("/");
    let formed = path == "/" || path.len() > 2 && path.starts_with('/') && path.ends_with('/');
    let allowed = |c: char| ('\u{21}'..='\u{7e}').contains(&c);
    if !formed || path.len() > 512 || path.contains("//") || !path.chars().all(allowed) {
        return Err(invalid(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
        ));
    }
    Ok(path.to_owned())
}

/// Reads `PathPrefix`.
pub(super) fn path_prefix(call: &Call<'_>) -> Result<String, ApiError> {
    let prefix = call.top.text("PathPrefix").unwrap_or("/");
    match prefix.starts_with('/') {
        true => Ok(prefix.to_owned()),
        false => Err(invalid(
            "The specified value for pathPrefix is invalid. It must begin with /",
        )),
    }
}

/// Reads a policy's document.
///
/// # Errors
/// `MalformedPolicyDocument` for what is none.
pub(super) fn document(call: &Call<'_>, parameter: &str, kind: Kind) -> Result<String, ApiError> {
    let text = call.top.required(parameter)?;
    Policy::parse(text, kind).map_err(|e| ApiError::new("MalformedPolicyDocument", e.0))?;
    Ok(text.to_owned())
}

/// A document as IAM writes it: "The policy document returned in this structure is URL-encoded compliant with RFC 3986."
pub(super) fn encoded(document: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(document, ENCODED).to_string()
}
