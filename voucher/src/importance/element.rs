//! [`TaskElement`]: a task as a giver and receiver of importance (importance 1.2).

use super::inherit::{Hanging, Inherit, InheritId};
use super::link::{LinkId, LinkedHere, MessageLink};
use store::{Id, Link, List, linked};

/// The name of a task element.
pub type ElementId = Id<TaskElement>;

/// The kernel's number for a task. Only the kernel interprets it.
pub type TaskNumber = u64;

/// What a task may give and receive. A mark follows from the kind of its program (importance 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It receives boosts, and is a donor while it has one: an adaptive daemon.
    pub receiver: bool,
    /// It receives boosts, which lift App Nap and nothing else: an application.
    pub denap: bool,
    /// It is a donor whatever its own boosts.
    pub donor: bool,
    /// The mark `donor` follows from its policy.
    pub live_donor: bool,
}

/// Whether the policy of a task's kind wants it to be a donor, if it has the mark `live_donor` (importance 2.4). The
/// wish can depend on the boost, because a boost lifts App Nap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LivePolicy {
    /// The wish while the task is not boosted.
    pub unboosted: bool,
    /// The wish while the task is boosted. It is true if the other is: a boost ends no donation.
    pub boosted: bool,
}

impl LivePolicy {
    /// Returns the wish in a state.
    pub const fn wish(self, boosted: bool) -> bool {
        if boosted { self.boosted } else { self.unboosted }
    }
}

/// Boosts that live on in inherits: all that there ever were, and those among them that were given back early
/// (`externcnt` and `externdrop`). These counts and those of boosts have 64 bits and do not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExternCount {
    /// All boosts.
    pub total: u64,
    /// The boosts that were given back early.
    pub dropped: u64,
}

impl ExternCount {
    /// Returns the number of boosts that are left.
    #[inline]
    pub const fn outstanding(self) -> u64 {
        self.total - self.dropped
    }

    pub(super) const fn add(&mut self, other: ExternCount) {
        self.total += other.total;
        self.dropped += other.dropped;
    }

    pub(super) const fn subtract(&mut self, other: ExternCount) {
        self.total -= other.total;
        self.dropped -= other.dropped;
    }
}

/// The list of elements whose count has just become zero or positive.
pub(super) enum Crossed {}
/// The list of elements whose task's policy follows next.
pub(super) enum Updating {}
/// The list of elements with a change that the kernel has not applied yet.
pub(super) enum Changed {}
/// The list of elements that wait for the delayed drop.
pub(super) enum Delayed {}
/// The list of elements whose visit was cut short.
pub(super) enum Unfinished {}

/// The place at which a visit of an element goes on (`propagation.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// At this message; behind the last one the inherits follow.
    Messages(Option<LinkId>),
    /// At this inherit.
    Inherits(Option<InheritId>),
}

/// The importance of a task. It outlives the task while messages or inherits refer to it.
#[derive(Debug, Default)]
pub struct TaskElement {
    /// The references, as counted in importance 1.8.
    pub(super) refs: u64,
    /// The references that the voucher system was handed out and has not offered back.
    pub(super) made: u64,
    pub(super) task: Option<TaskNumber>,
    /// The task is being terminated: its policy does not change any more.
    pub(super) terminating: bool,
    pub(super) marks: Marks,
    /// All boosts that the task has: on ports, through inherits, and for file locks.
    pub(super) assertions: u64,
    /// The boosts through inherits that donate.
    pub(super) external: ExternCount,
    /// The boosts for file locks.
    pub(super) file_locks: u64,
    pub(super) transitions: u64,
    pub(super) policy: LivePolicy,
    /// The policy bit `trp_boosted`.
    pub(super) boosted: bool,
    /// The policy bit that the kernel was told last.
    pub(super) reported: bool,
    pub(super) is_updating: bool,
    pub(super) is_changed: bool,
    /// What hangs on the element from here on does not follow its status as a donor yet.
    pub(super) rest: Option<Rest>,
    /// When the element was added to the queue of the delayed drop.
    pub(super) delayed_at: Option<u64>,
    /// The messages that are linked to this element or to an inherit into it.
    pub(super) messages: List<MessageLink, LinkedHere>,
    /// The inherits from this element or from an inherit into it.
    pub(super) inherits: List<Inherit, Hanging>,
    pub(super) crossed: Link<TaskElement>,
    pub(super) updating: Link<TaskElement>,
    pub(super) changed: Link<TaskElement>,
    pub(super) delayed: Link<TaskElement>,
    pub(super) unfinished: Link<TaskElement>,
}

linked!(
    TaskElement,
    Crossed: crossed,
    Updating: updating,
    Changed: changed,
    Delayed: delayed,
    Unfinished: unfinished
);

impl TaskElement {
    pub(super) fn new(task: TaskNumber) -> Self {
        TaskElement { refs: 1, task: Some(task), ..TaskElement::default() }
    }

    /// Returns the task, or `None` after its end.
    pub const fn task(&self) -> Option<TaskNumber> {
        self.task
    }

    /// Returns the marks.
    pub const fn marks(&self) -> Marks {
        self.marks
    }

    /// Returns the number of boosts.
    pub const fn assertions(&self) -> u64 {
        self.assertions
    }

    /// Returns the boosts through inherits that donate.
    pub const fn external(&self) -> ExternCount {
        self.external
    }

    /// Returns the number of boosts for file locks.
    pub const fn file_locks(&self) -> u64 {
        self.file_locks
    }

    /// Returns how often the task became boosted or got the mark of a donor.
    pub const fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Returns the number of references.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// Returns the number of references that the voucher system has.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Returns true if the policy of the task is that of a boosted task.
    pub const fn is_boosted(&self) -> bool {
        self.boosted
    }

    /// Returns true if the kernel may not have been told the policy bit.
    pub const fn is_untold(&self) -> bool {
        self.is_changed
    }

    /// Returns true if messages and inherits of the task do not follow its status as a donor yet, because a visit was cut
    /// short.
    pub const fn is_unfinished(&self) -> bool {
        self.rest.is_some()
    }

    /// Returns true if the element waits for the delayed drop.
    pub const fn is_delayed(&self) -> bool {
        self.delayed_at.is_some()
    }

    /// Returns true if the task receives boosts of any kind.
    #[inline]
    pub const fn is_receiver(&self) -> bool {
        self.marks.receiver || self.marks.denap
    }

    /// Returns true if the task is a donor now.
    #[inline]
    pub const fn is_donor(&self) -> bool {
        self.marks.donor || (self.marks.receiver && self.assertions > 0)
    }

    /// Returns true if the task can never become a donor by itself: its messages are not even linked.
    #[inline]
    pub const fn is_never_donor(&self) -> bool {
        !(self.marks.donor || self.marks.live_donor || self.marks.receiver)
    }

    /// Returns true if the policy of the task wants it to donate in its present state.
    pub const fn live_wish(&self) -> bool {
        self.policy.wish(self.boosted)
    }

    /// Returns true if the task's policy can still change.
    pub(super) const fn is_active(&self) -> bool {
        self.task.is_some() && !self.terminating
    }
}
