//! Why a host could not be reached.

use crate::connect::{ConnectError, Destination};

/// Why there is no stream to a host.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The system says why.
    #[error("{0}")]
    Tcp(std::io::Error),
    /// Time ran out.
    #[error("it did not answer in time")]
    Late,
    /// The SOCKS proxy could not be reached, or is none.
    #[error("the SOCKS proxy {proxy} {detail}")]
    Proxy {
        /// The proxy.
        proxy: Destination,
        /// What is wrong with it.
        detail: String,
        /// Whether trying again cannot help: it refuses the login, or forbids the destination.
        is_final: bool,
    },
    /// There is no connection to the bastion.
    #[error("the bastion {bastion} cannot be used: {source}")]
    Bastion {
        /// The bastion.
        bastion: Destination,
        /// Why.
        source: Box<ConnectError>,
    },
    /// The bastion did not reach the host.
    #[error("the bastion {bastion} did not reach it: {detail}")]
    BeyondBastion {
        /// The bastion.
        bastion: Destination,
        /// What it says.
        detail: String,
        /// Whether it forbids what was asked for.
        is_final: bool,
    },
}

impl DialError {
    /// Whether trying again cannot help. A bastion stands already, so unlike a host that boots it knows the login key
    /// now or never.
    pub fn is_final(&self) -> bool {
        match self {
            DialError::Tcp(_) | DialError::Late => false,
            DialError::Proxy { is_final, .. } | DialError::BeyondBastion { is_final, .. } => {
                *is_final
            }
            DialError::Bastion { source, .. } => {
                source.is_final() || matches!(**source, ConnectError::AuthenticationRefused { .. })
            }
        }
    }
}
