//! The adapter on the wire: what each call of the port sends, and what it makes of the answers. The other side is a
//! small HTTP server on 127.0.0.1 that keeps every request and gives the answers that the test has put ready.

// Tests may read their environment and start processes; printing is how the child of `environment` answers.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod addresses;
mod copies;
mod dry_run;
mod environment;
mod failures;
mod iam;
mod images;
mod instances;
mod keys_and_groups;
mod launch;
mod lifecycle;
mod networks;
mod parameters;
mod permissions;
mod profiles;
mod quotas_and_keys;
mod server;
mod snapshots;
mod volumes;

use async_trait::async_trait;
use aws::{AwsAccount, AwsOptions, StaticCredentials, Timeouts};
use cloud::retry::Retrying;
use cloud::{Account, Clock, Region, RegionName, Timestamp};
use server::{Answer, Server};
use std::sync::Arc;
use std::time::Duration;

/// Short enough for a test that runs into them, long enough for a busy machine.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    read: Duration::from_millis(300),
    attempt: Duration::from_secs(5),
};

fn options(endpoint_url: &str, timeouts: Timeouts) -> AwsOptions {
    AwsOptions {
        region: Some("us-east-2".to_owned()),
        endpoint_url: Some(endpoint_url.to_owned()),
        credentials: Some(StaticCredentials {
            access_key_id: "AKIDLOCAL".to_owned(),
            secret_access_key: "local-secret".to_owned(),
        }),
        timeouts,
        ..AwsOptions::default()
    }
}

/// A server with these answers, and a region that talks to it without repeats.
async fn region(answers: impl IntoIterator<Item = Answer>) -> (Server, Arc<dyn Region>) {
    let patient = Timeouts {
        read: Duration::from_secs(10),
        ..TIMEOUTS
    };
    region_with(answers, patient).await
}

/// Time in which pauses are a twentieth as long: the wire is real, the patience need not be.
struct Hurried;

#[async_trait]
impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / 20).await;
    }
}

/// A server with these answers, and a region that talks to it with repeats, as the binary's does.
async fn repeating_region(answers: impl IntoIterator<Item = Answer>) -> (Server, Arc<dyn Region>) {
    let server = Server::start(answers).await;
    let patient = Timeouts {
        read: Duration::from_secs(10),
        ..TIMEOUTS
    };
    let account = AwsAccount::connect(options(server.url(), patient))
        .await
        .expect("options are whole");
    let account = Retrying::new(Arc::new(account), Arc::new(Hurried), 1);
    let region = account.region(&RegionName::from("us-east-2"));
    (server, region)
}

async fn region_with(
    answers: impl IntoIterator<Item = Answer>,
    timeouts: Timeouts,
) -> (Server, Arc<dyn Region>) {
    let server = Server::start(answers).await;
    let account = AwsAccount::connect(options(server.url(), timeouts))
        .await
        .expect("options are whole");
    let region = account.region(&RegionName::from("us-east-2"));
    (server, region)
}

#[tokio::test]
async fn who_am_i_is_asked_of_sts_in_the_default_region() {
    let server = Server::start([Answer::xml(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::123456789012:user/builder</Arn><UserId>AID</UserId><Account>123456789012</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>",
    )])
    .await;
    let account = AwsAccount::connect(options(server.url(), TIMEOUTS))
        .await
        .unwrap();
    assert_eq!(account.default_region().as_str(), "us-east-2");
    let identity = account.caller_identity().await.unwrap();
    assert_eq!(identity.account.as_str(), "123456789012");
    assert_eq!(identity.arn, "arn:aws:iam::123456789012:user/builder");
    let request = server.only_request();
    assert_eq!(request.param("Action"), Some("GetCallerIdentity"));
    request.assert_signed_for("us-east-2", "sts");
}

#[tokio::test]
async fn each_region_is_signed_for_and_made_once() {
    let server = Server::start([
        Answer::xml("<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>"),
        Answer::xml("<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>"),
    ])
    .await;
    let account = AwsAccount::connect(options(server.url(), TIMEOUTS))
        .await
        .unwrap();
    for name in ["eu-west-1", "us-west-2"] {
        let region = account.region(&RegionName::from(name));
        assert_eq!(region.name().as_str(), name);
        assert!(Arc::ptr_eq(
            &region,
            &account.region(&RegionName::from(name))
        ));
        region.subnets(&[]).await.unwrap();
    }
    let requests = server.requests();
    requests[0].assert_signed_for("eu-west-1", "ec2");
    requests[1].assert_signed_for("us-west-2", "ec2");
}
