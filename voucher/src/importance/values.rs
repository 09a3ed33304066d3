//! Importance as a value of vouchers: the manager's side (importance 6.3; vouchers 6.4).

use super::Importance;
use super::element::ElementId;
use super::environment::{Direction, Environment};
use super::inherit::InheritId;
use super::log::BoostCause;
use super::source::Source;
use crate::Error;

impl Importance {
    /// Hands out the importance of a task, or nothing if the task is ending (`MACH_VOUCHER_ATTR_IMPORTANCE_SELF`).
    pub(crate) fn own_value(&mut self, task: Option<ElementId>) -> Option<Source> {
        let id = task.filter(|&id| self.elements.get(id).is_some_and(|element| element.is_active()))?;
        self.add_made(Source::Task(id));
        Some(Source::Task(id))
    }

    /// Hands out a value again (`MACH_VOUCHER_ATTR_REDEEM`).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it does not exist.
    pub(crate) fn redeem_value(&mut self, source: Source) -> Result<(), Error> {
        self.made(source).ok_or(Error::InvalidArgument)?;
        self.add_made(source);
        Ok(())
    }

    /// Returns the number of references to a value that the voucher system has, or `None` if it does not exist.
    pub fn made(&self, source: Source) -> Option<u64> {
        match source {
            Source::Task(id) => self.elements.get(id).map(|element| element.made),
            Source::Inherit(id) => self.inherits.get(id).map(|inherit| inherit.made),
        }
    }

    /// Takes back a value from the voucher system: the last voucher that held it is gone. All boosts of an inherit end
    /// together.
    ///
    /// # Errors
    /// [`Error::Failure`] if it was handed out more often than `sync` says; nothing has changed then.
    pub(crate) fn release_value(
        &mut self,
        environment: &mut dyn Environment,
        source: Source,
        sync: u64,
    ) -> Result<(), Error> {
        if self.made(source) != Some(sync) || sync == 0 {
            return Err(Error::Failure);
        }
        match source {
            Source::Task(id) => self.elements[id].made = 0,
            Source::Inherit(id) => {
                self.inherits[id].made = 0;
                self.end_boosts(environment, id);
            }
        }
        self.release(environment, source);
        Ok(())
    }

    /// Gives some boosts of an inherit back early and returns the number of those left
    /// (`MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL`). With 0 boosts it only returns the number.
    ///
    /// # Errors
    /// [`Error::InvalidTask`] if the boosted task is no application, [`Error::Failure`] if there are not so many.
    pub(crate) fn drop_external(
        &mut self,
        environment: &mut dyn Environment,
        id: InheritId,
        boosts: u64,
    ) -> Result<u64, Error> {
        let inherit = &mut self.inherits[id];
        let outstanding = inherit.external.outstanding();
        if boosts == 0 {
            return Ok(outstanding);
        }
        let to = inherit.to;
        if !self.elements[to].marks.denap {
            return Err(Error::InvalidTask);
        }
        let left = outstanding.checked_sub(boosts).ok_or(Error::Failure)?;
        inherit.external.dropped += boosts;
        if inherit.donating {
            let external = inherit.external;
            inherit.donating = left > 0;
            self.elements[to].external.dropped += boosts;
            if left == 0 {
                self.elements[to].external.subtract(external);
                self.delay_drop(environment, to);
            }
            self.change(environment, to, Direction::Drop, boosts, BoostCause::Inherit(id));
        }
        Ok(left)
    }
}
