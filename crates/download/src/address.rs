//! Where something lies on the web, shown without what may be secret in it.

use reqwest::Url;
use std::fmt;
use std::str::FromStr;

/// An `http` or `https` URL.
///
/// It is shown without user name, password, query and fragment: the first two are credentials, and a query often is
/// (signed URLs of object stores).
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why a text is no [`Address`]. The text itself is not repeated: it may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is not a URL at all.
    #[error("it is not a URL: {0}")]
    NotAUrl(String),
    /// It is a URL of another scheme than `http` and `https`.
    #[error("its scheme is {0}, and only https and http are known")]
    Scheme(String),
}

/// User name and password, as they are sent (percent-encoding undone).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|error| AddressError::NotAUrl(error.to_string()))?;
        Self::try_from(url)
    }
}

impl TryFrom<Url> for Address {
    type Error = AddressError;

    fn try_from(url: Url) -> Result<Self, AddressError> {
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            other => Err(AddressError::Scheme(other.to_owned())),
        }
    }
}

impl Address {
    /// The last part of the path, with its percent-encoding undone: the name under which a checksum file lists it.
    /// None when the path ends in a slash or is not UTF-8.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        let last = self.0.path_segments()?.next_back()?;
        decoded(last).filter(|name| !name.is_empty())
    }

    /// Another file beside this one: the same address with `suffix` after its path.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{suffix}", url.path()));
        Self(url)
    }

    /// The URL without credentials and fragment, as it is asked for.
    pub(crate) fn plain(&self) -> Url {
        without_login(&self.0)
    }

    pub(crate) fn login(&self) -> Option<Login> {
        if self.0.username().is_empty() && self.0.password().is_none() {
            return None;
        }
        let text = |part: &str| decoded(part).unwrap_or_else(|| part.to_owned());
        Some(Login {
            user: text(self.0.username()),
            password: text(self.0.password().unwrap_or_default()),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// A URL as a person may see it.
pub(crate) fn shown(url: &Url) -> String {
    let mut plain = without_login(url);
    let asked = plain.query().is_some();
    plain.set_query(None);
    format!("{plain}{}", if asked { "?…" } else { "" })
}

fn without_login(url: &Url) -> Url {
    let mut plain = url.clone();
    // Both can fail only for URLs without a host, and http URLs have one.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain.set_fragment(None);
    plain
}

/// Where a redirection leads. Credentials in it are left out: a server does not say with which password another one is
/// asked.
///
/// # Errors
/// In words: no URL, another scheme than http and https, or from https to http.
pub(crate) fn redirected(from: &Url, location: &str) -> Result<Url, String> {
    let to = from
        .join(location)
        .map_err(|error| format!("it redirects to something that is not a URL: {error}"))?;
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(without_login(&to)),
        ("https", "http") => Err(format!(
            "it redirects from https to plain http ({})",
            shown(&to)
        )),
        (_, other) => Err(format!("it redirects to a URL of scheme {other}")),
    }
}

/// Whether credentials for the one may be sent to the other.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(text);
    text.decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("a URL")
    }

    #[test]
    fn credentials_query_and_fragment_are_not_shown() {
        let it = address("https://me:s3cret@h.example:8443/a/b.qcow2?X-Sig=s3cret#s3cret");
        assert_eq!(it.to_string(), "https://h.example:8443/a/b.qcow2?…");
        assert!(!format!("{it:?}").contains("s3cret"));
        assert!(!it.plain().as_str().contains("me:"));
        let login = it.login().expect("there is one");
        assert_eq!(
            (login.user.as_str(), login.password.as_str()),
            ("me", "s3cret")
        );
        assert!(address("http://h/").login().is_none());
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        for bad in ["ftp://me:s3cret@h/x", "http://me:s3cret@:70000/x", "s3cret"] {
            let error = bad.parse::<Address>().expect_err(bad);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_sent_decoded() {
        let login = address("http://a%40b:p%3Aw@h/").login().expect("a login");
        assert_eq!(
            (login.user.as_str(), login.password.as_str()),
            ("a@b", "p:w")
        );
    }

    #[test]
    fn names_are_the_last_part_decoded() {
        let name = |text: &str| address(text).file_name();
        assert_eq!(
            name("https://h/a/b%20c.raw.xz?x=/y").as_deref(),
            Some("b c.raw.xz")
        );
        assert_eq!(name("https://h/a/100%"), Some("100%".into()));
        assert_eq!(name("https://h/a/"), None);
        assert_eq!(name("https://h"), None);
    }

    #[test]
    fn redirections_never_lead_from_https_to_http() {
        let from = |text| Url::parse(text).expect("a URL");
        let ok = |a, to| redirected(&from(a), to).map(|url| url.to_string());
        assert_eq!(ok("https://a/x/y", "z").as_deref(), Ok("https://a/x/z"));
        assert_eq!(
            ok("http://a/x", "https://b/y").as_deref(),
            Ok("https://b/y")
        );
        assert_eq!(
            ok("http://a/x", "http://me:pw@b/y").as_deref(),
            Ok("http://b/y")
        );
        let down = ok("https://a/x", "http://b/y?sig=s3cret").expect_err("it is refused");
        assert!(
            down.contains("plain http") && !down.contains("s3cret"),
            "{down}"
        );
        assert!(ok("http://a/x", "file:///etc/passwd").is_err());
        assert!(ok("http://a/x", "ftp://b/").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| same_origin(&Url::parse(a).unwrap(), &Url::parse(b).unwrap());
        assert!(same("https://h/x", "https://h:443/y"));
        assert!(!same("https://h/x", "https://h:444/x"));
        assert!(!same("http://h/x", "https://h/x"));
        assert!(!same("https://h/x", "https://h.evil/x"));
    }
}
