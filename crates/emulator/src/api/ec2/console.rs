//! What an instance wrote to its console.

use super::Action;
use super::instances::existing;
use super::params::Scope;
use super::xml::Xml;
use crate::account::instance_types;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::InstanceId;
use base64::prelude::{BASE64_STANDARD, Engine};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html>
pub(crate) struct GetConsoleOutput {
    id: InstanceId,
    latest: bool,
}

/// "GetConsoleOutput returns up to 64 KB of console output."
pub(crate) const MOST_BYTES: u64 = 64 * 1024;

impl Action for GetConsoleOutput {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: InstanceId::parse(p.required("InstanceId")?)?,
            latest: p.flag("Latest")?.unwrap_or(false),
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let instance = existing(cx, &self.id)?;
        let nitro = instance_types::find(&instance.instance_type).is_some_and(|t| t.nitro());
        // "If Latest is specified for an instance type that does not support it, the request fails."
        if self.latest && !nitro {
            let message = "This instance type does not support retrieving the latest console logs.";
            return Err(ApiError::new("UnsupportedOperation", message));
        }
        let output = (cx.console)(&self.id).map_err(|e| {
            ApiError::new(
                "InternalError",
                format!("cannot read the console of {}: {e}", self.id),
            )
            .with_status(500)
        })?;
        let mut x = Xml::new();
        x.put("instanceId", &self.id)
            .put("timestamp", cx.now)
            .put("output", BASE64_STANDARD.encode(output));
        Ok(x)
    }
}
