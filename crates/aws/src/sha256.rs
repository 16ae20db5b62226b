//! SHA-256 digests as EBS and S3 write them: in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloud::Sha256Digest;

/// A digest as it is sent.
pub(crate) fn encoded(digest: Sha256Digest) -> String {
    BASE64.encode(digest.0)
}

/// A digest as it was answered; none if it is not one of SHA-256.
pub(crate) fn decoded(encoded: &str) -> Option<Sha256Digest> {
    let bytes = BASE64.decode(encoded).ok()?;
    bytes.try_into().ok().map(Sha256Digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        // The digest of 512 KiB of zeros.
        let zeros = "B4VNL+8pega6gWheZgwzLeNtXRjVRpJ9MNqtbX/aFUE=";
        let digest = decoded(zeros);
        assert_eq!(digest.map(encoded).as_deref(), Some(zeros));
    }

    #[test]
    fn only_32_bytes_are_a_digest() {
        for text in [
            "",
            "!",
            "aGVsbG8=",
            "B4VNL+8pega6gWheZgwzLeNtXRjVRpJ9MNqtbX/aFUEAAAA=",
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
