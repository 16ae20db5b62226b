//! Bodies in chunks, some of them signed: `aws-chunked`.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>:
//!
//! ```text
//!  <length, hexadecimal>[;chunk-signature=<signature>]\r\n<data>\r\n      any number of them, the last with length 0
//!  [<trailer>:<value>\r\n] [x-amz-trailer-signature:<signature>\r\n] \r\n
//! ```

use super::error::S3Error;
use crate::api::sigv4::ChunkSigner;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Read};

/// "The chunk size must be at least 8 KB" but the last's.
const LEAST: u64 = 8 * 1024;

/// Longest line: a chunk's length and signature, or a trailer.
const LONGEST_LINE: usize = 1024;

/// How a body in chunks is protected.
pub enum Protection {
    /// Each chunk is signed, and the trailer if there is one.
    Signed(Box<ChunkSigner>),
    /// By TLS alone.
    Unsigned,
}

/// Takes the data out of chunks.
pub struct Chunks<R> {
    from: io::BufReader<R>,
    protection: Protection,
    /// What is left of the chunk, and its hash so far.
    left: u64,
    hash: Sha256,
    signature: String,
    before: Option<u64>,
    trailers: Option<Vec<(String, String)>>,
    trailer_expected: bool,
    refusal: Option<S3Error>,
}

impl<R: Read> Chunks<R> {
    /// Reads from a body; with a trailer if one is announced.
    pub fn new(from: R, protection: Protection, trailer_expected: bool) -> Self {
        Self {
            from: io::BufReader::with_capacity(64 * 1024, from),
            protection,
            left: 0,
            hash: Sha256::new(),
            signature: String::new(),
            before: None,
            trailers: None,
            trailer_expected,
            refusal: None,
        }
    }

    /// Why reading ended with an error, if the body itself was the reason; and the trailers after its end.
    pub fn finish(self) -> (Option<S3Error>, Vec<(String, String)>) {
        (self.refusal, self.trailers.unwrap_or_default())
    }

    fn refuse(&mut self, why: S3Error) -> io::Error {
        self.refusal = Some(why);
        io::ErrorKind::InvalidData.into()
    }

    fn malformed(&mut self) -> io::Error {
        self.refuse(S3Error::new(
            "IncompleteBody",
            400,
            "The request body terminated unexpectedly",
        ))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let most = LONGEST_LINE as u64;
        self.from.by_ref().take(most).read_until(b'\n', &mut line)?;
        let text = line.strip_suffix(b"\r\n").map(<[u8]>::to_vec);
        match text.and_then(|l| String::from_utf8(l).ok()) {
            Some(line) => Ok(line),
            None => Err(self.malformed()),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let (length, extension) = match line.split_once(';') {
            Some((length, extension)) => (length, Some(extension)),
            None => (line.as_str(), None),
        };
        let Ok(length) = u64::from_str_radix(length, 16) else {
            return Err(self.malformed());
        };
        let signature = extension.and_then(|e| e.strip_prefix("chunk-signature="));
        match (&self.protection, signature) {
            (Protection::Signed(_), None) => return Err(self.malformed()),
            (_, signature) => self.signature = signature.unwrap_or_default().to_owned(),
        }
        if length > 0 && self.before.is_some_and(|before| before < LEAST) {
            return Err(self.refuse(S3Error::new(
                "InvalidChunkSizeError",
                403,
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            )));
        }
        self.before = Some(length);
        self.left = length;
        self.hash = Sha256::new();
        if length == 0 {
            self.check()?;
            self.end()?;
        }
        Ok(())
    }

    /// Checks a chunk's signature once all of it has come.
    fn check(&mut self) -> io::Result<()> {
        let hash = std::mem::take(&mut self.hash).finalize();
        if let Protection::Signed(signer) = &mut self.protection
            && !signer.accepts(&self.signature, &hash)
        {
            return Err(self.mismatch());
        }
        Ok(())
    }

    fn mismatch(&mut self) -> io::Error {
        self.refuse(super::authenticate::mismatch())
    }

    /// The trailers, after the last chunk.
    fn end(&mut self) -> io::Result<()> {
        let (mut trailers, mut signed, mut signature) = (Vec::new(), String::new(), None);
        if self.trailer_expected {
            loop {
                let line = self.line()?;
                let Some((name, value)) = line.split_once(':') else {
                    match line.is_empty() {
                        true => break,
                        false => return Err(self.malformed()),
                    }
                };
                let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
                if name == "x-amz-trailer-signature" {
                    signature = Some(value);
                } else {
                    signed.push_str(&format!("{name}:{value}\n"));
                    trailers.push((name, value));
                }
            }
            if let Protection::Signed(signer) = &mut self.protection {
                let hash = Sha256::digest(&signed);
                if !signature.is_some_and(|s| signer.accepts_trailer(&s, &hash)) {
                    return Err(self.mismatch());
                }
            }
        } else if !self.line()?.is_empty() {
            return Err(self.malformed());
        }
        self.trailers = Some(trailers);
        Ok(())
    }
}

impl<R: Read> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.trailers.is_some() || into.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            self.begin()?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = into
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut into[..most])?;
        if read == 0 {
            return Err(self.malformed());
        }
        if matches!(self.protection, Protection::Signed(_)) {
            self.hash.update(&into[..read]);
        }
        self.left -= read as u64;
        if self.left == 0 {
            self.check()?;
            if !self.line()?.is_empty() {
                return Err(self.malformed());
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Outcome = Result<(Vec<u8>, Vec<(String, String)>), String>;

    fn decode(body: &[u8], trailer: bool) -> Outcome {
        let mut chunks = Chunks::new(body, Protection::Unsigned, trailer);
        let mut data = Vec::new();
        let outcome = chunks.read_to_end(&mut data);
        let (refusal, trailers) = chunks.finish();
        match (outcome, refusal) {
            (Ok(_), None) => Ok((data, trailers)),
            (_, Some(refusal)) => Err(refusal.code().to_owned()),
            (Err(e), None) => Err(e.to_string()),
        }
    }

    #[test]
    fn data_and_trailers() {
        let body = b"4\r\nWiki\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        let trailer = ("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned());
        assert_eq!(decode(body, true), Ok((b"Wiki".to_vec(), vec![trailer])));
        assert_eq!(decode(b"0\r\n\r\n", false), Ok((Vec::new(), Vec::new())));
    }

    #[test]
    fn what_is_cut_off_or_malformed_is_refused() {
        for body in [
            &b""[..],
            b"4\r\nWi",
            b"4\r\nWiki",
            b"4\r\nWiki\r\n",
            b"4\r\nWiki\r\n0\r\n",
            b"x\r\n\r\n",
            b"4\nWiki\n0\n\n",
            b"4\r\nWikipedia\r\n0\r\n\r\n",
        ] {
            assert_eq!(
                decode(body, false),
                Err("IncompleteBody".into()),
                "{body:?}"
            );
        }
        let small_first = b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
        assert_eq!(
            decode(small_first, false),
            Err("InvalidChunkSizeError".into())
        );
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200), trailer: bool) {
            let _ = decode(&body, trailer);
        }
    }
}
