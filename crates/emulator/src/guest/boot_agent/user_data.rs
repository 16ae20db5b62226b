//! User-data, taken apart as cloud-init does: gzip, MIME multipart (nested), or one part told by its first line.
//! <https://cloudinit.readthedocs.io/en/latest/explanation/format.html>

use std::io::Read;

use flate2::read::MultiGzDecoder;
use mailparse::{MailHeaderMap, ParsedMail};

/// What is taken after decompression; a gzip bomb ends here.
const LONGEST: u64 = 16 * 1024 * 1024;
/// How deep multipart may nest.
const DEEPEST: usize = 16;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// `#cloud-config`
    CloudConfig,
    /// `#!`: runs once, at the end of the boot.
    Script,
    /// `#cloud-boothook`: runs early in every boot.
    Boothook,
    /// A kind that cloud-init knows or not, but this agent does not carry out.
    Other,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its MIME type, given or derived.
    pub mime_type: String,
    /// Its file name: given, or `part-001` and so on.
    pub name: String,
    /// How its keys are merged with those of earlier parts, if it says so.
    pub merge_type: Option<String>,
    /// Its content, decoded.
    pub content: Vec<u8>,
}

/// User-data that cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum UserDataError {
    /// The gzip stream is damaged or too long.
    #[error("the compressed user-data cannot be read: {0}")]
    Gzip(std::io::Error),
    /// The MIME structure is damaged.
    #[error("the MIME multipart user-data cannot be read: {0}")]
    Mime(String),
}

const TYPES: [(&str, &str, PartKind); 7] = [
    ("#!", "text/x-shellscript", PartKind::Script),
    (
        "#cloud-config-archive",
        "text/cloud-config-archive",
        PartKind::Other,
    ),
    (
        "#cloud-config-jsonp",
        "text/cloud-config-jsonp",
        PartKind::Other,
    ),
    ("#cloud-config", "text/cloud-config", PartKind::CloudConfig),
    ("#cloud-boothook", "text/cloud-boothook", PartKind::Boothook),
    ("#include", "text/x-include-url", PartKind::Other),
    ("## template: jinja", "text/jinja2", PartKind::Other),
];

/// All parts in their order.
///
/// # Errors
/// If compression or MIME is damaged.
pub fn parts(user_data: &[u8]) -> Result<Vec<Part>, UserDataError> {
    let mut found = Vec::new();
    walk(user_data, None, &mut found, 0)?;
    Ok(found)
}

struct Told {
    mime_type: Option<String>,
    name: Option<String>,
    merge_type: Option<String>,
}

fn walk(
    bytes: &[u8],
    told: Option<Told>,
    found: &mut Vec<Part>,
    depth: usize,
) -> Result<(), UserDataError> {
    if depth > DEEPEST {
        return Err(UserDataError::Mime(format!("more than {DEEPEST} levels")));
    }
    let bytes = decompressed(bytes)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let starts = |prefix: &str| {
        bytes.len() >= prefix.len() && bytes[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    let is_mime = ["Content-Type: multipart", "MIME-Version:", "From nobody"]
        .iter()
        .any(|p| starts(p))
        || (told.is_none() && starts("Content-Type:"));
    if is_mime {
        let mail = mailparse::parse_mail(&bytes).map_err(|e| UserDataError::Mime(e.to_string()))?;
        return walk_mail(&mail, found, depth);
    }
    let told = told.unwrap_or(Told {
        mime_type: None,
        name: None,
        merge_type: None,
    });
    let (kind, mime_type) = kind_of(&bytes, told.mime_type.as_deref());
    let name = told
        .name
        .map(|name| name.replace('/', "_"))
        .filter(|name| !name.is_empty() && name != "." && name != "..");
    let name = name.unwrap_or_else(|| format!("part-{:03}", found.len() + 1));
    found.push(Part {
        kind,
        mime_type,
        name,
        merge_type: told.merge_type,
        content: bytes,
    });
    Ok(())
}

fn walk_mail(
    mail: &ParsedMail<'_>,
    found: &mut Vec<Part>,
    depth: usize,
) -> Result<(), UserDataError> {
    if mail.ctype.mimetype.starts_with("multipart/") {
        for part in &mail.subparts {
            if depth > DEEPEST {
                return Err(UserDataError::Mime(format!("more than {DEEPEST} levels")));
            }
            walk_mail(part, found, depth + 1)?;
        }
        return Ok(());
    }
    let body = mail
        .get_body_raw()
        .map_err(|e| UserDataError::Mime(e.to_string()))?;
    let headers = &mail.headers;
    let told = Told {
        mime_type: Some(mail.ctype.mimetype.to_ascii_lowercase()),
        name: mail
            .get_content_disposition()
            .params
            .get("filename")
            .cloned(),
        merge_type: headers
            .get_first_value("Merge-Type")
            .or_else(|| headers.get_first_value("X-Merge-Type")),
    };
    walk(&body, Some(told), found, depth + 1)
}

fn decompressed(bytes: &[u8]) -> Result<Vec<u8>, UserDataError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(bytes)
        .take(LONGEST + 1)
        .read_to_end(&mut plain)
        .map_err(UserDataError::Gzip)?;
    if read as u64 > LONGEST {
        return Err(UserDataError::Gzip(std::io::Error::other(format!(
            "it is longer than {LONGEST} bytes"
        ))));
    }
    Ok(plain)
}

/// A MIME type that says nothing (`text/plain` and the like) is overruled by the first line, as in cloud-init.
fn kind_of(bytes: &[u8], told: Option<&str>) -> (PartKind, String) {
    let told = told.filter(|t| {
        !matches!(
            *t,
            "text/plain" | "text/x-not-multipart" | "application/octet-stream"
        )
    });
    if let Some(told) = told {
        let kind = TYPES
            .iter()
            .find(|(_, mime_type, _)| *mime_type == told)
            .map_or(PartKind::Other, |(_, _, kind)| *kind);
        return (kind, told.to_owned());
    }
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    TYPES
        .iter()
        .find(|(start, _, _)| text.starts_with(start.as_bytes()))
        .map_or(
            (PartKind::Other, "text/plain".to_owned()),
            |(_, mime_type, kind)| (*kind, (*mime_type).to_owned()),
        )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=\"A\"\r\nMIME-Version: 1.0\r\n\r\n\
        --A\r\nContent-Type: text/cloud-boothook\r\nContent-Disposition: attachment; filename=\"bind\"\r\n\r\n#!/bin/sh\r\n\
        --A\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
        --B\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nI2Nsb3VkLWNvbmZpZwp7fQo=\r\n--B--\r\n\
        --A\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh\necho\n\r\n--A--\r\n";

    #[test]
    fn one_part_is_told_by_its_first_line() {
        let kind = |text: &str| parts(text.as_bytes()).unwrap()[0].kind;
        assert_eq!(kind("#!/bin/sh\n"), PartKind::Script);
        assert_eq!(kind("#cloud-config\n{}"), PartKind::CloudConfig);
        assert_eq!(kind("#cloud-boothook\n#!/bin/sh\n"), PartKind::Boothook);
        assert_eq!(kind("#include\nhttp://x/"), PartKind::Other);
        assert_eq!(parts(b" \n").unwrap(), []);
    }

    #[test]
    fn multipart_nests_and_names_its_parts() {
        let found = parts(MULTIPART.as_bytes()).unwrap();
        let seen: Vec<_> = found.iter().map(|p| (p.kind, p.name.as_str())).collect();
        assert_eq!(
            seen,
            [
                (PartKind::Boothook, "bind"),
                (PartKind::CloudConfig, "part-002"),
                (PartKind::Script, "part-003")
            ]
        );
        assert_eq!(found[1].content, b"#cloud-config\n{}\n");
    }

    #[test]
    fn gzip_is_the_same_as_plain() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(MULTIPART.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(parts(&gzip).unwrap(), parts(MULTIPART.as_bytes()).unwrap());
        assert!(
            matches!(parts(&gzip[..gzip.len() - 12]), Err(UserDataError::Gzip(_))),
            "a cut-off stream is an error"
        );
    }

    #[test]
    fn a_file_name_cannot_leave_its_folder() {
        let text = MULTIPART.replace("filename=\"bind\"", "filename=\"../../etc/passwd\"");
        assert_eq!(parts(text.as_bytes()).unwrap()[0].name, ".._.._etc_passwd");
    }

    proptest! {
        #[test]
        fn anything_is_taken_apart_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parts(&bytes);
            let _ = parts(&[MULTIPART.as_bytes(), &bytes].concat());
        }
    }
}
