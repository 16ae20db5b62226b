//! STS: who am I.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::Cx;
use super::ec2::params::Params;
use super::ec2::xml::Xml;
use super::error::ApiError;
use crate::account::ACCOUNT_ID;

/// Carries out an action; its answer's content.
///
/// # Errors
/// `InvalidAction` for anything but GetCallerIdentity.
pub fn run(action: &str, params: &Params, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    for name in ["Action", "Version"] {
        let _ = params.top().text(name);
    }
    if action != "GetCallerIdentity" {
        return Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {action} for version 2011-06-15"),
        ));
    }
    params.finish()?;
    let mut x = Xml::new();
    x.put("Arn", cx.caller.arn())
        .put("UserId", cx.caller.user_id())
        .put("Account", ACCOUNT_ID);
    Ok(x)
}
