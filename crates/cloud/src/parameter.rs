//! SSM parameters, which carry qib's leases.

use std::time::Duration;

/// A parameter's value and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its full name, such as `/qib/leases/…`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What its value is.
    pub kind: ParameterKind,
    /// Counts its writes; starts at 1.
    pub version: i64,
    /// How long ago it was last written, by the service's own clock at the moment of the answer: no two machines'
    /// clocks are compared.
    pub age: Duration,
}

/// What a parameter's value is (`DataType`).
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    #[default]
    Text,
    /// The id of an image (`aws:ec2:image`), which SSM checks, some time after the write.
    Image,
}

/// How far down a read by path goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The names directly below the path.
    OneLevel,
    /// All names below the path.
    All,
}

/// Whether a write may replace an existing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterWrite {
    /// Fails with [`crate::ErrorKind::Duplicate`] if the parameter exists: the only atomic claim that SSM offers.
    CreateOnly,
    /// Replaces the value.
    Overwrite,
}
