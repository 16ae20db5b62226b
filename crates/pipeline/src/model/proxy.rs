//! The proxy through which SSH leaves the build host.

use super::HostName;
use crate::template::SecretTemplate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU16;

/// A SOCKS5 proxy through which SSH leaves the machine that runs qib.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it is, and as whom to log in.
    pub url: ProxyUrl,
    /// The password of the user in `url`.
    pub password: Option<SecretTemplate>,
}

/// A SOCKS5 proxy that asks for a password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Proxy")]
struct ProxyFile {
    /// `socks5://[USER@]HOST:PORT`.
    url: ProxyUrl,
    /// The password of the user in `url`: a secret variable.
    password: Option<SecretTemplate>,
}

/// `socks5://[USER@]HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProxyUrl {
    /// As whom to log in.
    pub user: Option<String>,
    /// Where it is.
    pub host: HostName,
    /// Its port.
    pub port: NonZeroU16,
}

impl ProxyUrl {
    const FORM: &str = "socks5://[USER@]HOST:PORT";

    fn parse(text: &str) -> Result<Self, String> {
        // The text may hold a password that was put here by mistake, so no message repeats it.
        let rest = text.strip_prefix("socks5://").ok_or_else(|| {
            let scheme = text.split("://").next().filter(|scheme| {
                text.contains("://") && scheme.chars().all(|c| c.is_ascii_alphanumeric())
            });
            match scheme {
                Some(scheme) => format!(
                    "`{scheme}://` is no kind of proxy that SSH can use; it has the form {}",
                    Self::FORM
                ),
                None => format!("a proxy has the form {}", Self::FORM),
            }
        })?;
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(String::from(
                "a proxy's password does not stand in its URL: write `proxy: { url: socks5://USER@HOST:PORT, password: \"${{ vars.NAME }}\" }`",
            ));
        }
        if user.is_some_and(|user| user.is_empty() || user.len() > 255 || user.contains('%')) {
            return Err(String::from(
                "a proxy's user has 1 to 255 characters, none of them `%`",
            ));
        }
        let place = place.strip_suffix('/').unwrap_or(place);
        let form = || format!("a proxy has the form {}", Self::FORM);
        let (host, port) = place.rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.ok_or_else(form)?,
            None if host.contains(':') => return Err(form()),
            None => host,
        };
        Ok(Self {
            user: user.map(str::to_owned),
            host: HostName::new(host).map_err(|_| form())?,
            port: port.parse().map_err(|_| form())?,
        })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("socks5://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.as_str().contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for ProxyUrl {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ProxyUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^socks5://([^@:%]+@)?[^@]+:[0-9]+/?$" })
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProxyVisitor;

        impl<'de> Visitor<'de> for ProxyVisitor {
            type Value = Proxy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} or {{ url: …, password: … }}", ProxyUrl::FORM)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Proxy, E> {
                let url = ProxyUrl::parse(text).map_err(E::custom)?;
                Ok(Proxy {
                    url,
                    password: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Proxy, A::Error> {
                let file = ProxyFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Proxy {
                    url: file.url,
                    password: file.password,
                })
            }
        }

        deserializer.deserialize_any(ProxyVisitor)
    }
}

impl JsonSchema for Proxy {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Proxy".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (url, file) = (
            ProxyUrl::json_schema(generator),
            ProxyFile::json_schema(generator),
        );
        json_schema!({ "anyOf": [url, file] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_its_text() {
        for text in [
            "socks5://proxy.example:1080",
            "socks5://me@10.0.0.1:1080",
            "socks5://[fd00::1]:1080",
        ] {
            assert_eq!(ProxyUrl::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let why = ProxyUrl::parse("socks5://me:hunter2@proxy:1080").unwrap_err();
        assert!(
            why.contains("password") && !why.contains("hunter2"),
            "{why}"
        );
        for text in [
            "http://me:hunter2@proxy:1",
            "socks5h://hunter2",
            "me:hunter2@x:1",
        ] {
            let why = ProxyUrl::parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "socks5://",
            "socks5://h",
            "socks5://h:0",
            "socks5://h:x",
            "socks5://@h:1",
            "socks5://fd00::1:1",
        ] {
            assert!(ProxyUrl::parse(text).is_err(), "{text}");
        }
    }
}
