//! Disk images that are none, that are not what they should be, or that do not come: one error that names the file and says
//! what to do, and nothing left; nothing made at all where it is the caller's own file.
#![allow(
    clippy::disallowed_methods,
    reason = "it looks how long a refusal takes"
)]

use end_to_end::disk_images::{
    Format, Numbers, QCOW2, RawDisk, STREAM_OPTIMISED, VHD, VHDX, program, text,
};
use end_to_end::import_aids::kept_pipelines;
use end_to_end::small_disk::SmallDisk;
use end_to_end::web_server::{How, WebServer};
use end_to_end::{Config, Ended, LocalEc2, Running, Signal};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
const ZLIB: Format = Format {
    name: "zlib",
    qemu: "qcow2",
    options: &["-c", "-o", "compression_type=zlib"],
};
const ZSTD: Format = Format {
    name: "zstd",
    qemu: "qcow2",
    options: &["-c", "-o", "compression_type=zstd"],
};

fn import_args<'a>(image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["import", "--local", "--json", image, "--arch", "x86_64"];
    let named = match more.contains(&"--name") {
        true => &[][..],
        false => &["--name", "never-made"],
    };
    [&args[..], named, more].concat()
}

#[track_caller]
fn import(ec2: &LocalEc2, image: &str, more: &[&str]) -> Ended {
    ec2.qib(import_args(image, more))
}

/// It is bad input: exit code 2, the file is named, and nothing was made, no lease either.
#[track_caller]
fn refused(ec2: &LocalEc2, image: &str, more: &[&str], says: &[&str]) -> Ended {
    let before = (ec2.effects(), ec2.put_blocks().len());
    let ended = import(ec2, image, more).exits(2);
    let name = image.rsplit('/').next().unwrap_or(image);
    let mut ended = ended.says(name);
    for word in says {
        ended = ended.says(word);
    }
    let after = (ec2.effects(), ec2.put_blocks().len());
    assert_eq!(before, after, "nothing is made{ended}");
    assert_eq!(
        kept_pipelines(ec2),
        0,
        "an address may hold a secret{ended}"
    );
    ended
}

/// It fails in the run: exit code 1, the error is about this, and nothing is left.
#[track_caller]
fn fails(ec2: &LocalEc2, image: &str, more: &[&str], says: &[&str]) -> Ended {
    let ended = import(ec2, image, more);
    let mut ended = ended.exits(1);
    for word in says {
        ended = ended.says(word);
    }
    let finished = ended.finished();
    assert_eq!(finished["left_behind"], json!([]), "{ended}");
    assert_eq!(
        kept_pipelines(ec2),
        0,
        "an address may hold a secret{ended}"
    );
    assert_eq!(finished["images"], json!([]), "{ended}");
    ended
}

#[track_caller]
fn assert_nothing(ec2: &LocalEc2, after: &Ended) {
    ec2.holdings().assert_none(after);
    assert_eq!(ec2.transfers(), Vec::<String>::new(), "{after}");
}

/// A disk that is full of what can be compressed.
#[track_caller]
fn full(ec2: &LocalEc2, name: &str, size: u64) -> RawDisk {
    let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), size);
    let mut numbers = Numbers::of(name);
    // After a sector of zeros: a raw disk that begins with text is taken for text.
    let text: Vec<u8> = (512..size).map(|_| b'a' + numbers.below(6) as u8).collect();
    disk.write(512, &text);
    disk
}

#[track_caller]
fn in_format(disk: &RawDisk, format: Format) -> PathBuf {
    let file = disk.path().with_extension(format.name);
    disk.convert(&file, format);
    file
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn sha256(path: &Path) -> String {
    let said = program("sha256sum", [path]);
    said.stdout.split(' ').next().unwrap_or_default().to_owned()
}

/// A part of a file changed, byte by byte.
#[track_caller]
fn damaged(file: &Path, from: usize, to: usize) -> Vec<u8> {
    let mut bytes = read(file);
    for at in (from..to.min(bytes.len())).step_by(7) {
        bytes[at] ^= 0x5a;
    }
    bytes
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[test]
fn what_is_no_whole_disk_image_is_refused_before_anything_is_made() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let work = |name: &str, bytes: &[u8]| text(&ec2.write(format!("work/{name}"), bytes));
    refused(&ec2, &work("empty.raw", b""), &[], &["empty"]);
    refused(&ec2, "not-there.qcow2", &[], &["does not exist"]);
    refused(&ec2, &text(&ec2.path("home")), &[], &[]);
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>";
    refused(&ec2, &work("page.qcow2", page), &[], &["web page"]);

    let disk = full(&ec2, "good", 4 * MIB);
    for format in [QCOW2, ZLIB, ZSTD, STREAM_OPTIMISED, VHD, VHDX] {
        let file = in_format(&disk, format);
        let bytes = read(&file);
        for (part, kept) in [("half", bytes.len() / 2), ("nearly", bytes.len() * 15 / 16)] {
            let truncated = work(&format!("{part}.{}", format.name), &bytes[..kept]);
            refused(&ec2, &truncated, &[], &[]);
        }
    }
    // Compressed data that cannot be unpacked, a table that its checksum does not fit.
    for format in [ZLIB, ZSTD, STREAM_OPTIMISED] {
        let file = in_format(&disk, format);
        let length = read(&file).len();
        let bytes = damaged(&file, length / 4, length / 2);
        refused(
            &ec2,
            &work(&format!("damaged.{}", format.name), &bytes),
            &[],
            &[],
        );
    }
    let vhdx = in_format(&disk, VHDX);
    let bytes = damaged(&vhdx, 64 << 10, 320 << 10);
    let last = refused(&ec2, &work("damaged.vhdx", &bytes), &[], &[]);
    assert_nothing(&ec2, &last);
}

#[test]
fn a_format_that_is_said_wrongly_is_refused() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = full(&ec2, "formatted", MIB);
    let qcow2 = text(&in_format(&disk, QCOW2));
    let raw = text(disk.path());
    refused(&ec2, &qcow2, &["--format", "vmdk"], &["qcow2", "vmdk"]);
    refused(&ec2, &raw, &["--format", "qcow2"], &["qcow2"]);
    refused(&ec2, &raw, &["--format", "vhdx"], &["vhdx"]);
    let last = refused(&ec2, &raw, &["--format", "vhd"], &["vhd"]);
    assert_nothing(&ec2, &last);
}

#[test]
fn hostile_images_reach_nothing_of_this_machine() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let work = |name: &str, bytes: &[u8]| text(&ec2.write(format!("work/{name}"), bytes));
    // Another file as the backing file, or as the file that the data is in.
    let backed = text(&ec2.path("work/backed.qcow2"));
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-u",
        "-F",
        "raw",
        "-b",
        "/etc/passwd",
    ];
    program("qemu-img", [&create[..], &[&backed, "4M"]].concat());
    let disk = full(&ec2, "flat", MIB);
    let external = text(&ec2.path("work/external.qcow2"));
    let data = text(&ec2.path("work/external.data"));
    let options = format!("data_file={data},data_file_raw=on");
    program(
        "qemu-img",
        [
            "create", "-q", "-f", "qcow2", "-o", &options, &external, "1M",
        ],
    );
    refused(
        &ec2,
        &external,
        &[],
        &["in another file", "qemu-img convert"],
    );
    let last = refused(&ec2, &backed, &[], &["/etc/passwd", "qemu-img convert"]);
    last.never_says("root:x:0");

    let descriptor = disk.path().with_extension("vmdk");
    let path = text(&descriptor);
    let convert = [
        "convert",
        "-f",
        "raw",
        "-O",
        "vmdk",
        "-o",
        "subformat=monolithicFlat",
    ];
    program(
        "qemu-img",
        [&convert[..], &[&text(disk.path()), &path]].concat(),
    );
    let descriptor = String::from_utf8(read(&descriptor)).expect("a descriptor is text");
    assert!(descriptor.contains("flat-flat.vmdk"), "{descriptor}");
    for (name, other) in [
        ("up.vmdk", "../../etc/passwd"),
        ("root.vmdk", "/etc/passwd"),
    ] {
        let hostile = descriptor.replace("flat-flat.vmdk", other);
        refused(&ec2, &work(name, hostile.as_bytes()), &[], &[other]);
    }

    // Tables that cannot be: larger than any disk, away from the file, in a loop.
    let good = read(&in_format(&disk, QCOW2));
    let l1 = get_u64(&good, 40) as usize;
    let mut cases: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut bytes = good.clone();
    put_u32(&mut bytes, 36, u32::MAX);
    cases.push(("huge-l1.qcow2", bytes));
    let mut bytes = good.clone();
    put_u64(&mut bytes, 24, 1 << 62);
    cases.push(("huge-disk.qcow2", bytes));
    let mut bytes = good.clone();
    put_u64(&mut bytes, 24, u64::MAX);
    cases.push(("overflowing-disk.qcow2", bytes));
    let mut bytes = good.clone();
    put_u64(&mut bytes, l1, 1 << 63 | 1 << 50);
    cases.push(("l2-away.qcow2", bytes));
    let mut bytes = good.clone();
    put_u32(&mut bytes, 20, 60);
    cases.push(("huge-clusters.qcow2", bytes));
    for (name, bytes) in &cases {
        // That it ends is shown by the deadline of every program that a test runs.
        refused(&ec2, &work(name, bytes), &[], &[]);
    }
    let up = ec2.qib(["local", "up"]).exits(0);
    assert_nothing(&ec2, &up);
}

/// A table that stands for one of another level, too, makes a loop of what goes down by references; the two levels of a qcow2
/// are read once each. QEMU takes it, and so it has to come to what QEMU reads.
#[test]
fn a_table_that_refers_to_itself_is_read_as_qemu_reads_it() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = full(&ec2, "looped", MIB);
    let file = in_format(&disk, QCOW2);
    let mut bytes = read(&file);
    let l1 = get_u64(&bytes, 40);
    put_u64(&mut bytes, l1 as usize, 1 << 63 | l1);
    fs::write(&file, &bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (file, exported) = (text(&file), text(&ec2.path("work/exported")));
    let ended = import(&ec2, &file, &[]).exits(0);
    let finished = ended.finished();
    let image = finished["images"][0]["image_id"]
        .as_str()
        .expect("an image");
    ec2.qib(["export", "--local", image, &exported]).exits(0);
    let compare = ["compare", "-f", "qcow2", "-F", "raw", &file, &exported];
    program("qemu-img", compare);
}

/// A checksum of one of several files is none of the disk, and must not stand for it: not even in the search for an image of
/// the same content.
#[test]
fn a_checksum_of_one_of_several_files_is_refused() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = full(&ec2, "parts", 2 * MIB);
    let (raw, described) = (text(disk.path()), text(&ec2.path("work/parts.vmdk")));
    let flat = "subformat=monolithicFlat";
    let convert = [
        "convert", "-f", "raw", "-O", "vmdk", "-o", flat, &raw, &described,
    ];
    program("qemu-img", convert);
    let sum = format!("sha256:{}", sha256(Path::new(&described)));
    refused(
        &ec2,
        &described,
        &["--checksum", &sum],
        &["parts.vmdk", "other files beside it"],
    );
    import(&ec2, &described, &[]).exits(0);
}

#[test]
fn a_file_with_another_checksum_is_refused_and_one_that_lies_within_it_fails_without_a_trace() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = full(&ec2, "checked", 4 * MIB);
    let file = in_format(&disk, ZLIB);
    let sum = sha256(&file);
    let wrong = format!("sha256:{}", sum.chars().rev().collect::<String>());
    let unlike = |checksum: &str| {
        let ended = import(&ec2, &text(&file), &["--checksum", checksum]);
        let ended = ended.says("checked.zlib").says(&sum).says(&wrong);
        assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
        assert_eq!(ended.finished()["left_behind"], json!([]), "{ended}");
    };
    unlike(&wrong);
    let list = format!("{}  checked.zlib\n", wrong.trim_start_matches("sha256:"));
    let list = text(&ec2.write("work/SUMS", list));
    unlike(&list);
    let list = text(&ec2.write(
        "work/OTHERS",
        format!("{sum}  another.qcow2\n{sum}  a-third\n"),
    ));
    refused(
        &ec2,
        &text(&file),
        &["--checksum", &list],
        &["another.qcow2"],
    );
    for malformed in ["sha256:12", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let ended = import(&ec2, &text(&file), &["--checksum", malformed]).exits(2);
        ended.says(malformed);
    }

    // The file is what its publisher says, and damaged all the same: found out while it is sent.
    let length = read(&file).len();
    let bytes = damaged(&file, length / 2, length * 3 / 4);
    let broken = ec2.write("work/published.qcow2", bytes);
    let sum = format!("sha256:{}", sha256(&broken));
    let ended = import(&ec2, &text(&broken), &["--checksum", &sum]).says("published.qcow2");
    assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
    assert_nothing(&ec2, &ended);
}

#[test]
fn what_a_server_sends_instead_of_the_image_is_told_and_nothing_is_made() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let web = WebServer::new();
    let disk = full(&ec2, "served", MIB);
    let file = in_format(&disk, QCOW2);
    let sum = format!("sha256:{}", sha256(&file));
    let literal = ["--checksum", sum.as_str()];

    let url = web.url_of("nothing.qcow2");
    fails(&ec2, &url, &literal, &["nothing.qcow2", "404"]);
    web.always_fails("forbidden.qcow2", How::Status(403));
    let url = web.url_of("forbidden.qcow2");
    fails(&ec2, &url, &literal, &["forbidden.qcow2", "403"]);
    // Status 200, and a page: by its checksum, and by its content where somebody has taken its checksum.
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec();
    let of_page = ec2.write("work/page", &page);
    let url = web.put("page.qcow2", &page);
    fails(&ec2, &url, &literal, &["page.qcow2"]);
    let sum_of_page = format!("sha256:{}", sha256(&of_page));
    fails(
        &ec2,
        &url,
        &["--checksum", &sum_of_page],
        &["page.qcow2", "web page"],
    );

    let url = web.put("served.qcow2", read(&file));
    let other = format!("sha256:{}", "0".repeat(64));
    fails(
        &ec2,
        &url,
        &["--checksum", &other],
        &["served.qcow2", &"0".repeat(64)],
    );
    let list = format!("{}  served.qcow2\n", "1".repeat(64));
    let list = web.put("SUMS", list);
    fails(
        &ec2,
        &url,
        &["--checksum", &list],
        &["served.qcow2", &"1".repeat(64)],
    );
    let list = format!(
        "{}  other.qcow2\n{}  third.qcow2\n",
        "1".repeat(64),
        "2".repeat(64)
    );
    let list = web.put("OTHERS", list);
    fails(
        &ec2,
        &url,
        &["--checksum", &list],
        &["served.qcow2", "other.qcow2"],
    );
    let list = web.url_of("NO-SUMS");
    fails(&ec2, &url, &["--checksum", &list], &["NO-SUMS", "404"]);
    // Without a checksum, it is bad input, and no byte is fetched.
    let asked = web.requests().len();
    let effects = ec2.effects();
    import(&ec2, &url, &[]).exits(2).says("checksum");
    assert_eq!(ec2.effects(), effects);
    assert_eq!(web.requests().len(), asked);

    // Packed, and the end is missing.
    let path = text(&file);
    program("xz", ["-k", "-0", path.as_str()]);
    let mut bytes = read(&PathBuf::from(format!("{path}.xz")));
    bytes.truncate(bytes.len() * 2 / 3);
    let cut = ec2.write("work/cut.qcow2.xz", &bytes);
    let url = web.put("cut.qcow2.xz", &bytes);
    let sum = format!("sha256:{}", sha256(&cut));
    let last = fails(&ec2, &url, &["--checksum", &sum], &["cut.qcow2.xz"]);
    assert_nothing(&ec2, &last);
    assert_eq!(ec2.put_blocks(), []);
    assert_eq!(ec2.carried_out("StartSnapshot"), 0);
}

#[test]
fn a_download_that_stalls_is_gone_on_with_where_it_stopped() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let web = WebServer::new();
    let disk = full(&ec2, "stalling", 3 * MIB);
    let content = read(disk.path());
    let sum = format!("sha256:{}", sha256(disk.path()));
    let after = content.len() as u64 / 2 + 4321;
    web.always_fails("stalls-for-ever.raw", How::Stall(after));
    let url = web.put("stalls-for-ever.raw", &content);
    let mut running = ec2.start(import_args(&url, &["--checksum", &sum]));
    running.wait_for_event("some of it has come", |event| {
        event["event"] == "transfer" && event["done"].as_u64() > Some(MIB)
    });
    running.signal(Signal::INT);
    running.end().exits(130);

    web.fails("stalls-once.raw", How::Stall(after));
    let url = web.put("stalls-once.raw", &content);
    let more = ["--checksum", &sum, "--name", "came-at-last"];
    // In a cache of its own: the other download has left its half.
    let mut command = ec2.command(import_args(&url, &more));
    command.env("QIB_CACHE_DIR", ec2.path("another-cache"));
    let ended = Running::start(command).end().exits(0);
    let ranges: Vec<_> = web
        .requests()
        .into_iter()
        .filter(|asked| asked.path.contains("once"))
        .map(|asked| asked.range)
        .collect();
    assert_eq!(ranges, [None, Some(format!("bytes={after}-"))], "{ended}");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn a_cache_without_room_is_told_before_it_is_full() {
    let ec2 = LocalEc2::new(Config::QUICK);
    // 256 MiB are left free whatever is fetched.
    let Some(cache) = SmallDisk::mounted(ec2.path("small"), 272) else {
        return;
    };
    let web = WebServer::new();
    let disk = RawDisk::new(ec2.path("work/too-large.disk"), 96 * MIB);
    let chunk = Numbers::of("too large").bytes(16 << 10);
    for at in (512..96 * MIB - chunk.len() as u64).step_by(chunk.len()) {
        disk.write(at, &chunk);
    }
    let url = web.put("too-large.raw", read(disk.path()));
    let path = text(disk.path());
    // What is packed fits in, and what comes out of it does not.
    program("gzip", ["-9", "-k", &path]);
    let packed = PathBuf::from(format!("{path}.gz"));
    let packed_url = web.put("too-large.raw.gz", read(&packed));
    let mut last = None;
    for (url, file) in [(&url, disk.path()), (&packed_url, &packed)] {
        let sum = format!("sha256:{}", sha256(file));
        let mut command = ec2.command(import_args(url, &["--checksum", &sum]));
        command.env("QIB_CACHE_DIR", cache.path());
        let ended = Running::start(command).end().exits(1);
        let ended = ended.says("too-large.raw").says(&text(cache.path()));
        last = Some(ended.says("no room").says("MiB"));
    }
    assert_eq!(ec2.put_blocks(), []);
    assert_nothing(&ec2, &last.expect("two were tried"));
}

#[track_caller]
fn make_bucket(ec2: &LocalEc2, name: &str, region: &str) {
    let constraint = format!("LocationConstraint={region}");
    let create = "s3api create-bucket --create-bucket-configuration";
    let mut args: Vec<&str> = create.split(' ').collect();
    args.extend([constraint.as_str(), "--region", region, "--bucket", name]);
    ec2.aws(&args).exits(0);
}

#[test]
fn by_s3_what_is_missing_is_told_and_nothing_stays_in_the_bucket() {
    let ec2 = LocalEc2::new(Config::QUICK);
    make_bucket(&ec2, "here", "us-east-2");
    make_bucket(&ec2, "elsewhere", "eu-west-1");
    let disk = full(&ec2, "by-s3", MIB);
    let file = text(disk.path());
    let by_s3 = |more: &[&'static str]| [&["--via", "s3"][..], more].concat();
    let without = import(&ec2, &file, &by_s3(&[])).exits(2).says("--bucket");
    assert_eq!(ec2.carried_out("CreateMultipartUpload"), 0, "{without}");
    fails(
        &ec2,
        &file,
        &by_s3(&["--bucket", "elsewhere"]),
        &["elsewhere", "eu-west-1"],
    );
    fails(
        &ec2,
        &file,
        &by_s3(&["--bucket", "no-such-bucket"]),
        &["no-such-bucket"],
    );
    assert_eq!(ec2.carried_out("CreateMultipartUpload"), 0);
    let role = by_s3(&["--bucket", "here", "--role", "nobody-has-it"]);
    let last = fails(&ec2, &file, &role, &["nobody-has-it"]);
    // The keys of one way are refused with the other.
    let wrong = by_s3(&["--bucket", "here", "--holes", "skip"]);
    import(&ec2, &file, &wrong).exits(2).says("holes");
    import(&ec2, &file, &["--bucket", "here"])
        .exits(2)
        .says("bucket");
    assert_nothing(&ec2, &last);
}

#[test]
fn a_name_that_is_taken_is_found_before_anything_is_fetched() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let web = WebServer::new();
    let disk = full(&ec2, "first", MIB);
    import(&ec2, &text(disk.path()), &["--name", "taken"]).exits(0);
    let url = web.put("second.qcow2", b"whatever");
    let sum = format!("sha256:{}", "3".repeat(64));
    let put = ec2.put_blocks().len();
    let ended = import(&ec2, &url, &["--checksum", &sum, "--name", "taken"]).says("taken");
    assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
    assert_eq!(web.requests(), [], "nothing is fetched{ended}");
    assert_eq!(ec2.put_blocks().len(), put, "{ended}");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn a_block_that_is_refused_ends_the_import_and_leaves_nothing() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = full(&ec2, "denied", 4 * MIB);
    let denied = json!({ "action": "PutSnapshotBlock", "code": "AccessDeniedException", "status": 403, "after": 3 });
    ec2.faults(json!({ "actions": [denied] }));
    let last = fails(&ec2, &text(disk.path()), &[], &["snap-", "AccessDenied"]);
    assert_nothing(&ec2, &last);
}

/// Interrupted where it is, with nothing left.
#[track_caller]
fn interrupted(
    ec2: &LocalEc2,
    mut running: Running,
    what: &str,
    fits: fn(&serde_json::Value) -> bool,
) {
    running.wait_for_event(what, fits);
    running.signal(Signal::INT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{what}{ended}");
    assert_eq!(ended.finished()["left_behind"], json!([]), "{ended}");
    assert_nothing(ec2, &ended);
}

fn some_is_sent(event: &serde_json::Value) -> bool {
    event["event"] == "transfer" && event["what"] == "upload" && event["done"].as_u64() > Some(0)
}

#[test]
fn ctrl_c_in_the_middle_leaves_nothing() {
    let ec2 = LocalEc2::new(Config::QUICK);
    make_bucket(&ec2, "here", "us-east-2");
    let disk = full(&ec2, "large", 40 * MIB);
    let file = text(disk.path());
    ec2.faults(json!({
        "latency_ms": { "PutSnapshotBlock": 200, "UploadPart": 500 },
        "import_tasks": [{ "stuck_at_percent": 10 }],
    }));
    interrupted(
        &ec2,
        ec2.start(import_args(&file, &[])),
        "blocks are sent",
        some_is_sent,
    );
    let by_s3 = ["--via", "s3", "--bucket", "here"];
    interrupted(
        &ec2,
        ec2.start(import_args(&file, &by_s3)),
        "parts are sent",
        some_is_sent,
    );
    let waits =
        |event: &serde_json::Value| event["event"] == "transfer" && event["what"] == "import";
    interrupted(
        &ec2,
        ec2.start(import_args(&file, &by_s3)),
        "a task is waited for",
        waits,
    );
    let made = ec2.effects();
    let began = ["StartSnapshot", "ImportSnapshot", "UploadPart"].map(str::to_owned);
    assert!(made.is_superset(&BTreeSet::from(began)), "{made:?}");
}
