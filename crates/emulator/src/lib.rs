//! emulator

pub mod guest;
pub mod account;
pub mod api;
pub mod catalogue;
pub mod config;
pub mod faults;
pub mod files;
pub mod ids;
