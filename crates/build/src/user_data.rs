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
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

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
    /// A list of parts in YAML.
    CloudConfigArchive,
    /// A JSON patch of the configuration.
    CloudConfigJsonp,
    /// A script for the end of the first boot.
    ShellScript,
    /// A MIME message of the user's, of one part or several, headers and all.
    Mime,
    /// A list of addresses to fetch parts from.
    IncludeUrl,
    /// The same, fetched once in the life of the instance.
    IncludeOnceUrl,
    /// A jinja template.
    Jinja,
    /// Python that handles parts of other kinds.
    PartHandler,
}

/// How each kind begins, and its content type; of two that fit the longer one is meant.
const BEGINNINGS: [(&str, PartKind, &str); 9] = [
    (
        "#cloud-config-archive",
        PartKind::CloudConfigArchive,
        "text/cloud-config-archive",
    ),
    (
        "#cloud-config-jsonp",
        PartKind::CloudConfigJsonp,
        "text/cloud-config-jsonp",
    ),
    ("## template: jinja", PartKind::Jinja, "text/jinja2"),
    ("#cloud-boothook", PartKind::Boothook, "text/cloud-boothook"),
    ("#cloud-config", PartKind::CloudConfig, "text/cloud-config"),
    (
        "#include-once",
        PartKind::IncludeOnceUrl,
        "text/x-include-once-url",
    ),
    ("#part-handler", PartKind::PartHandler, "text/part-handler"),
    ("#include", PartKind::IncludeUrl, "text/x-include-url"),
    ("#!", PartKind::ShellScript, "text/x-shellscript"),
];

/// How many bytes a user's compressed part may unfold to: more than that does not fit however it is compressed again.
const LONGEST_UNFOLDED: u64 = 1024 * 1024;

impl PartKind {
    /// The content type; none for a message that has its own.
    fn content_type(self) -> Option<&'static str> {
        BEGINNINGS
            .iter()
            .find(|(_, kind, _)| *kind == self)
            .map(|(_, _, content_type)| *content_type)
    }

    /// What cloud-init takes a user's part for, by its beginning; none if it would ignore it.
    pub fn of(content: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(content.get(..4_096).unwrap_or(content)).to_lowercase();
        let text = text.trim_start_matches('\u{feff}').trim_start();
        BEGINNINGS
            .iter()
            .find(|(start, ..)| text.starts_with(start))
            .map(|(_, kind, _)| *kind)
            .or_else(|| is_message(text).then_some(Self::Mime))
    }
}

/// Whether a text in lower case begins with the headers of a MIME message.
fn is_message(text: &str) -> bool {
    let mut says_mime = false;
    for (number, line) in text.lines().enumerate() {
        let is_mailbox_line = number == 0 && line.starts_with("from ");
        let goes_on = line.starts_with([' ', '\t']);
        match line.split_once(':') {
            _ if line.is_empty() => return says_mime,
            _ if is_mailbox_line || goes_on => {}
            Some((name, _)) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                says_mime |= matches!(name, "mime-version" | "content-type");
            }
            _ => return false,
        }
    }
    false
}

/// A user's part as it is put into the message: unfolded, if it is compressed.
///
/// # Errors
/// A sentence, if cloud-init would not take it, or would take the whole message no more.
pub fn users_part(content: &[u8]) -> Result<Part, String> {
    let content = if content.starts_with(&[0x1f, 0x8b]) {
        let mut unfolded = Vec::new();
        MultiGzDecoder::new(content)
            .take(LONGEST_UNFOLDED + 1)
            .read_to_end(&mut unfolded)
            .map_err(|error| format!("it is compressed, and cannot be unfolded: {error}"))?;
        if unfolded.len() as u64 > LONGEST_UNFOLDED {
            return Err(format!("it unfolds to more than {LONGEST_UNFOLDED} bytes"));
        }
        unfolded
    } else {
        content.to_vec()
    };
    match PartKind::of(&content) {
        None => Err(String::from(
            "cloud-init would ignore it: it begins neither with #!, #cloud-config, #cloud-boothook, #include, \
             `## template: jinja`, nor with the headers of a MIME message",
        )),
        // cloud-init reads such bytes as another character each, or gives up.
        Some(PartKind::Mime) if !content.is_ascii() => Err(String::from(
            "it is a MIME message with bytes beyond ASCII in it, which cloud-init garbles; encode such parts as base64",
        )),
        Some(kind) => Ok(Part { kind, content }),
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
    let mut message = Vec::new();
    write!(
        message,
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n"
    )?;
    for part in parts {
        writeln!(message, "--{boundary}")?;
        match part.kind.content_type() {
            Some(content_type) => write_part(&mut message, content_type, &part.content)?,
            // A message within the message, with its own headers: cloud-init walks into it. As `message/rfc822` it would
            // count once more as a part of its own.
            None => message.extend_from_slice(without_mailbox_line(&part.content)),
        }
        message.push(b'\n');
    }
    writeln!(message, "--{boundary}--")?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&message)?;
    encoder.finish()
}

fn write_part(message: &mut Vec<u8>, content_type: &str, content: &[u8]) -> std::io::Result<()> {
    write!(
        message,
        "Content-Type: {content_type}; charset=\"utf-8\"\nMIME-Version: 1.0\n"
    )?;
    match std::str::from_utf8(content) {
        // Plain text compresses far better than its base64, and the limit counts after compression.
        Ok(text) if text.is_ascii() && !text.contains('\r') => {
            write!(message, "Content-Transfer-Encoding: 7bit\n\n{text}")
        }
        _ => {
            write!(message, "Content-Transfer-Encoding: base64\n\n")?;
            for line in BASE64.encode(content).as_bytes().chunks(76) {
                message.extend_from_slice(line);
                message.push(b'\n');
            }
            Ok(())
        }
    }
}

/// A message without the line that a mailbox has before each, which some tools write.
fn without_mailbox_line(message: &[u8]) -> &[u8] {
    if !message.starts_with(b"From ") {
        return message;
    }
    let end = message.iter().position(|byte| *byte == b'\n');
    end.and_then(|end| message.get(end + 1..))
        .unwrap_or(message)
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
    fn a_users_part_is_known_by_its_beginning() {
        for (content, kind) in [
            ("#!/bin/sh\n", PartKind::ShellScript),
            ("\n#Cloud-Config\npackages: []\n", PartKind::CloudConfig),
            ("#cloud-config-archive\n- x\n", PartKind::CloudConfigArchive),
            ("#cloud-config-jsonp\n[]\n", PartKind::CloudConfigJsonp),
            ("#include-once\nhttp://x/\n", PartKind::IncludeOnceUrl),
            ("#include http://x/\n", PartKind::IncludeUrl),
            ("## template: jinja\n#cloud-config\n", PartKind::Jinja),
            ("#part-handler\n", PartKind::PartHandler),
            (
                "Content-Type: multipart/mixed; boundary=x\n\n--x--\n",
                PartKind::Mime,
            ),
            (
                "From nobody Thu\nSubject: a\n b\nMIME-Version: 1.0\n\nx\n",
                PartKind::Mime,
            ),
        ] {
            assert_eq!(PartKind::of(content.as_bytes()), Some(kind), "{content}");
        }
        for content in [
            "hello",
            "",
            "key: value\n",
            "a: b\n\nMIME-Version: 1.0\n",
            "packages:\n- x\n",
        ] {
            assert_eq!(PartKind::of(content.as_bytes()), None, "{content}");
            assert!(users_part(content.as_bytes()).is_err(), "{content}");
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_compressed_part_is_unfolded_and_a_bomb_is_not() {
        let part = users_part(&gzip(b"#!/bin/sh\necho\n")).unwrap();
        assert_eq!(part.kind, PartKind::ShellScript);
        assert_eq!(part.content, b"#!/bin/sh\necho\n");
        let mut bomb = b"#!".to_vec();
        bomb.resize(2 * 1024 * 1024, b' ');
        assert!(
            users_part(&gzip(&bomb))
                .unwrap_err()
                .contains("unfolds to more")
        );
        let mut cut = gzip(b"#!/bin/sh\necho\n");
        cut.truncate(cut.len() - 6);
        assert!(users_part(&cut).unwrap_err().contains("cannot be unfolded"));
    }

    #[test]
    fn a_message_goes_in_with_its_own_headers_and_without_a_mailbox_line() {
        let own = "From nobody Thu Jan 1\nContent-Type: multipart/mixed; boundary=\"==qib-0==\"\nMIME-Version: 1.0\n\n\
                   --==qib-0==\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--==qib-0==--\n";
        let text = decompressed(&compose(&[users_part(own.as_bytes()).unwrap()]).unwrap());
        let (_, inner) = own.split_once('\n').unwrap();
        assert!(
            text.contains(&format!("--==qib-1==\n{inner}\n--==qib-1==--\n")),
            "{text}"
        );
        assert!(!text.contains("From nobody"));
    }

    #[test]
    fn a_message_that_cloud_init_would_garble_is_refused() {
        let own = "MIME-Version: 1.0\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho größer\n";
        assert!(users_part(own.as_bytes()).unwrap_err().contains("base64"));
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
