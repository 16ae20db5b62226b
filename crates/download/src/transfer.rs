//! One download, from however many answers it takes.
//!
//! ```text
//!                 ┌─────────────────────── pause ◀── cut short, stalled, 5xx, 429 ──┐
//!                 ▼                                                                 │
//!   Part ──▶ nothing arrived ── GET ──────────────────▶ 200 ──▶ Part::begin ──▶ body, written as it comes ──▶ all there
//!     │           ▲                                      ▲                          ▲                           │
//!     │           │ the content is another one           │ Range is ignored,        │                           ▼
//!     │           │ (at most RESTARTS times)             │ or If-Range failed       │                        digest
//!     │           │                                      │                          │                     ┌─────┴─────┐
//!     └────▶ some arrived ── GET, Range, If-Range ───────┴───────────────────────▶ 206                   good         bad
//!                 │                                                                                     │            │
//!                 └─────── all of it (known length, or 416 that says so) ──▶ digest                 Hashed     Mismatch; once
//!                                                                                                            anew if it came
//!                                                                                                            in pieces
//! ```

use crate::address::{Address, shown};
use crate::blocking;
use crate::content::{self, Content};
use crate::digest::{Digest, Hashed};
use crate::error::{FetchError, bytes};
use crate::http::{Answer, Trouble, Web, field};
use crate::lock::Lease;
use crate::pace::{GiveUp, Pace};
use crate::part::{Known, Part};
use crate::settings::{Phase, Progress, Settings};
use crate::space::Room;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderName, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often content may turn out to be another one than that of which a part has arrived.
const RESTARTS: u32 = 3;

/// How many pieces of a body (of some hundred kilobytes at most) may wait for the disk.
const WAITING: usize = 16;

/// What is downloaded, and how.
pub(crate) struct Transfer<'a> {
    pub(crate) what: &'a str,
    pub(crate) address: &'a Address,
    pub(crate) expected: Digest,
    pub(crate) settings: &'a Settings,
    pub(crate) progress: &'a Arc<dyn Progress>,
    pub(crate) lease: &'a Lease,
}

/// What became of one attempt.
enum Outcome {
    /// All of it is there.
    Whole,
    /// To be asked again for the rest.
    Again {
        why: String,
        after: Option<Duration>,
    },
    /// The server has another content than that of which a part is there.
    Another { why: String },
}

/// The answers that make up what is there.
struct Arrived {
    part: Part,
    /// It was not sent by one answer: so it may be made of two contents.
    joined: bool,
    /// Something about the last answer that may explain a wrong digest.
    oddity: Option<String>,
}

impl Transfer<'_> {
    /// Downloads into `path`, or goes on with what is there. What comes back has the right digest and is on stable storage.
    pub(crate) async fn run(&self, path: &Path) -> Result<(Hashed, u64), FetchError> {
        let room = Room::new(
            self.what,
            "download",
            path.parent().unwrap_or(Path::new(".")),
            self.settings,
        );
        let (progress, lease) = (self.progress.clone(), self.lease.clone());
        let (wanted, at) = (self.expected.algorithm(), path.to_owned());
        let part = blocking::run(move |stop| {
            let _lease = lease;
            Part::open(&at, wanted, room, &progress, stop)
        })
        .await?;
        let mut arrived = Arrived {
            joined: part.length() > 0,
            part,
            oddity: None,
        };
        if arrived.joined {
            self.progress.note(&format!(
                "{}: {} of it are here already; asking for the rest",
                self.what,
                bytes(arrived.part.length())
            ));
        }
        let web = Web::new(self.what, self.settings)?;
        let mut again = false;
        loop {
            arrived = self.all(&web, arrived).await?;
            let hashed = arrived.part.hashed();
            if hashed.wanted.matches(&self.expected) {
                let size = arrived.part.length();
                let lease = self.lease.clone();
                blocking::run(move |_| {
                    let _lease = lease;
                    arrived.part.sync()
                })
                .await?;
                return Ok((hashed, size));
            }
            if !arrived.joined || again {
                let note = arrived.oddity.take();
                arrived.part.remove();
                return Err(FetchError::Mismatch {
                    what: self.what.to_owned(),
                    from: self.address.to_string(),
                    expected: Box::new(self.expected),
                    got: Box::new(hashed.wanted),
                    note,
                });
            }
            again = true;
            self.progress.note(&format!(
                "{}: what arrived in several pieces has the wrong digest; downloading it anew, in one",
                self.what
            ));
            arrived.part.empty()?;
            arrived.joined = false;
        }
    }

    /// Asks until all is there.
    async fn all(&self, web: &Web, mut arrived: Arrived) -> Result<Arrived, FetchError> {
        let mut pace = Pace::new(self.settings);
        let mut restarts = 0;
        loop {
            let outcome;
            (arrived, outcome) = self.attempt(web, arrived).await?;
            match outcome {
                Outcome::Whole => return Ok(arrived),
                Outcome::Again { why, after } => {
                    pace.reached(arrived.part.length());
                    let pause = pace
                        .after_failure(after)
                        .map_err(|give_up| self.given_up(give_up, &why))?;
                    self.progress.note(&format!(
                        "{}: {why}; asking again in {:.1} s",
                        self.what,
                        pause.as_secs_f64()
                    ));
                    tokio::time::sleep(pause).await;
                }
                Outcome::Another { why } => {
                    restarts += 1;
                    if restarts > RESTARTS {
                        arrived.part.remove();
                        return Err(FetchError::Unstable {
                            what: self.what.to_owned(),
                            from: self.address.to_string(),
                            why,
                            restarts: RESTARTS,
                        });
                    }
                    self.progress.note(&format!(
                        "{}: the server has another file now ({why}); beginning anew",
                        self.what
                    ));
                    arrived.part.empty()?;
                    arrived.joined = false;
                }
            }
        }
    }

    async fn attempt(
        &self,
        web: &Web,
        mut arrived: Arrived,
    ) -> Result<(Arrived, Outcome), FetchError> {
        let offset = arrived.part.length();
        let known = arrived.part.known().cloned();
        if offset > 0 && known.as_ref().and_then(|known| known.length) == Some(offset) {
            return Ok((arrived, Outcome::Whole));
        }
        let fields = |url: &Url| range(offset, known.as_ref(), url);
        let answer = match web.get(self.address, &fields).await {
            Ok(answer) => answer,
            Err(trouble) => return Ok((arrived, outcome(trouble)?)),
        };
        let from = shown(&answer.url);
        arrived.oddity = field(answer.response.headers(), &CONTENT_ENCODING).map(|encoding| {
            format!("the server says that it sends the file encoded ({encoding}), which it was asked not to")
        });
        match answer.response.status() {
            StatusCode::OK => {
                let length = answer.response.content_length();
                let new = Known::of(&answer.url, answer.response.headers(), length);
                self.acceptable(&answer, &from)?;
                arrived.part.room().need(length.unwrap_or(0))?;
                if let Some(known) = known.filter(|_| offset > 0) {
                    let why = known
                        .contradiction(&new)
                        .unwrap_or_else(|| "the server does not send parts of it".into());
                    self.progress
                        .note(&format!("{}: beginning anew: {why}", self.what));
                }
                arrived.part.begin(new)?;
                arrived.joined = false;
            }
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                let said = field(answer.response.headers(), &CONTENT_RANGE).and_then(content_range);
                let Some(Range::Part { first, whole }) = said.filter(|said| said.starts_at(offset))
                else {
                    let why = format!(
                        "it was asked for what follows byte {offset} and sends something else"
                    );
                    return Ok((arrived, Outcome::Another { why }));
                };
                let new = Known::of(&answer.url, answer.response.headers(), whole);
                if let Some(why) = known.and_then(|known| known.contradiction(&new)) {
                    return Ok((arrived, Outcome::Another { why }));
                }
                self.acceptable(&answer, &from)?;
                let rest = whole.map_or(0, |whole| whole.saturating_sub(first));
                arrived.part.room().need(rest)?;
                arrived.joined = true;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                let said = field(answer.response.headers(), &CONTENT_RANGE).and_then(content_range);
                // It had no length, or a wrong one, when it began; now it is said that nothing follows.
                let outcome = match said {
                    Some(Range::Beyond { whole }) if whole == offset => Outcome::Whole,
                    _ => Outcome::Another {
                        why: format!("it has no byte {offset} any more"),
                    },
                };
                return Ok((arrived, outcome));
            }
            status => return Err(web.refused(&answer.url, status)),
        }
        self.body(arrived, web, answer.response, &from).await
    }

    /// Refuses by the header what is no image, or too large.
    fn acceptable(&self, answer: &Answer, from: &str) -> Result<(), FetchError> {
        let kind = field(answer.response.headers(), &CONTENT_TYPE).unwrap_or_default();
        if kind
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("text/html")
        {
            return Err(self.no_image(from, content::of(b"<html>")));
        }
        match answer.response.content_length() {
            Some(0) => Err(self.no_image(from, content::of(&[]))),
            Some(length) if length > self.settings.largest => Err(self.too_large(from)),
            _ => Ok(()),
        }
    }

    /// Takes the body as far as it comes.
    async fn body(
        &self,
        arrived: Arrived,
        web: &Web,
        mut response: Response,
        from: &str,
    ) -> Result<(Arrived, Outcome), FetchError> {
        let Arrived {
            part,
            joined,
            oddity,
        } = arrived;
        let whole = part.known().and_then(|known| known.length);
        let mut length = part.length();
        let mut head = (length == 0).then(Vec::new);
        let mut objection = None;
        let (pieces, waiting) = tokio::sync::mpsc::channel(WAITING);
        let writer = part.write_from(waiting, self.lease.clone());
        self.progress.advance(Phase::Download, length, whole);
        let end = loop {
            let mut piece = match web.piece(&mut response).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(trouble) => break Err(trouble),
            };
            if let Some(mut first) = head.take() {
                first.extend_from_slice(piece.as_ref());
                if first.len() < content::HEAD {
                    head = Some(first);
                    continue;
                }
                objection = self.object(from, &first);
                if objection.is_some() {
                    break Ok(());
                }
                piece = first.into();
            }
            length += piece.as_ref().len() as u64;
            if length > self.settings.largest {
                objection = Some(self.too_large(from));
                break Ok(());
            }
            if pieces.send(piece).await.is_err() {
                // The writer has ended, and says why below.
                break Ok(());
            }
            self.progress.advance(Phase::Download, length, whole);
        };
        if let (Some(first), true) = (head.take(), end.is_ok()) {
            objection = self.object(from, &first);
            length += first.len() as u64;
            if objection.is_none() && pieces.send(first.into()).await.is_ok() {
                self.progress.advance(Phase::Download, length, whole);
            }
        }
        drop(pieces);
        let (part, written) = match writer.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if let Some(error) = objection.or(written.err()) {
            part.remove();
            return Err(error);
        }
        let outcome = match (end, whole) {
            (Err(trouble), _) => outcome(trouble)?,
            (Ok(()), Some(whole)) if part.length() < whole => Outcome::Again {
                why: format!("the answer ended after {} of {whole} bytes", part.length()),
                after: None,
            },
            (Ok(()), Some(whole)) if part.length() > whole => Outcome::Another {
                why: format!("more than its {whole} bytes came"),
            },
            (Ok(()), _) => Outcome::Whole,
        };
        let arrived = Arrived {
            part,
            joined,
            oddity,
        };
        Ok((arrived, outcome))
    }

    fn object(&self, from: &str, head: &[u8]) -> Option<FetchError> {
        match content::of(head) {
            foreign @ Content::Foreign(_) => Some(self.no_image(from, foreign)),
            Content::Image | Content::Packed(_) => None,
        }
    }

    fn no_image(&self, from: &str, content: Content) -> FetchError {
        FetchError::NotAnImage {
            what: self.what.to_owned(),
            from: from.to_owned(),
            why: content.objection().unwrap_or_default(),
        }
    }

    fn too_large(&self, from: &str) -> FetchError {
        FetchError::NotAnImage {
            what: self.what.to_owned(),
            from: from.to_owned(),
            why: format!(
                "it is larger than {}, which no volume needs",
                bytes(self.settings.largest)
            ),
        }
    }

    fn given_up(&self, give_up: GiveUp, why: &str) -> FetchError {
        unreachable(self.what, self.address, give_up, why)
    }
}

/// What is said when a server is given up.
pub(crate) fn unreachable(what: &str, address: &Address, give_up: GiveUp, why: &str) -> FetchError {
    let (attempts, why) = match give_up {
        GiveUp::Attempts(attempts) => (attempts, why.to_owned()),
        GiveUp::Asked(pause) => (
            1,
            format!(
                "{why}, and wants to be left alone for {} seconds",
                pause.as_secs()
            ),
        ),
    };
    FetchError::Unreachable {
        what: what.to_owned(),
        from: address.to_string(),
        attempts,
        why,
    }
}

fn outcome(trouble: Trouble) -> Result<Outcome, FetchError> {
    match trouble {
        Trouble::Again { why, after } => Ok(Outcome::Again { why, after }),
        Trouble::Final(error) => Err(*error),
    }
}

/// The header fields that ask for the rest.
fn range(offset: u64, known: Option<&Known>, url: &Url) -> Vec<(HeaderName, String)> {
    if offset == 0 {
        return Vec::new();
    }
    let mut fields = vec![(RANGE, format!("bytes={offset}-"))];
    if let Some(validator) = known.and_then(|known| known.validator(url)) {
        fields.push((IF_RANGE, validator.to_owned()));
    }
    fields
}

/// What Content-Range says (RFC 9110, section 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Part { first: u64, whole: Option<u64> },
    Beyond { whole: u64 },
}

impl Range {
    fn starts_at(&self, offset: u64) -> bool {
        matches!(self, Self::Part { first, .. } if *first == offset)
    }
}

fn content_range(value: &str) -> Option<Range> {
    let (range, whole) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    if range == "*" {
        return Some(Range::Beyond {
            whole: whole.parse().ok()?,
        });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let whole = match whole {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    let sound = first <= last && whole.is_none_or(|whole| last < whole);
    sound.then_some(Range::Part { first, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        let part = |first, whole| Some(Range::Part { first, whole });
        assert_eq!(content_range("bytes 5-9/10"), part(5, Some(10)));
        assert_eq!(content_range("bytes 5-9/*"), part(5, None));
        assert_eq!(
            content_range("bytes */10"),
            Some(Range::Beyond { whole: 10 })
        );
        for bad in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes -/1",
            "items 0-1/2",
            "bytes */*",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
