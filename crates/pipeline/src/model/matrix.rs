//! The combinations of values that a stage is built for.

use super::{AxisName, Later, Located, Scalar};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The combinations of values that a stage is built for: one cell for each, with the values as `${{ matrix.NAME }}`.
///
/// As in GitHub Actions: every combination of the axes' values, less those that `exclude` names; then each entry of
/// `include` in turn adds its values to every combination that it does not contradict in an axis, or, if it contradicts
/// all of them, is a combination of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The axes in the order of the names' parts, each with its values. A value is taken as written: `4.10` stays `4.10`.
    #[serde(default)]
    pub axes: Axes,
    /// Values for the combinations that agree with an entry in its axes, or combinations of their own.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<AxisName, Scalar>>")]
    pub include: Vec<Located<MatrixValues>>,
    /// Combinations to leave out: those that have all of an entry's values.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<AxisName, Scalar>>")]
    pub exclude: Vec<Located<MatrixValues>>,
    /// What to call a cell, such as `${{ matrix.region }}-${{ matrix.os }}`: at most 63 letters, digits, `-`, `_`, `.`,
    /// unique within the stage. Without it the axes' values, joined with `-`.
    pub name: Option<Later<String>>,
}

/// Values by name.
pub type MatrixValues = BTreeMap<Located<AxisName>, Located<String>>;

/// An axis and its values.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name, for `matrix.NAME`.
    pub name: Located<AxisName>,
    /// Its values.
    pub values: Vec<Located<String>>,
}

/// Axes in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Axes(pub Vec<Axis>);

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AxesVisitor;

        impl<'de> Visitor<'de> for AxesVisitor {
            type Value = Axes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of axes, each with a list of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Axes, A::Error> {
                let mut axes = Vec::new();
                while let Some((name, values)) = map.next_entry()? {
                    axes.push(Axis { name, values });
                }
                Ok(Axes(axes))
            }
        }

        deserializer.deserialize_map(AxesVisitor)
    }
}

impl JsonSchema for Axes {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Axes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$" },
            "additionalProperties": {
                "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] },
            },
        })
    }
}
