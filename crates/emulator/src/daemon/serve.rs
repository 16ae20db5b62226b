//! The daemon's work, in the foreground.

use super::DaemonError;
use super::lock::DaemonLock;
use super::status::Status;
use crate::account::DEFAULT_REGION;
use crate::config::EmulatorConfig;
use crate::engine::{Engine, Served, StartError, Store};
use crate::guest::GuestHost;
use crate::network::choose_ssh_port;
use crate::runtime::GuestRuntime;
use crate::{files, server};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Where guests' SSH servers are reached if port 22 cannot be had.
const OTHER_SSH_PORTS: std::ops::Range<u16> = 2222..2322;

/// Serves a folder's local EC2 until it is told to end (SIGTERM, SIGINT) or has been idle for long enough. Calls `ready`
/// once it answers.
///
/// # Errors
/// What is missing on this host, or that another daemon serves the folder.
pub fn serve(dir: &Path, ready: impl FnOnce()) -> Result<(), DaemonError> {
    files::make_dir(dir, 0o711).map_err(DaemonError::io("make the local EC2's folder", dir))?;
    let dir = dir
        .canonicalize()
        .map_err(DaemonError::io("find the local EC2's folder", dir))?;
    let _lock = DaemonLock::take(&dir)?;
    let config = EmulatorConfig::read(&dir)?;
    let host = GuestHost::probe().map_err(|p| DaemonError::Host {
        missing: p.missing,
        remedy: p.remedy,
    })?;
    let base = dir.join("base");
    host.prepare_base_layer(&base).map_err(|e| {
        DaemonError::io("prepare the guests' base layer", &base)(std::io::Error::other(e))
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::io("start the runtime", &dir))?;
    let outcome = runtime.block_on(run(&dir, &config, Arc::new(host), ready));
    // Connections that are still being spliced have nobody at their other end any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(
    dir: &Path,
    config: &EmulatorConfig,
    host: Arc<dyn GuestRuntime>,
    ready: impl FnOnce(),
) -> Result<(), DaemonError> {
    let mut account = Store::new(dir).load().map_err(StartError::from)?;
    let listener =
        listen(account.port, config.port).map_err(DaemonError::io("listen on 127.0.0.1", dir))?;
    let endpoint = listener
        .local_addr()
        .map_err(DaemonError::io("listen on 127.0.0.1", dir))?;
    let others = account.ssh_port.into_iter().chain(OTHER_SSH_PORTS);
    let ssh_port = choose_ssh_port(others)
        .map_err(DaemonError::io("find a port for guests' SSH servers", dir))?;
    account.port = Some(endpoint.port());
    account.ssh_port = Some(ssh_port);
    let status = Status {
        running: true,
        endpoint: Some(format!("http://{endpoint}")),
        region: Some(DEFAULT_REGION.to_owned()),
        access_key_id: Some(account.key.id.clone()),
        secret_access_key: Some(account.key.secret.clone()),
        ssh_port: Some(ssh_port),
        pid: Some(std::process::id()),
        guest_mode: Some(host.mode()),
    };
    let engine = Engine::new(dir, config, host, account, Served { endpoint, ssh_port })?;
    status.write(dir)?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(DaemonError::io("watch for SIGTERM", dir))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(DaemonError::io("watch for SIGINT", dir))?;
    engine.resume();
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(DaemonError::io("listen on 127.0.0.1", dir))?;
    let serving = tokio::spawn(server::serve(listener, engine.clone()));
    ready();
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to end"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
        () = idle(&engine, Duration::from_secs(config.idle_seconds)) => tracing::info!("idle: no request and no instance for {} s", config.idle_seconds),
        ended = serving => tracing::error!("serving ended: {ended:?}"),
    }
    engine.power_cut().await;
    Ok(())
}

/// The port of the last time, else the preferred one, else a free one.
fn listen(last: Option<u16>, preferred: u16) -> std::io::Result<TcpListener> {
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = last
        .map(at)
        .and_then(Result::ok)
        .map_or_else(|| at(preferred).or_else(|_| at(0)), Ok)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Returns when there has been no request and no instance for so long. Forgets terminated instances on the way.
async fn idle(engine: &Arc<Engine>, after: Duration) {
    let activity = engine.activity();
    let mut busy_until = Instant::now();
    loop {
        let last = (*activity.borrow()).max(busy_until);
        tokio::time::sleep_until((last + after).min(Instant::now() + Duration::from_secs(10)))
            .await;
        engine.forget_terminated();
        if engine.account().has_live_instances() {
            busy_until = Instant::now();
        } else if (*activity.borrow()).max(busy_until).elapsed() >= after {
            return;
        }
    }
}

/// Sends the daemon's own messages to standard error, which is its log.
pub(super) fn log_to_standard_error() {
    // A subscriber that is there already stays.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .try_init();
}
