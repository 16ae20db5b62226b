//! The user's own user-data: a file, or a text in place.

use super::word_or_map::WordOrMap;
use super::{LocalFile, Located, UserDataFile};
use crate::Span;
use crate::template::Template;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::path::PathBuf;

/// User-data of the user's own. (EC2 User Guide, "Run commands when you launch an EC2 instance with user data input".)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserData {
    /// A file's, sent as it is.
    File(UserDataFile),
    /// A text, in which run-time expressions are filled in. It may hold no secret: whoever is in the instance, or may
    /// describe it, reads user-data.
    Content(Template),
}

impl UserData {
    /// Where it stands, or is named, in the pipeline's file.
    pub fn span(&self) -> Span {
        match self {
            Self::File(file) => file.file.written.span,
            Self::Content(text) => text.span(),
        }
    }
}

/// User-data as it is written, before it has its place.
pub(super) enum UserDataChoice {
    Path(String),
    Content(Template),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserDataContent {
    /// The user-data itself, for example `"#cloud-config\npackages: [jq]\n"`. It may hold no secret.
    content: Template,
}

impl UserDataChoice {
    pub(super) fn placed(this: Located<Self>) -> UserData {
        match this.value {
            Self::Content(text) => UserData::Content(text),
            Self::Path(path) => UserData::File(UserDataFile {
                file: LocalFile {
                    written: Located::new(path, this.span),
                    path: PathBuf::new(),
                    presence: super::Presence::There,
                },
                content: Vec::new(),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for UserDataChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "the path of a file or { content: TEXT }",
            word: |path| Ok(Self::Path(path.to_owned())),
            map: |file: UserDataContent| Ok(Self::Content(file.content)),
        }
        .read(deserializer)
    }
}

impl JsonSchema for UserDataChoice {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "UserData".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = LocalFile::json_schema(generator);
        let content = UserDataContent::json_schema(generator);
        json_schema!({ "anyOf": [file, content] })
    }
}
