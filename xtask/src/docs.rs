//! The reference of every pipeline key, generated from the types.

use crate::command::{Failure, failed};
use crate::tree;
use std::fs;

/// The generated files: where they are, and what they must hold.
fn generated() -> [(&'static str, String); 2] {
    [
        ("docs/reference.md", pipeline::schema::reference_markdown()),
        (
            "docs/pipeline.schema.json",
            format!("{:#}\n", pipeline::schema::json_schema()),
        ),
    ]
}

/// Writes them.
///
/// # Errors
/// If a file cannot be written.
pub fn write() -> Result<(), Failure> {
    for (path, text) in generated() {
        let file = tree::root().join(path);
        fs::write(&file, text)
            .map_err(|error| failed(&format!("writing {}", file.display()), &error))?;
        println!("{path}");
    }
    Ok(())
}

/// Compares them with what is committed.
///
/// # Errors
/// If one differs or cannot be read.
pub fn check() -> Result<(), Failure> {
    for (path, wanted) in generated() {
        let file = tree::root().join(path);
        let there = fs::read_to_string(&file)
            .map_err(|error| failed(&format!("reading {path}"), &error))?;
        if there != wanted {
            return Err(Failure(format!(
                "{path} is not what the types say. Run `cargo xtask docs` and commit what it writes."
            )));
        }
    }
    eprintln!("docs: up to date");
    Ok(())
}
