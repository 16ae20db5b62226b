//! The local EC2: an EC2 on 127.0.0.1 whose instances are real Linux guests.
//!
//! It knows no other crate of qib, so that it can be wrong only on its own: what it does is what EC2's documentation says,
//! with the page cited beside each rule.
//!
//! | module | subject |
//! |---|---|
//! | [`api`] | the services' protocols and actions, from a request's bytes to an answer's bytes |
//! | [`account`] | what the local EC2 remembers, as plain data |
//! | [`blocks`] | the content of snapshots that are written by blocks |
//! | [`catalogue`] | well-known public images |
//! | [`engine`] | requests change the account, the world follows |
//! | [`guest`], [`runtime`] | what runs an instance |
//! | [`imported`] | disks that were written by blocks, and guests made of them |
//! | [`imds`] | the metadata service of each instance |
//! | [`network`] | public addresses and who reaches them |
//! | [`storage`] | S3's buckets, on the disk |
//! | [`daemon`] | the background process |
//! | [`clock`] | what time it is: the system's, or a simulation's |
//! | [`config`], [`faults`], [`instance_faults`] | how it behaves, and what is to go wrong |
// An edge crate: the clock, waiting, the environment and processes are its business.
#![allow(clippy::disallowed_methods)]

pub mod account;
pub mod api;
pub mod blocks;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod faults;
pub mod files;
pub mod guest;
pub mod ids;
pub mod imds;
pub mod imported;
pub mod imports;
pub mod instance_faults;
mod json_lines;
pub mod network;
pub mod runtime;
pub mod server;
pub mod storage;
