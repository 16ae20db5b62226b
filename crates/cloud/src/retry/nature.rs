//! What a second call would do.

use crate::ParameterWrite;

/// What happens if a call is made twice, which decides whether it may be repeated without knowing how the first one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallNature {
    /// It changes nothing.
    Read,
    /// The second call finds the work done: deletions, tags, RunInstances with the same ClientToken.
    Idempotent,
    /// EC2 gives it no client token: the second call makes a second thing, or fails because of the first one's.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
    Creating,
}

impl From<ParameterWrite> for CallNature {
    /// A write that must not replace anything is refused when its own first attempt has succeeded; only the caller can
    /// tell, by the value.
    fn from(write: ParameterWrite) -> Self {
        match write {
            ParameterWrite::CreateOnly => Self::Creating,
            ParameterWrite::Overwrite => Self::Idempotent,
        }
    }
}
