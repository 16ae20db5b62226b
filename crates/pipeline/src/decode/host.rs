//! What expressions ask of the machine that qib runs on: files, the environment, git. Each is asked at most once.

use crate::Span;
use crate::cache_key::folder_digest;
use crate::files::{FileKind, Files};
use crate::problem::Fault;
use crate::template::GitFact;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// A text that a file is put into; a larger one is data.
const MAX_TEXT: usize = 1 << 20;
/// How many digits of a commit `git.short_sha` has.
const SHORT: usize = 7;

/// What git says about the folder of the pipeline's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitFacts {
    /// The commit that is checked out, in 40 (or 64) hexadecimal digits.
    pub sha: String,
    /// The branch that is checked out; none where a commit is checked out by itself.
    pub branch: Option<String>,
    /// Whether a tracked file differs from the commit.
    pub dirty: bool,
    /// `user.name` of git's configuration, if it is set.
    pub user: Option<String>,
}

/// The machine that qib runs on, as far as expressions see it.
pub(crate) struct Host<'a> {
    files: &'a dyn Files,
    env: &'a dyn Fn(&str) -> Option<String>,
    git: &'a dyn Fn() -> Option<GitFacts>,
    /// The path that a name stands for, written in the file of that number.
    locate: &'a dyn Fn(u16, &str) -> PathBuf,
    git_facts: OnceCell<Option<GitFacts>>,
    texts: RefCell<BTreeMap<PathBuf, String>>,
    hashes: RefCell<BTreeMap<PathBuf, String>>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(
        files: &'a dyn Files,
        env: &'a dyn Fn(&str) -> Option<String>,
        git: &'a dyn Fn() -> Option<GitFacts>,
        locate: &'a dyn Fn(u16, &str) -> PathBuf,
    ) -> Self {
        Self {
            files,
            env,
            git,
            locate,
            git_facts: OnceCell::new(),
            texts: RefCell::default(),
            hashes: RefCell::default(),
        }
    }

    /// An environment variable; an empty one counts as none.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// A fact of git's.
    pub(super) fn git(&self, fact: GitFact, at: Span) -> Result<String, Fault> {
        let Some(facts) = self.git_facts.get_or_init(self.git) else {
            return Err(Fault::new(
                at,
                "git says nothing about the pipeline's folder: it is in no repository with a commit",
            )
            .hint("run qib in a checkout, with git installed, or take a variable with `env:` instead"));
        };
        match fact {
            GitFact::Sha => Ok(facts.sha.clone()),
            GitFact::ShortSha => Ok(facts.sha.chars().take(SHORT).collect()),
            GitFact::Dirty => Ok(facts.dirty.to_string()),
            GitFact::Branch => facts.branch.clone().ok_or_else(|| {
                Fault::new(at, "no branch is checked out, only a commit").hint(
                    "in CI, take the branch's name from its environment: a variable with `env: BRANCH_NAME`",
                )
            }),
            GitFact::User => facts.user.clone().ok_or_else(|| {
                Fault::new(at, "git knows no user's name here")
                    .hint("set one: git config user.name 'Your Name'")
            }),
        }
    }

    /// A file's text without one line end at its end.
    pub(super) fn text(&self, name: &str, at: Span) -> Result<String, Fault> {
        let path = (self.locate)(at.file, name);
        if let Some(text) = self.texts.borrow().get(&path) {
            return Ok(text.clone());
        }
        let wrong = |why: String| Fault::new(at, format!("the file {name:?} {why}"));
        let bytes = self
            .files
            .read(&path)
            .map_err(|why| unreadable(name, &path, at, &why))?;
        if bytes.len() > MAX_TEXT {
            return Err(wrong(format!(
                "has {} bytes; a text has at most {MAX_TEXT}",
                bytes.len()
            )));
        }
        let mut text =
            String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned()))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        self.texts.borrow_mut().insert(path, text.clone());
        Ok(text)
    }

    /// The SHA-256 of a file's content or, as in a cache key, of a folder's.
    pub(super) fn hash(&self, name: &str, at: Span) -> Result<String, Fault> {
        let path = (self.locate)(at.file, name);
        if let Some(hash) = self.hashes.borrow().get(&path) {
            return Ok(hash.clone());
        }
        let digest = match self.files.kind(&path) {
            Ok(FileKind::Folder { .. }) => folder_digest(&path, self.files),
            Ok(_) => self.files.digest(&path),
            Err(why) => Err(why),
        };
        let hash = hex::encode(digest.map_err(|why| unreadable(name, &path, at, &why))?);
        self.hashes.borrow_mut().insert(path, hash.clone());
        Ok(hash)
    }
}

fn unreadable(name: &str, path: &std::path::Path, at: Span, why: &io::Error) -> Fault {
    if why.kind() == io::ErrorKind::NotFound {
        Fault::new(at, format!("the file {name:?} does not exist"))
            .hint(format!("looked for {}", path.display()))
    } else {
        Fault::new(at, format!("the file {name:?} cannot be read: {why}"))
            .hint(format!("its path is {}", path.display()))
    }
}
