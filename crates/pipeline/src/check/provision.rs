//! Entries under `provision`, `on_error` and `preflight`.

use super::stages::repeated;
use crate::model::{
    Cell, Commands, Download, EnvName, HttpCheck, Located, Pipeline, PreflightAction, Provisioner,
    ProvisionerEntry, Run, WaitCondition, WaitFor, Wanted,
};
use crate::problem::Fault;
use crate::template::{Name, RunFacts, SecretTemplate, Template};
use std::collections::BTreeMap;

/// What begins so is set by qib.
const OWN_PREFIX: &str = "QIB_";

/// What the types of a stage's entries cannot say.
pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    for entry in stage.all_entries() {
        details(entry, &mut faults);
    }
    if let (Some(first), true) = (stage.on_error.first(), stage.is_copy() || stage.is_import()) {
        let does = if stage.is_copy() {
            "copies its source"
        } else {
            "registers what it imports"
        };
        faults.push(
            Fault::new(
                first.span,
                format!("nothing can come after a failure here: the stage only {does}"),
            )
            .hint("leave `on_error` out, or say how to `launch` and `connect`"),
        );
    }
    for entry in &stage.on_error {
        let reboots = match &entry.value {
            Provisioner::Reboot(_) => true,
            Provisioner::Run(run) => run.reboots,
            Provisioner::Upload(_)
            | Provisioner::Download(_)
            | Provisioner::WaitFor(_)
            | Provisioner::Pause(_)
            | Provisioner::Breakpoint(_)
            | Provisioner::Ansible(_)
            | Provisioner::AnsibleLocal(_) => false,
        };
        if reboots {
            faults.push(
                Fault::new(
                    entry.span,
                    "an instance whose build has failed is not rebooted",
                )
                .hint("`on_error` is for fetching and telling what went wrong"),
            );
        }
    }
    faults
}

fn details(entry: &ProvisionerEntry, faults: &mut Vec<Fault>) {
    repeated(&entry.needs, "need", faults);
    match &entry.value {
        Provisioner::Run(step) => run(step, faults),
        Provisioner::Upload(upload) => {
            if upload.to.contains('\0') || upload.to.split('/').any(|part| part == "..") {
                faults.push(Fault::new(
                    upload.to.span,
                    "the target of an upload cannot hold `..`",
                ));
            }
        }
        Provisioner::Download(step) => download(step, faults),
        Provisioner::WaitFor(wait) => wait_for(wait, faults),
        Provisioner::Reboot(_)
        | Provisioner::Pause(_)
        | Provisioner::Breakpoint(_)
        | Provisioner::Ansible(_)
        | Provisioner::AnsibleLocal(_) => {}
    }
}

fn run(run: &Run, faults: &mut Vec<Fault>) {
    if let Commands::Inline(text) = &run.commands
        && text.as_literal().is_some_and(|text| text.trim().is_empty())
    {
        faults.push(Fault::new(text.span(), "`inline` holds no command"));
    }
    environment(&run.env, faults);
}

fn environment(env: &BTreeMap<Located<EnvName>, SecretTemplate>, faults: &mut Vec<Fault>) {
    for name in env.keys() {
        if name.as_str().starts_with(OWN_PREFIX) {
            faults.push(
                Fault::new(
                    name.span,
                    format!("the variables whose names begin with {OWN_PREFIX} are qib's own"),
                )
                .hint("give it another name"),
            );
        }
    }
}

fn download(download: &Download, faults: &mut Vec<Fault>) {
    if download.to.source().starts_with('~') {
        faults.push(
            Fault::new(
                download.to.span(),
                "the target of a download cannot begin with `~`",
            )
            .hint("it is relative to the pipeline's file, or an absolute path"),
        );
    }
    let from = &download.from;
    if from.contains('\0') || from.starts_with("~") && !from.starts_with("~/") {
        faults.push(Fault::new(
            from.span,
            format!("{:?} is not a path on the instance", from.value),
        ));
    }
}

fn wait_for(wait: &WaitFor, faults: &mut Vec<Fault>) {
    match &wait.condition {
        WaitCondition::Http(check) => http(check, faults),
        WaitCondition::Command(check) => {
            if check
                .command
                .as_literal()
                .is_some_and(|text| text.trim().is_empty())
            {
                let at = check.command.span();
                faults.push(Fault::new(at, "`command` holds no command"));
            }
            environment(&check.env, faults);
        }
        WaitCondition::CloudInit | WaitCondition::Port(_) => {}
    }
}

fn http(check: &HttpCheck, faults: &mut Vec<Fault>) {
    let url = check.url.source();
    let at = check.url.span();
    let plain = url.strip_prefix("http://");
    if plain.is_none() && !url.starts_with("https://") {
        faults.push(
            Fault::new(
                at,
                format!("{url:?} is not a URL that begins with https:// or http://"),
            )
            .hint("the beginning cannot be a run-time expression"),
        );
    }
    if url.contains(char::is_whitespace) && check.url.as_literal().is_some() {
        faults.push(Fault::new(at, "a URL holds no spaces; write %20"));
    }
    let authority = plain
        .or(url.strip_prefix("https://"))
        .and_then(|rest| rest.split(['/', '?', '#']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        faults.push(
            Fault::new(at, "the URL names a user, which is not sent")
                .hint("send a field `Authorization` in `headers`, where secrets may stand"),
        );
    }
    for (name, value) in &check.headers {
        if value.is_secret() && plain.is_some_and(|rest| !is_this_machine(rest)) {
            faults.push(
                Fault::new(
                    name.span,
                    format!("the field `{name}` holds a secret, and http:// sends it in the clear"),
                )
                .hint("use https://"),
            );
        }
        let text = value.render(&RunFacts::default());
        if text.is_ok_and(|text| text.expose().contains(char::is_control)) {
            let message =
                format!("the value of the field `{name}` holds a control character or a new line");
            faults.push(Fault::new(name.span, message));
        }
    }
    if !(100..=599).contains(&check.status.value) {
        faults.push(Fault::new(
            check.status.span,
            format!("there is no HTTP status {}", check.status.value),
        ));
    }
}

/// Whether what follows `http://` is a name of the machine that asks.
fn is_this_machine(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What the types of `preflight` cannot say.
pub(super) fn preflight(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut made = std::collections::BTreeSet::new();
    for entry in &pipeline.preflight {
        repeated(&entry.needs, "need", &mut faults);
        match &entry.value {
            PreflightAction::Run { run: step, creates } => {
                run(step, &mut faults);
                if let Commands::Inline(text) = &step.commands {
                    known_before_stages(&names_of(text), text.span(), &mut faults);
                }
                for value in step.env.values() {
                    known_before_stages(&secret_names_of(value), value.span(), &mut faults);
                }
                for file in creates {
                    if !made.insert(file.path.clone()) {
                        let message = format!("{:?} is made twice", file.written.value);
                        faults.push(Fault::new(file.written.span, message));
                    }
                }
            }
            PreflightAction::WaitFor(wait) => {
                wait_for(wait, &mut faults);
                let (texts, secrets): (Vec<&Template>, Vec<&SecretTemplate>) = match &wait.condition
                {
                    WaitCondition::Http(check) => {
                        let wanted = check.json.as_ref().map(|json| match &json.wanted {
                            Wanted::Equals(text) | Wanted::Contains(text) => text,
                        });
                        let texts = std::iter::once(&check.url).chain(wanted);
                        (texts.collect(), check.headers.values().collect())
                    }
                    WaitCondition::Command(check) => {
                        (vec![&check.command], check.env.values().collect())
                    }
                    WaitCondition::CloudInit | WaitCondition::Port(_) => (Vec::new(), Vec::new()),
                };
                for text in texts {
                    known_before_stages(&names_of(text), text.span(), &mut faults);
                }
                for text in secrets {
                    known_before_stages(&secret_names_of(text), text.span(), &mut faults);
                }
            }
        }
    }
    faults
}

fn names_of(text: &Template) -> Vec<&Name> {
    text.run_time_names().collect()
}

fn secret_names_of(text: &SecretTemplate) -> Vec<&Name> {
    text.run_time_names().collect()
}

fn known_before_stages(names: &[&Name], at: crate::Span, faults: &mut Vec<Fault>) {
    for name in names {
        match name {
            Name::RunId | Name::RunTime | Name::Region | Name::AccountId => {}
            other => faults.push(
                Fault::new(
                    at,
                    format!("`{other}` is known only inside a stage, and `preflight` comes before"),
                )
                .hint("known here: run.id, run.time, region, account.id, vars.NAME, pipeline.name"),
            ),
        }
    }
}
