//! Host keys, in the files where sshd keeps them.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};

/// Where host keys lie.
pub const HOST_KEY_FOLDER: &str = "/etc/ssh";

/// One host key file.
#[derive(Debug)]
pub struct HostKey {
    /// The private key's file.
    pub path: PathBuf,
    /// Its content, or why it is of no use.
    pub private: Result<PrivateKey, String>,
}

/// The host keys there are.
///
/// # Errors
/// If the folder cannot be listed.
pub fn load() -> io::Result<Vec<HostKey>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(HOST_KEY_FOLDER)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ssh_host_") && name.ends_with("_key") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths
        .into_iter()
        .map(|path| HostKey {
            private: read(&path),
            path,
        })
        .collect())
}

fn read(path: &Path) -> Result<PrivateKey, String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let mode = fs::metadata(path)
        .map_err(|e| e.to_string())?
        .permissions()
        .mode();
    // sshd refuses such keys too.
    if mode & 0o037 != 0 {
        return Err(format!("permissions {:04o} are too open", mode & 0o7777));
    }
    russh::keys::decode_secret_key(&text, None).map_err(|e| e.to_string())
}

/// Makes the host keys that a fresh system has, unless there is one of that kind. Returns which were made.
///
/// # Errors
/// If a key cannot be made or written.
pub fn generate_missing(comment: &str) -> io::Result<Vec<&'static str>> {
    fs::create_dir_all(HOST_KEY_FOLDER)?;
    let mut made = Vec::new();
    for (kind, algorithm) in [
        (
            "ecdsa",
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
        ),
        ("ed25519", Algorithm::Ed25519),
    ] {
        let path = Path::new(HOST_KEY_FOLDER).join(format!("ssh_host_{kind}_key"));
        if path.exists() {
            continue;
        }
        let mut key = PrivateKey::random(&mut rand::rng(), algorithm).map_err(io::Error::other)?;
        key.set_comment(comment);
        let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        let public = key.public_key().to_openssh().map_err(io::Error::other)?;
        write(&path, private.as_bytes(), 0o600)?;
        write(
            &path.with_extension("pub"),
            format!("{public}\n").as_bytes(),
            0o644,
        )?;
        made.push(kind);
    }
    Ok(made)
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)
}
