//! The test of an image before it counts: an instance is booted from it, its checks are run, and it is gone again.
//!
//! ```text
//!   what an earlier process left of it goes ─▶ lease address ─▶ key pair ─▶ group ─▶ launch ─▶ bind ─▶ connect ─▶ checks
//!                                                                                                                   │
//!                                     passed ◀─ terminate ◀─ group and key gone ◀─ free address ◀──────────────────┘
//! ```
//!
//! The steps are those of a build, under the cell's name with `+test` behind it, so that the journal, the tags and the
//! messages tell the two apart. A test is never gone on with: who takes the run up again starts it over.

use super::context::CellContext;
use super::{Progress, Reached, address, capture, group, lease, profile, provision, reach_guest};
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::journal::{Effect, Outcome};
use crate::spec::{CellSpec, ImageSpec, PublicationSpec, TestSpec};
use cloud::Image;

/// Tests `image`, unless this run has done so already.
pub(super) async fn test(
    context: &CellContext,
    spec: &PublicationSpec,
    test: &TestSpec,
    image: &Image,
    progress: &Progress,
) -> Result<(), CellFailure> {
    let effect = Effect::TestImage {
        region: context.region().name().clone(),
        image: image.image_id.clone(),
        test: test.digest.clone(),
    };
    let fail = |error: StepError| CellFailure::new(context.cell().clone(), Step::Test, error);
    let state = context.effects().state();
    let passed = state
        .earlier(context.cell(), &effect)
        .is_some_and(|(_, entry)| entry.state.outcome().is_some());
    if passed {
        return Ok(());
    }
    context.begin(Step::Test).await?;
    let there = context.for_test(test.launch.max_lifetime);
    clear(&there).await.map_err(fail)?;
    let number = context
        .effects()
        .announce(context.cell(), effect)
        .map_err(|error| fail(error.into()))?;
    match run(&there, spec, test, image, progress).await {
        Ok(()) => {
            context
                .effects()
                .settle(number, &Ok(()), |()| Outcome::Done)
                .map_err(|error| fail(error.into()))?;
            context.note(format!("{} has passed its test", image.image_id));
            context.finish(Step::Test);
            Ok(())
        }
        Err(failure) => {
            // Not the error itself: a check's output may be in it.
            let why = String::from("it failed, or was given up");
            context
                .effects()
                .refused(number, why)
                .map_err(|error| fail(error.into()))?;
            Err(fail(match *failure.error {
                error @ StepError::Cancelled(_) => error,
                error => StepError::Test {
                    image: image.image_id.to_string(),
                    doing: failure.step.describe(),
                    error: Box::new(error),
                },
            }))
        }
    }
}

/// Removes what an earlier process of the run left of the test.
async fn clear(context: &CellContext) -> Result<(), StepError> {
    if context.standing(Effect::leaves_something).is_empty() {
        return Ok(());
    }
    context.note("what an earlier process of this run had begun of the test is thrown away");
    context.drop_leases().await;
    let left = context.effects().unmake_all(Some(context.cell())).await;
    if let Some(resource) = left.first() {
        return Err(StepError::TestLeftOver {
            why: format!("{} {}: {}", resource.kind, resource.id, resource.reason),
        });
    }
    let folder = context.run().directory.cell(context.cell())?;
    crate::way_in::forget(&folder)?;
    Ok(())
}

async fn run(
    context: &CellContext,
    spec: &PublicationSpec,
    test: &TestSpec,
    image: &Image,
    progress: &Progress,
) -> Result<(), CellFailure> {
    let fail =
        |step: Step| move |error: StepError| CellFailure::new(context.cell().clone(), step, error);
    let spec = CellSpec {
        cell: context.cell().clone(),
        launch: test.launch.clone(),
        connect: test.connect.clone(),
        region: spec.region.clone(),
        build_name: test.build_name.clone(),
        provision: test.checks.clone(),
        on_error: Vec::new(),
        image: ImageSpec::default(),
        test: None,
        tags: spec.tags.clone(),
    };
    let Reached {
        launched, mut link, ..
    } = reach_guest(context, &spec, image, progress).await?;

    context.begin(Step::Provision).await?;
    let checks = provision::provision(context, &spec, &mut link, &launched, progress, &test.digest);
    let checked = tokio::select! {
        biased;
        checked = checks => checked,
        () = context.clock().sleep(test.timeout) => {
            Err(StepError::TestTooLong { waited: test.timeout })
        }
    };
    checked.map_err(fail(Step::Provision))?;
    context.finish(Step::Provision);
    link.close().await;

    if !context
        .standing(|effect| matches!(effect, Effect::BindAddress { .. }))
        .is_empty()
        || lease::holds_address(context)
    {
        context.begin(Step::FreeAddress).await?;
        address::free(context)
            .await
            .map_err(fail(Step::FreeAddress))?;
        context.finish(Step::FreeAddress);
    }
    context.begin(Step::Terminate).await?;
    let ended = async {
        group::leave(context, &launched).await?;
        capture::drop_key_pair(context).await?;
        context.effects().unmake(launched.effect).await?;
        profile::remove(context).await
    };
    if let Err(error) = ended.await {
        // The image has passed: what resists now is tried once more at the run's end, and named then.
        context.warn(format!(
            "what the test was made with could not be removed yet: {error}"
        ));
    }
    context.finish(Step::Terminate);
    let folder = context
        .run()
        .directory
        .cell(context.cell())
        .map_err(|error| fail(Step::CleanUp)(error.into()))?;
    crate::way_in::forget(&folder).map_err(|error| fail(Step::CleanUp)(error.into()))
}
