//! Checksum files: which digest has the file of this name?
//!
//! Understood are the lines that `sha256sum` and `sha512sum` write (with the marker of text or binary, and with escaped
//! names), those of the BSD tools (`SHA256 (name) = HEX`, also as `sha256sum --tag` and OpenSSL write them), files with
//! several algorithms in one, and a file with nothing but one digest. Other lines say nothing: comments, sizes, other
//! algorithms.

use crate::digest::{Algorithm, Digest};

/// How many names an error lists.
const NAMES: usize = 20;

/// One line that says a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// None: the file says nothing but this digest.
    name: Option<String>,
    digest: Digest,
}

/// The digest that is listed for a name. With `only_name` false, the name was not asked for as such, but is the last part
/// of the image's address: then a file with one digest and no name speaks of it.
///
/// # Errors
/// In words: the name is not listed, or with several digests.
pub(crate) fn look_up(text: &str, name: &str, asked: Asked) -> Result<Digest, String> {
    let lines = read(text);
    if let ([Line { name: None, digest }], Asked::ByDefault) = (lines.as_slice(), asked) {
        return Ok(*digest);
    }
    let mut found: Vec<Digest> = Vec::new();
    for line in lines.iter().filter(|line| {
        line.name
            .as_deref()
            .is_some_and(|listed| plain(listed) == plain(name))
    }) {
        if !found.contains(&line.digest) {
            found.push(line.digest);
        }
    }
    let by = |algorithm| {
        let mut of = found.iter().filter(move |it| it.algorithm() == algorithm);
        (of.next().copied(), of.next())
    };
    match (by(Algorithm::Sha256), by(Algorithm::Sha512)) {
        ((_, Some(_)), _) | (_, (_, Some(_))) => Err(format!(
            "{name:?} is listed more than once, with different checksums. Use another checksum file, or give the checksum \
             itself"
        )),
        // SHA-256 is as good here, and the same content has one name in the cache, however it is asked for.
        ((Some(digest), None), _) | ((None, None), (Some(digest), None)) => Ok(digest),
        ((None, None), (None, None)) => Err(absent(&lines, name)),
    }
}

/// `sha256sum ./*` writes `./NAME`, and means the same.
fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// Where the name comes from that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It was given for this.
    ByName,
    /// It is the image's own.
    ByDefault,
}

fn absent(lines: &[Line], name: &str) -> String {
    let mut names: Vec<String> = lines
        .iter()
        .filter_map(|line| line.name.as_ref())
        .map(|name| format!("{name:?}"))
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return format!(
            "it lists no SHA-256 or SHA-512 checksum for {name:?}, nor for any other name. MD5 and SHA-1 do not count"
        );
    }
    let more = names.len().saturating_sub(NAMES);
    names.truncate(NAMES);
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    format!(
        "it lists no SHA-256 or SHA-512 checksum for {name:?}, only for {}{more}. A `name` beside the checksum file's address says which is meant",
        names.join(", ")
    )
}

fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut heading = Heading::None;
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        if let Some(comment) = line.strip_prefix('#') {
            heading = Heading::of(comment).unwrap_or(heading);
            continue;
        }
        let (escaped, rest) = match line.strip_prefix('\\') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let found = bsd(rest).or_else(|| gnu(rest, heading));
        let Some((name, digest)) = found else {
            continue;
        };
        let name = match (name, escaped) {
            (Some(name), true) => match unescaped(name) {
                Some(name) => Some(name),
                None => continue,
            },
            (name, _) => name.map(str::to_owned),
        };
        lines.push(Line { name, digest });
    }
    lines
}

/// What Gentoo's DIGESTS files write before the lines of an algorithm: without it, BLAKE2 looks like SHA-512.
#[derive(Clone, Copy)]
enum Heading {
    None,
    Of(Algorithm),
    Other,
}

impl Heading {
    fn of(comment: &str) -> Option<Self> {
        let name = comment.trim().strip_suffix(" HASH")?;
        Some(algorithm(name).map_or(Self::Other, Self::Of))
    }

    fn allows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::None => true,
            Self::Of(named) => named == algorithm,
            Self::Other => false,
        }
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name.to_ascii_uppercase().as_str() {
        "SHA256" | "SHA-256" | "SHA2-256" => Some(Algorithm::Sha256),
        "SHA512" | "SHA-512" | "SHA2-512" => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// `SHA256 (name) = HEX`; OpenSSL leaves both spaces out.
fn bsd(line: &str) -> Option<(Option<&str>, Digest)> {
    let (name, rest) = line.split_once('(')?;
    let algorithm = algorithm(name.trim_end())?;
    let (name, digits) = rest
        .rsplit_once(") = ")
        .or_else(|| rest.rsplit_once(")= "))?;
    let digest = Digest::from_hex(algorithm, digits.trim_end()).ok()?;
    Some((Some(name), digest))
}

/// `HEX  name` or `HEX *name`; or nothing but `HEX`.
fn gnu(line: &str, heading: Heading) -> Option<(Option<&str>, Digest)> {
    let end = line.find(' ').unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let algorithm = match digits.len() {
        64 => Algorithm::Sha256,
        128 => Algorithm::Sha512,
        _ => return None,
    };
    if !heading.allows(algorithm) {
        return None;
    }
    let digest = Digest::from_hex(algorithm, digits).ok()?;
    if rest.trim().is_empty() {
        return Some((None, digest));
    }
    let rest = rest.strip_prefix(' ')?;
    // Some writers put one space alone.
    let name = rest.strip_prefix([' ', '*']).unwrap_or(rest);
    Some((Some(name), digest))
}

/// Undoes what `sha256sum` does to names with a backslash or a line break in them.
fn unescaped(name: &str) -> Option<String> {
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
#[path = "checksums_tests.rs"]
mod tests;
