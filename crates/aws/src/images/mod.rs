//! Images: each file has the calls of one matter.

mod copy;
mod create;
mod describe;
mod lifecycle;
mod permissions;
mod register;

pub(crate) use copy::{copy, parameters as copy_parameters};
pub(crate) use create::{create, parameters as create_parameters};
pub(crate) use describe::describe;
pub(crate) use lifecycle::{
    deregister, last_launched, launch_template_images, require_imds_v2, set_deprecation,
    set_deregistration_protection,
};
pub(crate) use permissions::{change_permissions, permissions, public_sharing};
pub(crate) use register::{SRIOV, parameters as register_parameters, register};
