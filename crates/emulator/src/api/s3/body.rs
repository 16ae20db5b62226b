//! Receiving a body: it goes to a file as it comes, and is held against all that the request says of it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html> for `x-amz-content-sha256`.

use super::chunked::{Chunks, Protection};
use super::error::S3Error;
use crate::api::protocol::HttpRequest;
use crate::storage::checksum::{Algorithm, Hasher, written};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io::{self, Read, Write};

/// "The maximum size of a single PUT is 5 GB"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
const MOST: u64 = 5 << 30;

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// What `x-amz-content-sha256` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The body's SHA-256.
    Signed([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `STREAMING-…`: in chunks.
    Chunked {
        /// Whether each chunk is signed.
        signed: bool,
        /// Whether a trailer comes after them.
        trailer: bool,
    },
}

/// What a request says of its body.
#[derive(Clone, Debug)]
pub struct Expected {
    payload: Payload,
    length: u64,
    md5: Option<[u8; 16]>,
    algorithm: Option<Algorithm>,
    /// The checksum, if it is in a header.
    checksum: Option<Vec<u8>>,
}

/// A body that was received whole and unharmed.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its length.
    pub size: u64,
    /// Its MD5.
    pub md5: [u8; 16],
    /// The checksum that the client gave, which is right.
    pub declared: Option<(Algorithm, Vec<u8>)>,
    /// The checksum by the algorithm that was wanted in any case.
    pub wanted: Vec<u8>,
}

impl Payload {
    /// Reads the header.
    ///
    /// # Errors
    /// `InvalidRequest` if there is none, `InvalidArgument` for another value.
    pub fn of(request: &HttpRequest) -> Result<Self, S3Error> {
        let Some(value) = request.header("x-amz-content-sha256") else {
            return Err(S3Error::invalid(
                "Missing required header for this request: x-amz-content-sha256",
            ));
        };
        let chunked = |signed, trailer| Ok(Self::Chunked { signed, trailer });
        match value {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunked(false, true),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunked(true, false),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunked(true, true),
            hash => {
                let mut bytes = [0; 32];
                match hex::decode_to_slice(hash, &mut bytes) {
                    Ok(()) => Ok(Self::Signed(bytes)),
                    Err(_) => Err(S3Error::argument(
                        "x-amz-content-sha256",
                        hash,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
                    )),
                }
            }
        }
    }
}

impl Expected {
    /// Reads what a request says.
    ///
    /// # Errors
    /// `MissingContentLength`, `EntityTooLarge`, `InvalidDigest`, `InvalidRequest` for checksums that contradict each other
    /// or cannot be read.
    pub fn of(request: &HttpRequest) -> Result<Self, S3Error> {
        let payload = Payload::of(request)?;
        let length_header = match payload {
            Payload::Chunked { .. } => "x-amz-decoded-content-length",
            Payload::Signed(_) | Payload::Unsigned => "content-length",
        };
        let length = match request.header(length_header).map(str::parse::<u64>) {
            Some(Ok(length)) => length,
            // No body at all, as in POST ?uploads.
            None if length_header == "content-length"
                && request.header("transfer-encoding").is_none() =>
            {
                0
            }
            _ => {
                return Err(S3Error::new(
                    "MissingContentLength",
                    411,
                    "You must provide the Content-Length HTTP header.",
                ));
            }
        };
        if length > MOST {
            return Err(S3Error::new(
                "EntityTooLarge",
                400,
                "Your proposed upload exceeds the maximum allowed size",
            )
            .with("ProposedSize", length)
            .with("MaxSizeAllowed", MOST));
        }
        let md5 = request.header("content-md5").map(md5_of).transpose()?;
        let (algorithm, checksum) = declared(request, payload)?;
        Ok(Self {
            payload,
            length,
            md5,
            algorithm,
            checksum,
        })
    }

    /// The same of a request whose checksum headers are not about its body.
    ///
    /// # Errors
    /// As [`Expected::of`].
    pub fn of_document(request: &HttpRequest) -> Result<Self, S3Error> {
        let about_body = |name: &str| !name.starts_with("x-amz-checksum-");
        let headers = request.headers.iter().filter(|(n, _)| about_body(n));
        Self::of(&HttpRequest {
            headers: headers.cloned().collect(),
            ..HttpRequest::default()
        })
    }

    /// Whether the client gives an MD5 or a checksum.
    pub fn is_protected(&self) -> bool {
        self.md5.is_some() || self.algorithm.is_some()
    }

    /// The algorithm of the checksum that the client gives.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// How long the body is to be.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Receives the body. `protection` says how its chunks are signed, if they are. By `wanted` a checksum is made in
    /// any case.
    ///
    /// # Errors
    /// `IncompleteBody`, `BadDigest`, `XAmzContentSHA256Mismatch`, `MalformedTrailerError`, `SignatureDoesNotMatch` of a chunk.
    pub fn receive(
        &self,
        body: &mut dyn Read,
        protection: Protection,
        wanted: Algorithm,
        into: &mut dyn Write,
    ) -> Result<Received, S3Error> {
        let other = self.algorithm.filter(|a| *a != wanted);
        let mut sums = Sums::new(wanted, other, self.payload);
        let trailers = match self.payload {
            Payload::Chunked { trailer, .. } => {
                let mut chunks = Chunks::new(body, protection, trailer);
                let outcome = copy(&mut chunks, self.length, &mut sums, into);
                let (refusal, trailers) = chunks.finish();
                match refusal {
                    Some(refusal) => return Err(refusal),
                    None => outcome?,
                }
                trailers
            }
            Payload::Signed(_) | Payload::Unsigned => {
                copy(body, self.length, &mut sums, into)?;
                Vec::new()
            }
        };
        if sums.size != self.length {
            return Err(incomplete());
        }
        self.compare(sums, &trailers)
    }

    fn compare(&self, sums: Sums, trailers: &[(String, String)]) -> Result<Received, S3Error> {
        if let (Payload::Signed(claimed), Some(hash)) = (self.payload, sums.sha256) {
            let computed = hash.finish();
            if claimed[..] != computed[..] {
                return Err(S3Error::new(
                    "XAmzContentSHA256Mismatch",
                    400,
                    "The provided 'x-amz-content-sha256' header does not match what was computed.",
                )
                .with("ClientComputedContentSHA256", hex::encode(claimed))
                .with("S3ComputedContentSHA256", hex::encode(computed)));
            }
        }
        let md5 = sums.md5.finalize().0;
        if let Some(claimed) = self.md5.filter(|claimed| *claimed != md5) {
            return Err(S3Error::new(
                "BadDigest",
                400,
                "The Content-MD5 you specified did not match what we received.",
            )
            .with("ExpectedDigest", written(&claimed))
            .with("CalculatedDigest", written(&md5)));
        }
        let wanted = sums.wanted.finish();
        let other = sums.other.map(Hasher::finish);
        let computed = other.as_ref().unwrap_or(&wanted);
        let declared = self.algorithm.zip(self.trailed(trailers)?);
        if let Some((algorithm, claimed)) = &declared
            && claimed != computed
        {
            return Err(S3Error::bad_digest(algorithm.name()));
        }
        Ok(Received {
            size: sums.size,
            md5,
            declared,
            wanted,
        })
    }

    /// The checksum that the client gave, in a header or a trailer.
    fn trailed(&self, trailers: &[(String, String)]) -> Result<Option<Vec<u8>>, S3Error> {
        let malformed = || {
            S3Error::new(
                "MalformedTrailerError",
                400,
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            )
        };
        if let Some(checksum) = &self.checksum {
            return Ok(Some(checksum.clone()));
        }
        let (Payload::Chunked { trailer: true, .. }, Some(algorithm)) =
            (self.payload, self.algorithm)
        else {
            return Ok(None);
        };
        match trailers {
            [(name, value)] if name == algorithm.header() => {
                algorithm.read(value).map(Some).ok_or_else(malformed)
            }
            _ => Err(malformed()),
        }
    }
}

/// What is computed while a body comes.
struct Sums {
    size: u64,
    md5: md5::Context,
    wanted: Hasher,
    other: Option<Hasher>,
    sha256: Option<Hasher>,
}

impl Sums {
    fn new(wanted: Algorithm, other: Option<Algorithm>, payload: Payload) -> Self {
        let signed = matches!(payload, Payload::Signed(_));
        Self {
            size: 0,
            md5: md5::Context::new(),
            wanted: Hasher::new(wanted),
            other: other.map(Hasher::new),
            sha256: signed.then(|| Hasher::new(Algorithm::Sha256)),
        }
    }

    fn update(&mut self, data: &[u8]) {
        self.size += data.len() as u64;
        self.md5.consume(data);
        self.wanted.update(data);
        for hash in self.other.iter_mut().chain(&mut self.sha256) {
            hash.update(data);
        }
    }
}

/// Copies to the end of `from`, but no more than `most`, so that nobody fills the disk by lying about a length.
fn copy(
    from: &mut dyn Read,
    most: u64,
    sums: &mut Sums,
    into: &mut dyn Write,
) -> Result<(), S3Error> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            // The client is gone, or its chunks are malformed.
            Err(_) => return Err(incomplete()),
        };
        sums.update(&piece[..read]);
        if sums.size > most {
            return Err(incomplete());
        }
        into.write_all(&piece[..read])?;
    }
}

fn incomplete() -> S3Error {
    S3Error::new(
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

fn md5_of(header: &str) -> Result<[u8; 16], S3Error> {
    let decoded = BASE64_STANDARD.decode(header).ok();
    decoded
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            S3Error::new(
                "InvalidDigest",
                400,
                "The Content-MD5 you specified was invalid.",
            )
            .with("Content-MD5", header)
        })
}

/// The algorithm that the client takes, and the checksum if it is in a header.
fn declared(
    request: &HttpRequest,
    payload: Payload,
) -> Result<(Option<Algorithm>, Option<Vec<u8>>), S3Error> {
    let mut headers = Algorithm::ALL
        .into_iter()
        .filter_map(|a| Some((a, request.header(a.header())?)));
    let in_header = headers.next();
    let trailer = request.header("x-amz-trailer");
    if headers.next().is_some() || (in_header.is_some() && trailer.is_some()) {
        return Err(S3Error::invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let of_trailer = match trailer {
        None => None,
        Some(_) if !matches!(payload, Payload::Chunked { trailer: true, .. }) => {
            return Err(S3Error::invalid(
                "The x-amz-trailer header needs a body with a trailer: x-amz-content-sha256 says there is none.",
            ));
        }
        Some(name) => {
            let mut all = Algorithm::ALL.into_iter();
            let found = all.find(|a| a.header().eq_ignore_ascii_case(name.trim()));
            Some(found.ok_or_else(|| {
                S3Error::invalid("The value specified in the x-amz-trailer header is not supported")
            })?)
        }
    };
    let algorithm = in_header.map(|(a, _)| a).or(of_trailer);
    let checksum = in_header.map(|(algorithm, value)| {
        algorithm.read(value).ok_or_else(|| {
            S3Error::invalid(format!(
                "Value for {} header is invalid.",
                algorithm.header()
            ))
        })
    });
    if let Some(named) = request.header("x-amz-sdk-checksum-algorithm") {
        let named = Algorithm::named(named).ok_or_else(|| {
            S3Error::invalid("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
        })?;
        match algorithm {
            None => {
                return Err(S3Error::invalid(
                    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
                ));
            }
            Some(other) if other != named => {
                return Err(S3Error::invalid(
                    "Value for x-amz-sdk-checksum-algorithm header is invalid.",
                ));
            }
            Some(_) => {}
        }
    }
    Ok((algorithm, checksum.transpose()?))
}
