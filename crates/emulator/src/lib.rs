//! emulator

pub mod guest;
pub mod account;
pub mod api;
pub mod catalogue;
pub mod config;
pub mod faults;
pub mod files;
pub mod ids;
pub mod engine;
pub mod imds;
pub mod network;
pub mod runtime;
pub mod server;
pub mod daemon;
