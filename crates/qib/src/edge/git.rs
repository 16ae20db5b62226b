//! Git: what it says about a folder, by its own program.

use pipeline::GitFacts;
use std::path::Path;
use std::process::{Command, Stdio};

/// What git says about a folder; none if it is in no repository, if that has no commit yet, or without git.
pub fn facts(folder: &Path) -> Option<GitFacts> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let sha = ask(folder, &["rev-parse", "--verify", "HEAD"])?;
    Some(GitFacts {
        sha: sha.trim().to_owned(),
        // It fails where a commit is checked out by itself.
        branch: line(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]),
        dirty: !ask(folder, &["status", "--porcelain", "--untracked-files=no"])?
            .trim()
            .is_empty(),
        user: line(folder, &["config", "user.name"]),
    })
}

/// What git prints on one line; none if that is nothing.
fn line(folder: &Path, arguments: &[&str]) -> Option<String> {
    let text = ask(folder, arguments)?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn ask(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        // Looking must not write: `status` would refresh the index.
        .env("GIT_OPTIONAL_LOCKS", "0")
        // A hook of another repository sets these; asked is the folder's own.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=A B", "-c", "user.email=a@example.org"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("git is installed");
        assert!(status.success(), "git {arguments:?}");
    }

    #[test]
    fn a_repository_says_its_commit_its_branch_and_whether_a_tracked_file_differs() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        git(folder, &["init", "--quiet", "--initial-branch=work"]);
        assert_eq!(facts(folder), None, "there is no commit yet");
        std::fs::write(folder.join("a"), "1").expect("it can be written");
        git(folder, &["add", "a"]);
        git(folder, &["commit", "--quiet", "--message", "first"]);
        git(folder, &["config", "user.name", "C D"]);
        let clean = facts(folder).expect("a commit");
        assert_eq!(clean.sha.len(), 40);
        assert_eq!(clean.branch.as_deref(), Some("work"));
        assert_eq!(clean.user.as_deref(), Some("C D"));
        assert!(!clean.dirty);
        // A file that is not tracked is none of the commit's.
        std::fs::write(folder.join("b"), "1").expect("it can be written");
        assert!(!facts(folder).expect("a commit").dirty);
        std::fs::write(folder.join("a"), "2").expect("it can be written");
        assert!(facts(folder).expect("a commit").dirty);
        git(folder, &["checkout", "--quiet", "--detach"]);
        assert_eq!(facts(folder).expect("a commit").branch, None);
        assert_eq!(facts(&folder.join("not-there")), None);
    }
}
