//! One question to a web server, redirections followed.
//!
//! Redirections are followed here and not by the HTTP client: credentials go to the host they were given for and no other,
//! nothing leads from https to http, and the address that answers in the end is known.

use crate::address::{Address, redirected, same_origin, shown};
use crate::error::FetchError;
use crate::pace::retry_after;
use crate::settings::{Proxies, Settings};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use std::sync::Arc;
use std::time::Duration;

/// Some servers refuse requests that do not say what they come from.
const AGENT: &str = concat!("qib/", env!("CARGO_PKG_VERSION"));

/// As many as browsers and curl follow, roughly; a chain of mirrors needs two or three.
const REDIRECTIONS: usize = 10;

/// Asks web servers.
pub(crate) struct Web {
    client: Client,
    has_authorities: bool,
    stall: Duration,
    answer: Duration,
    what: String,
}

/// A server's answer: 200, 206 or 416, its body not yet read.
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The address that answered, after redirections.
    pub(crate) url: Url,
}

/// Why there is no answer, or no more of it.
pub(crate) enum Trouble {
    /// Asking again may help, after this long if the server says so.
    Again {
        why: String,
        after: Option<Duration>,
    },
    /// It does not.
    Final(Box<FetchError>),
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Final(Box::new(error))
    }
}

fn again(why: String) -> Trouble {
    Trouble::Again { why, after: None }
}

impl Web {
    /// With this machine's certificate authorities.
    pub(crate) fn new(what: &str, settings: &Settings) -> Result<Self, FetchError> {
        let machine = |why: String| FetchError::Machine {
            what: what.to_owned(),
            why,
        };
        let mut authorities = rustls::RootCertStore::empty();
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let has_authorities = !authorities.is_empty();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| machine(error.to_string()))?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(AGENT)
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect_timeout)
            // A connection that has failed once is not tried again.
            .pool_max_idle_per_host(0);
        if settings.proxies == Proxies::Direct {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(|error| machine(in_words(error).0))?,
            has_authorities,
            stall: settings.stall_timeout,
            answer: settings
                .connect_timeout
                .saturating_add(settings.stall_timeout),
            what: what.to_owned(),
        })
    }

    /// Asks with GET. `fields` says which header fields an address gets beside the usual ones.
    pub(crate) async fn get(
        &self,
        address: &Address,
        fields: &(dyn Fn(&Url) -> Vec<(HeaderName, String)> + Sync),
    ) -> Result<Answer, Trouble> {
        let first = address.plain();
        let mut url = first.clone();
        for _ in 0..=REDIRECTIONS {
            if url.scheme() == "https" && !self.has_authorities {
                return Err(FetchError::Machine {
                    what: self.what.clone(),
                    why: "it has no certificate authorities. Install the package ca-certificates, or name a file in \
                          SSL_CERT_FILE"
                        .into(),
                }
                .into());
            }
            let mut request = self
                .client
                .get(url.clone())
                .header(ACCEPT_ENCODING, "identity");
            for (name, value) in fields(&url) {
                request = request.header(name, value);
            }
            if let Some(login) = address.login()
                && same_origin(&first, &url)
            {
                request = request.basic_auth(login.user, Some(login.password));
            }
            let response = tokio::time::timeout(self.answer, request.send())
                .await
                .map_err(|_| {
                    again(format!(
                        "{} did not answer within {:?}",
                        shown(&url),
                        self.answer
                    ))
                })?
                .map_err(|error| self.failed(&url, error))?;
            match redirection(&response) {
                Some(Ok(location)) => {
                    url = redirected(&url, &location).map_err(|why| self.answer(&url, why))?;
                }
                Some(Err(why)) => return Err(self.answer(&url, why)),
                None => return self.judge(response, url),
            }
        }
        let why = format!(
            "it redirects more than {REDIRECTIONS} times, at last to {}",
            shown(&url)
        );
        Err(self.answer(&first, why))
    }

    /// The next piece of a body.
    pub(crate) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, Trouble> {
        tokio::time::timeout(self.stall, response.chunk())
            .await
            .map_err(|_| again(format!("no byte came for {:?}", self.stall)))?
            .map_err(|error| again(in_words(error).0))
    }

    fn judge(&self, response: Response, url: Url) -> Result<Answer, Trouble> {
        let status = response.status();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(Answer { response, url })
            }
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Trouble::Again {
                    why: format!("{} answers {status}", shown(&url)),
                    after: field(response.headers(), &RETRY_AFTER)
                        .and_then(|value| retry_after(value, Timestamp::now())),
                })
            }
            _ => Err(self.refused(&url, status).into()),
        }
    }

    /// That the answer has this status, and asking again is of no use.
    pub(crate) fn refused(&self, url: &Url, status: StatusCode) -> FetchError {
        let hint = match status.as_u16() {
            401 => {
                "The server wants a user and a password: take an address that needs none, such as a signed one, or fetch the file first"
            }
            403 => {
                "A signed address may have expired; what needs a login is fetched first, and taken as a file"
            }
            404 | 410 => {
                "Compare the address with what its publisher names today: many servers remove old releases"
            }
            407 => "The proxy wants a user and password: give them in HTTPS_PROXY",
            _ => "Asking again would change nothing: look at the address with a browser",
        };
        FetchError::Refused {
            what: self.what.clone(),
            from: shown(url),
            status: status.to_string(),
            hint,
        }
    }

    fn answer(&self, url: &Url, why: String) -> Trouble {
        FetchError::Answer {
            what: self.what.clone(),
            from: shown(url),
            why,
        }
        .into()
    }

    fn failed(&self, url: &Url, error: reqwest::Error) -> Trouble {
        match in_words(error) {
            (why, Certificate::Refused) => self.answer(
                url,
                format!(
                    "{why}. Its certificate is not one that this machine trusts: check the clock and the address; a \
                     certificate authority of your own belongs into the machine's store or into SSL_CERT_FILE"
                ),
            ),
            (why, Certificate::NotTheReason) => again(format!("{}: {why}", shown(url))),
        }
    }
}

/// The value of a header field, if it is there and text.
pub(crate) fn field<'a>(fields: &'a HeaderMap<HeaderValue>, name: &HeaderName) -> Option<&'a str> {
    fields.get(name)?.to_str().ok()
}

fn redirection(response: &Response) -> Option<Result<String, String>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    Some(match field(response.headers(), &LOCATION) {
        Some(location) => Ok(location.to_owned()),
        None => Err(format!(
            "it answers {} and does not say where to",
            response.status()
        )),
    })
}

enum Certificate {
    Refused,
    NotTheReason,
}

/// An error and what caused it, without the URL, which may have secrets in it.
fn in_words(error: reqwest::Error) -> (String, Certificate) {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut certificate = Certificate::NotTheReason;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(it) = cause {
        let words = it.to_string();
        if !text.contains(&words) {
            text.push_str(&format!(": {words}"));
        }
        if is_bad_certificate(it) {
            certificate = Certificate::Refused;
        }
        cause = it.source();
    }
    (text, certificate)
}

/// Whether an error is that of a certificate. Input and output errors have it within them, some within one another.
fn is_bad_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| is_bad_certificate(inner))
}
