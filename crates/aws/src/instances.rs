//! Instances once launched: DescribeInstances, ModifyInstanceAttribute, StopInstances, TerminateInstances,
//! GetConsoleOutput.

use crate::answer::{BadAnswer, moment, parsed, required};
use crate::classify::failed;
use crate::{filters, images, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    self, AttributeBooleanValue, AttributeValue, InstanceLifecycleType, InstanceStateName,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloud::port::Result;
use cloud::{
    EnhancedNetworking, ErrorKind, ImageId, Instance, InstanceFilter, InstanceId, InstanceState,
    Purchase, SecurityGroupId, VpcId,
};

pub(crate) async fn describe(ec2: &Client, filter: &InstanceFilter) -> Result<Vec<Instance>> {
    const CALL: &str = "DescribeInstances";
    let mut instances = Vec::new();
    for filters in filters::requests("instance-id", &filter.instance_ids, &filter.filters) {
        let mut reservations = ec2
            .describe_instances()
            .set_filters(filters)
            .into_paginator()
            .page_size(filters::PAGE)
            .items()
            .send();
        while let Some(reservation) = reservations.try_next().await.map_err(failed(CALL))? {
            for answered in reservation.instances() {
                instances.push(instance(answered).map_err(BadAnswer::to(CALL))?);
            }
        }
    }
    Ok(instances)
}

/// An instance as RunInstances and DescribeInstances answer it.
pub(crate) fn instance(answered: &types::Instance) -> std::result::Result<Instance, BadAnswer> {
    let state = required(
        answered.state().and_then(|state| state.name()),
        "instanceState",
    )?;
    Ok(Instance {
        instance_id: InstanceId::from(required(answered.instance_id(), "instanceId")?),
        state: instance_state(state)?,
        state_reason: answered
            .state_reason()
            .and_then(|reason| reason.message().or(reason.code()))
            .or_else(|| answered.state_transition_reason())
            .filter(|reason| !reason.is_empty())
            .map(str::to_owned),
        image_id: answered.image_id().map(ImageId::from),
        public_ip: parsed(answered.public_ip_address(), "ipAddress")?,
        private_ip: parsed(answered.private_ip_address(), "privateIpAddress")?,
        ipv6: parsed(answered.ipv6_address(), "ipv6Address")?,
        instance_type: answered
            .instance_type()
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        availability_zone: answered
            .placement()
            .and_then(|placement| placement.availability_zone())
            .map(cloud::AvailabilityZone::from),
        vpc_id: answered.vpc_id().map(VpcId::from),
        security_groups: answered
            .security_groups()
            .iter()
            .filter_map(|group| group.group_id().map(SecurityGroupId::from))
            .collect(),
        launched: answered.launch_time().and_then(moment),
        key_name: answered.key_name().map(str::to_owned),
        tags: tagging::tags(answered.tags()),
        purchase: match answered.instance_lifecycle() {
            Some(InstanceLifecycleType::Spot) => Purchase::Spot,
            Some(_) | None => Purchase::OnDemand,
        },
    })
}

fn instance_state(answered: &InstanceStateName) -> std::result::Result<InstanceState, BadAnswer> {
    Ok(match answered {
        InstanceStateName::Pending => InstanceState::Pending,
        InstanceStateName::Running => InstanceState::Running,
        InstanceStateName::Stopping => InstanceState::Stopping,
        InstanceStateName::Stopped => InstanceState::Stopped,
        InstanceStateName::ShuttingDown => InstanceState::ShuttingDown,
        InstanceStateName::Terminated => InstanceState::Terminated,
        other => {
            return Err(BadAnswer {
                field: "instanceState",
                value: Some(other.as_str().to_owned()),
            });
        }
    })
}

pub(crate) async fn set_groups(
    ec2: &Client,
    instance: &InstanceId,
    groups: &[SecurityGroupId],
) -> Result<()> {
    ec2.modify_instance_attribute()
        .instance_id(instance.as_str())
        .set_groups(Some(groups.iter().map(ToString::to_string).collect()))
        .send()
        .await
        .map_err(|error| failed("ModifyInstanceAttribute")(error).about(instance))?;
    Ok(())
}

/// ModifyInstanceAttribute changes one attribute in one call.
pub(crate) async fn set_enhanced_networking(
    ec2: &Client,
    instance: &InstanceId,
    networking: EnhancedNetworking,
) -> Result<()> {
    const CALL: &str = "ModifyInstanceAttribute";
    if let Some(ena) = networking.ena {
        ec2.modify_instance_attribute()
            .instance_id(instance.as_str())
            .ena_support(AttributeBooleanValue::builder().value(ena).build())
            .send()
            .await
            .map_err(|error| failed(CALL)(error).about(instance))?;
    }
    if networking.sriov {
        ec2.modify_instance_attribute()
            .instance_id(instance.as_str())
            .sriov_net_support(AttributeValue::builder().value(images::SRIOV).build())
            .send()
            .await
            .map_err(|error| failed(CALL)(error).about(instance))?;
    }
    Ok(())
}

pub(crate) async fn stop(ec2: &Client, instance: &InstanceId) -> Result<()> {
    ec2.stop_instances()
        .instance_ids(instance.as_str())
        .send()
        .await
        .map_err(|error| failed("StopInstances")(error).about(instance))?;
    Ok(())
}

pub(crate) async fn terminate(ec2: &Client, instance: &InstanceId) -> Result<()> {
    match ec2
        .terminate_instances()
        .instance_ids(instance.as_str())
        .send()
        .await
        .map_err(failed("TerminateInstances"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(instance)),
    }
}

pub(crate) async fn console_output(ec2: &Client, instance: &InstanceId) -> Result<String> {
    const CALL: &str = "GetConsoleOutput";
    let ask = |latest| {
        ec2.get_console_output()
            .instance_id(instance.as_str())
            .set_latest(latest)
            .send()
    };
    let answer = match ask(Some(true)).await.map_err(failed(CALL)) {
        // Only Nitro types can give the latest output; the others show what was posted after the last boot, stop or
        // reboot. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
        Err(error) if error.code == "UnsupportedOperation" => ask(None).await.map_err(failed(CALL)),
        other => other,
    }
    .map_err(|error| error.about(instance))?;
    decoded(answer.output().unwrap_or_default())
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(instance))
}

/// A console carries bytes of every program that ran before the log was set up: what is not UTF-8 is replaced.
fn decoded(output: &str) -> std::result::Result<String, BadAnswer> {
    let without_line_breaks: String = output.split_ascii_whitespace().collect();
    BASE64_STANDARD
        .decode(without_line_breaks)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| BadAnswer {
            field: "output",
            value: Some(format!("base64 with a fault ({error})")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::primitives::DateTime;
    use aws_sdk_ec2::types::GroupIdentifier;

    fn running() -> types::builders::InstanceBuilder {
        types::Instance::builder().instance_id("i-1").state(
            types::InstanceState::builder()
                .name(InstanceStateName::Running)
                .build(),
        )
    }

    #[test]
    fn an_instance_is_read_whole() {
        let answered = running()
            .public_ip_address("203.0.113.7")
            .private_ip_address("10.0.0.4")
            .security_groups(GroupIdentifier::builder().group_id("sg-1").build())
            .launch_time(DateTime::from_secs(1_700_000_000))
            .build();
        let instance = instance(&answered).unwrap();
        assert_eq!(instance.state, InstanceState::Running);
        assert_eq!(instance.public_ip, Some([203, 0, 113, 7].into()));
        assert_eq!(instance.security_groups[0].as_str(), "sg-1");
        assert_eq!(
            instance.launched.map(|launched| launched.as_second()),
            Some(1_700_000_000)
        );
        assert_eq!(instance.state_reason, None);
    }

    #[test]
    fn the_reason_of_a_state_is_its_message_else_the_transition() {
        let reason = types::StateReason::builder().message("Client.UserInitiatedShutdown");
        let both = running()
            .state_reason(reason.build())
            .state_transition_reason("User initiated");
        assert_eq!(
            instance(&both.build()).unwrap().state_reason.as_deref(),
            Some("Client.UserInitiatedShutdown")
        );
        let one = running().state_transition_reason("User initiated");
        assert_eq!(
            instance(&one.build()).unwrap().state_reason.as_deref(),
            Some("User initiated")
        );
    }

    #[test]
    fn a_state_that_nobody_knows_is_a_bad_answer() {
        let error = instance_state(&InstanceStateName::from("dreaming")).unwrap_err();
        assert_eq!(error.value.as_deref(), Some("dreaming"));
    }

    #[test]
    fn console_output_is_decoded_whatever_it_holds() {
        assert_eq!(decoded(""), Ok(String::new()));
        assert_eq!(decoded("aGVs\n bG8="), Ok("hello".to_owned()));
        assert_eq!(decoded("/w=="), Ok("\u{fffd}".to_owned()));
        assert_eq!(decoded("!").unwrap_err().field, "output");
    }
}
