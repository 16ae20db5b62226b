//! The client's side of AWS's signature, written by itself so that a mistake of the service's side shows.

use emulator::api::protocol::HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// An access key.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Credentials {
    /// Signs a request. Its path and query are taken as they are, so they have to be in the form that is signed. A header
    /// `x-amz-content-sha256` stands for the body.
    pub fn sign(
        &self,
        request: &mut HttpRequest,
        region: &str,
        service: &str,
        now: jiff::Timestamp,
    ) {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = &time[..8];
        request.headers.push(("x-amz-date".into(), time.clone()));
        request.headers.extend(
            self.token
                .iter()
                .map(|t| ("x-amz-security-token".to_owned(), t.clone())),
        );
        request.headers.sort();
        let names = request
            .headers
            .iter()
            .map(|(n, _)| n.as_str())
            .collect::<Vec<_>>()
            .join(";");
        let headers: String = request
            .headers
            .iter()
            .map(|(n, v)| format!("{n}:{v}\n"))
            .collect();
        let said = request.header("x-amz-content-sha256").map(str::to_owned);
        let body = said.unwrap_or_else(|| hex::encode(Sha256::digest(&request.body)));
        let canonical = hex::encode(Sha256::digest(format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{body}",
            request.method, request.path, request.query
        )));
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [date, region, service, "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex::encode(mac(
            &key,
            &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}"),
        ));
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        request.headers.push(("authorization".into(), value));
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
