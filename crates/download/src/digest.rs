//! Digests: what identifies content.

use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;
use std::str::FromStr;

/// A way of computing a digest. MD5 and SHA-1 are not among them: content can be made to have a given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256 of FIPS 180-4.
    Sha256,
    /// SHA-512 of FIPS 180-4.
    Sha512,
}

impl Algorithm {
    /// As it is written before the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes such a digest has.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The digest of a whole file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// By SHA-256.
    Sha256([u8; 32]),
    /// By SHA-512.
    Sha512([u8; 64]),
}

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No known algorithm stands before the colon.
    #[error("a checksum is written sha256:HEX or sha512:HEX")]
    Form,
    /// The wrong number of digits, or something that is no digit.
    #[error("a {} checksum has {} hexadecimal digits", .0.name(), .0.length() * 2)]
    Digits(Algorithm),
}

impl Digest {
    /// By which algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The digest's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }

    /// From hexadecimal digits of either case.
    ///
    /// # Errors
    /// When they are not as many as the algorithm has, or no digits.
    pub fn from_hex(algorithm: Algorithm, digits: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError::Digits(algorithm);
        let bytes = hex::decode(digits).map_err(|_| wrong())?;
        match algorithm {
            Algorithm::Sha256 => bytes.try_into().map(Self::Sha256).map_err(|_| wrong()),
            Algorithm::Sha512 => bytes.try_into().map(Self::Sha512).map_err(|_| wrong()),
        }
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (a, b) = (self.bytes(), other.bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
    }

    /// As the name of a folder.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.algorithm().name(), hex::encode(self.bytes()))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) = text.split_once(':').ok_or(DigestError::Form)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::Form),
        };
        Self::from_hex(algorithm, digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.algorithm().name(),
            hex::encode(self.bytes())
        )
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 of what passes, and SHA-512 as well where that is what must be compared.
#[derive(Clone)]
pub(crate) struct Hashes {
    sha256: Sha256,
    sha512: Option<Sha512>,
}

/// What came out of [`Hashes`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed {
    /// Always SHA-256.
    pub(crate) sha256: Digest,
    /// By the algorithm that was wanted.
    pub(crate) wanted: Digest,
}

impl Hashes {
    pub(crate) fn new(wanted: Algorithm) -> Self {
        Self {
            sha256: Sha256::new(),
            sha512: (wanted == Algorithm::Sha512).then(Sha512::new),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Hashed {
        let sha256 = Digest::Sha256(self.sha256.finalize().into());
        Hashed {
            sha256,
            wanted: self
                .sha512
                .map_or(sha256, |it| Digest::Sha512(it.finalize().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_read_and_written() {
        let text = format!("sha256:{EMPTY}");
        let digest: Digest = text.parse().expect("it is one");
        assert_eq!(digest.to_string(), text);
        assert_eq!(digest.folder(), format!("sha256-{EMPTY}"));
        let upper: Digest = format!("sha256:{}", EMPTY.to_uppercase())
            .parse()
            .expect("it is one");
        assert!(digest.matches(&upper));
        for bad in ["", EMPTY, "sha256:", "sha256:00", "md5:00", "sha512:00"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_byte_is_compared() {
        let digest = Digest::Sha512([7; 64]);
        for at in 0..64 {
            let mut other = [7; 64];
            other[at] ^= 1;
            assert!(!digest.matches(&Digest::Sha512(other)), "byte {at}");
        }
        assert!(!digest.matches(&Digest::Sha256([7; 32])));
    }

    #[test]
    fn both_are_computed_where_sha_512_is_wanted() {
        let mut hashes = Hashes::new(Algorithm::Sha512);
        hashes.update(b"");
        let hashed = hashes.finish();
        assert_eq!(hashed.sha256.to_string(), format!("sha256:{EMPTY}"));
        assert!(
            hashed
                .wanted
                .to_string()
                .starts_with("sha512:cf83e1357eefb8bdf154285")
        );
        let hashed = Hashes::new(Algorithm::Sha256).finish();
        assert_eq!(hashed.sha256, hashed.wanted);
    }
}
