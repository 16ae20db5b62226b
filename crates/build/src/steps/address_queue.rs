//! Coming to hold an Elastic IP, or whichever is free first of a pool, before anything is launched.
//!
//! ```text
//!   a ticket in the queue of each ─▶ first in some of them ─▶ its address bound to nothing? ──▶ kept, the others left
//!          ▲                                │ in none                 │ bound
//!          └──────────── pause ─────────────┴─────────────────────────┤
//!                                                                     └─ there is only this one ──▶ kept ─▶ wait
//!   wait: a dead run's instance is terminated; a kept or foreign one ends the wait after `address.wait`
//! ```
//!
//! A lease only orders qib's runs: that nothing else has the address is seen by looking at it.

use super::address::ElasticAddress;
use super::context::CellContext;
use super::lease::{Turn, Waiting, claims_below, say_now_and_then};
use crate::failure::StepError;
use crate::journal::{AddressBinder, Effect, JournalLock, JournalReader, RunDirectory};
use crate::lease::{
    ADDRESS_FOLDER, Queued, Signs, WithoutLease, address_folder, liveness, look_pause, run_lease,
};
use crate::names::{CellName, RunId, tag};
use crate::spec::AddressChoice;
use crate::undo::LOOK_TIME;
use cloud::*;
use std::time::Duration;

/// How often an address that is ours but still bound is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How the address is to be bound, and how long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Who binds it.
    pub by: AddressBinder,
    /// How long binding may take.
    pub timeout: Duration,
    /// How long to wait for an address that something else than a run in line has.
    pub wait: Duration,
}

/// Waits in line for an address, then leases it.
pub(super) async fn claim(
    context: &CellContext,
    choice: &AddressChoice,
    terms: Terms,
) -> Result<ElasticAddress, StepError> {
    let resuming = resumed(context)?;
    let mut members = members(context.region(), choice).await?;
    if let Some(allocation) = &resuming {
        members.retain(|address| address.allocation_id == *allocation);
        if members.is_empty() {
            return Err(StepError::CannotGoOn {
                why: format!("{allocation}, which it has, is not wanted any more"),
            });
        }
    }
    let lanes = members.iter().map(|address| {
        let folder = address_folder(address.allocation_id.as_str());
        (folder, named(address))
    });
    let mut waiting = Waiting::new(context, lanes);
    let mut blocked_since = None;
    let (index, dead) = loop {
        let turns = waiting.look().await?;
        let ours: Vec<(usize, &Vec<Queued>)> = turns
            .iter()
            .enumerate()
            .filter_map(|(index, turn)| match turn {
                Turn::Mine { dead } => Some((index, dead)),
                Turn::Others { .. } | Turn::Again { .. } => None,
            })
            .collect();
        let all = ours.len() == members.len();
        if let Some((index, dead)) = best(context, &members, &ours).await? {
            break (index, dead);
        }
        if all {
            // Every address is bound to something that no line can be stood in for: the wait for it is bounded.
            let since = *blocked_since.get_or_insert(context.clock().now());
            let waited = cloud::clock::between(since, context.clock().now());
            if let (true, Some((index, dead))) = (waited >= terms.wait, ours.first()) {
                break (*index, (*dead).clone());
            }
            waiting.say(format!(
                "all {} addresses of the pool are bound; waiting until one is free, {:?} at most",
                members.len(),
                terms.wait
            ));
        } else {
            blocked_since = None;
        }
        let pause = pause_for(&mut waiting, &members, &turns, resuming.is_some())?;
        context.pause(pause).await?;
    };
    let lease = waiting.keep(index).await?;
    let Some(member) = members.get(index) else {
        return Err(unknown(context, choice));
    };
    let address = ElasticAddress {
        allocation: member.allocation_id.clone(),
        public_ip: member.public_ip,
        by: terms.by,
        timeout: terms.timeout,
        lease,
    };
    let left = match blocked_since {
        Some(since) => terms
            .wait
            .saturating_sub(cloud::clock::between(since, context.clock().now())),
        None => terms.wait,
    };
    wait_until_free(context, &address, &dead, terms.wait, left).await?;
    context.note(format!("Elastic IP {} is ours", named(member)));
    Ok(address)
}

/// The addresses to choose from, in the order of their ids.
pub(crate) async fn members(
    region: &dyn Region,
    choice: &AddressChoice,
) -> Result<Vec<Address>, StepError> {
    let missing = || StepError::from_choice(choice, region.name());
    let filter = match choice {
        AddressChoice::One(allocation) => AddressFilter::allocation(allocation),
        AddressChoice::Pool(tags) => AddressFilter {
            allocation_ids: Vec::new(),
            filters: tags
                .iter()
                .map(|(key, value)| (format!("tag:{key}"), vec![value.clone()]))
                .collect(),
        },
    };
    let mut found = match region.addresses(&filter).await {
        Ok(found) => found,
        Err(error) if error.kind == ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(error.into()),
    };
    if found.is_empty() {
        return Err(missing());
    }
    found.sort_by(|a, b| a.allocation_id.cmp(&b.allocation_id));
    Ok(found)
}

fn unknown(context: &CellContext, choice: &AddressChoice) -> StepError {
    StepError::from_choice(choice, context.region().name())
}

fn named(address: &Address) -> String {
    format!("{} ({})", address.public_ip, address.allocation_id)
}

/// The address that an instance of the cell has or is about to bind, which an earlier process of the run launched; none
/// if there is no such instance.
fn resumed(context: &CellContext) -> Result<Option<AllocationId>, StepError> {
    let launches = context.standing(|effect| matches!(effect, Effect::LaunchInstance { .. }));
    if launches.is_empty() {
        return Ok(None);
    }
    let mut allocations: Vec<String> = claims_below(context, ADDRESS_FOLDER)
        .into_iter()
        .filter_map(|(_, name)| {
            let rest = name.strip_prefix(ADDRESS_FOLDER)?;
            Some(rest.split_once('/')?.0.to_owned())
        })
        .collect();
    allocations.sort_unstable();
    allocations.dedup();
    match allocations.as_slice() {
        [allocation] => Ok(Some(allocation.as_str().into())),
        _ => Err(StepError::CannotGoOn {
            why: String::from("which address its instance has is not known"),
        }),
    }
}

/// Which of the queues in which it is our turn is taken, if any.
async fn best(
    context: &CellContext,
    members: &[Address],
    ours: &[(usize, &Vec<Queued>)],
) -> Result<Option<(usize, Vec<Queued>)>, StepError> {
    if let ([(index, dead)], [_]) = (ours, members) {
        return Ok(Some((*index, (*dead).clone())));
    }
    if ours.is_empty() {
        return Ok(None);
    }
    let filter = AddressFilter {
        allocation_ids: ours
            .iter()
            .filter_map(|(index, _)| members.get(*index))
            .map(|address| address.allocation_id.clone())
            .collect(),
        filters: Vec::new(),
    };
    let seen = context.region().addresses(&filter).await?;
    let mut second = None;
    for (index, dead) in ours {
        let known = members.get(*index).and_then(|member| {
            seen.iter()
                .find(|address| address.allocation_id == member.allocation_id)
        });
        let Some(address) = known else {
            continue;
        };
        let chosen = (*index, (*dead).clone());
        match &address.binding {
            None => return Ok(Some(chosen)),
            Some(binding) if second.is_none() => {
                if let Holder::Dead { .. } | Holder::Ourselves = holder(context, binding).await? {
                    second = Some(chosen);
                }
            }
            Some(_) => {}
        }
    }
    Ok(second)
}

/// How long to wait until the next look; says behind whom.
fn pause_for(
    waiting: &mut Waiting<'_>,
    members: &[Address],
    turns: &[Turn],
    resuming: bool,
) -> Result<Duration, StepError> {
    let mut pause = look_pause(usize::MAX);
    let mut nearest: Option<(usize, &Queued, usize)> = None;
    for (index, turn) in turns.iter().enumerate() {
        match turn {
            Turn::Mine { .. } => pause = pause.min(LOOK_EVERY),
            Turn::Again { after } => pause = pause.min(*after),
            Turn::Others { ahead, holder } => {
                pause = pause.min(look_pause(*ahead));
                if nearest.is_none_or(|(least, _, _)| *ahead < least) {
                    nearest = Some((*ahead, holder, index));
                }
            }
        }
    }
    if let Some((ahead, holder, index)) = nearest {
        if resuming {
            return Err(StepError::CannotGoOn {
                why: format!(
                    "run {} has come to its address before it",
                    holder.ticket.run
                ),
            });
        }
        let what = members.get(index).map(named).unwrap_or_default();
        waiting.say_behind(ahead, holder, &what);
    }
    Ok(pause)
}

/// What has an address.
enum Holder {
    /// The cell's own instance, which an earlier process of the run launched.
    Ourselves,
    /// An instance that nobody looks after any more.
    Dead { run: RunId, instance: InstanceId },
    /// Something that is left alone.
    Other(String),
}

async fn holder(context: &CellContext, binding: &AddressBinding) -> Result<Holder, StepError> {
    let Some(id) = &binding.instance_id else {
        return Ok(Holder::Other(String::from(
            "a network interface that is not an instance's",
        )));
    };
    let filter = InstanceFilter {
        instance_ids: vec![id.clone()],
        ..InstanceFilter::default()
    };
    let found = context
        .region()
        .instances(&filter)
        .await?
        .into_iter()
        .next();
    let tags = found.map(|instance| instance.tags).unwrap_or_default();
    let Some(run) = tags.get(tag::RUN) else {
        let text = format!("instance {id}, which is not qib's");
        return Ok(Holder::Other(text));
    };
    if tags.get(tag::KEPT).is_some() {
        let text = format!("instance {id}, which run {run} kept");
        return Ok(Holder::Other(text));
    }
    let cell = context.cell();
    let own_cell = tags.get(tag::STAGE) == Some(cell.stage.as_str())
        && tags.get(tag::CELL) == Some(cell.cell.as_str());
    if run == context.run_id().as_str() && own_cell {
        return Ok(Holder::Ourselves);
    }
    if let Some(known) = RunId::parse(run)
        && !is_alive(context, &known, &tags).await?
    {
        return Ok(Holder::Dead {
            run: known,
            instance: id.clone(),
        });
    }
    Ok(Holder::Other(format!("instance {id} of run {run}")))
}

/// Whether `run` is alive, with what the tags of one of its instances say.
async fn is_alive(context: &CellContext, run: &RunId, tags: &Tags) -> Result<bool, StepError> {
    let lease = context.region().parameter(&run_lease(run)).await?;
    let mut signs = Signs {
        journal: journal_lock(context, run),
        lease: lease.map(|parameter| parameter.age),
        ticket: None,
        without_lease: WithoutLease::No,
    };
    signs.see_tags(tags);
    Ok(liveness(&signs, context.clock().now()).is_alive())
}

fn journal_lock(context: &CellContext, run: &RunId) -> JournalLock {
    RunDirectory::of(&context.run().options.state_dir, run).lock_state()
}

/// With the lease in hand, the address may still be bound: to what a dead run left, to a kept instance, or to something
/// that is not qib's. What a dead run left, and could yet bind the address, goes.
async fn wait_until_free(
    context: &CellContext,
    address: &ElasticAddress,
    dead: &[Queued],
    wait: Duration,
    left: Duration,
) -> Result<(), StepError> {
    let deadline = context.deadline(left);
    let mut said = None;
    let mut evictions: Vec<Eviction> = dead
        .iter()
        .filter_map(|queued| Eviction::of(context, queued))
        .collect();
    loop {
        context.run().cancellation.check()?;
        address.check(context)?;
        let mut clear = true;
        for eviction in &mut evictions {
            clear &= eviction.go_on(context).await?;
        }
        let binding = describe(context, &address.allocation).await?.binding;
        let in_the_way = match &binding {
            None if clear => return Ok(()),
            None => String::from("an instance of a dead run, which may yet bind it"),
            Some(binding) => match holder(context, binding).await? {
                Holder::Ourselves => return Ok(()),
                Holder::Dead { run, instance } => {
                    terminate(context, &run, &instance).await?;
                    format!("instance {instance} of run {run}, which is dead")
                }
                Holder::Other(text) => text,
            },
        };
        if context.clock().now() >= deadline {
            return Err(held(context, address, in_the_way, wait, binding.as_ref()));
        }
        let text = format!(
            "{} is bound to {in_the_way}; waiting until it is free, {left:?} at most",
            address.public_ip
        );
        say_now_and_then(context, &mut said, text);
        context.pause(LOOK_EVERY).await?;
    }
}

fn held(
    context: &CellContext,
    address: &ElasticAddress,
    holder: String,
    waited: Duration,
    binding: Option<&AddressBinding>,
) -> StepError {
    let region = context.region().name();
    let endpoint = context
        .run()
        .options
        .endpoint
        .as_ref()
        .map(|url| format!(" --endpoint-url {url}"))
        .unwrap_or_default();
    let command = match binding {
        Some(binding) => format!(
            "disassociate-address --association-id {}",
            binding.association_id
        ),
        None => format!("describe-addresses --allocation-ids {}", address.allocation),
    };
    StepError::AddressHeld {
        allocation: address.allocation.to_string(),
        address: address.public_ip.to_string(),
        holder,
        waited,
        free_with: format!("aws --region {region}{endpoint} ec2 {command}"),
    }
}

async fn terminate(
    context: &CellContext,
    run: &RunId,
    instance: &InstanceId,
) -> Result<(), StepError> {
    context.note(format!(
        "run {run} died with the address; terminating its instance {instance}"
    ));
    match context.region().terminate_instance(instance).await {
        Err(error) if error.is_passing() || error.kind == ErrorKind::NotFound => Ok(()),
        other => other.map_err(StepError::from),
    }
}

/// The end of what a cell of a dead run may have launched while it held the address.
struct Eviction {
    run: RunId,
    cell: CellName,
    /// Until when to look for an instance that does not show yet.
    look_until: Timestamp,
    seen: bool,
}

impl Eviction {
    fn of(context: &CellContext, queued: &Queued) -> Option<Self> {
        let claim = queued.claim.as_ref()?;
        let look = if may_have_launched(context, claim.run.clone(), &claim.cell) {
            LOOK_TIME
        } else {
            Duration::ZERO
        };
        Some(Self {
            run: claim.run.clone(),
            cell: claim.cell.clone(),
            look_until: context.deadline(look),
            seen: false,
        })
    }

    /// Terminates what there is. Gives whether nothing is there that could still bind the address.
    async fn go_on(&mut self, context: &CellContext) -> Result<bool, StepError> {
        let tag_filter = |key: &str, value: &str| (format!("tag:{key}"), vec![value.to_owned()]);
        let filter = InstanceFilter {
            filters: vec![
                tag_filter(tag::RUN, self.run.as_str()),
                tag_filter(tag::STAGE, &self.cell.stage),
                tag_filter(tag::CELL, &self.cell.cell),
            ],
            ..InstanceFilter::default()
        };
        let found = context.region().instances(&filter).await?;
        self.seen |= !found.is_empty();
        let mut clear = self.seen || context.clock().now() >= self.look_until;
        for instance in found {
            let kept = instance.tags.get(tag::KEPT).is_some();
            if instance.state.is_ending()
                || kept
                || is_alive(context, &self.run, &instance.tags).await?
            {
                continue;
            }
            clear = false;
            terminate(context, &self.run, &instance.instance_id).await?;
        }
        Ok(clear)
    }
}

/// Whether an instance of the dead cell may be there that EC2 does not show yet. A run of another host is dead for two
/// minutes at least: what it launched shows.
fn may_have_launched(context: &CellContext, run: RunId, cell: &CellName) -> bool {
    if journal_lock(context, &run) == JournalLock::Absent {
        return false;
    }
    let directory = RunDirectory::of(&context.run().options.state_dir, &run);
    let Ok(state) = JournalReader::read(&directory) else {
        // What it had done cannot be told.
        return true;
    };
    state.outstanding().into_iter().any(|(_, entry)| {
        entry.cell == *cell && matches!(entry.effect, Effect::LaunchInstance { .. })
    })
}

pub(super) async fn describe(
    context: &CellContext,
    allocation: &AllocationId,
) -> Result<Address, StepError> {
    let choice = AddressChoice::One(allocation.clone());
    let found = members(context.region(), &choice).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| unknown(context, &choice))
}
