//! emulator

pub mod guest;
