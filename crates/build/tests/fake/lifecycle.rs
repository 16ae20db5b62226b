//! How long images live and what holds them.

use super::account::{FakeAccount, error, lost};
use cloud::*;

impl FakeAccount {
    /// Changes an image that must be there.
    pub(super) fn change_image(
        &self,
        operation: &'static str,
        image: &ImageId,
        change: impl FnOnce(&mut Image),
    ) -> Result<(), CloudError> {
        let fault = self.call(operation)?;
        match self.store().images.get_mut(image.as_str()) {
            None => return Err(error(operation, ErrorKind::NotFound)),
            Some(kept) => change(kept),
        }
        lost((), fault)
    }

    pub(super) fn imds_v2_required(&self, image: &ImageId) -> Result<(), CloudError> {
        self.change_image("ModifyImageAttribute", image, |_| {})?;
        self.store().imds_v2_required.insert(image.clone());
        Ok(())
    }

    pub(super) fn last_launched(&self, image: &ImageId) -> Result<Option<Timestamp>, CloudError> {
        self.call("DescribeImageAttribute")?;
        let store = self.store();
        if !store.images.contains_key(image.as_str()) {
            return Err(error("DescribeImageAttribute", ErrorKind::NotFound));
        }
        Ok(store.last_launched.get(image).copied())
    }
}
