//! The description of a disk: a text, in a file of its own or within a sparse file.

use crate::formats::{refused, shown};
use crate::source::Source;
use crate::{OpenError, ReadError};

/// A description has a line for each part, and a few more.
const LONGEST: u64 = 1 << 20;

pub(super) struct Descriptor {
    pub(super) extents: Vec<Extent>,
}

pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Flat { name: String, sector: u64 },
    Sparse { name: String },
    Zero,
}

impl Descriptor {
    /// Reads a file that is a description.
    pub(super) fn read(source: &Source) -> Result<Self, OpenError> {
        let text = text(source, 0, source.length())?;
        let descriptor = Self::parse(source, &text)?;
        if descriptor.extents.is_empty() {
            return Err(OpenError::Read(
                source.damaged("its description names no part of the disk"),
            ));
        }
        Ok(descriptor)
    }

    /// Reads a description that stands within a file.
    pub(super) fn read_within(
        source: &Source,
        offset: u64,
        length: u64,
    ) -> Result<Self, OpenError> {
        let text = text(source, offset, length)?;
        Self::parse(source, &text)
    }

    fn parse(source: &Source, text: &str) -> Result<Self, OpenError> {
        let mut extents = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            let (first, rest) = line
                .split_once(|each: char| each.is_whitespace() || each == '=')
                .unwrap_or((line, ""));
            match first {
                "RW" | "RDONLY" => extents.push(Extent::parse(source, line, rest)?),
                "NOACCESS" => {
                    return Err(refused(
                        source,
                        "it has a part that may not be read (NOACCESS)",
                        "copy the disk where it comes from",
                    ));
                }
                "parentCID" => {
                    let value = line.rsplit_once('=').map_or("", |(_, value)| value.trim());
                    if !value.eq_ignore_ascii_case("ffffffff") {
                        return Err(refused(
                            source,
                            "it holds only the differences from another disk",
                            "merge the two where it comes from",
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(Self { extents })
    }
}

fn text(source: &Source, offset: u64, length: u64) -> Result<String, ReadError> {
    if length > LONGEST {
        return Err(source.damaged(format!("its description has {length} bytes")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    source.read("the description of the disk", &mut bytes, offset)?;
    // Within a sparse file zeros follow.
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Extent {
    /// After the access: a number of sectors, a type, a file's name in quotes, and where in it the part begins.
    fn parse(source: &Source, line: &str, rest: &str) -> Result<Self, OpenError> {
        let damaged = || {
            OpenError::Read(source.damaged(format!(
                "its description has a part that cannot be understood: {}",
                shown(line)
            )))
        };
        let next = |text: &'_ str| {
            let text = text.trim_start();
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            (word.to_owned(), rest.to_owned())
        };
        let (sectors, rest) = next(rest);
        let sectors = sectors.parse().map_err(|_| damaged())?;
        let (kind, rest) = next(&rest);
        let quoted = || {
            let (_, behind) = rest.split_once('"')?;
            behind.split_once('"')
        };
        let kind = match kind.as_str() {
            "ZERO" => Kind::Zero,
            // VMFS: a flat file of an ESX host.
            "FLAT" | "VMFS" => {
                let (name, behind) = quoted().ok_or_else(damaged)?;
                let sector = match behind.split_whitespace().next() {
                    Some(sector) => sector.parse().map_err(|_| damaged())?,
                    None => 0,
                };
                Kind::Flat {
                    name: name.to_owned(),
                    sector,
                }
            }
            "SPARSE" => Kind::Sparse {
                name: quoted().ok_or_else(damaged)?.0.to_owned(),
            },
            other => {
                return Err(refused(
                    source,
                    format!("a part of the disk has the type {}", shown(other)),
                    "export the disk as stream-optimised, or convert it with qemu-img convert -O qcow2",
                ));
            }
        };
        Ok(Self { sectors, kind })
    }
}
