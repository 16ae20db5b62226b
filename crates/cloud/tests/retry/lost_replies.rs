//! [`made_once`] against a service that loses replies, shows late what it has made, and takes a name only once.

use crate::rules::outcome;
use crate::scripted::error;
use crate::virtual_clock::{Moment, VirtualClock};
use cloud::port::Result;
use cloud::retry::made_once;
use cloud::{CloudError, ErrorKind};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What happens to one call that makes something.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    LostBefore,
    LostAfter,
}

/// A service with one name to give.
#[derive(Clone)]
struct Service {
    clock: VirtualClock,
    fates: Rc<RefCell<Vec<Fate>>>,
    /// How long what was made takes to show.
    delay: Moment,
    /// When it was made, by us.
    made: Rc<Cell<Option<Moment>>>,
    /// Somebody else has the name.
    taken: bool,
    effects: Rc<Cell<u32>>,
}

impl Service {
    fn create(&self) -> Result<&'static str> {
        let fate = self.fates.borrow_mut().pop().unwrap_or(Fate::Answered);
        if fate == Fate::LostBefore {
            return Err(error("CreateImage", ErrorKind::Transient));
        }
        let answer = if self.taken || self.made.get().is_some() {
            Err(error("CreateImage", ErrorKind::Duplicate))
        } else {
            self.made.set(Some(self.clock.moment()));
            self.effects.set(self.effects.get() + 1);
            Ok("ami-1")
        };
        match fate {
            Fate::LostAfter => Err(error("CreateImage", ErrorKind::Transient)),
            Fate::Answered | Fate::LostBefore => answer,
        }
    }

    fn look(&self) -> Option<&'static str> {
        let made = self.made.get()?;
        (self.clock.moment() >= made + self.delay).then_some("ami-1")
    }

    /// When it ended, how, and how many things there are.
    fn made_once(self) -> (Moment, std::result::Result<&'static str, CloudError>, u32) {
        let clock = self.clock.clone();
        let effects = self.effects.clone();
        let at = clock.clone();
        let (ended, result) = outcome(&clock, async move {
            made_once(
                &at,
                || std::future::ready(self.create()),
                || std::future::ready(Ok(self.look())),
            )
            .await
        });
        (ended, result, effects.get())
    }
}

/// `fates` of the first calls, in order; all later ones are answered.
fn service(fates: &[Fate], delay: Moment, taken: bool) -> Service {
    Service {
        clock: VirtualClock::default(),
        fates: Rc::new(RefCell::new(fates.iter().rev().copied().collect())),
        delay,
        made: Rc::default(),
        taken,
        effects: Rc::default(),
    }
}

#[test]
fn what_a_lost_reply_made_is_found_and_not_made_again() {
    let (ended, result, effects) = service(&[Fate::LostAfter], 3_000, false).made_once();
    assert_eq!(result.unwrap(), "ami-1");
    assert_eq!((ended, effects), (3_000, 1));
}

#[test]
fn what_shows_late_is_found_by_its_name() {
    let (_, result, effects) = service(&[Fate::LostAfter], 12_000, false).made_once();
    assert_eq!(result.unwrap(), "ami-1");
    assert_eq!(effects, 1);
}

#[test]
fn what_was_never_done_is_done() {
    let (_, result, effects) = service(&[Fate::LostBefore; 4], 0, false).made_once();
    assert_eq!(result.unwrap(), "ami-1");
    assert_eq!(effects, 1);
}

#[test]
fn it_is_not_tried_for_ever() {
    let (ended, result, effects) = service(&[Fate::LostBefore; 9], 0, false).made_once();
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.contains("after 5 calls"), "{error}");
    assert_eq!((ended, effects), (25_000, 0));
}

#[test]
fn anothers_name_is_an_error_and_soon() {
    let (ended, result, effects) = service(&[], 0, true).made_once();
    assert_eq!(result.unwrap_err().kind, ErrorKind::Duplicate);
    assert_eq!((ended, effects), (15_000, 0));
}

proptest! {
    #[test]
    fn there_is_never_a_second_one_and_what_is_given_exists(
        fates in proptest::collection::vec(
            prop_oneof![Just(Fate::Answered), Just(Fate::LostBefore), Just(Fate::LostAfter)], 0..8),
        delay in 0..14_000_u64,
        taken: bool,
    ) {
        let (ended, result, effects) = service(&fates, delay, taken).made_once();
        prop_assert!(effects <= 1);
        prop_assert!(ended <= 60_000);
        match result {
            Ok(_) => prop_assert_eq!(effects, 1),
            Err(error) if taken => prop_assert!(matches!(error.kind, ErrorKind::Duplicate | ErrorKind::Transient)),
            // Nothing is lost while it can still be found.
            Err(error) => {
                prop_assert_eq!(error.kind, ErrorKind::Transient);
                prop_assert_eq!(effects, 0);
            }
        }
    }
}
