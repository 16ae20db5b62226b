//! Where qib meets the machine it runs on: the clock, the environment, signals, the caller's address.

pub mod caller_address;
pub mod clock;
pub mod crash_point;
pub mod environment;
pub mod operator;
pub mod signals;
