//! From S3's signature to a caller.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>: as everywhere, but the path is encoded
//! once and not twice, and the body's hash is what `x-amz-content-sha256` says.

use super::body::Payload;
use super::error::S3Error;
use crate::account::{Account, regions};
use crate::api::caller::Caller;
use crate::api::protocol::HttpRequest;
use crate::api::session::{self, BadToken, Expiry};
use crate::api::sigv4::{BadSignature, ChunkSigner, SignedRequest};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

/// A request whose signature is good.
pub struct Signed {
    /// Who sent it.
    pub caller: Caller,
    /// The region it was signed for: the one whose endpoint it was sent to.
    pub region: String,
    /// Checks the signatures of its body's chunks.
    pub chunks: ChunkSigner,
}

/// The refusal of a signature that was made with another secret or for something else.
pub fn mismatch() -> S3Error {
    S3Error::new(
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )
}

/// The caller of a request.
///
/// # Errors
/// `AccessDenied` without a signature, `AuthorizationHeaderMalformed`, `InvalidAccessKeyId`, `InvalidToken`, `ExpiredToken`,
/// `RequestTimeTooSkewed`, `SignatureDoesNotMatch`; those of [`Payload::of`].
pub fn authenticate(
    account: &Account,
    request: &HttpRequest,
    now: Timestamp,
    sessions: Expiry,
) -> Result<Signed, S3Error> {
    let path = percent_decode_str(&request.path)
        .decode_utf8()
        .map_err(|_| S3Error::new("InvalidURI", 400, "Couldn't parse the specified URI."))?;
    let signed = SignedRequest {
        path: &path,
        ..request.signed()
    };
    let claim = signed.claim().map_err(|e| refusal(&e))?;
    Payload::of(request)?;
    if !regions::is_enabled(&claim.region) {
        return Err(malformed(&format!(
            "the region '{}' is none of the local EC2's",
            claim.region
        )));
    }
    let unknown = || {
        S3Error::new(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        )
        .with("AWSAccessKeyId", &claim.access_key)
    };
    let (secret, caller) = match &claim.session_token {
        None if claim.access_key == account.key.id => (account.key.secret.clone(), Caller::Account),
        None => return Err(unknown()),
        Some(token) => {
            let found = session::of_token(account, token, sessions);
            let (credentials, caller) = found.map_err(|e| match e {
                BadToken::Unknown => S3Error::new(
                    "InvalidToken",
                    400,
                    "The provided token is malformed or otherwise invalid.",
                ),
                BadToken::Expired => {
                    S3Error::new("ExpiredToken", 400, "The provided token has expired.")
                }
            })?;
            if credentials.access_key != claim.access_key {
                return Err(unknown());
            }
            (credentials.secret, caller)
        }
    };
    signed
        .verify(&claim, &secret, now)
        .map_err(|e| refusal(&e))?;
    Ok(Signed {
        caller,
        chunks: ChunkSigner::new(&claim, &secret),
        region: claim.region,
    })
}

fn malformed(why: &str) -> S3Error {
    S3Error::new(
        "AuthorizationHeaderMalformed",
        400,
        format!("The authorization header is malformed; {why}."),
    )
}

fn refusal(why: &BadSignature) -> S3Error {
    match why {
        // A request of nobody's: nothing here is public.
        BadSignature::Missing => S3Error::denied(),
        BadSignature::Incomplete(what) => malformed(what),
        BadSignature::Skewed { signed, now } => S3Error::new(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
        )
        .with("RequestTime", signed)
        .with("ServerTime", now)
        .with("MaxAllowedSkewMilliseconds", 900_000),
        BadSignature::Mismatch => mismatch(),
    }
}
