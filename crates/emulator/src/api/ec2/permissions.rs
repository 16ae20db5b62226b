//! Who may use a snapshot; and how permissions of snapshots and images are read from requests.

use super::params::Scope;
use super::snapshots::own;
use super::xml::Xml;
use super::{Action, done};
use crate::account::image::Permission;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::SnapshotId;

/// A change of permissions.
#[derive(Clone, Debug, Default)]
pub(crate) struct PermissionChange {
    add: Vec<Party>,
    remove: Vec<Party>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Party {
    All,
    User(String),
}

impl PermissionChange {
    /// Reads the structure `structure` (`Add.N`, `Remove.N`), or the old form with `OperationType`, `UserId.N`, `UserGroup.N`.
    pub(crate) fn parse(p: &Scope<'_>, structure: &str) -> Result<Self, ApiError> {
        let mut change = Self::default();
        let inside = p.inside(structure);
        for (name, list) in [("Add", &mut change.add), ("Remove", &mut change.remove)] {
            for party in inside.each(name) {
                match (party.text("UserId"), party.text("Group")) {
                    (Some(user), None) => list.push(Party::user(user)?),
                    (None, Some(group)) => list.push(Party::group(group)?),
                    _ => return Err(ApiError::missing(&party.name("UserId"))),
                }
            }
        }
        let mut old = Vec::new();
        for user in p.texts("UserId") {
            old.push(Party::user(user)?);
        }
        for group in p.texts("UserGroup") {
            old.push(Party::group(group)?);
        }
        match p.word("OperationType", &["add", "remove"])? {
            Some("add") => change.add.extend(old),
            Some(_) => change.remove.extend(old),
            None if old.is_empty() => {}
            None => return Err(ApiError::missing("OperationType")),
        }
        Ok(change)
    }

    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Changes `permission`.
    pub(crate) fn apply(self, permission: &mut Permission) {
        for party in self.add {
            match party {
                Party::All => permission.all = true,
                Party::User(user) => {
                    permission.users.insert(user);
                }
            }
        }
        for party in self.remove {
            match party {
                Party::All => permission.all = false,
                Party::User(user) => {
                    permission.users.remove(&user);
                }
            }
        }
    }
}

impl Party {
    fn user(text: &str) -> Result<Self, ApiError> {
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ApiError::new(
                "InvalidAMIAttributeItemValue",
                format!("Invalid attribute item value \"{text}\" for userId item type."),
            ));
        }
        Ok(Self::User(text.to_owned()))
    }

    fn group(text: &str) -> Result<Self, ApiError> {
        if text != "all" {
            return Err(ApiError::new(
                "InvalidAMIAttributeItemValue",
                format!("Invalid attribute item value \"{text}\" for group item type."),
            ));
        }
        Ok(Self::All)
    }
}

/// Writes permissions under `name`.
pub(crate) fn write(x: &mut Xml, name: &str, permission: &Permission) {
    let all = permission.all.then_some(("group", "all"));
    x.list(
        name,
        all.into_iter()
            .chain(permission.users.iter().map(|u| ("userId", u.as_str()))),
        |x, (kind, value)| {
            x.put(kind, value);
        },
    );
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>
pub(crate) struct ModifySnapshotAttribute {
    id: SnapshotId,
    change: PermissionChange,
}

impl Action for ModifySnapshotAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Attribute", &["createVolumePermission"])?;
        let change = PermissionChange::parse(p, "CreateVolumePermission")?;
        if change.is_empty() {
            return Err(ApiError::missing("CreateVolumePermission"));
        }
        Ok(Self {
            id: SnapshotId::parse(p.required("SnapshotId")?)?,
            change,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let snapshot = own(cx, &self.id)?;
        let mut permission = snapshot.create_volume_permission.clone();
        self.change.apply(&mut permission);
        // "Encrypted snapshots … cannot be made public."
        if permission.all && snapshot.encrypted {
            return Err(ApiError::new(
                "OperationNotPermitted",
                "Encrypted snapshots cannot be shared publicly",
            ));
        }
        snapshot.create_volume_permission = permission;
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshotAttribute.html>
pub(crate) struct DescribeSnapshotAttribute {
    id: SnapshotId,
}

impl Action for DescribeSnapshotAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Attribute", &["createVolumePermission"])?
            .ok_or_else(|| ApiError::missing("Attribute"))?;
        Ok(Self {
            id: SnapshotId::parse(p.required("SnapshotId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let snapshot = own(cx, &self.id)?;
        let mut x = Xml::new();
        x.put("snapshotId", &self.id);
        write(
            &mut x,
            "createVolumePermission",
            &snapshot.create_volume_permission,
        );
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetSnapshotAttribute.html>
pub(crate) struct ResetSnapshotAttribute {
    id: SnapshotId,
}

impl Action for ResetSnapshotAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Attribute", &["createVolumePermission"])?
            .ok_or_else(|| ApiError::missing("Attribute"))?;
        Ok(Self {
            id: SnapshotId::parse(p.required("SnapshotId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        own(cx, &self.id)?.create_volume_permission = Permission::default();
        Ok(done())
    }
}
