//! Token buckets.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>: a bucket for each region and action holds a
//! burst and fills at a rate; a request that finds it empty is refused with `RequestLimitExceeded` (HTTP 503).

use crate::api::ec2::Access;
use crate::api::error::ApiError;
use crate::config::Throttle;
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
    tokens: f64,
    filled: Instant,
}

impl Buckets {
    /// Buckets by these rules; none at all if there are none.
    pub fn new(rules: Option<Throttle>) -> Self {
        Self {
            rules,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// `RequestLimitExceeded` if there is none.
    pub fn take(
        &self,
        region: &str,
        action: &str,
        access: Access,
        now: Instant,
    ) -> Result<(), ApiError> {
        let Some(rules) = self.rules else {
            return Ok(());
        };
        let (burst, rate) = match access {
            Access::Read => (rules.read_burst, rules.read_rate),
            Access::Write => (rules.write_burst, rules.write_rate),
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (region.to_owned(), action.to_owned());
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: f64::from(burst),
            filled: now,
        });
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * f64::from(rate)).min(f64::from(burst));
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(
                ApiError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
            );
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate_for_each_action_by_itself() {
        let buckets = Buckets::new(Some(Throttle {
            read_burst: 3,
            read_rate: 2,
            write_burst: 1,
            write_rate: 1,
        }));
        let start = Instant::now();
        let take = |action, after| {
            buckets.take(
                "us-east-2",
                action,
                Access::Read,
                start + Duration::from_millis(after),
            )
        };
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
    fn without_rules_nothing_is_refused() {
        let buckets = Buckets::new(None);
        for _ in 0..10_000 {
            buckets
                .take("r", "a", Access::Write, Instant::now())
                .unwrap();
        }
    }
}
