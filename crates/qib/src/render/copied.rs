//! Copies of an image, for people.

use super::table::rows;
use build::images::{CopiedImage, CopyProgress, CopyStatus};

/// One line for each region.
pub fn copied_text(copies: &[CopiedImage]) -> String {
    rows(copies.iter().map(|copy| {
        [
            word(copy.status).to_owned(),
            copy.image_id.clone().unwrap_or_else(|| String::from("-")),
            copy.region.clone(),
            copy.name.clone(),
            copy.error.clone().unwrap_or_default(),
        ]
    }))
}

fn word(status: CopyStatus) -> &'static str {
    match status {
        CopyStatus::Copied => "copied",
        CopyStatus::Found => "found",
        CopyStatus::Pending => "pending",
        CopyStatus::Failed => "failed",
        CopyStatus::LeftBehind => "left behind",
    }
}

/// What happens meanwhile, in words.
pub fn progress_text(progress: &CopyProgress) -> String {
    match progress {
        CopyProgress::Begun(id) => format!("{id} is being made"),
        CopyProgress::Found(id, state) => format!("{id} is there already, {state}"),
        CopyProgress::WaitsForTurn => {
            String::from("as many copies as EC2 allows are under way; waiting for a turn")
        }
        CopyProgress::FailedBefore(id) => {
            format!("{id}, the copy of an earlier call, has failed; it is removed and made anew")
        }
    }
}

/// How many came to what, and how what was left behind is removed.
pub fn copied_ending(copies: &[CopiedImage], endpoint: Option<&str>) -> String {
    let count = |wanted: CopyStatus| copies.iter().filter(|copy| copy.status == wanted).count();
    let mut said = Vec::new();
    for status in [
        CopyStatus::Copied,
        CopyStatus::Found,
        CopyStatus::Pending,
        CopyStatus::Failed,
        CopyStatus::LeftBehind,
    ] {
        match count(status) {
            0 => {}
            number => said.push(format!("{number} {}", word(status))),
        }
    }
    let mut text = format!("{}.", said.join(", "));
    let endpoint = endpoint
        .map(|url| format!(" --endpoint-url {url}"))
        .unwrap_or_default();
    let left = copies
        .iter()
        .filter(|copy| copy.status == CopyStatus::LeftBehind);
    for copy in left {
        let id = copy.image_id.as_deref().unwrap_or("the copy");
        let command =
            |what: String| format!("\n  aws{endpoint} --region {} ec2 {what}", copy.region);
        text.push_str(&format!("\nleft behind: {id} in {}", copy.region));
        text.push_str(&command(format!("deregister-image --image-id {id}")));
        for snapshot in &copy.snapshots {
            text.push_str(&command(format!(
                "delete-snapshot --snapshot-id {snapshot}"
            )));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_a_line_and_what_is_left_a_command() {
        let copy = |region: &str, id: Option<&str>, status, error: Option<&str>| CopiedImage {
            source_image: "ami-1".into(),
            source_region: "us-east-2".into(),
            region: region.into(),
            name: "golden".into(),
            image_id: id.map(str::to_owned),
            snapshots: vec!["snap-1".into()],
            status,
            error: error.map(str::to_owned),
        };
        let copies = [
            copy("eu-west-1", Some("ami-2"), CopyStatus::Copied, None),
            copy("us-west-2", None, CopyStatus::Failed, Some("denied")),
            copy(
                "sa-east-1",
                Some("ami-3"),
                CopyStatus::LeftBehind,
                Some("it is failed"),
            ),
        ];
        insta::assert_snapshot!(format!(
            "{}\n{}",
            copied_text(&copies),
            copied_ending(&copies, None)
        ));
    }
}
