//! `include`: from several files to one tree.
//!
//! What is named (variables, maps, step sets, profiles, stages) is taken by name, and the including file's goes before an
//! included one's; of two included files the later goes before the earlier. Lists (preflight, outputs) are joined, the
//! included files' entries first. A file that several files include is read once.

use crate::Span;
use crate::files::Files;
use crate::problem::Fault;
use crate::sources::SourceFiles;
use crate::suggest::closest;
use crate::yaml::{self, Key, MAX_NODES, Node, Value};
use std::path::{Component, Path, PathBuf};

/// Files that one pipeline may be made of.
const MAX_FILES: usize = 64;
/// What is taken by name.
const NAMED: [&str; 5] = ["vars", "maps", "step_sets", "profiles", "stages"];
/// What is joined.
const JOINED: [&str; 2] = ["preflight", "outputs"];

/// The path that a name in a file stands for.
pub(super) fn locate(file: &Path, home: Option<&Path>, name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => file.parent().unwrap_or(Path::new("")).join(name),
    }
}

/// Reading a pipeline's file and all that it includes.
pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) home: Option<&'a Path>,
    /// The files read so far: what a fault's place is in.
    pub(super) sources: SourceFiles,
    /// How many more values the files may hold.
    room: usize,
    /// The files that include each other down to the one that is being read.
    way: Vec<PathBuf>,
    /// All files that have been read.
    known: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a dyn Files, home: Option<&'a Path>) -> Self {
        Self {
            files,
            home,
            sources: SourceFiles::default(),
            room: MAX_NODES,
            way: Vec::new(),
            known: Vec::new(),
        }
    }

    /// The tree of a file and of what it includes.
    ///
    /// # Errors
    /// A file that cannot be read, that is no YAML, that includes itself, or that holds what only the pipeline's own may.
    pub(super) fn read(&mut self, path: &Path, bytes: &[u8]) -> Result<Node, Fault> {
        let file = self.sources.add(path, bytes);
        let (mut root, _) = yaml::compose(bytes, file)?;
        self.room = self.room.checked_sub(root.size()).ok_or_else(|| {
            let message = format!("the pipeline's files hold more than {MAX_NODES} values");
            Fault::new(Span::START.in_file(file), message)
        })?;
        if file > 0 {
            check_keys(&root)?;
        }
        self.way.push(normal(path));
        self.known.push(normal(path));
        let mut merged: Vec<(Key, Node)> = Vec::new();
        if let Some(include) = root.get("include") {
            let Value::Sequence(names) = &include.value else {
                let message = "`include` is a list of files";
                return Err(Fault::new(include.span, message).hint("include: [common.yaml]"));
            };
            for name in names {
                if let Some(included) = self.include(file, name)? {
                    merge(&mut merged, included);
                }
            }
        }
        self.way.pop();
        if !merged.is_empty()
            && let Value::Map(own) = root.value
        {
            merge(&mut merged, own);
            root.value = Value::Map(merged);
        }
        Ok(root)
    }

    fn include(&mut self, from: u16, name: &Node) -> Result<Option<Vec<(Key, Node)>>, Fault> {
        let at = name.span;
        let text = match &name.value {
            Value::Scalar(scalar) if !scalar.text.is_empty() && !scalar.is_null() => &scalar.text,
            _ => return Err(Fault::new(at, "expected the name of a file to include")),
        };
        if text.contains("${{") {
            return Err(
                Fault::new(at, "the name of an included file cannot use expressions").hint(
                    "files are included before anything is known; to choose values, use `profiles` or `--vars-file`",
                ),
            );
        }
        let path = locate(self.sources.path(from), self.home, text);
        let normal = normal(&path);
        if let Some(start) = self.way.iter().position(|known| *known == normal) {
            let mut way: Vec<String> = self
                .way
                .iter()
                .skip(start)
                .map(|path| path.display().to_string())
                .collect();
            way.push(normal.display().to_string());
            let message = format!("files include each other in a circle: {}", way.join(" → "));
            return Err(Fault::new(at, message));
        }
        if self.known.contains(&normal) {
            return Ok(None);
        }
        if self.sources.len() >= MAX_FILES {
            let message = format!("a pipeline is made of at most {MAX_FILES} files");
            return Err(Fault::new(at, message));
        }
        let bytes = self.files.read(&path).map_err(|why| {
            if why.kind() == std::io::ErrorKind::NotFound {
                Fault::new(at, format!("the included file {text:?} does not exist"))
                    .hint(format!("looked for {}", path.display()))
            } else {
                Fault::new(
                    at,
                    format!("the included file {text:?} cannot be read: {why}"),
                )
                .hint(format!("its path is {}", path.display()))
            }
        })?;
        match self.read(&path, &bytes)?.value {
            Value::Map(entries) => Ok(Some(entries)),
            _ => Ok(None),
        }
    }
}

/// What an included file may hold.
fn check_keys(root: &Node) -> Result<(), Fault> {
    let Value::Map(entries) = &root.value else {
        return Err(Fault::new(root.span, "an included file is a map").hint(allowed()));
    };
    for (key, node) in entries {
        let name = key.text.as_str();
        let fits = match &node.value {
            Value::Map(_) => !JOINED.contains(&name) && name != "include",
            Value::Sequence(_) => !NAMED.contains(&name),
            Value::Scalar(_) => false,
        };
        if name == "include" || NAMED.contains(&name) || JOINED.contains(&name) {
            if !fits {
                let kind = if NAMED.contains(&name) { "map" } else { "list" };
                return Err(Fault::new(node.span, format!("`{name}` is a {kind}")));
            }
            continue;
        }
        let message = format!("`{name}` cannot stand in an included file");
        let known = NAMED.iter().chain(&JOINED).copied();
        return Err(match closest(name, known) {
            Some(near) => Fault::new(key.span, message).hint(format!("did you mean `{near}`?")),
            None => Fault::new(key.span, message).hint(allowed()),
        });
    }
    Ok(())
}

fn allowed() -> String {
    let keys: Vec<&str> = ["include"]
        .iter()
        .chain(&NAMED)
        .chain(&JOINED)
        .copied()
        .collect();
    format!("it may hold: {}", keys.join(", "))
}

/// Puts one file's keys over another's.
fn merge(under: &mut Vec<(Key, Node)>, over: Vec<(Key, Node)>) {
    for (key, node) in over {
        let Some((old_key, old)) = under.iter_mut().find(|(old, _)| old.text == key.text) else {
            under.push((key, node));
            continue;
        };
        match (&mut old.value, node.value) {
            (Value::Map(old_entries), Value::Map(entries))
                if NAMED.contains(&key.text.as_str()) =>
            {
                for entry in entries {
                    match old_entries
                        .iter_mut()
                        .find(|(old, _)| old.text == entry.0.text)
                    {
                        Some(old) => *old = entry,
                        None => old_entries.push(entry),
                    }
                }
                // What is wrong with the whole is told in the file that goes before.
                old.span = node.span;
                *old_key = key;
            }
            (Value::Sequence(old_items), Value::Sequence(items))
                if JOINED.contains(&key.text.as_str()) =>
            {
                old_items.extend(items);
                old.span = node.span;
                *old_key = key;
            }
            (_, value) => {
                *old = Node {
                    span: node.span,
                    value,
                };
                *old_key = key;
            }
        }
    }
}

/// The path without `.`, and without `..` where what is before it is a folder's name: one file, one name.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
