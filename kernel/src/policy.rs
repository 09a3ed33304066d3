//! Policies: pure functions from the requested policy of tasks and threads to the effective policy and the base
//! priority (importance 2.3, 8.1 to 8.4).
//!
//! The effective policy is computed from scratch on every change. It therefore depends on the present requests alone
//! and not on the order in which they were made.

use abi::qos::{AppType, MIN_RELATIVE_PRIORITY, Priority, Qos, Role};

/// The highest base priority of user threads outside the graphics server.
pub const MAXPRI_USER: u8 = 63;
/// The base priority of a thread without a QoS class.
pub const BASEPRI_DEFAULT: u8 = 31;
const BASEPRI_CONTROL: u8 = 48;
const BASEPRI_GRAPHICS: u8 = 76;
const MAXPRI_RESERVED: u8 = 79;
const MAXPRI_SUPPRESSED: u8 = 28;
const MAXPRI_THROTTLE: u8 = 4;

/// Returns the base priority of a class (importance 8.2), without the extra point in an urgent task.
pub const fn base_priority_of(qos: Qos) -> u8 {
    match qos {
        Qos::Unspecified => 0,
        Qos::Maintenance | Qos::Background => 4,
        Qos::Utility => 20,
        Qos::Legacy => 31,
        Qos::UserInitiated => 37,
        Qos::UserInteractive => 46,
    }
}

/// Returns the base priority of the next lower distinct class, which a relative priority approaches but does not pass
/// (importance 8.3).
const fn floor_of(qos: Qos) -> u8 {
    match qos {
        Qos::Unspecified | Qos::Maintenance | Qos::Background => 0,
        Qos::Utility => 4,
        Qos::Legacy => 20,
        Qos::UserInitiated => 31,
        Qos::UserInteractive => 37,
    }
}

/// Returns the base priority of a class with a relative priority of 0 to −15 (importance 8.3).
pub const fn base_priority(priority: Priority) -> u8 {
    let Priority { qos, relative } = priority;
    let (high, low) = (base_priority_of(qos) as u32, floor_of(qos) as u32);
    (high - (((high - low) * relative.unsigned_abs() as u32) >> 4)) as u8
}

/// Returns the highest class whose base priority is at most `priority`, or maintenance if there is none (importance
/// 7.2).
pub fn class_for_priority(priority: u8) -> Qos {
    let fits = |qos: &&Qos| base_priority_of(**qos) <= priority;
    // Background and maintenance have the same base priority: below it, the lower class of the two is meant.
    if priority < base_priority_of(Qos::Background) {
        return Qos::Maintenance;
    }
    Qos::CLASSES.iter().rev().find(fits).copied().unwrap_or(Qos::Maintenance)
}

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

/// The policy of App Nap. All of it is lifted while the task is boosted (importance 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppression {
    /// The task naps.
    pub active: bool,
    /// Its threads run at the lowest priority.
    pub lowpri_cpu: bool,
    /// Its threads run at a lowered priority.
    pub cpu: bool,
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
        let launch_throttled = self.app_type == AppType::AppDefault && self.role == Role::Throttle;
        let lowpri_cpu = background || launch_throttled || (self.suppression.lowpri_cpu && !self.boosted);
        let (qos_ceiling, urgent) = self.ceiling();
        let (priority, max_priority) = self.priorities(lowpri_cpu);
        TaskEffective {
            background,
            adaptive_background: unboosted_adaptive && !other_background,
            lowpri_cpu,
            qos_clamp: self.qos_clamp,
            qos_ceiling,
            urgent,
            priority,
            max_priority,
        }
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

/// The requested policy of a thread: its own requests, and those of others for it (importance 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPolicy {
    /// The class and relative priority that the thread requests.
    pub requested: Priority,
    /// The highest explicit override.
    pub qos_override: Qos,
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
}

impl ThreadPolicy {
    /// Returns the policy of a timeshare thread whose only request is a class and relative priority.
    pub const fn requesting(requested: Priority) -> ThreadPolicy {
        ThreadPolicy {
            requested,
            qos_override: Qos::Unspecified,
            promote: Qos::Unspecified,
            promotion_priority: 0,
            servicer_override: Qos::Unspecified,
            timeshare: true,
        }
    }

    /// Returns the effective policy in a task. The numbers are the steps of importance 8.4. Tally has no I/O tiers (6),
    /// and a terminated thread does not run (7).
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
        ThreadEffective {
            priority,
            background,
            base_priority: self.base_priority(task, priority, escapes),
            // (9) A fixed priority is for tasks that may rise above the lowest levels.
            timeshare: self.timeshare || task.max_priority <= MAXPRI_THROTTLE,
        }
    }

    /// Returns the requested class, raised to the highest class that others request for the thread (1). A thread
    /// without a class stays without one: its priority comes from its task.
    fn raised_class(&self) -> Qos {
        match self.requested.qos {
            Qos::Unspecified => Qos::Unspecified,
            own => own.max(self.qos_override).max(self.promote).max(self.servicer_override),
        }
    }

    /// Returns true if others request a class for the thread, even a lower one than its own.
    fn is_overridden(&self) -> bool {
        [self.qos_override, self.promote, self.servicer_override].iter().any(|&class| class != Qos::Unspecified)
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
    use super::*;
    use Qos::*;

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
            let suppression = Suppression { active: true, lowpri_cpu, cpu };
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
            thread.promote = if priority <= 4 { Unspecified } else { class_for_priority(priority) };
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
        let suppression = Suppression { active: true, cpu: true, lowpri_cpu: false };
        assert_eq!(all(TaskPolicy { suppression, ..foreground }), [28; 6]);
        assert_eq!(pushed(adaptive, 4), 4, "a push from the background has no effect");
    }

    #[test]
    fn relative_priorities_follow_the_table() {
        let row = |qos| [0, 1, 2, 4, 8, 12, 15].map(|r: i8| base_priority(Priority { qos, relative: -r }));
        assert_eq!(row(UserInteractive), [46, 46, 45, 44, 42, 40, 38]);
        assert_eq!(row(UserInitiated), [37, 37, 37, 36, 34, 33, 32]);
        assert_eq!(row(Legacy), [31, 31, 30, 29, 26, 23, 21]);
        assert_eq!(row(Utility), [20, 19, 18, 16, 12, 8, 5]);
        assert_eq!(row(Background), [4, 4, 4, 3, 2, 1, 1]);
        assert_eq!(row(Maintenance), row(Background));
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
    fn a_priority_belongs_to_the_highest_class_that_is_not_above_it() {
        let edges = [
            (Maintenance, 0, 3),
            (Background, 4, 19),
            (Utility, 20, 30),
            (Legacy, 31, 36),
            (UserInitiated, 37, 45),
            (UserInteractive, 46, MAXPRI_USER),
        ];
        for (qos, lowest, highest) in edges {
            assert_eq!([lowest, highest].map(class_for_priority), [qos; 2], "{lowest} to {highest}");
        }
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
    fn a_push_of_the_background_class_does_not_lift_an_adaptive_daemons_thread() {
        let adaptive = task(AppType::DaemonAdaptive, Role::Unspecified).effective();
        let requesting = ThreadPolicy::requesting(Priority::of(Legacy));
        let promotion_priority = 10;
        let pushed = |promote| ThreadPolicy { promote, promotion_priority, ..requesting }.effective(&adaptive);
        assert_eq!(pushed(Background).base_priority, MAXPRI_THROTTLE);
        assert_eq!(pushed(Utility).base_priority, promotion_priority);
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
}
