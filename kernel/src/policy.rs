//! From what tasks and threads ask for to the priority they get: pure functions (importance 2.3, 8.1 to 8.4).
//!
//! Everything is computed from scratch on every change; nothing is adjusted.

use abi::qos::{AppType, MIN_RELATIVE_PRIORITY, Priority, Qos, Role};

/// Highest priority of user threads.
pub const MAXPRI_USER: u8 = 63;
/// Base priority of a thread without QoS.
pub const BASEPRI_DEFAULT: u8 = 31;
const BASEPRI_CONTROL: u8 = 48;
const BASEPRI_GRAPHICS: u8 = 76;
const MAXPRI_RESERVED: u8 = 79;
const MAXPRI_SUPPRESSED: u8 = 28;
const MAXPRI_THROTTLE: u8 = 4;

/// The base priority of a class (importance 8.2), without the extra point of an urgent interface.
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

/// The base priority of the next lower distinct class, below which no relative priority goes (importance 8.3).
const fn floor_of(qos: Qos) -> u8 {
    match qos {
        Qos::Unspecified | Qos::Maintenance | Qos::Background => 0,
        Qos::Utility => 4,
        Qos::Legacy => 20,
        Qos::UserInitiated => 31,
        Qos::UserInteractive => 37,
    }
}

/// The base priority of a class with a relative priority of 0 to −15 (importance 8.3).
pub const fn base_priority(priority: Priority) -> u8 {
    let Priority { qos, relative } = priority;
    let (high, low) = (base_priority_of(qos) as u32, floor_of(qos) as u32);
    (high - (((high - low) * relative.unsigned_abs() as u32) >> 4)) as u8
}

/// The highest class whose base priority is not above `priority`; maintenance if there is none (importance 7.2).
pub fn class_for_priority(priority: u8) -> Qos {
    let fits = |qos: &&Qos| base_priority_of(**qos) <= priority;
    // Below the background's priority there is only maintenance, which has the same table entry.
    if priority < base_priority_of(Qos::Background) {
        return Qos::Maintenance;
    }
    Qos::CLASSES.iter().rev().find(fits).copied().unwrap_or(Qos::Maintenance)
}

/// What a task was made to be and is told to be: the requested policy (importance 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskPolicy {
    /// What kind of program it is.
    pub app_type: AppType,
    /// What part it plays.
    pub role: Role,
    /// No thread of the task gets above this class.
    pub qos_clamp: Qos,
    /// It holds importance boosts.
    pub boosted: bool,
    /// It put itself into the background.
    pub internal_background: bool,
    /// Somebody else put it into the background.
    pub external_background: bool,
    /// App Nap.
    pub suppression: Suppression,
}

/// What App Nap asks for; all of it is lifted while the task is boosted (importance 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppression {
    /// It is in force.
    pub active: bool,
    /// Run at the lowest priority.
    pub lowpri_cpu: bool,
    /// Run at a lowered priority.
    pub cpu: bool,
}

/// What a task's policy comes to: the effective policy (importance 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskEffective {
    /// It runs in the background.
    pub background: bool,
    /// And only because it is an adaptive daemon without a boost.
    pub adaptive_background: bool,
    /// Its threads run at the lowest priority.
    pub lowpri_cpu: bool,
    /// No thread of the task gets above this class.
    pub qos_clamp: Qos,
    /// No thread that asks for a class gets above this one.
    pub qos_ceiling: Qos,
    /// The interface class is urgent: one point more.
    pub urgent: bool,
    /// The priority of threads without a class.
    pub priority: u8,
    /// The highest priority of any thread.
    pub max_priority: u8,
}

impl TaskPolicy {
    /// What the policy comes to.
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

    /// The highest class, and whether the interface is urgent (importance 2.5).
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

    /// The class that the first thread of the task asks for by itself (importance 2.1); process 1 gets at least
    /// user-initiated.
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

/// What a thread asks for, and what others ask for it (importance 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadPolicy {
    /// Its own class and relative priority.
    pub requested: Priority,
    /// The highest explicit override.
    pub over: Qos,
    /// The class of the highest synchronous push.
    pub promote: Qos,
    /// The priority of the highest synchronous push.
    pub promotion_priority: u8,
    /// The override of the queue it serves.
    pub servicer_override: Qos,
    /// It takes part in time sharing; otherwise its priority is fixed.
    pub timeshare: bool,
}

impl Default for ThreadPolicy {
    fn default() -> Self {
        ThreadPolicy::requesting(Priority::UNSPECIFIED)
    }
}

/// What a thread's policy comes to in its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadEffective {
    /// Class and relative priority in effect.
    pub priority: Priority,
    /// It runs in the background.
    pub background: bool,
    /// Its base priority.
    pub base_priority: u8,
    /// It takes part in time sharing: because it asked to, or because its task may do nothing else.
    pub timeshare: bool,
}

impl ThreadPolicy {
    /// A thread that asks for a class and nothing more.
    pub const fn requesting(requested: Priority) -> ThreadPolicy {
        ThreadPolicy {
            requested,
            over: Qos::Unspecified,
            promote: Qos::Unspecified,
            promotion_priority: 0,
            servicer_override: Qos::Unspecified,
            timeshare: true,
        }
    }

    /// What the policy comes to in a task (importance 8.4, the numbers are its steps).
    pub fn effective(&self, task: &TaskEffective) -> ThreadEffective {
        // 1: the highest of what is asked for it, if the thread asks for anything itself.
        let mut qos = self.requested.qos;
        if qos != Qos::Unspecified {
            qos = qos.max(self.over).max(self.promote).max(self.servicer_override);
        }
        // 2: a synchronous push gets a single thread out of an adaptive daemon's clamp.
        let above = task.background && task.adaptive_background && self.promote > Qos::Background;
        if above {
            qos = self.promote;
        }
        // 3
        if task.qos_clamp != Qos::Unspecified {
            qos = if qos == Qos::Unspecified { task.qos_clamp } else { qos.min(task.qos_clamp) };
        }
        if qos != Qos::Unspecified && task.qos_ceiling != Qos::Unspecified {
            qos = qos.min(task.qos_ceiling);
        }
        // 4
        let undisturbed = self.requested.qos != Qos::Unspecified
            && self.requested.qos == qos
            && [self.over, self.promote, self.servicer_override].iter().all(|&other| other == Qos::Unspecified);
        let mut relative = if undisturbed { self.requested.relative } else { 0 };
        // 5
        let background = (task.background && !above) || matches!(qos, Qos::Background | Qos::Maintenance);
        if background && (qos > Qos::Background || qos == Qos::Unspecified) {
            (qos, relative) = (Qos::Background, 0);
        }
        let priority = Priority { qos, relative: relative.max(MIN_RELATIVE_PRIORITY) };
        ThreadEffective {
            priority,
            background,
            base_priority: self.base_priority(task, priority, above),
            timeshare: self.timeshare || task.max_priority <= MAXPRI_THROTTLE,
        }
    }

    /// Step 8.
    fn base_priority(&self, task: &TaskEffective, priority: Priority, above: bool) -> u8 {
        let own = match priority.qos {
            Qos::Unspecified => task.priority,
            Qos::UserInteractive if task.urgent => base_priority(priority) + 1,
            _ => base_priority(priority),
        };
        let max = if above { task.max_priority.max(self.promotion_priority) } else { task.max_priority };
        own.max(self.promotion_priority).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Qos::*;

    fn task(app_type: AppType, role: Role) -> TaskPolicy {
        TaskPolicy { app_type, role, ..TaskPolicy::default() }
    }

    /// Base priorities of threads that ask for UI, IN, LEGACY, UT, BG, MT and nothing.
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
        assert_eq!(pushed(adaptive, 4), 4, "a push from the background lifts nobody");
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
        let thread = ThreadPolicy { over: Utility, ..ThreadPolicy::requesting(Priority { qos: Legacy, relative: -8 }) };
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
    fn the_first_thread_asks_for_what_its_program_is() {
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
