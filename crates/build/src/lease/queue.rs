//! The rule of the queue: who holds the thing, and what one who wants it does next. Pure.

use super::liveness::DEAD_AFTER;
use super::ticket::{Claim, Ticket};
use crate::journal::JournalLock;
use cloud::{Parameter, Timestamp};
use std::time::Duration;

/// How often the first in line looks whether it is its turn.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often those far back look.
const LOOK_SELDOM: Duration = Duration::from_secs(10);

/// A ticket as it is found in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The ticket.
    pub ticket: Ticket,
    /// How long ago it was last renewed, by the service's clock.
    pub age: Duration,
    /// What it says; none if that cannot be read. It counts nevertheless.
    pub claim: Option<Claim>,
}

impl Queued {
    /// Whether whoever wrote it may still want the thing. `journal` is that run's journal on this host.
    pub fn lives(&self, journal: JournalLock) -> bool {
        match journal {
            JournalLock::Held => true,
            JournalLock::Free => false,
            JournalLock::Absent => self.age < DEAD_AFTER,
        }
    }
}

/// A queue as one look at it shows it: all tickets, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Queued>);

impl Line {
    /// The queue `folder`, from parameters that may also belong elsewhere. What is no ticket is passed over.
    pub fn of(folder: &str, parameters: &[Parameter]) -> Self {
        let mut tickets: Vec<Queued> = parameters
            .iter()
            .filter_map(|parameter| {
                let name = parameter.name.strip_prefix(folder)?.strip_prefix('/')?;
                Some(Queued {
                    ticket: Ticket::parse(name)?,
                    age: parameter.age,
                    claim: serde_json::from_str(&parameter.value).ok(),
                })
            })
            .collect();
        tickets.sort_by(|a, b| a.ticket.cmp(&b.ticket));
        Self(tickets)
    }

    /// The number for a new ticket: the taker's clock in milliseconds, but greater than every ticket there is.
    pub fn next_number(&self, now: Timestamp) -> u64 {
        let clock = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let highest = self.0.last().map_or(0, |queued| queued.ticket.number);
        clock.max(highest.saturating_add(1))
    }

    /// Its tickets, the lowest first.
    pub fn tickets(&self) -> &[Queued] {
        &self.0
    }
}

/// One's own place in a queue; the diagram is in the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    ticket: Ticket,
    settled: bool,
}

/// What one look at the queue means for one's own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The look does not show one's own ticket, so it says nothing: look again.
    Unseen,
    /// There is a greater ticket, which may be settled already: withdraw, and take a new one.
    Overtaken,
    /// It is one's turn.
    First {
        /// Those before one that are dead: what they left has to go first.
        dead: Vec<Queued>,
    },
    /// Somebody living is before one.
    Behind {
        /// How many.
        ahead: usize,
        /// The first of them.
        holder: Queued,
    },
}

impl Place {
    /// The place of a ticket that was just created.
    pub fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            settled: false,
        }
    }

    /// One's ticket.
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// What `line`, as it was listed after the ticket was created, means. `lives` tells whether somebody else's ticket
    /// is a living one's.
    ///
    /// Other tickets of the same cell were written by a process of the run that is dead, since this one is there: they
    /// do not count.
    pub fn look(&mut self, line: &Line, lives: impl Fn(&Queued) -> bool) -> Standing {
        let others = || {
            line.tickets()
                .iter()
                .filter(|other| !other.ticket.is_of_same_cell(&self.ticket))
        };
        if !line
            .tickets()
            .iter()
            .any(|queued| queued.ticket == self.ticket)
        {
            return Standing::Unseen;
        }
        if !self.settled && others().any(|other| other.ticket > self.ticket) {
            return Standing::Overtaken;
        }
        let (living, dead): (Vec<_>, Vec<_>) = others()
            .filter(|other| other.ticket < self.ticket)
            .cloned()
            .partition(|other| lives(other));
        self.settled = true;
        match living.first() {
            None => Standing::First { dead },
            Some(holder) => Standing::Behind {
                ahead: living.len(),
                holder: holder.clone(),
            },
        }
    }
}

/// How long one with `ahead` others before it waits until it looks again: often when it is next, seldom far back.
pub fn look_pause(ahead: usize) -> Duration {
    let steps = u32::try_from(ahead.max(1)).unwrap_or(u32::MAX);
    LOOK_EVERY.saturating_mul(steps).min(LOOK_SELDOM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::address_folder;
    use crate::names::{CellName, RunId};

    fn ticket(number: u64, run: u64) -> Ticket {
        let cell = CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        };
        Ticket::new(number, &RunId::from_random(run), &cell)
    }

    fn line(tickets: &[(&Ticket, u64)]) -> Line {
        let folder = address_folder("eipalloc-1");
        let parameters: Vec<Parameter> = tickets
            .iter()
            .map(|(ticket, age)| Parameter {
                name: ticket.parameter(&folder),
                value: String::from("not JSON"),
                kind: cloud::ParameterKind::Text,
                version: 1,
                age: Duration::from_secs(*age),
            })
            .collect();
        Line::of(&folder, &parameters)
    }

    fn by_age(queued: &Queued) -> bool {
        queued.lives(JournalLock::Absent)
    }

    #[test]
    fn the_lowest_living_ticket_is_first_and_says_who_died_before_it() {
        let (low, middle, high) = (ticket(1, 1), ticket(2, 2), ticket(3, 3));
        let mut place = Place::new(high.clone());
        let seen = line(&[(&low, 119), (&middle, 0), (&high, 0)]);
        let Standing::Behind { ahead: 2, holder } = place.look(&seen, by_age) else {
            panic!("not behind two");
        };
        assert_eq!(holder.ticket, low);
        let seen = line(&[(&low, 120), (&middle, 0), (&high, 0)]);
        assert!(
            matches!(place.look(&seen, by_age), Standing::Behind { ahead: 1, holder } if holder.ticket == middle)
        );
        let seen = line(&[(&low, 120), (&high, 0)]);
        assert!(
            matches!(place.look(&seen, by_age), Standing::First { dead } if dead.len() == 1 && dead[0].ticket == low)
        );
    }

    #[test]
    fn a_ticket_withdraws_before_a_greater_one_only_until_it_is_settled() {
        let (low, high) = (ticket(1, 1), ticket(2, 2));
        let both = line(&[(&low, 0), (&high, 500)]);
        let mut place = Place::new(low.clone());
        assert_eq!(place.look(&both, by_age), Standing::Overtaken);
        let mut place = Place::new(low.clone());
        assert_eq!(place.look(&line(&[]), by_age), Standing::Unseen);
        assert_eq!(
            place.look(&line(&[(&low, 0)]), by_age),
            Standing::First { dead: vec![] }
        );
        assert_eq!(place.look(&both, by_age), Standing::First { dead: vec![] });
    }

    #[test]
    fn what_an_earlier_process_of_the_same_cell_wrote_does_not_stand_in_the_way() {
        let (before, mine) = (ticket(1, 1), ticket(5, 1));
        let mut place = Place::new(mine.clone());
        assert_eq!(
            place.look(&line(&[(&before, 0), (&mine, 0)]), |_| true),
            Standing::First { dead: vec![] }
        );
    }

    #[test]
    fn the_journal_on_this_host_goes_before_the_age() {
        let old = line(&[(&ticket(1, 1), 1000)]).tickets()[0].clone();
        assert!(old.lives(JournalLock::Held));
        let young = line(&[(&ticket(1, 1), 0)]).tickets()[0].clone();
        assert!(!young.lives(JournalLock::Free));
    }

    #[test]
    fn a_number_is_greater_than_all_that_are_there_whatever_the_clock_says() {
        let now = Timestamp::from_millisecond(1_790_000_000_000).unwrap();
        assert_eq!(Line::default().next_number(now), 1_790_000_000_000);
        let ahead = ticket(1_790_000_500_000, 1);
        assert_eq!(line(&[(&ahead, 0)]).next_number(now), 1_790_000_500_001);
    }

    #[test]
    fn those_far_back_look_seldom() {
        let pauses: Vec<u64> = [0, 1, 2, 4, 5, 40]
            .map(|ahead| look_pause(ahead).as_secs())
            .to_vec();
        assert_eq!(pauses, [2, 2, 4, 8, 10, 10]);
    }
}
