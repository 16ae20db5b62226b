//! The files that a pipeline names: found, and where they are part of it, read.

use crate::Span;
use crate::decode::{Allows, MatrixScope, Scope};
use crate::files::{FileKind, Files};
use crate::model::{
    BastionHostKey, BastionKey, Cell, Commands, Connect, HostKey, Import, InstanceProfile,
    LocalFile, LoginKey, OutputKind, Pipeline, Policy, PreflightAction, Presence, Provisioner,
    ProvisionerEntry, StageName, UefiDataFile, Upload, UploadSource, UserData, UserDataFile,
};
use crate::problem::Fault;
use crate::template::{SecretTemplate, Segment};
use crate::told_once::told_once;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// EC2's limit for user-data, as sent. (EC2 User Guide, "Run commands when you launch an EC2 instance with user data
/// input": 16 KB in raw form, before base64.)
const MAX_USER_DATA: usize = 16_384;

/// EC2's limit for a UEFI variable store. (EC2 API Reference, RegisterImage, `UefiData`: 64000 characters.)
const MAX_UEFI_DATA: usize = 64_000;

pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    locate: &'a dyn Fn(u16, &str) -> PathBuf,
    /// What the entries of `preflight` make.
    made: Vec<LocalFile>,
    pub(super) faults: Vec<Fault>,
}

/// Finds each file that the pipeline names, reads scripts, templates and user-data, and says what is missing.
pub(crate) fn read_files(
    pipeline: &mut Pipeline,
    files: &dyn Files,
    locate: &dyn Fn(u16, &str) -> PathBuf,
    scope: Scope<'_>,
) -> Vec<Fault> {
    // Of what stands outside of the stages nothing is excused for not being there yet.
    let mut reader = Reader {
        files,
        locate,
        made: Vec::new(),
        faults: Vec::new(),
    };
    let mut made = Vec::new();
    for entry in &mut pipeline.preflight {
        if let PreflightAction::Run { run, creates } = &mut entry.value {
            // What these entries run is read now, and so has to be there: none can run what an earlier one makes.
            reader.scripts(&mut run.commands);
            for file in creates {
                file.path = locate(file.written.span.file, &file.written);
                made.push(file.clone());
            }
        }
    }
    for output in &mut pipeline.outputs.0 {
        if let OutputKind::Update {
            from: Some(from), ..
        } = &mut output.value.kind
        {
            reader.file(from, "file to begin with");
        }
    }
    let mut told = reader.faults;
    let mut names: BTreeMap<StageName, BTreeSet<String>> = BTreeMap::new();
    for cell in pipeline.stages.iter() {
        let known = names.entry(cell.stage.value.clone()).or_default();
        known.extend(cell.matrix.keys().cloned());
    }
    for stage in pipeline
        .stages
        .0
        .chunk_by_mut(|a, b| a.stage.value == b.stage.value)
    {
        let mut faults = Vec::new();
        let mut called = Vec::new();
        for (at, cell) in stage.iter_mut().enumerate() {
            let (name, values) = (cell.stage.value.clone(), cell.matrix.clone());
            let is_import = cell.import().is_some();
            let matrix = names.get(&name).map(|names| MatrixScope {
                values: &values,
                names,
            });
            let mut reader = Reader {
                files,
                locate,
                made: made.clone(),
                faults: Vec::new(),
            };
            reader.cell(
                cell,
                Scope {
                    stage: Some(name.as_str()),
                    matrix: matrix.as_ref().filter(|_| cell.name.is_some()),
                    of_import: is_import,
                    ..scope
                },
            );
            faults.extend(reader.faults.into_iter().map(|fault| (at, fault)));
            called.push(cell.name.clone().unwrap_or_default());
        }
        told.extend(told_once(&called, faults));
    }
    told
}

impl Reader<'_> {
    fn cell(&mut self, cell: &mut Cell, scope: Scope<'_>) {
        let recipe = &mut cell.recipe;
        // An image is looked for, not read: it may be larger than memory.
        let import = recipe.source.value.import_mut();
        for (file, what) in import.into_iter().flat_map(Import::files_mut) {
            self.file(file, what);
        }
        if let Some(launch) = &mut recipe.launch {
            if let Some(UserData::File(user_data)) = &mut launch.user_data {
                self.user_data(user_data);
            }
            if let Some(profile) = &mut launch.instance_profile
                && let InstanceProfile::Temporary(policy) = &mut profile.value
            {
                self.policy(policy, scope);
            }
        }
        if let Some(connect) = &mut recipe.connect {
            self.connect(connect);
        }
        self.provisioners(&mut recipe.provision, scope);
        self.provisioners(&mut recipe.on_error, scope);
        if let Some(data) = &mut recipe.image.uefi_data {
            self.uefi_data(data);
        }
        if let Some(test) = &mut recipe.test {
            if let Some(connect) = &mut test.connect {
                self.connect(connect);
            }
            self.provisioners(&mut test.provision, scope);
        }
    }

    fn connect(&mut self, connect: &mut Connect) {
        if let LoginKey::File(file) = &mut connect.key.value {
            self.file(file, "private key");
        }
        if let HostKey::KnownHosts(file) = &mut connect.host_key.value {
            self.file(file, "known_hosts file");
        }
        if let Some(bastion) = &mut connect.bastion {
            if let BastionKey::File(file) = &mut bastion.value.key.value {
                self.file(file, "bastion's private key");
            }
            if let Some(BastionHostKey::KnownHosts(file)) =
                bastion.value.host_key.as_mut().map(|key| &mut key.value)
            {
                self.file(file, "bastion's known_hosts file");
            }
        }
    }

    fn provisioners(&mut self, entries: &mut [ProvisionerEntry], scope: Scope<'_>) {
        for entry in entries {
            match &mut entry.value {
                Provisioner::Run(run) => self.scripts(&mut run.commands),
                Provisioner::Upload(upload) => self.upload(upload, scope),
                Provisioner::Ansible(ansible) => self.ansible(ansible),
                Provisioner::AnsibleLocal(ansible) => self.ansible_local(ansible),
                Provisioner::Download(_)
                | Provisioner::Reboot(_)
                | Provisioner::WaitFor(_)
                | Provisioner::Pause(_)
                | Provisioner::Breakpoint(_) => {}
            }
        }
    }

    fn scripts(&mut self, commands: &mut Commands) {
        if let Commands::Scripts(scripts) = commands {
            for script in scripts {
                if self.file(&mut script.file, "script").is_some() {
                    script.content = self.read(&script.file).unwrap_or_default();
                }
            }
        }
    }

    fn uefi_data(&mut self, data: &mut UefiDataFile) {
        if self.file(&mut data.file, "UEFI data file").is_none() {
            return;
        }
        data.content = self.read(&data.file).unwrap_or_default();
        // An end of line is the editor's, not the data's.
        while data.content.last().is_some_and(u8::is_ascii_whitespace) {
            data.content.pop();
        }
        let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        let span = data.file.written.span;
        if data.content.is_empty() || !data.content.iter().all(is_base64) {
            self.faults.push(
                Fault::new(
                    span,
                    "the UEFI data file is not base64, as GetInstanceUefiData gives it",
                )
                .hint("`aws ec2 get-instance-uefi-data --query UefiData --output text` writes it"),
            );
        } else if data.content.len() > MAX_UEFI_DATA {
            let message = format!(
                "the UEFI data file has {} bytes; EC2 takes {MAX_UEFI_DATA}",
                data.content.len()
            );
            self.faults.push(Fault::new(span, message));
        }
    }

    fn upload(&mut self, upload: &mut Upload, scope: Scope<'_>) {
        match &mut upload.what {
            UploadSource::File(file) => {
                self.file(file, "file to upload");
            }
            UploadSource::Folder(folder) => self.folder(folder),
            UploadSource::Content(_) => {}
            UploadSource::Rendered { file, text } => {
                if self.file(file, "file to upload").is_none() {
                    return;
                }
                let Some(bytes) = self.read(file) else { return };
                match template(file, bytes, scope) {
                    Ok(rendered) => *text = rendered,
                    Err(fault) => self.faults.push(fault),
                }
            }
        }
    }

    fn user_data(&mut self, user_data: &mut UserDataFile) {
        if self.file(&mut user_data.file, "user-data file").is_none() {
            return;
        }
        user_data.content = self.read(&user_data.file).unwrap_or_default();
        // qib's own parts come on top and gzip shrinks the whole; ten times the limit does not shrink below it.
        let size = user_data.content.len();
        if size > 10 * MAX_USER_DATA {
            let message = format!(
                "the user-data file has {size} bytes; EC2 takes {MAX_USER_DATA}, compressed"
            );
            self.faults.push(
                Fault::new(user_data.file.written.span, message)
                    .hint("put large files on the instance with `upload`"),
            );
        }
    }

    /// Reads the policy of a temporary instance profile. Everyone who may read IAM reads it, so no secret may be in it.
    fn policy(&mut self, policy: &mut Policy, scope: Scope<'_>) {
        let Some(file) = &mut policy.file else { return };
        if self.file(file, "policy").is_none() {
            return;
        }
        let Some(bytes) = self.read(file) else { return };
        let (name, here) = (file.path.display().to_string(), policy.span);
        let fault = |message: String| Fault::new(here, message);
        let holds = |secret: &str| {
            let secret = secret.trim();
            !secret.is_empty()
                && bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes())
        };
        if scope.values.secrets().any(|secret| holds(secret.expose())) {
            self.faults.push(
                fault(format!(
                    "the policy {name} holds the value of a secret variable"
                ))
                .hint("whoever may read IAM reads policies"),
            );
            return;
        }
        let place = "a policy may also be written in place, with expressions: `policy: { Version: \"2012-10-17\", Statement: [] }`";
        if bytes.windows(3).any(|part| part == b"${{") {
            let message =
                format!("the policy {name} holds `${{{{`, and a file of a policy is sent as it is");
            self.faults.push(fault(message).hint(place));
            return;
        }
        match serde_json::from_slice(&bytes) {
            Ok(document) => policy.document = document,
            Err(why) => {
                let message = format!("the policy {name} is no JSON object: {why}");
                self.faults.push(fault(message).hint(place));
                return;
            }
        }
        if let Err(why) = policy.check() {
            let message = format!("in the policy {name}: {why}");
            self.faults.push(fault(message).hint(Policy::FORM));
        }
    }

    /// Resolves a file's path and checks that a file is there.
    pub(super) fn file(&mut self, file: &mut LocalFile, what: &str) -> Option<()> {
        match self.kind(file, what)? {
            FileKind::File { .. } => Some(()),
            FileKind::Folder { .. } => {
                let message = format!("the {what} {:?} is a folder", file.written.value);
                let hint = format!("write it with a slash at its end: {}/", file.written.value);
                let fault = Fault::new(file.written.span, message);
                self.faults.push(if what == "file to upload" {
                    fault.hint(hint)
                } else {
                    fault
                });
                None
            }
            _ => {
                let message = format!(
                    "the {what} {:?} is neither a file nor a folder",
                    file.written.value
                );
                self.faults.push(Fault::new(file.written.span, message));
                None
            }
        }
    }

    fn folder(&mut self, folder: &mut LocalFile) {
        match self.kind(folder, "folder to upload") {
            Some(FileKind::Folder { .. }) | None => {}
            Some(_) => {
                let message = format!("{:?} is not a folder", folder.written.value);
                let fault = Fault::new(folder.written.span, message);
                self.faults
                    .push(fault.hint("write a file without a slash at its end"));
            }
        }
    }

    pub(super) fn kind(&mut self, file: &mut LocalFile, what: &str) -> Option<FileKind> {
        file.path = (self.locate)(file.written.span.file, &file.written);
        match self.files.kind(&file.path) {
            Ok(kind) => Some(kind),
            Err(why)
                if why.kind() == std::io::ErrorKind::NotFound
                    && self.made.iter().any(|made| made.covers(&file.path)) =>
            {
                file.presence = Presence::ToBeMade;
                None
            }
            Err(why) => {
                let fault = if why.kind() == std::io::ErrorKind::NotFound {
                    Fault::new(
                        file.written.span,
                        format!("the {what} {:?} does not exist", file.written.value),
                    )
                    .hint(format!("looked for {}", file.path.display()))
                } else {
                    let message = format!(
                        "the {what} {:?} cannot be looked at: {why}",
                        file.written.value
                    );
                    Fault::new(file.written.span, message)
                        .hint(format!("its path is {}", file.path.display()))
                };
                self.faults.push(fault);
                None
            }
        }
    }

    pub(super) fn read(&mut self, file: &LocalFile) -> Option<Vec<u8>> {
        match self.files.read(&file.path) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                let message = format!("{} cannot be read: {why}", file.path.display());
                self.faults.push(Fault::new(file.written.span, message));
                None
            }
        }
    }
}

/// Reads a file as a template. Its faults point at the pipeline's line and name the place in the file.
fn template(file: &LocalFile, bytes: Vec<u8>, scope: Scope<'_>) -> Result<SecretTemplate, Fault> {
    let here = file.written.span;
    let name = file.path.display();
    let text = String::from_utf8(bytes).map_err(|why| {
        Fault::new(
            here,
            format!(
                "the template {name} is not UTF-8: byte {}",
                why.utf8_error().valid_up_to()
            ),
        )
    })?;
    let starts: Vec<(u32, u32)> = places(&text);
    let within = |occurrence: usize, offset: u32, width: u32| {
        let (line, column) = starts.get(occurrence).copied().unwrap_or((1, 1));
        Span {
            line,
            column: column + offset,
            width,
            ..here
        }
    };
    let segments: Vec<Segment> = scope
        .text_segments(&text, Allows::RunTimeAndSecrets, within)
        .map_err(|fault| Fault {
            span: here,
            message: format!("in {name}:{}: {}", fault.span, fault.message),
            hint: fault.hint,
        })?;
    Ok(SecretTemplate::from_segments(segments, here))
}

fn places(text: &str) -> Vec<(u32, u32)> {
    let mut places = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        for (at, _) in line.match_indices("${{") {
            let column = line.get(..at).unwrap_or_default().chars().count();
            places.push((number as u32 + 1, column as u32 + 1));
        }
    }
    places
}
