//! Through a SOCKS5 proxy: RFC 1928, with user name and password by RFC 1929. Names are resolved by the proxy, since it
//! is there because this machine does not see the other side's network.

use super::{DialError, tcp};
use crate::connect::Destination;
use crate::secret::Secret;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD_FITS: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A SOCKS5 proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocksProxy {
    /// Where it is.
    pub destination: Destination,
    /// How to log in, if it asks for that.
    pub login: Option<SocksLogin>,
}

/// How to log in to a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocksLogin {
    /// The user: 1 to 255 bytes.
    pub user: String,
    /// The password: 1 to 255 bytes. RFC 1929 sends it unencrypted.
    pub password: Secret,
}

/// Why a proxy did not connect.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    detail: String,
    is_final: bool,
}

impl SocksProxy {
    /// A stream to `destination`, made by the proxy.
    pub(super) async fn reach(
        &self,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<TcpStream, DialError> {
        let refused = |refusal: Refusal| DialError::Proxy {
            proxy: self.destination.clone(),
            detail: refusal.detail,
            is_final: refusal.is_final,
        };
        let mut stream = match tcp(&self.destination, deadline).await {
            Ok(stream) => stream,
            Err(why) => {
                return Err(refused(passing(format!("cannot be reached: {why}"))));
            }
        };
        let asking = ask(&mut stream, self.login.as_ref(), destination);
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(refusal)) => Err(refused(refusal)),
            Err(_) => Err(refused(passing("did not answer in time".into()))),
        }
    }
}

fn passing(detail: String) -> Refusal {
    Refusal {
        detail,
        is_final: false,
    }
}

fn lasting(detail: impl Into<String>) -> Refusal {
    Refusal {
        detail: detail.into(),
        is_final: true,
    }
}

fn broke(error: std::io::Error) -> Refusal {
    passing(format!("ended the connection: {error}"))
}

/// The whole conversation, after which the stream belongs to the destination.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: Option<&SocksLogin>,
    destination: &Destination,
) -> Result<(), Refusal> {
    let greeting: &[u8] = match login {
        None => &[VERSION, 1, NO_LOGIN],
        Some(_) => &[VERSION, 2, NO_LOGIN, USER_AND_PASSWORD],
    };
    stream.write_all(greeting).await.map_err(broke)?;
    let [version, method] = read(stream).await?;
    if version != VERSION {
        return Err(lasting(format!(
            "is none that speaks SOCKS5: its first byte is {version:#04x}"
        )));
    }
    match (method, login) {
        (NO_LOGIN, _) => {}
        (USER_AND_PASSWORD, Some(login)) => log_in(stream, login).await?,
        (NO_METHOD_FITS, None) => {
            return Err(lasting(
                "wants a user name and a password, or another way of logging in",
            ));
        }
        (NO_METHOD_FITS, Some(_)) => {
            return Err(lasting("takes no user name and password"));
        }
        (other, _) => {
            return Err(lasting(format!(
                "chose a way of logging in that was not offered: {other}"
            )));
        }
    }
    stream
        .write_all(&request(destination)?)
        .await
        .map_err(broke)?;
    let [version, reply, _reserved, kind] = read(stream).await?;
    if version != VERSION {
        return Err(lasting(format!("broke the protocol: version {version}")));
    }
    if reply != 0 {
        return Err(refusal_of(reply));
    }
    // The address that the proxy uses on the other side: of no interest, but to be read past.
    match kind {
        IPV4 => read::<6>(stream).await.map(drop),
        IPV6 => read::<18>(stream).await.map(drop),
        NAME => {
            let [length] = read(stream).await?;
            let mut rest = vec![0; usize::from(length) + 2];
            stream.read_exact(&mut rest).await.map(drop).map_err(broke)
        }
        other => Err(lasting(format!(
            "broke the protocol: address of kind {other}"
        ))),
    }
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(broke)?;
    Ok(bytes)
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    login: &SocksLogin,
) -> Result<(), Refusal> {
    let mut message = vec![LOGIN_VERSION];
    for part in [login.user.as_bytes(), login.password.expose().as_bytes()] {
        let length = u8::try_from(part.len())
            .ok()
            .filter(|length| *length > 0)
            .ok_or_else(|| lasting("takes a user name and a password of 1 to 255 bytes each"))?;
        message.push(length);
        message.extend_from_slice(part);
    }
    stream.write_all(&message).await.map_err(broke)?;
    let [_version, status] = read(stream).await?;
    if status == 0 {
        Ok(())
    } else {
        Err(lasting(format!(
            "refuses user {} with this password",
            login.user
        )))
    }
}

fn request(destination: &Destination) -> Result<Vec<u8>, Refusal> {
    let mut message = vec![VERSION, CONNECT, 0];
    match destination.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length = u8::try_from(destination.host.len())
                .map_err(|_| lasting("takes host names of at most 255 bytes"))?;
            message.extend_from_slice(&[NAME, length]);
            message.extend_from_slice(destination.host.as_bytes());
        }
    }
    message.extend_from_slice(&destination.port.to_be_bytes());
    Ok(message)
}

/// RFC 1928, 6. While an instance boots its host is unreachable or refuses; only what the proxy's rules say lasts.
fn refusal_of(reply: u8) -> Refusal {
    match reply {
        1 => passing("failed".into()),
        2 => lasting("does not allow connections to it (its rules)"),
        3 => passing("has no route to its network".into()),
        4 => passing("cannot reach it".into()),
        5 => passing("was refused by it".into()),
        6 => passing("waited too long for it (TTL expired)".into()),
        7 => lasting("does not know the command CONNECT"),
        8 => lasting("does not know this kind of address"),
        other => passing(format!("answered with the unknown code {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str) -> Destination {
        Destination {
            host: host.into(),
            port: 22,
        }
    }

    /// Lets a proxy that answers `said` be asked; gives what it was told, and the result.
    async fn conversation(
        login: Option<SocksLogin>,
        said: &[u8],
        host: &str,
    ) -> (Vec<u8>, Result<(), Refusal>) {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(said).await.expect("room");
        theirs.shutdown().await.expect("open");
        let result = ask(&mut ours, login.as_ref(), &to(host)).await;
        drop(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.expect("open");
        (heard, result)
    }

    fn login() -> SocksLogin {
        SocksLogin {
            user: "me".into(),
            password: Secret::new("hunter2"),
        }
    }

    #[tokio::test]
    async fn an_address_is_asked_for_without_login() {
        let (heard, result) =
            conversation(None, &[5, 0, 5, 0, 0, 1, 9, 9, 9, 9, 0, 7], "10.1.2.3").await;
        assert_eq!(result, Ok(()));
        assert_eq!(heard, [5, 1, 0, 5, 1, 0, 1, 10, 1, 2, 3, 0, 22]);
    }

    #[tokio::test]
    async fn a_name_is_left_to_the_proxy() {
        let answer = [5, 0, 5, 0, 0, 3, 2, b'h', b'i', 0, 7];
        let (heard, result) = conversation(None, &answer, "db").await;
        assert_eq!(result, Ok(()));
        assert_eq!(heard, [5, 1, 0, 5, 1, 0, 3, 2, b'd', b'b', 0, 22]);
    }

    #[tokio::test]
    async fn the_login_is_sent_only_if_it_is_asked_for() {
        let answer = [
            5, 2, 1, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 7,
        ];
        let (heard, result) = conversation(Some(login()), &answer, "::1").await;
        assert_eq!(result, Ok(()));
        assert!(heard.windows(7).any(|window| window == b"hunter2"));
        let (heard, _) = conversation(Some(login()), &[5, 0, 5, 0, 0, 1], "::1").await;
        assert!(!heard.windows(7).any(|window| window == b"hunter2"));
    }

    #[tokio::test]
    async fn refusals_say_whether_they_last() {
        let (_, wrong) = conversation(Some(login()), &[5, 2, 1, 1], "h").await;
        let wrong = wrong.expect_err("refused");
        assert!(
            wrong.is_final && wrong.detail.contains("user me"),
            "{wrong:?}"
        );
        assert!(!wrong.detail.contains("hunter2"), "{wrong:?}");
        let (_, booting) = conversation(None, &[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], "h").await;
        assert!(!booting.expect_err("refused").is_final);
        let (_, rules) = conversation(None, &[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], "h").await;
        assert!(rules.expect_err("refused").is_final);
        let (_, none) = conversation(None, &[5, 0xff], "h").await;
        assert!(none.expect_err("refused").detail.contains("password"));
        let (_, http) = conversation(None, b"HTTP/1.1 400 Bad Request", "h").await;
        assert!(http.expect_err("no proxy").is_final);
        let (_, silent) = conversation(None, &[], "h").await;
        assert!(!silent.expect_err("it closed").is_final);
    }
}
