//! The life of inherits: found, made, switched on and off, and destroyed (importance 1.9, 5.3, 6.3).

use super::Importance;
use super::element::{ElementId, ExternCount};
use super::environment::{Direction, Environment};
use super::inherit::{Depth, Inherit, InheritId};
use super::log::BoostCause;
use super::source::Source;
use core::hash::BuildHasher;
use store::{Link, NoMemory};

impl Importance {
    /// Returns the task whose donation a source follows (importance 1.3).
    pub(super) fn link_task(&self, source: Source) -> ElementId {
        match source {
            Source::Task(id) => id,
            Source::Inherit(id) => self.inherits[id].to,
        }
    }

    fn inherit_hash(&self, link_task: ElementId, to: ElementId, depth: Depth) -> u32 {
        self.hasher.hash_one((link_task.to_bits(), to.to_bits(), depth.word())) as u32
    }

    /// Returns the inherit through a task to another, of this depth.
    pub(super) fn find_inherit(&self, link_task: ElementId, to: ElementId, depth: Depth) -> Option<InheritId> {
        let hash = self.inherit_hash(link_task, to, depth);
        let index = self.inherit_index.find(&self.inherits, hash, |inherit| {
            inherit.to == to && inherit.depth == depth && self.link_task(inherit.from) == link_task
        })?;
        self.inherits.at(index).map(|(id, _)| id)
    }

    /// Makes room for one [`insert_inherit`](Importance::insert_inherit).
    pub(super) fn reserve_inherit(&mut self) -> Result<(), NoMemory> {
        self.inherit_index.reserve()?;
        self.inherits.reserve()
    }

    /// Adds an inherit with one boost, which does not donate yet. It takes over a reference on its source; the reference
    /// on the boosted task is new. Room must have been reserved.
    pub(super) fn insert_inherit(&mut self, from: Source, to: ElementId, depth: Depth) -> InheritId {
        let link_task = self.link_task(from);
        let hash = self.inherit_hash(link_task, to, depth);
        self.inherit_index.prepare(&mut self.inherits);
        let index = &mut self.inherit_index;
        let id = self.inherits.insert_reserved(|id| Inherit {
            refs: 1,
            made: 0,
            from,
            to,
            depth,
            donating: false,
            external: ExternCount { total: 1, dropped: 0 },
            exec: false,
            place: Link::default(),
            chain: index.push(store::Id::index(id), hash),
        });
        self.elements[to].refs += 1;
        self.elements[link_task].inherits.push_back(&mut self.inherits, id);
        id
    }

    /// Switches an inherit on or off: its boosts begin or cease to count for the boosted task. Returns true if that
    /// task's count became zero or positive.
    pub(super) fn switch_inherit(&mut self, id: InheritId, direction: Direction) -> bool {
        let inherit = &mut self.inherits[id];
        inherit.donating = direction.is_hold();
        let (to, external) = (inherit.to, inherit.external);
        let element = &mut self.elements[to];
        // Drops are counted last and holds first, so that a task never has fewer boosts than external ones.
        if inherit.donating {
            let crossed = self.count(to, direction, external.outstanding(), BoostCause::Inherit(id));
            self.elements[to].external.add(external);
            crossed
        } else {
            element.external.subtract(external);
            self.count(to, direction, external.outstanding(), BoostCause::Inherit(id))
        }
    }

    /// As [`switch_inherit`](Importance::switch_inherit), with all that follows.
    pub(super) fn switch_and_propagate(
        &mut self,
        environment: &mut dyn Environment,
        id: InheritId,
        direction: Direction,
    ) {
        let to = self.inherits[id].to;
        if self.switch_inherit(id, direction) {
            self.crossed.push_back(&mut self.elements, to);
            self.propagate(environment, to, direction);
        }
    }

    /// Adds a reference to a source.
    pub(super) fn retain(&mut self, source: Source) {
        match source {
            Source::Task(id) => self.elements[id].refs += 1,
            Source::Inherit(id) => self.inherits[id].refs += 1,
        }
    }

    /// Drops a reference to a source. The last one on an inherit destroys it and drops its references in turn, along a
    /// chain of at most [`Depth::MAX`] inherits.
    pub(super) fn release(&mut self, environment: &mut dyn Environment, mut source: Source) {
        loop {
            let id = match source {
                Source::Task(id) => return self.release_element(id),
                Source::Inherit(id) => id,
            };
            let inherit = &mut self.inherits[id];
            inherit.refs -= 1;
            if inherit.refs > 0 {
                return;
            }
            let (from, to) = (inherit.from, inherit.to);
            self.end_boosts(environment, id);
            let link_task = self.link_task(from);
            self.skip_inherit(link_task, id);
            self.elements[link_task].inherits.remove(&mut self.inherits, id);
            self.inherit_index.remove(&mut self.inherits, id.index());
            self.inherits.discard(id);
            self.release_element(to);
            source = from;
        }
    }

    /// Ends all boosts of an inherit, and forgets those that there were.
    pub(super) fn end_boosts(&mut self, environment: &mut dyn Environment, id: InheritId) {
        if self.inherits[id].donating {
            // The counts must be gone from the inherit before others look at it.
            let inherit = &mut self.inherits[id];
            let (to, external) = (inherit.to, core::mem::take(&mut inherit.external));
            inherit.donating = false;
            self.elements[to].external.subtract(external);
            self.change(environment, to, Direction::Drop, external.outstanding(), BoostCause::Inherit(id));
        } else {
            self.inherits[id].external = ExternCount::default();
        }
    }

    /// Drops a reference to an element. The last one, which is left only after the end of the task, removes it.
    pub(super) fn release_element(&mut self, id: ElementId) {
        let element = &mut self.elements[id];
        element.refs -= 1;
        if element.refs > 0 {
            return;
        }
        assert!(element.task.is_none(), "a task refers to its element");
        assert!(element.messages.is_empty() && element.inherits.is_empty(), "I8: what hangs on a task refers to it");
        assert!(element.made == 0 && element.delayed_at.is_none(), "I8: a value and a place in a queue are references");
        let (is_changed, is_unfinished) = (element.is_changed, element.is_unfinished());
        if is_changed {
            self.changed.remove(&mut self.elements, id);
        }
        if is_unfinished {
            self.unfinished.remove(&mut self.elements, id);
        }
        self.elements.discard(id);
    }
}
