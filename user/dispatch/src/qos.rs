//! QoS classes and priorities, and every decision about them, as pure functions (dispatch 1).
//!
//! | type | what it is |
//! |---|---|
//! | [`Priority`] | a `pthread_priority_t`: class, relative priority, flags |
//! | [`QueuePriority`] | what a queue was given: a class, a floor, a fallback |
//! | [`Base`] | what the queues that a thread is draining say about its priority |
//! | [`ItemPriority`] | what an item carries to the thread that runs it |

use abi::message::MsgOption;
pub use abi::qos::{MIN_RELATIVE_PRIORITY, MessagePriority, Qos};
use core::fmt;

/// The classes with a public number, `qos_class_t`, from the highest (dispatch 1.1).
const CLASS_NUMBERS: [(u32, Qos); 6] = [
    (0x21, Qos::UserInteractive),
    (0x19, Qos::UserInitiated),
    (0x15, Qos::DEFAULT),
    (0x11, Qos::Utility),
    (0x09, Qos::Background),
    (0x05, Qos::Maintenance),
];

/// Returns the class of a `qos_class_t`; unknown numbers mean no class (dispatch Q-8).
pub fn class_from_number(number: u32) -> Qos {
    CLASS_NUMBERS.iter().find(|&&(known, _)| known == number).map_or(Qos::Unspecified, |&(_, class)| class)
}

/// Returns the `qos_class_t` of a class, 0 for none (dispatch 1.1).
pub fn class_number(class: Qos) -> u32 {
    CLASS_NUMBERS.iter().find(|&&(_, known)| known == class).map_or(0, |&(number, _)| number)
}

/// Returns true for the two classes that the rules call "background" (dispatch Q-1).
pub const fn is_background(class: Qos) -> bool {
    matches!(class, Qos::Background | Qos::Maintenance)
}

/// Returns the lower of a class and user-initiated: the highest class that a message's override asks for (dispatch Q-12).
pub fn capped(class: Qos) -> Qos {
    class.min(Qos::UserInitiated)
}

/// A flag of `QueueFlags`, for [`global_queue`].
const OVERCOMMIT_QUEUE: u64 = 2;
/// Likewise.
const COOPERATIVE_QUEUE: u64 = 4;

/// Decodes the arguments of a look-up of a global queue: a legacy identifier or a `qos_class_t`, and flags. Returns the
/// class and whether the queue overcommits; `None` if there is no such queue (dispatch Q-9).
///
/// A cooperative queue is the normal queue of its class.
pub fn global_queue(identifier: i64, flags: u64) -> Option<(Qos, bool)> {
    let class = match identifier {
        2 => Qos::UserInitiated,
        0 => Qos::DEFAULT,
        -2 | -128 => Qos::Utility,
        -32768 => Qos::Background,
        number => class_from_number(u32::try_from(number).ok()?),
    };
    let overcommit = match flags {
        0 | COOPERATIVE_QUEUE => false,
        OVERCOMMIT_QUEUE => true,
        _ => return None,
    };
    (class != Qos::Unspecified).then_some((class, overcommit))
}

/// A `pthread_priority_t`: a class with a relative priority of 0 to −15, and flags (dispatch 1.2).
///
/// Without flags the order of the words is the order of priorities: first the class, then the relative priority
/// (dispatch Q-7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Priority(pub u32);

impl Priority {
    /// No class: "no opinion" in an item, "leave it as it is" for a thread.
    pub const NONE: Priority = Priority(0);
    /// Flag: the thread that serves events, outside of QoS.
    pub const EVENT_MANAGER: u32 = 0x0200_0000;
    /// Flag: use this class only if the event brings none.
    pub const FALLBACK: u32 = 0x0400_0000;
    /// Flag: a cooperative thread.
    pub const COOPERATIVE: u32 = 0x0800_0000;
    /// Flag of an item: its class beats the queue's.
    pub const ENFORCE: u32 = 0x1000_0000;
    /// Flag: an overcommit thread.
    pub const OVERCOMMIT: u32 = 0x8000_0000;
    /// All flags.
    pub const FLAGS: u32 = 0xFF00_0000;
    /// The flags that say what kind of thread it is. They stay when a thread changes its class.
    pub const THREAD_TYPE: u32 = Priority::OVERCOMMIT | Priority::COOPERATIVE;
    /// The highest priority that work takes along: user-initiated (dispatch Q-10).
    const CAP: Priority = Priority::of(Qos::UserInitiated);
    /// The field of the class, one bit for each.
    pub(crate) const CLASSES: u32 = 0x3F00;

    /// Returns the priority of a class with relative priority 0, [`NONE`](Priority::NONE) without a class.
    pub const fn of(class: Qos) -> Priority {
        Priority::encode(class, 0, 0)
    }

    /// Returns the word of a class, a relative priority and flags; without a class only the flags (dispatch Q-4).
    pub const fn encode(class: Qos, relative: i8, flags: u32) -> Priority {
        Priority(abi::qos::Priority { qos: class, relative }.to_pthread() | flags & Priority::FLAGS)
    }

    /// Returns the priority of a class and a relative priority that a program chose. `None` if the relative priority is
    /// not within −15 to 0 (dispatch Q-2).
    pub const fn new(class: Qos, relative: i32) -> Option<Priority> {
        match relative {
            -15..=0 => Some(Priority::encode(class, relative as i8, 0)),
            _ => None,
        }
    }

    /// Returns the class: that of the lowest class bit (dispatch Q-5).
    pub const fn class(self) -> Qos {
        abi::qos::Priority::from_pthread(self.0).qos
    }

    /// Returns the relative priority, 0 without a class (dispatch Q-6).
    pub const fn relative(self) -> i8 {
        match self.class() {
            Qos::Unspecified => 0,
            _ => (self.0 as u8 as i8).wrapping_add(1),
        }
    }

    /// Returns the flags.
    pub const fn flags(self) -> u32 {
        self.0 & Priority::FLAGS
    }

    /// Returns the priority without its flags.
    pub const fn without_flags(self) -> Priority {
        Priority(self.0 & !Priority::FLAGS)
    }

    /// Returns the priority with these flags in place of its own.
    pub const fn with_flags(self, flags: u32) -> Priority {
        Priority(self.without_flags().0 | flags & Priority::FLAGS)
    }

    /// Returns true if it has a class.
    pub const fn has_class(self) -> bool {
        self.0 & Priority::CLASSES != 0
    }

    /// Returns what work takes along that is submitted at this priority: the same without flags, but at most
    /// user-initiated (dispatch Q-10). A second time changes nothing.
    pub fn propagated(self) -> Priority {
        self.without_flags().min(Priority::CAP)
    }

    /// Returns the class as the system calls take it.
    pub const fn to_abi(self) -> abi::qos::Priority {
        abi::qos::Priority::from_pthread(self.0)
    }

    /// Returns the class bit alone: below every priority of the class, above all of lower classes (dispatch 1.7).
    const fn class_bit(self) -> u32 {
        self.0 & Priority::CLASSES
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x} ({:?} {})", self.0, self.class(), self.relative())
    }
}

/// What a queue was given (dispatch 1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueuePriority {
    /// The class of the queue, without flags; [`Priority::NONE`] if it has none.
    pub requested: Priority,
    /// The class is only a floor: items of a higher class keep theirs.
    pub floor: bool,
    /// The class of items without one; [`Qos::Unspecified`] if nothing is said.
    pub fallback: Qos,
    /// The queue asks for a thread whatever else runs.
    pub overcommit: bool,
    /// The word was copied from a root queue, and not chosen by the program.
    pub inherited: bool,
}

impl QueuePriority {
    /// Nothing is said.
    pub const NONE: QueuePriority = QueuePriority {
        requested: Priority::NONE,
        floor: false,
        fallback: Qos::Unspecified,
        overcommit: false,
        inherited: false,
    };

    /// Returns the word of a queue with a class.
    pub const fn of(requested: Priority) -> QueuePriority {
        QueuePriority { requested: requested.without_flags(), ..QueuePriority::NONE }
    }

    /// Returns the word of a queue whose class is a floor.
    pub const fn floor(requested: Priority) -> QueuePriority {
        QueuePriority { floor: true, ..QueuePriority::of(requested) }
    }

    /// Returns the word of a queue that has a class only for items without one.
    pub const fn fallback(class: Qos) -> QueuePriority {
        QueuePriority { fallback: class, ..QueuePriority::NONE }
    }

    /// Returns the word of the root queue of a class: the default one has no class of its own, only the fallback, so
    /// that items keep theirs (dispatch 5.1).
    pub const fn root(class: Qos) -> QueuePriority {
        match class {
            Qos::DEFAULT => QueuePriority::fallback(class),
            _ => QueuePriority::of(Priority::of(class)),
        }
    }

    /// Returns this word as a queue copies it from the root that it targets (dispatch L-2).
    pub const fn inherit(self) -> QueuePriority {
        QueuePriority { inherited: true, ..self }
    }

    /// Returns this word as it is from activation on: a fallback is kept only above the class, and only together with
    /// a floor or without a class (dispatch L-4).
    pub fn activated(self) -> QueuePriority {
        let kept = !self.requested.has_class() || self.floor && self.fallback > self.requested.class();
        QueuePriority { fallback: if kept { self.fallback } else { Qos::Unspecified }, ..self }
    }

    /// Returns what an item is stored with on a queue with this word, and the class with which it is pushed there.
    /// `priority` was captured or is explicit; its flags do not count (dispatch 1.8).
    #[inline]
    pub fn store(&self, priority: Priority, enforce: bool) -> (ItemPriority, Qos) {
        let priority = priority.without_flags();
        let drops = self.requested.has_class() && !self.floor;
        if !priority.has_class() || drops && !enforce {
            return (ItemPriority::NONE, Qos::Unspecified);
        }
        (ItemPriority::Of { priority, enforced: enforce }, priority.class())
    }
}

/// What an item carries to the thread that runs it (dispatch 1.7, 1.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemPriority {
    /// "No priority": the thread's is left alone, as for the library's own wrappers.
    Keep,
    /// A priority for the decision of [`Base::adopt`].
    Of {
        /// The priority, without flags.
        priority: Priority,
        /// The item's class beats the queue's.
        enforced: bool,
    },
}

impl ItemPriority {
    /// "No opinion": the queue decides.
    pub const NONE: ItemPriority = ItemPriority::plain(Priority::NONE);

    /// Returns what an item carries whose class does not beat the queue's.
    pub const fn plain(priority: Priority) -> ItemPriority {
        ItemPriority::Of { priority: priority.without_flags(), enforced: false }
    }

    /// Returns what an item carries whose class beats the queue's.
    pub const fn enforced(priority: Priority) -> ItemPriority {
        ItemPriority::Of { priority: priority.without_flags(), enforced: true }
    }
}

/// An [`ItemPriority`] in one word, as an item holds it: cheap to compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ItemWord(u32);

impl ItemWord {
    /// "No priority".
    const KEEP: ItemWord = ItemWord(Priority::FLAGS);
    /// The word of no item.
    pub(crate) const UNKNOWN: ItemWord = ItemWord(Priority::EVENT_MANAGER);

    /// Returns the priority in the word.
    pub(crate) fn priority(self) -> ItemPriority {
        let priority = Priority(self.0);
        match self {
            ItemWord::KEEP => ItemPriority::Keep,
            _ if priority.flags() == Priority::ENFORCE => ItemPriority::enforced(priority),
            _ => ItemPriority::plain(priority),
        }
    }
}

impl From<ItemPriority> for ItemWord {
    #[inline(always)]
    fn from(item: ItemPriority) -> ItemWord {
        match item {
            ItemPriority::Keep => ItemWord::KEEP,
            ItemPriority::Of { priority, enforced: true } => ItemWord(priority.with_flags(Priority::ENFORCE).0),
            ItemPriority::Of { priority, enforced: false } => ItemWord(priority.without_flags().0),
        }
    }
}

/// The override that a thread has noted while it drains queues (dispatch 1.4, 1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Override {
    /// Overridden to a class; [`Qos::Unspecified`] if not at all.
    Class(Qos),
    /// Cannot be overridden higher (dispatch Q-3).
    Saturated,
}

impl Default for Override {
    fn default() -> Override {
        Override::Class(Qos::Unspecified)
    }
}

/// The base priority of a thread: what the queues that it is draining say together (dispatch 1.5). The default is that
/// of a thread that drains none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Base {
    /// Class, floor and fallback of the queues together; `None` outside of draining.
    word: Option<QueuePriority>,
    /// The override that the thread knows of.
    pub over: Override,
}

impl Base {
    /// Outside of draining.
    pub const NONE: Base = Base { word: None, over: Override::Class(Qos::Unspecified) };

    /// Returns the class that the queues lend the thread which drains them.
    pub fn lent(&self) -> Qos {
        match self.over {
            Override::Class(class) => class,
            Override::Saturated => Qos::UserInteractive,
        }
    }

    /// Returns the word of the queues together, [`QueuePriority::NONE`] outside of draining.
    pub fn word(&self) -> QueuePriority {
        self.word.unwrap_or(QueuePriority::NONE)
    }

    /// Returns true if the thread drains a queue.
    pub const fn is_draining(&self) -> bool {
        self.word.is_some()
    }

    /// Returns the base of a thread that enters a queue with this word (dispatch 1.5, `enter_base`).
    pub fn enter(self, queue: &QueuePriority) -> Base {
        let Some(base) = self.word else {
            return Base { word: Some(*queue), ..Base::NONE };
        };
        let word = if queue.requested.has_class() {
            let requested = base.requested.max(queue.requested);
            let fallback = if queue.fallback > requested.class() { queue.fallback } else { Qos::Unspecified };
            QueuePriority { requested, fallback, floor: queue.floor, ..base }
        } else {
            let above = queue.fallback > base.requested.class();
            let fallback = if above { queue.fallback } else { base.fallback };
            QueuePriority { fallback, floor: base.floor || base.requested.has_class(), ..base }
        };
        Base { word: Some(word), over: self.over }
    }

    /// Returns the base of a thread that leaves what it entered from `saved`. An override learned inside stays, so that
    /// it reaches the worker's loop (dispatch 1.5, `leave_base`).
    pub fn leave(self, saved: Base) -> Base {
        Base { over: self.over, ..saved }
    }

    /// Returns the base of a thread that has learned of an override, too.
    pub fn overridden(self, over: Override) -> Base {
        Base { over: self.over.max(over), ..self }
    }

    /// Decides at which priority an item runs; [`Priority::NONE`] means that the thread's is left alone (dispatch 1.7).
    /// `enforce` asks for the item's class to beat the queue's, as the item may do itself.
    pub fn adopt(self, item: ItemPriority, enforce: bool) -> Priority {
        let ItemPriority::Of { priority, enforced } = item else {
            return Priority::NONE;
        };
        let (priority, word) = (priority.without_flags(), self.word());
        if !priority.has_class() {
            return if word.fallback == Qos::Unspecified { word.requested } else { Priority::of(word.fallback) };
        }
        if priority.0 < word.requested.class_bit() {
            return word.requested;
        }
        let keeps_its_own = enforce || enforced || word.floor || word.fallback != Qos::Unspecified;
        if keeps_its_own { priority } else { word.requested }
    }
}

/// Returns the `mach_msg_priority_t` of a message with this priority and this override class (dispatch 1.11).
pub fn message_word(over: Qos, priority: Priority) -> u32 {
    MessagePriority::encode(over, priority.class(), priority.relative())
}

/// Returns the priority that a message itself gets from a thread that requested `requested`: capped unless the thread
/// waits for the answer (dispatch Q-12, 6.4 step 2).
pub fn of_message(requested: Priority, synchronous: bool) -> Priority {
    if synchronous { requested.without_flags() } else { requested.propagated() }
}

/// Returns the option and the word with which a message is sent at this priority, if the highest class of all that
/// waits to be sent is `highest`: nothing if there is none (dispatch 6.4 step 8).
pub fn send_priority(highest: Qos, priority: Priority) -> (MsgOption, u32) {
    match capped(highest) {
        Qos::Unspecified => (MsgOption::empty(), 0),
        over => (MsgOption::SEND_OVERRIDE, message_word(over, priority)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_what_an_item_carries() {
        let priorities = [Priority::NONE, Priority::encode(Qos::Utility, -3, 0), Priority::of(Qos::UserInteractive)];
        let items = priorities
            .into_iter()
            .flat_map(|priority| [ItemPriority::plain(priority), ItemPriority::enforced(priority)]);
        let items: Vec<_> = items.chain([ItemPriority::Keep]).collect();
        for (number, &item) in items.iter().enumerate() {
            let word = ItemWord::from(item);
            assert_eq!(word.priority(), item);
            assert_ne!(word, ItemWord::UNKNOWN);
            assert!(items[..number].iter().all(|&other| ItemWord::from(other) != word), "{item:?}");
        }
    }
}
