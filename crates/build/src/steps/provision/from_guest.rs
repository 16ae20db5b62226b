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
    pub verdict: Verdict,
}

/// What the end of a question's script and its output mean.
pub(super) type Verdict = Box<dyn Fn(&CommandEnd, Heard<'_>) -> Look + Send + Sync>;

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
            CommandEnd::Exited(0) => {
                let said = heard.lines.into_last_lines().join(" ");
                of_http(&asked, &heard.stdout, &said)
            }
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

/// What an answer in base64 says; `said` is what the asking program has printed besides.
fn of_http(asked: &HttpSpec, encoded: &[u8], said: &str) -> Look {
    let Ok(answer) = STANDARD.decode(encoded) else {
        return Look::NotYet(String::from("the guest's answer cannot be read"));
    };
    let Some(end) = answer.iter().rposition(|byte| *byte == b'\n') else {
        return Look::NotYet(format!("{} does not answer: {said}", asked.url));
    };
    let (body, status) = answer.split_at(end);
    let status = std::str::from_utf8(&status[1..]).unwrap_or_default().trim();
    match status.parse() {
        // curl's status of an answer that never came.
        Ok(0) => Look::NotYet(format!("{} does not answer: {said}", asked.url)),
        Ok(status) => conditions::check(asked, status, body),
        Err(_) => Look::NotYet(format!(
            "{} answers with more than {MAX_HTTP_BODY} bytes",
            asked.url
        )),
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the scripts are run by this machine's shell"
)]
mod tests {
    use super::*;
    use crate::spec::{JsonSpec, WantedSpec};
    use pipeline::model::JsonPath;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::{Command, Output};

    fn run(question: &Question, path: Option<&Path>) -> Output {
        let mut command = Command::new("/bin/sh");
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command
            .args(["-c", std::str::from_utf8(&question.text).unwrap()])
            .envs(question.environment.iter().cloned())
            .output()
            .unwrap()
    }

    /// A server that answers one request so, and gives it back.
    fn serve(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        (port, served)
    }

    fn asked(port: u16) -> HttpSpec {
        HttpSpec {
            url: format!("http://127.0.0.1:{port}/a[1]?b=\"c\""),
            headers: vec![(
                pipeline::model::HeaderName::new("X-Token").unwrap(),
                String::from("se\"cr\\et"),
            )],
            status: 200,
            json: Some(JsonSpec {
                path: JsonPath::parse("n[*].v").unwrap(),
                wanted: WantedSpec::Equals("2".into()),
            }),
        }
    }

    /// Folders for PATH with these programs, and no others.
    fn only(programs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in programs {
            for place in ["/usr/bin", "/bin", "/usr/local/bin"] {
                let path = Path::new(place).join(program);
                if path.exists() {
                    symlink(path, folder.path().join(program)).unwrap();
                    break;
                }
            }
        }
        folder
    }

    /// What the guests of this test have to ask with.
    const WAYS: [&[&str]; 2] = [
        &["curl", "head", "base64", "tr"],
        &["python3", "base64", "tr"],
    ];

    #[test]
    fn an_answer_comes_by_curl_and_by_python_alike() {
        const GOOD: &str =
            "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"n\":[{\"v\":1},\n{\"v\":2}]}";
        const ELSEWHERE: &str =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        for programs in WAYS {
            let path = only(programs);
            let (port, served) = serve(GOOD);
            let asked_for = asked(port);
            let output = run(&Question::http(&asked_for), Some(path.path()));
            let look = of_http(&asked_for, &output.stdout, "");
            assert_eq!(look, Look::Yes, "{programs:?}: {output:?}");
            let request = served.join().unwrap();
            assert!(
                request.starts_with("GET /a[1]?b="),
                "{programs:?}: {request}"
            );
            let lower = request.to_ascii_lowercase();
            assert!(
                lower.contains("x-token: se\"cr\\et\r\n"),
                "{programs:?}: {request}"
            );

            let (port, served) = serve(ELSEWHERE);
            let asked_for = asked(port);
            let output = run(&Question::http(&asked_for), Some(path.path()));
            let look = of_http(&asked_for, &output.stdout, "");
            assert!(
                matches!(&look, Look::NotYet(why) if why.contains("status 302")),
                "{programs:?}: {look:?}"
            );
            served.join().unwrap();
        }
    }

    #[test]
    fn no_answer_says_why_and_no_program_to_ask_with_is_final() {
        let path = only(WAYS[0]);
        let asked_for = asked(1);
        let output = run(&Question::http(&asked_for), Some(path.path()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let look = of_http(&asked_for, &output.stdout, said.trim());
        assert!(
            matches!(&look, Look::NotYet(why) if why.contains("does not answer: curl: (7)")),
            "{look:?}"
        );
        let none = tempfile::tempdir().unwrap();
        let output = run(&Question::http(&asked_for), Some(none.path()));
        // A platform's own Python is named by its path.
        if !Path::new("/usr/libexec/platform-python").exists() {
            assert_eq!(output.status.code(), Some(97), "{output:?}");
        }
    }

    #[test]
    fn a_port_is_found_when_something_listens_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let code = |port| run(&Question::port(port), None).status.code();
        assert_eq!(code(port), Some(0));
        // A connection to a port is nobody's listening on it.
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_ne!(code(client.local_addr().unwrap().port()), Some(0));
        drop(listener);
        assert_ne!(code(port), Some(0));
    }

    #[test]
    fn cloud_init_is_asked_without_waiting_for_it() {
        for (status, code) in [
            ("status: running", NOT_YET),
            ("status: not run", NOT_YET),
            ("status: not started", NOT_YET),
            ("status: done", 0),
            ("status: disabled", OFF),
            ("status: error", 1),
            ("status: degraded done", 0),
        ] {
            let path = only(&["cat"]);
            let program = path.path().join("cloud-init");
            std::fs::write(&program, format!("#!/bin/sh\necho '{status}'\n")).unwrap();
            std::fs::set_permissions(
                &program,
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .unwrap();
            let output = run(&Question::cloud_init(), Some(path.path()));
            let wanted = i32::try_from(code).unwrap();
            assert_eq!(output.status.code(), Some(wanted), "{status}");
        }
    }
}
