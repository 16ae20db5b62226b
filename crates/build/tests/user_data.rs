//! The message that an instance is told, taken apart by the cloud-init that is installed here: every kind of a user's own
//! part comes through, once, as what it is.
#![allow(
    clippy::disallowed_methods,
    reason = "cloud-init is another program, and this test asks it"
)]

use build::user_data::{Part, PartKind, compose, users_part};
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads a message on its input, and prints the type and the text of each part that cloud-init would hand to a handler.
const TAKE_APART: &str = "
import json, sys
sys.path.insert(0, '/usr/lib/python3/dist-packages')
from cloudinit import handlers, helpers, user_data
found = []
def part(_, filename, payload, headers):
    text = payload if isinstance(payload, str) or payload is None else payload.decode('utf-8', 'replace')
    found.append([headers['Content-Type'], text])
paths = helpers.Paths({'cloud_dir': sys.argv[1], 'run_dir': sys.argv[1]})
message = user_data.UserDataProcessor(paths).process(sys.stdin.buffer.read())
handlers.walk(message, part, None)
print(json.dumps(found))
";

/// What cloud-init sees of a message.
#[track_caller]
fn seen(message: &[u8]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", TAKE_APART])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("/usr/bin/python3, with Debian's package cloud-init, is needed");
    child.stdin.take().unwrap().write_all(message).unwrap();
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "cloud-init cannot be asked: {errors}"
    );
    assert!(!errors.contains("WARNING"), "{errors}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// qib's own parts around the user's.
fn message(own: &[u8]) -> Vec<u8> {
    let part = |kind, text: &str| Part {
        kind,
        content: text.into(),
    };
    let parts = [
        part(PartKind::Boothook, "#cloud-boothook\necho first\n"),
        users_part(own).unwrap(),
        part(
            PartKind::CloudConfig,
            "#cloud-config\nssh_deletekeys: true\n",
        ),
    ];
    compose(&parts).unwrap()
}

/// What cloud-init sees of a user's own part, between qib's.
#[track_caller]
fn own_parts(own: &[u8]) -> Vec<(String, String)> {
    let mut seen = seen(&message(own));
    let kinds: Vec<&str> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds.first(), Some(&"text/cloud-boothook"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"text/cloud-config"), "{kinds:?}");
    seen.pop();
    seen.remove(0);
    seen
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=\"==BOUNDARY==\"\nMIME-Version: 1.0\n\n\
--==BOUNDARY==\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\nContent-Disposition: attachment; filename=\"one.sh\"\n\n\
#!/bin/sh\necho one\n\
--==BOUNDARY==\nContent-Type: multipart/mixed; boundary=inner\n\n\
--inner\nContent-Type: text/cloud-config\nContent-Transfer-Encoding: base64\nMerge-Type: list(append)+dict(recurse_array)+str()\n\n\
I2Nsb3VkLWNvbmZpZwpwYWNrYWdlczogW2pxXQo=\n--inner--\n\
--==BOUNDARY==--\n";

#[test]
fn each_kind_of_a_lone_part_is_what_it_was() {
    for (own, kind) in [
        ("#!/bin/sh\necho größer\n", "text/x-shellscript"),
        ("#!/bin/sh\r\necho\r\n", "text/x-shellscript"),
        (
            "#cloud-config\npackages: [jq]\nmerge_how: 'dict(recurse_array)+list(append)'\n",
            "text/cloud-config",
        ),
        ("\n#cloud-config\npackages: [jq]\n", "text/cloud-config"),
        ("#cloud-boothook\necho early\n", "text/cloud-boothook"),
        ("#cloud-config-jsonp\n[]\n", "text/cloud-config-jsonp"),
        (
            "## template: jinja\n#cloud-config\nhostname: '{{ v1.instance_id }}'\n",
            "text/jinja2",
        ),
        (
            "#part-handler\ndef list_types(): return []\n",
            "text/part-handler",
        ),
    ] {
        let wanted = [(kind.to_owned(), own.to_owned())];
        assert_eq!(own_parts(own.as_bytes()), wanted, "plain");
        assert_eq!(own_parts(&gzip(own.as_bytes())), wanted, "compressed");
    }
}

/// What cloud-init unfolds itself comes through unfolded.
#[test]
fn an_archive_and_an_include_are_unfolded() {
    let archive = "#cloud-config-archive\n- type: text/x-shellscript\n  content: |\n    #!/bin/sh\n    echo two\n- 'packages: [jq]'\n";
    let kinds: Vec<String> = own_parts(archive.as_bytes())
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, ["text/x-shellscript", "text/cloud-config"]);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    std::fs::write(&other, "#!/bin/sh\necho included\n").unwrap();
    for word in ["#include", "#include-once"] {
        let own = format!("{word}\nfile://{}\n", other.display());
        let parts = own_parts(own.as_bytes());
        assert_eq!(
            parts,
            [(
                "text/x-shellscript".to_owned(),
                "#!/bin/sh\necho included\n".to_owned()
            )]
        );
    }
}

#[test]
fn a_message_of_several_parts_is_walked_into_and_no_part_counts_twice() {
    let mailbox = format!("From nobody Thu Jan  1 00:00:00 1970\n{MULTIPART}");
    let crlf = MULTIPART.replace('\n', "\r\n");
    for own in [
        MULTIPART.as_bytes().to_vec(),
        mailbox.into_bytes(),
        gzip(MULTIPART.as_bytes()),
        crlf.into_bytes(),
    ] {
        let parts = own_parts(&own);
        let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["text/x-shellscript", "text/cloud-config"]);
        assert!(parts[0].1.contains("echo one"));
        assert_eq!(parts[1].1, "#cloud-config\npackages: [jq]\n");
    }
}

/// cloud-init itself sees the same in the user's own message, had it been sent alone.
#[test]
fn a_message_comes_through_as_if_it_had_been_sent_alone() {
    let single =
        "Content-Type: text/cloud-config\nMIME-Version: 1.0\n\n#cloud-config\npackages: [jq]\n";
    for own in [MULTIPART, single] {
        let trimmed = |parts: Vec<(String, String)>| -> Vec<(String, String)> {
            // A line end before a boundary belongs to the boundary.
            parts
                .into_iter()
                .map(|(kind, text)| (kind, text.trim_end().to_owned()))
                .collect()
        };
        assert_eq!(
            trimmed(own_parts(own.as_bytes())),
            trimmed(seen(own.as_bytes()))
        );
    }
}
