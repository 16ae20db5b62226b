//! "Did you mean": the nearest of some known words.

/// The known word nearest to a written one, when it is near enough to be a slip of the pen.
pub(crate) fn closest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // What is written comes from a file: a long one is no typing mistake, and its distance would cost time.
    if written.len() > 64 {
        return None;
    }
    let limit = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(written, word), word))
        .filter(|(distance, word)| {
            *distance <= limit || word.starts_with(written) && written.len() >= 3
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The number of characters to insert, delete, replace or swap with a neighbour to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut two_back: Vec<usize> = Vec::new();
    let mut back: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (back[j] + usize::from(x != y))
                .min(back[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(two_back[j - 1] + 1);
            }
            row.push(best);
        }
        two_back = std::mem::replace(&mut back, row);
    }
    back[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["provision", "launch", "connect", "image"];
        assert_eq!(closest("provison", known), Some("provision"));
        assert_eq!(closest("lanuch", known), Some("launch"));
        assert_eq!(closest("prov", known), Some("provision"));
        assert_eq!(closest("matrix", known), None);
    }
}
