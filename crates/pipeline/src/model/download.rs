//! Fetching from the instance.

use super::{Located, UserName};
use crate::template::Template;
use schemars::JsonSchema;
use serde::Deserialize;

/// Fetches a file or a folder from the instance to the machine that runs qib.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// A file on the instance, or a folder with a slash at its end: relative to the login user's home, or absolute.
    pub from: Located<String>,
    /// Where to put it, relative to the pipeline's file. Folders that are missing are made. A folder's content goes into
    /// the folder named here; a file goes into it under its own name if this ends in a slash. It is readable by its
    /// owner only. Several cells must not write to the same place: `${{ cell }}` tells them apart.
    pub to: Template,
    /// The user whose rights read it (through sudo); without it the login user's.
    #[serde(rename = "become")]
    pub become_user: Option<Located<UserName>>,
}

impl Download {
    /// Whether a folder is fetched.
    pub fn is_folder(&self) -> bool {
        self.from.ends_with('/')
    }
}
