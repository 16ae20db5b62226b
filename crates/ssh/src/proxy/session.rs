//! One client's connection to the proxy: who it is, and what its sessions ask for.
//!
//! ```text
//!   session opened ──▶ Waiting ──exec, shell or subsystem, confirmed by the guest──▶ bridged
//!                        │ pty, env: asked of the guest, answered as the guest answers
//!                        └ closed, or refused by the guest
//! ```
//!
//! A request is answered only when the guest has answered it. Until then nothing else of this client's is looked at; it is
//! one process that waits for that answer anyway.

use super::bridge;
use super::line::{GuestChannel, Line};
use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, ChannelOpenFailure, Pty};
use std::collections::HashMap;
use std::sync::Arc;

/// Who may log in.
#[derive(Debug)]
pub struct Permitted {
    pub user: String,
    pub key: PublicKey,
}

/// A session in which nothing runs yet.
struct Waiting {
    local: Channel<Msg>,
    guest: GuestChannel,
}

/// The server's side of one connection.
pub struct Client {
    permitted: Arc<Permitted>,
    line: Arc<Line>,
    waiting: HashMap<ChannelId, Waiting>,
}

impl Client {
    pub fn new(permitted: Arc<Permitted>, line: Arc<Line>) -> Client {
        Client {
            permitted,
            line,
            waiting: HashMap::new(),
        }
    }

    fn judge(&self, user: &str, key: &PublicKey) -> Auth {
        // The comment is no part of the key.
        if user == self.permitted.user && key.key_data() == self.permitted.key.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }

    /// Starts what a session is for, and from then on only passes on.
    async fn start(
        &mut self,
        id: ChannelId,
        asked: Asked<'_>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(Waiting { local, mut guest }) = self.waiting.remove(&id) else {
            return session.channel_failure(id);
        };
        let sent = match asked {
            Asked::Shell => guest.channel.request_shell(true).await,
            Asked::Command(command) => guest.channel.exec(true, command).await,
            Asked::Subsystem(name) => guest.channel.request_subsystem(true, name).await,
        };
        if sent.is_err() || !confirmed(&mut guest).await {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        tokio::spawn(bridge::run(local, session.handle(), guest));
        Ok(())
    }
}

/// What a session is for.
enum Asked<'a> {
    Shell,
    Command(&'a [u8]),
    Subsystem(&'a str),
}

/// Waits for the guest's answer. Output cannot come before it: the guest answers before the command runs.
async fn confirmed(guest: &mut GuestChannel) -> bool {
    loop {
        match guest.channel.wait().await {
            Some(ChannelMsg::Success) => return true,
            Some(ChannelMsg::Failure | ChannelMsg::Close) | None => return false,
            Some(_) => {}
        }
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.line.open_session().await {
            Some(guest) => {
                let id = channel.id();
                let waiting = Waiting {
                    local: channel,
                    guest,
                };
                self.waiting.insert(id, waiting);
                reply.accept().await;
            }
            None => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(waiting) = self.waiting.remove(&channel) {
            // If the guest is gone there is nobody to tell.
            let _ = waiting.guest.channel.close().await;
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(waiting) = self.waiting.get_mut(&channel) else {
            return session.channel_failure(channel);
        };
        let sent = waiting.guest.channel.set_env(true, name, value).await;
        if sent.is_ok() && confirmed(&mut waiting.guest).await {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        kind: &str,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(waiting) = self.waiting.get_mut(&channel) else {
            return session.channel_failure(channel);
        };
        let guest = &mut waiting.guest;
        let sent = guest
            .channel
            .request_pty(true, kind, columns, rows, pixel_width, pixel_height, modes)
            .await;
        if sent.is_ok() && confirmed(guest).await {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Shell, session).await
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Command(command), session).await
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Asked::Subsystem(name), session).await
    }
}
