//! A parameter gets back the value that it had, unless somebody else has written it since.

use crate::journal::{EffectState, Outcome, ParameterBefore};
use cloud::{CloudError, ErrorKind, ImageId, ParameterWrite, Region};

/// Puts back what `name` held before the run wrote `image` into it. What another wrote since stays.
pub(super) async fn put_back(
    region: &dyn Region,
    name: &str,
    image: &ImageId,
    before: Option<&ParameterBefore>,
    state: &EffectState,
) -> Result<(), CloudError> {
    let Some(now) = region.parameter(name).await? else {
        return Ok(());
    };
    let written = match state.outcome() {
        Some(Outcome::Parameter { version }) => *version,
        // The next one is the one that the write whose reply is lost would have made.
        _ => before.map_or(1, |before| before.version + 1),
    };
    if now.value != image.as_str() || now.version != written {
        return Ok(());
    }
    match before {
        None => region.delete_parameter(name).await,
        Some(before) if before.image => {
            let earlier = ImageId::from(before.value.as_str());
            let put = region
                .put_image_parameter(name, &earlier, ParameterWrite::Overwrite)
                .await;
            match put {
                // The image that it named is gone meanwhile: no value is better than one that names nothing.
                Err(error) if error.kind == ErrorKind::InvalidInput => {
                    region.delete_parameter(name).await
                }
                put => put.map(|_| ()),
            }
        }
        Some(before) => region
            .put_parameter(name, &before.value, ParameterWrite::Overwrite)
            .await
            .map(|_| ()),
    }
}
