//! What must hold after every case, whatever went wrong in it.

use crate::holdings::{complete_by_stage, complete_images};
use crate::machines::plain_text;
use crate::process::{End, Past};
use crate::world::{SECRET, World};
use build::report::ExitCode;
use emulator::engine::address_log::{self, AddressChange};
use std::collections::BTreeMap;
use std::path::Path;

/// What was wrong with a case, by kind. Nothing is the only good one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub leaks: Vec<String>,
    pub doubles: Vec<String>,
    pub hangs: Vec<String>,
    pub secrets: Vec<String>,
    /// A run that should have succeeded, an error without a step, a panic.
    pub others: Vec<String>,
    /// Whether a run may end with exit code 3, because a sweep follows.
    pub forgiving: bool,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.text().is_empty()
    }

    /// Everything that is wrong, for a person.
    pub fn text(&self) -> String {
        let kinds = [
            ("leak", &self.leaks),
            ("double effect", &self.doubles),
            ("hang", &self.hangs),
            ("secret", &self.secrets),
            ("wrong", &self.others),
        ];
        let lines: Vec<String> = kinds
            .iter()
            .flat_map(|(kind, list)| list.iter().map(move |what| format!("{kind}: {what}")))
            .collect();
        lines.join("\n")
    }

    /// Looks at how a process ended. Gives whether it reports success.
    pub fn of_end(&mut self, who: &str, past: &Past) -> bool {
        match &past.end {
            End::Hung => self.hangs.push(format!("{who} never ended")),
            End::Panicked(words) => self.others.push(format!("{who} panicked: {words}")),
            End::Killed => {}
            End::Report(report) => match report.exit {
                ExitCode::Done => return true,
                ExitCode::LeftBehind if self.forgiving => {
                    // A sweep follows. That there is something to sweep must have been said.
                    if report.left_behind.is_empty() {
                        self.leaks.push(format!("{who} left something unnamed"));
                    }
                }
                ExitCode::LeftBehind => {
                    for left in &report.left_behind {
                        let what =
                            format!("{who} names {} {}: {}", left.kind, left.id, left.reason);
                        self.leaks.push(what);
                    }
                }
                ExitCode::Failed => {
                    let named = report
                        .failures
                        .iter()
                        .any(|f| !f.step.is_empty() && !f.error.is_empty());
                    if !named {
                        self.others.push(format!("{who} failed without a step"));
                    }
                }
                ExitCode::BadInput | ExitCode::Interrupted | ExitCode::Terminated => {}
            },
        }
        false
    }

    /// Looks at the account and the instances: nothing is there but what was there before and complete images, none of
    /// them twice.
    pub fn of_world(&mut self, world: &World) {
        self.of_account(world);
        for (stage, count) in complete_by_stage(&world.engine.snapshot()) {
            if count > 1 {
                self.doubles
                    .push(format!("{count} images of stage {stage}"));
            }
        }
    }

    /// The same for runs that do not share their images.
    pub fn of_account(&mut self, world: &World) {
        let account = world.engine.snapshot();
        let whole = complete_images(&account);
        let left = world.added();
        self.leaks.extend(left.difference(&whole).cloned());
        self.doubles
            .extend(world.machines.wrongs.lock().unwrap().iter().cloned());
        self.of_addresses(&world.folder().join("ec2"));
    }

    /// No instance lost its address to another: who held what is in the local EC2's own log.
    fn of_addresses(&mut self, folder: &Path) {
        let records = address_log::read(folder).expect("the log of addresses can be read");
        let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
        for record in &records {
            let (address, instance) = (record.allocation.as_str(), record.instance.as_str());
            let wrong = match record.what {
                AddressChange::Bound => holders.insert(address, instance).is_some(),
                AddressChange::Freed => {
                    holders.remove(address) != Some(instance) || record.cause == "AssociateAddress"
                }
            };
            if wrong {
                self.doubles
                    .push(format!("two instances had {address}: {record:?}"));
            }
        }
    }

    /// Looks at the account after a run of the two-stage pipeline that succeeded.
    pub fn of_success(&mut self, world: &World) {
        let there = complete_by_stage(&world.engine.snapshot());
        for stage in ["base", "content"] {
            let count = there.get(stage).copied().unwrap_or_default();
            if count != 1 {
                let what = format!("{count} complete images of {stage} after a success");
                self.doubles.push(what);
            }
        }
        // The instances that they opened are gone.
        self.of_files(&world.folder().join("hosts"), "PRIVATE KEY");
    }

    /// Looks for the secret in everything that was written, told, tagged or handed to an instance.
    pub fn of_secrets(&mut self, world: &World, pasts: &[&Past]) {
        for past in pasts {
            let told = format!("{:?}", past.told);
            if told.contains(SECRET) {
                self.secrets.push("told to the observer".to_owned());
            }
            if told.contains("PRIVATE KEY") {
                self.secrets.push("a private key was told".to_owned());
            }
        }
        self.of_files(world.folder(), SECRET);
        let account = world.engine.snapshot();
        for region in account.regions.values() {
            for instance in region.instances.values() {
                if plain_text(&instance.user_data).contains(SECRET) {
                    self.secrets.push(format!("user-data of {}", instance.id));
                }
            }
        }
        let text = serde_json::to_string(&account).expect("an account is plain data");
        if text.contains(SECRET) {
            self.secrets
                .push("in the account (a tag, a parameter)".to_owned());
        }
    }

    fn of_files(&mut self, folder: &Path, secret: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder of the simulation") {
            let entry = entry.expect("an entry of a folder");
            let path = entry.path();
            if entry.file_type().expect("its type").is_dir() {
                self.of_files(&path, secret);
                continue;
            }
            let content = std::fs::read(&path).expect("a file of the simulation");
            let content = String::from_utf8_lossy(&content);
            if content.contains(secret) {
                self.secrets.push(path.display().to_string());
            }
        }
    }
}
