//! Watching records being written, which is where a crash hurts most.

/// Is told of each record before and after it is on stable storage. Records are counted from 1, by the process that
/// writes them.
///
/// For tests of crashes: whatever a process does to the account lies between two of these moments.
pub trait JournalWatch: Send + Sync {
    /// Record `number` is about to be written.
    fn before(&self, number: u64);
    /// Record `number` is on stable storage, and what follows from it has not begun.
    fn after(&self, number: u64);
}
