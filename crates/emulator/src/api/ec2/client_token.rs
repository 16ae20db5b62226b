//! ClientToken: the same request twice makes one thing.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>

use super::params::Scope;
use crate::account::region::TokenUse;
use crate::api::Cx;
use crate::api::error::ApiError;

/// A request's token, with what the request asks for.
#[derive(Clone, Debug)]
pub(crate) struct ClientToken {
    text: String,
    fingerprint: String,
}

impl ClientToken {
    /// Reads `ClientToken`, if given: "up to 64 ASCII characters".
    ///
    /// # Errors
    /// `InvalidParameterValue` for one that EC2 would refuse.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Option<Self>, ApiError> {
        let Some(text) = p.text("ClientToken").filter(|t| !t.is_empty()) else {
            return Ok(None);
        };
        if text.len() > 64 || !text.is_ascii() {
            return Err(ApiError::invalid_value(
                "ClientToken",
                text,
                "Up to 64 ASCII characters.",
            ));
        }
        Ok(Some(Self {
            text: text.to_owned(),
            fingerprint: p.fingerprint(&["ClientToken"]),
        }))
    }

    /// The token.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What an earlier request with the same token and parameters made.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` if the parameters were others.
    pub(crate) fn made_before(
        &self,
        cx: &mut Cx<'_>,
        action: &str,
    ) -> Result<Option<String>, ApiError> {
        match cx.region().client_tokens.get(&self.key(action)) {
            Some(used) if used.fingerprint == self.fingerprint => Ok(Some(used.made.clone())),
            Some(_) => Err(ApiError::new(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )),
            None => Ok(None),
        }
    }

    /// Writes down what the request made.
    pub(crate) fn remember(self, cx: &mut Cx<'_>, action: &str, made: &str) {
        let (key, at) = (self.key(action), cx.now);
        cx.region().client_tokens.insert(
            key,
            TokenUse {
                fingerprint: self.fingerprint,
                made: made.to_owned(),
                at,
            },
        );
    }

    fn key(&self, action: &str) -> String {
        format!("{action} {}", self.text)
    }
}
