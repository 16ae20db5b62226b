//! By what a file's content is known.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;

/// The digest of a file's content, written `sha256:HEX` or `sha512:HEX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checksum {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl Checksum {
    /// The form, for messages.
    pub(crate) const FORM: &str = "sha256: and 64 hexadecimal digits, or sha512: and 128 of them";

    /// Reads `sha256:HEX` or `sha512:HEX`, the digits in either case.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("{text:?} is not a checksum: {why}");
        let Some((algorithm, digits)) = text.split_once(':') else {
            return Err(wrong(format!("it is {}", Self::FORM)));
        };
        let counted = |wanted: usize| {
            let found = digits.chars().count();
            if digits.chars().all(|c| c.is_ascii_hexdigit()) {
                wrong(format!("{algorithm} has {wanted} digits, not {found}"))
            } else {
                wrong(format!("it is {}", Self::FORM))
            }
        };
        let bytes = hex::decode(digits).unwrap_or_default();
        match algorithm {
            "sha256" => bytes.try_into().map(Self::Sha256).map_err(|_| counted(64)),
            "sha512" => bytes.try_into().map(Self::Sha512).map_err(|_| counted(128)),
            other => Err(wrong(format!(
                "the algorithm {other:?} is not known or not safe; it is {}",
                Self::FORM
            ))),
        }
    }

    /// The algorithm's name as it is written: `sha256` or `sha512`.
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// The digest itself.
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }

    /// Its hexadecimal digits, in lower case.
    pub fn hex(&self) -> String {
        hex::encode(self.bytes())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Checksum {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Checksum".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(sha256:[0-9A-Fa-f]{64}|sha512:[0-9A-Fa-f]{128})$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_survives_its_text_in_lower_case() {
        for text in [
            format!("sha256:{}", "0f".repeat(32)),
            format!("sha512:{}", "a9".repeat(64)),
        ] {
            assert_eq!(Checksum::parse(&text).unwrap().to_string(), text);
            let upper = text.to_uppercase().replace("SHA", "sha");
            assert_eq!(Checksum::parse(&upper).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for text in [
            "",
            "sha256",
            "sha256:",
            "0f",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "SHA256:0f",
        ] {
            assert!(Checksum::parse(text).is_err(), "{text}");
        }
        for (algorithm, digits) in [
            ("sha256", 63),
            ("sha256", 65),
            ("sha256", 128),
            ("sha512", 64),
        ] {
            let text = format!("{algorithm}:{}", "0".repeat(digits));
            let why = Checksum::parse(&text).unwrap_err();
            assert!(why.contains(&format!("not {digits}")), "{why}");
        }
        let long = format!("sha256:{}é", "0".repeat(63));
        assert!(Checksum::parse(&long).is_err());
    }
}
