//! Through proxies and over TLS, both as the machine is set up: each test runs this program again with the environment it needs.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

mod server;

use download::{Address, Proxies, fetch};
use server::{Act, Server, files, from_url, noise, settings, told};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

fn content() -> Vec<u8> {
    noise(100_000)
}

/// What a child does: fetches WHAT, and says how it went.
#[tokio::test]
#[ignore = "it is a part of the others"]
async fn child() {
    let what = std::env::var("WHAT").expect("it is run by another test");
    let cache = tempfile::tempdir().expect("a folder");
    let mut settings = settings(cache.path());
    settings.attempts = 2.try_into().expect("not 0");
    if std::env::var_os("DIRECT").is_none() {
        settings.proxies = Proxies::Environment;
    }
    let address: Address = what.parse().expect("a URL");
    let (_, progress) = told();
    match fetch(&from_url(address, &content()), &settings, &progress).await {
        Ok(fetched) => println!("FETCHED {}", fetched.size),
        Err(error) => println!("ERROR {error} {:?}", files(cache.path())),
    }
}

/// Runs `child` with these variables and no others that matter here.
async fn run(what: &str, variables: &[(&str, &str)]) -> String {
    let mut command = tokio::process::Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("WHAT", what);
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let done = command
        .envs(variables.iter().copied())
        .output()
        .await
        .expect("it runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A proxy: CONNECT, and requests with a whole URL. Keeps the first lines and credentials it sees.
async fn proxy() -> (u16, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let list = list.clone();
            tokio::spawn(async move {
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if client.read_exact(&mut byte).await.is_err() {
                        return;
                    }
                    text.push(byte[0]);
                }
                let text = String::from_utf8_lossy(&text).into_owned();
                list.lock().expect("the list").push(text.clone());
                let mut words = text.split(' ');
                let (method, target) = (
                    words.next().unwrap_or_default(),
                    words.next().unwrap_or_default(),
                );
                let host = target
                    .trim_start_matches("http://")
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let Ok(mut server) = TcpStream::connect(host).await else {
                    return;
                };
                if method == "CONNECT" {
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                } else {
                    let _ = server.write_all(text.as_bytes()).await;
                }
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, seen)
}

#[tokio::test]
async fn proxies_are_those_of_the_environment() {
    let server = Server::start(&[]).await;
    // Asked for with the whole URL, as a proxy is.
    let name = format!("http://127.0.0.1:{}/image.raw", server.port);
    server.with(|state| {
        state.files.insert("/image.raw".into(), content());
        state.files.insert(name.clone(), content());
    });
    let (port, seen) = proxy().await;
    let through = format!("http://me:s3cret@127.0.0.1:{port}");
    let count = || seen.lock().expect("the list").len();
    let said = run(&name, &[("http_proxy", &through)]).await;
    assert!(said.contains("FETCHED 100000"), "{said}");
    assert_eq!(count(), 1);
    let text = seen.lock().expect("the list")[0].to_ascii_lowercase();
    assert!(
        text.contains("proxy-authorization: basic bwu6cznjcmv0"),
        "{text}"
    );
    for variables in [
        vec![("http_proxy", through.as_str()), ("NO_PROXY", "127.0.0.1")],
        vec![("http_proxy", through.as_str()), ("DIRECT", "1")],
        vec![("HTTPS_PROXY", through.as_str())],
    ] {
        let said = run(&name, &variables).await;
        assert!(said.contains("FETCHED 100000"), "{said}");
        assert_eq!(count(), 1, "{variables:?}");
    }
    // A proxy that is not there: its password is in no message.
    let said = run(&name, &[("http_proxy", "http://me:s3cret@127.0.0.1:1")]).await;
    assert!(said.contains("ERROR") && !said.contains("s3cret"), "{said}");
}

/// `openssl s_server`, which serves the files of its folder, or whole answers.
struct Tls {
    child: Child,
    port: u16,
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tls {
    async fn start(folder: &Path, mode: &str) -> Self {
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .expect("a free port");
            free.local_addr().expect("it is bound").port()
        };
        let child = Command::new("openssl")
            .current_dir(folder)
            .args([
                "s_server", "-quiet", mode, "-cert", "cert.pem", "-key", "key.pem", "-accept",
            ])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let tls = Self { child, port };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tls
    }
}

fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=a test of qib",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-days",
            "2",
        ])
        // An end's certificate, not an authority's: rustls takes no authority for a server.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .output()
        .expect("openssl is there");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[tokio::test]
async fn https_is_trusted_as_the_machine_says() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    std::fs::write(folder.path().join("image.raw"), content()).expect("a file");
    let tls = Tls::start(folder.path(), "-WWW").await;
    let url = format!("https://127.0.0.1:{}/image.raw", tls.port);
    let trusted = folder.path().join("cert.pem").display().to_string();
    let said = run(&url, &[("SSL_CERT_FILE", &trusted)]).await;
    assert!(said.contains("FETCHED 100000"), "{said}");
    let (port, seen) = proxy().await;
    let through = format!("http://127.0.0.1:{port}");
    let said = run(
        &url,
        &[("SSL_CERT_FILE", &trusted), ("HTTPS_PROXY", &through)],
    )
    .await;
    assert!(said.contains("FETCHED 100000"), "{said}");
    assert!(seen.lock().expect("the list")[0].starts_with("CONNECT 127.0.0.1:"));
    // An authority that this machine does not have: said at once, and not tried again.
    let said = run(&url, &[]).await;
    assert!(
        said.contains("not one that this machine trusts") && said.contains("[]"),
        "{said}"
    );
    let none = folder.path().join("none.pem").display().to_string();
    let said = run(&url, &[("SSL_CERT_FILE", &none)]).await;
    assert!(said.contains("has no certificate authorities"), "{said}");
}

#[tokio::test]
async fn nothing_leads_from_https_to_http() {
    let server = Server::start(&[("/image.raw", &content())]).await;
    server.always(Act::Proper);
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let answer = format!(
        "HTTP/1.0 302 Found\r\nLocation: {}\r\n\r\n",
        server.url("/image.raw")
    );
    std::fs::write(folder.path().join("image.raw"), answer).expect("a file");
    // Whole answers are in the files.
    let tls = Tls::start(folder.path(), "-HTTP").await;
    let url = format!("https://127.0.0.1:{}/image.raw", tls.port);
    let trusted = folder.path().join("cert.pem").display().to_string();
    let said = run(&url, &[("SSL_CERT_FILE", &trusted)]).await;
    assert!(said.contains("from https to plain http"), "{said}");
    assert!(server.requests().is_empty());
}
