//! Signatures of checksum files, verified by the program `gpgv` against the keys of one file and no others.
//!
//! What counts afterwards is what `gpgv` gives out as the signed text, not what was read around it. See
//! docs/decisions/0040-signatures.md.

use crate::armour;
use crate::error::FetchError;
use crate::settings::Settings;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// gpgv works for milliseconds. One that waits for something is not waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// What is to be verified.
pub(crate) enum Signed {
    /// A text with its signature around it.
    Clear(Vec<u8>),
    /// A text and the signature that lies beside it.
    Detached { text: Vec<u8>, signature: Vec<u8> },
}

/// Verifies, and gives the text that the signature is for. `what` and `from` are for errors.
pub(crate) async fn verify(
    signed: Signed,
    keys: &Path,
    settings: &Settings,
    what: &str,
    from: &str,
) -> Result<Vec<u8>, FetchError> {
    let refuse = |why: String| FetchError::Signature {
        what: what.to_owned(),
        from: from.to_owned(),
        why,
    };
    let broken = |error: std::io::Error| refuse(format!("gpgv cannot be given its files: {error}"));
    let file = std::fs::read(keys).map_err(|error| FetchError::File {
        what: what.to_owned(),
        doing: "read the key file",
        path: keys.to_owned(),
        error,
    })?;
    let keyring = armour::binary_keys(&file)
        .map_err(|why| refuse(format!("the key file {}: {why}", keys.display())))?;
    std::fs::create_dir_all(&settings.cache).map_err(broken)?;
    // 0700, and gone when this returns. gpgv looks for its own files there, not in the user's folder.
    let home = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(&settings.cache)
        .map_err(broken)?;
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("keys.gpg"), keyring).map_err(broken)?;
    let mut gpgv = tokio::process::Command::new(&settings.gpgv);
    gpgv.env("LC_ALL", "C")
        .env_remove("GNUPGHOME")
        .arg("--homedir")
        .arg(home.path())
        .arg("--keyring")
        .arg(at("keys.gpg"))
        // Collisions of SHA-1 can be bought. MD5 is refused anyway.
        .args(["--weak-digest", "SHA1", "--status-fd", "1"]);
    let clear = match &signed {
        Signed::Clear(text) => {
            std::fs::write(at("text.asc"), text).map_err(broken)?;
            gpgv.arg("--output")
                .arg(at("text"))
                .arg("--")
                .arg(at("text.asc"));
            true
        }
        Signed::Detached { text, signature } => {
            std::fs::write(at("text"), text).map_err(broken)?;
            std::fs::write(at("text.sig"), signature).map_err(broken)?;
            gpgv.arg("--").arg(at("text.sig")).arg(at("text"));
            false
        }
    };
    gpgv.stdin(Stdio::null()).kill_on_drop(true);
    let done = tokio::time::timeout(LONGEST, gpgv.output())
        .await
        .map_err(|_| refuse(format!("gpgv did not end within {LONGEST:?}")))?
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => refuse(format!(
                "the program {} is not there, which verifies signatures. Install it (package gpgv, or gnupg2)",
                settings.gpgv.display()
            )),
            _ => refuse(format!("{} cannot be run: {error}", settings.gpgv.display())),
        })?;
    judge(&String::from_utf8_lossy(&done.stdout), clear).map_err(|why| {
        let said = String::from_utf8_lossy(&done.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).collect();
        refuse(format!("{why} (gpgv says: {})", said.join("; ")))
    })?;
    match signed {
        Signed::Detached { text, .. } => Ok(text),
        Signed::Clear(_) => std::fs::read(at("text")).map_err(broken),
    }
}

/// How the folders are named that are gpgv's while it runs.
pub(crate) const TEMPORARY: &str = "verify-";

/// Decides by what gpgv writes to its status channel (GnuPG's doc/DETAILS), which is made for programs: one text, at least one
/// good signature by a key of the file that has not expired and was not revoked, and no bad one. Signatures by other keys
/// say nothing: some publishers sign with their old and their new key.
fn judge(status: &str, clear: bool) -> Result<(), String> {
    let words = status
        .lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] "))
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next_back()))
        });
    let (mut good, mut valid, mut texts, mut unknown) = (0, 0, 0, false);
    for (word, last) in words {
        match word {
            "GOODSIG" => good += 1,
            "VALIDSIG" => valid += 1,
            "PLAINTEXT" => texts += 1,
            "BADSIG" => return Err("it is wrong: the file was changed after it was signed".into()),
            "EXPSIG" => return Err("it has expired".into()),
            "EXPKEYSIG" => {
                return Err("the key has expired. Get its renewed form from its owner".into());
            }
            "REVKEYSIG" => return Err("the key was revoked by its owner".into()),
            // The last word is the fingerprint or `-`; the reason is looked for below.
            "ERRSIG" => {}
            "NO_PUBKEY" => unknown = true,
            "FAILURE" | "NODATA" | "UNEXPECTED" | "ERROR" => {
                return Err(format!(
                    "it cannot be read ({word} {})",
                    last.unwrap_or_default()
                ));
            }
            _ => {}
        }
    }
    if clear && texts != 1 {
        return Err(format!(
            "{texts} signed texts were found where one is expected"
        ));
    }
    if good == 0 || valid != good {
        return Err(if unknown {
            "none of the keys in the key file made it. Compare the key with what the publisher names".into()
        } else {
            "no good signature was found".into()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    const GOOD: &str = "[GNUPG:] NEWSIG\n[GNUPG:] PLAINTEXT 74 0 \n[GNUPG:] GOODSIG A me\n[GNUPG:] VALIDSIG F 2020\n";

    #[test]
    fn one_good_signature_over_one_text() {
        assert_eq!(judge(GOOD, true), Ok(()));
        assert!(judge("", true).is_err());
        assert!(judge("[GNUPG:] PLAINTEXT 74 0\n", true).is_err());
        assert!(judge(&format!("{GOOD}[GNUPG:] PLAINTEXT 74 0\n"), true).is_err());
        assert_eq!(judge(&GOOD.replace("PLAINTEXT", "X"), false), Ok(()));
        // What the signed text says is no status.
        assert!(judge("GOODSIG A\nVALIDSIG F\n", false).is_err());
    }

    #[test]
    fn nothing_bad_may_stand_beside_it() {
        for bad in [
            "BADSIG A me",
            "EXPKEYSIG A me",
            "REVKEYSIG A me",
            "EXPSIG A me",
            "NODATA 4",
            "FAILURE gpgv 5",
        ] {
            assert!(
                judge(&format!("{GOOD}[GNUPG:] {bad}\n"), true).is_err(),
                "{bad}"
            );
        }
        let other = format!("{GOOD}[GNUPG:] ERRSIG B 1 8 00 1 9 F\n[GNUPG:] NO_PUBKEY B\n");
        assert_eq!(judge(&other, true), Ok(()));
        let none =
            "[GNUPG:] PLAINTEXT 74 0\n[GNUPG:] ERRSIG B 1 8 00 1 9 F\n[GNUPG:] NO_PUBKEY B\n";
        assert!(
            judge(none, true)
                .expect_err("it is unknown")
                .contains("none of the keys")
        );
    }
}
