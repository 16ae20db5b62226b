use std::sync::Arc;

use super::*;
use crate::{OpenOptions, open_bytes};

fn of(bytes: Vec<u8>) -> Layout {
    let options = OpenOptions {
        format: Some(crate::Format::Raw),
        ..OpenOptions::default()
    };
    let opened = open_bytes("test", Arc::new(bytes), &options).expect("a raw disk");
    layout(&*opened.disk).expect("readable")
}

fn guid(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(|each| *each != '-').collect();
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).expect("hexadecimal");
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const BIOS: &str = "21686148-6449-6E6F-744E-656564454649";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const ROOT_X86: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
const ROOT_ARM: &str = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE";

const SIZE: usize = 4 << 20;

/// A disk with a GPT and its backup; a partition is its type, its first and last sector.
fn gpt(sector: usize, partitions: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut disk = vec![0; SIZE];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[446 + 4] = 0xee;
    disk[446 + 8] = 1;
    disk[446 + 12..446 + 16].fill(0xff);
    let last = (SIZE / sector - 1) as u64;
    let mut entries = vec![0; 128 * 128];
    for (entry, (kind, from, to)) in entries.chunks_mut(128).zip(partitions) {
        entry[..16].copy_from_slice(&guid(kind));
        entry[32..40].copy_from_slice(&from.to_le_bytes());
        entry[40..48].copy_from_slice(&to.to_le_bytes());
    }
    let entry_sectors = (entries.len() / sector) as u64;
    for (own, other, table) in [(1, last, 2), (last, 1, last - entry_sectors)] {
        let mut header = [0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&[0, 0, 1, 0]);
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[24..32].copy_from_slice(&own.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[72..80].copy_from_slice(&table.to_le_bytes());
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        let crc = gpt::crc32(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        let at = |number: u64| usize::try_from(number).expect("small") * sector;
        disk[at(own)..at(own) + 92].copy_from_slice(&header);
        disk[at(table)..at(table) + entries.len()].copy_from_slice(&entries);
    }
    disk
}

/// A FAT12 file system in which `\EFI\BOOT` has the given short names.
fn fat(names: &[&[u8; 11]]) -> Vec<u8> {
    let mut volume = vec![0; 256 * 512];
    volume[11..13].copy_from_slice(&512_u16.to_le_bytes());
    volume[13] = 1;
    volume[14] = 1;
    volume[16] = 2;
    volume[17..19].copy_from_slice(&16_u16.to_le_bytes());
    volume[19..21].copy_from_slice(&256_u16.to_le_bytes());
    volume[22] = 1;
    volume[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut put = |at: usize, name: &[u8; 11], directory: bool, cluster: u8| {
        volume[at..at + 11].copy_from_slice(name);
        volume[at + 11] = if directory { 0x10 } else { 0x20 };
        volume[at + 26] = cluster;
    };
    // Sectors: 0 boot, 1 and 2 tables, 3 root, 4 on clusters from 2 on.
    put(3 * 512, b"EFI        ", true, 2);
    put(4 * 512, b"BOOT       ", true, 3);
    // `\EFI\BOOT` goes over two clusters, 3 and 5; the first is full of other files.
    for place in 0..16 {
        put(5 * 512 + place * 32, b"OTHER   EFI", false, 9);
    }
    for (place, name) in names.iter().enumerate() {
        put(7 * 512 + place * 32, name, false, 9);
    }
    // FAT12: entry 3 is 5, entries 2 and 5 are ends.
    let table = &mut volume[512..];
    table[3] = 0xff;
    table[4] = 0x5f;
    table[5] = 0x00;
    table[7] = 0xf0;
    table[8] = 0xff;
    volume
}

fn with_fat(mut disk: Vec<u8>, at: usize, names: &[&[u8; 11]]) -> Vec<u8> {
    let volume = fat(names);
    disk[at..at + volume.len()].copy_from_slice(&volume);
    disk
}

#[test]
fn a_gpt_says_how_it_boots() {
    for (partitions, mode, architecture) in [
        (
            vec![(ESP, 64, 319), (LINUX, 320, 400)],
            BootMode::Uefi,
            None,
        ),
        (
            vec![(ESP, 64, 319), (ROOT_ARM, 320, 400)],
            BootMode::Uefi,
            Some(Architecture::Arm64),
        ),
        (
            vec![(BIOS, 40, 50), (ESP, 64, 319), (ROOT_X86, 320, 400)],
            BootMode::UefiPreferred,
            Some(Architecture::X86_64),
        ),
        (
            vec![(BIOS, 40, 50), (LINUX, 320, 400)],
            BootMode::LegacyBios,
            Some(Architecture::X86_64),
        ),
        (vec![(LINUX, 320, 400)], BootMode::Unknown, None),
        (
            vec![(ROOT_X86, 64, 319), (ROOT_ARM, 320, 400)],
            BootMode::Unknown,
            None,
        ),
    ] {
        let layout = of(gpt(512, &partitions));
        assert_eq!(layout.table, Table::Gpt);
        assert_eq!(layout.boot_mode(), mode, "{partitions:?}");
        assert_eq!(layout.architecture, architecture, "{partitions:?}");
        assert_eq!(layout.oddities, Vec::<String>::new());
    }
}

#[test]
fn the_boot_loaders_of_an_esp_say_the_architecture() {
    let disk = || gpt(512, &[(ESP, 64, 319)]);
    for (names, architecture) in [
        (vec![b"BOOTX64 EFI"], Some(Architecture::X86_64)),
        (vec![b"BOOTAA64EFI"], Some(Architecture::Arm64)),
        (vec![b"BOOTX64 EFI", b"BOOTAA64EFI"], None),
        (vec![b"BOOTIA32EFI"], None),
        (vec![], None),
    ] {
        let layout = of(with_fat(disk(), 64 * 512, &names));
        assert_eq!(layout.architecture, architecture, "{names:?}");
        assert_eq!(layout.boot_mode(), BootMode::Uefi);
    }
}

#[test]
fn a_directory_that_goes_round_in_circles_ends() {
    let mut disk = with_fat(gpt(512, &[(ESP, 64, 319)]), 64 * 512, &[]);
    // Fill the second cluster of the directory, and let it lead to the first.
    for place in 0..16 {
        let at = (64 + 7) * 512 + place * 32;
        disk[at..at + 11].copy_from_slice(b"OTHER   EFI");
    }
    let table = (64 + 1) * 512;
    disk[table + 7] = 0x30;
    disk[table + 8] = 0;
    assert_eq!(of(disk).architecture, None);
}

#[test]
fn an_mbr_says_how_it_boots() {
    let mut disk = vec![0; SIZE];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[446] = 0x80;
    disk[446 + 4] = 0x83;
    disk[446 + 8] = 64;
    disk[446 + 12] = 200;
    let layout = of(disk.clone());
    assert_eq!(
        (layout.table, layout.boot_mode()),
        (Table::Mbr, BootMode::Unknown)
    );
    disk[0] = 0xeb;
    let layout = of(disk.clone());
    assert_eq!(layout.boot_mode(), BootMode::LegacyBios);
    assert_eq!(layout.architecture, Some(Architecture::X86_64));
    disk[446 + 4] = 0xef;
    assert_eq!(of(disk.clone()).boot_mode(), BootMode::UefiPreferred);
    disk[0] = 0;
    let layout = of(with_fat(disk, 64 * 512, &[b"BOOTAA64EFI"]));
    assert_eq!(layout.boot_mode(), BootMode::Uefi);
    assert_eq!(layout.architecture, Some(Architecture::Arm64));
}

#[test]
fn a_backup_is_read_where_the_table_is_damaged() {
    let mut disk = gpt(512, &[(ESP, 64, 319), (ROOT_ARM, 320, 400)]);
    disk[512 + 40] ^= 1;
    let layout = of(disk.clone());
    assert_eq!(layout.boot_mode(), BootMode::Uefi);
    assert_eq!(layout.oddities.len(), 1, "{:?}", layout.oddities);
    let end = disk.len() - 512;
    disk[end + 40] ^= 1;
    let layout = of(disk);
    assert_eq!(layout.table, Table::Mbr, "the protective entry is left");
    assert!(layout.oddities[0].contains("backup"));
}

#[test]
fn what_will_not_boot_on_ebs_is_told() {
    let layout = of(gpt(4096, &[(ESP, 64, 100)]));
    assert_eq!(layout.sector_size, 4096);
    assert!(layout.oddities[0].contains("4096"), "{:?}", layout.oddities);

    let mut disk = gpt(512, &[(ESP, 64, 319), (LINUX, 320, 8000)]);
    disk.truncate(2 << 20);
    let layout = of(disk);
    assert_eq!(layout.table, Table::Gpt);
    assert_eq!(layout.oddities.len(), 2, "{:?}", layout.oddities);
    assert!(
        layout
            .oddities
            .iter()
            .all(|each| each.contains("truncated"))
    );
}

#[test]
fn what_has_no_table_has_none() {
    for disk in [vec![0; 100], vec![0; 512], vec![0; SIZE], vec![0xff; SIZE]] {
        let layout = of(disk);
        assert_eq!(
            (layout.table, layout.boot_mode(), layout.architecture),
            (Table::None, BootMode::Unknown, None)
        );
    }
    // A file system without a table: a boot sector with the same signature.
    assert_eq!(of(with_fat(vec![0; SIZE], 0, &[])).table, Table::None);
}
