//! How old something is, for people.

use cloud::Timestamp;

/// How old something is at `now`, in its largest unit; `created` is RFC 3339.
pub fn age(created: Option<&str>, now: Timestamp) -> String {
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

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::constant(1_800_000_000, 0);
        let ago = |seconds: i64| {
            age(
                Some(&Timestamp::constant(1_800_000_000 - seconds, 0).to_string()),
                now,
            )
        };
        assert_eq!(ago(5), "5 s");
        assert_eq!(ago(60), "1 min");
        assert_eq!(ago(7_200), "2 h");
        assert_eq!(ago(86_400 * 30), "30 d");
        // A clock behind EC2's.
        assert_eq!(ago(-5), "0 s");
        assert_eq!(age(None, now), "?");
    }
}
