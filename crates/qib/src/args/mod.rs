//! The command line. The doc comments on these types are the help that people read.

pub mod account;
pub mod cells;
pub mod completions;
pub mod export;
pub mod iam_policy;
pub mod images;
pub mod import;
pub mod local;
pub mod plan;
pub mod preflight;
pub mod resume;
pub mod run;
pub mod runs;
pub mod ssh;
pub mod sweep;
pub mod validate;
pub mod variables;

use clap::{Parser, Subcommand, ValueEnum};

/// Builds machine images on EC2 from a YAML pipeline.
///
/// Results go to stdout, progress goes to stderr.
#[derive(Debug, Parser)]
#[command(name = "qib", version, propagate_version = false, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colour in what is printed. NO_COLOR (any value) turns `auto` off.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Says on stderr what qib does in detail. Never what it sends: user-data can hold keys.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

const EXIT_CODES: &str = "\
Exit codes of `run`:
  0    done
  1    the build failed, and everything was cleaned up
  2    bad input, before anything was created
  3    something was left behind: each is named, with the command that removes it
  130  interrupted by Ctrl-C, and everything was cleaned up
  143  ended by SIGTERM or SIGHUP, and everything was cleaned up";

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Also in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Preflight(preflight::PreflightArgs),
    IamPolicy(iam_policy::IamPolicyArgs),
    Validate(validate::ValidateArgs),
    Import(Box<import::ImportArgs>),
    Export(export::ExportArgs),
    Images(images::ImagesArgs),
    Runs(runs::RunsArgs),
    Sweep(sweep::SweepArgs),
    Ssh(ssh::SshArgs),
    Local(local::LocalArgs),
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn verify_app() {
        Cli::command().debug_assert();
    }

    /// The help is part of the interface: a change of it must be seen.
    #[test]
    fn help_of_every_command() {
        let mut pages = Vec::new();
        collect(&mut Cli::command().term_width(100), "qib", &mut pages);
        insta::assert_snapshot!(pages.join("\n"));
    }

    fn collect(command: &mut clap::Command, path: &str, pages: &mut Vec<String>) {
        command.build();
        let page = command.render_long_help().to_string();
        let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
        pages.push(format!("=== {path}\n{}\n", lines.join("\n")));
        for sub in command
            .get_subcommands_mut()
            .filter(|sub| sub.get_name() != "help")
        {
            let path = format!("{path} {}", sub.get_name());
            collect(sub, &path, pages);
        }
    }

    #[test]
    fn values_of_options_are_checked_before_anything_starts() {
        for args in [
            &["qib", "run", "--var", "no-equals-sign", "x.yaml"][..],
            &["qib", "run", "--debug-from", "10.0.0.0/33", "x.yaml"],
            &["qib", "run", "--debug-from", "laptop", "x.yaml"],
            &["qib", "run", "--only", "", "x.yaml"],
            &["qib", "plan", "--except", "", "x.yaml"],
            &["qib", "preflight", "--region", "Ohio", "x.yaml"],
            &["qib", "preflight"],
            &["qib", "iam-policy", "--account-id", "1234", "x.yaml"],
            &[
                "qib",
                "iam-policy",
                "--instance-profile",
                "--without-preflight",
                "x.yaml",
            ],
            &["qib", "run", "--jobs", "0", "x.yaml"],
            &["qib", "run", "--jobs", "many", "x.yaml"],
            &["qib", "run", "--jobs", "2", "--step", "x.yaml"],
            &["qib", "run", "--pause-after", "lunch", "x.yaml"],
            &["qib", "run", "--pause-after", "provision:", "x.yaml"],
            &["qib", "images", "ls", "--tag", "only-a-key"],
            &["qib", "run", "--region", "", "x.yaml"],
            &["qib", "sweep", "--region", "Ohio"],
            &["qib", "sweep", "--run", "i-0123456789abcdef0"],
            &["qib", "sweep", "--local", "--profile", "x"],
            &["qib", "runs", "show", "r-short"],
            &["qib", "runs", "extend", "r-0a1b2c3d"],
            &["qib", "runs", "extend", "r-0a1b2c3d", "--by", "soon"],
        ] {
            let error = Cli::try_parse_from(args).expect_err("must be refused");
            assert_eq!(error.exit_code(), 2, "{args:?}");
        }
    }
}
