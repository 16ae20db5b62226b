//! Session tokens of the metadata service: sealed, so that none need be remembered.

use crate::api::sigv4::hmac;
use crate::ids::InstanceId;
use base64::prelude::{BASE64_URL_SAFE, Engine};
use jiff::Timestamp;

/// A token for an instance that lasts so long.
pub(super) fn issue(secret: &[u8], id: &InstanceId, seconds: u32, now: Timestamp) -> String {
    let expires = now.as_second() + i64::from(seconds);
    let mut token = expires.to_be_bytes().to_vec();
    token.extend(seal(secret, id, expires));
    BASE64_URL_SAFE.encode(token)
}

/// Whether a token was made for this instance and still holds.
pub(super) fn check(secret: &[u8], id: &InstanceId, token: &str, now: Timestamp) -> bool {
    let Ok(token) = BASE64_URL_SAFE.decode(token) else {
        return false;
    };
    let Some((expires, sealed)) = token.split_first_chunk::<8>() else {
        return false;
    };
    let expires = i64::from_be_bytes(*expires);
    sealed == seal(secret, id, expires) && now.as_second() < expires
}

fn seal(secret: &[u8], id: &InstanceId, expires: i64) -> Vec<u8> {
    hmac(secret, format!("imds|{id}|{expires}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_instance_and_for_so_long() {
        let (id, other) = (InstanceId::random(), InstanceId::random());
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = |s: i64| Timestamp::from_second(now.as_second() + s).unwrap();
        let token = issue(b"secret", &id, 60, now);
        assert!(check(b"secret", &id, &token, now) && check(b"secret", &id, &token, later(59)));
        assert!(!check(b"secret", &id, &token, later(60)));
        assert!(!check(b"secret", &other, &token, now));
        assert!(!check(b"other", &id, &token, now));
        for made_up in ["", "AAAA", "not base64!", &token[..token.len() - 4]] {
            assert!(!check(b"secret", &id, made_up, now), "{made_up}");
        }
    }
}
