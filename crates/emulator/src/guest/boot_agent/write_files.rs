//! cloud-init's `write_files`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use super::cloud_config::WriteFile;
use crate::guest::accounts::{Account, parse_groups};
use crate::guest::host::GuestMode;

/// What is taken after decompression.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Writes one file.
///
/// # Errors
/// If the content cannot be decoded, the owner does not exist, or the file cannot be written.
pub fn write(file: &WriteFile, mode: GuestMode) -> io::Result<()> {
    let content = decode(&file.content, file.encoding.as_deref())?;
    let path = Path::new(&file.path);
    if !path.is_absolute() {
        return Err(io::Error::other("the path is not absolute"));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let bits = file.permissions.map_or(0o644, |permissions| permissions.0);
    let mut options = fs::OpenOptions::new();
    options.create(true).mode(bits);
    if file.append {
        options.append(true)
    } else {
        options.write(true).truncate(true)
    };
    let mut open = options.open(path)?;
    open.write_all(&content)?;
    // Owner first: a change of owner clears set-user-ID.
    if mode == GuestMode::Root {
        let (user, group) = owner(file.owner.as_deref().unwrap_or("root:root"))?;
        chown(path, user, group)?;
    }
    open.set_permissions(fs::Permissions::from_mode(bits))
}

fn owner(text: &str) -> io::Result<(Option<u32>, Option<u32>)> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group)));
    let user = match (user.parse().ok(), user) {
        (Some(id), _) => Some(id),
        (None, "") => None,
        (None, name) => Some(
            Account::find(name)?
                .ok_or_else(|| unknown("user", name))?
                .user,
        ),
    };
    let group = match group {
        None | Some("") => None,
        Some(name) => Some(match name.parse() {
            Ok(id) => id,
            Err(_) => {
                let groups = parse_groups(&fs::read_to_string("/etc/group")?);
                groups
                    .into_iter()
                    .find(|g| g.name == name)
                    .ok_or_else(|| unknown("group", name))?
                    .id
            }
        }),
    };
    Ok((user, group))
}

fn unknown(what: &str, name: &str) -> io::Error {
    io::Error::other(format!("there is no {what} {name}"))
}

/// The spellings are cloud-init's.
fn decode(content: &str, encoding: Option<&str>) -> io::Result<Vec<u8>> {
    let base64 = |text: &str| {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        STANDARD.decode(compact).map_err(io::Error::other)
    };
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "text/plain") => Ok(content.as_bytes().to_vec()),
        Some("b64" | "base64") => base64(content),
        Some("gz" | "gzip") => unzip(content.as_bytes()),
        Some("gz+b64" | "gzip+b64" | "gz+base64" | "gzip+base64") => unzip(&base64(content)?),
        Some(other) => Err(io::Error::other(format!("unknown encoding {other}"))),
    }
}

fn unzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(LONGEST + 1)
        .read_to_end(&mut plain)?;
    if plain.len() as u64 > LONGEST {
        return Err(io::Error::other(format!(
            "the content is longer than {LONGEST} bytes"
        )));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello\n").unwrap();
        let packed = STANDARD.encode(gzip.finish().unwrap());
        assert_eq!(decode("hello\n", None).unwrap(), b"hello\n");
        assert_eq!(decode("aGVs\n bG8K", Some("b64")).unwrap(), b"hello\n");
        assert_eq!(decode(&packed, Some("gz+b64")).unwrap(), b"hello\n");
        assert!(decode("x", Some("rot13")).is_err());
        assert!(decode("%", Some("base64")).is_err());
    }
}
