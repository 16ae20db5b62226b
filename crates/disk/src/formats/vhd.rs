//! Virtual PC's format (<https://learn.microsoft.com/en-us/previous-versions/windows/desktop/legacy/dd323654(v=vs.85)>).

/// The footer's size in bytes.
pub(crate) const FOOTER: usize = 512;

/// What a footer, and its copy at the beginning of a dynamic disk, begin with.
pub(crate) const COOKIE: &[u8; 8] = b"conectix";

/// Whether these 512 bytes are a footer, by its mark and its checksum.
pub(crate) fn is_footer(bytes: &[u8]) -> bool {
    bytes.len() == FOOTER && bytes.starts_with(COOKIE) && checksum(bytes, 64) == stored(bytes, 64)
}

fn stored(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    field.try_into().ok().map(u32::from_be_bytes)
}

/// The one's complement of the sum of all bytes but those of the checksum itself, which stands at `at`.
fn checksum(bytes: &[u8], at: usize) -> Option<u32> {
    let before = bytes.get(..at)?;
    let after = bytes.get(at + 4..)?;
    let sum = before
        .iter()
        .chain(after)
        .fold(0_u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    Some(!sum)
}
