//! Standing in line for a lease, or for any one of several.

use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::{Effect, EffectNumber, RunDirectory};
use crate::lease::{
    ADDRESS_FOLDER, Claim, Fence, IMAGE_FOLDER, LeaseKey, Line, Place, Queued, Standing, Ticket,
    look_pause,
};
use cloud::{CloudError, Depth, ErrorKind, Parameter, ParameterWrite, Timestamp};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How often somebody who waits in line is told that it goes on.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// The unit of the pause before a new ticket is taken instead of one that was withdrawn.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A lease that the cell holds. It is renewed until it is given back.
#[derive(Clone, Debug)]
pub struct HeldLease {
    /// Its effect in the journal.
    number: EffectNumber,
    /// Its parameter.
    name: String,
    /// What it is on, in words.
    what: String,
}

impl HeldLease {
    /// Gives it back, so that the next in line can go on.
    pub async fn give_back(&self, context: &CellContext) -> Result<(), StepError> {
        withdraw(context, self.number, &self.name).await
    }

    /// Errs if the lease has been lost, so that another may use the thing by now. To be asked before it is used.
    pub fn check(&self, context: &CellContext) -> Result<(), StepError> {
        let leases = &context.run().leases;
        leases
            .check(&key(context, &self.name), context.clock().now())
            .map_err(|lost| StepError::LeaseLost {
                what: self.what.clone(),
                lease: self.name.clone(),
                lost,
            })
    }
}

/// Whether the cell holds the lease of an address.
pub(super) fn holds_address(context: &CellContext) -> bool {
    !claims_below(context, ADDRESS_FOLDER).is_empty()
}

/// Gives the lease of the cell's address back, whichever process of the run took it.
pub(super) async fn give_back_address(context: &CellContext) -> Result<(), StepError> {
    withdraw_below(context, ADDRESS_FOLDER, None).await
}

/// The tickets below `folder` that processes of this run wrote for the cell and that were not given back.
pub(super) fn claims_below(context: &CellContext, folder: &str) -> Vec<(EffectNumber, String)> {
    let state = context.effects().state();
    context
        .standing(
            |effect| matches!(effect, Effect::ClaimLease { name, .. } if name.starts_with(folder)),
        )
        .into_iter()
        .filter_map(|number| match &state.effect(number)?.effect {
            Effect::ClaimLease { name, .. } => Some((number, name.clone())),
            _ => None,
        })
        .collect()
}

async fn withdraw(
    context: &CellContext,
    number: EffectNumber,
    name: &str,
) -> Result<(), StepError> {
    context.run().leases.let_go(&key(context, name)).await;
    context.effects().unmake(number).await
}

/// A cell's tickets are in its region.
fn key(context: &CellContext, name: &str) -> LeaseKey {
    LeaseKey::new(context.region().name(), name)
}

async fn withdraw_below(
    context: &CellContext,
    folder: &str,
    but: Option<EffectNumber>,
) -> Result<(), StepError> {
    for (number, name) in claims_below(context, folder) {
        if Some(number) != but {
            withdraw(context, number, &name).await?;
        }
    }
    Ok(())
}

/// Waits in line for the lease of `folder`, however long living runs hold it. `what` is its name for people.
pub async fn queue(
    context: &CellContext,
    folder: &str,
    what: &str,
) -> Result<HeldLease, StepError> {
    let mut waiting = Waiting::new(context, [(folder.to_owned(), what.to_owned())]);
    loop {
        let first = waiting.look().await?.into_iter().next();
        match first {
            Some(Turn::Mine { .. }) => return waiting.keep(0).await,
            Some(Turn::Others { ahead, holder }) => {
                waiting.say_behind(ahead, &holder, what);
                context.pause(look_pause(ahead)).await?;
            }
            Some(Turn::Again { after }) => context.pause(after).await?,
            None => {}
        }
    }
}

/// Whose turn it is in one queue.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// Ours.
    Mine {
        /// Those before us that died.
        dead: Vec<Queued>,
    },
    /// Another's.
    Others {
        /// How many are before us.
        ahead: usize,
        /// The first of them.
        holder: Queued,
    },
    /// Not known yet: look again.
    Again {
        /// After this pause.
        after: Duration,
    },
}

/// A cell that waits in one queue or in several at once. Whatever becomes of it, its tickets stand in the journal.
pub(super) struct Waiting<'c> {
    context: &'c CellContext,
    lanes: Vec<Lane>,
    said: Option<(String, Timestamp)>,
}

/// One queue.
struct Lane {
    folder: String,
    what: String,
    taken: Option<Taken>,
    /// How many tickets were withdrawn.
    withdrawn: u32,
}

/// A ticket that was taken.
struct Taken {
    number: EffectNumber,
    name: String,
    place: Place,
}

impl<'c> Waiting<'c> {
    /// Waits in these queues: each with its folder and what it is for, in words.
    pub fn new(
        context: &'c CellContext,
        lanes: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let lanes = lanes
            .into_iter()
            .map(|(folder, what)| Lane {
                folder,
                what,
                taken: None,
                withdrawn: 0,
            })
            .collect();
        Self {
            context,
            lanes,
            said: None,
        }
    }

    /// Looks whose turn it is in each queue, in the order in which they were given. Takes a ticket where there is none.
    ///
    /// While the service does not answer, one's place is kept for as long as it is one's own.
    pub async fn look(&mut self) -> Result<Vec<Turn>, StepError> {
        self.context.run().cancellation.check()?;
        if self.lanes.iter().any(|lane| lane.taken.is_none()) {
            let parameters = self.list().await?;
            for index in 0..self.lanes.len() {
                self.take(index, &parameters).await?;
            }
        }
        let parameters = match self.context.race(self.list()).await? {
            Ok(parameters) => parameters,
            Err(error) if error.is_passing() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut turns = Vec::with_capacity(self.lanes.len());
        for index in 0..self.lanes.len() {
            turns.push(self.turn(index, &parameters).await?);
        }
        Ok(turns)
    }

    /// All tickets of all queues, by one call.
    async fn list(&self) -> Result<Vec<Parameter>, CloudError> {
        let region = self.context.region();
        match self.lanes.as_slice() {
            [lane] => region.parameters_below(&lane.folder, Depth::OneLevel).await,
            _ => {
                let folder = ADDRESS_FOLDER.trim_end_matches('/');
                region.parameters_below(folder, Depth::All).await
            }
        }
    }

    /// Takes a ticket of queue `index`, if there is none.
    async fn take(&mut self, index: usize, parameters: &[Parameter]) -> Result<(), StepError> {
        let context = self.context;
        let Some(lane) = self.lanes.get_mut(index) else {
            return Ok(());
        };
        if lane.taken.is_some() {
            return Ok(());
        }
        let begun = context.clock().now();
        let number = Line::of(&lane.folder, parameters).next_number(begun);
        let ticket = Ticket::new(number, context.run_id(), context.cell());
        let name = ticket.parameter(&lane.folder);
        let claim = Claim {
            run: context.run_id().clone(),
            cell: context.cell().clone(),
            purpose: format!("{} {}", context.run().pipeline, context.cell()),
            renewal: 0,
        };
        let effect = Effect::ClaimLease {
            region: context.region().name().clone(),
            name: name.clone(),
        };
        let value = claim.encode();
        let made = context
            .effects()
            .make(
                context.cell(),
                effect,
                async || {
                    let region = context.region();
                    match region
                        .put_parameter(&name, &value, ParameterWrite::CreateOnly)
                        .await
                    {
                        // Nobody else writes this name: the reply to our own call was lost.
                        Err(error) if error.kind == ErrorKind::Duplicate => Ok(()),
                        other => other.map(|_| ()),
                    }
                },
                async || {
                    let found = context.region().parameter(&name).await?;
                    Ok(found.map(|_| ()))
                },
            )
            .await?;
        let content = Box::new(move |renewal| {
            Claim {
                renewal,
                ..claim.clone()
            }
            .encode()
        });
        let leases = &context.run().leases;
        leases.keep_ticket(key(context, &name), Fence::new(begun), content);
        lane.taken = Some(Taken {
            number: made.number,
            name,
            place: Place::new(ticket),
        });
        Ok(())
    }

    async fn turn(&mut self, index: usize, parameters: &[Parameter]) -> Result<Turn, StepError> {
        let context = self.context;
        let again = |after| Ok(Turn::Again { after });
        let Some(lane) = self.lanes.get_mut(index) else {
            return again(AGAIN_AFTER);
        };
        let Some(taken) = &mut lane.taken else {
            return again(AGAIN_AFTER);
        };
        let owned = context
            .run()
            .leases
            .check(&key(context, &taken.name), context.clock().now());
        if owned.is_err() {
            context.warn(format!(
                "the place in line for {} was lost: it could not be renewed for two minutes; standing in line anew",
                lane.what
            ));
            return self.withdraw(index).await;
        }
        let line = Line::of(&lane.folder, parameters);
        let state_dir = &context.run().options.state_dir;
        let lives = |other: &Queued| {
            other.lives(RunDirectory::of(state_dir, &other.ticket.run).lock_state())
        };
        match taken.place.look(&line, lives) {
            Standing::Unseen => again(look_pause(1)),
            Standing::Overtaken => self.withdraw(index).await,
            Standing::First { dead } => Ok(Turn::Mine { dead }),
            Standing::Behind { ahead, holder } => Ok(Turn::Others { ahead, holder }),
        }
    }

    /// Gives the ticket of queue `index` back; the next look takes a new one.
    async fn withdraw(&mut self, index: usize) -> Result<Turn, StepError> {
        let Some(lane) = self.lanes.get_mut(index) else {
            return Ok(Turn::Again { after: AGAIN_AFTER });
        };
        lane.withdrawn += 1;
        let mut after = AGAIN_AFTER;
        if let Some(taken) = lane.taken.take() {
            after = scattered(&taken.name, lane.withdrawn);
            withdraw(self.context, taken.number, &taken.name).await?;
        }
        Ok(Turn::Again { after })
    }

    /// Takes the turn in queue `index`, and leaves all others: also those that an earlier process of the run stood in.
    pub async fn keep(mut self, index: usize) -> Result<HeldLease, StepError> {
        let lane = self.lanes.get_mut(index);
        let Some((what, taken)) =
            lane.and_then(|lane| Some((lane.what.clone(), lane.taken.take()?)))
        else {
            // Only a queue in which it is our turn is kept.
            return Err(StepError::CannotGoOn {
                why: String::from("its place in line is gone"),
            });
        };
        let held = HeldLease {
            number: taken.number,
            name: taken.name,
            what,
        };
        let folder = if held.name.starts_with(ADDRESS_FOLDER) {
            ADDRESS_FOLDER
        } else {
            IMAGE_FOLDER
        };
        withdraw_below(self.context, folder, Some(held.number)).await?;
        held.check(self.context)?;
        Ok(held)
    }

    /// Says whom one waits behind.
    pub fn say_behind(&mut self, ahead: usize, holder: &Queued, what: &str) {
        let purpose = holder
            .claim
            .as_ref()
            .map(|claim| format!(" ({})", claim.purpose))
            .unwrap_or_default();
        let text = format!(
            "{what} is held by run {}{purpose}; waiting in line, {}",
            holder.ticket.run,
            match ahead {
                1 => String::from("next"),
                ahead => format!("{ahead} before us"),
            }
        );
        self.say(text);
    }

    /// Says `text` when it is new, and again every minute.
    pub fn say(&mut self, text: String) {
        say_now_and_then(self.context, &mut self.said, text);
    }
}

/// A pause that grows with `tries` and differs from one ticket to the next, so that those who came at the same moment
/// do not meet again.
fn scattered(name: &str, tries: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (name, tries).hash(&mut hasher);
    let steps = u32::try_from(hasher.finish() % 8).unwrap_or(0);
    AGAIN_AFTER * (1 + steps) * tries.min(8)
}

/// Says `text` when it is new, and again every minute.
pub(super) fn say_now_and_then(
    context: &CellContext,
    said: &mut Option<(String, Timestamp)>,
    text: String,
) {
    let now = context.clock().now();
    let again = match said {
        Some((before, at)) => *before != text || cloud::clock::between(*at, now) >= SAY_EVERY,
        None => true,
    };
    if again {
        context.note(text.clone());
        *said = Some((text, now));
    }
}
