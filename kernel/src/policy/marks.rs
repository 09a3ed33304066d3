//! The marks that decide whether a task gives and takes importance (importance 1.2, 2.1, 2.2).

use abi::qos::AppType;
use abi::task::{TASK_DENAP_RECEIVER, TASK_IMP_DONOR, TASK_IMP_LIVE_DONOR, TASK_IMP_RECEIVER};
pub use voucher::importance::Marks;

/// Returns the marks of a child, from those of its parent (importance 2.2). `app_type` is what the parent asks for; with
/// the type [`None`](AppType::None) the child keeps the parent's marks but the receiver's. The mark of a live donor
/// follows its policy from the beginning.
pub fn marks_of_child(parent: Marks, app_type: AppType) -> Marks {
    let (receiver, denap, donor, live_donor) = match app_type {
        AppType::None => return Marks { receiver: false, ..parent },
        AppType::DaemonInteractive | AppType::DaemonStandard => (false, false, true, false),
        AppType::DaemonAdaptive => (true, false, false, false),
        AppType::DaemonBackground | AppType::Driver => (false, false, false, false),
        AppType::AppDefault => (false, true, false, true),
        // The table has no marks for it.
        AppType::AppTal => return Marks { receiver: false, denap: false, ..parent },
    };
    Marks { receiver, denap, donor, live_donor }
}

/// Returns marks as flags of `TASK_POLICY_STATE`.
pub fn mark_flags(marks: Marks) -> u64 {
    let flags = [
        (marks.receiver, TASK_IMP_RECEIVER),
        (marks.donor, TASK_IMP_DONOR),
        (marks.live_donor, TASK_IMP_LIVE_DONOR),
        (marks.denap, TASK_DENAP_RECEIVER),
    ];
    flags.iter().filter(|(marked, _)| *marked).map(|(_, flag)| flag).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of children of an unmarked parent, before the mark of a live donor follows the policy.
    #[test]
    fn each_type_has_the_marks_of_the_table() {
        use AppType::*;
        let rows = [
            (None, 0),
            (DaemonInteractive, 0x2),
            (DaemonStandard, 0x2),
            (DaemonAdaptive, 0x1),
            (DaemonBackground, 0),
            (AppDefault, 0xC),
            (AppTal, 0),
            (Driver, 0),
        ];
        for (app_type, flags) in rows {
            assert_eq!(mark_flags(marks_of_child(Marks::default(), app_type)), flags, "{app_type:?}");
        }
    }

    #[test]
    fn a_child_without_a_type_keeps_all_marks_but_the_receivers() {
        let parent = Marks { receiver: true, denap: true, live_donor: true, donor: false };
        let child = |parent| mark_flags(marks_of_child(parent, AppType::None));
        assert_eq!(child(parent), TASK_DENAP_RECEIVER | TASK_IMP_LIVE_DONOR);
        let parent = Marks { donor: true, ..parent };
        assert_eq!(child(parent), TASK_DENAP_RECEIVER | TASK_IMP_LIVE_DONOR | TASK_IMP_DONOR);
        let tal = mark_flags(marks_of_child(parent, AppType::AppTal));
        assert_eq!(tal, TASK_IMP_LIVE_DONOR | TASK_IMP_DONOR);
        assert_eq!(mark_flags(marks_of_child(parent, AppType::Driver)), 0);
    }
}
