//! Which program a script is for.

use std::fmt;

/// The program that runs a script, with the arguments it gets before the script's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    program: String,
    argument: Option<String>,
}

/// Why a script cannot be run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShebangError {
    /// The file comes from an editor that ends lines with a carriage return.
    #[error(
        "the script's first line ends with a carriage return, so its interpreter would not be found; convert the file to Unix line ends (`dos2unix`)"
    )]
    CarriageReturn,
    /// There is `#!` and no more.
    #[error("the script's first line is `#!` without an interpreter")]
    Empty,
    /// It is no text.
    #[error("the script's first line is not UTF-8")]
    NotUtf8,
}

impl Interpreter {
    /// `program` with no argument of its own.
    pub fn new(program: impl Into<String>) -> Interpreter {
        Interpreter {
            program: program.into(),
            argument: None,
        }
    }

    /// Reads the first line as Linux does (execve(2), "Interpreter scripts"): all after the program's name is one
    /// argument. Without `#!` it is `/bin/sh`, as a shell would take it.
    ///
    /// # Errors
    /// If there is a `#!` that the kernel would stumble over.
    pub fn of_script(body: &[u8]) -> Result<Interpreter, ShebangError> {
        let Some(rest) = body.strip_prefix(b"#!") else {
            return Ok(Interpreter::new("/bin/sh"));
        };
        let line = rest.split(|&c| c == b'\n').next().unwrap_or_default();
        if line.ends_with(b"\r") {
            return Err(ShebangError::CarriageReturn);
        }
        let line = std::str::from_utf8(line)
            .map_err(|_| ShebangError::NotUtf8)?
            .trim_matches([' ', '\t']);
        let (program, argument) = match line.split_once([' ', '\t']) {
            Some((program, argument)) => (
                program,
                Some(argument.trim_start_matches([' ', '\t']).to_owned()),
            ),
            None => (line, None),
        };
        if program.is_empty() {
            return Err(ShebangError::Empty);
        }
        Ok(Interpreter {
            program: program.to_owned(),
            argument,
        })
    }

    /// Whether it is a shell that knows `-e`.
    pub fn has_errexit(&self) -> bool {
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut program = name(&self.program);
        if program == "env" {
            // `env`, `env -S`, `env NAME=value`: the first word that is neither an option nor an assignment.
            let words = self
                .argument
                .as_deref()
                .unwrap_or_default()
                .split_ascii_whitespace();
            program = words
                .into_iter()
                .find(|w| !w.starts_with('-') && !w.contains('='))
                .map(name)
                .unwrap_or_default();
        }
        matches!(
            program.as_str(),
            "sh" | "bash" | "dash" | "ash" | "ksh" | "ksh93" | "mksh" | "zsh"
        )
    }

    /// Program and argument, as words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.argument.as_deref())
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.argument {
            Some(argument) => write!(f, "{} {argument}", self.program),
            None => f.write_str(&self.program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Interpreter {
        Interpreter::of_script(text.as_bytes()).expect("the first line is well formed")
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        assert_eq!(of("echo hi\n"), Interpreter::new("/bin/sh"));
        assert_eq!(of(""), Interpreter::new("/bin/sh"));
        assert_eq!(of("#! /bin/bash\n"), Interpreter::new("/bin/bash"));
        assert_eq!(of("#!/bin/bash -e -x\n").to_string(), "/bin/bash -e -x");
        assert_eq!(
            of("#!/bin/bash -e -x\n").words().collect::<Vec<_>>(),
            ["/bin/bash", "-e -x"]
        );
        assert_eq!(
            of("#!/usr/bin/env python3"),
            Interpreter {
                program: "/usr/bin/env".into(),
                argument: Some("python3".into())
            }
        );
    }

    #[test]
    fn broken_first_lines_are_named() {
        assert_eq!(
            Interpreter::of_script(b"#!/bin/sh\r\n"),
            Err(ShebangError::CarriageReturn)
        );
        assert_eq!(Interpreter::of_script(b"#!\n"), Err(ShebangError::Empty));
        assert_eq!(
            Interpreter::of_script(b"#!/bin/\xff\n"),
            Err(ShebangError::NotUtf8)
        );
    }

    #[test]
    fn shells_are_told_from_others() {
        for shell in [
            "",
            "#!/bin/bash -x",
            "#!/usr/bin/env bash",
            "#!/usr/bin/env -S FOO=1 zsh -f",
            "#!/usr/local/bin/dash",
        ] {
            assert!(of(shell).has_errexit(), "{shell}");
        }
        for other in [
            "#!/usr/bin/python3",
            "#!/usr/bin/env -S python3 -u",
            "#!/usr/bin/perl -w",
            "#!/usr/bin/env",
        ] {
            assert!(!of(other).has_errexit(), "{other}");
        }
    }
}
