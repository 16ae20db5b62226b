//! Files that a pipeline names.

use super::Located;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file or folder on the machine that runs qib.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// As the pipeline's file names it, and where it does.
    pub written: Located<String>,
    /// Where it is: relative to the pipeline's folder unless absolute, with `~/` replaced. Empty until
    /// [`crate::load()`] has resolved it.
    pub path: PathBuf,
    /// Whether it is there.
    pub presence: Presence,
}

/// Whether a file that a pipeline names is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Presence {
    /// It is, and was looked at when the pipeline was loaded.
    #[default]
    There,
    /// It is not: an entry of `preflight` makes it. What it would have given (a script's text) is empty, and must not be
    /// used before the pipeline has been loaded again.
    ToBeMade,
}

impl LocalFile {
    /// Whether it was written as a folder: with a slash at its end.
    pub fn is_written_as_folder(&self) -> bool {
        self.written.ends_with('/')
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is this file, or this folder or something in it.
    pub fn covers(&self, path: &Path) -> bool {
        path == self.path || (self.is_written_as_folder() && path.starts_with(&self.path))
    }
}

impl fmt::Debug for LocalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Serialize for LocalFile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LocalFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            written: Located::deserialize(deserializer)?,
            path: PathBuf::new(),
            presence: Presence::There,
        })
    }
}

impl JsonSchema for LocalFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "LocalFile".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

macro_rules! read_file {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            /// Where it is.
            pub file: LocalFile,
            /// What it held when the pipeline was loaded: what is checked, hashed and sent is the same.
            pub content: Vec<u8>,
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.file.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self { file: LocalFile::deserialize(deserializer)?, content: Vec::new() })
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                LocalFile::json_schema(generator)
            }
        }
    };
}

read_file!(
    /// A script, read when the pipeline is loaded.
    ScriptFile
);
read_file!(
    /// A file of the user's own user-data, read when the pipeline is loaded.
    UserDataFile
);
read_file!(
    /// A file with an image's UEFI variable store, read when the pipeline is loaded.
    UefiDataFile
);
