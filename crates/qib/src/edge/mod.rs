//! Where qib meets the machine it runs on: the clock, the environment, git, signals, the caller's address, local commands,
//! web servers, the person at the terminal.

pub mod caller_address;
pub mod clock;
pub mod crash_point;
pub mod disk_images;
pub mod environment;
pub mod git;
pub mod http;
pub mod local_commands;
pub mod mfa_prompt;
pub mod operator;
pub mod signals;
