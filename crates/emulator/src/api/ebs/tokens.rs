//! Tokens of blocks and of pages: they carry what they are for, sealed with a secret of the account's.
//!
//! "Block tokens are valid for seven days, and next tokens for 60 minutes"
//! (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-faq.html>).

use super::invalid;
use crate::api::error::ApiError;
use crate::api::sigv4::hmac;
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};

/// How long a block's token is good.
pub(crate) const BLOCK_GOOD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a page's token is good.
const PAGE_GOOD: SignedDuration = SignedDuration::from_mins(60);

/// What seals tokens: a secret, and the account that they are for.
#[derive(Clone)]
pub(crate) struct Sealer {
    pub(crate) secret: String,
    pub(crate) owner: String,
    pub(crate) now: Timestamp,
}

impl Sealer {
    /// The token of a block.
    pub(crate) fn block(&self, snapshot: &str, index: u32) -> String {
        self.seal(&["block", snapshot], index, BLOCK_GOOD)
    }

    /// Checks the token of a block.
    ///
    /// # Errors
    /// `ValidationException` with `INVALID_BLOCK_TOKEN`.
    pub(crate) fn check_block(
        &self,
        token: &str,
        snapshot: &str,
        index: u32,
    ) -> Result<(), ApiError> {
        match self.open(&["block", snapshot], token) {
            Some(sealed) if sealed == index => Ok(()),
            _ => Err(invalid(
                "INVALID_BLOCK_TOKEN",
                format!(
                    "The block token is not of block {index} of the snapshot '{snapshot}', or has expired."
                ),
            )),
        }
    }

    /// The token of the page that begins at a block.
    pub(crate) fn page(&self, of: &[&str], next: u32) -> String {
        self.seal(of, next, PAGE_GOOD)
    }

    /// The block that a page begins at.
    ///
    /// # Errors
    /// `ValidationException` with `INVALID_PAGE_TOKEN`.
    pub(crate) fn open_page(&self, of: &[&str], token: &str) -> Result<u32, ApiError> {
        self.open(of, token).ok_or_else(|| {
            let message = "The page token is not of such a list, or has expired.";
            invalid("INVALID_PAGE_TOKEN", message)
        })
    }

    fn seal(&self, of: &[&str], number: u32, good: SignedDuration) -> String {
        let until = self.now.checked_add(good).unwrap_or(Timestamp::MAX);
        let mut token = number.to_be_bytes().to_vec();
        token.extend(until.as_second().to_be_bytes());
        let sealed = self.mac(of, &token);
        token.extend(sealed);
        BASE64_STANDARD.encode(token)
    }

    fn open(&self, of: &[&str], token: &str) -> Option<u32> {
        let bytes = BASE64_STANDARD.decode(token).ok()?;
        let (number, rest) = bytes.split_first_chunk::<4>()?;
        let (until, mac) = rest.split_first_chunk::<8>()?;
        let good = self.now.as_second() <= i64::from_be_bytes(*until);
        let sealed = self.mac(of, bytes.get(..12)?);
        (good && sealed == mac).then_some(u32::from_be_bytes(*number))
    }

    fn mac(&self, of: &[&str], content: &[u8]) -> Vec<u8> {
        let mut message = format!("ebs {} {} ", self.owner, of.join(" ")).into_bytes();
        message.extend(content);
        hmac(self.secret.as_bytes(), &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_what_it_is_of_and_for_so_long() {
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let at = |hours| Sealer {
            secret: "secret".to_owned(),
            owner: "123456789012".to_owned(),
            now: now + SignedDuration::from_hours(hours),
        };
        let token = at(0).block("snap-1", 5);
        assert!(token.len() <= 256);
        at(7 * 24).check_block(&token, "snap-1", 5).unwrap();
        for (sealer, snapshot, index) in [
            (at(0), "snap-1", 6),
            (at(0), "snap-2", 5),
            (at(7 * 24 + 1), "snap-1", 5),
            (
                Sealer {
                    owner: "111122223333".to_owned(),
                    ..at(0)
                },
                "snap-1",
                5,
            ),
        ] {
            let refused = sealer.check_block(&token, snapshot, index).unwrap_err();
            assert_eq!(refused.reason(), Some("INVALID_BLOCK_TOKEN"));
        }
        let page = at(0).page(&["blocks", "snap-1"], 9);
        assert_eq!(at(1).open_page(&["blocks", "snap-1"], &page).unwrap(), 9);
        assert!(at(2).open_page(&["blocks", "snap-1"], &page).is_err());
        assert!(at(0).open_page(&["blocks", "snap-2"], &page).is_err());
        assert!(at(0).check_block(&page, "snap-1", 9).is_err());
        assert!(at(0).check_block("====", "snap-1", 9).is_err());
    }
}
