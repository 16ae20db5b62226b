//! Who may use a snapshot; and how permissions of snapshots and images are read from requests.

use super::params::Scope;
use super::snapshots::own;
use super::xml::Xml;
use super::{Action, done};
use crate::account::image::Permission;
use crate::account::organization;
use crate::account::public_access::PublicSnapshots;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::SnapshotId;
use std::collections::BTreeSet;

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// An image: with accounts, organisations and their units, or everybody.
    Image,
    /// A snapshot: with accounts or everybody.
    Snapshot,
}

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
    Organization(String),
    Unit(String),
}

impl PermissionChange {
    /// Reads the structure `LaunchPermission` or `CreateVolumePermission` (`Add.N`, `Remove.N`), or the old form with
    /// `OperationType`, `UserId.N`, `UserGroup.N`, `OrganizationArn.N` and `OrganizationalUnitArn.N`.
    pub(crate) fn parse(p: &Scope<'_>, shared: Shared) -> Result<Self, ApiError> {
        let mut change = Self::default();
        let inside = p.inside(match shared {
            Shared::Image => "LaunchPermission",
            Shared::Snapshot => "CreateVolumePermission",
        });
        for (name, list) in [("Add", &mut change.add), ("Remove", &mut change.remove)] {
            for party in inside.each(name) {
                let mut given = Vec::new();
                given.extend(party.text("UserId").map(Party::user).transpose()?);
                given.extend(party.text("Group").map(Party::group).transpose()?);
                if shared == Shared::Image {
                    let (organization, unit) = (
                        party.text("OrganizationArn"),
                        party.text("OrganizationalUnitArn"),
                    );
                    given.extend(organization.map(Party::organization).transpose()?);
                    given.extend(unit.map(Party::unit).transpose()?);
                }
                match given.len() {
                    1 => list.append(&mut given),
                    0 => return Err(ApiError::missing(&party.name("UserId"))),
                    _ => {
                        return Err(ApiError::combination(format!(
                            "Only one of UserId, Group, OrganizationArn and OrganizationalUnitArn may be specified in {}",
                            party.name("")
                        )));
                    }
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
        if shared == Shared::Image {
            for organization in p.texts("OrganizationArn") {
                old.push(Party::organization(organization)?);
            }
            for unit in p.texts("OrganizationalUnitArn") {
                old.push(Party::unit(unit)?);
            }
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

    /// Whether it shares with anybody.
    pub(crate) fn adds(&self) -> bool {
        !self.add.is_empty()
    }

    /// Whether it shares with everybody.
    pub(crate) fn adds_all(&self) -> bool {
        self.add.contains(&Party::All)
    }

    /// Changes `permission`.
    pub(crate) fn apply(self, permission: &mut Permission) {
        for party in self.add {
            match party {
                Party::All => permission.all = true,
                Party::User(user) => drop(permission.users.insert(user)),
                Party::Organization(arn) => drop(permission.organizations.insert(arn)),
                Party::Unit(arn) => drop(permission.units.insert(arn)),
            }
        }
        for party in self.remove {
            match party {
                Party::All => permission.all = false,
                Party::User(user) => drop(permission.users.remove(&user)),
                Party::Organization(arn) => drop(permission.organizations.remove(&arn)),
                Party::Unit(arn) => drop(permission.units.remove(&arn)),
            }
        }
    }
}

impl Party {
    fn user(text: &str) -> Result<Self, ApiError> {
        let number = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        Self::checked(number, text, "userId").map(Self::User)
    }

    fn group(text: &str) -> Result<Self, ApiError> {
        Self::checked(text == "all", text, "group").map(|_| Self::All)
    }

    fn organization(text: &str) -> Result<Self, ApiError> {
        let formed = organization::is_organization_arn(text);
        Self::checked(formed, text, "organizationArn").map(Self::Organization)
    }

    fn unit(text: &str) -> Result<Self, ApiError> {
        let formed = organization::is_unit_arn(text);
        Self::checked(formed, text, "organizationalUnitArn").map(Self::Unit)
    }

    fn checked(good: bool, text: &str, kind: &str) -> Result<String, ApiError> {
        match good {
            true => Ok(text.to_owned()),
            false => Err(ApiError::new(
                "InvalidAMIAttributeItemValue",
                format!("Invalid attribute item value \"{text}\" for {kind} item type."),
            )),
        }
    }
}

/// Writes permissions under `name`.
pub(crate) fn write(x: &mut Xml, name: &str, permission: &Permission) {
    let all = permission.all.then_some(("group", "all"));
    let of = |kind: &'static str, set: &'static dyn Fn(&Permission) -> &BTreeSet<String>| {
        set(permission).iter().map(move |v| (kind, v.as_str()))
    };
    let parties = all
        .into_iter()
        .chain(of("userId", &|p| &p.users))
        .chain(of("organizationArn", &|p| &p.organizations))
        .chain(of("organizationalUnitArn", &|p| &p.units));
    x.list(name, parties, |x, (kind, value)| {
        x.put(kind, value);
    });
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>
pub(crate) struct ModifySnapshotAttribute {
    id: SnapshotId,
    change: PermissionChange,
}

impl Action for ModifySnapshotAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Attribute", &["createVolumePermission"])?;
        let change = PermissionChange::parse(p, Shared::Snapshot)?;
        if change.is_empty() {
            return Err(ApiError::missing("CreateVolumePermission"));
        }
        Ok(Self {
            id: SnapshotId::parse(p.required("SnapshotId")?)?,
            change,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let public = cx.region().public_snapshots;
        let snapshot = own(cx, &self.id)?.clone();
        let not_permitted = |message: &str| Err(ApiError::new("OperationNotPermitted", message));
        // https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
        if snapshot.encrypted && self.change.adds_all() {
            return not_permitted("Encrypted snapshots cannot be shared publicly");
        }
        if snapshot.encrypted
            && self.change.adds()
            && !cx.region().keys.is_shareable(snapshot.kms_key.as_deref())
        {
            return not_permitted("Encrypted snapshots with EBS default key cannot be shared");
        }
        // https://docs.aws.amazon.com/ebs/latest/userguide/block-public-access-snapshots.html
        if self.change.adds_all()
            && !snapshot.create_volume_permission.all
            && public != PublicSnapshots::Unblocked
        {
            return not_permitted(
                "Public sharing of snapshots is blocked for this account by block public access for snapshots",
            );
        }
        let mut permission = snapshot.create_volume_permission;
        self.change.apply(&mut permission);
        let snapshot = own(cx, &self.id)?;
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
