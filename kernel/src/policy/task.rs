//! The policy of tasks (importance 2.3 to 2.6).

use super::priority::*;
use super::tiers::*;
use abi::qos::{AppType, Qos, Role};
use voucher::importance::LivePolicy;

/// The requested policy of a task (importance 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskPolicy {
    /// The kind of program, given when the task is started.
    pub app_type: AppType,
    /// The role, for applications.
    pub role: Role,
    /// The highest class that threads of the task get. Threads without a class get this one.
    pub qos_clamp: Qos,
    /// The task holds importance boosts.
    pub boosted: bool,
    /// The task has put itself into the background.
    pub internal_background: bool,
    /// Another task has put this one into the background.
    pub external_background: bool,
    /// App Nap.
    pub suppression: Suppression,
}

/// The policy of App Nap. All of it but the sockets' part is lifted while the task is boosted (importance 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppression {
    /// The task naps.
    pub active: bool,
    /// Its threads run at the lowest priority.
    pub lowpri_cpu: bool,
    /// Its threads run at a lowered priority.
    pub cpu: bool,
    /// Its input and output is throttled.
    pub disk: bool,
    /// Its sockets are in the background. Tally has no sockets, and only keeps the request.
    pub background_sockets: bool,
    /// The latency code that replaces the task's own; 0 for none.
    pub timer: u8,
    /// The throughput code that replaces the task's own; 0 for none.
    pub throughput: u8,
}

/// The effective policy of a task (importance 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskEffective {
    /// The task runs in the background.
    pub background: bool,
    /// The task runs in the background for the only reason that it is an adaptive daemon without a boost.
    pub adaptive_background: bool,
    /// Its threads run at the lowest priority.
    pub lowpri_cpu: bool,
    /// See [`TaskPolicy::qos_clamp`].
    pub qos_clamp: Qos,
    /// The highest class for threads that have a class. Threads without a class are not affected.
    pub qos_ceiling: Qos,
    /// The class user-interactive is urgent: its base priority is one point higher.
    pub urgent: bool,
    /// The base priority of threads without a class.
    pub priority: u8,
    /// The highest base priority of any thread.
    pub max_priority: u8,
    /// How input, output and timers of the task are treated, apart from what its threads' classes say.
    pub tiers: Tiers,
    /// An application gives importance (importance 2.4).
    pub live_donor: bool,
}

impl TaskPolicy {
    /// Returns the effective policy (importance 2.3).
    pub fn effective(&self) -> TaskEffective {
        let unboosted_adaptive = self.app_type == AppType::DaemonAdaptive && !self.boosted;
        let other_background = self.internal_background
            || self.external_background
            || self.role == Role::DarwinBg
            || self.app_type == AppType::DaemonBackground
            || matches!(self.qos_clamp, Qos::Background | Qos::Maintenance);
        let background = unboosted_adaptive || other_background;
        let lowpri_cpu = background || self.is_launch_throttled() || (self.suppression.lowpri_cpu && !self.boosted);
        let (qos_ceiling, urgent) = self.ceiling();
        let (priority, max_priority) = self.priorities(lowpri_cpu);
        let mut tiers = self.tiers();
        if background {
            tiers.io = tiers.io.max(BACKGROUND_IO_TIER);
        }
        TaskEffective {
            background,
            adaptive_background: unboosted_adaptive && !other_background,
            lowpri_cpu,
            qos_clamp: self.qos_clamp,
            qos_ceiling,
            urgent,
            priority,
            max_priority,
            tiers,
            live_donor: self.is_live_donor(),
        }
    }

    /// Returns whether this is an application that gives importance, without and with a boost.
    pub fn live_policy(&self) -> LivePolicy {
        let wish = |boosted| TaskPolicy { boosted, ..*self }.is_live_donor();
        LivePolicy { unboosted: wish(false), boosted: wish(true) }
    }

    /// Returns true if this is an application that gives importance. Neither the background role nor a background
    /// that the application has chosen itself takes that from it (importance 2.4).
    pub(super) fn is_live_donor(&self) -> bool {
        let naps = self.suppression.active && !self.boosted;
        self.app_type.is_application() && !self.external_background && !naps && self.role != Role::DarwinBg
    }

    /// Returns the tiers of the task, without the tier of the background.
    fn tiers(&self) -> Tiers {
        let throttled = |condition: bool, tier: u8| if condition { tier } else { 0 };
        let replaced = |by: u8| if self.boosted { 0 } else { by };
        let clamp = Tiers::of(self.qos_clamp);
        let io = throttled(self.app_type == AppType::DaemonStandard, STANDARD_IO_TIER)
            .max(throttled(self.suppression.disk && !self.boosted, BACKGROUND_IO_TIER))
            .max(throttled(self.is_launch_throttled(), LAUNCH_IO_TIER))
            .max(clamp.io);
        let latency = match self.role {
            Role::GraphicsServer => GRAPHICS_LATENCY,
            _ => replaced(self.suppression.timer).max(clamp.latency),
        };
        Tiers { io, latency, throughput: replaced(self.suppression.throughput).max(clamp.throughput) }
    }

    /// Returns true if this is an application that is throttled while it starts.
    fn is_launch_throttled(&self) -> bool {
        self.app_type == AppType::AppDefault && self.role == Role::Throttle
    }

    /// Returns the class ceiling, and true if the class user-interactive is urgent (importance 2.5).
    fn ceiling(&self) -> (Qos, bool) {
        if self.app_type != AppType::AppDefault {
            return (Qos::UserInitiated, false);
        }
        match self.role {
            Role::Unspecified | Role::NonUi => (Qos::Legacy, false),
            Role::Foreground | Role::Control | Role::GraphicsServer => (Qos::Unspecified, true),
            Role::Background | Role::Default => (Qos::Unspecified, false),
            Role::Throttle => (Qos::Utility, false),
            Role::DarwinBg => (Qos::Background, false),
        }
    }

    /// Returns the base priority of threads without a class, and the highest base priority of any thread. The first
    /// condition of the table in importance 2.3 that holds decides.
    fn priorities(&self, lowpri_cpu: bool) -> (u8, u8) {
        if lowpri_cpu {
            return (MAXPRI_THROTTLE, MAXPRI_THROTTLE);
        }
        if self.suppression.cpu && !self.boosted {
            return (MAXPRI_SUPPRESSED, MAXPRI_SUPPRESSED);
        }
        let (priority, max) = match self.role {
            Role::Control => (BASEPRI_CONTROL, MAXPRI_USER),
            Role::GraphicsServer => (BASEPRI_GRAPHICS, MAXPRI_RESERVED),
            _ => (BASEPRI_DEFAULT, MAXPRI_USER),
        };
        match self.qos_clamp {
            Qos::Unspecified => (priority, max),
            clamp => {
                let max = max.min(base_priority_of(clamp));
                (priority.min(max), max)
            }
        }
    }

    /// Returns the class that the first thread of the task requests (importance 2.1). The first task of the system gets
    /// at least user-initiated, because all others depend on it.
    pub fn main_thread_qos(&self, is_first: bool) -> Qos {
        let by_type = match self.app_type {
            AppType::None => Qos::Unspecified,
            AppType::DaemonBackground => Qos::Background,
            AppType::AppDefault | AppType::AppTal => Qos::UserInteractive,
            _ => Qos::Legacy,
        };
        let clamped = match self.qos_clamp {
            Qos::Unspecified => by_type,
            clamp => by_type.min(clamp),
        };
        if is_first { clamped.max(Qos::UserInitiated) } else { clamped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Qos::*;

    fn task(app_type: AppType, role: Role) -> TaskPolicy {
        TaskPolicy { app_type, role, ..TaskPolicy::default() }
    }

    #[test]
    fn whoever_puts_a_task_into_the_background_suffices() {
        let plain = task(AppType::AppDefault, Role::Foreground);
        assert!(!plain.effective().background);
        for (internal_background, external_background) in [(true, false), (false, true), (true, true)] {
            let effective = TaskPolicy { internal_background, external_background, ..plain }.effective();
            assert!(effective.background && effective.lowpri_cpu && !effective.adaptive_background);
        }
    }

    #[test]
    fn only_an_adaptive_daemon_without_a_boost_is_in_the_background_for_that_reason_alone() {
        let adaptive = task(AppType::DaemonAdaptive, Role::Unspecified);
        assert!(adaptive.effective().adaptive_background);
        let others = [
            TaskPolicy { boosted: true, ..adaptive },
            TaskPolicy { external_background: true, ..adaptive },
            TaskPolicy { qos_clamp: Background, ..adaptive },
            task(AppType::DaemonStandard, Role::Unspecified),
            task(AppType::DaemonBackground, Role::Unspecified),
        ];
        for other in others {
            assert!(!other.effective().adaptive_background, "{other:?}");
        }
    }

    #[test]
    fn the_first_thread_requests_the_class_of_its_kind_of_program() {
        let main = |app_type, qos_clamp, first| {
            TaskPolicy { app_type, qos_clamp, ..TaskPolicy::default() }.main_thread_qos(first)
        };
        assert_eq!(main(AppType::None, Unspecified, false), Unspecified);
        assert_eq!(main(AppType::DaemonStandard, Unspecified, false), Legacy);
        assert_eq!(main(AppType::DaemonBackground, Unspecified, false), Background);
        assert_eq!(main(AppType::AppDefault, Unspecified, false), UserInteractive);
        assert_eq!(main(AppType::AppDefault, Utility, false), Utility);
        assert_eq!(main(AppType::None, Unspecified, true), UserInitiated);
    }
    #[test]
    fn an_application_gives_importance_unless_it_naps_or_others_put_it_into_the_background() {
        let app = task(AppType::AppDefault, Role::Foreground);
        let nap = Suppression { active: true, ..Suppression::default() };
        let lowered = Suppression { lowpri_cpu: true, cpu: true, ..Suppression::default() };
        let donors = [
            app,
            task(AppType::AppTal, Role::Unspecified),
            task(AppType::AppDefault, Role::Background),
            task(AppType::AppDefault, Role::Throttle),
            TaskPolicy { internal_background: true, ..app },
            TaskPolicy { suppression: nap, boosted: true, ..app },
            TaskPolicy { suppression: lowered, ..app },
        ];
        assert!(donors.iter().all(|policy| policy.effective().live_donor));
        let others = [
            TaskPolicy { external_background: true, ..app },
            TaskPolicy { suppression: nap, ..app },
            task(AppType::AppDefault, Role::DarwinBg),
            task(AppType::DaemonStandard, Role::Foreground),
            task(AppType::None, Role::Unspecified),
        ];
        assert!(others.iter().all(|policy| !policy.effective().live_donor));
    }

    #[test]
    fn the_tiers_of_a_task_follow_its_type_its_nap_and_its_clamp() {
        let tiers = |policy: TaskPolicy| {
            let Tiers { io, latency, throughput } = policy.effective().tiers;
            [io, latency, throughput]
        };
        let app = task(AppType::AppDefault, Role::Foreground);
        assert_eq!(tiers(app), [0, 0, 0]);
        assert_eq!(tiers(task(AppType::DaemonStandard, Role::Unspecified)), [1, 0, 0]);
        assert_eq!(tiers(task(AppType::DaemonAdaptive, Role::Unspecified)), [2, 0, 0]);
        assert_eq!(tiers(task(AppType::AppDefault, Role::Throttle)), [1, 0, 0]);
        assert_eq!(tiers(task(AppType::None, Role::GraphicsServer)), [0, 1, 0]);
        let suppression = Suppression { disk: true, timer: 3, throughput: 5, ..Suppression::default() };
        let napped = TaskPolicy { suppression, ..app };
        assert_eq!(tiers(napped), [2, 3, 5]);
        assert_eq!(tiers(TaskPolicy { boosted: true, ..napped }), [0, 0, 0]);
        assert_eq!(tiers(TaskPolicy { qos_clamp: Utility, ..napped }), [2, 4, 5]);
        assert_eq!(tiers(TaskPolicy { qos_clamp: Maintenance, ..app }), [3, 4, 6]);
    }
}
