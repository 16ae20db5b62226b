//! A later end for an instance that was kept: what is said to the guest, what to EC2, and what stays when either fails.

mod fake;

use async_trait::async_trait;
use build::event::OutputStream;
use build::guest::*;
use build::lifetime::{ExtendError, Extension, extend};
use build::report::WayIn;
use cloud::{ErrorKind, GuestShutdown, LaunchRequest, Placement, Purchase, Region};
use cloud::{TagSpecification, Tags, Timestamp};
use fake::account::{FakeAccount, Fault};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A guest that answers one script, and keeps what it was asked.
#[derive(Clone)]
struct Guest {
    answer: Result<(CommandEnd, &'static str), SessionError>,
    refuses: Option<OpenError>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One connection, and what was run in it.
type Asked = (GuestTarget, Option<GuestCommand>);

impl Guest {
    fn new(code: u32, prints: &'static str) -> Self {
        Self {
            answer: Ok((CommandEnd::Exited(code), prints)),
            refuses: None,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> (GuestTarget, GuestCommand) {
        let asked = self.asked.lock().unwrap().last().cloned().unwrap();
        (asked.0, asked.1.unwrap())
    }
}

#[async_trait]
impl GuestAccess for Guest {
    async fn open(
        &self,
        target: &GuestTarget,
        _: Duration,
    ) -> Result<Box<dyn GuestSession>, OpenError> {
        self.asked.lock().unwrap().push((target.clone(), None));
        match &self.refuses {
            Some(error) => Err(error.clone()),
            None => Ok(Box::new(self.clone())),
        }
    }

    async fn agent_keys(&self, _: &Path) -> Result<Option<String>, String> {
        Err(String::from("not asked for here"))
    }
}

#[async_trait]
impl GuestSession for Guest {
    fn host_fingerprint(&self) -> String {
        String::from("SHA256:fake")
    }

    fn login_key(&self) -> Option<String> {
        None
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn run(
        &self,
        command: &GuestCommand,
        output: &mut dyn Output,
    ) -> Result<CommandEnd, SessionError> {
        let mut asked = self.asked.lock().unwrap();
        asked.last_mut().unwrap().1 = Some(command.clone());
        let (end, prints) = self.answer.clone()?;
        output.line(OutputStream::Stdout, prints);
        output.line(OutputStream::Stderr, "and this besides");
        Ok(end)
    }

    async fn upload_file(&self, _: &Path, _: &str, _: Option<u32>) -> Result<(), SessionError> {
        Err(SessionError::Refused(String::from("not asked for here")))
    }

    async fn upload_directory(&self, _: &Path, _: &str) -> Result<(), SessionError> {
        Err(SessionError::Refused(String::from("not asked for here")))
    }

    async fn upload_bytes(&self, _: &[u8], _: &str, _: u32) -> Result<(), SessionError> {
        Err(SessionError::Refused(String::from("not asked for here")))
    }

    async fn download_file(&self, _: &str, _: &Path, _: Option<&str>) -> Result<(), SessionError> {
        Err(SessionError::Refused(String::from("not asked for here")))
    }

    async fn download_directory(
        &self,
        _: &str,
        _: &Path,
        _: Option<&str>,
    ) -> Result<(), SessionError> {
        Err(SessionError::Refused(String::from("not asked for here")))
    }

    async fn proxy(&self) -> Result<Box<dyn GuestProxy>, SessionError> {
        Err(SessionError::Refused(String::from(
            "this guest lends nothing",
        )))
    }

    async fn close(self: Box<Self>) {}
}

const END: i64 = 1_800_014_400;

struct Kept {
    account: FakeAccount,
    way_in: WayIn,
    _folder: tempfile::TempDir,
}

/// A kept instance whose key is in a file.
async fn kept() -> Kept {
    let account = FakeAccount::new();
    let request = LaunchRequest {
        left_out_devices: Vec::new(),
        ipv6: false,
        hosting: cloud::Hosting::default(),
        metadata: cloud::MetadataOptions::default(),
        client_token: "token".into(),
        image_id: "ami-source".into(),
        instance_type: "t3.small".into(),
        placement: Placement {
            subnet_id: "subnet-1".into(),
            availability_zone: "us-east-2c".into(),
        },
        public_ip: true,
        security_groups: Vec::new(),
        key_name: None,
        instance_profile: None,
        user_data: Vec::new(),
        volumes: Vec::new(),
        ebs_optimized: None,
        purchase: Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: GuestShutdown::Terminate,
        tags: TagSpecification {
            instance: Tags::new()
                .with("qib:run", "r-00000000")
                .with("qib:expires", "2027-01-15T08:00:00Z"),
            ..TagSpecification::default()
        },
    };
    let instance = account.run_instance(&request).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("id");
    let key = ssh::KeyPair::generate(ssh::KeyAlgorithm::Ed25519);
    std::fs::write(&key_file, key.private_openssh().expose()).unwrap();
    let way_in = WayIn {
        instance_id: instance.instance_id.to_string(),
        region: "us-east-2".into(),
        host: "203.0.113.50".into(),
        port: 2222,
        user: "ec2-user".into(),
        key_file: Some(key_file.display().to_string()),
        known_hosts: Some("/state/known_hosts".into()),
        host_fingerprints: vec!["SHA256:known".into()],
        bastion: None,
        proxy: None,
    };
    Kept {
        account,
        way_in,
        _folder: folder,
    }
}

impl Kept {
    async fn extend(&self, guest: &Guest, agent: Option<&Path>) -> Result<(), ExtendError> {
        let through = Extension {
            region: &self.account,
            guests: guest,
            agent_socket: agent,
        };
        extend(through, &self.way_in, Timestamp::from_second(END).unwrap()).await
    }

    fn expires(&self) -> String {
        let store = self.account.store();
        let instance = store.instances.values().next().unwrap();
        instance.tags.get("qib:expires").unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_timer_and_the_tag_get_the_new_end() {
    let kept = kept().await;
    let guest = Guest::new(0, "1800014400\r");
    kept.extend(&guest, None).await.unwrap();
    assert_eq!(kept.expires(), "2027-01-15T12:00:00Z");
    let (target, command) = guest.asked();
    assert_eq!(target.destination(), "203.0.113.50:2222");
    assert_eq!(target.user, "ec2-user");
    assert_eq!(
        target.host_keys,
        HostKeys::KnownHosts(PathBuf::from("/state/known_hosts"))
    );
    assert_eq!(command.become_user.as_deref(), Some("root"));
    let text = String::from_utf8(command.script.text).unwrap();
    assert!(text.contains("\nEND='1800014400'\n"), "{text}");
    assert!(!text.contains("='@@"), "a placeholder is left");
}

#[tokio::test]
async fn the_tag_never_promises_more_than_the_timer_gives() {
    let lost = SessionError::ConnectionLost(String::from("reset by peer"));
    let refusing = SessionError::Refused(String::from("no such user"));
    let no_answer = OpenError::NotYet(String::from("timed out"));
    let guests = [
        (Guest::new(3, ""), "no timer runs in instance"),
        (Guest::new(1, ""), "exit code 1: and this besides"),
        (
            Guest::new(0, "1800000000"),
            "it ends at [\"1800000000\"], not at 1800014400",
        ),
        (
            Guest {
                answer: Err(lost),
                ..Guest::new(0, "")
            },
            "is not known, because the connection broke",
        ),
        (
            Guest {
                answer: Err(refusing),
                ..Guest::new(0, "")
            },
            "was not changed: no such user",
        ),
        (
            Guest {
                refuses: Some(no_answer),
                ..Guest::new(0, "")
            },
            "so its timer was not changed: timed out",
        ),
    ];
    for (guest, said) in guests {
        let kept = kept().await;
        let error = kept.extend(&guest, None).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains(&kept.way_in.instance_id), "{error}");
        assert_eq!(kept.expires(), "2027-01-15T08:00:00Z", "{said}");
    }
}

#[tokio::test]
async fn a_tag_that_cannot_be_written_is_said_with_the_end_that_holds() {
    let kept = kept().await;
    kept.account
        .store()
        .faults
        .push(("CreateTags", Fault::Refused(ErrorKind::AccessDenied)));
    let error = kept.extend(&Guest::new(0, "1800014400"), None).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("now ends at 2027-01-15T12:00:00Z, but its tag qib:expires"),
        "{error}"
    );
}

#[tokio::test]
async fn the_host_is_known_by_what_the_run_knew_it_by() {
    let mut kept = kept().await;
    let guest = Guest::new(0, "1800014400");
    kept.way_in.known_hosts = None;
    kept.extend(&guest, None).await.unwrap();
    assert_eq!(
        guest.asked().0.host_keys,
        HostKeys::Fingerprint("SHA256:known".into())
    );
    kept.way_in.host_fingerprints.clear();
    kept.extend(&guest, None).await.unwrap();
    assert_eq!(guest.asked().0.host_keys, HostKeys::AcceptFirst);
}

#[tokio::test]
async fn a_key_that_is_not_in_a_file_is_in_an_agent() {
    let mut kept = kept().await;
    let guest = Guest::new(0, "1800014400");
    kept.way_in.key_file = None;
    let error = kept.extend(&guest, None).await.unwrap_err();
    assert!(matches!(error, ExtendError::NoAgent { .. }), "{error}");
    kept.extend(&guest, Some(Path::new("/run/agent")))
        .await
        .unwrap();
    assert!(
        matches!(guest.asked().0.identity, Identity::Agent(path) if path == Path::new("/run/agent"))
    );
    kept.way_in.key_file = Some("/nowhere/id".into());
    let error = kept.extend(&guest, None).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/id"), "{error}");
}
