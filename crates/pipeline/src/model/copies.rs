//! The other regions that an image is copied to.

use super::{KmsKeyId, Located, Region};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A region that the image is copied to, and how its copy is encrypted. (EC2 API, CopyImage.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyTarget {
    /// The region.
    pub region: Located<Region>,
    /// Whether the copy's snapshots are encrypted. Those of an encrypted image always are.
    pub encrypted: Option<Located<bool>>,
    /// The KMS key of that region to encrypt them with; without it the account's key for EBS there.
    pub kms_key_id: Option<Located<KmsKeyId>>,
}

/// A region, and how the copy in it is encrypted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CopyTargetFile {
    /// The region to copy to.
    region: Located<Region>,
    /// Whether the copy's snapshots are encrypted. Those of an encrypted image always are.
    encrypted: Option<Located<bool>>,
    /// The KMS key of that region to encrypt them with, by id, alias or ARN. Without it the account's key for EBS there.
    kms_key_id: Option<Located<KmsKeyId>>,
}

impl<'de> Deserialize<'de> for CopyTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetVisitor;

        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = (Option<Region>, Option<CopyTargetFile>);

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a region, or { region: REGION, encrypted: true, kms_key_id: KEY }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok((Some(Region::new(text).map_err(E::custom)?), None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let file = CopyTargetFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok((None, Some(file)))
            }
        }

        match deserializer.deserialize_any(TargetVisitor)? {
            (_, Some(file)) => Ok(Self {
                region: file.region,
                encrypted: file.encrypted,
                kms_key_id: file.kms_key_id,
            }),
            (Some(region), None) => Ok(Self {
                // The entry that holds it knows its place.
                region: Located::new(region, crate::Span::START),
                encrypted: None,
                kms_key_id: None,
            }),
            (None, None) => Err(de::Error::custom("a copy needs a region")),
        }
    }
}

impl JsonSchema for CopyTarget {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "CopyTarget".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let region = Region::json_schema(generator);
        let target = CopyTargetFile::json_schema(generator);
        json_schema!({ "anyOf": [region, target] })
    }
}
