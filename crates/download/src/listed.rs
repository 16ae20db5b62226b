//! What a checksum file says, once its signature is found good.

use crate::address::Address;
use crate::armour;
use crate::checksums::{self, Asked};
use crate::content;
use crate::digest::Digest;
use crate::error::FetchError;
use crate::fetch::{Checksum, Fetch, Origin};
use crate::http::{Trouble, Web};
use crate::pace::Pace;
use crate::settings::{Phase, Progress, Settings};
use crate::signature::{self, Signed};
use crate::transfer::unreachable;
use reqwest::StatusCode;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest checksum file or signature. Debian's longest has 30 kB.
const LONGEST: u64 = 4 << 20;

/// What is put after a checksum file's name for the signature that lies beside it: as GnuPG names it, openSUSE, Ubuntu and
/// Debian.
const SIGNATURES: [&str; 4] = [".asc", ".sig", ".gpg", ".sign"];

/// The digest that a checksum stands for.
pub(crate) async fn digest(
    fetch: &Fetch,
    checksum: &Checksum,
    settings: &Settings,
    progress: &Arc<dyn Progress>,
) -> Result<Digest, FetchError> {
    let (from, name, signed_by) = match checksum {
        Checksum::Digest(digest) => return Ok(*digest),
        Checksum::Listed {
            from,
            name,
            signed_by,
        } => (from, name, signed_by),
    };
    let what = fetch.name.as_str();
    let refuse = |why: String| FetchError::Checksums {
        what: what.to_owned(),
        from: from.to_string(),
        why,
    };
    let (name, asked) = match name {
        Some(name) => (name.clone(), Asked::ByName),
        None => match fetch.from.file_name() {
            Some(name) => (name, Asked::ByDefault),
            None => {
                let why = "the image's address ends in no file name; say with `name` under which it is listed";
                return Err(refuse(why.into()));
            }
        },
    };
    let source = Source {
        what,
        settings,
        progress,
    };
    let text = source.read(from).await?;
    if content::is_html(&text) {
        return Err(refuse(
            "it is a web page (HTML) and no list of checksums. Open the address in a browser, and give that of the file \
             itself"
                .into(),
        ));
    }
    let clear = armour::is_clearsigned(&text);
    let text = match signed_by {
        None => text,
        Some(keys) => {
            let signed = if clear {
                Signed::Clear(text)
            } else {
                let signature = source.signature(from).await?;
                Signed::Detached { text, signature }
            };
            signature::verify(signed, keys, settings, what, &from.to_string()).await?
        }
    };
    let text = String::from_utf8(text).map_err(|_| refuse("it is not text in UTF-8".into()))?;
    let text = match (signed_by, clear) {
        (None, true) => armour::clearsigned_text(&text).map_err(refuse)?,
        _ => text,
    };
    checksums::look_up(&text, &name, asked).map_err(refuse)
}

/// Reads small files, wherever they are.
struct Source<'a> {
    what: &'a str,
    settings: &'a Settings,
    progress: &'a Arc<dyn Progress>,
}

impl Source<'_> {
    async fn read(&self, from: &Origin) -> Result<Vec<u8>, FetchError> {
        match from {
            Origin::Url(address) => self.download(address).await,
            Origin::File(path) => self.file(path),
        }
    }

    fn file(&self, path: &Path) -> Result<Vec<u8>, FetchError> {
        let mut content = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut content))
            .map_err(|error| FetchError::File {
                what: self.what.to_owned(),
                doing: "read",
                path: path.to_owned(),
                error,
            })?;
        if content.len() as u64 > LONGEST {
            return Err(self.too_long(path.display().to_string()));
        }
        self.told(content.len());
        Ok(content)
    }

    /// The signature that lies beside a checksum file.
    async fn signature(&self, from: &Origin) -> Result<Vec<u8>, FetchError> {
        for suffix in SIGNATURES {
            let beside = match from {
                Origin::Url(address) => Origin::Url(address.with_suffix(suffix)),
                Origin::File(path) => {
                    let mut name = path.as_os_str().to_owned();
                    name.push(suffix);
                    Origin::File(PathBuf::from(name))
                }
            };
            match self.read(&beside).await {
                Ok(signature) => return Ok(signature),
                Err(FetchError::Refused { status, .. }) if is_absent(&status) => {}
                Err(FetchError::File { error, .. })
                    if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Err(FetchError::Signature {
            what: self.what.to_owned(),
            from: from.to_string(),
            why: format!(
                "it is not clearsigned, and there is no signature beside it (looked for {})",
                SIGNATURES.join(", ")
            ),
        })
    }

    async fn download(&self, address: &Address) -> Result<Vec<u8>, FetchError> {
        let web = Web::new(self.what, self.settings)?;
        let mut pace = Pace::new(self.settings);
        loop {
            match self.once(&web, address).await {
                Ok(content) => return Ok(content),
                Err(Trouble::Final(error)) => return Err(*error),
                Err(Trouble::Again { why, after }) => {
                    let pause = pace
                        .after_failure(after)
                        .map_err(|give_up| unreachable(self.what, address, give_up, &why))?;
                    self.progress.note(&format!(
                        "{}: {why}; asking again in {:.1} s",
                        self.what,
                        pause.as_secs_f64()
                    ));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn once(&self, web: &Web, address: &Address) -> Result<Vec<u8>, Trouble> {
        let mut answer = web.get(address, &|_| Vec::new()).await?;
        let status = answer.response.status();
        if status != StatusCode::OK {
            return Err(web.refused(&answer.url, status).into());
        }
        let mut content = Vec::new();
        while let Some(piece) = web.piece(&mut answer.response).await? {
            content.extend_from_slice(&piece);
            if content.len() as u64 > LONGEST {
                return Err(self.too_long(address.to_string()).into());
            }
        }
        self.told(content.len());
        Ok(content)
    }

    fn told(&self, length: usize) {
        let length = length as u64;
        self.progress.advance(Phase::Checksum, length, Some(length));
    }

    fn too_long(&self, from: String) -> FetchError {
        FetchError::Checksums {
            what: self.what.to_owned(),
            from,
            why: "it is longer than 4 MiB: it is no list of checksums".into(),
        }
    }
}

/// Whether a status says that nothing is there. Object stores that may not be listed answer 403.
fn is_absent(status: &str) -> bool {
    ["403", "404", "410"]
        .iter()
        .any(|code| status.starts_with(code))
}
