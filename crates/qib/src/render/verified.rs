//! A manifest compared with the account, for people.

use super::table::rows;
use build::images::{Difference, Verified, VerifiedImage};

/// One line for each image, and under it what differs.
pub fn verified_text(images: &[VerifiedImage]) -> String {
    rows(images.iter().map(|image| {
        let details = match &image.verdict {
            Verified::Incorrect { differences } => differences.iter().map(difference).collect(),
            Verified::Unreachable { reason } => vec![reason.clone()],
            Verified::Correct | Verified::Missing | Verified::Unexpected => Vec::new(),
        };
        [
            word(&image.verdict).to_owned(),
            image.image_id.clone(),
            image.region.clone(),
            image.name.clone(),
            details.join("; "),
        ]
    }))
}

fn difference(difference: &Difference) -> String {
    let shown = |value: &Option<String>| match value.as_deref() {
        None => String::from("nothing"),
        Some(text) => format!("`{text}`"),
    };
    format!(
        "{} is {}, not {}",
        difference.what,
        shown(&difference.found),
        shown(&difference.wanted)
    )
}

fn word(verdict: &Verified) -> &'static str {
    match verdict {
        Verified::Correct => "correct",
        Verified::Incorrect { .. } => "incorrect",
        Verified::Missing => "missing",
        Verified::Unexpected => "unexpected",
        Verified::Unreachable { .. } => "unreachable",
    }
}

/// How many came to what.
pub fn verified_ending(images: &[VerifiedImage]) -> String {
    let words = [
        "correct",
        "incorrect",
        "missing",
        "unexpected",
        "unreachable",
    ];
    let counts: Vec<String> = words
        .into_iter()
        .map(|wanted| {
            let count = images
                .iter()
                .filter(|image| word(&image.verdict) == wanted)
                .count();
            format!("{count} {wanted}")
        })
        .collect();
    format!("{}.", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_a_line() {
        let image = |id: &str, verdict| VerifiedImage {
            name: "base/us-east-2".into(),
            region: "us-east-2".into(),
            image_id: id.into(),
            verdict,
        };
        let differences = vec![Difference {
            what: "tag Purpose".into(),
            wanted: Some("base".into()),
            found: None,
        }];
        let images = [
            image("ami-1", Verified::Correct),
            image("ami-2", Verified::Incorrect { differences }),
            image(
                "ami-3",
                Verified::Unreachable {
                    reason: "denied".into(),
                },
            ),
        ];
        insta::assert_snapshot!(format!(
            "{}\n{}",
            verified_text(&images),
            verified_ending(&images)
        ));
    }
}
