//! A disk in memory, and loading from it.

use pipeline::{
    FileKind, Files, GitFacts, GivenVar, LoadError, LoadOptions, Loaded, VarsFile, load,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Files by path; folders are there when something is in them.
#[derive(Clone, Default)]
pub struct Memory(pub BTreeMap<PathBuf, (Vec<u8>, u32)>);

impl Memory {
    pub fn with(mut self, path: &str, content: &str) -> Self {
        self.0
            .insert(path.into(), (content.as_bytes().to_vec(), 0o644));
        self
    }

    pub fn mode(mut self, path: &str, mode: u32) -> Self {
        if let Some(file) = self.0.get_mut(Path::new(path)) {
            file.1 = mode;
        }
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0
            .get(path)
            .map(|file| file.0.clone())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        if let Some((_, mode)) = self.0.get(path) {
            return Ok(FileKind::File { mode: *mode });
        }
        let folder = self
            .0
            .keys()
            .any(|file| file.starts_with(path) && file != path);
        if folder {
            Ok(FileKind::Folder { mode: 0o755 })
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut names = BTreeMap::new();
        for file in self.0.keys() {
            if let Some(first) = file
                .strip_prefix(folder)
                .ok()
                .and_then(|rest| rest.iter().next())
            {
                names.insert(first.to_owned(), self.kind(&folder.join(first))?);
            }
        }
        Ok(names.into_iter().collect())
    }
}

/// How a test loads a pipeline.
#[derive(Clone, Default)]
pub struct Setup {
    pub local: bool,
    pub vars: Vec<&'static str>,
    pub vars_files: Vec<(&'static str, &'static str)>,
    pub env: Vec<(&'static str, &'static str)>,
    pub profiles: Vec<&'static str>,
    pub git: Option<GitFacts>,
    pub files: Memory,
}

impl Setup {
    pub fn load(&self, text: &str) -> Result<Loaded, LoadError> {
        self.load_bytes(text.as_bytes())
    }

    pub fn load_bytes(&self, bytes: &[u8]) -> Result<Loaded, LoadError> {
        let env = |name: &str| {
            self.env
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let file = |(path, text): &(&str, &str)| VarsFile {
            path: path.into(),
            bytes: text.as_bytes().to_vec(),
        };
        let options = LoadOptions {
            local: self.local,
            vars: self
                .vars
                .iter()
                .map(|var| GivenVar::parse(var).unwrap())
                .collect(),
            vars_files: self.vars_files.iter().map(file).collect(),
            env: &env,
            home: Some("/home/me".into()),
            profiles: self
                .profiles
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            git: &|| self.git.clone(),
        };
        load(Path::new("p/pipeline.yaml"), bytes, &options, &self.files)
    }

    /// The rendered error of a pipeline that must not load.
    pub fn refuse(&self, text: &str) -> String {
        match self.load(text) {
            Ok(_) => panic!("this was loaded:\n{text}"),
            Err(error) => error.to_string(),
        }
    }
}
