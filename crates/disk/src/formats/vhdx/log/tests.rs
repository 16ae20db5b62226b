use super::*;

const LOG: usize = 1 << 20;
const LENGTH: usize = 64 << 10;
const ID: [u8; 16] = [7; 16];

/// A file of 2 MiB with a log of 64 KiB; every byte of the rest is 1.
fn file() -> Vec<u8> {
    let mut file = vec![1; 2 << 20];
    file[LOG..LOG + LENGTH].fill(0);
    for (place, number) in [(64 << 10, 3_u64), (128 << 10, 4)] {
        let header = &mut file[place..place + HEADER];
        header.fill(0);
        header[..4].copy_from_slice(b"head");
        header[8..16].copy_from_slice(&number.to_le_bytes());
        header[48..64].copy_from_slice(&ID);
        header[66..68].copy_from_slice(&1_u16.to_le_bytes());
        header[68..72].copy_from_slice(&u32::try_from(LENGTH).expect("small").to_le_bytes());
        header[72..80].copy_from_slice(&(LOG as u64).to_le_bytes());
        seal(header);
    }
    file
}

fn seal(bytes: &mut [u8]) {
    bytes[4..8].fill(0);
    let crc = Crc32c::new().add(bytes).value();
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
}

enum Logged {
    /// A sector of the file, and the byte that it is filled with.
    Fill(u64, u8),
    /// From a place in the file, so many bytes.
    Zeros(u64, u64),
}

/// Puts an entry into the log, which goes round.
fn log(file: &mut [u8], position: usize, tail: u32, sequence: u64, changes: &[Logged]) {
    let mut entry = vec![0; 4096];
    entry[..4].copy_from_slice(b"loge");
    entry[12..16].copy_from_slice(&tail.to_le_bytes());
    entry[16..24].copy_from_slice(&sequence.to_le_bytes());
    entry[24] = u8::try_from(changes.len()).expect("few");
    entry[32..48].copy_from_slice(&ID);
    entry[48..56].copy_from_slice(&(2_u64 << 20).to_le_bytes());
    entry[56..64].copy_from_slice(&(3_u64 << 20).to_le_bytes());
    for (number, change) in changes.iter().enumerate() {
        let at = 64 + number * 32;
        match *change {
            Logged::Fill(place, byte) => {
                let descriptor = &mut entry[at..at + 32];
                descriptor[..4].copy_from_slice(b"desc");
                descriptor[4..16].fill(byte);
                descriptor[16..24].copy_from_slice(&place.to_le_bytes());
                descriptor[24..].copy_from_slice(&sequence.to_le_bytes());
                let mut sector = vec![byte; 4096];
                sector[..4].copy_from_slice(b"data");
                sector[4..8].copy_from_slice(&sequence.to_le_bytes()[4..]);
                sector[4092..].copy_from_slice(&sequence.to_le_bytes()[..4]);
                entry.extend(sector);
            }
            Logged::Zeros(place, length) => {
                let descriptor = &mut entry[at..at + 32];
                descriptor[..4].copy_from_slice(b"zero");
                descriptor[8..16].copy_from_slice(&length.to_le_bytes());
                descriptor[16..24].copy_from_slice(&place.to_le_bytes());
                descriptor[24..].copy_from_slice(&sequence.to_le_bytes());
            }
        }
    }
    let length = u32::try_from(entry.len()).expect("small");
    entry[8..12].copy_from_slice(&length.to_le_bytes());
    seal(&mut entry);
    for (number, sector) in entry.chunks(4096).enumerate() {
        let at = LOG + (position + number * 4096) % LENGTH;
        file[at..at + 4096].copy_from_slice(sector);
    }
}

fn replay(file: Vec<u8>) -> Result<Source, OpenError> {
    replayed(Source::new("test", Arc::new(file)))
}

/// The first bytes of sectors of the replayed file.
fn sectors(source: &Source, places: &[u64]) -> Vec<u8> {
    places
        .iter()
        .map(|&place| {
            let sector: [u8; 4096] = source.array("test", place).expect("within");
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "a whole sector"
            );
            sector[0]
        })
        .collect()
}

#[test]
fn a_log_that_goes_round_is_replayed_from_its_tail() {
    let [a, b, c, ..] = [300, 310, 320].map(|sector| sector * 4096_u64);
    let mut file = file();
    let last = LENGTH - 4096;
    // An old entry that was overwritten by nobody, and is no part of the sequence.
    log(&mut file, 20 * 1024, 20 * 1024, 2, &[Logged::Fill(a, 99)]);
    let tail = u32::try_from(last).expect("small");
    // The first is of two sectors and goes round; the tail of the last says that all are to be replayed.
    log(&mut file, last, tail, 5, &[Logged::Fill(a, 50)]);
    log(
        &mut file,
        4096,
        tail,
        6,
        &[Logged::Fill(b, 60), Logged::Zeros(c, 8192)],
    );
    log(&mut file, 12288, tail, 7, &[Logged::Fill(a, 70)]);
    let source = replay(file).expect("a log");
    assert_eq!(
        sectors(&source, &[a, b, c, c + 4096, c + 8192, 0, 2 << 20]),
        [70, 60, 0, 0, 1, 1, 0],
        "the file has grown by zeros, as the last entry says"
    );
    assert_eq!(source.length(), 3 << 20);
}

#[test]
fn entries_before_the_tail_are_not_replayed() {
    let [a, b] = [300, 310].map(|sector| sector * 4096_u64);
    let mut file = file();
    log(&mut file, 0, 0, 5, &[Logged::Fill(a, 50)]);
    log(&mut file, 8192, 8192, 6, &[Logged::Fill(b, 60)]);
    assert_eq!(sectors(&replay(file).expect("a log"), &[a, b]), [1, 60]);
}

#[test]
fn the_newest_sequence_counts() {
    let [a, b] = [300, 310].map(|sector| sector * 4096_u64);
    let mut file = file();
    log(&mut file, 0, 0, 9, &[Logged::Fill(a, 90)]);
    log(&mut file, 16384, 16384, 5, &[Logged::Fill(b, 50)]);
    assert_eq!(sectors(&replay(file).expect("a log"), &[a, b]), [90, 1]);
}

#[test]
fn what_is_not_sound_is_not_replayed() {
    let a = 300 * 4096;
    let entry = |file: &mut Vec<u8>| log(file, 0, 0, 5, &[Logged::Fill(a, 50)]);
    assert!(replay(file()).is_err(), "no entry at all");

    let mut torn = file();
    entry(&mut torn);
    torn[LOG + 4096 + 2000] ^= 1;
    let error = replay(torn)
        .err()
        .expect("the checksum is wrong")
        .to_string();
    assert!(error.contains("no complete entry"), "{error}");

    let mut elsewhere = file();
    log(&mut elsewhere, 0, 8192, 5, &[Logged::Fill(a, 50)]);
    assert!(replay(elsewhere).is_err(), "the tail is no entry");

    let mut odd = file();
    log(&mut odd, 0, 0, 5, &[Logged::Fill(a + 512, 50)]);
    let error = replay(odd).err().expect("no sector's place").to_string();
    assert!(error.contains("not what it should be"), "{error}");

    let mut short = file();
    entry(&mut short);
    short.truncate((2 << 20) - 1);
    let error = replay(short)
        .err()
        .expect("shorter than it was")
        .to_string();
    assert!(error.contains("truncated"), "{error}");

    let mut huge = file();
    log(&mut huge, 0, 0, 5, &[Logged::Zeros(a, u64::MAX - a)]);
    assert!(replay(huge).is_ok(), "zeros take no memory, however many");
    let mut over = file();
    log(&mut over, 0, 0, 5, &[Logged::Zeros(a, u64::MAX - 8)]);
    assert!(replay(over).is_err(), "an end that cannot be");
}

#[test]
fn entries_that_overlap_take_no_time() {
    let mut file = file();
    // Each sector claims to begin an entry that is as long as the whole log.
    for sector in 0..LENGTH / 4096 {
        let at = LOG + sector * 4096;
        file[at..at + 4].copy_from_slice(b"loge");
        file[at + 8..at + 12].copy_from_slice(&u32::try_from(LENGTH).expect("small").to_le_bytes());
        file[at + 16] = 1;
        file[at + 32..at + 48].copy_from_slice(&ID);
    }
    let error = replay(file).err().expect("not sound").to_string();
    assert!(error.contains("overlap"), "{error}");
}
