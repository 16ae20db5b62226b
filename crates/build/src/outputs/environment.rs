//! Values for the CI systems that read them from files: dotenv (Jenkins, GitLab) and GitHub Actions' outputs.

use super::Pair;

/// One `KEY=value` a line, which shells, Jenkins' EnvInject and GitLab's dotenv reports read alike. What could be
/// understood in several ways stands in single quotes.
pub fn dotenv(pairs: &[Pair]) -> Vec<u8> {
    let mut text = String::new();
    for Pair { key, value } in pairs {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+".contains(c);
        text.push_str(key);
        text.push('=');
        if value.chars().all(plain) {
            text.push_str(value);
        } else {
            text.push('\'');
            text.push_str(&value.replace('\'', "'\\''"));
            text.push('\'');
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// Lines for the file that `GITHUB_OUTPUT` names, to be put behind what is there already. `delimiter` ends values of several
/// lines; it is made longer until no value has it in it, since a value that had it would go on as further outputs.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-output-parameter>
pub fn github(pairs: &[Pair], delimiter: &str) -> Vec<u8> {
    let mut text = String::new();
    let mut delimiter = delimiter.to_owned();
    while pairs.iter().any(|pair| pair.value.contains(&delimiter)) {
        delimiter.push('_');
    }
    for Pair { key, value } in pairs {
        if value.contains(['\n', '\r']) {
            text.push_str(&format!("{key}<<{delimiter}\n{value}\n{delimiter}\n"));
        } else {
            text.push_str(&format!("{key}={value}\n"));
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> Pair {
        Pair {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_shell_reads_back_what_dotenv_writes() {
        let values = ["ami-1", "it's $HOME `x`", "two words", ""];
        let pairs: Vec<Pair> = values.iter().map(|value| pair("VALUE", value)).collect();
        for (one, value) in pairs.iter().zip(values) {
            let written = String::from_utf8(dotenv(std::slice::from_ref(one))).unwrap();
            assert_eq!(read_by_shell_rules(written.trim_end()), value, "{written}");
        }
    }

    /// POSIX quoting, as much of it as is written.
    fn read_by_shell_rules(line: &str) -> String {
        let (_, mut rest) = line.split_once('=').unwrap();
        let mut value = String::new();
        while let Some(c) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('\'') {
                let (inside, after) = quoted.split_once('\'').unwrap();
                value.push_str(inside);
                rest = after;
            } else if let Some(escaped) = rest.strip_prefix('\\') {
                value.push(escaped.chars().next().unwrap());
                rest = &escaped[1..];
            } else {
                assert!(!" $`\"".contains(c), "{line}");
                value.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        value
    }

    #[test]
    fn a_value_of_several_lines_is_delimited() {
        let written = github(&[pair("base", "ami-1"), pair("all", "a\nb")], "r-1");
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "base=ami-1\nall<<r-1\na\nb\nr-1\n"
        );
    }

    #[test]
    fn no_value_ends_itself_early_and_goes_on_as_another_output() {
        let written = github(&[pair("all", "a\nend\nadmin=true\nend_")], "end");
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "all<<end__\na\nend\nadmin=true\nend_\nend__\n"
        );
    }
}
