//! The names of leases: where they are, and what a ticket is called.

use crate::names::{CellName, RunId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where all leases are.
pub const LEASES: &str = "/qib/leases";
/// Where the leases of runs are: one parameter each.
pub const RUN_FOLDER: &str = "/qib/leases/run/";
/// Where the leases of Elastic IPs are: a queue of tickets each.
pub const ADDRESS_FOLDER: &str = "/qib/leases/address/";
/// Where the leases of images that are being built are: a queue of tickets each.
pub const IMAGE_FOLDER: &str = "/qib/leases/image/";

/// The parameter that shows that `run` is alive.
pub fn run_lease(run: &RunId) -> String {
    format!("{RUN_FOLDER}{run}")
}

/// The queue for an Elastic IP.
pub fn address_folder(allocation: &str) -> String {
    format!("{ADDRESS_FOLDER}{allocation}")
}

/// The queue for an image that is being built, by its cache key.
pub fn image_folder(cache_key: &str) -> String {
    format!("{IMAGE_FOLDER}{cache_key}")
}

/// A place in a queue. Tickets are ordered by number, then by the run and the cell that wrote them.
///
/// The name says whose it is, so that no two ever write the same name: whoever deletes a ticket by its name deletes that
/// ticket and no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Grows from one to the next; about the milliseconds of its taker's clock.
    pub number: u64,
    /// The run that wrote it.
    pub run: RunId,
    /// The cell that wants the thing, as it stands in the name: `stage-cell`.
    pub cell: String,
}

impl Ticket {
    /// The ticket of a run's cell.
    pub fn new(number: u64, run: &RunId, cell: &CellName) -> Self {
        Self {
            number,
            run: run.clone(),
            // Of what cells' names may have, a parameter's name may not have the `+` of an image's test.
            cell: format!("{}-{}", cell.stage, cell.cell).replace('+', "."),
        }
    }

    /// Reads the last part of a parameter's name; none if it is not a ticket's.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, rest) = text.split_once('-')?;
        let run = RunId::parse(rest.get(..10)?)?;
        let cell = rest.get(10..)?.strip_prefix('-')?;
        let digits = number.len() >= 13 && number.bytes().all(|b| b.is_ascii_digit());
        let ticket = Self {
            number: number.parse().ok().filter(|_| digits)?,
            run,
            cell: cell.to_owned(),
        };
        (!cell.is_empty() && ticket.to_string() == text).then_some(ticket)
    }

    /// Its parameter in the queue `folder`.
    pub fn parameter(&self, folder: &str) -> String {
        format!("{folder}/{self}")
    }

    /// Whether `other` was written by the same cell of the same run.
    pub fn is_of_same_cell(&self, other: &Self) -> bool {
        self.run == other.run && self.cell == other.cell
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}-{}-{}", self.number, self.run, self.cell)
    }
}

/// What stands in a ticket's parameter, for those who wait behind it. No secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run that wrote it.
    pub run: RunId,
    /// Which of its cells wants the thing.
    pub cell: CellName,
    /// Which pipeline and stage it builds, in words.
    pub purpose: String,
    /// Counts renewals, so that each write differs.
    pub renewal: u64,
}

impl Claim {
    /// As it is written.
    pub fn encode(&self) -> String {
        // Plain data: encoding it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(stage: &str) -> CellName {
        CellName {
            stage: stage.into(),
            cell: "us-east-2".into(),
        }
    }

    #[test]
    fn what_is_no_ticket_is_not_taken_for_one() {
        for name in [
            "",
            "00000001",
            "1790000000000-r-0000000",
            "1790000000000-r-00000000",
            "1790000000000-r-00000000-",
            "17900000-r-00000000-base-us-east-2",
            "01790000000000-r-00000000-base-us-east-2",
            "+790000000000-r-00000000-base-us-east-2",
            "1790000000000-i-00000000-base-us-east-2",
        ] {
            assert_eq!(Ticket::parse(name), None, "{name}");
        }
    }

    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
    #[test]
    fn the_ticket_of_a_test_is_a_parameters_name() {
        let run = RunId::from_random(1);
        for cell in [cell("base"), cell("base").test()] {
            let name = Ticket::new(1, &run, &cell).parameter("/qib/leases/address/eipalloc-0local");
            let is_allowed =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
            assert!(name.chars().all(is_allowed), "{name}");
        }
        let tickets = [cell("base"), cell("base").test()].map(|cell| Ticket::new(1, &run, &cell));
        assert!(!tickets[0].is_of_same_cell(&tickets[1]));
    }

    #[test]
    fn a_greater_number_is_a_greater_ticket_also_when_it_has_more_digits() {
        let run = RunId::from_random(1);
        let small = Ticket::new(9_999_999_999_999, &run, &cell("base"));
        let great = Ticket::new(10_000_000_000_000, &run, &cell("base"));
        assert!(small < great);
    }

    proptest! {
        #[test]
        fn a_ticket_reads_back(number in any::<u64>(), run in any::<u64>(), stage in "[A-Za-z0-9][A-Za-z0-9._-]{0,62}") {
            let ticket = Ticket::new(number, &RunId::from_random(run), &cell(&stage));
            prop_assert_eq!(Ticket::parse(&ticket.to_string()), Some(ticket));
        }
    }
}
