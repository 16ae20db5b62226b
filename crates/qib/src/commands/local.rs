//! `qib local`.

use super::error::CommandError;
use super::place::{known, start};
use super::terminal::Terminal;
use crate::args::local::{LocalArgs, LocalCommand};
use crate::edge::environment::Environment;
use crate::render::json::document;
use emulator::daemon::{self, Status};

/// Does it and gives the exit code.
///
/// # Errors
/// If the local EC2 cannot be started, stopped or asked.
pub fn local(
    args: &LocalArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let dir = &environment.local_dir;
    match &args.command {
        LocalCommand::Up => terminal.result_text(&status_text(&start(dir)?))?,
        LocalCommand::Down => {
            let was_running = daemon::stop(dir)?;
            terminal.say(if was_running {
                "The local EC2 is stopped."
            } else {
                "The local EC2 was not running."
            });
        }
        LocalCommand::Status { json: true } => {
            let status = daemon::status(dir)?;
            terminal.result(|out| document(out, &status))?;
        }
        LocalCommand::Status { json: false } => {
            terminal.result_text(&status_text(&daemon::status(dir)?))?
        }
        LocalCommand::Reset => {
            daemon::reset(dir)?;
            terminal.say("The local EC2 is stopped, and everything in it is gone.");
        }
        LocalCommand::Env => terminal.result_text(&shell_exports(&start(dir)?)?)?,
    }
    Ok(0)
}

fn status_text(status: &Status) -> String {
    if !status.running {
        return String::from(
            "The local EC2 does not run; `qib local up` or any command with --local starts it.",
        );
    }
    let part =
        |what: &str, value: Option<String>| value.map(|value| format!("  {what:<9} {value}"));
    let guests = status.guest_mode.as_deref().map(|mode| match mode {
        "rootless" => String::from(
            "without root: chown, other users and package managers do not work in them",
        ),
        "root" => String::from("with user ids of their own"),
        other => other.to_owned(),
    });
    let parts = [
        Some(String::from("The local EC2 runs.")),
        part("endpoint", status.endpoint.clone()),
        part("region", status.region.clone()),
        part("SSH port", status.ssh_port.map(|port| port.to_string())),
        part("guests", guests),
        part("process", status.pid.map(|pid| pid.to_string())),
        Some(String::from(
            "  for the AWS CLI and SDKs: eval \"$(qib local env)\"",
        )),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What a POSIX shell evaluates to point AWS clients at the local EC2. What would go before it is unset.
fn shell_exports(status: &Status) -> Result<String, CommandError> {
    let region = known(status.region.clone(), "region")?;
    let exports = [
        (
            "AWS_ENDPOINT_URL",
            known(status.endpoint.clone(), "endpoint")?,
        ),
        (
            "AWS_ACCESS_KEY_ID",
            known(status.access_key_id.clone(), "access key")?,
        ),
        (
            "AWS_SECRET_ACCESS_KEY",
            known(status.secret_access_key.clone(), "secret access key")?,
        ),
        ("AWS_REGION", region.clone()),
        ("AWS_DEFAULT_REGION", region),
    ];
    let mut lines = vec![String::from(
        "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_EC2 AWS_ENDPOINT_URL_SSM AWS_ENDPOINT_URL_STS \
         AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_KMS AWS_ENDPOINT_URL_SERVICE_QUOTAS AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_EBS",
    )];
    lines.extend(
        exports
            .iter()
            .map(|(name, value)| format!("export {name}={}", quoted(value))),
    );
    Ok(lines.join("\n"))
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            running: true,
            endpoint: Some("http://127.0.0.1:4592".into()),
            region: Some("us-east-2".into()),
            access_key_id: Some("LOCALKEY".into()),
            secret_access_key: Some("it's $(secret)".into()),
            ssh_port: Some(2222),
            pid: Some(7),
            guest_mode: Some("rootless".into()),
        }
    }

    #[test]
    fn exports_are_taken_by_a_shell_as_they_are_meant() {
        let script = format!(
            "{}\nprintf %s \"$AWS_SECRET_ACCESS_KEY|$AWS_REGION|${{AWS_PROFILE-unset}}\"",
            shell_exports(&status()).expect("all is known")
        );
        let seen = std::process::Command::new("sh")
            .args(["-euc", &script])
            .env("AWS_PROFILE", "mine")
            .output()
            .expect("there is a shell");
        assert_eq!(
            String::from_utf8_lossy(&seen.stdout),
            "it's $(secret)|us-east-2|unset"
        );
    }

    #[test]
    fn the_secret_is_not_in_what_people_read() {
        let text = status_text(&status());
        assert!(
            text.contains("http://127.0.0.1:4592") && text.contains("without root"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
        assert!(
            status_text(&Status {
                running: false,
                ..status()
            })
            .contains("does not run")
        );
    }
}
