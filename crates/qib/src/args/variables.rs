//! Values for a pipeline's variables, from the command line.

use clap::Args;
use std::path::PathBuf;

/// Values for a pipeline's variables.
#[derive(Args, Clone, Debug, Default)]
pub struct VariableArgs {
    /// Gives a variable its value; goes before all files. Can be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment)]
    pub vars: Vec<(String, String)>,
    /// A YAML file with values for variables. Can be given several times; later files go before earlier ones.
    #[arg(long = "vars-file", value_name = "FILE")]
    pub vars_files: Vec<PathBuf>,
    /// A profile of the pipeline's. Can be given several times; later profiles go before earlier ones.
    #[arg(long = "use", value_name = "PROFILE")]
    pub profiles: Vec<String>,
}

/// `KEY=VALUE`, split at the first `=`. The value may be empty and may hold more of them.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) => Err(String::from("there is nothing before the `=`")),
        None => Err(String::from("it is written NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn splits_at_the_first_equals_sign() {
        assert_eq!(
            assignment("a=b=c"),
            Ok((String::from("a"), String::from("b=c")))
        );
        assert_eq!(assignment("a="), Ok((String::from("a"), String::new())));
        assert!(assignment("=b").is_err());
        assert!(assignment("a").is_err());
    }
}
