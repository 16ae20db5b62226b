//! How far a transfer is.

/// How far a transfer is. Both in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// What is done.
    pub done: u64,
    /// What is to be done in all.
    pub total: u64,
}

/// Is told how far a transfer is.
pub trait Watch: Send + Sync {
    /// So far; told often, must be cheap.
    fn moved(&self, transferred: Transferred);
}
