//! Host keys as cloud-init's `ssh` module handles them.
//! <https://cloudinit.readthedocs.io/en/latest/reference/modules.html#ssh>

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use russh::keys::ssh_key::HashAlg;

use crate::guest::init::ConsoleLog;
use crate::guest::ssh_server::{HOST_KEY_FOLDER, generate_missing, load_host_keys};

/// Deletes the keys that came with the image, then writes those given or, if none is given, makes new ones.
///
/// # Errors
/// If a key cannot be written or its name is not known.
pub fn replace(
    given: &BTreeMap<String, String>,
    delete_present: bool,
    hostname: &str,
) -> io::Result<()> {
    fs::create_dir_all(HOST_KEY_FOLDER)?;
    if delete_present {
        delete()?;
    }
    if given.is_empty() {
        return generate_missing(&format!("root@{hostname}")).map(drop);
    }
    for (name, content) in given {
        let Some((kind, half)) = name.rsplit_once('_') else {
            return Err(unknown(name));
        };
        if !["rsa", "ecdsa", "ed25519", "dsa"].contains(&kind) {
            return Err(unknown(name));
        }
        let (file, mode) = match half {
            "private" => (format!("ssh_host_{kind}_key"), 0o600),
            "public" => (format!("ssh_host_{kind}_key.pub"), 0o644),
            "certificate" => (format!("ssh_host_{kind}_key-cert.pub"), 0o644),
            _ => return Err(unknown(name)),
        };
        let path = Path::new(HOST_KEY_FOLDER).join(file);
        // Gone first, so that a private key is never readable by others, not even for a moment.
        remove_if_there(&path)?;
        let content = if content.ends_with('\n') {
            content.clone()
        } else {
            format!("{content}\n")
        };
        write_with_mode(&path, &content, mode)?;
    }
    add_public_halves()
}

fn unknown(name: &str) -> io::Error {
    io::Error::other(format!("ssh_keys: {name} is not a kind of host key"))
}

fn write_with_mode(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content.as_bytes())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn delete() -> io::Result<()> {
    for entry in fs::read_dir(HOST_KEY_FOLDER)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("ssh_host_") && name.contains("key") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A private key given alone gets its public half beside it.
fn add_public_halves() -> io::Result<()> {
    for key in load_host_keys()? {
        let public = key.path.with_extension("pub");
        if let (Ok(private), false) = (&key.private, public.exists()) {
            let line = private
                .public_key()
                .to_openssh()
                .map_err(io::Error::other)?;
            write_with_mode(&public, &format!("{line}\n"), 0o644)?;
        }
    }
    Ok(())
}

/// Prints the host keys on the console between the lines that tools look for.
///
/// # Errors
/// If the keys cannot be read.
pub fn print(console: &ConsoleLog, hostname: &str) -> io::Result<()> {
    let (mut fingerprints, mut keys) = (String::new(), String::new());
    for key in load_host_keys()? {
        let Ok(private) = key.private else { continue };
        let public = private.public_key();
        let (bits, kind) = match public.algorithm().as_str() {
            "ssh-ed25519" => (256, "ED25519".to_owned()),
            "ecdsa-sha2-nistp256" => (256, "ECDSA".to_owned()),
            "ecdsa-sha2-nistp384" => (384, "ECDSA".to_owned()),
            "ecdsa-sha2-nistp521" => (521, "ECDSA".to_owned()),
            other => (0, other.to_owned()),
        };
        let comment = format!("root@{hostname}");
        fingerprints.push_str(&format!(
            "{bits} {} {comment} ({kind})\n",
            public.fingerprint(HashAlg::Sha256)
        ));
        keys.push_str(&format!(
            "{}\n",
            public.to_openssh().map_err(io::Error::other)?
        ));
    }
    console.raw(
        format!(
            "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n{fingerprints}-----END SSH HOST KEY FINGERPRINTS-----\n\
             -----BEGIN SSH HOST KEY KEYS-----\n{keys}-----END SSH HOST KEY KEYS-----\n"
        )
        .as_bytes(),
    );
    Ok(())
}
