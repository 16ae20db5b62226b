//! `qib ssh`: becomes the system's OpenSSH client.

use super::error::CommandError;
use crate::args::ssh::SshArgs;
use crate::edge::environment::Environment;
use build::report::WayIn;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes `ssh`; comes back only if that fails.
///
/// # Errors
/// If the way in is not known, or there is no `ssh` on this machine.
pub fn ssh(args: &SshArgs, environment: &Environment) -> Result<u8, CommandError> {
    if args.local && !emulator::daemon::status(&environment.local_dir)?.running {
        return Err(CommandError::failed(
            "the local EC2 does not run, and no instance of it can be reached",
        )
        .hinted("`qib local up` starts it; its instances boot again with it"));
    }
    let way_in = build::way_in::find(&environment.state_dir, &args.target).map_err(|error| {
        CommandError::failed(error.to_string())
            .hinted("`qib run --keep-on-failure` keeps the instance of a stage that fails")
    })?;
    let error = Command::new("ssh")
        .args(arguments(&way_in, &args.command))
        .exec();
    Err(
        CommandError::failed(format!("`ssh` cannot be started: {error}"))
            .hinted("install OpenSSH's client, or log in with another one"),
    )
}

/// What `ssh` is called with, see ssh(1) and ssh_config(5).
fn arguments(way_in: &WayIn, command: &[OsString]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut option = |text: String| arguments.extend([OsString::from("-o"), OsString::from(text)]);
    match &way_in.known_hosts {
        Some(file) => {
            // The run knows the host's key, and no other file may know it otherwise.
            option(format!("UserKnownHostsFile={}", quoted(file)));
            option(String::from("GlobalKnownHostsFile=/dev/null"));
            option(String::from("StrictHostKeyChecking=yes"));
        }
        // The run does not know it: the person is asked.
        None => option(String::from("StrictHostKeyChecking=ask")),
    }
    if let Some(way) = build::dial::proxy_command(way_in) {
        option(format!("ProxyCommand={way}"));
    }
    if way_in.key_file.is_some() {
        option(String::from("IdentitiesOnly=yes"));
    }
    if let Some(key) = &way_in.key_file {
        arguments.extend(["-i".into(), key.into()]);
    }
    arguments.extend(["-p".into(), way_in.port.to_string().into()]);
    arguments.extend(["-l".into(), OsString::from(&way_in.user)]);
    // After `--` nothing is an option, whatever a host is called.
    arguments.extend(["--".into(), OsString::from(&way_in.host)]);
    arguments.extend_from_slice(command);
    arguments
}

/// A file's name as ssh_config(5) takes it: in quotes, and a `%` twice.
fn quoted(file: &str) -> String {
    let escaped = file
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('%', "%%");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_in() -> WayIn {
        WayIn {
            instance_id: "i-0aaa".into(),
            region: "us-east-2".into(),
            host: "127.1.2.3".into(),
            port: 2222,
            user: "ec2-user".into(),
            key_file: Some("/state/my runs/id".into()),
            known_hosts: Some("/state/my runs/known_hosts".into()),
            host_fingerprints: Vec::new(),
            bastion: None,
            proxy: None,
        }
    }

    fn line(way_in: &WayIn, command: &[&str]) -> String {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let words: Vec<String> = arguments(way_in, &command)
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn the_host_is_checked_and_only_the_runs_key_is_offered() {
        assert_eq!(
            line(&way_in(), &["cat", "x"]),
            "-o UserKnownHostsFile=\"/state/my runs/known_hosts\" -o GlobalKnownHostsFile=/dev/null \
             -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -i /state/my runs/id -p 2222 -l ec2-user -- 127.1.2.3 cat x"
        );
    }

    #[test]
    fn a_key_in_an_agent_and_an_unknown_host_are_left_to_ssh() {
        let way_in = WayIn {
            key_file: None,
            known_hosts: None,
            ..way_in()
        };
        assert_eq!(
            line(&way_in, &[]),
            "-o StrictHostKeyChecking=ask -p 2222 -l ec2-user -- 127.1.2.3"
        );
    }
}
