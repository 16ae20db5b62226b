//! Settings of the account that change while it is served: what its user may do, and its quotas.

use super::Engine;
use crate::account::Account;
use crate::account::policy::{Kind, Policy};
use crate::account::quotas::{self, Values};
use serde_json::Value;

/// A setting that is not taken, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(String);

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What the account's user may do: an IAM policy.
    Policy,
    /// Quotas by code.
    Quotas,
}

impl Engine {
    /// A setting as it is in force: what was set, else what the configuration says.
    pub(crate) fn setting(&self, setting: Setting) -> Value {
        let account = self.account();
        match setting {
            Setting::Policy => {
                let set = account.user_policy.as_ref();
                set.or(self.config.policy.as_ref())
                    .cloned()
                    .unwrap_or(Value::Null)
            }
            Setting::Quotas => {
                let mut values = self.config.quotas.clone();
                values.extend(account.quotas.clone());
                serde_json::to_value(values).unwrap_or_default()
            }
        }
    }

    /// Sets it, or goes back to what the configuration says.
    ///
    /// # Errors
    /// If it is not what it should be; nothing has changed then.
    pub(crate) fn set(&self, setting: Setting, to: Option<&[u8]>) -> Result<(), BadSetting> {
        let bad = |e: &dyn std::fmt::Display| BadSetting(e.to_string());
        let value: Option<Value> = to
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|e| bad(&e))?;
        let change: Box<dyn FnOnce(&mut Account)> = match setting {
            Setting::Policy => {
                if let Some(document) = &value {
                    Policy::of_value(document, Kind::Identity).map_err(|e| bad(&e))?;
                }
                Box::new(|account| account.user_policy = value)
            }
            Setting::Quotas => {
                let values: Values = match value {
                    Some(value) => serde_json::from_value(value).map_err(|e| bad(&e))?,
                    None => Values::new(),
                };
                quotas::check(&values).map_err(BadSetting)?;
                Box::new(|account| account.quotas = values)
            }
        };
        self.update(change);
        Ok(())
    }
}
