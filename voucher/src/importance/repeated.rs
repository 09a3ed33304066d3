//! The short way of a message that a donor sends to a task which already has its importance, and which waits for the
//! message: it is sent and received in one step, so that only counts change.

use super::Importance;
use super::element::ElementId;
use super::inherit::InheritId;

impl Importance {
    /// Returns true if a task receives boosts of any kind.
    #[inline(always)]
    pub fn is_receiver(&self, task: ElementId) -> bool {
        self.elements[task].is_receiver()
    }

    /// Returns true if a message of a task, which takes part in importance, could be sent to another task and received
    /// without a voucher in one step without any effect: its boost, if it has one, would not be the receiver's first.
    #[inline(always)]
    pub fn passes_unnoticed(&self, sender: ElementId, receiver: ElementId) -> bool {
        let to = &self.elements[receiver];
        !to.is_receiver() || to.assertions > 0 || !self.elements[sender].is_donor()
    }

    /// Returns true if one more boost of an inherit would only be counted: the inherit donates to this task now.
    #[inline(always)]
    pub fn repeats(&self, id: InheritId, to: ElementId) -> bool {
        self.inherits.get(id).is_some_and(|inherit| inherit.donating && inherit.to == to)
            && self.elements[to].is_receiver()
            && self.elements[to].assertions > 0
    }

    /// Counts one more boost of an inherit that [repeats](Importance::repeats): the effect of a message that is sent with
    /// this importance and received in the same step, by a receiver who has a voucher with the inherit already
    /// (importance 5.3 step 7). The boost on the port would come and go. The inherit is not handed out once more, because
    /// the voucher system need not ask for it.
    #[inline(always)]
    pub fn repeat(&mut self, id: InheritId) {
        let inherit = &mut self.inherits[id];
        inherit.external.total += 1;
        let element = &mut self.elements[inherit.to];
        element.external.total += 1;
        element.assertions += 1;
    }
}
