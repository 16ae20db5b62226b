use super::*;
use crate::keys::{KeyAlgorithm, KeyPair};

fn key(algorithm: KeyAlgorithm) -> PublicHostKey {
    KeyPair::generate(algorithm)
        .public_openssh()
        .parse()
        .expect("own key is read")
}

fn check(rule: &HostKeyRule) -> Check {
    rule.prepare("h", 22).expect("the rule is well formed")
}

#[test]
fn a_pinned_rule_takes_its_keys_only() {
    let (good, bad) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    let check = check(&HostKeyRule::Pinned(vec![
        key(KeyAlgorithm::EcdsaP256),
        good.clone(),
    ]));
    assert!(check.accepts(&good.0));
    assert!(!check.accepts(&bad.0));
    assert!(check.expected().contains(&good.fingerprint()));
}

#[test]
fn an_empty_pinned_rule_takes_nothing() {
    assert!(!check(&HostKeyRule::Pinned(vec![])).accepts(&key(KeyAlgorithm::Ed25519).0));
}

#[test]
fn the_comment_is_no_part_of_the_key() {
    let pair = KeyPair::generate(KeyAlgorithm::Ed25519);
    let pinned = pair
        .with_comment("one")
        .public_openssh()
        .parse()
        .expect("own key is read");
    let shown: PublicHostKey = pair
        .with_comment("two")
        .public_openssh()
        .parse()
        .expect("own key is read");
    assert!(check(&HostKeyRule::Pinned(vec![pinned])).accepts(&shown.0));
}

#[test]
fn a_fingerprint_is_compared_and_its_form_checked() {
    let good = key(KeyAlgorithm::EcdsaP256);
    let check = check(&HostKeyRule::Fingerprint(good.fingerprint()));
    assert!(check.accepts(&good.0));
    assert!(!check.accepts(&key(KeyAlgorithm::EcdsaP256).0));
    assert!(
        check.attempts().len() > 1,
        "a fingerprint does not say the key's kind"
    );
    let error = HostKeyRule::Fingerprint("aa:bb".into())
        .prepare("h", 22)
        .expect_err("not a fingerprint");
    assert!(error.contains("SHA256:"), "{error}");
}

#[test]
fn accept_first_remembers_across_clones() {
    let rule = HostKeyRule::accept_first();
    let (first, second) = (key(KeyAlgorithm::Ed25519), key(KeyAlgorithm::Ed25519));
    assert!(check(&rule.clone()).accepts(&first.0));
    assert!(!check(&rule).accepts(&second.0));
    assert!(check(&rule).accepts(&first.0));
    assert!(
        check(&HostKeyRule::accept_first()).accepts(&second.0),
        "another rule value knows nothing of it"
    );
}

#[test]
fn kinds_that_can_be_checked_are_asked_for_first() {
    let check = check(&HostKeyRule::Pinned(vec![key(KeyAlgorithm::EcdsaP256)]));
    let [order] = check.attempts().try_into().expect("one attempt");
    assert_eq!(
        order[0],
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256
        }
    );
    assert_eq!(order.len(), all_algorithms().len());
}

#[test]
fn a_known_hosts_file_that_is_missing_or_silent_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("known_hosts");
    let rule = HostKeyRule::KnownHosts { file: file.clone() };
    assert!(
        rule.prepare("h", 22)
            .expect_err("missing")
            .contains("cannot read")
    );
    std::fs::write(&file, "other ssh-ed25519 AAAA\n").expect("the file is written");
    assert!(
        rule.prepare("h", 22)
            .expect_err("silent")
            .contains("no key for h")
    );
}
