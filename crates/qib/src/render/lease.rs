//! Leases for people: a lease's parameter is named after what it is on.

use build::lease::{ADDRESS_FOLDER, IMAGE_FOLDER, RUN_FOLDER};

/// So much of a cache key tells keys apart.
const KEY_CHARACTERS: usize = 12;

/// What the lease `name` is on; the name itself if it is of an unknown form.
pub fn lease_in_words(name: &str) -> String {
    if name.starts_with(RUN_FOLDER) {
        return String::from("of the run");
    }
    let thing = |folder: &str| {
        let (thing, _) = name.strip_prefix(folder)?.split_once('/')?;
        Some(thing.to_owned())
    };
    if let Some(allocation) = thing(ADDRESS_FOLDER) {
        return format!("on address {allocation}");
    }
    match thing(IMAGE_FOLDER) {
        Some(key) => {
            let key: String = key.chars().take(KEY_CHARACTERS).collect();
            format!("on image {key}")
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::lease_in_words;

    #[test]
    fn each_kind_says_what_it_is_on() {
        let ticket = "1790000000000-r-01234562-base-us-east-2";
        assert_eq!(lease_in_words("/qib/leases/run/r-01234562"), "of the run");
        assert_eq!(
            lease_in_words(&format!("/qib/leases/address/eipalloc-1/{ticket}")),
            "on address eipalloc-1"
        );
        assert_eq!(
            lease_in_words(&format!("/qib/leases/image/0123456789abcdef0/{ticket}")),
            "on image 0123456789ab"
        );
        assert_eq!(lease_in_words("/qib/leases/new/1"), "/qib/leases/new/1");
    }
}
