//! The life of task elements: creation, marks, exec and the end of a task (importance 2.2, 6.7, 6.8).

use super::Importance;
use super::element::{ElementId, LivePolicy, Marks, TaskElement, TaskNumber};
use super::environment::{Direction, Environment};
use super::inherit::{Depth, InheritId};
use super::log::BoostCause;
use super::source::Source;
use crate::Error;

impl Importance {
    /// Creates the element of a new task, without marks.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room.
    pub fn create_element(&mut self, task: TaskNumber) -> Result<ElementId, Error> {
        Ok(self.elements.insert(TaskElement::new(task))?)
    }

    /// Makes room for one [`insert_element`](Importance::insert_element).
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room.
    pub fn reserve_element(&mut self) -> Result<(), Error> {
        Ok(self.elements.reserve()?)
    }

    /// Creates the element of a new task with these marks, and with the mark of a live donor as its policy wants
    /// (importance 2.2). Room must have been [reserved](Importance::reserve_element).
    pub fn insert_element(&mut self, task: TaskNumber, marks: Marks, policy: LivePolicy) -> ElementId {
        let transitions = u64::from(marks.donor);
        let element = TaskElement { marks, policy, transitions, ..TaskElement::new(task) };
        let id = self.elements.insert_reserved(|_| element);
        self.follow_live_wish(id);
        id
    }

    /// Sets the marks of a task, and then the mark of a live donor as its policy wants (importance 2.2).
    ///
    /// The kernel does so when a program starts, before it has ports and vouchers.
    ///
    /// # Errors
    /// [`Error::Failure`] if the task has boosts and would not be the same kind of receiver any more; nothing has
    /// changed then (DV-8).
    pub fn set_marks(
        &mut self,
        environment: &mut dyn Environment,
        id: ElementId,
        marks: Marks,
        policy: LivePolicy,
    ) -> Result<(), Error> {
        let element = &mut self.elements[id];
        let loses = |old: bool, new: bool| old && !new;
        let loses_mark = loses(element.marks.receiver, marks.receiver) || loses(element.marks.denap, marks.denap);
        if loses_mark && element.assertions > 0 {
            return Err(Error::Failure);
        }
        let was_donor = element.is_donor();
        element.transitions += u64::from(marks.donor && !element.marks.donor);
        element.marks = marks;
        element.policy = policy;
        self.follow_live_wish(id);
        self.donation_changed(environment, id, was_donor);
        Ok(())
    }

    /// Makes a task a donor at run time (importance 2.2). What already hangs on the task follows (DV-7).
    pub fn mark_donor(&mut self, environment: &mut dyn Environment, id: ElementId) {
        let element = &mut self.elements[id];
        let was_donor = element.is_donor();
        element.transitions += u64::from(!element.marks.donor);
        element.marks.donor = true;
        self.donation_changed(environment, id, was_donor);
    }

    /// Tells what the policy of a task wants now, after its role or App Nap has changed (importance 2.4).
    ///
    /// # Panics
    /// If a boost would end the donation.
    pub fn set_live_policy(&mut self, environment: &mut dyn Environment, id: ElementId, policy: LivePolicy) {
        assert!(policy.boosted || !policy.unboosted, "a boost ends no donation");
        let element = &mut self.elements[id];
        let (was_donor, wish_before) = (element.is_donor(), element.live_wish());
        element.policy = policy;
        if element.live_wish() != wish_before && self.follow_live_wish(id) {
            self.donation_changed(environment, id, was_donor);
        }
    }

    /// Adds a boost for an advisory file lock that a donor waits for (importance 6.9). Does nothing to a task that
    /// receives no boosts.
    pub fn hold_file_lock(&mut self, environment: &mut dyn Environment, id: ElementId) {
        let element = &mut self.elements[id];
        if element.is_receiver() {
            element.file_locks += 1;
            self.change(environment, id, Direction::Hold, 1, BoostCause::Other);
        }
    }

    /// Drops a boost for an advisory file lock.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the task receives boosts and has none for a file lock.
    pub fn drop_file_lock(&mut self, environment: &mut dyn Environment, id: ElementId) -> Result<(), Error> {
        let element = &mut self.elements[id];
        if element.is_receiver() {
            element.file_locks = element.file_locks.checked_sub(1).ok_or(Error::InvalidArgument)?;
            self.change(environment, id, Direction::Drop, 1, BoostCause::Other);
        }
        Ok(())
    }

    /// Begins the termination of a task: its policy does not change any more (importance 6.8 step 1).
    pub fn begin_termination(&mut self, id: ElementId) {
        self.elements[id].terminating = true;
    }

    /// Ends the termination of a task, after its ports, rights and vouchers are gone: the element ceases to be a donor,
    /// and stays only while others refer to it (importance 6.8 step 3; DV-13).
    pub fn disconnect(&mut self, environment: &mut dyn Environment, id: ElementId) {
        let element = &mut self.elements[id];
        let was_donor = element.is_donor();
        element.task = None;
        element.marks.donor = false;
        self.donation_changed(environment, id, was_donor);
        self.release_element(id);
    }

    /// Begins an exec: the old image boosts the new one, so that it does not wait at a low priority for what the old one
    /// had (importance 6.7 steps 1 and 2). Returns the inherit that does so, if both images receive boosts; it is for
    /// [`end_exec`](Importance::end_exec).
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room; nothing has changed then.
    pub fn begin_exec(
        &mut self,
        environment: &mut dyn Environment,
        old: ElementId,
        new: ElementId,
    ) -> Result<Option<InheritId>, Error> {
        self.reserve_inherit()?;
        let was_donor = self.elements[old].is_donor();
        if self.follow_live_wish(old) {
            self.donation_changed(environment, old, was_donor);
        }
        if !self.elements[old].is_receiver() || !self.elements[new].is_receiver() {
            return Ok(None);
        }
        assert_eq!(self.find_inherit(old, new, Depth::FIRST), None, "the new image has received nothing yet");
        self.retain(Source::Task(old));
        let id = self.insert_inherit(Source::Task(old), new, Depth::FIRST);
        self.inherits[id].exec = true;
        if self.elements[old].is_donor() {
            self.switch_and_propagate(environment, id, Direction::Hold);
        }
        Ok(Some(id))
    }

    /// Exchanges the elements of the two images (importance 6.7 steps 3 to 5): what was given to the old image and
    /// hangs on it belongs to the new one. The boosts of the ports that the old image still has, `in_space`, stay with
    /// that image (DV-5). `policy` is that of the new image, whose mark as a live donor follows it at once (errata 7).
    ///
    /// The kernel gives the new image the element `old` and the old image the element `new` before the call.
    pub fn exchange_images(
        &mut self,
        environment: &mut dyn Environment,
        old: ElementId,
        new: ElementId,
        in_space: u64,
        policy: LivePolicy,
    ) {
        let (a, b) = self.elements.pair_mut(old, new).expect("two images have two elements");
        core::mem::swap(&mut a.task, &mut b.task);
        core::mem::swap(&mut a.reported, &mut b.reported);
        core::mem::swap(&mut a.terminating, &mut b.terminating);
        b.policy = core::mem::replace(&mut a.policy, policy);
        // The policy bit belongs to the element, and each task takes over that of its new element (DV-6).
        for id in [old, new] {
            self.note_change(id);
        }
        self.transfer(environment, Some(old), Some(new), in_space);
        for id in [old, new] {
            let was_donor = self.elements[id].is_donor();
            if self.follow_live_wish(id) {
                self.donation_changed(environment, id, was_donor);
            }
        }
    }

    /// Ends an exec, after the old image is gone: its boost ends (importance 6.7 step 6).
    pub fn end_exec(&mut self, environment: &mut dyn Environment, inherit: Option<InheritId>) {
        if let Some(id) = inherit {
            self.inherits[id].exec = false;
            self.release(environment, Source::Inherit(id));
        }
    }
}
