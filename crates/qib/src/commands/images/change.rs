//! `qib images share` and `qib images deprecate`.

use super::own_image;
use crate::args::images::{DeprecateArgs, ShareArgs};
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use build::images::Deprecation;
use cloud::clock::after;
use cloud::{Clock, Grant, Permissions};

pub(super) async fn share(
    args: ShareArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let place = Place::find(&args.account, None, environment).await?;
    let image = own_image(&place, &args.image).await?;
    let region = place.account.region(&place.region);
    let permissions = Permissions {
        public: args.public,
        accounts: args.accounts.into_iter().collect(),
        organizations: args.organizations.into_iter().collect(),
        organizational_units: args.organizational_units.into_iter().collect(),
    };
    let grant = if args.remove {
        Grant::Remove
    } else {
        Grant::Add
    };
    let of_snapshots = if args.no_snapshots {
        Permissions::default()
    } else {
        Permissions {
            // What everyone may launch they may not copy, unless that is said; what is taken back is taken back whole.
            public: args.public && (args.snapshots || args.remove),
            ..permissions.clone()
        }
    };
    build::images::share(region.as_ref(), &image, grant, &permissions, &of_snapshots).await?;
    let now = region.image_permissions(&image.image_id).await?;
    terminal.say(&format!(
        "{} may be launched by {}",
        image.image_id,
        whom(&now)
    ));
    Ok(0)
}

/// Who may, in words.
pub(super) fn whom(permissions: &Permissions) -> String {
    let mut all = Vec::new();
    if permissions.public {
        all.push(String::from("everyone"));
    }
    all.extend(permissions.accounts.iter().map(ToString::to_string));
    all.extend(permissions.organizations.iter().cloned());
    all.extend(permissions.organizational_units.iter().cloned());
    if all.is_empty() {
        String::from("its owner only")
    } else {
        all.join(", ")
    }
}

pub(super) async fn deprecate(
    args: DeprecateArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let now = SystemClock.now();
    let deprecation = match (args.after, args.at) {
        (Some(span), _) => Deprecation::At(after(now, span.get())),
        (None, Some(at)) if at <= now => {
            return Err(CommandError::bad_input(format!("{at} has passed"))
                .hinted("EC2 takes a time in the future; --after 1m is the soonest"));
        }
        (None, Some(at)) => Deprecation::At(at),
        (None, None) => Deprecation::Never,
    };
    let place = Place::find(&args.account, None, environment).await?;
    let image = own_image(&place, &args.image).await?;
    let region = place.account.region(&place.region);
    build::images::deprecate(region.as_ref(), &image.image_id, deprecation).await?;
    terminal.say(&match deprecation {
        Deprecation::At(at) => format!("{} is deprecated from {at:.0} on", image.image_id),
        Deprecation::Never => format!("{} is not deprecated", image.image_id),
    });
    Ok(0)
}
