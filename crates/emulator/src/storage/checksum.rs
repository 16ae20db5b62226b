//! The checksums that S3 keeps of what is stored.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>: an object has a checksum of
//! its whole content (`FULL_OBJECT`), or, after a multipart upload, one of its parts' checksums (`COMPOSITE`), which is
//! written with the number of parts behind a hyphen.
//!
//! | algorithm | `FULL_OBJECT` of a multipart upload | `COMPOSITE` |
//! |---|---|---|
//! | CRC-64/NVME | yes | no |
//! | CRC-32, CRC-32C | yes | yes, by default |
//! | SHA-1, SHA-256 | no | yes |

use base64::prelude::{BASE64_STANDARD, Engine};
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// CRC-32 as zlib has it.
    Crc32,
    /// CRC-32 by Castagnoli.
    Crc32c,
    /// CRC-64 as NVMe has it: what S3 takes where nobody says anything.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChecksumType {
    /// The whole content.
    FullObject,
    /// The parts' checksums, one behind the other.
    Composite,
}

/// A checksum of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it is made.
    pub algorithm: Algorithm,
    /// What it is of.
    pub of: ChecksumType,
    /// Base64, with `-N` behind it if it is composite.
    pub value: String,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// S3's word, such as `CRC64NVME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that holds such a checksum.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The XML element that holds such a checksum.
    pub fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The algorithm of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// How many bytes a checksum has.
    pub fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// What a multipart upload's checksum is of if nobody says.
    pub fn usual_type(self) -> ChecksumType {
        match self {
            Self::Crc64Nvme => ChecksumType::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => ChecksumType::Composite,
        }
    }

    /// Whether a multipart upload's checksum can be of that.
    pub fn can_be(self, of: ChecksumType) -> bool {
        match (self, of) {
            (Self::Crc32 | Self::Crc32c, _) => true,
            (Self::Crc64Nvme, of) => of == ChecksumType::FullObject,
            (Self::Sha1 | Self::Sha256, of) => of == ChecksumType::Composite,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// Reads a checksum in base64; none if it is not of this algorithm's length.
    pub fn read(self, text: &str) -> Option<Vec<u8>> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        (bytes.len() == self.bytes()).then_some(bytes)
    }
}

impl ChecksumType {
    /// S3's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The type of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = [Self::FullObject, Self::Composite].into_iter();
        all.find(|t| t.name() == name)
    }
}

/// A checksum as S3 writes it.
pub fn written(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// A checksum being made.
pub enum Hasher {
    /// A cyclic redundancy check.
    Crc(Algorithm, Box<crc_fast::Digest>),
    /// SHA-1.
    Sha1(Box<Sha1>),
    /// SHA-256.
    Sha256(Box<Sha256>),
}

impl Hasher {
    /// Of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm.crc() {
            Some(crc) => Self::Crc(algorithm, Box::new(crc_fast::Digest::new(crc))),
            None if algorithm == Algorithm::Sha1 => Self::Sha1(Box::default()),
            None => Self::Sha256(Box::default()),
        }
    }

    /// Takes more content.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(data),
            Self::Sha1(hash) => hash.update(data),
            Self::Sha256(hash) => hash.update(data),
        }
    }

    /// The checksum.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(algorithm, digest) => crc_bytes(algorithm, digest.finalize()),
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        }
    }
}

fn crc_bytes(algorithm: Algorithm, value: u64) -> Vec<u8> {
    value.to_be_bytes()[8 - algorithm.bytes()..].to_vec()
}

fn crc_value(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b))
}

/// The checksum of the parts' checksums. `parts` has one for each.
pub fn composite(algorithm: Algorithm, parts: &[&[u8]]) -> Checksum {
    let mut hasher = Hasher::new(algorithm);
    for part in parts {
        hasher.update(part);
    }
    Checksum {
        algorithm,
        of: ChecksumType::Composite,
        value: format!("{}-{}", written(&hasher.finish()), parts.len()),
    }
}

/// The checksum of the whole from those of the parts, with the parts' sizes; none for an algorithm that cannot do that.
pub fn combined(algorithm: Algorithm, parts: &[(&[u8], u64)]) -> Option<Checksum> {
    let crc = algorithm.crc()?;
    let empty = crc_value(&Hasher::new(algorithm).finish());
    let whole = parts.iter().fold(empty, |before, (bytes, size)| {
        crc_fast::checksum_combine(crc, before, crc_value(bytes), *size)
    });
    Some(Checksum {
        algorithm,
        of: ChecksumType::FullObject,
        value: written(&crc_bytes(algorithm, whole)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// The check values of <https://reveng.sourceforge.io/crc-catalogue/all.htm>, and FIPS 180.
    #[test]
    fn each_algorithm_is_the_published_one() {
        let hex = |a| hex::encode(of(a, b"123456789"));
        assert_eq!(hex(Algorithm::Crc32), "cbf43926");
        assert_eq!(hex(Algorithm::Crc32c), "e3069283");
        assert_eq!(hex(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(
            hex(Algorithm::Sha1),
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441"
        );
        assert!(hex(Algorithm::Sha256).starts_with("15e2b0d3c33891eb"));
        for algorithm in Algorithm::ALL {
            let checksum = of(algorithm, b"x");
            assert_eq!(checksum.len(), algorithm.bytes());
            assert_eq!(algorithm.read(&written(&checksum)), Some(checksum));
            assert_eq!(algorithm.read("AAA="), None);
        }
    }

    proptest! {
        #[test]
        fn the_whole_follows_from_the_parts(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let sums: Vec<_> = parts.iter().map(|p| (of(algorithm, p), p.len() as u64)).collect();
                let sums: Vec<_> = sums.iter().map(|(s, n)| (s.as_slice(), *n)).collect();
                let whole = combined(algorithm, &sums).unwrap();
                prop_assert_eq!(whole.value, written(&of(algorithm, &parts.concat())));
            }
        }
    }

    #[test]
    fn a_hash_of_the_whole_does_not_follow_from_the_parts() {
        let part = of(Algorithm::Sha256, b"x");
        assert_eq!(combined(Algorithm::Sha256, &[(&part, 1)]), None);
        let both = composite(Algorithm::Sha256, &[&part, &part]);
        assert!(both.value.ends_with("=-2"), "{}", both.value);
    }
}
