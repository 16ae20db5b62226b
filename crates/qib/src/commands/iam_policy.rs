//! `qib iam-policy`: no network, no credentials.

use super::error::CommandError;
use super::pipeline_file::{Target, load};
use super::terminal::Terminal;
use crate::args::iam_policy::IamPolicyArgs;
use crate::edge::environment::Environment;
use crate::render::json::document;
use build::permissions::{
    ANY_REGION, Features, Length, Questions, policy, profile_needs, roles_policy,
};
use build::selection::{Choice, Selection};
use cloud::RegionName;

/// Does it and gives the exit code.
///
/// # Errors
/// If the pipeline is wrong.
pub fn iam_policy(
    args: IamPolicyArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let loaded = load(
        &args.pipeline,
        &args.variables,
        Target::of(args.local),
        &[],
        environment,
    )?;
    let named = loaded.pipeline.aws.region.as_ref();
    let region = args
        .region
        .or_else(|| named.map(|region| RegionName::new(region.value.as_str())))
        .or_else(|| Environment::variable("AWS_REGION").map(RegionName::new))
        .unwrap_or_else(|| RegionName::new(ANY_REGION));
    let choice = Choice {
        only: args.cells.only,
        except: args.cells.except,
    };
    let selection = Selection::choose(&loaded.pipeline, &region, &choice)
        .map_err(|error| CommandError::bad_input(error.to_string()).hinted(error.hint()))?;
    if args.instance_profile {
        let needs = profile_needs(&selection.cells);
        for need in &needs {
            let cell = format!("{}/{}", need.stage, need.cell);
            match (&need.instance_profile, &need.policy) {
                (Some(name), Some(_)) => {
                    terminal.say(&format!("{cell}: for the role of instance profile {name}"));
                }
                (Some(name), None) => terminal.say(&format!(
                    "{cell}: qib needs nothing of instance profile {name}; what its provisioners call is theirs to say"
                )),
                (None, Some(_)) => terminal.say(&format!(
                    "{cell}: qib makes the role, with the pipeline's own policy"
                )),
                (None, None) => {}
            }
        }
        let Some(roles) = roles_policy(&needs) else {
            terminal.say("no instance profile needs a policy for qib's sake");
            return Ok(0);
        };
        terminal.result(|out| document(out, &roles))?;
        return Ok(0);
    }
    let questions = if args.without_preflight {
        Questions::NotAsked
    } else {
        Questions::Asked
    };
    let arns = Features::arns(&selection.cells, args.account_id);
    let policy = policy(&Features::of(&selection.cells), &arns, questions);
    match policy.length() {
        Length::Managed => {}
        Length::RoleInline => terminal.say(
            "the policy is longer than a managed policy may be (6,144 characters): put it into the role (`aws iam put-role-policy`), or \
             attach its statements as several",
        ),
        Length::TooLong => terminal.say(
            "the policy is longer than a policy may be (6,144 characters, in a role 10,240): attach its statements as several",
        ),
    }
    terminal.result(|out| document(out, &policy))?;
    Ok(0)
}
