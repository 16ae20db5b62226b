//! HTTP requests and answers, free of any server.

use super::ebs;
use super::error::ApiError;
use super::sigv4::SignedRequest;
use jiff::Timestamp;
use std::time::Duration;

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// Such as `POST`.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// The query, as sent, without the question mark.
    pub query: String,
    /// Headers, names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// Further headers, names as AWS writes them.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The service's time, for the header `Date`.
    pub date: Timestamp,
    /// Whether the client gets it.
    pub delivery: Delivery,
}

/// Whether the client gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It does.
    Sent,
    /// It does, so much later.
    Late(Duration),
    /// The connection is closed instead.
    Dropped,
    /// It hears nothing for so long, then the connection is closed.
    Withheld(Duration),
}

impl HttpReply {
    /// The header `Date`.
    pub fn http_date(&self) -> String {
        http_date(self.date)
    }
}

/// A time as HTTP's headers have it, see <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>.
pub fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// How a service words its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// EC2 Query, version 2016-11-15.
    Ec2,
    /// STS Query, version 2011-06-15.
    Sts,
    /// IAM Query, version 2010-05-08.
    Iam,
    /// SSM, JSON 1.1.
    Ssm,
    /// KMS, JSON 1.1.
    Kms,
    /// Service Quotas, JSON 1.1.
    Quotas,
    /// EBS direct APIs, REST with JSON, version 2019-11-02.
    Ebs,
    /// S3, REST with XML, version 2006-03-01. Its requests go another way, see [`super::s3`].
    S3,
}

/// How the services in JSON name their actions in the header `X-Amz-Target`.
const TARGETS: [(Service, &str); 3] = [
    (Service::Ssm, "AmazonSSM."),
    (Service::Kms, "TrentService."),
    (Service::Quotas, "ServiceQuotasV20190624."),
];

impl HttpRequest {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The parts that are signed.
    pub fn signed(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            digest: None,
        }
    }

    /// The service it is for: the one it is signed for, else the one its form suggests.
    pub fn service(&self) -> Service {
        let all = [
            Service::Sts,
            Service::Iam,
            Service::Ssm,
            Service::Kms,
            Service::Quotas,
            Service::Ebs,
            Service::S3,
        ];
        match self.signed().claim().map(|c| c.service) {
            Ok(signed) => {
                let named = all.into_iter().find(|s| s.name() == signed);
                named.unwrap_or(Service::Ec2)
            }
            Err(_) => {
                let target = self.header("x-amz-target");
                let of = |t: &str| TARGETS.iter().find(|(_, prefix)| t.starts_with(prefix));
                match target {
                    Some(t) => of(t).map_or(Service::Ssm, |(service, _)| *service),
                    None => Service::Ec2,
                }
            }
        }
    }
}

impl Service {
    /// An answer to an action that was carried out, given at `date`.
    pub fn success(
        self,
        action: &str,
        content: &str,
        request_id: &str,
        date: Timestamp,
    ) -> HttpReply {
        let body = match self {
            Self::Ec2 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                 <requestId>{request_id}</requestId>{content}</{action}Response>"
            ),
            Self::Sts | Self::Iam => format!(
                "<{action}Response xmlns=\"{}\"><{action}Result>{content}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>",
                self.namespace()
            ),
            Self::Ssm | Self::Kms | Self::Quotas | Self::Ebs | Self::S3 => content.to_owned(),
        };
        let (status, headers) = match self {
            Self::Ebs => (ebs::status(action), ebs::identified(request_id)),
            _ => (200, Vec::new()),
        };
        HttpReply {
            status,
            content_type: self.content_type(),
            headers,
            body: body.into_bytes(),
            date,
            delivery: Delivery::Sent,
        }
    }

    /// An answer, given at `date`, to an action that was refused, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#error-response-format>.
    pub fn failure(self, error: &ApiError, request_id: &str, date: Timestamp) -> HttpReply {
        let mut x = super::ec2::xml::Xml::new();
        let body = match self {
            Self::Ec2 => {
                x.node("Response", |x| {
                    x.node("Errors", |x| {
                        x.node("Error", |x| {
                            x.put("Code", error.code()).put("Message", error.message());
                        });
                    });
                    x.put("RequestID", request_id);
                });
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
                    x.into_text()
                )
            }
            Self::Sts | Self::Iam => {
                x.node("Error", |x| {
                    x.put("Type", "Sender")
                        .put("Code", error.code())
                        .put("Message", error.message());
                });
                x.put("RequestId", request_id);
                format!(
                    "<ErrorResponse xmlns=\"{}\">{}</ErrorResponse>",
                    self.namespace(),
                    x.into_text()
                )
            }
            Self::Ssm | Self::Kms | Self::Quotas => {
                serde_json::json!({ "__type": error.code(), "message": error.message() })
                    .to_string()
            }
            Self::Ebs => ebs::refusal(error).to_string(),
            Self::S3 => super::s3::error::S3Error::from(error.clone()).xml("/", request_id),
        };
        let mut headers = Vec::new();
        if self == Self::Ebs {
            headers = ebs::identified(request_id);
            headers.push(("x-amzn-ErrorType", error.code().to_owned()));
        }
        HttpReply {
            status: error.status(),
            content_type: self.content_type(),
            headers,
            body: body.into_bytes(),
            date,
            delivery: Delivery::Sent,
        }
    }

    /// The service's name in a signature's scope and in an IAM action.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Ssm => "ssm",
            Self::Kms => "kms",
            Self::Quotas => "servicequotas",
            Self::Ebs => "ebs",
            Self::S3 => "s3",
        }
    }

    /// Whether its requests and answers are JSON.
    pub fn is_json(self) -> bool {
        TARGETS.iter().any(|(service, _)| *service == self)
    }

    /// The action that a header `X-Amz-Target` names; empty if it names none of this service's.
    pub fn action_of(self, target: &str) -> &str {
        let prefix = TARGETS.iter().find(|(service, _)| *service == self);
        prefix
            .and_then(|(_, prefix)| target.strip_prefix(prefix))
            .unwrap_or_default()
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            _ => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Ec2 => "text/xml;charset=UTF-8",
            Self::Sts | Self::Iam => "text/xml",
            Self::Ssm | Self::Kms | Self::Quotas => "application/x-amz-json-1.1",
            Self::Ebs => "application/json",
            Self::S3 => "application/xml",
        }
    }
}
