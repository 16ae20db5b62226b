//! One SSH connection: who it is, and what it asks for on its channels.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Pty, Sig};
use tokio::sync::watch;

use super::authorized_keys::{self, Permission};
use super::session::{self, Ask, Login, Running};
use super::terminal::TerminalRequest;
use crate::guest::accounts::Account;
use crate::guest::init::Guest;
use crate::guest::sys;

/// A channel before and after something runs on it.
#[derive(Debug)]
enum ChannelState {
    Open {
        channel: Channel<Msg>,
        environment: Vec<(String, String)>,
        terminal: Option<TerminalRequest>,
    },
    Running(Running),
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Connection {
    guest: Arc<Guest>,
    sessions: Arc<watch::Sender<usize>>,
    peer: String,
    login: Option<(Account, Permission)>,
    channels: HashMap<ChannelId, ChannelState>,
}

impl Connection {
    /// A connection of which nothing is known but where it comes from.
    pub fn new(guest: Arc<Guest>, sessions: Arc<watch::Sender<usize>>, peer: String) -> Connection {
        Connection {
            guest,
            sessions,
            peer,
            login: None,
            channels: HashMap::new(),
        }
    }

    fn look_up(&self, user: &str, key: &PublicKey) -> Option<(Account, Permission)> {
        let found = Account::find(user).and_then(|account| match account {
            Some(account) => {
                let permission = authorized_keys::permission(&account, key, self.guest.mode)?;
                Ok(permission.map(|permission| (account, permission)))
            }
            None => Ok(None),
        });
        found.unwrap_or_else(|error| {
            self.guest
                .console
                .line(&format!("sshd: authentication refused for {user}: {error}"));
            None
        })
    }

    /// Starts what was asked for on a channel that nothing runs on yet.
    fn start(&mut self, id: ChannelId, ask: Ask, reply: &mut Session) -> Result<(), russh::Error> {
        let (state, login) = (self.channels.remove(&id), self.login.clone());
        let (
            Some(ChannelState::Open {
                channel,
                environment,
                terminal,
            }),
            Some((account, permission)),
        ) = (state, login)
        else {
            return reply.channel_failure(id);
        };
        let login = Login {
            account,
            permission,
            environment,
            terminal,
            peer: self.peer.clone(),
        };
        match session::start(
            &self.guest,
            &self.sessions,
            login,
            ask,
            channel,
            reply.handle(),
        ) {
            Ok(running) => {
                self.channels.insert(id, ChannelState::Running(running));
                reply.channel_success(id)
            }
            Err(error) => {
                self.guest
                    .console
                    .line(&format!("sshd: cannot start a session: {error}"));
                reply.channel_failure(id)
            }
        }
    }
}

/// Sizes beyond what a terminal can have are cut.
fn size(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.look_up(user, offer.public_key).is_some() {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.login = self.look_up(user, key.public_key);
        Ok(if self.login.is_some() {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let state = ChannelState::Open {
            environment: Vec::new(),
            terminal: None,
            channel,
        };
        if let ChannelState::Open { channel, .. } = &state {
            let id = channel.id();
            self.channels.insert(id, state);
        }
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // What the distributions' sshd_config accepts.
        let accepted = name == "LANG" || name == "LANGUAGE" || name.starts_with("LC_");
        match self.channels.get_mut(&channel) {
            Some(ChannelState::Open { environment, .. }) if accepted => {
                environment.push((name.to_owned(), value.to_owned()));
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        kind: &str,
        columns: u32,
        rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let permitted = self
            .login
            .as_ref()
            .is_some_and(|(_, permission)| !permission.no_terminal);
        match self.channels.get_mut(&channel) {
            Some(ChannelState::Open { terminal, .. }) if permitted => {
                let request = TerminalRequest {
                    kind: kind.to_owned(),
                    columns: size(columns),
                    rows: size(rows),
                    modes: modes.to_vec(),
                };
                *terminal = Some(request);
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Ask::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, Ask::Command(command.to_vec()), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match session::sftp_server().filter(|_| name == "sftp") {
            Some(program) => {
                self.start(channel, Ask::Command(program.as_bytes().to_vec()), session)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        _pixel_width: u32,
        _pixel_height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(ChannelState::Running(Running {
            terminal: Some(terminal),
            ..
        })) = self.channels.get(&channel)
        {
            let terminal: &Arc<OwnedFd> = terminal;
            if let Err(error) = sys::set_terminal_size(terminal, size(columns), size(rows)) {
                self.guest
                    .console
                    .line(&format!("sshd: cannot set a terminal's size: {error}"));
            }
        }
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(ChannelState::Running(running)) = self.channels.get(&channel) {
            running.signal(&signal);
        }
        Ok(())
    }
}
