//! Questions that are answered in the guest, by what is in every guest: POSIX sh, `/proc`; for web servers its `curl`, else
//! its Python.

use super::conditions;
use super::output::Quiet;
use super::wait_for::{ANSWER_WITHIN, Look, of_command};
use crate::event::OutputStream;
use crate::guest::{CommandEnd, Output};
use crate::host::MAX_HTTP_BODY;
use crate::spec::{CommandSpec, HttpSpec};
use crate::steps::CellContext;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A question: a script, and what its answer means.
pub(super) struct Question {
    pub name: String,
    pub text: Vec<u8>,
    pub become_user: Option<String>,
    pub errexit: bool,
    pub environment: Vec<(String, String)>,
    /// Whether standard output is data and no text for people.
    pub data: bool,
    pub verdict: Box<dyn Fn(&CommandEnd, Heard<'_>) -> Look + Send + Sync>,
}

/// What a script has printed.
pub(super) struct Heard<'a> {
    /// Standard output without its line ends.
    stdout: Vec<u8>,
    data: bool,
    lines: Quiet<'a>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(context: &'a CellContext, data: bool) -> Self {
        Self {
            stdout: Vec::new(),
            data,
            lines: Quiet::new(context),
        }
    }
}

impl Output for Heard<'_> {
    fn line(&mut self, stream: OutputStream, line: &str) {
        if !(self.data && stream == OutputStream::Stdout) {
            self.lines.line(stream, line);
        } else if self.stdout.len() < MAX_HTTP_BODY * 3 / 2 {
            // An answer in base64 is a third longer than the answer.
            self.stdout.extend_from_slice(line.as_bytes());
        }
    }
}

/// Prints an answer in base64: its body, a new line, its status. No proxy, no redirection.
const HTTP_SCRIPT: &str = r#"#!/bin/sh
if command -v curl >/dev/null 2>&1; then
    printf '%s' "$QIB_CURL" | curl -q -g -sS --noproxy '*' --max-time "$QIB_SECONDS" -K - -w '\n%{http_code}' |
        head -c "$QIB_MOST" | base64 | tr -d '\n'
    exit 0
fi
for python in /usr/libexec/platform-python python3 python; do
    command -v "$python" >/dev/null 2>&1 || continue
    exec "$python" - <<'END'
import base64, os, sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None
request = urllib.request.Request(os.environ["QIB_URL"])
for line in os.environ.get("QIB_HEADERS", "").splitlines():
    name, value = line.split(": ", 1)
    request.add_header(name, value)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
most = int(os.environ["QIB_MOST"])
try:
    answer = opener.open(request, timeout=float(os.environ["QIB_SECONDS"]))
except urllib.error.HTTPError as error:
    answer = error
except Exception as error:
    sys.exit(str(error))
body = answer.read(most)
status = str(answer.code).encode()
sys.stdout.write(base64.b64encode(body + b"\n" + status).decode())
END
done
echo "the guest has neither curl nor python3 to ask with" >&2
exit 97
"#;

/// Exit codes of [`CLOUD_INIT_SCRIPT`].
const NOT_YET: u32 = 75;
const NOT_THERE: u32 = 90;
const OFF: u32 = 91;

/// How far cloud-init is, without waiting for it.
const CLOUD_INIT_SCRIPT: &str = r#"#!/bin/sh
if ! command -v cloud-init >/dev/null 2>&1; then
    [ -d /var/lib/cloud/instance ] || exit 90
    # Without the command, the file that cloud-init writes last tells.
    [ -e /var/lib/cloud/instance/boot-finished ] && exit 0
    exit 75
fi
if [ -e /etc/cloud/cloud-init.disabled ] || [ -e /run/cloud-init/disabled ]; then exit 91; fi
said=$(cloud-init status 2>/dev/null)
echo "$said"
case $said in
    *running* | *'not run'* | *'not started'*) exit 75 ;;
    *done*) exit 0 ;;
    *disabled*) exit 91 ;;
esac
exit 1
"#;

/// Whether something listens: a socket in state 0A (LISTEN) whose local port, in hexadecimal, is the one asked for
/// (proc(5), /proc/net/tcp).
const PORT_SCRIPT: &str = r#"#!/bin/sh
port=$(printf '%04X' "$QIB_PORT")
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "^ *[0-9]*: [0-9A-F]*:$port [0-9A-F]*:[0-9A-F]* 0A "
"#;

impl Question {
    fn of(
        name: &str,
        text: &str,
        environment: Vec<(String, String)>,
        verdict: impl Fn(&CommandEnd, Heard<'_>) -> Look + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            text: text.as_bytes().to_vec(),
            become_user: None,
            errexit: false,
            environment,
            data: false,
            verdict: Box::new(verdict),
        }
    }

    /// Whether the user's command ends with 0.
    pub(super) fn command(command: &CommandSpec, environment: Vec<(String, String)>) -> Self {
        Self {
            become_user: command.become_user.clone(),
            errexit: true,
            ..Self::of("wait-command", &command.text, environment, |end, heard| {
                of_command(end, &heard.lines.into_last_lines())
            })
        }
    }

    /// Whether cloud-init's boot has ended.
    pub(super) fn cloud_init() -> Self {
        Self::of(
            "wait-cloud-init",
            CLOUD_INIT_SCRIPT,
            Vec::new(),
            |end, heard| match end {
                CommandEnd::Exited(0) => Look::Yes,
                CommandEnd::Exited(NOT_YET) => {
                    Look::NotYet(String::from("cloud-init is still at work"))
                }
                CommandEnd::Exited(NOT_THERE) => {
                    Look::Never(String::from("the guest has no cloud-init"))
                }
                CommandEnd::Exited(OFF) => {
                    Look::Never(String::from("cloud-init is switched off in the guest"))
                }
                CommandEnd::Exited(_) | CommandEnd::Signalled(_) => Look::Never(format!(
                    "cloud-init did not end well: {}",
                    heard.lines.into_last_lines().join(" ")
                )),
            },
        )
    }

    /// Whether something listens on the port.
    pub(super) fn port(port: u16) -> Self {
        let environment = vec![(String::from("QIB_PORT"), port.to_string())];
        Self::of(
            "wait-port",
            PORT_SCRIPT,
            environment,
            move |end, _| match end {
                CommandEnd::Exited(0) => Look::Yes,
                CommandEnd::Exited(_) | CommandEnd::Signalled(_) => {
                    Look::NotYet(format!("nothing in the guest listens on port {port}"))
                }
            },
        )
    }

    /// What a web server answers to the guest.
    pub(super) fn http(asked: &HttpSpec) -> Self {
        let headers: Vec<String> = asked
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let environment = [
            ("QIB_URL", asked.url.clone()),
            ("QIB_HEADERS", headers.join("\n")),
            ("QIB_CURL", curl_config(&asked.url, &headers)),
            ("QIB_SECONDS", ANSWER_WITHIN.as_secs().to_string()),
            ("QIB_MOST", MAX_HTTP_BODY.to_string()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let asked = asked.clone();
        let environment = environment.to_vec();
        let verdict = move |end: &CommandEnd, heard: Heard<'_>| match end {
            CommandEnd::Exited(0) => of_http(&asked, heard),
            CommandEnd::Exited(97) => Look::Never(heard.lines.into_last_lines().join(" ")),
            CommandEnd::Exited(_) | CommandEnd::Signalled(_) => {
                Look::NotYet(heard.lines.into_last_lines().join(" "))
            }
        };
        Self {
            data: true,
            ..Self::of("wait-http", HTTP_SCRIPT, environment, verdict)
        }
    }
}

/// The request as curl reads it from a file, so that no field of it stands on a command line. Within quotes curl knows
/// `\\` and `\"` (curl manual, `--config`).
fn curl_config(url: &str, headers: &[String]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut config = format!("url = \"{}\"\n", quoted(url));
    for header in headers {
        config.push_str(&format!("header = \"{}\"\n", quoted(header)));
    }
    config
}

fn of_http(asked: &HttpSpec, heard: Heard<'_>) -> Look {
    let Ok(answer) = STANDARD.decode(&heard.stdout) else {
        return Look::NotYet(String::from("the guest's answer cannot be read"));
    };
    let Some(end) = answer.iter().rposition(|byte| *byte == b'\n') else {
        return Look::NotYet(heard.lines.into_last_lines().join(" "));
    };
    let (body, status) = answer.split_at(end);
    let status = std::str::from_utf8(&status[1..]).unwrap_or_default().trim();
    match status.parse() {
        // curl's status of an answer that never came.
        Ok(0) => Look::NotYet(format!(
            "{} does not answer: {}",
            asked.url,
            heard.lines.into_last_lines().join(" ")
        )),
        Ok(status) => conditions::check(asked, status, body),
        Err(_) => Look::NotYet(format!(
            "{} answers with more than {MAX_HTTP_BODY} bytes",
            asked.url
        )),
    }
}
