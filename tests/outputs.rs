//! `outputs`: what a run writes about its images, read by those whom it is for: Python's json and xml, a shell, a reader by
//! GitHub's rules; and a YAML file that a person keeps.

use end_to_end::{Config, Ended, LocalEc2, OneStage, Running};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const REGIONS: [&str; 2] = ["us-east-2", "us-west-2"];

/// Four cells in two regions, and a stage that ends as it is told to; all outputs.
const PIPELINE: &str = r#"name: all-outputs
vars:
  code: { default: "0" }
stages:
  ami:
    matrix:
      axes: { region: [us-east-2, us-west-2], os: ["1204", "1404"] }
      include: [{ virt: hvm }]
    region: "${{ matrix.region }}"
    source: { filter: { owners: ["309956199498"], name: "RHEL-8.7*HVM-*Hourly*" } }
    launch: { instance_type: m5.xlarge }
    connect: { user: ec2-user, timeout: 60s }
    provision: [{ run: { name: install, inline: "true" } }]
    image: { name: "ami-${{ cell }}", tags: { role: "web & <db>" } }
  okd:
    region: us-east-2
    source: { filter: { owners: ["309956199498"], name: "RHEL-8.7*HVM-*Hourly*" } }
    launch: { instance_type: m5.xlarge }
    connect: { user: ec2-user, timeout: 60s }
    provision: [{ run: { name: "says <&>", inline: "echo \"<&> is the end\" >&2; exit ${{ vars.code }}" } }]
    image: { name: okd, copy_to: [us-west-2] }
outputs:
  - { write: out/images.json }
  - { write: manifest.json, format: manifest, data: { IMG_SFX: "${{ run.id }}", where: "${{ region }}" } }
  - { write: "${{ region }}.vmi.properties", format: properties, stage: ami, key: "${{ image.tags.role }} ${{ matrix.os }}", value: "${{ image.id }}" }
  - { write: all.env, format: dotenv }
  - { write: named.env, format: dotenv, stage: okd, key: "OKD_${{ region | replace('-', '_') }}", value: "it's ${{ image.name }} $HOME" }
  - { write: "${{ env('GITHUB_OUTPUT') }}", format: github, stage: ami }
  - { write: "${{ env('GITHUB_OUTPUT') }}", format: github, stage: okd, key: "okd-${{ region }}", value: "${{ image.id }}\nadmin=true\nEOF" }
  - { write: junit.xml, format: junit }
  - write: ami_ids.json
    format: grouped
    stage: ami
    group_by: "${{ region }}"
    entry: { "Distributor ID": Ubuntu, Release: "${{ matrix.os }}", id: "${{ image.id }}", "virtualization type": "${{ matrix.virt }}" }
  - update: cluster.yaml
    stage: okd
    set: { bastion.machine_image.name: "${{ image.name }}", cluster.machine_image.name: "${{ image.name }}", "cluster.nodes[1].source": "${{ source.id }}" }
"#;

/// A file that a person keeps, in no style: comments, an anchor and aliases, odd indentation, all kinds of quotes, CRLF.
const KEPT: &str = "# Kept by hand.\r\n\
bastion:     # the way in\r\n\
\x20      machine_image: &image\r\n\
\x20             name:   centos-7-1805   # pasted in March\r\n\
\x20             user: 'centos'\r\n\
cluster:\n\
\x20 machine_image: {  name: \"centos-7-1805\",user: centos }\n\
\x20 nodes:\n\
\x20 -   <<: *image\n\
\x20     \"a key\": [1,  2]\n\
\x20 - source:      # none yet\n\
\n\
\n\
notes: |\n\
\x20  name: not this one\n\
...\n";

fn run(ec2: &LocalEc2, file: &Path, code: &str) -> Ended {
    let mut command = ec2.command(["run", "--local", "--json", "--var"]);
    command
        .arg(format!("code={code}"))
        .arg(file)
        .env("GITHUB_OUTPUT", ec2.path("work/github"));
    Running::start(command).end()
}

#[track_caller]
fn read(ec2: &LocalEc2, name: &str) -> String {
    let path = ec2.path("work").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn read_json(ec2: &LocalEc2, name: &str) -> Value {
    let text = read(ec2, name);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// The images of a stage in the last event.
#[track_caller]
fn images(ended: &Ended, stage: &str) -> Vec<Value> {
    let all = ended.finished()["images"].as_array().cloned();
    let mut all = all.unwrap_or_default();
    all.retain(|image| image["stage"] == stage);
    all
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// What Python's xml module makes of the JUnit file: a list of `[classname, name, outcome, message, text]`.
#[track_caller]
fn junit(ec2: &LocalEc2) -> Value {
    let script = r#"
import json, sys, xml.etree.ElementTree as E
root = E.parse(sys.argv[2]).getroot()
assert root.tag == 'testsuites', root.tag
cases = []
for suite in root:
    assert suite.tag == 'testsuite'
    found = suite.findall('testcase')
    assert int(suite.get('tests')) == len(found)
    assert int(suite.get('failures')) == len(suite.findall('testcase/failure'))
    assert int(suite.get('skipped')) == len(suite.findall('testcase/skipped'))
    float(suite.get('time'))
    for case in found:
        float(case.get('time'))
        inner = list(case)
        what = inner[0] if inner else None
        cases.append([case.get('classname'), case.get('name'), 'passed' if what is None else what.tag,
                      None if what is None else what.get('message'), None if what is None else what.text])
assert int(root.get('tests')) == len(cases)
print(json.dumps(cases))
"#;
    let path = ec2.path("work/junit.xml");
    let path = path.to_string_lossy();
    ec2.python_with(script, &[&path]).exits(0).json()
}

/// What GitHub's runner would read, by
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
#[track_caller]
fn github(ec2: &LocalEc2) -> Value {
    let script = r#"
import json, sys
read, lines = {}, iter(open(sys.argv[2]).read().splitlines())
for line in lines:
    equals, heredoc = line.find('='), line.find('<<')
    if equals >= 0 and (heredoc < 0 or equals < heredoc):
        key, value = line.split('=', 1)
    else:
        assert heredoc > 0, line
        key, end = line.split('<<', 1)
        held = []
        for line in lines:
            if line == end:
                break
            held.append(line)
        else:
            raise SystemExit('no end of ' + key)
        value = '\n'.join(held)
    read[key] = value
print(json.dumps(read))
"#;
    let path = ec2.path("work/github");
    let path = path.to_string_lossy();
    ec2.python_with(script, &[&path]).exits(0).json()
}

#[test]
fn one_pipeline_writes_all_of_them() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(PIPELINE);
    ec2.write("work/cluster.yaml", KEPT);
    ec2.write("work/github", "earlier=1\n");
    let ended = run(&ec2, &file, "0").exits(0);
    let cells = images(&ended, "ami");
    assert_eq!(cells.len(), 4, "{ended}");
    let okd = images(&ended, "okd")[0].clone();
    let copy = text(&okd["copies"][0], "image_id");
    let okd_id = text(&okd, "image_id");
    assert!(copy.starts_with("ami-") && copy != okd_id, "{ended}");

    // JSON: what the run's last event has.
    let mut finished = ended.finished();
    let fields = finished.as_object_mut().expect("an object");
    fields.remove("event");
    assert_eq!(read_json(&ec2, "out/images.json"), finished, "{ended}");

    the_manifest_names_everything(&ec2, &ended, &cells, &okd);

    // Properties: a file for each region.
    for region in REGIONS {
        let mut wanted: Vec<String> = cells
            .iter()
            .filter(|image| image["region"] == region)
            .map(|image| {
                let os = text(&image["matrix"], "os");
                format!("web\\ &\\ <db>\\ {os}={}", text(image, "image_id"))
            })
            .collect();
        let written = read(&ec2, &format!("{region}.vmi.properties"));
        let mut lines: Vec<&str> = written.lines().collect();
        lines.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(lines, wanted, "{written}");
    }

    // What comboami's extractor prints: the same as Python would print it, sorted, four spaces.
    let ids = read_json(&ec2, "ami_ids.json");
    for region in REGIONS {
        let entries = ids[region].as_array().cloned().unwrap_or_default();
        assert_eq!(entries.len(), 2, "{ids}");
        for entry in entries {
            let of = cells.iter().find(|image| image["image_id"] == entry["id"]);
            let of = of.unwrap_or_else(|| panic!("{entry}{ended}"));
            assert_eq!(of["region"], region, "{ids}");
            let wanted = json!({
                "Distributor ID": "Ubuntu",
                "Release": of["matrix"]["os"],
                "id": of["image_id"],
                "virtualization type": "hvm",
            });
            assert_eq!(entry, wanted);
        }
    }
    let again = "import json, sys\nsys.stdout.write(json.dumps(json.load(open(sys.argv[2])), sort_keys=True, indent=4) + '\\n')";
    let path = ec2.path("work/ami_ids.json");
    let printed = ec2.python_with(again, &[&path.to_string_lossy()]).exits(0);
    assert_eq!(printed.stdout, read(&ec2, "ami_ids.json"));

    // A shell reads what dotenv writes.
    let shell = ec2.shell(". ./all.env\n. ./named.env\nprintf '%s\\n' \"$AMI_US_WEST_2_1404\" \"$OKD_US_EAST_2_US_EAST_2\" \"$OKD_us_west_2\"");
    let shell = shell.exits(0);
    let wanted = cells
        .iter()
        .find(|image| image["cell"] == "us-west-2-1404")
        .map(|image| text(image, "image_id"))
        .unwrap_or_default();
    let lines: Vec<&str> = shell.stdout.lines().collect();
    assert_eq!(
        lines,
        [wanted.as_str(), okd_id.as_str(), "it's okd $HOME"],
        "{shell}"
    );

    // GitHub: behind what was there, and no value ends early and goes on as another output.
    let outputs = github(&ec2);
    assert_eq!(outputs["earlier"], "1");
    assert_eq!(outputs["ami_us_west_2_1404"], wanted.as_str(), "{outputs}");
    let several = format!("{okd_id}\nadmin=true\nEOF");
    assert_eq!(outputs["okd-us-east-2"], several.as_str(), "{outputs}");
    assert_eq!(outputs["admin"], Value::Null, "{outputs}");

    // JUnit: every step passed.
    let cases = junit(&ec2);
    let cases = cases.as_array().cloned().unwrap_or_default();
    assert!(cases.iter().all(|case| case[2] == "passed"), "{cases:?}");
    assert!(
        cases.contains(&json!([
            "okd/us-east-2",
            "provision: says <&>",
            "passed",
            null,
            null
        ])),
        "{cases:?}"
    );

    // The file that is kept by hand: the asked-for values, and not one byte more.
    let source = text(&okd, "source_image");
    let wanted = KEPT
        .replace("name:   centos-7-1805  ", "name:   okd  ")
        .replace("name: \"centos-7-1805\"", "name: \"okd\"")
        .replace("- source:      #", &format!("- source: {source}      #"));
    assert_eq!(read(&ec2, "cluster.yaml"), wanted);
    // Nothing half-written stands beside.
    let partial: Vec<String> = fs::read_dir(ec2.path("work"))
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("partial"))
        .collect();
    assert_eq!(partial, Vec::<String>::new());
}

/// The manifest, and that `images verify` takes it.
#[track_caller]
fn the_manifest_names_everything(ec2: &LocalEc2, ended: &Ended, cells: &[Value], okd: &Value) {
    let manifest = read_json(ec2, "manifest.json");
    let builds = manifest["builds"].as_array().cloned().unwrap_or_default();
    assert_eq!(builds.len(), cells.len() + 1, "{manifest}");
    assert_eq!(manifest["run"], ended.run_id().as_str());
    assert_eq!(manifest["pipeline"], "all-outputs");
    let of_okd = builds.iter().find(|build| build["stage"] == "okd");
    let of_okd = of_okd.unwrap_or_else(|| panic!("{manifest}"));
    let (id, copy) = (text(okd, "image_id"), text(&okd["copies"][0], "image_id"));
    assert_eq!(
        of_okd["artifact_id"],
        format!("us-east-2:{id},us-west-2:{copy}"),
        "{manifest}"
    );
    assert_eq!(
        of_okd["custom_data"],
        json!({ "IMG_SFX": ended.run_id(), "where": "us-east-2" }),
        "{manifest}"
    );
    for cell in cells {
        let build = builds.iter().find(|build| build["cell"] == cell["cell"]);
        let build = build.unwrap_or_else(|| panic!("{cell}: {manifest}"));
        assert_eq!(build["images"][0]["image_id"], cell["image_id"]);
        assert_eq!(build["images"][0]["snapshots"], cell["snapshots"]);
        assert_eq!(build["matrix"]["os"], cell["matrix"]["os"]);
        assert_eq!(build["tags"]["role"], "web & <db>");
    }
    ec2.qib(["images", "verify", "--local", "manifest.json"])
        .exits(0)
        .says("6 correct");
}

#[test]
fn a_run_that_failed_writes_what_there_is() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(PIPELINE);
    ec2.write("work/cluster.yaml", KEPT);
    let ended = run(&ec2, &file, "7").exits(1);
    let cells = images(&ended, "ami");
    assert_eq!(cells.len(), 4, "{ended}");
    let written = read_json(&ec2, "out/images.json");
    assert_eq!(written["status"], "failed");
    assert_eq!(written["failures"][0]["stage"], "okd");
    assert_eq!(written["images"].as_array().map(Vec::len), Some(4));
    let manifest = read_json(&ec2, "manifest.json");
    assert_eq!(
        manifest["builds"].as_array().map(Vec::len),
        Some(4),
        "{manifest}"
    );
    // The step that failed, with what its guest said last.
    let cases = junit(&ec2);
    let cases = cases.as_array().cloned().unwrap_or_default();
    let failed: Vec<&Value> = cases.iter().filter(|case| case[2] == "failure").collect();
    let provisioner = failed.iter().find(|case| case[1] == "provision: says <&>");
    let provisioner = provisioner.unwrap_or_else(|| panic!("{cases:?}"));
    assert_eq!(provisioner[0], "okd/us-east-2", "{provisioner}");
    let said = provisioner[4].as_str().unwrap_or_default();
    assert!(
        said.contains('7') && said.contains("<&> is the end"),
        "{provisioner}"
    );
    assert!(
        failed.iter().all(|case| case[0] == "okd/us-east-2"),
        "{cases:?}"
    );
    // Nothing is said of what is not there.
    assert_eq!(read(&ec2, "cluster.yaml"), KEPT);
    assert_eq!(read(&ec2, "named.env"), "");
    assert!(!read(&ec2, "all.env").contains("OKD"));
    assert_eq!(github(&ec2).as_object().map(|all| all.len()), Some(4));
    assert_eq!(
        read_json(&ec2, "ami_ids.json")["us-east-2"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    // The next run says it all, from the cache.
    let ended = run(&ec2, &file, "0").exits(0);
    assert_eq!(images(&ended, "ami")[0]["cached"], true);
    assert!(read(&ec2, "cluster.yaml").contains("name:   okd   # pasted"));
    assert_eq!(
        read_json(&ec2, "manifest.json")["builds"]
            .as_array()
            .map(Vec::len),
        Some(5)
    );
}

#[test]
fn a_secret_is_in_none_of_them() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/token", "hunter2-and-more");
    let stage = OneStage {
        top: "vars:\n  token: { file: token, secret: true }\noutputs:\n  - { write: images.json }\n  - { write: junit.xml, format: junit }",
        provision: r#"[{ run: { name: tells, env: { TOKEN: "${{ vars.token }}" }, inline: "echo the token is $TOKEN >&2; exit 3" } }]"#,
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(stage.text())).exits(1);
    let cases = junit(&ec2).to_string();
    assert!(cases.contains("the token is"), "{cases}");
    for name in ["images.json", "junit.xml"] {
        assert!(!read(&ec2, name).contains("hunter2"), "{name}");
    }
}

#[test]
fn one_that_cannot_be_written_fails_the_run_and_leaves_the_others() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/a-file", "not a folder");
    let stage = OneStage {
        top: "outputs:\n  - { write: a-file/images.json }\n  - { write: two.env, format: dotenv, key: SAME, value: \"${{ region }}\" }\n  - { write: good.json }",
        image: "{ name: golden, copy_to: [us-west-2] }",
        ..OneStage::default()
    };
    let ended = ec2.run(&ec2.pipeline(stage.text())).exits(1);
    let ended = ended
        .says("a-file/images.json")
        .says("two images have the key `SAME`");
    assert_eq!(images(&ended, "one").len(), 1, "{ended}");
    assert_eq!(
        text(&read_json(&ec2, "good.json")["images"][0], "name"),
        "golden"
    );
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn what_is_wrong_is_told_before_anything_is_created() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/kept.yaml", KEPT);
    ec2.write("work/broken.yaml", "a: [1\nb: 2\n");
    fs::create_dir(ec2.path("work/folder")).expect("a folder");
    for (output, says) in [
        ("{ format: json }", "exactly one of `write` and `update`"),
        ("{ write: a, fromat: json }", "format"),
        ("{ write: a, format: xml }", "xml"),
        ("{ write: \"\" }", "empty"),
        ("{ write: out/ }", "folder"),
        ("{ write: folder }", "is a folder"),
        (
            "{ write: \"${{ env('GITHUB_OUTPUT') }}\", format: github }",
            "GITHUB_OUTPUT",
        ),
        (
            "{ write: a, format: dotenv, key: a-b, value: x }",
            "cannot be a key",
        ),
        (
            "{ write: a, format: github, key: \"a=b\", value: x }",
            "cannot be a key",
        ),
        (
            "{ write: a, format: dotenv, value: x }",
            "`key` and `value` go together",
        ),
        (
            "{ write: a, format: grouped, group_by: x }",
            "needs `entry`",
        ),
        (
            "{ write: a, format: junit, stage: one }",
            "about the whole run",
        ),
        ("{ write: \"${{ image.id }}\" }", "is of one image"),
        (
            "{ write: a, format: manifest, stage: two }",
            "there is no stage `two`",
        ),
        (
            "{ write: a, format: manifest, data: { os: \"${{ matrix.os }}\" } }",
            "matrix",
        ),
        ("{ update: kept.yaml, set: {} }", "needs `set`"),
        (
            "{ update: nowhere.yaml, set: { a: b } }",
            "nowhere.yaml cannot be read",
        ),
        (
            "{ update: kept.yaml, set: { bastion.machine_image.nmae: x } }",
            "nmae",
        ),
        (
            "{ update: kept.yaml, set: { cluster.nodes: x } }",
            "is a list",
        ),
        (
            "{ update: kept.yaml, set: { \"cluster.nodes[7].source\": x } }",
            "has 2 entries",
        ),
        (
            "{ update: broken.yaml, set: { a: x, b: y } }",
            "broken.yaml is no YAML that can be edited: line ",
        ),
        (
            "{ update: kept.yaml, set: { notes: x } }",
            "a block of several lines",
        ),
        (
            "{ update: kept.yaml, set: { \"cluster..x\": x } }",
            "cluster..x",
        ),
    ] {
        let top = format!("outputs:\n  - {output}");
        let stage = OneStage {
            top: &top,
            ..OneStage::default()
        };
        let file = ec2.pipeline(stage.text());
        let ended = ec2.run(&file).exits(2).says(says);
        // Once, whatever of it is wrong; the place: name = 1, aws = 2, outputs = 3.
        assert_eq!(ended.stderr.matches(": error: ").count(), 1, "{ended}");
        assert!(ended.stderr.contains("pipeline.yaml:4:"), "{ended}");
    }
    let twice = OneStage {
        top: "outputs:\n  - { write: a }\n  - { write: a, format: junit }",
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(twice.text()))
        .exits(2)
        .says("another output writes a already")
        .says("pipeline.yaml:5:");
    assert_eq!(read(&ec2, "kept.yaml"), KEPT);
    let up = ec2.qib(["local", "up"]).exits(0);
    ec2.holdings().assert_none(&up);
}
