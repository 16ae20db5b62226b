//! A script's environment.

use crate::secret::Secret;
use std::fmt;
use std::str::FromStr;

/// The name of an environment variable that a shell can set: letters, digits, underscores, no digit first
/// (POSIX.1-2024, XBD 3.216).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

/// Why text is not such a name, or a value cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A shell could not set it.
    #[error(
        "`{0}` is not the name of an environment variable: letters, digits and underscores, not starting with a digit"
    )]
    Name(String),
    /// No process can have it.
    #[error("the value of the environment variable {0} contains a NUL byte")]
    Nul(VariableName),
}

impl VariableName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = EnvironmentError;

    fn from_str(text: &str) -> Result<VariableName, EnvironmentError> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.is_empty()
            || text.starts_with(|c: char| c.is_ascii_digit())
            || !text.chars().all(good)
        {
            return Err(EnvironmentError::Name(text.to_owned()));
        }
        Ok(VariableName(text.to_owned()))
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Variables for a script, in the order in which they are set. All values are treated as secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(VariableName, Secret)>);

impl Environment {
    /// No variables.
    pub fn new() -> Environment {
        Environment::default()
    }

    /// Adds a variable; a later one of the same name wins.
    ///
    /// # Errors
    /// If no process could have such a variable.
    pub fn set(&mut self, name: &str, value: Secret) -> Result<(), EnvironmentError> {
        let name: VariableName = name.parse()?;
        if value.expose().contains('\0') {
            return Err(EnvironmentError::Nul(name));
        }
        self.0.push((name, value));
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&VariableName, &Secret)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_shell_can_set() {
        for good in ["A", "_x1", "PATH"] {
            assert!(good.parse::<VariableName>().is_ok(), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "x;reboot", "é"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_nul_byte_is_refused_without_showing_the_value() {
        let error = Environment::new()
            .set("TOKEN", Secret::new("s3cret\0"))
            .expect_err("NUL is refused");
        assert!(
            error.to_string().contains("TOKEN") && !error.to_string().contains("s3cret"),
            "{error}"
        );
    }
}
