//! Eventual consistency: what was just made may not show in all calls yet.

use crate::ErrorKind;
use crate::clock::Clock;
use crate::port::Result;
use crate::wait::deadline;
use std::time::Duration;

/// How long EC2 may take until something that was just made shows in all its calls.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub const VISIBLE_WITHIN: Duration = Duration::from_secs(60);
/// The pause between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Does `call` on something that was just made, again while EC2 does not see it everywhere yet. Only who has made the
/// thing can tell "not yet" from "not at all", so the layer beneath never repeats a call for it.
///
/// # Errors
/// The call's, of another kind or when [`VISIBLE_WITHIN`] has passed.
pub async fn until_visible<T, F>(clock: &dyn Clock, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let until = deadline(clock, VISIBLE_WITHIN);
    loop {
        match call().await {
            Err(error) if error.kind == ErrorKind::NotFound && clock.now() < until => {
                clock.sleep(LOOK_EVERY).await;
            }
            result => return result,
        }
    }
}
