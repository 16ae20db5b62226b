//! Making something that has a name of its own and no client token, once, also when replies are lost.

use super::visibility::LOOK_EVERY;
use crate::clock::Clock;
use crate::port::Result;
use crate::wait::deadline;
use crate::{CloudError, ErrorKind};
use std::time::Duration;

/// How often something is made again at most after a reply that was lost.
const REPEATS: u32 = 4;
/// How long a lost reply's work may take to show before the call is made again. Short: the name is a second net, since
/// EC2 refuses it if the first call was carried out after all.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// How long it is looked for what is known to exist, until it is taken for another's: nobody waits long for an error.
const OURS_WITHIN: Duration = Duration::from_secs(15);

/// Makes something with `create`, and finds with `look` what a call made whose reply was lost.
///
/// ```text
///   create ──▶ ok ─────────────────────────────────────────────────────────▶ made
///     ▲ ├───▶ lost reply ──▶ look, for a few seconds ──▶ it is there ────────▶ made
///     └─┼──────────────────── it is not ◀──┘
///       ├───▶ duplicate ──▶ look, for a while longer ──▶ it is ours ───────▶ made
///       │                                          └─────▶ another's ──▶ that error
///       └───▶ any other error ──▶ that error
/// ```
///
/// `create` must use a name that EC2 takes only once (an image's, a key pair's, a group's, a parameter's; for an address
/// its binding), and the same one each time; `look` must find only what this run made, by that name and the run's tag,
/// and give none otherwise.
///
/// # Errors
/// `create`'s, and `look`'s. After an error of kind [`ErrorKind::Transient`] the thing may still exist.
pub async fn made_once<T, C, L>(
    clock: &dyn Clock,
    mut create: impl FnMut() -> C,
    mut look: impl FnMut() -> L,
) -> Result<T>
where
    C: Future<Output = Result<T>>,
    L: Future<Output = Result<Option<T>>>,
{
    let mut repeats = 0;
    loop {
        let error = match create().await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        let patience = match error.kind {
            ErrorKind::Transient => SHOWS_WITHIN,
            ErrorKind::Duplicate | ErrorKind::AddressInUse => OURS_WITHIN,
            _ => return Err(error),
        };
        if let Some(made) = found(clock, patience, &mut look).await? {
            return Ok(made);
        }
        if error.kind != ErrorKind::Transient || repeats >= REPEATS {
            return Err(tried(error, repeats));
        }
        repeats += 1;
    }
}

/// Looks until it shows or `patience` has passed.
async fn found<T, L>(
    clock: &dyn Clock,
    patience: Duration,
    look: &mut impl FnMut() -> L,
) -> Result<Option<T>>
where
    L: Future<Output = Result<Option<T>>>,
{
    let until = deadline(clock, patience);
    loop {
        match look().await? {
            Some(made) => return Ok(Some(made)),
            None if clock.now() >= until => return Ok(None),
            None => clock.sleep(LOOK_EVERY).await,
        }
    }
}

fn tried(mut error: CloudError, repeats: u32) -> CloudError {
    if repeats > 0 {
        error.message = format!(
            "{} (given up after {} calls; none of them shows an effect)",
            error.message,
            repeats + 1
        );
    }
    error
}
