//! Classes and base priorities (importance 8.1 to 8.3).

use abi::qos::{Priority, Qos};

/// The highest base priority of user threads outside the graphics server.
pub const MAXPRI_USER: u8 = 63;
/// The base priority of a thread without a QoS class.
pub const BASEPRI_DEFAULT: u8 = 31;
pub(super) const BASEPRI_CONTROL: u8 = 48;
pub(super) const BASEPRI_GRAPHICS: u8 = 76;
pub(super) const MAXPRI_RESERVED: u8 = 79;
pub(super) const MAXPRI_SUPPRESSED: u8 = 28;
pub(super) const MAXPRI_THROTTLE: u8 = 4;

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

/// Returns the class to which a synchronous push of this priority promotes a thread: none, if it comes from the
/// background (importance 7.6).
pub fn promoted_class(priority: u8) -> Qos {
    if priority <= MAXPRI_THROTTLE { Qos::Unspecified } else { class_for_priority(priority) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Qos::*;

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
}
