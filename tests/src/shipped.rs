//! The project's own pipelines, as someone who has checked the project out uses them.

use crate::{Config, Ended, LocalEc2, places};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A local EC2 with a copy of the project's pipelines in its `work` folder.
#[track_caller]
pub fn with_pipelines(config: Config) -> LocalEc2 {
    let ec2 = LocalEc2::new(config);
    copy(
        &places::tree().join("pipelines"),
        &ec2.path("work/pipelines"),
    );
    // What the tester's own runs have made is in no checkout.
    let made = ec2.path("work/pipelines/made");
    if made.exists() {
        fs::remove_dir_all(&made).unwrap_or_else(|error| panic!("{}: {error}", made.display()));
    }
    ec2
}

/// Copies a folder with all that is in it.
#[track_caller]
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// One of the project's pipelines.
#[derive(Clone, Copy)]
pub struct Shipped<'a> {
    /// Where it is used.
    pub ec2: &'a LocalEc2,
    /// Its name, which its file has too.
    pub name: &'a str,
}

impl Shipped<'_> {
    fn file(self) -> String {
        format!("pipelines/{}.yaml", self.name)
    }

    /// `qib …` on it, with `more` before its file.
    #[track_caller]
    pub fn qib(self, command: &[&str], more: &[&str]) -> Ended {
        let file = self.file();
        let args = command.iter().chain(more).copied();
        self.ec2.qib(args.chain([file.as_str()]))
    }

    /// `qib run --local --json` on it.
    #[track_caller]
    pub fn run(self, more: &[&str]) -> Ended {
        self.qib(&["run", "--local", "--json"], more)
    }

    /// It is valid, and the plan has so many cells, all of which are to be built. Returns the plan's rows.
    #[track_caller]
    pub fn is_valid_and_plans(self, cells: usize, more: &[&str]) -> Vec<Value> {
        self.qib(&["validate", "--local"], more).exits(0);
        let plan = self
            .qib(&["plan", "--local", "--json"], more)
            .exits(0)
            .json();
        let rows = plan.as_array().cloned().unwrap_or_default();
        let builds = rows.iter().filter(|row| row["action"] == "build").count();
        assert_eq!((rows.len(), builds), (cells, cells), "{rows:#?}");
        rows
    }

    /// Runs it twice: all images are built, and all of them are reused. Returns the first run.
    #[track_caller]
    pub fn builds_once(self, images: usize, more: &[&str]) -> Ended {
        let first = self.run(more).exits(0);
        assert_eq!(cached(&first), vec![false; images], "{first}");
        let second = self.run(more).exits(0);
        assert_eq!(cached(&second), vec![true; images], "{second}");
        assert_eq!(ids(&second), ids(&first), "{first}{second}");
        first
    }
}

/// The images of a run's last event.
#[track_caller]
pub fn images(ended: &Ended) -> Vec<Value> {
    let images = ended.finished()["images"].as_array().cloned();
    images.unwrap_or_default()
}

/// Whether each image of a run was reused.
#[track_caller]
pub fn cached(ended: &Ended) -> Vec<bool> {
    let images = images(ended);
    images.iter().map(|image| image["cached"] == true).collect()
}

/// The ids of a run's images by stage and cell.
#[track_caller]
pub fn ids(ended: &Ended) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let images = images(ended);
    images
        .iter()
        .map(|image| {
            let cell = format!("{}/{}", text(&image["stage"]), text(&image["cell"]));
            (cell, text(&image["image_id"]))
        })
        .collect()
}

/// What the AWS CLI answers in a region.
#[track_caller]
pub fn aws(ec2: &LocalEc2, region: &str, args: &[&str]) -> Value {
    let mut all = vec!["--region", region];
    all.extend(args);
    ec2.aws(&all).exits(0).json()
}

/// One image as the AWS CLI shows it.
#[track_caller]
pub fn described(ec2: &LocalEc2, region: &str, id: &str) -> Value {
    let args = ["ec2", "describe-images", "--image-ids", id];
    aws(ec2, region, &args)["Images"][0].clone()
}

/// The value of a tag, as EC2's API lists them.
pub fn tag<'a>(tagged: &'a Value, key: &str) -> Option<&'a str> {
    let tags = tagged["Tags"].as_array()?;
    let tag = tags.iter().find(|tag| tag["Key"] == key)?;
    tag["Value"].as_str()
}
