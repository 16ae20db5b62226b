//! What this client offers in a key exchange.
//!
//! Fast and modern first; behind it all that a host in FIPS mode allows: NIST curves, Diffie-Hellman groups 14 and 16,
//! AES, HMAC-SHA-2. (RHEL's FIPS policy, crypto-policies(7), has neither curve25519 nor ChaCha20 nor ed25519.)
//! SHA-1, CBC and anything older is not offered.

use russh::keys::Algorithm;
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;

const KEY_EXCHANGE: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_GEX_SHA256,
    // Not key exchanges but flags: extension information (RFC 8308) and strict key exchange (against Terrapin).
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// What the proxy's own server adds in their place.
const SERVER_FLAGS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// AES-GCM first: with the processor's AES instructions it is several times as fast as ChaCha20.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
];

/// Uploads of many files are compressed as they are made; compressing all traffic would slow large files down.
const COMPRESSION: &[compression::Name] = &[compression::NONE];

/// The offer, with the kinds of host key given, best first.
pub fn preferred(host_keys: Vec<Algorithm>) -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEY_EXCHANGE),
        key: Cow::Owned(host_keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(COMPRESSION),
    }
}

/// The same for a server that has host keys of these kinds.
pub fn preferred_by_server(host_keys: Vec<Algorithm>) -> Preferred {
    let client_flags = [
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    let kex = KEY_EXCHANGE
        .iter()
        .filter(|name| !client_flags.contains(name))
        .chain(SERVER_FLAGS)
        .copied();
    Preferred {
        kex: Cow::Owned(kex.collect()),
        ..preferred(host_keys)
    }
}
