//! The client against a real OpenSSH server on 127.0.0.1, with keys, configuration and log of its own. Works as root and
//! as any user, who logs in to himself. Needs Debian's `openssh-server` (which brings `ssh-agent` and `ssh-keygen`);
//! without it the tests fail.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests run programs, wait, and print measurements"
)]

mod agent;
mod commands;
mod connecting;
mod fips;
mod lost;
mod proxy;
mod scripts;
mod server;
mod transfers;
mod ways;
