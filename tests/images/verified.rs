//! What a manifest says, compared with the account.

use super::*;

/// Builds `golden` with a copy and returns the path of its manifest.
#[track_caller]
fn with_manifest(ec2: &LocalEc2) -> std::path::PathBuf {
    let stage = OneStage {
        image: "{ name: golden, tags: { Purpose: base }, copy_to: [us-west-2, eu-west-1] }",
        top: "outputs: [{ write: manifest.json, format: manifest }]",
        ..OneStage::default()
    };
    ec2.run(&ec2.pipeline(stage.text())).exits(0);
    ec2.path("work/manifest.json")
}

#[test]
fn a_manifest_is_compared_with_the_account() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let path = with_manifest(&ec2);
    let verify = ["verify", "manifest.json", "--json"];
    let status = |ended: &Ended, image: &str| text(&row(ended, image), "status");
    let image_in = |region: &str| text(&own(&ec2, region)[0], "ImageId");
    let (home, west, europe) = (image_in(HOME), image_in(WEST), image_in(EUROPE));
    let good = images(&ec2, &verify)
        .exits(0)
        .says("3 correct, 0 incorrect");
    for image in [&home, &west, &europe] {
        assert_eq!(status(&good, image), "correct", "{good}");
    }
    // A tag is changed, a copy is gone, one is there that the manifest lacks.
    aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "create-tags",
            "--resources",
            &home,
            "--tags",
            "Key=Purpose,Value=other",
        ],
    );
    aws(
        &ec2,
        WEST,
        &["ec2", "deregister-image", "--image-id", &west],
    );
    let extra = another(&ec2, &home, "golden-2", &[]);
    let bad = images(&ec2, &verify).exits(1);
    assert_eq!(status(&bad, &home), "incorrect", "{bad}");
    assert_eq!(
        row(&bad, &home)["differences"],
        json!([{ "what": "tag Purpose", "wanted": "base", "found": "other" }]),
        "{bad}"
    );
    assert_eq!(status(&bad, &west), "missing", "{bad}");
    assert_eq!(status(&bad, &extra), "unexpected", "{bad}");
    assert_eq!(status(&bad, &europe), "correct", "{bad}");
    // A region that cannot be asked.
    ec2.faults(json!({ "actions": [
        { "action": "DescribeImages", "region": EUROPE, "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    let unreachable = images(&ec2, &["verify", "manifest.json"])
        .exits(1)
        .says("0 correct, 1 incorrect, 1 missing, 1 unexpected, 1 unreachable.");
    assert!(
        unreachable.stdout.contains("UnauthorizedOperation"),
        "{unreachable}"
    );
    ec2.no_faults();
    // The manifest itself was tampered with.
    let read = std::fs::read_to_string(&path).expect("the manifest");
    let tampered = |from: &str, to: &str| {
        let changed = read.replace(from, to);
        assert_ne!(changed, read, "{from}");
        ec2.write("work/tampered.json", changed);
        images(&ec2, &["verify", "tampered.json", "--json"])
    };
    let gone = "ami-0123456789abcdef0";
    let ended = tampered(&europe, gone).exits(1);
    assert_eq!(status(&ended, gone), "missing", "{ended}");
    // The copy is of the run, and stands nowhere any more.
    assert_eq!(status(&ended, &europe), "unexpected", "{ended}");
    let manifest: Value = serde_json::from_str(&read).expect("JSON");
    let account = text(&manifest, "account");
    tampered(&format!("\"{account}\""), "\"999999999999\"")
        .exits(2)
        .says("999999999999");
    tampered("\"format\": 1", "\"format\": 7")
        .exits(2)
        .says("format 7");
    ec2.write("work/tampered.json", &read[..read.len() / 2]);
    images(&ec2, &["verify", "tampered.json"])
        .exits(2)
        .says("no manifest of qib")
        .says("format: manifest");
    images(&ec2, &["verify", "nowhere.json"])
        .exits(2)
        .says("nowhere.json");
}
