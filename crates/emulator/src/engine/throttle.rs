//! Token buckets.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>: a bucket for each region and action holds a
//! burst and fills at a rate; a request that finds it empty is refused with `RequestLimitExceeded` (HTTP 503).

use crate::api::ebs;
use crate::api::ec2::Access;
use crate::api::error::ApiError;
use crate::api::protocol::Service;
use crate::config::Throttle;
use crate::faults::service::{BucketRule, ThrottleFault};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// The buckets.
#[derive(Debug)]
pub struct Buckets {
    rules: Option<Throttle>,
    buckets: Mutex<HashMap<(String, String), Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// A bucket whose rule has changed is a new one, and full.
    rule: BucketRule,
    tokens: f64,
    filled: Instant,
}

/// A request that wants a token.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The service that would refuse it.
    pub service: Service,
    /// Its region.
    pub region: &'a str,
    /// Its action.
    pub action: &'a str,
    /// Whether it can change anything.
    pub access: Access,
}

impl Buckets {
    /// Buckets by these rules; none at all if there are none.
    pub fn new(rules: Option<Throttle>) -> Self {
        Self {
            rules,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token. The rules of `fault` go before the own ones.
    ///
    /// # Errors
    /// The service's refusal if there is none.
    pub fn take(
        &self,
        wanted: Wanted<'_>,
        fault: &ThrottleFault,
        now: Instant,
    ) -> Result<(), ApiError> {
        let own = || self.rules.map(|rules| own_rule(rules, wanted));
        let Some(rule) = fault.rule(wanted.action).or_else(own) else {
            return Ok(());
        };
        let key = (wanted.region.to_owned(), wanted.action.to_owned());
        match self.take_of(key, rule, now) {
            true => Ok(()),
            false => Err(ApiError::throttled(wanted.service)),
        }
    }

    /// Takes a token of one snapshot's own bucket, beside the account's.
    ///
    /// # Errors
    /// EBS's refusal if there is none.
    pub fn take_of_snapshot(
        &self,
        action: &str,
        snapshot: &str,
        now: Instant,
    ) -> Result<(), ApiError> {
        let Some(rules) = self.rules else {
            return Ok(());
        };
        let key = (snapshot.to_owned(), action.to_owned());
        match self.take_of(key, of_blocks(rules), now) {
            true => Ok(()),
            false => Err(ApiError::throttled(Service::Ebs).with_reason("RESOURCE_LEVEL_THROTTLE")),
        }
    }

    /// Whether there was a token.
    fn take_of(&self, key: (String, String), rule: BucketRule, now: Instant) -> bool {
        let full = || Bucket {
            rule,
            tokens: f64::from(rule.burst),
            filled: now,
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key).or_insert_with(full);
        if bucket.rule != rule {
            *bucket = full();
        }
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * f64::from(rule.rate)).min(f64::from(rule.burst));
        bucket.filled = now;
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }
}

fn of_blocks(rules: Throttle) -> BucketRule {
    BucketRule {
        burst: rules.blocks,
        rate: rules.blocks,
    }
}

fn own_rule(rules: Throttle, wanted: Wanted<'_>) -> BucketRule {
    // "at least 3,500 PUT/COPY/POST/DELETE or 5,500 GET/HEAD requests per second per partitioned Amazon S3 prefix"
    // (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html)
    let of_s3 = |rate| BucketRule { burst: rate, rate };
    match wanted.access {
        Access::Read if wanted.service == Service::S3 => of_s3(5_500),
        Access::Write if wanted.service == Service::S3 => of_s3(3_500),
        _ if ebs::is_about_a_block(wanted.action) => of_blocks(rules),
        Access::Read => BucketRule {
            burst: rules.read_burst,
            rate: rules.read_rate,
        },
        Access::Write => BucketRule {
            burst: rules.write_burst,
            rate: rules.write_rate,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(action: &str) -> Wanted<'_> {
        Wanted {
            service: Service::Ec2,
            region: "us-east-2",
            action,
            access: Access::Read,
        }
    }

    #[test]
    fn a_burst_then_the_rate_for_each_action_by_itself() {
        let buckets = Buckets::new(Some(Throttle {
            read_burst: 3,
            read_rate: 2,
            write_burst: 1,
            write_rate: 1,
            blocks: 1,
        }));
        let start = Instant::now();
        let none = ThrottleFault::default();
        let take =
            |action, after| buckets.take(read(action), &none, start + Duration::from_millis(after));
        for _ in 0..3 {
            take("DescribeImages", 0).unwrap();
        }
        let refused = take("DescribeImages", 0).unwrap_err();
        assert_eq!(
            (refused.code(), refused.status()),
            ("RequestLimitExceeded", 503)
        );
        take("DescribeInstances", 0).unwrap();
        take("DescribeImages", 500).unwrap();
        take("DescribeImages", 500).unwrap_err();
    }

    #[test]
    fn blocks_have_buckets_of_their_account_and_of_their_snapshot() {
        let buckets = Buckets::new(Some(Throttle {
            read_burst: 1,
            read_rate: 1,
            write_burst: 1,
            write_rate: 1,
            blocks: 2,
        }));
        let now = Instant::now();
        let put = Wanted {
            service: Service::Ebs,
            ..read("PutSnapshotBlock")
        };
        let none = ThrottleFault::default();
        for _ in 0..2 {
            buckets.take(put, &none, now).unwrap();
            buckets.take_of_snapshot(put.action, "snap-1", now).unwrap();
        }
        let refused = buckets.take(put, &none, now).unwrap_err();
        assert_eq!(refused.reason(), Some("ACCOUNT_THROTTLED"));
        buckets.take_of_snapshot(put.action, "snap-2", now).unwrap();
        let refused = buckets.take_of_snapshot(put.action, "snap-1", now);
        let refused = refused.unwrap_err();
        assert_eq!(refused.reason(), Some("RESOURCE_LEVEL_THROTTLE"));
        assert_eq!(
            (refused.code(), refused.status()),
            ("RequestThrottledException", 400)
        );
    }

    #[test]
    fn without_rules_nothing_is_refused() {
        let buckets = Buckets::new(None);
        for _ in 0..10_000 {
            let none = ThrottleFault::default();
            buckets.take(read("a"), &none, Instant::now()).unwrap();
        }
    }

    #[test]
    fn a_faults_rule_goes_before_the_own_one_while_it_is_in_force() {
        let buckets = Buckets::new(None);
        let fault: ThrottleFault =
            serde_json::from_str(r#"{"DescribeImages":{"burst":1,"rate":0}}"#).unwrap();
        let now = Instant::now();
        buckets.take(read("DescribeImages"), &fault, now).unwrap();
        let later = now + Duration::from_secs(3600);
        buckets
            .take(read("DescribeImages"), &fault, later)
            .unwrap_err();
        buckets.take(read("DescribeTags"), &fault, later).unwrap();
        let none = ThrottleFault::default();
        buckets.take(read("DescribeImages"), &none, later).unwrap();
    }
}
