//! Where things are in the checkout.

use std::path::{Path, PathBuf};

/// The checkout's top folder.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The folder of tools that only the tests use. Git ignores it.
pub fn test_tools() -> PathBuf {
    root().join(".test-tools")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The binary that `cargo build` makes.
pub fn qib() -> PathBuf {
    target().join("debug").join("qib")
}
