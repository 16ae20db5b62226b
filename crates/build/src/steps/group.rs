//! Who may reach the instance.

use super::context::CellContext;
use super::launch::Launched;
use super::site::Site;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::names::{resource_name, tag};
use crate::options::Debugging;
use crate::spec::{CellSpec, SshFrom};
use crate::undo::own;
use cloud::{CloudError, ErrorKind, IngressRule, Region, SecurityGroupId, VpcId};

/// Where the guest's SSH server listens, as the group sees it: `connect.port` is only where one dials.
const SSH_PORT: u16 = 22;

/// Makes the cell's group, which lets SSH in from where the pipeline says and from nowhere else.
pub(super) async fn prepare(
    context: &CellContext,
    spec: &CellSpec,
    site: &Site,
) -> Result<Vec<SecurityGroupId>, StepError> {
    if !site.groups.is_empty() {
        return Ok(site.groups.clone());
    }
    let vpc = &site.vpc;
    let mut from = match &spec.launch.ssh_from {
        SshFrom::Caller => {
            let caller = context
                .race(context.run().ports.caller_address.caller_address())
                .await?;
            let address = caller.map_err(|reason| StepError::CallerAddress { reason })?;
            vec![format!("{address}/32")]
        }
        SshFrom::Anywhere => vec![String::from("0.0.0.0/0"), String::from("::/0")],
        SshFrom::Ranges(ranges) => ranges.clone(),
    };
    if let Debugging::On { from: more } = &context.run().options.debugging {
        from.extend(more.iter().cloned());
    }
    from.dedup();

    let name = resource_name(context.run_id(), &spec.cell);
    let effect = Effect::CreateSecurityGroup {
        region: spec.region.clone(),
        name: name.clone(),
        vpc: vpc.clone(),
    };
    let made = context
        .effects()
        .make(
            &spec.cell,
            effect,
            async || create(context, &name, vpc, spec).await,
            async || find_own(context, &name).await,
        )
        .await?;
    let rule = IngressRule {
        port: SSH_PORT,
        from: from.clone(),
        description: format!("SSH for qib run {}", context.run_id()),
    };
    let effect = Effect::AuthorizeIngress {
        region: spec.region.clone(),
        group: made.value.clone(),
        from: from.clone(),
    };
    // A group that was just made may not show everywhere yet.
    context
        .effects()
        .set(&spec.cell, effect, async || {
            context
                .until_visible(|| context.region().authorize_ingress(&made.value, &rule))
                .await
        })
        .await?;
    context.note(format!(
        "security group {} lets SSH in from {}",
        made.value,
        from.join(", ")
    ));
    Ok(vec![made.value])
}

/// Creates the group. A group of that name that carries the run's tag is the one of a lost reply.
async fn create(
    context: &CellContext,
    name: &str,
    vpc: &VpcId,
    spec: &CellSpec,
) -> Result<SecurityGroupId, CloudError> {
    let description = format!(
        "SSH to the instance that qib run {} builds {} on",
        context.run_id(),
        spec.cell
    );
    let tags = spec.tags.clone().merged(&context.own_tags());
    match context
        .region()
        .create_security_group(name, &description, vpc, &tags)
        .await
    {
        Err(error) if error.kind == ErrorKind::Duplicate => {
            find_own(context, name).await?.ok_or(error)
        }
        result => result,
    }
}

/// The run's own group of that name.
async fn find_own(
    context: &CellContext,
    name: &str,
) -> Result<Option<SecurityGroupId>, CloudError> {
    let found = context
        .region()
        .security_groups(&own("group-name", name, context.run_id()))
        .await?;
    let ours = found
        .into_iter()
        .find(|group| group.tags.get(tag::RUN) == Some(context.run_id().as_str()));
    Ok(ours.map(|group| group.group_id))
}

/// Moves the instance to the VPC's default group, and removes the cell's own.
///
/// A group cannot go while an instance is in it, so the instance leaves it first: this way termination, which takes EC2 up
/// to minutes, is off the path.
pub(super) async fn leave(context: &CellContext, launched: &Launched) -> Result<(), StepError> {
    let region = context.region();
    let id = &launched.instance.instance_id;
    let own = context.standing(|effect| matches!(effect, Effect::CreateSecurityGroup { .. }));
    let (false, Some(vpc)) = (own.is_empty(), &launched.instance.vpc_id) else {
        return Ok(());
    };
    let replacement = vec![default_group(region, vpc).await?];
    let effect = Effect::ReplaceGroups {
        region: region.name().clone(),
        instance: id.clone(),
        groups: replacement.clone(),
    };
    context
        .effects()
        .set(context.cell(), effect, async || {
            region.set_instance_groups(id, &replacement).await
        })
        .await?;
    for number in own {
        context.effects().unmake(number).await?;
    }
    Ok(())
}

/// The VPC's default group, to which the instance is moved so that its own can go.
async fn default_group(region: &dyn Region, vpc: &VpcId) -> Result<SecurityGroupId, StepError> {
    let filters = vec![
        ("vpc-id".to_owned(), vec![vpc.to_string()]),
        ("group-name".to_owned(), vec!["default".to_owned()]),
    ];
    let found = region.security_groups(&filters).await?;
    found
        .into_iter()
        .next()
        .map(|group| group.group_id)
        .ok_or_else(|| StepError::NoDefaultGroup {
            vpc: vpc.to_string(),
        })
}
