//! Who may use images and snapshots.

use super::account::{FakeAccount, error, lost};
use cloud::*;

impl FakeAccount {
    pub(super) fn permissions(
        &self,
        operation: &'static str,
        id: &str,
    ) -> Result<Permissions, CloudError> {
        self.call(operation)?;
        let store = self.store();
        if !store.images.contains_key(id) && !store.snapshots.contains_key(id) {
            return Err(error(operation, ErrorKind::NotFound));
        }
        Ok(store.permissions.get(id).cloned().unwrap_or_default())
    }

    pub(super) fn change_permissions(
        &self,
        operation: &'static str,
        id: &str,
        grant: Grant,
        changed: &Permissions,
    ) -> Result<(), CloudError> {
        let fault = self.call(operation)?;
        let mut store = self.store();
        let image = store.images.contains_key(id);
        if !image && !store.snapshots.contains_key(id) {
            return Err(error(operation, ErrorKind::NotFound));
        }
        let organizations =
            !changed.organizations.is_empty() || !changed.organizational_units.is_empty();
        if organizations && !image {
            return Err(error(operation, ErrorKind::InvalidInput));
        }
        let blocked = if image {
            store.public_images
        } else {
            store.public_snapshots
        };
        if grant == Grant::Add && changed.public && blocked == PublicSharing::Blocked {
            return Err(error(operation, ErrorKind::WrongState));
        }
        let before = store.permissions.get(id).cloned().unwrap_or_default();
        let after = match grant {
            Grant::Add => {
                let names = changed
                    .accounts
                    .iter()
                    .map(AccountId::as_str)
                    .chain(changed.organizations.iter().map(String::as_str))
                    .chain(changed.organizational_units.iter().map(String::as_str))
                    .chain(changed.public.then_some("all"));
                let log: Vec<String> = names.map(|name| format!("{id} {name}")).collect();
                store.shared.extend(log);
                with(before, changed)
            }
            Grant::Remove => before.without(changed),
        };
        if let Some(image) = store.images.get_mut(id) {
            image.public = after.public;
        }
        store.permissions.insert(id.into(), after);
        drop(store);
        lost((), fault)
    }
}

fn with(mut permissions: Permissions, others: &Permissions) -> Permissions {
    permissions.public |= others.public;
    permissions.accounts.extend(others.accounts.iter().cloned());
    permissions
        .organizations
        .extend(others.organizations.iter().cloned());
    permissions
        .organizational_units
        .extend(others.organizational_units.iter().cloned());
    permissions
}
