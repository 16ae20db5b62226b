//! No retries where EC2 has no machine left.

use aws_sdk_ec2::config::interceptors::InterceptorContext;
use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;

use crate::classify::kind_of;
use cloud::ErrorKind;

/// Forbids the SDK to repeat a RunInstances that failed for lack of capacity.
///
/// EC2 sends InsufficientInstanceCapacity as a server error, so the SDK would try the same type in the same zone
/// again, which takes time and does not help: "wait a few minutes", or take another type or zone.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-capacity>
#[derive(Debug)]
pub(crate) struct NoRetryOfCapacity;

impl ClassifyRetry for NoRetryOfCapacity {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let code = context
            .output_or_error()
            .and_then(|result| result.err())
            .and_then(|error| error.as_operation_error())
            .and_then(|error| error.downcast_ref::<RunInstancesError>())
            .and_then(|error| error.code());
        match code.map(|code| kind_of(code, "", 500)) {
            Some(ErrorKind::Capacity) => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "no retry of capacity errors"
    }
}
