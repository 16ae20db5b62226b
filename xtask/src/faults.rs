//! `cargo xtask faults`: the fault matrices, and their table.
//!
//! ```text
//!   build once ─▶ the simulation (engine and local EC2 in one process, virtual clock)  ─┐
//!              └▶ crashes (the real binary, kill -9, the real local EC2)                ─┴─▶ a row each ─▶ one table
//! ```

use crate::command::{Failure, failed};
use crate::test::{self, Executable, Package};
use crate::tree;
use clap::Args;
use std::fs;
use std::path::Path;

/// The page that holds the table, between two marks.
const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- what follows is written by `cargo xtask faults --write` -->\n";
const END: &str = "<!-- end -->";

/// Which matrices to run, and how far.
#[derive(Args)]
pub struct Options {
    /// Every call with every fault and every moment of a crash in both forms, not only those of the usual tests.
    #[arg(long)]
    whole: bool,
    /// The seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many random schedules; 150 if not given, 1000 with --whole.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cases: Option<u32>,
    /// Leave the real binary out.
    #[arg(long)]
    simulation_only: bool,
    /// Write the table into docs/reliability.md.
    #[arg(long)]
    write: bool,
}

/// Runs the matrices and prints their table.
///
/// # Errors
/// If one cannot be built or run, or a case fails; the table is printed in that case too.
pub fn faults(options: &Options) -> Result<(), Failure> {
    let executables = test::build()?;
    let report = tree::target().join("faults.jsonl");
    forget(&report)?;
    let mut bad = Vec::new();
    for executable in &executables {
        let wanted = match executable.package {
            Package::Simulation => true,
            Package::EndToEnd => executable.name == "crashes" && !options.simulation_only,
        };
        if wanted && !run(executable, options, &report)? {
            bad.push(executable.name.as_str());
        }
    }
    let rows = simulation::read(&report)
        .map_err(|error| failed(&format!("reading {}", report.display()), &error))?;
    let table = simulation::table(&rows);
    println!("\n{table}");
    if options.write {
        write(&table, options)?;
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure(format!(
            "cases failed in {}; what each came to is above, and is repeated with --seed {}",
            bad.join(", "),
            options.seed
        ))),
    }
}

fn run(executable: &Executable, options: &Options, report: &Path) -> Result<bool, Failure> {
    let cases = options
        .cases
        .or(options.whole.then_some(1000))
        .map(|cases| cases.to_string());
    let mut program = executable
        .program()
        .env(simulation::REPORT_VARIABLE, report)
        .env(simulation::SEED_VARIABLE, options.seed.to_string());
    if let Some(cases) = cases {
        program = program.env(simulation::CASES_VARIABLE, cases);
    }
    if options.whole {
        program = program.env(simulation::FORM_VARIABLE, simulation::WHOLE);
    }
    // One matrix after the other: each keeps two cores busy by itself.
    let status = program.args(["--test-threads=1", "--nocapture"]).status()?;
    Ok(status.success())
}

fn forget(report: &Path) -> Result<(), Failure> {
    match fs::remove_file(report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(&format!("removing {}", report.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Puts the table into the page, with the command that made it.
fn write(table: &str, options: &Options) -> Result<(), Failure> {
    let path = tree::root().join(PAGE);
    let page =
        fs::read_to_string(&path).map_err(|error| failed(&format!("reading {PAGE}"), &error))?;
    let new = with_table(&page, &command(options), table).ok_or_else(|| {
        Failure(format!(
            "{PAGE} has lost the marks that the table stands between"
        ))
    })?;
    fs::write(&path, new).map_err(|error| failed(&format!("writing {PAGE}"), &error))
}

fn command(options: &Options) -> String {
    let mut command = String::from("cargo xtask faults");
    if options.whole {
        command.push_str(" --whole");
    }
    command.push_str(&format!(" --seed {}", options.seed));
    if let Some(cases) = options.cases {
        command.push_str(&format!(" --cases {cases}"));
    }
    if options.simulation_only {
        command.push_str(" --simulation-only");
    }
    command
}

/// `page` with another table; none if its marks are not there.
fn with_table(page: &str, command: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n`{command}`:\n\n{table}\n{END}{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_and_nothing_else() {
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let first = with_table(&page, "c", "| a |\n").unwrap();
        assert!(first.starts_with("before\n") && first.ends_with("\nafter\n"));
        assert!(first.contains("`c`:\n\n| a |") && !first.contains("old"));
        assert_eq!(with_table(&first, "c", "| a |\n").unwrap(), first);
        assert_eq!(with_table("without marks", "c", "t"), None);
    }

    #[test]
    fn the_page_has_the_marks() {
        let page = fs::read_to_string(tree::root().join(PAGE)).unwrap();
        assert!(with_table(&page, "c", "t").is_some());
    }
}
