//! A stage's inputs in short, kept in tags of the image, so that a later plan can say which input changed.
//!
//! ```text
//! v1 s=ami-0abc… v=1a2b3c4d i=… u=… p=11111111.22222222.33333333
//! ```
//!
//! `g=…` follows `u` where the image says something of itself, and then `m=…` where the stage imports a disk. `s` is the source
//! image (of a disk that is imported `import-sha256-…`, its digest's first sixteen digits), each other letter an [`InputName`] with its digest's first eight digits; `p` lists the
//! provisioners in their order. Only letters, digits, spaces and `= . -` are used, which every AWS service allows in a
//! tag. A value has at most 256 characters: what does not fit goes on in the next tag (`qib:inputs`, `qib:inputs-2` …),
//! and the values joined are the text again.

use super::{InputName, SourceIdentity, StageInputs};
use std::fmt;

const MAX_VALUE: usize = 256;
/// More than these tags are not spent on it; provisioners beyond them count as one list that changed.
const MAX_TAGS: usize = 4;

/// The inputs of an image, in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputSummary {
    source: String,
    volumes: String,
    profile: String,
    user_data: String,
    /// Empty where the image says nothing of itself.
    image: String,
    /// Empty where nothing is imported.
    import: String,
    provisioners: Vec<String>,
}

/// A tag that holds no summary that this version can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SummaryError;

impl fmt::Display for SummaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the image's qib:inputs tag is not in a form this version of qib can read")
    }
}

impl std::error::Error for SummaryError {}

impl InputSummary {
    /// The summary of a stage's inputs on a source image.
    pub fn new(inputs: &StageInputs, source: &SourceIdentity) -> Self {
        let mut summary = Self {
            source: source.short(),
            volumes: String::new(),
            profile: String::new(),
            user_data: String::new(),
            image: String::new(),
            import: String::new(),
            provisioners: Vec::new(),
        };
        for input in inputs.iter() {
            let short = input.digest.short();
            match input.name {
                InputName::Volumes => summary.volumes = short,
                InputName::InstanceProfile => summary.profile = short,
                InputName::UserData => summary.user_data = short,
                InputName::Image => summary.image = short,
                InputName::Import => summary.import = short,
                InputName::Provisioner { .. } => summary.provisioners.push(short),
            }
        }
        summary
    }

    /// The tags to put on the image: key and value.
    pub fn tags(&self) -> Vec<(String, String)> {
        let text = self.to_string();
        let pieces = text.as_bytes().chunks(MAX_VALUE).take(MAX_TAGS);
        pieces
            .enumerate()
            .map(|(n, piece)| (tag_key(n), String::from_utf8_lossy(piece).into_owned()))
            .collect()
    }

    /// Reads the summary from an image's tags; `None` where it has none.
    ///
    /// # Errors
    /// When the tag is there and cannot be read.
    pub fn from_tags<'t>(
        get: impl Fn(&str) -> Option<&'t str>,
    ) -> Option<Result<Self, SummaryError>> {
        let pieces: Vec<&str> = (0..MAX_TAGS).map_while(|n| get(&tag_key(n))).collect();
        if pieces.is_empty() {
            None
        } else {
            Some(Self::parse(&pieces.concat()))
        }
    }

    fn parse(text: &str) -> Result<Self, SummaryError> {
        let mut words = text.split(' ').peekable();
        if words.next() != Some("v1") {
            return Err(SummaryError);
        }
        let mut field = |name: &str| {
            let value = words
                .next()
                .and_then(|word| word.strip_prefix(name))
                .and_then(|rest| rest.strip_prefix('='));
            value.map(str::to_owned).ok_or(SummaryError)
        };
        let (source, volumes, profile, user_data) =
            (field("s")?, field("v")?, field("i")?, field("u")?);
        let mut optional = |name: &str| {
            let word = words.next_if(|word| word.starts_with(name));
            word.map_or("", |word| word.trim_start_matches(name))
                .to_owned()
        };
        let (image, import) = (optional("g="), optional("m="));
        let list = words
            .next()
            .and_then(|word| word.strip_prefix("p="))
            .ok_or(SummaryError)?;
        let provisioners = list
            .split('.')
            .filter(|digest| !digest.is_empty())
            .map(str::to_owned)
            .collect();
        Ok(Self {
            source,
            volumes,
            profile,
            user_data,
            image,
            import,
            provisioners,
        })
    }

    /// What differs between an older image's inputs and these: words for a person, none when nothing does.
    pub fn changes(old: &Self, inputs: &StageInputs, source: &SourceIdentity) -> Vec<String> {
        let new = Self::new(inputs, source);
        let mut changes = Vec::new();
        if old.source != new.source {
            changes.push(format!(
                "source image: {} instead of {}",
                new.source, old.source
            ));
        }
        let parts = [
            (InputName::Volumes, &old.volumes, &new.volumes),
            (InputName::InstanceProfile, &old.profile, &new.profile),
            (InputName::UserData, &old.user_data, &new.user_data),
            (InputName::Image, &old.image, &new.image),
            (InputName::Import, &old.import, &new.import),
        ];
        changes.extend(
            parts
                .iter()
                .filter(|(_, old, new)| old != new)
                .map(|(name, ..)| name.to_string()),
        );
        changes.extend(provisioner_changes(&old.provisioners, inputs));
        changes
    }
}

/// Steps before and after the part that differs are the same in both lists; what is between them has changed.
fn provisioner_changes(old: &[String], inputs: &StageInputs) -> Vec<String> {
    let new: Vec<(String, String)> = inputs
        .iter()
        .filter(|input| matches!(input.name, InputName::Provisioner { .. }))
        .map(|input| (input.digest.short(), input.name.to_string()))
        .collect();
    let same_start = old
        .iter()
        .zip(&new)
        .take_while(|(old, (new, _))| *old == new)
        .count();
    let (old, new) = (
        old.get(same_start..).unwrap_or_default(),
        new.get(same_start..).unwrap_or_default(),
    );
    let same_end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(old, (new, _))| *old == new)
        .count();
    let old = old.get(..old.len() - same_end).unwrap_or_default();
    let new = new.get(..new.len() - same_end).unwrap_or_default();
    match (old.len(), new.len()) {
        (removed, 0) if removed > 0 => vec![format!(
            "{removed} provisioner(s) removed before provision[{}]",
            place_of(inputs, same_start)
        )],
        (0, _) => new
            .iter()
            .map(|(_, name)| format!("{name} (new)"))
            .collect(),
        (before, now) if before == now => {
            let differ = old.iter().zip(new).filter(|(old, (new, _))| *old != new);
            differ.map(|(_, (_, name))| name.clone()).collect()
        }
        _ => new
            .iter()
            .filter(|(digest, _)| !old.contains(digest))
            .map(|(_, name)| name.clone())
            .collect(),
    }
}

/// The place under `provision` of the provisioner that is the `nth` input; after the last one, the place after it.
fn place_of(inputs: &StageInputs, nth: usize) -> usize {
    let places = inputs.iter().filter_map(|input| match &input.name {
        InputName::Provisioner { position, .. } => Some(*position),
        InputName::Volumes
        | InputName::InstanceProfile
        | InputName::UserData
        | InputName::Image
        | InputName::Import => None,
    });
    let places: Vec<usize> = places.collect();
    match places.get(nth) {
        Some(place) => *place,
        None => places.last().map_or(0, |last| last + 1),
    }
}

fn tag_key(n: usize) -> String {
    if n == 0 {
        "qib:inputs".to_owned()
    } else {
        format!("qib:inputs-{}", n + 1)
    }
}

impl fmt::Display for InputSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            volumes,
            profile,
            user_data,
            image,
            import,
            provisioners,
        } = self;
        write!(f, "v1 s={source} v={volumes} i={profile} u={user_data} ")?;
        if !image.is_empty() {
            write!(f, "g={image} ")?;
        }
        if !import.is_empty() {
            write!(f, "m={import} ")?;
        }
        write!(f, "p={}", provisioners.join("."))
    }
}
