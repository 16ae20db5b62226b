//! The parts of a stage that decide its image's content.

use crate::files::{FileKind, Files};
use crate::model::{
    Cell, Commands, Image, Import, InstanceProfile, Launch, Place, Presence, Provisioner, Reboot,
    Run, Test, Upload, UploadSource, UserData, Volume,
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// All of its hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Its first eight hexadecimal digits: enough to see a change, too few to recover anything.
    pub fn short(&self) -> String {
        hex::encode(self.0).chars().take(8).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// Which part of a stage an input is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum InputName {
    /// The volumes of launch and image.
    Volumes,
    /// The instance profile.
    InstanceProfile,
    /// The user's own user-data.
    UserData,
    /// What the image says of itself: architecture, boot mode, networking, encryption.
    Image,
    /// What a disk that is imported is taken for, and how it is made into a snapshot.
    Import,
    /// A provisioner.
    Provisioner {
        /// Its place under `provision`, from 0.
        position: usize,
        /// What people call it.
        label: String,
    },
}

impl InputName {
    /// The word for it in keys and summaries.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Volumes => "v",
            Self::InstanceProfile => "i",
            Self::UserData => "u",
            Self::Image => "g",
            Self::Import => "m",
            Self::Provisioner { .. } => "p",
        }
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volumes => f.write_str("volumes"),
            Self::InstanceProfile => f.write_str("instance profile"),
            Self::UserData => f.write_str("user-data"),
            Self::Image => f.write_str("image properties"),
            Self::Import => f.write_str("import"),
            Self::Provisioner { position, label } => write!(f, "provision[{position}] {label}"),
        }
    }
}

/// One input and its digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Which part it is.
    pub name: InputName,
    /// What it holds.
    pub digest: Digest,
}

/// All inputs of a stage except its source image, in a fixed order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageInputs(Vec<Input>);

impl StageInputs {
    /// Hashes a stage's inputs. Reads every file that it uploads. What `preflight` is still to make counts by its name: the
    /// key is then not the one that the run will have.
    ///
    /// # Errors
    /// A file that cannot be read, with its path.
    pub fn collect(stage: &Cell, files: &dyn Files) -> io::Result<Self> {
        let mut inputs = Vec::new();
        inputs.extend(of_launch(stage));
        inputs.extend(image(&stage.image));
        inputs.extend(stage.import().map(import));
        for (position, provisioner) in stage.provision.iter().enumerate() {
            let Some(digest) = digest(&provisioner.value, files)? else {
                continue;
            };
            inputs.push(Input {
                name: InputName::Provisioner {
                    position,
                    label: provisioner.label(),
                },
                digest,
            });
        }
        Ok(Self(inputs))
    }

    /// The inputs in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.0.iter()
    }
}

/// What the image says of itself; none where it says nothing, so that the key is then as it was before there was this
/// input.
fn image(image: &Image) -> Option<Input> {
    let mut fields = Fields::default();
    let bare = fields.0.clone().finalize();
    fields.optional(
        "architecture",
        image.architecture.as_ref().map(|a| a.as_str()),
    );
    fields.optional(
        "boot_mode",
        image.boot_mode.as_ref().map(|mode| mode.as_str()),
    );
    fields.optional("tpm", image.tpm.as_ref().map(|tpm| tpm.as_str()));
    fields.optional(
        "uefi_data",
        image.uefi_data.as_ref().map(|data| data.content.as_slice()),
    );
    fields.optional("ena", image.ena.as_ref().map(|on| on.value.to_string()));
    fields.optional("sriov", image.sriov.value.then_some("simple"));
    fields.optional("imds", image.imds.map(|_| "v2"));
    fields.optional("encrypted", image.encrypted.value.then_some("true"));
    fields.optional(
        "kms_key_id",
        image.kms_key_id.as_ref().map(|key| key.as_str()),
    );
    (fields.0.clone().finalize() != bare).then(|| Input {
        name: InputName::Image,
        digest: fields.digest(),
    })
}

/// What an import says that decides what is in the snapshot. The file itself is in the key by its digest; where it is from
/// and by which way it gets to EC2 change nothing in it.
fn import(import: &Import) -> Input {
    let mut fields = Fields::default();
    fields.optional(
        "format",
        import.format.as_ref().map(|format| format.as_str()),
    );
    fields.optional("arch", import.arch.as_ref().map(|arch| arch.as_str()));
    fields.put("root_device", import.root_device.as_str());
    fields.put("backing_file", import.backing_file.as_str());
    fields.put("holes", import.via.holes().as_str());
    Input {
        name: InputName::Import,
        digest: fields.digest(),
    }
}

/// The digest of a test: of its checks, in their order, and of which of them a rehearsal leaves out. How the test's
/// instance is launched and reached does not enter, as with the image's.
///
/// # Errors
/// A file that cannot be read, with its path.
pub fn test_digest(
    test: &Test,
    files: &dyn Files,
    skipped: &BTreeSet<usize>,
) -> io::Result<Digest> {
    let mut fields = Fields::default();
    fields.put("is", "test");
    for provisioner in &test.provision {
        match digest(&provisioner.value, files)? {
            Some(digest) => fields.put("check", digest.0),
            // What only looks or waits is what a test is made of.
            None => fields.put("looks", format!("{:?}", provisioner.value)),
        }
    }
    for position in skipped {
        fields.put("skipped", (*position as u64).to_be_bytes());
    }
    Ok(fields.digest())
}

/// The digest of a provisioner; none of one that looks, waits or fetches: the image is the same with and without it.
/// One whose files `preflight` is still to make has their names for its content.
fn digest(provisioner: &Provisioner, files: &dyn Files) -> io::Result<Option<Digest>> {
    let used = provisioner.files().into_iter();
    let mut to_be_made = used
        .filter(|file| file.presence == Presence::ToBeMade)
        .peekable();
    Ok(Some(match provisioner {
        _ if to_be_made.peek().is_some() => {
            let mut fields = Fields::default();
            to_be_made.for_each(|file| fields.put("to be made", file.written.as_str()));
            fields.digest()
        }
        Provisioner::Run(step) => run(step),
        Provisioner::Upload(step) => upload(step, files)?,
        Provisioner::Ansible(step) => super::ansible::ansible(step, files)?,
        Provisioner::AnsibleLocal(step) => super::ansible::ansible_local(step, files)?,
        Provisioner::Reboot(step) => reboot(step),
        // They look, wait or fetch.
        Provisioner::Download(_)
        | Provisioner::WaitFor(_)
        | Provisioner::Pause(_)
        | Provisioner::Breakpoint(_) => return Ok(None),
    }))
}

/// What of the launch is in the image: a copy, or an import alone, launches nothing, and hashes as if nothing were said.
fn of_launch(stage: &Cell) -> [Input; 3] {
    let launch = stage.launch.as_ref();
    let mut volumes = Fields::default();
    volumes.list(
        "launch",
        launch.map_or(&[], |launch| &launch.volumes),
        volume,
    );
    volumes.list("image", &stage.image.volumes, volume);
    let mut profile = Fields::default();
    match launch.and_then(|launch| launch.instance_profile.as_deref()) {
        Some(InstanceProfile::Named(name)) => profile.put("name", name.as_str()),
        Some(InstanceProfile::Temporary(policy)) => {
            profile.put("policy", policy.with_statements(Vec::new()));
        }
        None => {}
    }
    [
        Input {
            name: InputName::Volumes,
            digest: volumes.digest(),
        },
        Input {
            name: InputName::InstanceProfile,
            digest: profile.digest(),
        },
        Input {
            name: InputName::UserData,
            digest: user_data(launch),
        },
    ]
}

fn user_data(launch: Option<&Launch>) -> Digest {
    let mut fields = Fields::default();
    match launch.and_then(|launch| launch.user_data.as_ref()) {
        Some(UserData::File(file)) => fields.put("content", &file.content),
        Some(UserData::Content(text)) => fields.put("template", text.canonical()),
        None => {}
    }
    fields.digest()
}

/// A hash over named fields, each with its length, so that no two lists of fields give the same bytes.
#[derive(Default)]
pub(super) struct Fields(Sha256);

impl Fields {
    pub(super) fn put(&mut self, name: &str, value: impl AsRef<[u8]>) {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn list<T>(&mut self, name: &str, items: &[T], digest: fn(&T) -> Digest) {
        for item in items {
            self.put(name, digest(item).0);
        }
    }

    pub(super) fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

fn volume(volume: &Volume) -> Digest {
    let mut fields = Fields::default();
    fields.put("device", volume.device.as_str());
    fields.optional(
        "size_gib",
        volume.size_gib.as_ref().map(|size| size.get().to_string()),
    );
    fields.optional("type", volume.kind.map(|kind| kind.as_str()));
    fields.optional(
        "iops",
        volume.iops.as_ref().map(|iops| iops.value.to_string()),
    );
    fields.optional(
        "throughput",
        volume
            .throughput
            .as_ref()
            .map(|throughput| throughput.value.to_string()),
    );
    fields.optional("encrypted", volume.encrypted.map(|on| on.to_string()));
    fields.optional(
        "kms_key_id",
        volume.kms_key_id.as_ref().map(|key| key.as_str()),
    );
    fields.put(
        "delete_on_termination",
        volume.delete_on_termination.to_string(),
    );
    // Later than the others, and put in only where they are said: the keys of older pipelines stay as they were.
    fields.optional(
        "snapshot_id",
        volume.snapshot_id.as_ref().map(|id| id.as_str()),
    );
    if volume.is_left_out() {
        fields.put("no_device", "true");
    }
    fields.digest()
}

fn run(run: &Run) -> Digest {
    let mut fields = Fields::default();
    fields.put("is", "run");
    match &run.commands {
        Commands::Inline(text) => fields.put("inline", text.canonical()),
        Commands::Scripts(scripts) => scripts
            .iter()
            .for_each(|script| fields.put("script", &script.content)),
    }
    // Commands on the build host may reach into the instance by ways of their own. Neither field is there for what could
    // be written before there were these keys, so that the keys of older images stay.
    if run.place == Place::BuildHost {
        fields.put("place", "build host");
    }
    if run.reboots {
        fields.put("reboots", "true");
    }
    fields.optional("become", run.become_user.as_ref().map(|user| user.as_str()));
    fields.put("errexit", run.errexit.to_string());
    for (name, value) in &run.env {
        fields.put("env", name.as_str());
        fields.put("value", value.canonical());
    }
    for code in &run.exit_codes {
        fields.put("exit_code", code.to_string());
    }
    fields.optional(
        "interpreter",
        run.interpreter.as_ref().map(|program| program.as_str()),
    );
    fields.digest()
}

/// What runs at a boot may change the image: a new kernel settles in.
fn reboot(reboot: &Reboot) -> Digest {
    let mut fields = Fields::default();
    fields.put("is", "reboot");
    fields.optional("command", reboot.command.as_ref().map(|c| c.as_str()));
    fields.digest()
}

fn upload(upload: &Upload, files: &dyn Files) -> io::Result<Digest> {
    let mut fields = Fields::default();
    fields.put("is", "upload");
    fields.put("to", upload.to.as_str());
    fields.optional("mode", upload.mode.map(|mode| mode.to_string()));
    fields.optional(
        "become",
        upload.become_user.as_ref().map(|user| user.as_str()),
    );
    match &upload.what {
        UploadSource::Content(text) => fields.put("content", text.canonical()),
        UploadSource::Rendered { file, text } => {
            if let FileKind::File { mode } = named(files.kind(&file.path), &file.path)? {
                fields.put("file mode", mode.to_string());
            }
            fields.put("content", text.canonical());
        }
        UploadSource::File(file) => {
            let kind = named(files.kind(&file.path), &file.path)?;
            entry(&mut fields, "", &kind, &file.path, files)?;
        }
        UploadSource::Folder(folder) => walk(&mut fields, "", &folder.path, files)?,
    }
    Ok(fields.digest())
}

/// The hash of all that a folder holds: names, kinds, permissions, contents.
///
/// # Errors
/// A file that cannot be read, with its path.
pub(crate) fn folder_digest(folder: &Path, files: &dyn Files) -> io::Result<[u8; 32]> {
    let mut fields = Fields::default();
    walk(&mut fields, "", folder, files)?;
    Ok(fields.digest().0)
}

pub(super) fn walk(
    fields: &mut Fields,
    name: &str,
    folder: &Path,
    files: &dyn Files,
) -> io::Result<()> {
    for (child, kind) in named(files.entries(folder), folder)? {
        let name = format!("{name}/{}", child.to_string_lossy());
        entry(fields, &name, &kind, &folder.join(child), files)?;
    }
    Ok(())
}

/// Links are not followed: a link's target is its content, and no circle of links can catch us.
pub(super) fn entry(
    fields: &mut Fields,
    name: &str,
    kind: &FileKind,
    path: &Path,
    files: &dyn Files,
) -> io::Result<()> {
    fields.put("path", name);
    match kind {
        FileKind::File { mode } => {
            fields.put("file mode", mode.to_string());
            fields.put("sha256", named(files.digest(path), path)?);
        }
        FileKind::Folder { mode } => {
            fields.put("folder mode", mode.to_string());
            walk(fields, name, path, files)?;
        }
        FileKind::Link { target } => fields.put("link", target.as_os_str().as_encoded_bytes()),
        FileKind::Other => {
            let message = format!(
                "{} is neither file, folder nor link; it cannot be uploaded",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    Ok(())
}

pub(super) fn named<T>(result: io::Result<T>, path: &Path) -> io::Result<T> {
    result.map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", path.display())))
}
