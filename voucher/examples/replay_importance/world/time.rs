//! The clock and the timer of the delayed drop.

use super::{Event, World};

impl World {
    /// Lets time pass. A timer that is due fires at its deadline, unless it is `late`.
    pub fn advance(&mut self, ms: u64, late: bool) {
        let end = self.kernel.now + ms * 1_000_000;
        while let Some(deadline) = self.importance.delayed_drop_deadline().filter(|&due| due <= end && !late) {
            self.kernel.now = self.kernel.now.max(deadline);
            self.fire();
        }
        self.kernel.now = end;
    }

    /// Lets a due timer fire now.
    pub fn fire_due_timer(&mut self) {
        if self.importance.delayed_drop_deadline().is_some_and(|due| due <= self.kernel.now) {
            self.fire();
        }
    }

    fn fire(&mut self) {
        self.events.push(Event::Timer(self.kernel.now));
        self.importance(|importance, kernel| {
            let due = importance.delayed_drop_deadline();
            while importance.delayed_drop_deadline() == due && due.is_some() {
                importance.fire_delayed_drop(kernel);
            }
        });
    }
}
