//! User-data: what the instance is told at its first boot, as one compressed MIME message.
//!
//! ```text
//!   1  boothook       binds the Elastic IP, early and in the background
//!   2  boothook       ends the instance when its time has come, in the background
//!   3  the user's own part, of whatever kind cloud-init takes
//!   4  cloud-config   host keys and login key; last, so that it is merged into the user's instead of being dropped
//! ```
//! <https://cloudinit.readthedocs.io/en/latest/explanation/format.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// EC2's limit for user-data before it is encoded.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
pub const LIMIT_BYTES: usize = 16_384;

/// What one part is, in cloud-init's content types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Run early, at every boot.
    Boothook,
    /// Configuration in YAML.
    CloudConfig,
    /// A script for the end of the first boot.
    ShellScript,
    /// A whole MIME message of the user's.
    Mime,
    /// A list of addresses to fetch parts from.
    IncludeUrl,
    /// A jinja template.
    Jinja,
}

impl PartKind {
    fn content_type(self) -> &'static str {
        match self {
            Self::Boothook => "text/cloud-boothook",
            Self::CloudConfig => "text/cloud-config",
            Self::ShellScript => "text/x-shellscript",
            Self::Mime => "message/rfc822",
            Self::IncludeUrl => "text/x-include-url",
            Self::Jinja => "text/jinja2",
        }
    }

    /// What cloud-init takes a user's part for, by its first line; none if it would ignore it.
    pub fn of(content: &[u8]) -> Option<Self> {
        let starts = |prefix: &str| content.starts_with(prefix.as_bytes());
        let mime_headers = ["content-type: multipart", "mime-version:"];
        let head: String = String::from_utf8_lossy(content)
            .chars()
            .take(64)
            .collect::<String>()
            .to_lowercase();
        if starts("#!") {
            Some(Self::ShellScript)
        } else if starts("#cloud-config") {
            Some(Self::CloudConfig)
        } else if starts("#cloud-boothook") {
            Some(Self::Boothook)
        } else if starts("#include") {
            Some(Self::IncludeUrl)
        } else if starts("## template: jinja") {
            Some(Self::Jinja)
        } else if mime_headers.iter().any(|header| head.starts_with(header)) {
            Some(Self::Mime)
        } else {
            None
        }
    }
}

/// One part of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its content.
    pub content: Vec<u8>,
}

/// The message, compressed. Empty if there are no parts.
pub fn compose(parts: &[Part]) -> std::io::Result<Vec<u8>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let boundary = boundary_for(parts);
    let mut message =
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for part in parts {
        let encoded = BASE64.encode(&part.content);
        message.push_str(&format!(
            "--{boundary}\nContent-Type: {}; charset=\"utf-8\"\nMIME-Version: 1.0\n",
            part.kind.content_type()
        ));
        match std::str::from_utf8(&part.content) {
            // Plain text compresses far better than its base64, and the limit counts after compression.
            Ok(text) if text.is_ascii() && !text.contains('\r') => {
                message.push_str("Content-Transfer-Encoding: 7bit\n\n");
                message.push_str(text);
            }
            _ => {
                message.push_str("Content-Transfer-Encoding: base64\n\n");
                for line in encoded.as_bytes().chunks(76) {
                    message.push_str(&String::from_utf8_lossy(line));
                    message.push('\n');
                }
            }
        }
        message.push('\n');
    }
    message.push_str(&format!("--{boundary}--\n"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message.as_bytes())?;
    encoder.finish()
}

/// A boundary that no part contains.
fn boundary_for(parts: &[Part]) -> String {
    let mut number = 0_u32;
    loop {
        let boundary = format!("==qib-{number}==");
        let taken = parts.iter().any(|part| {
            part.content
                .windows(boundary.len())
                .any(|window| window == boundary.as_bytes())
        });
        if !taken {
            return boundary;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn decompressed(bytes: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn parts_keep_their_order_and_kind() {
        let parts = [
            Part {
                kind: PartKind::Boothook,
                content: b"#cloud-boothook\necho hi\n".to_vec(),
            },
            Part {
                kind: PartKind::CloudConfig,
                content: "#cloud-config\n# größer\n".into(),
            },
        ];
        let text = decompressed(&compose(&parts).unwrap());
        let hook = text.find("text/cloud-boothook").unwrap();
        let config = text.find("text/cloud-config").unwrap();
        assert!(hook < config);
        assert!(text.contains("echo hi"));
        assert!(text.contains("Content-Transfer-Encoding: base64"));
    }

    #[test]
    fn no_parts_are_no_user_data() {
        assert!(compose(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_users_part_is_known_by_its_first_line() {
        assert_eq!(PartKind::of(b"#!/bin/sh\n"), Some(PartKind::ShellScript));
        assert_eq!(
            PartKind::of(b"Content-Type: multipart/mixed; boundary=x\n"),
            Some(PartKind::Mime)
        );
        assert_eq!(PartKind::of(b"hello"), None);
    }

    proptest! {
        #[test]
        fn the_boundary_never_occurs_inside_a_part(content in proptest::collection::vec(any::<u8>(), 0..200), number in 0_u32..3) {
            let mut content = content;
            content.extend(format!("==qib-{number}==").bytes());
            let parts = [Part { kind: PartKind::ShellScript, content }];
            let boundary = boundary_for(&parts);
            prop_assert!(!parts[0].content.windows(boundary.len()).any(|window| window == boundary.as_bytes()));
        }
    }
}
