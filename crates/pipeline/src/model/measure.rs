//! Amounts: sizes, durations, file modes, networks.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A volume's size in GiB, at least 1. (EC2 API, EbsBlockDevice, `VolumeSize`: up to 65,536.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Gib(u32);

impl Gib {
    /// Checks a size in GiB.
    ///
    /// # Errors
    /// When it is 0 or over 65,536.
    pub fn new(gib: u32) -> Result<Self, String> {
        if (1..=65_536).contains(&gib) {
            Ok(Self(gib))
        } else {
            Err(format!("a volume has 1 to 65536 GiB, not {gib}"))
        }
    }

    /// The size in GiB.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Gib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Gib {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Gib".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65536 })
    }
}

/// A length of time as the file has it: `90s`, `6m`, `2h`, `30d`, or several parts such as `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// A length of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads `6m`, `30d`, `2h`, `90s`, `1h30m`.
    ///
    /// # Errors
    /// A sentence that says which form is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not a duration such as 90s, 6m, 2h, 30d or 1h30m");
        let mut rest = text;
        let mut seconds: u64 = 0;
        if rest.is_empty() {
            return Err(expected());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| expected())?;
            let mut chars = tail.chars();
            let unit: u64 = match chars.next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3_600,
                Some('d') => 86_400,
                _ => return Err(expected()),
            };
            rest = chars.as_str();
            seconds = number
                .checked_mul(unit)
                .and_then(|n| n.checked_add(seconds))
                .ok_or_else(expected)?;
        }
        // Ten years: beyond it sums with today's date begin to overflow, and nobody means it.
        if seconds == 0 || seconds > 3_650 * 86_400 {
            return Err(format!("{text:?} is not a duration between 1s and 3650d"));
        }
        Ok(Self::from_secs(seconds))
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.as_secs();
        if seconds == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
            if seconds >= unit {
                write!(f, "{}{name}", seconds / unit)?;
                seconds %= unit;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+[smhd])+$", "format": "duration" })
    }
}

/// How long an instance lives before it terminates itself: at least ten minutes, four hours unless something is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Lifetime(TimeSpan);

impl Lifetime {
    /// The shortest life: booting and connecting alone may take most of it.
    const SHORTEST: TimeSpan = TimeSpan::from_secs(10 * 60);

    /// Checks a lifetime.
    ///
    /// # Errors
    /// When it is under ten minutes.
    pub fn new(span: TimeSpan) -> Result<Self, String> {
        if span >= Self::SHORTEST {
            Ok(Self(span))
        } else {
            Err(format!(
                "an instance lives at least {}, not {span}",
                Self::SHORTEST
            ))
        }
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0.get()
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self(TimeSpan::from_secs(4 * 3_600))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(TimeSpan::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Lifetime {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        TimeSpan::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        TimeSpan::json_schema(generator)
    }
}

/// A file's permission bits, written in octal: `"0644"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// Reads octal digits, with or without a leading 0 or 0o.
    ///
    /// # Errors
    /// When it is no octal number up to 7777.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal =
            (3..=5).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if octal && mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(format!("{text:?} is not a file mode such as \"0644\"")),
        }
    }

    /// The permission bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for FileMode {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^(0o)?[0-7]{3,5}$" })
    }
}

/// A network in CIDR notation: `203.0.113.0/24`, `2001:db8::/32`; a lone address means itself only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads a network. Bits beyond the prefix must be zero: EC2 would silently clear them, and what was meant is
    /// then not what is open.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a network such as 203.0.113.0/24");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            Some(p) if p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit()) => {
                p.parse().map_err(|_| bad())?
            }
            Some(_) => return Err(bad()),
            None => bits,
        };
        if prefix > bits {
            return Err(format!(
                "{text:?}: the prefix of such a network is at most {bits}"
            ));
        }
        let network = mask(address, prefix);
        if network != address {
            return Err(format!(
                "{text:?} has bits set beyond its prefix; the network is {network}/{prefix}"
            ));
        }
        Ok(Self { address, prefix })
    }

    /// The network's first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits are the network's.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((u32::from(v4) & keep).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((u128::from(v6) & keep).to_be_bytes())
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Cidr {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$" })
    }
}
