//! OpenPGP's text forms (RFC 9580, sections 6 and 7): armoured keys become binary, and clearsigned text is taken out of its
//! frame.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const PUBLIC: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const PUBLIC_END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Whether a text has a clearsigned part.
pub(crate) fn is_clearsigned(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .any(|line| line.trim_ascii_end() == SIGNED.as_bytes())
}

/// The text within a clearsigned message, without what is around it. Nothing is verified.
///
/// # Errors
/// In words: there is more than one such part, or it has no end.
pub(crate) fn clearsigned_text(text: &str) -> Result<String, String> {
    let mut lines = text.lines().map(str::trim_end);
    if text
        .lines()
        .filter(|line| line.trim_end() == SIGNED)
        .count()
        > 1
    {
        return Err("it has more than one signed part".into());
    }
    lines.find(|line| *line == SIGNED);
    // Fields such as `Hash: SHA256`, up to an empty line.
    lines.find(|line| line.is_empty());
    let mut plain = String::new();
    for line in lines {
        if line == SIGNATURE {
            return Ok(plain);
        }
        plain.push_str(line.strip_prefix("- ").unwrap_or(line));
        plain.push('\n');
    }
    Err("its signed part has no end: it was cut short".into())
}

/// Public keys in binary form, from either form. Several armoured blocks give all their keys.
///
/// # Errors
/// In words: it is a secret key, or no key at all.
pub(crate) fn binary_keys(file: &[u8]) -> Result<Vec<u8>, String> {
    let text = match std::str::from_utf8(file) {
        Ok(text) if text.contains("-----BEGIN PGP ") => text,
        // The first packet of a binary key: public key (tag 6) in the old or new form.
        _ if matches!(file.first(), Some(0x98..=0x9b | 0xc6)) => return Ok(file.to_vec()),
        _ if matches!(file.first(), Some(0x94..=0x97 | 0xc5)) => return Err(SECRET.into()),
        _ => return Err(NO_KEY.into()),
    };
    if text.contains("-----BEGIN PGP PRIVATE KEY BLOCK-----") {
        return Err(SECRET.into());
    }
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.any(|line| line == PUBLIC) {
        let mut body = String::new();
        let mut fields = true;
        let mut ended = false;
        for line in lines.by_ref() {
            if line == PUBLIC_END {
                ended = true;
                break;
            }
            if fields && line.is_empty() {
                fields = false;
            } else if !fields && !line.starts_with('=') {
                body.push_str(line);
            }
        }
        if !ended {
            return Err("a key in it has no end: the file was cut short".into());
        }
        keys.extend(
            BASE64_STANDARD
                .decode(&body)
                .map_err(|error| format!("a key in it is damaged: {error}"))?,
        );
    }
    if keys.is_empty() {
        return Err(NO_KEY.into());
    }
    Ok(keys)
}

const SECRET: &str = "it is a secret key. Verifying needs the public key alone: gpg --export";
const NO_KEY: &str = "it is no OpenPGP public key. Give the file that `gpg --export` writes, with --armor or without";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_within_counts() {
        let text = "before\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\na\n- -----dash\n\n-----BEGIN PGP SIGNATURE-----\nxx\n-----END PGP SIGNATURE-----\nafter\n";
        assert!(is_clearsigned(text.as_bytes()));
        assert_eq!(clearsigned_text(text).as_deref(), Ok("a\n-----dash\n\n"));
        assert!(clearsigned_text(&format!("{text}{text}")).is_err());
        let cut = text.split(SIGNATURE).next().expect("a part");
        assert!(clearsigned_text(cut).is_err());
        assert!(!is_clearsigned(b"x -----BEGIN PGP SIGNED MESSAGE-----\n"));
    }

    #[test]
    fn keys_in_either_form() {
        let armoured = |bytes: &[u8]| {
            format!(
                "{PUBLIC}\nVersion: x\n\n{}\n=abcd\n{PUBLIC_END}\n",
                BASE64_STANDARD.encode(bytes)
            )
        };
        let both = format!(
            "a comment\n{}\n{}",
            armoured(&[0x99, 1]),
            armoured(&[0x99, 2])
        );
        assert_eq!(binary_keys(both.as_bytes()), Ok(vec![0x99, 1, 0x99, 2]));
        assert_eq!(binary_keys(&[0x99, 1, 0xff]), Ok(vec![0x99, 1, 0xff]));
        let cut = &both[..both.len() - 30];
        assert!(binary_keys(cut.as_bytes()).is_err());
        assert!(binary_keys(b"").is_err());
        assert!(binary_keys(b"hello").is_err());
        let secret =
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n";
        assert!(
            binary_keys(secret.as_bytes())
                .expect_err("it is secret")
                .contains("secret")
        );
    }
}
