//! The policy of a new task, and what an unprivileged parent may ask for (importance 2.2, errata 6).

use super::marks::{Marks, marks_of_child};
use super::task::{Suppression, TaskPolicy};
use super::thread::ThreadPolicy;
use abi::qos::{AppType, Priority, Qos, Role};

/// The policy that a parent asks for, for its child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The type; [`None`](AppType::None): that of the parent.
    pub app_type: AppType,
    /// The role, which is not inherited.
    pub role: Role,
    /// The clamp; [`Unspecified`](Qos::Unspecified): that of the parent.
    pub qos_clamp: Qos,
}

impl Asked {
    /// Returns the policy and the marks of the child of a parent with this policy and these marks.
    ///
    /// A child without a type of its own has that of its parent. If that is an adaptive daemon, the child has no boosts
    /// of its own: it becomes for ever what the parent is at this moment.
    pub fn of_child(self, parent: &TaskPolicy, marks: Marks) -> (TaskPolicy, Marks) {
        let mut marks = marks_of_child(marks, self.app_type);
        let app_type = match (self.app_type, parent.app_type) {
            (AppType::None, AppType::DaemonAdaptive) if parent.boosted => {
                marks.donor = true;
                AppType::DaemonInteractive
            }
            (AppType::None, AppType::DaemonAdaptive) => AppType::DaemonBackground,
            (AppType::None, inherited) => inherited,
            (asked, _) => asked,
        };
        let policy = TaskPolicy {
            app_type,
            role: self.role,
            qos_clamp: if self.qos_clamp == Qos::Unspecified { parent.qos_clamp } else { self.qos_clamp },
            boosted: false,
            suppression: Suppression::default(),
            internal_background: parent.internal_background,
            external_background: parent.external_background,
        };
        (policy, marks)
    }
}

impl TaskPolicy {
    /// Returns true if a parent with this policy may start this child without being user 0. The child must not have a
    /// role that only user 0 gives, and its threads must not be able to reach a higher base priority than the
    /// parent's: neither now nor if both were boosted.
    pub fn may_start(&self, child: &TaskPolicy) -> bool {
        let boosted = |policy: &TaskPolicy| TaskPolicy { boosted: true, ..*policy };
        !child.role.is_privileged() && child.reach() <= self.reach() && boosted(child).reach() <= boosted(self).reach()
    }

    /// Returns the highest base priority that threads of this task can have by requests that need no privilege: with
    /// the best class and role, without App Nap and out of the background.
    fn reach(&self) -> u8 {
        let best = TaskPolicy {
            role: Role::Foreground,
            suppression: Suppression::default(),
            internal_background: false,
            external_background: false,
            ..*self
        };
        let thread = ThreadPolicy::requesting(Priority::of(Qos::UserInteractive));
        thread.effective(&best.effective()).base_priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AppType::*;

    fn typed(app_type: AppType) -> TaskPolicy {
        TaskPolicy { app_type, ..TaskPolicy::default() }
    }

    #[test]
    fn a_child_inherits_type_clamp_and_background_but_not_role_nap_and_boost() {
        let suppression = Suppression { active: true, ..Suppression::default() };
        let parent = TaskPolicy {
            app_type: AppDefault,
            role: Role::Foreground,
            qos_clamp: Qos::Utility,
            boosted: true,
            internal_background: true,
            external_background: true,
            suppression,
        };
        let (child, _) = Asked::default().of_child(&parent, Marks::default());
        assert_eq!(
            child,
            TaskPolicy { role: Role::Unspecified, boosted: false, suppression: Suppression::default(), ..parent }
        );
        let asked = Asked { app_type: Driver, role: Role::NonUi, qos_clamp: Qos::Legacy };
        let (child, _) = asked.of_child(&parent, Marks::default());
        assert_eq!((child.app_type, child.role, child.qos_clamp), (Driver, Role::NonUi, Qos::Legacy));
    }

    /// For each type of parent, the types that it may start without being user 0.
    #[test]
    fn an_unprivileged_parent_starts_nothing_that_outruns_it() {
        let all = [DaemonInteractive, DaemonStandard, DaemonAdaptive, DaemonBackground, AppDefault, AppTal, Driver];
        let daemons = [DaemonInteractive, DaemonStandard, DaemonAdaptive, DaemonBackground, AppTal, Driver];
        let started = |parent: TaskPolicy| -> Vec<AppType> {
            all.into_iter().filter(|child| parent.may_start(&typed(*child))).collect()
        };
        for parent in [None, DaemonInteractive, DaemonStandard, AppTal, Driver] {
            assert_eq!(started(typed(parent)), daemons, "{parent:?}");
        }
        assert_eq!(started(typed(AppDefault)), all);
        assert_eq!(started(typed(DaemonBackground)), [DaemonBackground]);
        assert_eq!(started(typed(DaemonAdaptive)), [DaemonAdaptive, DaemonBackground]);
        assert_eq!(started(TaskPolicy { boosted: true, ..typed(DaemonAdaptive) }), daemons);
    }

    #[test]
    fn an_unprivileged_parent_gives_neither_a_higher_clamp_nor_a_privileged_role() {
        let clamped = |qos_clamp| TaskPolicy { qos_clamp, ..typed(AppDefault) };
        let parent = clamped(Qos::Utility);
        let allowed = Qos::CLASSES.map(|clamp| parent.may_start(&clamped(clamp)));
        assert_eq!(allowed, [true, true, true, false, false, false]);
        assert!(!parent.may_start(&clamped(Qos::Unspecified)));
        for (role, may) in [(Role::Control, false), (Role::GraphicsServer, false), (Role::Foreground, true)] {
            let child = TaskPolicy { role, ..typed(AppDefault) };
            assert_eq!(typed(AppDefault).may_start(&child), may, "{role:?}");
        }
    }

    #[test]
    fn what_a_parent_can_shake_off_does_not_limit_its_child() {
        let app = typed(AppDefault);
        let suppression = Suppression { lowpri_cpu: true, ..Suppression::default() };
        // A child is in the background with its parent, so the two are equal in that.
        for parent in [
            TaskPolicy { suppression, ..app },
            TaskPolicy { internal_background: true, ..app },
            TaskPolicy { external_background: true, ..app },
        ] {
            assert!(parent.may_start(&app), "{parent:?}");
        }
    }
}
