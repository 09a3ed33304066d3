//! The receive of a message with `MACH_RCV_VOUCHER`: its boost moves into an inherit, which the delivered voucher holds
//! (importance 5.2, 5.3).

use super::Importance;
use super::element::ElementId;
use super::environment::{Direction, Environment};
use super::inherit::{Depth, InheritId};
use super::link::{LinkId, MessageLink};
use super::log::BoostCause;
use super::source::Source;
use store::NoMemory;

/// The inherit for a message.
enum Match {
    /// A task does not inherit from itself, and a task that receives no boosts does not inherit.
    Nothing,
    /// An inherit that exists.
    Existing(InheritId),
    /// One that must be made.
    New(Source, Depth),
}

impl Importance {
    /// Turns the boost of a message into an inherit of its receiver, with one made reference for the voucher system, or
    /// ends it if the receiver cannot have one: `ipc_importance_inherit_from_kmsg`. The boost goes from the port to the
    /// inherit without a gap.
    ///
    /// If the heap has no room for an inherit, the boost ends (errata 3).
    pub(super) fn inherit_from_message(
        &mut self,
        environment: &mut dyn Environment,
        id: LinkId,
        receiver: Option<ElementId>,
    ) -> Option<InheritId> {
        let found = self.match_inherit(id, receiver);
        let mut link = self.unlink(id);
        let inherit = match (found, receiver) {
            (Match::Existing(inherit), _) => {
                self.hand_out_inherit(environment, inherit, &link);
                Some(inherit)
            }
            (Match::New(from, depth), Some(to)) => Some(self.make_inherit(from, to, depth, &mut link)),
            _ => None,
        };
        if let Some(inherit) = inherit.filter(|&inherit| self.inherits[inherit].donating) {
            let to = self.inherits[inherit].to;
            self.elements[to].external.total += 1;
            self.change(environment, to, Direction::Hold, 1, BoostCause::Inherit(inherit));
        }
        if let Some(source) = link.source {
            self.release(environment, source);
        }
        if link.raised {
            self.change_port(environment, link.port, Direction::Drop, 1);
        }
        inherit
    }

    /// Finds the inherit for a message, or makes room for a new one (steps 2 to 6).
    fn match_inherit(&mut self, id: LinkId, receiver: Option<ElementId>) -> Match {
        let Some(receiver) = receiver.filter(|&receiver| self.elements[receiver].is_receiver()) else {
            return Match::Nothing;
        };
        let (source, depth) = match self.links[id].source {
            // A static boost comes from nobody, so the receiver inherits from itself (DV-9).
            None => (Source::Task(receiver), Depth::FIRST),
            Some(Source::Task(task)) if task == receiver => return Match::Nothing,
            Some(Source::Task(task)) => (Source::Task(task), Depth::FIRST),
            Some(Source::Inherit(from)) if self.inherits[from].to == receiver => return Match::Existing(from),
            Some(Source::Inherit(from)) => match self.inherits[from].depth.next() {
                Some(depth) => (Source::Inherit(from), depth),
                None => (Source::Task(self.inherits[from].to), Depth::CUT),
            },
        };
        match self.find_inherit(self.link_task(source), receiver, depth) {
            Some(found) => Match::Existing(found),
            None => match self.reserve_inherit() {
                Ok(()) => Match::New(source, depth),
                Err(NoMemory) => Match::Nothing,
            },
        }
    }

    /// Counts one more boost and one more made reference of an inherit (step 7).
    fn hand_out_inherit(&mut self, environment: &mut dyn Environment, id: InheritId, link: &MessageLink) {
        self.add_made(Source::Inherit(id));
        let inherit = &self.inherits[id];
        let (from, donating) = (inherit.from, inherit.donating);
        // Whether an inherit donates depends on the task it comes from. A message can be raised for another reason: it
        // is static, or its sender is boosted by others as well.
        let donates = link.source.is_none() || self.elements[self.link_task(from)].is_donor();
        if donates && !donating {
            self.switch_and_propagate(environment, id, Direction::Hold);
        }
        self.inherits[id].external.total += 1;
    }

    /// Makes an inherit, which takes over the reference of the message on its source if that is the same (step 8).
    fn make_inherit(&mut self, from: Source, to: ElementId, depth: Depth, link: &mut MessageLink) -> InheritId {
        if link.source == Some(from) {
            link.source = None;
        } else {
            self.retain(from);
        }
        let id = self.insert_inherit(from, to, depth);
        self.inherits[id].made = 1;
        self.inherits[id].donating = link.raised;
        id
    }

    /// Hands out a source to the voucher system once more. The first made reference is a reference on the source.
    pub(super) fn add_made(&mut self, source: Source) {
        let (made, refs) = match source {
            Source::Task(id) => {
                let element = &mut self.elements[id];
                (&mut element.made, &mut element.refs)
            }
            Source::Inherit(id) => {
                let inherit = &mut self.inherits[id];
                (&mut inherit.made, &mut inherit.refs)
            }
        };
        *refs += u64::from(*made == 0);
        *made += 1;
    }

    /// Ends one boost of an inherit that did not get into a voucher for want of memory. The voucher system has `known` of
    /// the made references, and gives those back itself. It may have given back all, and the inherit is gone.
    pub(super) fn take_back(&mut self, environment: &mut dyn Environment, id: InheritId, known: u64) {
        let Some(inherit) = self.inherits.get_mut(id) else { return };
        if inherit.made == 0 {
            return;
        }
        inherit.made = known;
        if known == 0 {
            self.end_boosts(environment, id);
            return self.release(environment, Source::Inherit(id));
        }
        let before = inherit.external;
        inherit.external.total -= 1;
        if inherit.donating {
            let (to, after) = (inherit.to, inherit.external);
            inherit.donating = after.outstanding() > 0;
            self.elements[to].external.subtract(before);
            if after.outstanding() > 0 {
                self.elements[to].external.add(after);
            }
            self.change(environment, to, Direction::Drop, 1, BoostCause::Inherit(id));
        }
    }
}
