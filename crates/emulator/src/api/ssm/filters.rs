//! Filters of DescribeParameters.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html>

use crate::account::parameter::Parameter;
use crate::api::error::ApiError;
use serde::Deserialize;

/// A filter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

impl Filter {
    /// Refuses a filter that there is not.
    ///
    /// # Errors
    /// `InvalidFilterKey`, `InvalidFilterOption` or `InvalidFilterValue`.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let options: &[&str] = match self.key.as_str() {
            "Name" => &["Equals", "BeginsWith", "Contains"],
            "Path" => &["Recursive", "OneLevel"],
            "Type" | "DataType" | "Tier" => &["Equals"],
            key if key.starts_with("tag:") => &["Equals"],
            other => {
                return Err(ApiError::new(
                    "InvalidFilterKey",
                    format!("The following filter key is not valid: {other}"),
                ));
            }
        };
        if let Some(other) = self.option.as_deref().filter(|o| !options.contains(o)) {
            return Err(ApiError::new(
                "InvalidFilterOption",
                format!("The following filter option is not valid: {other}"),
            ));
        }
        if self.values.is_empty() && !self.key.starts_with("tag:") {
            return Err(ApiError::new(
                "InvalidFilterValue",
                format!("The filter {} has no value", self.key),
            ));
        }
        Ok(())
    }

    /// Whether a parameter passes.
    pub(super) fn pass(&self, p: &Parameter) -> bool {
        let any = |test: &dyn Fn(&str) -> bool| self.values.iter().any(|v| test(v));
        match (self.key.as_str(), self.option.as_deref()) {
            ("Name", Some("BeginsWith")) => any(&|v| p.name.starts_with(v)),
            ("Name", Some("Contains")) => any(&|v| p.name.contains(v)),
            ("Name", _) => any(&|v| p.name == v),
            ("Path", option) => any(&|v| {
                let below = format!("{}/", v.trim_end_matches('/'));
                let rest = p.name.strip_prefix(&below);
                rest.is_some_and(|r| option == Some("Recursive") || !r.contains('/'))
            }),
            ("Type", _) => any(&|v| p.kind == v),
            ("DataType", _) => any(&|v| p.data_type == v),
            ("Tier", _) => any(&|v| v == "Standard"),
            (tag, _) => {
                let value = tag.strip_prefix("tag:").and_then(|key| p.tags.get(key));
                value.is_some_and(|have| self.values.is_empty() || any(&|v| v == have))
            }
        }
    }
}
