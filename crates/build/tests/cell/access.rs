//! Keys, bastions and proxies.

use super::*;

/// A private key of the user's in a file.
fn key_file(stage: &Stage) -> std::path::PathBuf {
    let path = stage._state.path().join("builders");
    let key = ssh::KeyPair::generate(ssh::KeyAlgorithm::Ed25519);
    std::fs::write(&path, key.private_openssh().expose()).unwrap();
    path
}

#[tokio::test]
async fn an_existing_key_pair_is_launched_with_and_never_made_nor_removed() {
    let stage = stage(Behaviour::default());
    let pair = cloud::KeyPairDescription {
        key_pair_id: "key-builders".into(),
        name: "builders".into(),
        tags: Tags::new(),
    };
    stage
        .account
        .store()
        .key_pairs
        .insert("key-builders".into(), pair);
    let mut spec = spec(AddressSpec::Public);
    spec.connect.key = KeySpec::File(key_file(&stage));
    spec.connect.key_pair = Some("builders".into());
    stage.build(&spec).await.unwrap();
    let store = stage.account.store();
    assert_eq!(store.launches[0].key_name.as_deref(), Some("builders"));
    for call in ["ImportKeyPair", "DeleteKeyPair"] {
        assert!(!store.calls.contains(&call), "{call}: {:?}", store.calls);
    }
    assert!(store.key_pairs.contains_key("key-builders"));
    let told = user_data_text(&store.launches[0].user_data);
    assert!(
        !told.contains("ssh_authorized_keys"),
        "EC2 hands the key over: {told}"
    );
}

#[tokio::test]
async fn a_key_pair_that_is_not_there_is_told_before_the_group_is_made() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Public);
    spec.connect.key = KeySpec::File(key_file(&stage));
    spec.connect.key_pair = Some("builders".into());
    let error = stage.build(&spec).await.unwrap_err().to_string();
    assert!(
        error.contains("builders") && error.contains("us-east-2"),
        "{error}"
    );
    let store = stage.account.store();
    assert!(
        !store.calls.contains(&"CreateSecurityGroup"),
        "{:?}",
        store.calls
    );
    assert!(store.launches.is_empty());
}

#[tokio::test]
async fn a_bastion_and_a_proxy_are_the_way_to_the_guest_and_are_remembered() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Private);
    spec.connect.bastion = Some(BastionSpec {
        host: "jump.example".into(),
        port: 2200,
        user: "me".into(),
        key: BastionKeySpec::File(key_file(&stage)),
        host_key: BastionHostKeySpec::Fingerprint("SHA256:abc".into()),
    });
    spec.connect.proxy = Some(ssh::SocksProxy {
        destination: ssh::Destination {
            host: "proxy.example".into(),
            port: 1080,
        },
        login: Some(ssh::SocksLogin {
            user: "me".into(),
            password: ssh::Secret::new("s3cret-value"),
        }),
    });
    stage.build(&spec).await.unwrap();
    let ways = stage.guests.ways.lock().unwrap();
    let ssh::Dial::Jump(jump) = &ways[0] else {
        panic!("{ways:?}")
    };
    assert_eq!(jump.destination().to_string(), "jump.example:2200");
    let shown = format!("{ways:?}");
    assert!(
        shown.contains("proxy.example") && shown.contains("SHA256:abc"),
        "{shown}"
    );
    assert!(!shown.contains("s3cret-value"), "{shown}");
}

#[tokio::test]
async fn a_bastions_key_that_cannot_be_read_ends_the_cell() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Private);
    spec.connect.bastion = Some(BastionSpec {
        host: "jump.example".into(),
        port: 22,
        user: "me".into(),
        key: BastionKeySpec::Agent,
        host_key: BastionHostKeySpec::AcceptFirst,
    });
    let error = stage.build(&spec).await.unwrap_err().to_string();
    assert!(error.contains("SSH_AUTH_SOCK"), "{error}");
}
