//! The marks of a task that decide whether it gives and takes importance (importance 1.2, 2.1, 2.2).
//!
//! The marks are all that a task has of importance before any message is sent. The boosts themselves are counted
//! elsewhere.

use abi::qos::AppType;
use abi::task::{TASK_DENAP_RECEIVER, TASK_IMP_DONOR, TASK_IMP_LIVE_DONOR, TASK_IMP_RECEIVER};

/// The marks of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It may be boosted.
    pub receiver: bool,
    /// It may be boosted, but only to lift its App Nap.
    pub denap: bool,
    /// It gives importance whether or not it is boosted.
    donor: bool,
    /// Its donor mark follows from its policy.
    pub live_donor: bool,
    /// How often its donor mark was set, or the task was boosted (importance 9.1).
    transitions: u64,
}

impl Marks {
    /// Returns the marks of a child, from those of its parent (importance 2.2). `app_type` is what the parent asks for;
    /// with the type [`None`](AppType::None) the child keeps the parent's marks but the receiver's.
    pub fn of_child(self, app_type: AppType) -> Marks {
        let mut marks = Marks { receiver: false, transitions: 0, donor: false, ..self };
        marks.set_donor(self.donor);
        let (receiver, denap, donor, live_donor) = match app_type {
            AppType::None => return marks,
            AppType::DaemonInteractive | AppType::DaemonStandard => (false, false, true, false),
            AppType::DaemonAdaptive => (true, false, false, false),
            AppType::DaemonBackground | AppType::Driver => (false, false, false, false),
            AppType::AppDefault => (false, true, false, true),
            // The table has no marks for it.
            AppType::AppTal => return Marks { denap: false, ..marks },
        };
        marks = Marks { receiver, denap, live_donor, donor: false, ..marks };
        marks.set_donor(donor);
        marks
    }

    /// Returns how often the donor mark was set.
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Returns true if the task may be boosted for any purpose.
    pub fn is_any_receiver(&self) -> bool {
        self.receiver || self.denap
    }

    /// Sets or clears the donor mark.
    pub fn set_donor(&mut self, donor: bool) {
        self.transitions += u64::from(donor && !self.donor);
        self.donor = donor;
    }

    /// Lets the donor mark of a live donor follow its policy (importance 2.4).
    pub fn refresh(&mut self, live_donor: bool) {
        if self.live_donor {
            self.set_donor(live_donor);
        }
    }

    /// Returns the marks as flags of `TASK_POLICY_STATE`.
    pub fn flags(&self) -> u64 {
        let flags = [
            (self.receiver, TASK_IMP_RECEIVER),
            (self.donor, TASK_IMP_DONOR),
            (self.live_donor, TASK_IMP_LIVE_DONOR),
            (self.denap, TASK_DENAP_RECEIVER),
        ];
        flags.iter().filter(|(marked, _)| *marked).map(|(_, flag)| flag).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of children of an unmarked parent, after their first refresh.
    #[test]
    fn each_type_has_the_marks_of_the_table() {
        use AppType::*;
        let rows = [
            (None, 0, 0),
            (DaemonInteractive, 0x2, 1),
            (DaemonStandard, 0x2, 1),
            (DaemonAdaptive, 0x1, 0),
            (DaemonBackground, 0, 0),
            (AppDefault, 0xE, 1),
            (AppTal, 0, 0),
            (Driver, 0, 0),
        ];
        for (app_type, flags, transitions) in rows {
            let mut marks = Marks::default().of_child(app_type);
            marks.refresh(true);
            assert_eq!((marks.flags(), marks.transitions()), (flags, transitions), "{app_type:?}");
        }
    }

    #[test]
    fn a_child_without_a_type_keeps_all_marks_but_the_receivers() {
        let mut parent = Marks { receiver: true, denap: true, live_donor: true, ..Marks::default() };
        assert_eq!(parent.of_child(AppType::None).flags(), TASK_DENAP_RECEIVER | TASK_IMP_LIVE_DONOR);
        parent.set_donor(true);
        assert_eq!(parent.of_child(AppType::None).flags(), TASK_DENAP_RECEIVER | TASK_IMP_LIVE_DONOR | TASK_IMP_DONOR);
        assert_eq!(parent.of_child(AppType::AppTal).flags(), TASK_IMP_LIVE_DONOR | TASK_IMP_DONOR);
        assert_eq!(parent.of_child(AppType::Driver).flags(), 0);
        let transitions = |parent: Marks, app_type| parent.of_child(app_type).transitions();
        parent.set_donor(false);
        parent.set_donor(true);
        let types = [AppType::None, AppType::Driver, AppType::DaemonStandard];
        assert_eq!(types.map(|app_type| transitions(parent, app_type)), [1, 1, 2], "the inherited mark counts");
    }

    #[test]
    fn only_the_setting_of_the_donor_mark_is_a_transition() {
        let mut marks = Marks::default();
        for (donor, transitions) in [(true, 1), (true, 1), (false, 1), (true, 2)] {
            marks.set_donor(donor);
            assert_eq!(marks.transitions(), transitions);
        }
        marks.refresh(false);
        assert_eq!(marks.flags(), TASK_IMP_DONOR, "the policy decides for live donors only");
    }
}
