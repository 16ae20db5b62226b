//! What IAM's simulator says of actions, by as few calls as there are different resources and conditions.

use super::access::{Need, context};
use cloud::{CloudError, Iam, RegionName};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether each need is met, in their order; or why the simulator could not be asked.
pub(super) async fn ask(
    iam: &dyn Iam,
    principal: &str,
    region: &RegionName,
    needs: &[Need],
) -> Vec<Result<bool, Arc<CloudError>>> {
    type Question = (Vec<String>, BTreeMap<String, String>);
    let mut questions: BTreeMap<Question, Vec<&str>> = BTreeMap::new();
    let question = |need: &Need| -> Question {
        let resources = need.statement.resource.iter();
        // "Any" is what is asked about where no resource is named.
        let resources = resources.filter(|arn| *arn != "*").cloned().collect();
        (resources, context(&need.statement, region))
    };
    for need in needs {
        let actions = questions.entry(question(need)).or_default();
        if !actions.contains(&need.action.as_str()) {
            actions.push(&need.action);
        }
    }
    let asked = questions
        .iter()
        .map(|((resources, context), actions)| async move {
            let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
            let context: Vec<(String, String)> = context
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            iam.simulate(principal, &actions, resources, &context)
                .await
                .map_err(Arc::new)
        });
    let answers = join_all(asked).await;
    let answers: BTreeMap<&Question, _> = questions.keys().zip(answers).collect();
    needs
        .iter()
        .map(|need| {
            let answer = answers.get(&question(need));
            match answer {
                Some(Ok(simulated)) => Ok(simulated
                    .iter()
                    .any(|one| one.action == need.action && one.allowed)),
                Some(Err(error)) => Err(error.clone()),
                None => Ok(false),
            }
        })
        .collect()
}
