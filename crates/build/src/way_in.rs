//! The way into an instance: written down while one connects, so that `qib ssh` finds it.

use crate::dial::proxy_command;
use crate::journal::{JournalError, RunDirectory};
use crate::names::RunId;
use crate::report::WayIn;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "way-in.json";
/// The private key to log in with, in a cell's folder.
pub(crate) const LOGIN_KEY: &str = "id";
/// The public host keys made for a cell, in its folder.
pub(crate) const HOST_KEYS: &str = "host-keys.json";

/// Why `qib ssh` does not know the way.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum WayInError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "`{wanted}` is neither a run (r-…) nor an instance (i-…) that this machine keeps; kept here: {kept}"
    )]
    Unknown { wanted: String, kept: String },
    #[error("run {run} keeps several instances: {instances}; say which")]
    Several { run: String, instances: String },
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// Writes `way_in` to the cell's folder.
pub fn save(folder: &Path, way_in: &WayIn) -> Result<(), JournalError> {
    let path = folder.join(FILE_NAME);
    let io = |source| JournalError::Io {
        action: "write",
        path: path.clone(),
        source,
    };
    let text =
        serde_json::to_vec_pretty(way_in).map_err(|error| io(std::io::Error::other(error)))?;
    std::fs::write(&path, text).map_err(io)
}

/// The way into the instance of the cell whose folder this is, once there is one.
pub fn of_cell(folder: &Path) -> Option<WayIn> {
    let text = std::fs::read(folder.join(FILE_NAME)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Removes a cell's way in and its private key, once there is nothing left to get into.
pub fn forget(folder: &Path) -> Result<(), JournalError> {
    // A process that was killed while a playbook ran has left its inventory, its key and its variables.
    let playbook = folder.join(crate::ansible::FOLDER);
    if let Err(source) = std::fs::remove_dir_all(&playbook)
        && source.kind() != std::io::ErrorKind::NotFound
    {
        return Err(JournalError::Io {
            action: "remove",
            path: playbook,
            source,
        });
    }
    for name in [FILE_NAME, LOGIN_KEY, HOST_KEYS, "known_hosts"] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(JournalError::Io {
                    action: "remove",
                    path,
                    source: error,
                });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The same for all cells of a run.
pub fn forget_run(directory: &RunDirectory) -> Result<(), WayInError> {
    for stage in folders(directory.path())? {
        for cell in folders(&stage)? {
            forget(&cell)?;
        }
    }
    Ok(())
}

/// The way into `wanted`, a run or an instance.
pub fn find(state_dir: &Path, wanted: &str) -> Result<WayIn, WayInError> {
    find_with_run(state_dir, wanted).map(|(_, way_in)| way_in)
}

/// The same with the run that keeps the instance.
pub fn find_with_run(state_dir: &Path, wanted: &str) -> Result<(RunId, WayIn), WayInError> {
    let mut all = Vec::new();
    for (run, directory) in RunDirectory::all(state_dir)? {
        for way_in in of_run(&directory)? {
            all.push((run.clone(), way_in));
        }
    }
    let run = RunId::parse(wanted);
    let mut fitting: Vec<(RunId, WayIn)> = all
        .iter()
        .filter(|(of, way_in)| run.as_ref() == Some(of) || way_in.instance_id == wanted)
        .cloned()
        .collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => {
            let kept: Vec<String> = all
                .iter()
                .map(|(of, way_in)| format!("{of} ({})", way_in.instance_id))
                .collect();
            let kept = if kept.is_empty() {
                String::from("nothing")
            } else {
                kept.join(", ")
            };
            Err(WayInError::Unknown {
                wanted: wanted.to_owned(),
                kept,
            })
        }
        _ => {
            let instances: Vec<&str> = fitting
                .iter()
                .map(|(_, way_in)| way_in.instance_id.as_str())
                .collect();
            Err(WayInError::Several {
                run: wanted.to_owned(),
                instances: instances.join(", "),
            })
        }
    }
}

fn of_run(directory: &RunDirectory) -> Result<Vec<WayIn>, WayInError> {
    let mut found = Vec::new();
    for stage in folders(directory.path())? {
        for cell in folders(&stage)? {
            let path = cell.join(FILE_NAME);
            let unreadable = |reason: String| WayInError::Unreadable {
                path: path.clone(),
                reason,
            };
            match std::fs::read(&path) {
                Ok(text) => found.push(
                    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?,
                ),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(error.to_string())),
            }
        }
    }
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, WayInError> {
    let unreadable = |error: std::io::Error| WayInError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type().map_err(unreadable)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// The way in, as a person types it.
pub fn describe(way_in: &WayIn) -> String {
    let mut command = String::from("ssh");
    if let Some(key) = &way_in.key_file {
        command.push_str(&format!(" -i {}", quoted(key)));
    }
    if let Some(known_hosts) = &way_in.known_hosts {
        command.push_str(&format!(" -o UserKnownHostsFile={}", quoted(known_hosts)));
    }
    if let Some(way) = proxy_command(way_in) {
        let option = format!("ProxyCommand={way}");
        command.push_str(&format!(" -o {}", ssh::shell_quote(&option)));
    }
    if way_in.port != 22 {
        command.push_str(&format!(" -p {}", way_in.port));
    }
    let fingerprints = if way_in.host_fingerprints.is_empty() {
        String::new()
    } else {
        format!(", host key {}", way_in.host_fingerprints.join(" or "))
    };
    format!(
        "{command} {}@{} (instance {}{fingerprints}); logs to read there: /var/log/cloud-init-output.log and /var/log/qib-bind-address.log",
        way_in.user, way_in.host, way_in.instance_id
    )
}

fn quoted(text: &str) -> String {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_in(instance: &str) -> WayIn {
        WayIn {
            instance_id: instance.into(),
            region: "us-east-2".into(),
            host: "127.1.2.3".into(),
            port: 2222,
            user: "ec2-user".into(),
            key_file: Some("/tmp/a b/id".into()),
            known_hosts: None,
            host_fingerprints: Vec::new(),
            bastion: None,
            proxy: None,
        }
    }

    #[test]
    fn is_found_by_run_and_by_instance() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::from_random(5);
        let cell = crate::names::CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        };
        let folder = RunDirectory::of(state.path(), &run).cell(&cell).unwrap();
        save(&folder, &way_in("i-1")).unwrap();
        assert_eq!(find(state.path(), run.as_str()).unwrap(), way_in("i-1"));
        assert_eq!(find(state.path(), "i-1").unwrap(), way_in("i-1"));
        assert!(matches!(
            find(state.path(), "i-2"),
            Err(WayInError::Unknown { .. })
        ));
        forget(&folder).unwrap();
        assert!(matches!(
            find(state.path(), "i-1"),
            Err(WayInError::Unknown { .. })
        ));
    }

    #[test]
    fn is_described_as_a_command_that_a_shell_takes() {
        let text = describe(&way_in("i-1"));
        assert!(
            text.starts_with("ssh -i '/tmp/a b/id' -p 2222 ec2-user@127.1.2.3 "),
            "{text}"
        );
    }
}
