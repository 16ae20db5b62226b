//! Names that qib gives: runs, cells, tags, and the resources of a run.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// One execution of `qib run`. It tags everything that the run creates.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Makes an id from 40 random bits: `r-` and eight characters that cannot be mistaken for each other when read
    /// aloud.
    pub fn from_random(random: u64) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut id = String::from("r-");
        for position in 0..8 {
            let index = (random >> (position * 5)) & 31;
            id.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
        }
        Self(id)
    }

    /// Takes an id that a person typed or that a file holds; none if it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("r-")?;
        let well_formed = rest.len() == 8
            && rest
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as it stands in tags and file names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What builds: a stage, and within it one combination of its matrix. The only cell of a stage without a matrix is named
/// after its region.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
pub struct CellName {
    /// The stage.
    pub stage: String,
    /// The cell within the stage.
    pub cell: String,
}

/// What stands behind a cell's name for the test of its image.
const TEST_SUFFIX: &str = "+test";
/// What stands behind a cell's name for the temporary image that its disk image is imported as.
const IMPORT_SUFFIX: &str = "+import";

impl CellName {
    /// The name under which the cell's image is tested: the test's instance, key and group are told from the build's by it,
    /// in the journal, in tags and in messages.
    #[must_use]
    pub fn test(&self) -> Self {
        Self {
            stage: self.stage.clone(),
            cell: format!("{}{TEST_SUFFIX}", self.cell),
        }
    }

    /// The name under which a disk image is imported that the cell's instance then starts from.
    #[must_use]
    pub fn import(&self) -> Self {
        Self {
            stage: self.stage.clone(),
            cell: format!("{}{IMPORT_SUFFIX}", self.cell),
        }
    }

    /// Whether it is the import of the disk image that a cell's instance starts from.
    pub fn is_import(&self) -> bool {
        self.cell.ends_with(IMPORT_SUFFIX)
    }

    /// Whether it is the test of a cell's image.
    pub fn is_test(&self) -> bool {
        self.cell.ends_with(TEST_SUFFIX)
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.cell)
    }
}

/// The tag keys that qib sets, all below `qib:`.
pub mod tag {
    /// The run that made the resource.
    pub const RUN: &str = "qib:run";
    /// The pipeline's name.
    pub const PIPELINE: &str = "qib:pipeline";
    /// The stage.
    pub const STAGE: &str = "qib:stage";
    /// The cell within the stage.
    pub const CELL: &str = "qib:cell";
    /// On what has no region of its own, such as a role: the region that its run works in.
    pub const REGION: &str = "qib:region";
    /// When the resource may be taken for abandoned, RFC 3339.
    pub const EXPIRES: &str = "qib:expires";
    /// On everything of a run that could not write a lease: [`LEASE_NONE`]. Seen from elsewhere, such a run cannot be
    /// told from a dead one.
    pub const LEASE: &str = "qib:lease";
    /// The value of [`LEASE`].
    pub const LEASE_NONE: &str = "none";
    /// On an image: the hash of all that decides its content.
    pub const CACHE_KEY: &str = "qib:cache-key";
    /// On an image: the image it was built from.
    pub const SOURCE_IMAGE: &str = "qib:source-image";
    /// On an image, set last: it is whole and may be used.
    pub const COMPLETE: &str = "qib:complete";
    /// On an image: the digest of the checks that it has passed.
    pub const TESTED: &str = "qib:tested";
    /// On a copy: the image that it was first made as, in the build's region.
    pub const COPY_OF: &str = "qib:copy-of";
    /// On an image that has not its own name yet: the name that it is to have.
    pub const FINAL_NAME: &str = "qib:final-name";
    /// On an image: the one that it replaced under its name.
    pub const REPLACES: &str = "qib:replaces";
    /// On a snapshot: the replaced image that it belonged to.
    pub const RETIRED: &str = "qib:retired";
    /// On an image of a rehearsal that skipped provisioners: which, as a list of names.
    pub const PARTLY_REHEARSED: &str = "qib:partly-rehearsed";
    /// On an instance that stays for a person to look at: why.
    pub const KEPT: &str = "qib:kept";
}

/// The name of the run's key pair or group for `cell`: unique in the account, and found again by it alone.
pub fn resource_name(run: &RunId, cell: &CellName) -> String {
    format!("qib-{run}-{}-{}", cell.stage, cell.cell)
}

/// What the keys of all objects in S3 begin with that runs make.
pub const OBJECTS: &str = "qib/";

/// What the keys of a run's objects in S3 begin with: they carry no tag that could be looked for.
pub fn object_prefix(run: &RunId) -> String {
    format!("{OBJECTS}{run}/")
}

/// The name of the role and of the instance profile that the run makes for `cell`. A role's name has at most 64
/// characters out of letters, digits and `+=,.@_-`; of a longer one the end gives way to a hash of the whole.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
pub fn profile_name(run: &RunId, cell: &CellName) -> String {
    const LONGEST: usize = 64;
    const HASH: usize = 10;
    let whole = resource_name(run, cell);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    let name: String = whole
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    if name.len() <= LONGEST && name == whole {
        return name;
    }
    let hash = hex::encode(Sha256::digest(whole.as_bytes()));
    let name: String = name.chars().take(LONGEST - HASH - 1).collect();
    format!("{name}-{}", &hash[..HASH])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roles_name_is_short_and_tells_cells_apart() {
        let run = RunId::from_random(7);
        let name = |cell: &str| {
            let cell = CellName {
                stage: "base".into(),
                cell: cell.into(),
            };
            profile_name(&run, &cell)
        };
        assert_eq!(name("us-east-2"), format!("qib-{run}-base-us-east-2"));
        let long = "eu-central-1-a-very-long-name-of-a-combination-of-many-axes";
        let (one, other) = (name(&format!("{long}-1")), name(&format!("{long}-2")));
        assert_ne!(one, other);
        assert_ne!(
            name("a b"),
            name("a-b"),
            "what is replaced makes no two names one"
        );
        for name in [one, other, name("a b")] {
            assert!(
                name.len() <= 64 && name.starts_with(&format!("qib-{run}-base-")),
                "{name}"
            );
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_run_id_reads_back() {
        let id = RunId::from_random(0x00ff_1234_5678_9abc);
        assert_eq!(RunId::parse(id.as_str()), Some(id));
        assert_eq!(RunId::parse("r-short"), None);
        assert_eq!(RunId::parse("i-0123456789abcdef0"), None);
    }
}
