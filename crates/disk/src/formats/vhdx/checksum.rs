//! CRC-32C, which every structure of the format has.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// A checksum under way.
#[derive(Clone, Copy)]
pub(super) struct Crc32c(u32);

impl Crc32c {
    pub(super) fn new() -> Self {
        Self(!0)
    }

    pub(super) fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |crc, &byte| {
            let low = crc.to_le_bytes()[0] ^ byte;
            (crc >> 8) ^ TABLE[usize::from(low)]
        }))
    }

    pub(super) fn value(self) -> u32 {
        !self.0
    }
}

/// Whether the checksum at byte 4 is that of all bytes, with zeros in its own place.
pub(super) fn sound(bytes: &[u8]) -> bool {
    let (head, rest) = bytes.split_at(8);
    let crc = Crc32c::new().add(&head[..4]).add(&[0; 4]).add(rest);
    head[4..] == crc.value().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::Crc32c;

    #[test]
    fn it_is_castagnolis() {
        // RFC 3720, appendix B.4.
        assert_eq!(Crc32c::new().add(b"123456789").value(), 0xe306_9283);
        assert_eq!(Crc32c::new().add(&[0; 32]).value(), 0x8a91_36aa);
    }
}
