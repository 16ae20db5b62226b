//! Debian's packages that the tests need.

use crate::command::{Failure, Program, failed};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A package and what needs it.
struct Package {
    name: &'static str,
    reason: &'static str,
}

/// Every package, with its reason.
const PACKAGES: &[Package] = &[
    Package {
        name: "openssh-server",
        reason: "a real sshd on 127.0.0.1, to test the SSH client against somebody else's server",
    },
    Package {
        name: "openssh-client",
        reason: "`qib ssh` runs ssh; ssh-keygen and ssh-agent make what the SSH tests use",
    },
    Package {
        name: "cloud-init",
        reason: "the real cloud-init reads the user-data that qib makes, inside a guest",
    },
    Package {
        name: "python3",
        reason: "runs the address-binding script in guests, and the AWS CLI",
    },
    Package {
        name: "python3-venv",
        reason: "a folder of our own for the AWS CLI and boto3",
    },
    Package {
        name: "tar",
        reason: "unpacks uploaded directories in guests",
    },
    Package {
        name: "gzip",
        reason: "unpacks uploaded directories in guests",
    },
    Package {
        name: "curl",
        reason: "the binding script's second way, `curl --aws-sigv4`, where a guest has no Python",
    },
    Package {
        name: "iproute2",
        reason: "makes and shows the network namespaces of guests",
    },
    Package {
        name: "openssl",
        reason: "makes the certificate of the HTTPS endpoint that the address-binding script is tested against",
    },
    Package {
        name: "sudo",
        reason: "scripts and Ansible's tasks become other users, in guests and on the test's own sshd",
    },
    Package {
        name: "tmux",
        reason: "a real terminal, to see what a person sees",
    },
    Package {
        name: "qemu-utils",
        reason: "qemu-img makes disk images in every format and judges what qib reads and writes; the local EC2's ImportSnapshot converts with it",
    },
    Package {
        name: "e2fsprogs",
        reason: "mke2fs makes the file systems of disk images, without being root",
    },
    Package {
        name: "fdisk",
        reason: "sfdisk makes the partition tables of disk images",
    },
    Package {
        name: "gnupg",
        reason: "makes keys and signed checksum files",
    },
    Package {
        name: "gpgv",
        reason: "verifies signed checksum files",
    },
    Package {
        name: "xz-utils",
        reason: "packs disk images",
    },
    Package {
        name: "zstd",
        reason: "packs disk images",
    },
];

/// Installs what is missing as root; otherwise says what to install.
///
/// # Errors
/// If something is missing and cannot be installed by this user, or apt-get fails.
pub fn install_missing(root: bool) -> Result<(), Failure> {
    let missing: Vec<&Package> = PACKAGES
        .iter()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        eprintln!("Debian packages: all there");
        return Ok(());
    }
    eprintln!("Debian packages that are missing:");
    for package in &missing {
        eprintln!("  {:<15} {}", package.name, package.reason);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !root {
        return Err(Failure(format!(
            "the tests need packages that only root can install. Run this, then start again:\n  \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            names.join(" ")
        )));
    }
    Program::new("apt-get").args(["update"]).run()?;
    let _quiet = ServicesStayOff::begin()?;
    Program::new("apt-get")
        .args(["install", "-y", "--no-install-recommends"])
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// While this lives, installing a package starts no service: a test's tool must not open port 22 to the network.
/// A policy that is there already is left as it is.
struct ServicesStayOff {
    made: Option<&'static Path>,
}

impl ServicesStayOff {
    /// Debian Policy 9.3.3.2 and `invoke-rc.d(8)`: exit code 101 of this file means "action forbidden".
    const POLICY: &'static str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self, Failure> {
        let policy = Path::new(Self::POLICY);
        if policy.exists() {
            return Ok(Self { made: None });
        }
        let write = || {
            fs::write(policy, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
        };
        write().map_err(|error| failed(&format!("writing {}", Self::POLICY), &error))?;
        Ok(Self { made: Some(policy) })
    }
}

impl Drop for ServicesStayOff {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.made.map(fs::remove_file) {
            eprintln!(
                "{} could not be removed ({error}): remove it by hand",
                Self::POLICY
            );
        }
    }
}

fn is_installed(package: &Package) -> bool {
    let asked = Program::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package.name])
        .output();
    asked.is_ok_and(|answer| answer.status.success() && answer.stdout == b"installed")
}
