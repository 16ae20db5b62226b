//! Where cloud-init keeps its state, and in which form.

use std::io;

use serde_json::{Value, json};

/// State that outlives a boot.
pub const FOLDER: &str = "/var/lib/cloud";
/// State of this boot.
pub const RUN_FOLDER: &str = "/run/cloud-init";
/// Written when the boot is over.
pub const RESULT: &str = "/run/cloud-init/result.json";
/// How far the boot is.
pub const STATUS: &str = "/run/cloud-init/status.json";
/// What scripts print.
pub const OUTPUT_LOG: &str = "/var/log/cloud-init-output.log";

/// The text of `result.json`.
pub fn result_text(errors: &[String]) -> String {
    json!({ "v1": { "datasource": "DataSourceEc2Local", "errors": errors } }).to_string()
}

/// The errors in a `result.json`; `None` if it is not one.
pub fn errors_in_result(text: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let errors = value.get("v1")?.get("errors")?.as_array()?;
    Some(
        errors
            .iter()
            .map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned))
            .collect(),
    )
}

/// Writes a file so that whoever sees it sees all of it.
///
/// # Errors
/// If it cannot be written or moved into place.
pub fn write_whole(path: &str, text: &str) -> io::Result<()> {
    let half = format!("{path}.tmp");
    std::fs::write(&half, text)?;
    std::fs::rename(half, path)
}
