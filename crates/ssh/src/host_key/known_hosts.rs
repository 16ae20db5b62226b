//! Reading a known hosts file: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Plain and hashed names, lists, `*`, `?`, `!`,
//! `[host]:port` and `@revoked` are understood. Lines that cannot be read are passed over, as `ssh` does, and so are
//! certificate authorities: a host certificate is never asked for.

use super::PublicHostKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use sha1::Sha1;

/// What a file says of one host.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Keys that the host may show.
    pub keys: Vec<PublicHostKey>,
    /// Keys that it must never show.
    pub revoked: Vec<PublicHostKey>,
}

/// The name under which a host is listed: bare for port 22, else `[host]:port`.
pub fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// Collects what `text` says of `host`.
pub fn look_up(text: &str, host: &str, port: u16) -> Known {
    let name = name_of(host, port);
    let mut known = Known::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let (marker, patterns) = match first {
            _ if first.starts_with('#') => continue,
            "@cert-authority" => continue,
            "@revoked" => (Some(first), words.next()),
            _ if first.starts_with('@') => continue,
            _ => (None, Some(first)),
        };
        let (Some(patterns), Some(algorithm), Some(data)) = (patterns, words.next(), words.next())
        else {
            continue;
        };
        if !matches_list(&name, patterns) {
            continue;
        }
        let Ok(key) = PublicKey::from_openssh(&format!("{algorithm} {data}")) else {
            tracing::debug!(
                algorithm,
                "a key for {name} in the known hosts file cannot be read"
            );
            continue;
        };
        match marker {
            Some(_) => known.revoked.push(PublicHostKey::new(key)),
            None => known.keys.push(PublicHostKey::new(key)),
        }
    }
    known
}

/// Whether a comma-separated list of patterns names the host. A pattern with `!` that fits overrules the others.
fn matches_list(name: &str, patterns: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            found |= matches_hash(name, hashed);
        } else if let Some(negated) = pattern.strip_prefix('!') {
            if matches_pattern(name.as_bytes(), negated.to_ascii_lowercase().as_bytes()) {
                return false;
            }
        } else {
            found |= matches_pattern(name.as_bytes(), pattern.to_ascii_lowercase().as_bytes());
        }
    }
    found
}

/// `salt|hash`: HMAC-SHA-1 of the name under the salt, both in base64 (ssh_config(5), HashKnownHosts).
fn matches_hash(name: &str, salt_and_hash: &str) -> bool {
    let Some((salt, hash)) = salt_and_hash.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    Hmac::<Sha1>::new_from_slice(&salt)
        .is_ok_and(|mac| mac.chain_update(name).verify_slice(&hash).is_ok())
}

/// `*` stands for any run of characters, `?` for one.
fn matches_pattern(name: &[u8], pattern: &[u8]) -> bool {
    // On a mismatch only the last star needs another try, so this takes at most name × pattern steps.
    let (mut n, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                n += 1;
                p += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyAlgorithm, KeyPair};

    fn key() -> (String, PublicHostKey) {
        let line = KeyPair::generate(KeyAlgorithm::Ed25519).public_openssh();
        let key = line.parse().expect("own key is read");
        (line, key)
    }

    #[test]
    fn names_are_found_by_host_and_port() {
        let (line, key) = key();
        let text = format!("# note\n\nother.example {line}\n[10.0.0.1]:2222,build {line} x\n");
        assert_eq!(
            look_up(&text, "10.0.0.1", 2222).keys,
            std::slice::from_ref(&key)
        );
        assert_eq!(look_up(&text, "BUILD", 22).keys, [key]);
        assert_eq!(look_up(&text, "10.0.0.1", 22), Known::default());
        assert_eq!(look_up(&text, "uild", 22), Known::default());
    }

    #[test]
    fn patterns_and_their_negation() {
        let (line, key) = key();
        let text = format!("*.example,!bad.example {line}\n10.0.?.1 {line}");
        assert_eq!(
            look_up(&text, "a.example", 22).keys,
            std::slice::from_ref(&key)
        );
        assert_eq!(look_up(&text, "bad.example", 22), Known::default());
        assert_eq!(look_up(&text, "10.0.7.1", 22).keys, [key]);
        assert_eq!(look_up(&text, "10.0.77.1", 22), Known::default());
    }

    #[test]
    fn a_revoked_key_is_told_apart() {
        let (line, key) = key();
        let known = look_up(
            &format!("@revoked * {line}\n@cert-authority * {line}"),
            "h",
            22,
        );
        assert_eq!(
            known,
            Known {
                keys: vec![],
                revoked: vec![key]
            }
        );
    }

    #[test]
    fn a_name_hashed_by_ssh_keygen_is_found() {
        // The integration test does the same with `ssh-keygen -H` itself.
        let (line, key) = key();
        let salt = [7u8; 20];
        let mac = Hmac::<Sha1>::new_from_slice(&salt)
            .expect("any length")
            .chain_update("[h]:2022")
            .finalize();
        let text = format!(
            "|1|{}|{} {line}",
            STANDARD.encode(salt),
            STANDARD.encode(mac.into_bytes())
        );
        assert_eq!(look_up(&text, "h", 2022).keys, [key]);
        assert_eq!(look_up(&text, "h", 22), Known::default());
    }

    #[test]
    fn rubbish_is_passed_over() {
        let (line, key) = key();
        let text = format!("h\nh ssh-ed25519\nh ssh-ed25519 !!!\n|1|x h\n@odd h {line}\nh {line}");
        assert_eq!(look_up(&text, "h", 22).keys, [key]);
    }
}
