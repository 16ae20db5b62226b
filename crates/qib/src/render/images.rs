//! The list of images for people.

use super::age::age;
use super::table::columns;
use build::images::ImageRow;
use build::names::tag;
use cloud::Timestamp;

/// So much of a cache key tells keys apart.
const KEY_CHARACTERS: usize = 12;

/// The images as a table, with their age at `now`.
pub fn images_table(images: &[ImageRow], now: Timestamp) -> String {
    let header = [
        "IMAGE",
        "STAGE",
        "AGE",
        "STATE",
        "CACHE KEY",
        "SOURCE",
        "RUN",
        "NAME",
    ];
    columns(header, images.iter().map(|image| row(image, now)))
}

fn row(image: &ImageRow, now: Timestamp) -> [String; 8] {
    [
        image.image_id.clone(),
        image.stage.clone(),
        age(image.created.as_deref(), now),
        state(image),
        image.cache_key.chars().take(KEY_CHARACTERS).collect(),
        image.source_image.clone(),
        image.run.clone(),
        image.name.clone(),
    ]
}

/// EC2's state, and what qib's tags say beyond it.
fn state(image: &ImageRow) -> String {
    let mut state = image.state.clone();
    if !image.tags.contains_key(tag::COMPLETE) {
        state.push_str(", incomplete");
    }
    if image.tags.contains_key(tag::PARTLY_REHEARSED) {
        state.push_str(", partly rehearsed");
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn now() -> Timestamp {
        Timestamp::constant(1_800_000_000, 0)
    }

    #[test]
    fn a_table_for_people() {
        let image = |id: &str, tags: &[(&str, &str)]| ImageRow {
            image_id: id.into(),
            name: "quay-base-2027".into(),
            region: "us-east-2".into(),
            state: "available".into(),
            created: Some(Timestamp::constant(1_799_990_000, 0).to_string()),
            stage: "base".into(),
            pipeline: "ocp".into(),
            run: "r-0123456a".into(),
            cache_key: "0123456789abcdef0123456789abcdef".into(),
            source_image: "ami-0ccc".into(),
            snapshots: Vec::new(),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect::<BTreeMap<_, _>>(),
        };
        let images = [
            image(
                "ami-0aaa",
                &[(tag::COMPLETE, "true"), (tag::PARTLY_REHEARSED, "harden")],
            ),
            image("ami-0bbb", &[]),
        ];
        insta::assert_snapshot!(images_table(&images, now()));
    }
}
