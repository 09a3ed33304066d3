//! QoS classes, their encodings, application types and roles (importance 2, 7, 8; dispatch 1).

/// A QoS class: the urgency of a thread's work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
#[repr(u8)]
pub enum Qos {
    /// No class: the thread runs at its task's priority.
    #[default]
    Unspecified = 0,
    /// Housekeeping that the user never notices.
    Maintenance = 1,
    /// Work that the user does not see.
    Background = 2,
    /// Long work that the user follows, as by a progress bar.
    Utility = 3,
    /// The default class, for threads that never chose one.
    Legacy = 4,
    /// Work that the user started and waits for.
    UserInitiated = 5,
    /// Work that keeps the user interface responsive.
    UserInteractive = 6,
}

impl Qos {
    /// The class of work for which nobody has chosen one.
    pub const DEFAULT: Qos = Qos::Legacy;

    /// All classes from the lowest to the highest, without [`Unspecified`](Qos::Unspecified).
    pub const CLASSES: [Qos; 6] =
        [Qos::Maintenance, Qos::Background, Qos::Utility, Qos::Legacy, Qos::UserInitiated, Qos::UserInteractive];

    /// Returns the class with this number, or [`Unspecified`](Qos::Unspecified) for 0 and numbers above 6.
    pub const fn from_number(number: u32) -> Qos {
        match number {
            1..=6 => Qos::CLASSES[number as usize - 1],
            _ => Qos::Unspecified,
        }
    }
}

/// A class and a relative priority of 0 to −15 within it. In a `pthread_priority_t` (dispatch 1.2) class `q` is bit
/// `7 + q`, and the low byte is the relative priority minus one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Priority {
    /// The class.
    pub qos: Qos,
    /// 0 to −15; 0 if the class is unspecified.
    pub relative: i8,
}

/// The lowest relative priority, `QOS_MIN_RELATIVE_PRIORITY`.
pub const MIN_RELATIVE_PRIORITY: i8 = -15;

impl Priority {
    /// No class.
    pub const UNSPECIFIED: Priority = Priority { qos: Qos::Unspecified, relative: 0 };

    /// Returns the class with relative priority 0.
    pub const fn of(qos: Qos) -> Priority {
        Priority { qos, relative: 0 }
    }

    /// Returns the `pthread_priority_t` without flags, 0 if the class is unspecified.
    pub const fn to_pthread(self) -> u32 {
        match self.qos {
            Qos::Unspecified => 0,
            qos => 1 << (7 + qos as u32) | (self.relative.wrapping_sub(1) as u8) as u32,
        }
    }

    /// Returns the QoS words of a message with this priority and an override (errata 6).
    #[inline]
    pub const fn words_with(self, over: Qos) -> u64 {
        (self.to_pthread() as u64) << 32 | Priority::of(over).to_pthread() as u64
    }

    /// Decodes a `pthread_priority_t`: the lowest class bit decides, and a relative priority out of range counts as 0
    /// (dispatch 1.3 ).
    pub const fn from_pthread(word: u32) -> Priority {
        let classes = word >> 8 & 0x3F;
        if classes == 0 {
            return Priority::UNSPECIFIED;
        }
        let relative = (word as u8 as i8).wrapping_add(1);
        let relative = if relative < MIN_RELATIVE_PRIORITY || relative > 0 { 0 } else { relative };
        Priority { qos: Qos::from_number(classes.trailing_zeros() + 1), relative }
    }
}

/// The `priority` argument of `mach_msg` with `MACH_SEND_OVERRIDE`, a `mach_msg_priority_t` (importance 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessagePriority {
    /// The pthread form: the low byte is 0xFF.
    Pthread(Priority),
    /// The native form: class and override class.
    Native {
        /// The class with its relative priority.
        priority: Priority,
        /// The override class.
        over: Qos,
    },
}

impl MessagePriority {
    /// Decodes the argument.
    pub const fn decode(word: u32) -> MessagePriority {
        if word & 0xFF == 0xFF {
            return MessagePriority::Pthread(Priority::from_pthread(word));
        }
        let qos = Qos::from_number(word >> 16 & 0xF);
        let relative = match qos {
            Qos::Unspecified => 0,
            _ => ((word >> 8) as u8 as i8).wrapping_add(1),
        };
        MessagePriority::Native { priority: Priority { qos, relative }, over: Qos::from_number(word >> 20 & 0xF) }
    }

    /// Encodes the native form.
    pub const fn encode(over: Qos, qos: Qos, relative: i8) -> u32 {
        let class = match qos {
            Qos::Unspecified => 0,
            qos => (qos as u32) << 16 | (relative.wrapping_sub(1) as u8 as u32) << 8,
        };
        class | (over as u32) << 20
    }
}

/// The kind of program that a task runs, `TASK_APPTYPE_*` (importance 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum AppType {
    /// No particular kind.
    #[default]
    None = 0,
    /// A daemon that the user waits for.
    DaemonInteractive = 1,
    /// An ordinary daemon.
    DaemonStandard = 2,
    /// A daemon that runs in the background unless a message boosts it.
    DaemonAdaptive = 3,
    /// A daemon that always runs in the background.
    DaemonBackground = 4,
    /// An application.
    AppDefault = 5,
    /// An application that starts throttled; unused.
    AppTal = 6,
    /// A device driver.
    Driver = 7,
}

impl AppType {
    /// Returns the type with this number.
    pub const fn from_number(number: u32) -> Option<AppType> {
        Some(match number {
            0 => AppType::None,
            1 => AppType::DaemonInteractive,
            2 => AppType::DaemonStandard,
            3 => AppType::DaemonAdaptive,
            4 => AppType::DaemonBackground,
            5 => AppType::AppDefault,
            6 => AppType::AppTal,
            7 => AppType::Driver,
            _ => return None,
        })
    }

    /// Returns true if this is one of the types of applications.
    pub const fn is_application(self) -> bool {
        matches!(self, AppType::AppDefault | AppType::AppTal)
    }
}

/// The present role of an application (importance 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Role {
    /// No particular role.
    #[default]
    Unspecified = 0,
    /// In front of the user.
    Foreground = 1,
    /// Visible, but not in front.
    Background = 2,
    /// Controls other applications.
    Control = 3,
    /// Draws the screen.
    GraphicsServer = 4,
    /// Throttled while it starts.
    Throttle = 5,
    /// Has no user interface.
    NonUi = 6,
    /// The default for applications.
    Default = 7,
    /// Stays in the background.
    DarwinBg = 8,
}

impl Role {
    /// Returns the role with this number.
    pub const fn from_number(number: u32) -> Option<Role> {
        Some(match number {
            0 => Role::Unspecified,
            1 => Role::Foreground,
            2 => Role::Background,
            3 => Role::Control,
            4 => Role::GraphicsServer,
            5 => Role::Throttle,
            6 => Role::NonUi,
            7 => Role::Default,
            8 => Role::DarwinBg,
            _ => return None,
        })
    }

    /// Returns the role with this number of `setpriority`, `PRIO_DARWIN_ROLE_*`.
    pub const fn from_darwin(number: i32) -> Option<Role> {
        Some(match number {
            0 => Role::Unspecified,
            1 => Role::Foreground,
            2 => Role::Default,
            3 => Role::NonUi,
            4 => Role::Background,
            5 => Role::Throttle,
            6 => Role::DarwinBg,
            _ => return None,
        })
    }

    /// Returns the number of the role for `setpriority`, if it has one.
    pub fn to_darwin(self) -> Option<u32> {
        (0..=6).find(|&number| Role::from_darwin(number) == Some(self)).map(|number| number as u32)
    }

    /// Returns true if only user 0 may give the role, because it lifts a task above all others.
    pub const fn is_privileged(self) -> bool {
        matches!(self, Role::Control | Role::GraphicsServer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pthread_priorities_are_encoded_and_decoded() {
        let words: Vec<u32> = Qos::CLASSES.iter().map(|&q| Priority::of(q).to_pthread()).collect();
        assert_eq!(words, [0x1ff, 0x2ff, 0x4ff, 0x8ff, 0x10ff, 0x20ff]);
        for qos in Qos::CLASSES {
            for relative in MIN_RELATIVE_PRIORITY..=0 {
                let priority = Priority { qos, relative };
                assert_eq!(Priority::from_pthread(priority.to_pthread()), priority);
            }
        }
        assert_eq!(Priority::UNSPECIFIED.to_pthread(), 0);
        assert_eq!(Priority::from_pthread(0x2000_00ff), Priority::UNSPECIFIED);
        assert_eq!(Priority::from_pthread(0x30ff), Priority::of(Qos::UserInitiated), "the lowest class bit decides");
        assert_eq!(Priority::from_pthread(0x2010), Priority::of(Qos::UserInteractive), "out of range counts as 0");
    }

    // covers importance E122
    #[test]
    fn the_native_form_packs_override_class_and_relative_priority() {
        assert_eq!(MessagePriority::encode(Qos::Unspecified, Qos::Legacy, 0), 0x0004_ff00);
        assert_eq!(MessagePriority::encode(Qos::UserInteractive, Qos::Background, -5), 0x0062_fa00);
        assert_eq!(
            MessagePriority::decode(0x0062_fa00),
            MessagePriority::Native {
                priority: Priority { qos: Qos::Background, relative: -5 },
                over: Qos::UserInteractive
            }
        );
        assert_eq!(
            MessagePriority::decode(0x20fe),
            MessagePriority::Native { priority: Priority::UNSPECIFIED, over: Qos::Unspecified }
        );
        assert_eq!(MessagePriority::decode(0x00ff_ff00), MessagePriority::decode(0), "fields above 6 mean none");
    }
}
