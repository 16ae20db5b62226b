//! `pipelines/fedora-import.yaml`: from the URLs of cloud images to tagged AMIs, for two architectures. The images are the
//! test's own, and so is the server that publishes them as Fedora does.

use end_to_end::disk_images::{program, text};
use end_to_end::import_aids::{Architecture, noise, system_disk};
use end_to_end::shipped::{self, Shipped, cached, described, ids, tag};
use end_to_end::web_server::{How, Request, WebServer};
use end_to_end::{Config, Ended, LocalEc2, Running};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const REGION: &str = "us-east-1";
const BOTH: [(&str, Architecture); 2] = [
    ("x86_64", Architecture::X86),
    ("aarch64", Architecture::Arm),
];

/// A local EC2, Fedora's mirror, and the pipeline.
struct Rehearsal {
    mirror: WebServer,
    ec2: LocalEc2,
}

/// A folder of the mirror, below the user's.
fn folder(machine: &str) -> String {
    format!("mirror/43/Cloud/{machine}/images")
}

fn image_name(machine: &str) -> String {
    format!("Fedora-Cloud-Base-Generic-43-1.6.{machine}.qcow2")
}

fn checksums_name(machine: &str) -> String {
    format!("Fedora-Cloud-43-1.6-{machine}-CHECKSUM")
}

impl Rehearsal {
    #[track_caller]
    fn new() -> Self {
        let ec2 = shipped::with_pipelines(Config::QUICK);
        let made = Self {
            mirror: WebServer::of(ec2.path("mirror")),
            ec2,
        };
        for (machine, architecture) in BOTH {
            made.publish(machine, architecture, "first");
            made.list(machine);
        }
        made
    }

    /// Puts an image on the mirror, in place of the one that is there.
    #[track_caller]
    fn publish(&self, machine: &str, architecture: Architecture, release: &str) {
        // What no compression makes smaller, so that there is something to download.
        let bulk = noise(43, 1 << 20);
        let files: [(&str, &[u8]); 3] = [
            ("etc/fedora-release", release.as_bytes()),
            ("etc/machine", machine.as_bytes()),
            ("usr/share/bulk", &bulk),
        ];
        let raw = system_disk(&self.ec2, "made.raw", architecture, &files);
        let to = self.path(machine, &image_name(machine));
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("there is room");
        let (raw, to) = (text(&raw), text(&to));
        program(
            "qemu-img",
            ["convert", "-c", "-f", "raw", "-O", "qcow2", &raw, &to],
        );
    }

    fn path(&self, machine: &str, name: &str) -> PathBuf {
        self.ec2.path(folder(machine)).join(name)
    }

    /// Writes the checksum file of an image, as Fedora does before it signs it.
    #[track_caller]
    fn list(&self, machine: &str) {
        let (image, list) = (image_name(machine), checksums_name(machine));
        let script = format!(
            "cd '{}'\n\
             {{ printf '# %s: %s bytes\\n' '{image}' \"$(stat -c %s '{image}')\"; sha256sum --tag '{image}'; }} > '{list}'\n",
            self.ec2.path(folder(machine)).display()
        );
        self.script(&script).exits(0);
    }

    fn script(&self, script: &str) -> Ended {
        let mut command = self.ec2.program("sh");
        command.args(["-euc", script]);
        command.env("GNUPGHOME", self.ec2.path("gnupg"));
        Running::start(command).end()
    }

    fn shipped(&self) -> Shipped<'_> {
        Shipped {
            ec2: &self.ec2,
            name: "fedora-import",
        }
    }

    #[track_caller]
    fn run(&self) -> Ended {
        let base = format!("base_url={}", self.mirror.url());
        self.shipped().run(&["--var", &base])
    }

    /// What of the mirror was asked for: the last part of each path, and the range.
    fn asked(&self) -> Vec<(String, Option<String>)> {
        let last = |request: Request| {
            let name = request
                .path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            (request.method == "GET").then_some((name, request.range))
        };
        self.mirror
            .take_requests()
            .into_iter()
            .filter_map(last)
            .collect()
    }

    #[track_caller]
    fn images_and_snapshots(&self, count: usize, after: &Ended) {
        let counts = match count {
            0 => vec![],
            count => vec![("images", count), ("snapshots", count)],
        };
        self.ec2.holdings_in(REGION).assert_counts(&counts, after);
    }
}

#[test]
fn both_images_are_imported_as_the_pipeline_says_and_are_found_again() {
    let rehearsal = Rehearsal::new();
    let ec2 = &rehearsal.ec2;
    let base = format!("base_url={}", rehearsal.mirror.url());
    rehearsal.shipped().is_valid_and_plans(2, &["--var", &base]);
    let planned = rehearsal.asked();
    assert!(
        planned.iter().all(|(name, _)| name.ends_with("CHECKSUM")),
        "a plan downloads no image: {planned:?}"
    );
    let first = rehearsal.run().exits(0);
    assert_eq!(cached(&first), [false, false], "{first}");
    let made = ids(&first);
    for (arch, machine, name, boot_mode) in [
        ("x86_64", "x86_64", "fedora-aws", "uefi-preferred"),
        ("arm64", "aarch64", "fedora-aws-arm64", "uefi"),
    ] {
        let id = made
            .iter()
            .find(|(cell, _)| cell.starts_with(&format!("import/{arch}")))
            .map(|(_, id)| id)
            .unwrap_or_else(|| panic!("no image for {arch}{first}"));
        let image = described(ec2, REGION, id);
        let show = format!("{image:#}{first}");
        assert_eq!(image["Architecture"], arch, "{show}");
        assert_eq!(image["BootMode"], boot_mode, "{show}");
        assert_eq!(image["EnaSupport"], true, "{show}");
        assert_eq!(image["ImdsSupport"], "v2.0", "{show}");
        assert_eq!(image["RootDeviceName"], "/dev/sda1", "{show}");
        assert!(image["DeprecationTime"].is_string(), "{show}");
        let said = image["Description"].as_str().unwrap_or_default();
        let source = image_name(machine).replace(".qcow2", "");
        assert_eq!(
            said,
            format!("{source}, as Fedora has published it"),
            "{show}"
        );
        let root = &image["BlockDeviceMappings"][0];
        assert_eq!(root["DeviceName"], "/dev/sda1", "{show}");
        assert_eq!(root["Ebs"]["VolumeSize"], 10, "{show}");
        assert_eq!(root["Ebs"]["VolumeType"], "gp3", "{show}");
        let sfx = tag(&image, "sfx").unwrap_or_default();
        assert!(sfx.ends_with("z-f43"), "{show}");
        let full = format!("{name}-i{sfx}");
        assert_eq!(image["Name"], full.as_str(), "{show}");
        let content = fs::read_to_string(rehearsal.path(machine, &checksums_name(machine)));
        let digest = content
            .ok()
            .and_then(|text| text.rsplit(' ').next().map(|hex| hex.trim().to_owned()))
            .unwrap_or_default();
        for (key, value) in [
            ("Name", full.as_str()),
            ("stage", "import"),
            ("arch", arch),
            ("release", "fedora-43"),
            ("automation", "false"),
            ("src", &format!("sha256:{digest}")),
        ] {
            assert_eq!(tag(&image, key), Some(value), "{key}: {show}");
        }
        // The snapshot can be told from others, too.
        let snapshot = root["Ebs"]["SnapshotId"].as_str().unwrap_or_default();
        let args = ["ec2", "describe-snapshots", "--snapshot-ids", snapshot];
        let snapshot = shipped::aws(ec2, REGION, &args)["Snapshots"][0].clone();
        assert_eq!(tag(&snapshot, "arch"), Some(arch), "{snapshot:#}{first}");
    }
    rehearsal.images_and_snapshots(2, &first);
    let manifest = fs::read_to_string(ec2.path("work/import-manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest.expect("it is written")).expect("JSON");
    for build in manifest["builds"].as_array().expect("it lists builds") {
        assert_eq!(
            build["custom_data"],
            json!({ "RELEASE": "43", "COMPOSE": "1.6" })
        );
    }
    rehearsal.asked();
    let second = rehearsal.run().exits(0);
    assert_eq!(cached(&second), [true, true], "{second}");
    assert_eq!(ids(&second), made, "{second}");
    let asked = rehearsal.asked();
    assert!(
        !asked.is_empty(),
        "what the publisher lists is looked at{second}"
    );
    assert!(
        asked.iter().all(|(name, _)| name.ends_with("CHECKSUM")),
        "what is there is not downloaded again: {asked:?}{second}"
    );
    // The publisher replaces one image.
    rehearsal.publish("x86_64", Architecture::X86, "second");
    rehearsal.list("x86_64");
    let third = rehearsal.run().exits(0);
    let changed: Vec<(String, bool)> = shipped::images(&third)
        .iter()
        .map(|image| (image["cell"].to_string(), image["cached"] == true))
        .collect();
    assert_eq!(
        changed.iter().filter(|(_, cached)| !cached).count(),
        1,
        "{third}"
    );
    assert!(
        changed
            .iter()
            .any(|(cell, cached)| cell.contains("x86_64") && !cached),
        "{changed:?}{third}"
    );
    rehearsal.images_and_snapshots(3, &third);
}

#[test]
fn a_download_that_breaks_goes_on_where_it_was() {
    let rehearsal = Rehearsal::new();
    let name = image_name("x86_64");
    let cut = 300_000;
    rehearsal.mirror.fails(&name, How::Cut(cut));
    rehearsal
        .mirror
        .fails(image_name("aarch64"), How::Status(503));
    let ended = rehearsal.run().exits(0);
    rehearsal.images_and_snapshots(2, &ended);
    let asked = rehearsal.asked();
    let of_image: Vec<Option<u64>> = asked
        .iter()
        .filter(|(asked, _)| *asked == name)
        .map(|(_, range)| {
            let from = range.as_deref()?.strip_prefix("bytes=")?;
            from.split('-').next()?.parse().ok()
        })
        .collect();
    // What had arrived is not asked for again.
    assert_eq!(of_image, [None, Some(cut)], "{asked:?}{ended}");
}

#[test]
fn an_image_that_is_not_what_the_publisher_lists_becomes_no_ami() {
    let rehearsal = Rehearsal::new();
    // Replaced without its checksum file.
    rehearsal.publish("aarch64", Architecture::Arm, "forged");
    let failed = rehearsal.run().exits(1);
    let failures = failed.finished()["failures"].clone();
    let steps: Vec<&Value> = failures
        .as_array()
        .into_iter()
        .flatten()
        .map(|failure| &failure["step"])
        .collect();
    assert_eq!(steps, ["fetch"], "{failed}");
    let failed = failed
        .says(&image_name("aarch64"))
        .says("is not what the checksum says");
    // The other one is not hindered.
    rehearsal.images_and_snapshots(1, &failed);
}

#[test]
fn with_fedoras_keys_beside_it_the_pipeline_takes_only_what_they_signed() {
    let rehearsal = Rehearsal::new();
    let ec2 = &rehearsal.ec2;
    let file = ec2.path("work/pipelines/fedora-import.yaml");
    let text = fs::read_to_string(&file).expect("it is shipped");
    let commented = "# signed_by: files/fedora.gpg";
    assert!(text.contains(commented), "{text}");
    let text = text.replace(commented, "signed_by: files/fedora.gpg");
    fs::write(&file, text).expect("the copy is ours");
    fs::create_dir_all(ec2.path("work/pipelines/files")).expect("the copy is ours");
    let key = |who: &str| {
        format!(
            "gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key '{who}' ed25519 sign never\n"
        )
    };
    let made = rehearsal.script(&format!(
        "mkdir -m 700 \"$GNUPGHOME\"\n{}{}gpg --batch --export fedora@example.org > '{}'\n",
        key("fedora@example.org"),
        key("somebody@example.org"),
        ec2.path("work/pipelines/files/fedora.gpg").display()
    ));
    made.exits(0);
    let sign = |who: &str| {
        for (machine, _) in BOTH {
            rehearsal.list(machine);
            let list = rehearsal.path(machine, &checksums_name(machine));
            let list = list.display();
            let script = format!(
                "gpg --batch --quiet --yes --pinentry-mode loopback --passphrase '' --local-user {who} \
                 --output '{list}.signed' --clearsign '{list}'\n\
                 mv '{list}.signed' '{list}'\n"
            );
            rehearsal.script(&script).exits(0);
        }
    };
    // Not signed at all, and by somebody else.
    let failed = rehearsal.run();
    assert!(matches!(failed.code, Some(1 | 2)), "{failed}");
    rehearsal.images_and_snapshots(0, &failed);
    sign("somebody@example.org");
    let failed = rehearsal.run().says("sign");
    assert!(matches!(failed.code, Some(1 | 2)), "{failed}");
    rehearsal.images_and_snapshots(0, &failed);
    sign("fedora@example.org");
    let ended = rehearsal.run().exits(0);
    rehearsal.images_and_snapshots(2, &ended);
    // Changed after it was signed: the digests are those of images that are there.
    for (machine, architecture) in BOTH {
        let list = rehearsal.path(machine, &checksums_name(machine));
        let signed = fs::read_to_string(&list).expect("it is signed");
        let digest = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("SHA256 ("));
            line.and_then(|line| line.rsplit(' ').next())
                .unwrap_or_default()
                .to_owned()
        };
        rehearsal.publish(machine, architecture, "forged");
        rehearsal.list(machine);
        let forged = fs::read_to_string(&list).expect("it is listed");
        let forged = signed.replace(&digest(&signed), &digest(&forged));
        assert_ne!(forged, signed, "the digest stands in it");
        fs::write(&list, forged).expect("the mirror is ours");
    }
    let failed = rehearsal.run().says("sign");
    assert!(matches!(failed.code, Some(1 | 2)), "{failed}");
    rehearsal.images_and_snapshots(2, &failed);
    rehearsal.script("gpgconf --kill all").exits(0);
}
