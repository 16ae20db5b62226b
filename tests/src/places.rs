//! What the tests run and read. `cargo xtask test` says where; without it, what a plain build leaves.

use std::env;
use std::path::{Path, PathBuf};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The binary under test: `QIB_BIN`, else the dev build's.
pub fn qib() -> PathBuf {
    let qib =
        env::var_os("QIB_BIN").map_or_else(|| checkout().join("target/debug/qib"), PathBuf::from);
    assert!(
        qib.exists(),
        "there is no {}: `cargo build -p qib`, or say where with QIB_BIN",
        qib.display()
    );
    qib
}

/// The folder with `pipelines/`: `QIB_TEST_TREE`, else the checkout.
pub fn tree() -> PathBuf {
    env::var_os("QIB_TEST_TREE").map_or_else(checkout, PathBuf::from)
}

/// The Python that has the AWS CLI and boto3: `QIB_TEST_PYTHON`, else the one that `cargo xtask test` installs.
pub fn python() -> PathBuf {
    let python = env::var_os("QIB_TEST_PYTHON").map_or_else(
        || checkout().join(".test-tools/python/bin/python"),
        PathBuf::from,
    );
    assert!(
        python.exists(),
        "there is no {}: `cargo xtask test` installs it",
        python.display()
    );
    python
}

/// coldsnap, the program: `QIB_TEST_COLDSNAP`, else the one that `cargo xtask test` installs.
pub fn coldsnap() -> PathBuf {
    let coldsnap = env::var_os("QIB_TEST_COLDSNAP").map_or_else(
        || checkout().join(".test-tools/coldsnap/bin/coldsnap"),
        PathBuf::from,
    );
    assert!(
        coldsnap.exists(),
        "there is no {}: `cargo xtask test` installs it; by hand `cargo install coldsnap --version 0.12.0 --locked --root \
         .test-tools/coldsnap`, or say where it is with QIB_TEST_COLDSNAP",
        coldsnap.display()
    );
    coldsnap
}
