//! `qib images`.

mod change;
mod copy;
mod ls;
mod prune;
mod rm;
mod show;
mod verify;

use super::error::CommandError;
use super::place::Place;
use super::terminal::Terminal;
use crate::args::images::{ImagesArgs, ImagesCommand};
use crate::edge::environment::Environment;
use build::images::find;
use cloud::{Image, ImageId, RegionName};

/// Does it and gives the exit code.
///
/// # Errors
/// If the account cannot be asked, or what is named is not there.
pub async fn images(
    args: ImagesArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match args.command {
        ImagesCommand::Ls(args) => ls::ls(args, environment, terminal).await,
        ImagesCommand::Show(args) => show::show(args, environment, terminal).await,
        ImagesCommand::Rm(args) => rm::rm(args, environment, terminal).await,
        ImagesCommand::Prune(args) => prune::prune(args, environment, terminal).await,
        ImagesCommand::Copy(args) => copy::copy(args, environment, terminal).await,
        ImagesCommand::Share(args) => change::share(args, environment, terminal).await,
        ImagesCommand::Deprecate(args) => change::deprecate(args, environment, terminal).await,
        ImagesCommand::Verify(args) => verify::verify(args, environment, terminal).await,
    }
}

/// The account's own image of that id, which must be there.
async fn own_image(place: &Place, id: &ImageId) -> Result<Image, CommandError> {
    let region = place.account.region(&place.region);
    find(region.as_ref(), id).await?.ok_or_else(|| {
        CommandError::failed(format!(
            "there is no image {id} of this account in {}",
            place.region
        ))
        .hinted("`qib images ls` lists the images of a region; --region names another")
    })
}

/// What a command that is given again needs to work at the same place.
fn same_place(regions: &[RegionName], local: bool, profile: Option<&str>) -> String {
    let mut options = String::new();
    for region in regions {
        options.push_str(&format!(" --region {region}"));
    }
    if let Some(profile) = profile {
        options.push_str(&format!(" --profile {profile}"));
    }
    if local {
        options.push_str(" --local");
    }
    options
}
