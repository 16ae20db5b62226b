//! AWS's request signature, version 4, from the service's side.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How far a request's time may be off, see
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// The parts of a request that are signed.
pub struct SignedRequest<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query, as sent, without the question mark.
    pub query: &'a str,
    /// Headers, names in lower case, in the order sent.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
    /// The body's SHA-256, if the body is not here.
    pub digest: Option<[u8; 32]>,
}

/// What the `Authorization` header says, before anything is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The access key's id.
    pub access_key: String,
    /// `YYYYMMDD`.
    pub date: String,
    /// The region it is signed for.
    pub region: String,
    /// The service it is signed for.
    pub service: String,
    /// When it was signed.
    pub time: Timestamp,
    /// The session token, with temporary credentials.
    pub session_token: Option<String>,
    timestamp: String,
    signed_headers: Vec<String>,
    signature: String,
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// There is none.
    #[error("the request has no Authorization header")]
    Missing,
    /// It cannot be read.
    #[error("the Authorization header is incomplete: {0}")]
    Incomplete(&'static str),
    /// It was made too long ago, or ahead of time.
    #[error(
        "the request was signed at {signed}, which is more than 5 minutes from the service's time {now}"
    )]
    Skewed {
        /// When it was signed.
        signed: Timestamp,
        /// The service's time.
        now: Timestamp,
    },
    /// It was made with another secret or for another request.
    #[error("the request signature does not match")]
    Mismatch,
}

/// How far it may be off for S3, see `RequestTimeTooSkewed`:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, and "within 15 minutes" in
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html>.
pub const S3_SKEW: Duration = Duration::from_secs(15 * 60);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What stands for the body's digest where the body is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same, with a path's own slashes left as they are.
const PATH_ENCODED: &AsciiSet = &ENCODED.remove(b'/');

impl SignedRequest<'_> {
    /// Reads what the request says about its signature.
    ///
    /// # Errors
    /// If there is none or it is incomplete.
    pub fn claim(&self) -> Result<Claim, BadSignature> {
        let authorization = self.header("authorization").ok_or(BadSignature::Missing)?;
        let rest = authorization
            .strip_prefix(ALGORITHM)
            .ok_or(BadSignature::Incomplete(
                "the algorithm is not AWS4-HMAC-SHA256",
            ))?;
        let field = |name: &str| {
            let value = rest
                .split(',')
                .map(str::trim)
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            value.filter(|v| !v.is_empty())
        };
        let credential = field("Credential").ok_or(BadSignature::Incomplete("no Credential"))?;
        let mut scope = credential.split('/');
        let mut next = || {
            scope
                .next()
                .map(str::to_owned)
                .ok_or(BadSignature::Incomplete("Credential has too few parts"))
        };
        let (access_key, date, region, service, end) =
            (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(BadSignature::Incomplete(
                "Credential does not end in aws4_request",
            ));
        }
        let signed_headers =
            field("SignedHeaders").ok_or(BadSignature::Incomplete("no SignedHeaders"))?;
        let timestamp = self
            .header("x-amz-date")
            .ok_or(BadSignature::Incomplete("no X-Amz-Date"))?
            .to_owned();
        let time =
            parse_basic(&timestamp).ok_or(BadSignature::Incomplete("X-Amz-Date is no time"))?;
        if !timestamp.starts_with(&date) {
            return Err(BadSignature::Incomplete(
                "the date of Credential is not that of X-Amz-Date",
            ));
        }
        let signed_headers: Vec<String> = signed_headers
            .split(';')
            .map(str::to_ascii_lowercase)
            .collect();
        if !signed_headers.iter().any(|h| h == "host") {
            return Err(BadSignature::Incomplete("the Host header is not signed"));
        }
        Ok(Claim {
            access_key,
            date,
            region,
            service,
            time,
            session_token: self.header("x-amz-security-token").map(str::to_owned),
            timestamp,
            signed_headers,
            signature: field("Signature")
                .ok_or(BadSignature::Incomplete("no Signature"))?
                .to_owned(),
        })
    }

    /// Verifies a claim with the secret of its access key.
    ///
    /// # Errors
    /// If the time is off or the signature is not the one expected.
    pub fn verify(&self, claim: &Claim, secret: &str, now: Timestamp) -> Result<(), BadSignature> {
        let most = if claim.service == "s3" { S3_SKEW } else { SKEW };
        if now.duration_since(claim.time).unsigned_abs() > most {
            return Err(BadSignature::Skewed {
                signed: claim.time,
                now,
            });
        }
        let given = hex::decode(&claim.signature).map_err(|_| BadSignature::Mismatch)?;
        let mut mac = keyed(&signing_key(secret, claim));
        mac.update(self.string_to_sign(claim).as_bytes());
        mac.verify_slice(&given).map_err(|_| BadSignature::Mismatch)
    }

    fn string_to_sign(&self, claim: &Claim) -> String {
        let canonical = hex::encode(Sha256::digest(self.canonical(claim)));
        format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{canonical}",
            claim.timestamp, claim.date, claim.region, claim.service
        )
    }

    fn canonical(&self, claim: &Claim) -> String {
        let mut headers = String::new();
        for name in &claim.signed_headers {
            let values: Vec<String> = self
                .headers
                .iter()
                .filter(|(n, _)| n == name)
                .map(|(_, v)| v.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let body = match self.header("x-amz-content-sha256") {
            // S3 signs what the header says, and holds the body against it as it comes.
            Some(said) if claim.service == "s3" => said.to_owned(),
            Some(UNSIGNED) if self.may_be_unsigned(claim) => UNSIGNED.to_owned(),
            _ => match self.digest {
                Some(digest) => hex::encode(digest),
                None => hex::encode(Sha256::digest(self.body)),
            },
        };
        let path = utf8_percent_encode(
            if self.path.is_empty() { "/" } else { self.path },
            PATH_ENCODED,
        )
        .to_string();
        format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{body}",
            self.method,
            canonical_query(self.query),
            claim.signed_headers.join(";")
        )
    }

    /// "The block data is not signed as part of the Signature Version 4 signing process"
    /// (<https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html>).
    fn may_be_unsigned(&self, claim: &Claim) -> bool {
        claim.service == "ebs" && self.method == "PUT"
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Checks the signatures of a body's chunks, each of which covers the one before, see
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>.
pub struct ChunkSigner {
    key: Vec<u8>,
    /// The time and the scope, as in what is signed.
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// For the body of a request whose own signature was verified with `secret`.
    pub fn new(claim: &Claim, secret: &str) -> Self {
        let (date, region, service) = (&claim.date, &claim.region, &claim.service);
        Self {
            key: signing_key(secret, claim),
            scope: format!(
                "{}\n{date}/{region}/{service}/aws4_request",
                claim.timestamp
            ),
            previous: claim.signature.clone(),
        }
    }

    /// Whether the next chunk's signature is right. `hash` is the chunk's SHA-256.
    pub fn accepts(&mut self, signature: &str, hash: &[u8]) -> bool {
        let nothing = hex::encode(Sha256::digest(b""));
        self.check(
            "AWS4-HMAC-SHA256-PAYLOAD",
            &format!("{nothing}\n{}", hex::encode(hash)),
            signature,
        )
    }

    /// Whether the trailer's signature is right. `hash` is the SHA-256 of its lines.
    pub fn accepts_trailer(&mut self, signature: &str, hash: &[u8]) -> bool {
        self.check("AWS4-HMAC-SHA256-TRAILER", &hex::encode(hash), signature)
    }

    fn check(&mut self, kind: &str, what: &str, signature: &str) -> bool {
        let text = format!("{kind}\n{}\n{}\n{what}", self.scope, self.previous);
        let Ok(given) = hex::decode(signature) else {
            return false;
        };
        let mut mac = keyed(&self.key);
        mac.update(text.as_bytes());
        self.previous = signature.to_owned();
        mac.verify_slice(&given).is_ok()
    }
}

fn canonical_query(query: &str) -> String {
    let encode = |text: &str| {
        utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), ENCODED).to_string()
    };
    let pairs = query.split('&').filter(|p| !p.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect::<Vec<_>>()
        .join("&")
}

fn signing_key(secret: &str, claim: &Claim) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&claim.date, &claim.region, &claim.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    key
}

/// HMAC-SHA-256.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = keyed(key);
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length is a key")
}

/// Reads `20260101T000000Z`.
fn parse_basic(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8
        || time.len() != 6
        || !date.bytes().chain(time.bytes()).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    format!(
        "{year}-{month}-{day}T{}:{}:{}Z",
        &time[..2],
        &time[2..4],
        &time[4..]
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Signed with botocore 1.43 (`SigV4Auth.add_auth`), secret `not-a-secret`, at 2026-01-02T03:04:05Z.
    const SIGNATURE: &str = "aa6829b31ebf22523033880899cc3315d17650ac79a2f31b341baee1b14fb1fd";

    fn headers(signature: &str) -> Vec<(String, String)> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260102/us-east-2/ec2/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
        );
        [
            ("host", "127.0.0.1:4592"),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("x-amz-date", "20260102T030405Z"),
            ("authorization", authorization.as_str()),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .to_vec()
    }

    fn request<'a>(
        headers: &'a [(String, String)],
        query: &'a str,
        body: &'a [u8],
    ) -> SignedRequest<'a> {
        SignedRequest {
            method: "POST",
            path: "/",
            query,
            headers,
            body,
            digest: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const BODY: &[u8] = b"Action=DescribeRegions&Version=2016-11-15";
    const QUERY: &str = "b=2&a=x%20y&a=%2F";

    #[test]
    fn botocores_signature_is_accepted() {
        let h = headers(SIGNATURE);
        let r = request(&h, QUERY, BODY);
        let claim = r.claim().unwrap();
        assert_eq!(
            (claim.region.as_str(), claim.service.as_str()),
            ("us-east-2", "ec2")
        );
        r.verify(&claim, "not-a-secret", at("2026-01-02T03:04:05Z"))
            .unwrap();
    }

    #[test]
    fn another_secret_body_query_or_time_is_not() {
        let h = headers(SIGNATURE);
        let now = at("2026-01-02T03:04:05Z");
        let refused = |r: SignedRequest<'_>, secret: &str, now| {
            r.verify(&r.claim().unwrap(), secret, now).unwrap_err()
        };
        assert_eq!(
            refused(request(&h, QUERY, BODY), "not-the-secret", now),
            BadSignature::Mismatch
        );
        assert_eq!(
            refused(request(&h, QUERY, b"Action=Other"), "not-a-secret", now),
            BadSignature::Mismatch
        );
        assert_eq!(
            refused(request(&h, "", BODY), "not-a-secret", now),
            BadSignature::Mismatch
        );
        for late in ["2026-01-02T03:09:06Z", "2026-01-02T02:59:04Z"] {
            assert!(matches!(
                refused(request(&h, QUERY, BODY), "not-a-secret", at(late)),
                BadSignature::Skewed { .. }
            ));
        }
        let r = request(&h, QUERY, BODY);
        r.verify(
            &r.claim().unwrap(),
            "not-a-secret",
            at("2026-01-02T03:09:05Z"),
        )
        .unwrap();
    }

    #[test]
    fn an_incomplete_header_is_told_what_it_lacks() {
        let mut h = headers(SIGNATURE);
        h[3].1 = h[3].1.replace("host;", "");
        assert_eq!(
            request(&h, QUERY, BODY).claim(),
            Err(BadSignature::Incomplete("the Host header is not signed"))
        );
        h.pop();
        assert_eq!(request(&h, QUERY, BODY).claim(), Err(BadSignature::Missing));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(authorization in ".{0,80}", date in ".{0,20}") {
            let headers = [("authorization".to_owned(), format!("AWS4-HMAC-SHA256 {authorization}")), ("x-amz-date".to_owned(), date)];
            let _ = request(&headers, "", b"").claim();
        }

        #[test]
        fn any_query_is_made_canonical_once(query in "[a-z0-9=&%+/ ]{0,40}") {
            let once = canonical_query(&query);
            prop_assert_eq!(canonical_query(&once), once);
        }
    }
}
