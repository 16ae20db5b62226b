//! Why there is no proxy.

/// No port of 127.0.0.1 could be listened on.
#[derive(Debug, thiserror::Error)]
#[error("the SSH proxy on 127.0.0.1 could not be started: {0}")]
pub struct ProxyError(pub(super) std::io::Error);
