//! Why a stage's source cannot be used: told before anything is made.

/// Why there is no image to start from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum SourceError {
    #[error("the source image {image}{of} is not in {region}, or these credentials may not see it")]
    NoImage {
        image: String,
        of: String,
        region: String,
    },
    #[error("the source image {image} ({name}) is deprecated since {since}")]
    Deprecated {
        image: String,
        name: String,
        since: String,
    },
    #[error("only deprecated images in {region} match the source, {count} of them: {wanted}")]
    OnlyDeprecated {
        region: String,
        count: usize,
        wanted: String,
    },
    #[error(
        "there is no SSM parameter {parameter} in {region}, or it is not shared with this account"
    )]
    NoParameter { parameter: String, region: String },
    #[error("the SSM parameter {parameter} in {region} holds {what}, not the id of an image")]
    NotAnImage {
        parameter: String,
        region: String,
        what: &'static str,
    },
    #[error("no complete image in {region} is of the source: {wanted}")]
    NothingBuilt { region: String, wanted: String },
    #[error(
        "the source is to be looked for after {before}, and what is found in {region}, {found}, is older: {wanted}"
    )]
    Older {
        region: String,
        before: String,
        found: String,
        wanted: String,
    },
}

impl SourceError {
    /// What the reader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoImage { .. } => {
                "An image's id is good in one region only. Check the id and the region; an image of another account must be shared with this one."
            }
            Self::Deprecated { .. } | Self::OnlyDeprecated { .. } => {
                "Take a newer image; or take a deprecated one knowingly: `include_deprecated: true`."
            }
            Self::NoParameter { .. } => {
                "`aws ssm get-parameter --name NAME` shows what these credentials see; AWS's own parameters begin with /aws/service/."
            }
            Self::NotAnImage { .. } => {
                "Name the parameter that holds the image's id itself; many of AWS's have one that ends in /image_id."
            }
            Self::Older { .. } => {
                "Does the image of the stage named under `after` have the tags and the name that the filter asks for?"
            }
            Self::NothingBuilt { .. } => {
                "Run that pipeline in this region first; `qib images ls` lists what there is. Another account's tags cannot be seen: find its images with `source.filter`."
            }
        }
    }
}
