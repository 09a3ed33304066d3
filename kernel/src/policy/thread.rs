//! The policy of threads (importance 8.4).

use super::priority::*;
use super::task::TaskEffective;
use super::tiers::*;
use abi::qos::{MIN_RELATIVE_PRIORITY, Priority, Qos};

/// The requested policy of a thread: its own requests, and those of others for it (importance 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPolicy {
    /// The class and relative priority that the thread requests.
    pub requested: Priority,
    /// The highest explicit override: see [`Overrides`](super::Overrides).
    pub qos_override: Qos,
    /// The override of a dispatch queue that the thread serves, until the thread itself resets it.
    pub dispatch_override: Qos,
    /// The class of the highest synchronous push: of the threads that wait for this one.
    pub promote: Qos,
    /// The priority of the highest synchronous push.
    pub promotion_priority: u8,
    /// The override of the queue it serves.
    pub servicer_override: Qos,
    /// The thread takes part in time sharing. Otherwise its priority is fixed.
    pub timeshare: bool,
}

impl Default for ThreadPolicy {
    fn default() -> Self {
        ThreadPolicy::requesting(Priority::UNSPECIFIED)
    }
}

/// The effective policy of a thread in its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadEffective {
    /// The class and relative priority in effect.
    pub priority: Priority,
    /// The thread runs in the background.
    pub background: bool,
    /// The base priority.
    pub base_priority: u8,
    /// The thread takes part in time sharing: by its own request, or because its task's maximum priority demands it.
    pub timeshare: bool,
    /// How its input, output and timers are treated.
    pub tiers: Tiers,
}

impl ThreadPolicy {
    /// Returns the policy of a timeshare thread whose only request is a class and relative priority.
    pub const fn requesting(requested: Priority) -> ThreadPolicy {
        ThreadPolicy {
            requested,
            qos_override: Qos::Unspecified,
            dispatch_override: Qos::Unspecified,
            promote: Qos::Unspecified,
            promotion_priority: 0,
            servicer_override: Qos::Unspecified,
            timeshare: true,
        }
    }

    /// Returns the effective policy in a task. The numbers are the steps of importance 8.4. (7) does not
    /// occur, because a terminated thread does not run.
    pub fn effective(&self, task: &TaskEffective) -> ThreadEffective {
        let raised = self.raised_class();
        // (2) A thread that a more important one waits for leaves the background of its adaptive daemon, alone: the
        // daemon has no boost that would lift all its threads.
        let escapes = task.background && task.adaptive_background && self.promote > Qos::Background;
        let limited = limited_class(if escapes { self.promote } else { raised }, task);
        // (4) A relative priority is a place within the requested class. In another class, or beside an override, it
        // has no meaning.
        let keeps_place = self.requested.qos == limited && limited != Qos::Unspecified && !self.is_overridden();
        let relative = if keeps_place { self.requested.relative.max(MIN_RELATIVE_PRIORITY) } else { 0 };
        // (5) A thread is in the background with its task, or alone by its class. The class then shows it.
        let background = (task.background && !escapes) || matches!(limited, Qos::Background | Qos::Maintenance);
        let priority = if background && (limited > Qos::Background || limited == Qos::Unspecified) {
            Priority::of(Qos::Background)
        } else {
            Priority { qos: limited, relative }
        };
        // (6) The task's tiers do not hold back a thread that has escaped from its background.
        let mut tiers = Tiers::of(priority.qos);
        if !escapes {
            tiers = tiers.worse(task.tiers);
        }
        if background {
            tiers.io = tiers.io.max(BACKGROUND_IO_TIER);
        }
        ThreadEffective {
            priority,
            background,
            base_priority: self.base_priority(task, priority, escapes),
            // (9) A fixed priority is for tasks that may rise above the lowest levels.
            timeshare: self.timeshare || task.max_priority <= MAXPRI_THROTTLE,
            tiers,
        }
    }

    /// Returns the class and relative priority that would be in effect in a task without limits: the requested ones,
    /// raised by all that others request.
    pub fn raised(&self) -> Priority {
        match self.raised_class() {
            class if class == self.requested.qos && !self.is_overridden() => self.requested,
            class => Priority::of(class),
        }
    }

    /// Returns the requested class, raised to the highest class that others request for the thread (1). A thread
    /// without a class stays without one: its priority comes from its task.
    fn raised_class(&self) -> Qos {
        match self.requested.qos {
            Qos::Unspecified => Qos::Unspecified,
            own => self.others().into_iter().fold(own, Qos::max),
        }
    }

    /// Returns true if others request a class for the thread, even a lower one than its own.
    fn is_overridden(&self) -> bool {
        self.others().iter().any(|&class| class != Qos::Unspecified)
    }

    /// Returns the classes that others request for the thread.
    fn others(&self) -> [Qos; 4] {
        [self.qos_override, self.dispatch_override, self.promote, self.servicer_override]
    }

    /// Returns the base priority for the class in effect (8): at least that of the highest synchronous push, so that a
    /// waiter does not wait for a thread of lower priority, and at most the task's maximum. A thread that `escapes` its
    /// task's background may exceed that maximum up to the push.
    fn base_priority(&self, task: &TaskEffective, priority: Priority, escapes: bool) -> u8 {
        let own = match priority.qos {
            Qos::Unspecified => task.priority,
            Qos::UserInteractive if task.urgent => base_priority(priority) + 1,
            _ => base_priority(priority),
        };
        let max = if escapes { task.max_priority.max(self.promotion_priority) } else { task.max_priority };
        own.max(self.promotion_priority).min(max)
    }
}

/// Returns the class within the limits of the task (3). The clamp also gives a class to a thread without one, so that
/// no thread of a clamped task stays above it; the ceiling only limits classes.
fn limited_class(class: Qos, task: &TaskEffective) -> Qos {
    let clamped = match (class, task.qos_clamp) {
        (class, Qos::Unspecified) => class,
        (Qos::Unspecified, clamp) => clamp,
        (class, clamp) => class.min(clamp),
    };
    match (clamped, task.qos_ceiling) {
        (class, Qos::Unspecified) => class,
        (class, ceiling) => class.min(ceiling),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Suppression, TaskPolicy};
    use super::*;
    use Qos::*;
    use abi::qos::{AppType, Role};

    fn task(app_type: AppType, role: Role) -> TaskPolicy {
        TaskPolicy { app_type, role, ..TaskPolicy::default() }
    }

    /// Returns the base priorities of threads of each class, and of one without a class.
    fn bases(task: TaskPolicy) -> [u8; 7] {
        [UserInteractive, UserInitiated, Legacy, Utility, Background, Maintenance, Unspecified]
            .map(|qos| ThreadPolicy::requesting(Priority::of(qos)).effective(&task.effective()).base_priority)
    }

    #[test]
    fn every_class_has_the_base_priority_of_the_table_in_every_kind_of_task() {
        let plain = [37, 37, 31, 20, 4, 4, 31];
        for app_type in [AppType::None, AppType::DaemonInteractive, AppType::DaemonStandard, AppType::Driver] {
            assert_eq!(bases(task(app_type, Role::Unspecified)), plain, "{app_type:?}");
        }
        let adaptive = task(AppType::DaemonAdaptive, Role::Unspecified);
        assert_eq!(bases(adaptive), [4; 7]);
        assert_eq!(bases(TaskPolicy { boosted: true, ..adaptive }), plain);
        assert_eq!(bases(task(AppType::DaemonBackground, Role::Unspecified)), [4; 7]);

        let app = |role| task(AppType::AppDefault, role);
        assert_eq!(bases(app(Role::Foreground)), [47, 37, 31, 20, 4, 4, 31]);
        assert_eq!(bases(app(Role::Background)), [46, 37, 31, 20, 4, 4, 31]);
        assert_eq!(bases(app(Role::Default)), [46, 37, 31, 20, 4, 4, 31]);
        assert_eq!(bases(app(Role::Unspecified)), [31, 31, 31, 20, 4, 4, 31]);
        assert_eq!(bases(app(Role::NonUi)), [31, 31, 31, 20, 4, 4, 31]);
        assert_eq!(bases(app(Role::Throttle)), [4; 7]);
        assert_eq!(bases(app(Role::DarwinBg)), [4; 7]);

        let nap = |lowpri_cpu, cpu, boosted| {
            let suppression = Suppression { active: true, lowpri_cpu, cpu, ..Suppression::default() };
            bases(TaskPolicy { suppression, boosted, ..app(Role::Foreground) })
        };
        assert_eq!(nap(true, false, false), [4; 7]);
        assert_eq!(nap(false, true, false), [28, 28, 28, 20, 4, 4, 28]);
        assert_eq!(nap(true, true, true), [47, 37, 31, 20, 4, 4, 31]);
    }

    #[test]
    fn a_clamp_limits_every_thread_and_gives_a_class_to_those_without() {
        let clamped = TaskPolicy { qos_clamp: Utility, ..task(AppType::DaemonStandard, Role::Unspecified) };
        assert_eq!(bases(clamped), [20, 20, 20, 20, 4, 4, 20]);
        let background = TaskPolicy { qos_clamp: Background, ..clamped };
        assert!(background.effective().background);
        assert_eq!(bases(background), [4; 7]);
    }

    #[test]
    fn a_synchronous_push_lifts_a_thread_as_the_table_says() {
        let pushed = |task: TaskPolicy, priority: u8| {
            let mut thread = ThreadPolicy::requesting(Priority::of(Legacy));
            thread.promotion_priority = priority;
            thread.promote = promoted_class(priority);
            thread.effective(&task.effective()).base_priority
        };
        let all = |task| [20, 31, 37, 46, 47, 60].map(|priority| pushed(task, priority));
        let adaptive = task(AppType::DaemonAdaptive, Role::Unspecified);
        assert_eq!(all(adaptive), [20, 31, 37, 46, 47, 60]);
        assert_eq!(all(TaskPolicy { boosted: true, ..adaptive }), [31, 31, 37, 46, 47, 60]);
        assert_eq!(all(task(AppType::DaemonStandard, Role::Unspecified)), [31, 31, 37, 46, 47, 60]);
        let foreground = task(AppType::AppDefault, Role::Foreground);
        assert_eq!(all(foreground), [31, 31, 37, 47, 47, 60]);
        assert_eq!(all(task(AppType::DaemonBackground, Role::Unspecified)), [4; 6]);
        assert_eq!(all(task(AppType::AppDefault, Role::Throttle)), [4; 6]);
        let suppression = Suppression { active: true, cpu: true, ..Suppression::default() };
        assert_eq!(all(TaskPolicy { suppression, ..foreground }), [28; 6]);
        assert_eq!(pushed(adaptive, 4), 4, "a push from the background has no effect");
    }

    // covers importance E138
    #[test]
    fn relative_priorities_count_in_a_foreground_app() {
        let foreground = task(AppType::AppDefault, Role::Foreground).effective();
        let base =
            |qos, relative| ThreadPolicy::requesting(Priority { qos, relative }).effective(&foreground).base_priority;
        assert_eq!(base(UserInteractive, -15), 39);
        assert_eq!(base(UserInitiated, -8), 34);
        assert_eq!(base(Legacy, -1), 31);
        assert_eq!(base(Background, -15), 1);
    }

    // covers importance E139
    #[test]
    fn a_relative_priority_is_void_in_a_class_the_thread_did_not_ask_for() {
        let boosted = TaskPolicy { boosted: true, ..task(AppType::DaemonAdaptive, Role::Unspecified) };
        let thread = ThreadPolicy::requesting(Priority { qos: UserInteractive, relative: -4 });
        assert_eq!(thread.effective(&boosted.effective()).base_priority, 37);
    }

    // covers importance E140
    #[test]
    fn an_override_voids_the_relative_priority_even_if_it_is_lower_than_the_class() {
        let requested = ThreadPolicy::requesting(Priority { qos: Legacy, relative: -8 });
        let thread = ThreadPolicy { qos_override: Utility, ..requested };
        assert_eq!(thread.effective(&TaskPolicy::default().effective()).base_priority, 31);
    }

    #[test]
    fn a_push_of_the_background_class_does_not_lift_an_adaptive_daemons_thread() {
        let adaptive = task(AppType::DaemonAdaptive, Role::Unspecified).effective();
        let requesting = ThreadPolicy::requesting(Priority::of(Legacy));
        let promotion_priority = 10;
        let pushed = |promote| ThreadPolicy { promote, promotion_priority, ..requesting }.effective(&adaptive);
        assert_eq!(pushed(Background).base_priority, MAXPRI_THROTTLE);
        assert_eq!(pushed(Utility).base_priority, promotion_priority);
    }
}
