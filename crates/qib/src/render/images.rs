//! The list of images for people.

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

/// How old something is, in its largest unit.
fn age(created: Option<&str>, now: Timestamp) -> String {
    let Some(created) = created.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return String::from("?");
    };
    let seconds = cloud::clock::between(created, now).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn now() -> Timestamp {
        Timestamp::constant(1_800_000_000, 0)
    }

    #[test]
    fn ages_have_one_unit() {
        let ago = |seconds: i64| {
            age(
                Some(&Timestamp::constant(1_800_000_000 - seconds, 0).to_string()),
                now(),
            )
        };
        assert_eq!(ago(5), "5 s");
        assert_eq!(ago(60), "1 min");
        assert_eq!(ago(7_200), "2 h");
        assert_eq!(ago(86_400 * 30), "30 d");
        // A clock behind EC2's.
        assert_eq!(ago(-5), "0 s");
        assert_eq!(age(None, now()), "?");
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
