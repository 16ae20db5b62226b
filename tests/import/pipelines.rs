//! Disk images in pipelines: from the web, with an instance, after preflight.

use super::*;

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The digest of a file, as the publisher's own tool says it.
#[track_caller]
fn digest(tool: &str, path: &Path) -> String {
    let said = program(tool, [path]);
    said.stdout.split(' ').next().unwrap_or_default().to_owned()
}

/// What is packed comes from the web and is checked as it is published; what is not is read where it lies.
#[test]
fn packed_images_come_from_the_web_by_literal_and_by_listed_checksums() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let web = WebServer::new();
    let mut sums = String::new();
    let mut pipeline = format!("name: web\naws: {{ region: {REGION} }}\nstages:\n");
    let mut disks = Vec::new();
    let packers = [
        ("xz", &["xz", "-k", "-0"][..], RAW),
        ("gz", &["gzip", "-k"], QCOW2),
        ("zst", &["zstd", "-q", "-k"], VHDX),
    ];
    for (suffix, packer, format) in packers {
        let disk = scattered(&ec2, &format!("packed-{suffix}"), 5 * MIB + 512, MIB);
        let file = in_format(&disk, format);
        let (path, packed) = (
            text(&file),
            PathBuf::from(format!("{}.{suffix}", text(&file))),
        );
        program(
            packer[0],
            packer[1..].iter().copied().chain([path.as_str()]),
        );
        let name = packed
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        let url = web.put(&format!("dl/{name}"), read(&packed));
        let checksum = match suffix {
            // As sha256sum writes it, and as BSD's does.
            "xz" => format!("sha512:{}", digest("sha512sum", &packed)),
            "gz" => {
                sums.push_str(&format!("{}  {name}\n", digest("sha256sum", &packed)));
                format!("{{ url: '{}' }}", web.url_of("dl/SHA256SUMS"))
            }
            _ => {
                sums.push_str(&format!(
                    "SHA256 ({name}) = {}\n",
                    digest("sha256sum", &packed)
                ));
                format!("{{ url: '{}', name: {name} }}", web.url_of("dl/SHA256SUMS"))
            }
        };
        pipeline.push_str(&format!(
            "  {suffix}:\n    source: {{ import: {{ url: '{url}', checksum: {checksum}, arch: x86_64 }} }}\n    image: {{ name: '{suffix}-${{{{ run.id }}}}', tags: {{ from: '${{{{ source.name }}}}', id: '${{{{ source.id }}}}' }} }}\n"
        ));
        disks.push((suffix, disk));
    }
    web.put("dl/SHA256SUMS", sums);
    let file = ec2.pipeline(pipeline);
    let ended = ec2.run(&file).exits(0);
    for (stage, disk) in &disks {
        let image = ended.image(stage);
        assert_exports(&ec2, &id(&image), disk);
        let from = format!("packed-{stage}");
        let found = described(&ec2, REGION, &id(&image));
        assert_eq!(tag(&found, "from"), Some(from.as_str()), "{found}");
        let source = tag(&found, "id").unwrap_or_default();
        let is_digest = source.starts_with("sha256:") || source.starts_with("sha512:");
        assert!(
            is_digest,
            "`source.id` is the digest, says the guide: {source}"
        );
    }
    // Again: nothing is fetched but the list, which may have changed, and nothing is sent.
    let (asked, put) = (web.requests().len(), ec2.put_blocks().len());
    let again = ec2.run(&file).exits(0);
    let cached: Vec<bool> = images(&again)
        .iter()
        .map(|image| image["cached"] == true)
        .collect();
    assert_eq!(cached, [true; 3], "{again}");
    let later = web.requests().split_off(asked);
    let of_images: Vec<_> = later
        .iter()
        .filter(|asked| !asked.path.ends_with("SUMS"))
        .collect();
    assert!(of_images.is_empty(), "{of_images:?}{again}");
    assert_eq!(ec2.put_blocks().len(), put);
}

/// A system of the test's own: what is in the image, what a provisioner adds, and a child of both.
#[test]
fn an_imported_system_is_provisioned_and_its_child_has_both() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("root/etc/imported-release", "a system\n");
    ec2.write("root/opt/of-the-image", "of the image\n");
    let system = ec2.path("work/system.raw");
    let (root, path) = (text(&ec2.path("root")), text(&system));
    program(
        "mke2fs",
        ["-q", "-F", "-t", "ext4", "-d", &root, &path, "12M"],
    );
    program(
        "qemu-img",
        [
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            &path,
            &format!("{path}.qcow2"),
        ],
    );
    let image = PathBuf::from(format!("{path}.qcow2"));
    let web = WebServer::new();
    let url = web.put("system.qcow2", read(&image));
    let sum = digest("sha256sum", &image);
    let guest = "launch: { instance_type: m5.large, subnet: { default_vpc: true, zone: c } }\n    connect: { user: ec2-user, timeout: 60s }";
    let pipeline = format!(
        r#"name: system
aws: {{ region: {REGION} }}
stages:
  base:
    source: {{ import: {{ url: '{url}', checksum: 'sha256:{sum}', arch: x86_64 }} }}
    {guest}
    provision: [{{ run: {{ name: adds, inline: "grep -q 'of the image' /opt/of-the-image; echo added | sudo tee /opt/added" }} }}]
    image: {{ name: "base-${{{{ run.id }}}}" }}
  child:
    source: {{ stage: base }}
    {guest}
    provision: [{{ run: {{ name: looks, inline: "cat /etc/imported-release /opt/of-the-image /opt/added" }} }}]
    image: {{ name: "child-${{{{ run.id }}}}" }}
"#
    );
    let ended = ec2.run(&ec2.pipeline(pipeline)).exits(0);
    let said: Vec<String> = ended
        .events_of("output")
        .iter()
        .filter(|event| event["stage"] == "child")
        .filter_map(|event| event["line"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, ["a system", "of the image", "added"], "{ended}");
    // The image that the instance started from was for that alone.
    assert_eq!(ec2.carried_out("RegisterImage"), 1);
    assert_eq!(ec2.carried_out("DeregisterImage"), 1);
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &ended);
}

/// As the guide says: `preflight` may make the file that is imported.
#[test]
fn a_disk_image_that_preflight_makes_is_imported() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "of-preflight", MIB, MIB);
    let make = format!(
        "qemu-img convert -f raw -O qcow2 {} made.qcow2",
        text(disk.path())
    );
    let pipeline = format!(
        r#"name: made
aws: {{ region: {REGION} }}
preflight:
  - {{ run: {{ name: makes, inline: "{make}", creates: [made.qcow2] }} }}
stages:
  one:
    source: {{ import: {{ file: made.qcow2, arch: x86_64 }} }}
    image: {{ name: "one-${{{{ run.id }}}}" }}
"#
    );
    let ended = ec2.run(&ec2.pipeline(pipeline)).exits(0);
    assert_exports(&ec2, &id(&ended.image("one")), &disk);
}
