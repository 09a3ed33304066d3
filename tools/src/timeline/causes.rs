//! What boosts follow from: messages, vouchers, and the boosts of their senders.
//!
//! The kernel tells the boosts of a step after everything else in it. An event names the port or the inherit; this
//! module finds the message and the voucher.

use super::builder::{Builder, Holding};
use super::model::{Boost, why};
use abi::event::{EventRecord, ObjectNumber, kind};
use abi::inspect::boost;

impl Builder {
    pub(super) fn boost(&mut self, event: &EventRecord) {
        let [pid, boosts, external, cause, object] = event.arguments;
        let mut change = Boost {
            pid: pid as u32,
            time: event.time,
            boosts,
            external,
            change: "",
            why: why::OTHER,
            message: None,
            voucher: None,
            origin: None,
            source: None,
        };
        match event.kind {
            kind::BOOST_DELAYED => {
                (change.boosts, change.external) = (0, 0);
                (change.change, change.why) = ("delayed", why::DELAYED);
                change.origin = self.last_change(change.pid);
            }
            kind::BOOST_MOVED => {
                change.change = "moved";
                self.moved(&mut change, cause, object);
            }
            kind => {
                let added = kind == kind::BOOST_ADDED;
                change.change = if added { "added" } else { "dropped" };
                match (cause as u32, added) {
                    (boost::PORT, true) => self.added_by_message(&mut change, object),
                    (boost::PORT, false) => self.dropped_by_message(&mut change, object),
                    (boost::INHERIT, _) => self.switched(&mut change, object, added),
                    _ => {}
                }
            }
        }
        self.timeline.boosts.push(change);
    }

    /// A message on a port boosts: it was sent just now, or its sender has become a donor.
    fn added_by_message(&mut self, change: &mut Boost, port: ObjectNumber) {
        let messages = &self.timeline.messages;
        let sent = self.step.messages.iter().copied().find(|&place| {
            let message = &messages[place];
            message.port == port && message.raised && message.sent == change.time
        });
        let waiting = || {
            let candidates = self.open_messages.values().copied().filter(|&place| {
                let message = &messages[place];
                message.port == port && message.linked && !message.raised
            });
            candidates.max_by_key(|&place| (self.became_donor(self.sender(place), change.time), place))
        };
        change.message = sent.or_else(waiting);
        change.why = if sent.is_some() { why::SENT } else { why::DONOR };
        if let Some(place) = change.message {
            self.timeline.messages[place].raised = true;
            change.source = self.boosted_by(self.sender(place));
        }
    }

    /// A message on a port boosts no more, and no voucher holds its boost.
    fn dropped_by_message(&self, change: &mut Boost, port: ObjectNumber) {
        let of_port = |place: &usize| {
            let message = &self.timeline.messages[*place];
            message.port == port && message.raised
        };
        let gone = self.step.messages.iter().copied().find(of_port);
        change.message = gone.or_else(|| self.open_messages.values().copied().find(of_port));
        change.why = if gone.is_some() { why::MESSAGE } else { why::NO_DONOR };
        change.origin = self.origin(change);
        if gone.is_none()
            && let Some(message) = change.message
        {
            change.source = self.lost_in_step(self.sender(message), change.time);
        }
    }

    /// The message was received, and the voucher that came with it has an inherit with the boost.
    fn moved(&mut self, change: &mut Boost, inherit: ObjectNumber, port: ObjectNumber) {
        change.why = why::RECEIVED;
        let received = self.step.messages.iter().copied().rev().find(|&place| {
            let message = &self.timeline.messages[place];
            message.port == port && message.fate == "received"
        });
        change.message = received;
        change.voucher =
            received.and_then(|place| self.open_vouchers.get(&self.timeline.messages[place].voucher_received)).copied();
        change.origin = self.origin(change);
        change.source = received.and_then(|place| self.boosted_by(self.sender(place)));
        if let Some(place) = change.voucher {
            self.timeline.vouchers[place].boosts = change.pid;
        }
        let holding = Holding { voucher: change.voucher, message: received, change: self.timeline.boosts.len() };
        self.inherits.insert(inherit, holding);
    }

    /// An inherit begins or ceases to boost.
    fn switched(&mut self, change: &mut Boost, inherit: ObjectNumber, added: bool) {
        let place = self.timeline.boosts.len();
        let Some(known) = self.inherits.get(&inherit).copied() else {
            // It was not boosting when its message was received.
            self.inherits.insert(inherit, Holding { voucher: None, message: None, change: place });
            return;
        };
        (change.message, change.voucher, change.origin) = (known.message, known.voucher, Some(known.change));
        let sender = known.message.map_or(0, |message| self.sender(message));
        if added {
            (change.why, change.source) = (why::DONOR, self.boosted_by(sender));
        } else if known.voucher.is_some_and(|voucher| self.step.died.contains(&voucher)) {
            change.why = why::VOUCHER;
        } else {
            (change.why, change.source) = (why::NO_DONOR, self.lost_in_step(sender, change.time));
        }
        self.inherits.insert(inherit, Holding { change: place, ..known });
    }

    /// A voucher has died. If another one was made from it and shares its inherit, that one holds the boost from now
    /// on: a library takes the activity out of a voucher that it has received.
    pub(super) fn pass_on(&mut self, dead: usize) {
        let vouchers = &mut self.timeline.vouchers;
        for (inherit, holding) in self.inherits.iter_mut().filter(|(_, holding)| holding.voucher == Some(dead)) {
            let sharers = self.sharers.get(inherit).into_iter().flatten().rev();
            if let Some(other) = sharers.copied().find(|&other| vouchers[other].to.is_none()) {
                vouchers[other].boosts = vouchers[dead].boosts;
                holding.voucher = Some(other);
            }
        }
    }

    /// Returns the pid of a message's sender, 0 if the kernel sent it or the sender is not known.
    fn sender(&self, message: usize) -> u32 {
        let sender = self.timeline.messages[message].sender;
        self.timeline.threads.get(&sender).map_or(0, |thread| thread.pid)
    }

    /// Returns true if something in this step can have made a task a donor.
    fn became_donor(&self, pid: u32, time: u64) -> bool {
        self.step.policies.contains(&pid)
            || self.timeline.boosts.iter().rev().take_while(|boost| boost.time == time).any(|boost| boost.pid == pid)
    }

    fn last_change(&self, pid: u32) -> Option<usize> {
        self.timeline.boosts.iter().rposition(|boost| boost.pid == pid)
    }

    /// Returns the change through which a task is boosted now, if it is.
    fn boosted_by(&self, pid: u32) -> Option<usize> {
        self.last_change(pid).filter(|&place| self.timeline.boosts[place].boosts > 0)
    }

    /// Returns the change with which a task lost its boosts in this step.
    fn lost_in_step(&self, pid: u32, time: u64) -> Option<usize> {
        let place = self.last_change(pid)?;
        let last = &self.timeline.boosts[place];
        (last.time == time && last.boosts == 0).then_some(place)
    }

    /// Returns the last change of the same task because of the same message.
    fn origin(&self, change: &Boost) -> Option<usize> {
        let same = |boost: &Boost| boost.pid == change.pid && boost.message == change.message;
        change.message.and_then(|_| self.timeline.boosts.iter().rposition(same))
    }
}
