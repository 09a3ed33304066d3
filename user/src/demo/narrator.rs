//! The narrator: it waits for reports, looks at the actors and prints rows.
//!
//! Its priority is above that of the actors, so it looks before anything else can happen. Its clock stops while it
//! looks and prints.

use super::cast::{Actor, Look};
use super::page::{Change, Page, Text};
use super::talk::Report;
use crate::message::{Message, port_with_send};
use crate::policy::set_task_policy;
use crate::port::{self, Port};
use crate::sys::exit;
use crate::time::{now, wait_until};
use abi::policy::TASK_CATEGORY_POLICY;
use abi::qos::Role;

/// Milliseconds within which the next report comes.
const PATIENCE: u32 = 10_000;
/// The number of actors that an act is about.
const WATCHED: usize = 2;

/// How the two actors have changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes([Change; WATCHED]);

impl Changes {
    fn of(&self, number: usize, is: fn(u32, u32) -> bool) -> bool {
        matches!(self.0[number], (Some(before), Some(after)) if is(before.priority, after.priority))
    }

    /// Returns true if the priority of an actor has risen.
    pub fn rise(&self, number: usize) -> bool {
        self.of(number, |before, after| before < after)
    }

    /// Returns true if the priority of an actor has fallen.
    pub fn fall(&self, number: usize) -> bool {
        self.of(number, |before, after| before > after)
    }

    /// Returns the same state without changes.
    fn settled(self) -> Changes {
        Changes(self.0.map(|(_, after)| (after, after)))
    }
}

/// A row that is printed when its effect is there.
struct Pending {
    at: u64,
    who: &'static str,
    text: Text,
}

/// The narrator.
pub struct Narrator {
    /// How it prints.
    pub page: Page,
    reports: Port,
    /// What the clock shows when the act begins, in ns.
    start: u64,
    /// Nanoseconds that the clock was stopped.
    stopped: u64,
    /// When it was stopped last.
    woke: u64,
    seen: [Option<Look>; WATCHED],
    pending: Option<Pending>,
}

impl Narrator {
    /// Returns a narrator with a high priority.
    pub fn new(page: Page) -> Narrator {
        set_task_policy(port::task_self(), TASK_CATEGORY_POLICY, &[Role::Control as u32])
            .expect("user 0 runs the demo");
        let seen = [None; WATCHED];
        let reports = port_with_send();
        Narrator { page, reports, start: 0, stopped: 0, woke: now(), seen, pending: None }
    }

    /// Returns the port for reports.
    pub fn port(&self) -> abi::PortName {
        self.reports.name()
    }

    /// Ends the demo with status 1 if something is not as the story expects: the rest of it would make no sense.
    pub fn expect(&self, what: &str, holds: bool) {
        if !holds {
            self.page.alarm(what);
            exit(1);
        }
    }

    /// Returns the microseconds of a time since the act began, without the time for which the clock was stopped.
    pub fn clock(&self, at: u64) -> u64 {
        at.saturating_sub(self.start + self.stopped) / 1000
    }

    /// Begins an act about two actors.
    pub fn begin(&mut self, actors: [&Actor; WATCHED]) {
        self.page.columns(actors.map(|actor| actor.part.name));
        self.seen = actors.map(Actor::look);
        (self.start, self.stopped) = (now(), 0);
        self.woke = self.start;
    }

    fn sleep<T>(&mut self, wait: impl FnOnce(&Narrator) -> T) -> T {
        self.stopped += now() - self.woke;
        let result = wait(self);
        self.woke = now();
        result
    }

    /// Waits for the next message.
    pub fn next_message(&mut self) -> Message {
        let message = self.sleep(|narrator| Message::receive_within(narrator.port(), PATIENCE));
        self.expect("the actors go on", message.is_ok());
        message.unwrap_or_default()
    }

    /// Waits for the next report.
    pub fn next_report(&mut self) -> Report {
        Report::of(&self.next_message())
    }

    /// Lets the actors go on for a while.
    pub fn pause(&mut self, microseconds: u64) {
        // The wait ends early only if another thread aborts it.
        let _ = self.sleep(|_| wait_until(now() + microseconds * 1000));
    }

    /// Asks actors something, which they take their time to answer.
    pub fn converse<T>(&mut self, ask: impl FnOnce() -> T) -> T {
        self.sleep(|_| ask())
    }

    /// Returns the present time for a row.
    pub fn present(&self) -> u64 {
        self.woke
    }

    /// Looks at the actors and prints a row.
    pub fn tell(&mut self, at: u64, who: &'static str, text: Text, actors: [&Actor; WATCHED]) -> Changes {
        let changes = self.look(actors);
        let at = self.clock(at);
        let rest = match self.pending.take() {
            Some(before) => {
                self.page.row(before.at, before.who, &before.text, &changes.0);
                changes.settled()
            }
            None => changes,
        };
        self.page.row(at, who, &text, &rest.0);
        changes
    }

    /// Prints a row as soon as the next report comes. Its actor is about to do something that may cost it the processor.
    pub fn tell_later(&mut self, at: u64, who: &'static str, text: Text) {
        self.pending = Some(Pending { at: self.clock(at), who, text });
    }

    /// Looks at the actors and prints the row that waits for its effect, if a row does.
    pub fn finish(&mut self, actors: [&Actor; WATCHED]) -> Changes {
        let Some(before) = self.pending.take() else { return Changes::default() };
        let changes = self.look(actors);
        self.page.row(before.at, before.who, &before.text, &changes.0);
        changes
    }

    fn look(&mut self, actors: [&Actor; WATCHED]) -> Changes {
        let now = actors.map(Actor::look);
        let changes = [(self.seen[0], now[0]), (self.seen[1], now[1])];
        self.seen = now;
        Changes(changes)
    }
}
