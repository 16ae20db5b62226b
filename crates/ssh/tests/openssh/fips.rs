//! A server as strict as one in FIPS mode: NIST curves and groups, AES, HMAC-SHA-2, ECDSA; no ed25519, no ChaCha20.

use crate::server::{Server, Setup};
use ssh::{
    Collected, ConnectError, Connection, Identity, KeyAlgorithm, KeyPair, RemoteCommand, Stream,
};
use std::sync::Arc;

const ACCEPTED: &str = "HostKeyAlgorithms ecdsa-sha2-nistp256,rsa-sha2-256,rsa-sha2-512\n\
     PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,rsa-sha2-256,rsa-sha2-512\n";

fn setup(kex: &str, ciphers: &str, macs: &str) -> Setup {
    Setup {
        host_keys: vec![KeyAlgorithm::EcdsaP256],
        login_key: KeyAlgorithm::EcdsaP256,
        config: format!("{ACCEPTED}KexAlgorithms {kex}\nCiphers {ciphers}\nMACs {macs}\n"),
        ..Setup::default()
    }
}

async fn works(setup: Setup) {
    let what = setup.config.clone();
    let server = Server::with(setup).await;
    let connection = server.connect().await;
    let mut output = Collected::default();
    let exit = connection
        .run(&RemoteCommand::new("echo through"), &mut output)
        .await;
    assert!(exit.expect("the command runs").is_success(), "{what}");
    assert_eq!(output.text(Stream::Stdout), "through", "{what}");
}

#[tokio::test]
async fn every_key_exchange_that_fips_allows_works() {
    for kex in [
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
    ] {
        works(setup(kex, "aes256-gcm@openssh.com", "hmac-sha2-256")).await;
    }
}

#[tokio::test]
async fn every_cipher_and_mac_that_fips_allows_works() {
    for cipher in ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"] {
        works(setup("ecdh-sha2-nistp256", cipher, "hmac-sha2-256")).await;
    }
    for cipher in ["aes128-ctr", "aes256-ctr"] {
        for mac in [
            "hmac-sha2-256",
            "hmac-sha2-512",
            "hmac-sha2-256-etm@openssh.com",
            "hmac-sha2-512-etm@openssh.com",
        ] {
            works(setup("ecdh-sha2-nistp256", cipher, mac)).await;
        }
    }
}

#[tokio::test]
async fn an_ed25519_key_is_refused_there_which_shows_that_the_server_is_strict() {
    let mut setup = setup(
        "ecdh-sha2-nistp256",
        "aes256-gcm@openssh.com",
        "hmac-sha2-256",
    );
    setup.login_key = KeyAlgorithm::Ed25519;
    let server = Server::with(setup).await;
    let error = Connection::open(&server.options())
        .await
        .expect_err("ed25519 is not accepted");
    assert!(
        matches!(error, ConnectError::AuthenticationRefused { .. }),
        "{error}"
    );
    let mut options = server.options();
    options.identity = Identity::Key(Arc::new(KeyPair::generate(KeyAlgorithm::EcdsaP256)));
    assert!(
        Connection::open(&options).await.is_err(),
        "another key is refused too"
    );
}

#[tokio::test]
async fn no_common_algorithm_names_both_sides() {
    let server = Server::with(Setup {
        config: "KexAlgorithms diffie-hellman-group14-sha1\n".into(),
        ..Setup::default()
    })
    .await;
    let error = Connection::open(&server.options())
        .await
        .expect_err("SHA-1 is not offered");
    assert!(
        matches!(&error, ConnectError::NoCommonAlgorithm { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("diffie-hellman-group14-sha1"),
        "{error}"
    );
    assert!(error.to_string().contains("curve25519-sha256"), "{error}");
    assert!(error.is_final());
}
