//! Importance donation: how the importance of a task travels with its messages.
//!
//! Some tasks are **donors**, for example the application in front of the user. A message of a donor *boosts* the task
//! that is to receive it: an adaptive daemon leaves the background, an application its App Nap. The receiver can keep
//! the boost beyond the message. It then holds an [`Inherit`], as a value of the voucher that it gets, until the last
//! voucher with that value is gone. A boosted daemon is a donor itself, so boosts flow along chains of daemons.
//! Everything is live: when a task becomes a donor or ceases to be one, its messages and inherits follow, and so does
//! everything downstream.
//!
//! ```text
//!   task A (donor)                     task B (adaptive daemon)            task C
//!  ┌──────────────┐    message       ┌─────────────────────┐  message   ┌──────────┐
//!  │ TaskElement  ├──────────────►   │ TaskElement         ├─────────►  │          │
//!  │  messages ───┼──► MessageLink ──┼► port of B: 1 boost │            │          │
//!  │  inherits ───┼──► Inherit ──────┼► 1 boost, until the │            │          │
//!  └──────────────┘  (in a voucher)  │  voucher is gone    │            └──────────┘
//!                                    └─────────────────────┘
//! ```
//!
//! [`Importance`] is the state of it all. It knows nothing of tasks, ports and messages but numbers: the kernel keeps a
//! [`PortBoosts`] with each port, the [`LinkId`] of a message's link with the message, and an [`ElementId`] with each
//! task, and lends its ports as an [`Environment`] to the calls. After a call it asks
//! [`next_change`](Importance::next_change) for the tasks whose policy has changed. Every call is atomic: all invariants
//! hold before and after.
//!
//! ```
//! use voucher::importance::*;
//! use voucher::managers::importance::ImportanceManager;
//! use voucher::{CallingTask, Key, Vouchers, release_voucher};
//!
//! /// One port, in the space of one task.
//! struct Kernel {
//!     boosts: PortBoosts,
//!     holder: ElementId,
//! }
//!
//! impl Environment for Kernel {
//!     fn port(&mut self, _: PortNumber) -> Option<(&mut PortBoosts, Place)> {
//!         Some((&mut self.boosts, Place::Space(Some(self.holder))))
//!     }
//!
//!     fn now(&self) -> u64 {
//!         0
//!     }
//!
//!     fn process_id(&self, task: TaskNumber) -> i32 {
//!         task as i32
//!     }
//! }
//!
//! let mut vouchers = Vouchers::new(4711, Default::default())?;
//! vouchers.registry.register(Key::IMPORTANCE.number(), ImportanceManager::REGISTRATION)?;
//! let mut importance = Importance::new(4711);
//! let (a, b) = (importance.create_element(1)?, importance.create_element(2)?);
//! let mut kernel = Kernel { boosts: PortBoosts::default(), holder: b };
//! kernel.boosts.accept_donation();
//! let policy = LivePolicy::default();
//! importance.set_marks(&mut kernel, a, Marks { donor: true, ..Marks::default() }, policy)?;
//! importance.set_marks(&mut kernel, b, Marks { receiver: true, ..Marks::default() }, policy)?;
//!
//! // A message of task 1, a donor, boosts task 2, an adaptive daemon.
//! let message = SendRequest { port: 0, sender: Some(a), voucher: None, mode: SendMode::Normal };
//! let link = importance.send(&mut kernel, &message)?;
//! assert_eq!(importance.next_change(), Some(PolicyChange { task: 2, boosted: true }));
//!
//! // Task 2 receives it, and has the boost in a voucher from now on.
//! let caller = CallingTask { task: 2, bank: None, importance: Some(b) };
//! let mut system = WithImportance::new(&mut vouchers, &mut importance, &mut kernel);
//! let delivered = receive_importance(&mut system, &caller, link, None);
//! let DeliveredVoucher::Replaced(Some(voucher)) = delivered.voucher else { panic!("there is a voucher") };
//! assert_eq!(system.importance().0.next_change(), None);
//!
//! // The boost ends with the voucher.
//! assert!(release_voucher(&mut system, voucher).is_none());
//! assert_eq!(importance.next_change(), Some(PolicyChange { task: 2, boosted: false }));
//! # Ok::<(), voucher::Error>(())
//! ```
//!
//! | file | content |
//! |---|---|
//! | `element.rs` | [`TaskElement`]: the importance of a task |
//! | `inherit.rs` | [`Inherit`]: a boost that a voucher holds |
//! | `link.rs` | [`MessageLink`]: the importance of a message on its way |
//! | `source.rs` | [`Source`]: whose importance a message or voucher carries |
//! | `environment.rs` | [`Environment`]: the kernel's ports and clock; [`PortBoosts`] |
//! | `counts.rs` | holding and dropping boosts |
//! | `propagation.rs` | what follows when a task becomes boosted or a donor, or ceases to be |
//! | `effects.rs` | [`PolicyChange`]: what the kernel has to do |
//! | `delayed_drop.rs` | applications that keep their boost for a while |
//! | `hooks.rs` | sending a message, and its end |
//! | `receive.rs` | receiving a message with its importance |
//! | `repeated.rs` | the short way of a boost that the receiver has already |
//! | `deliver.rs` | [`receive_importance`]: the voucher that a receiver gets |
//! | `driver.rs` | [`ImportanceDriver`]: a voucher system with importance; [`WithImportance`] is one |
//! | `rights.rs` | ports whose receive rights move, die or have a temporary owner |
//! | `inherits.rs`, `lifetime.rs` | the lives of inherits and task elements |
//! | `values.rs` | importance as a value of vouchers |
//! | `log.rs` | [`BoostEvent`]: what a recorder is told |
//! | `report.rs`, `check.rs` | what a debugger shows, and the invariants |

mod check;
mod counts;
mod delayed_drop;
mod deliver;
mod driver;
mod effects;
mod element;
mod environment;
mod hooks;
mod inherit;
mod inherits;
mod lifetime;
mod link;
mod log;
mod propagation;
mod receive;
mod repeated;
mod report;
mod rights;
mod source;
mod values;

pub use delayed_drop::{DELAY, DROP_SLICE};
pub use deliver::{Delivered, DeliveredVoucher, receive_importance};
pub use driver::{ImportanceDriver, WithImportance};
pub use effects::PolicyChange;
pub use element::{ElementId, ExternCount, LivePolicy, Marks, TaskElement, TaskNumber};
pub use environment::{Environment, Place, PortBoosts, PortNumber};
pub use hooks::{SendMode, SendRequest};
pub use inherit::{Depth, Inherit, InheritId};
pub use link::{LinkId, MessageLink};
pub use log::{BoostCause, BoostChange, BoostEvent};
pub use report::Donation;
pub use source::Source;

use delayed_drop::DelayedDrop;
use element::{Changed, Crossed, Unfinished, Updating};
use foldhash::fast::FixedState;
use log::Log;
use store::{Compaction, LinearIndex, List, NoMemory, Singles};

/// The importance of all tasks.
#[derive(Debug)]
pub struct Importance {
    elements: Singles<TaskElement>,
    inherits: Singles<Inherit>,
    /// The inherits by the task whose donation they follow, the boosted task and the depth.
    inherit_index: LinearIndex<256>,
    links: Singles<MessageLink>,
    hasher: FixedState,
    /// The elements that crossed and must be visited.
    crossed: List<TaskElement, Crossed>,
    /// The elements whose policy follows, in order.
    updating: List<TaskElement, Updating>,
    /// The elements whose change the kernel has not been told.
    changed: List<TaskElement, Changed>,
    /// The elements whose visit was cut short, in the order of the causes.
    unfinished: List<TaskElement, Unfinished>,
    /// Such a visit goes on now.
    is_going_on: bool,
    delayed: DelayedDrop,
    /// There may be a policy change or a deadline that the kernel has not been told.
    news: bool,
    log: Log,
    visits: u64,
    /// How many visits there may be until the kernel is told everything.
    allowance: u64,
    /// The number of visits at which they are cut short, once there was one.
    last_visit: Option<u64>,
}

impl Importance {
    /// Returns a state without tasks. `seed` should be hard to guess: it decides which inherits share a hash bucket.
    /// Allocates nothing.
    pub fn new(seed: u64) -> Self {
        Importance {
            elements: Singles::new(),
            inherits: Singles::new(),
            inherit_index: LinearIndex::new(),
            links: Singles::new(),
            hasher: FixedState::with_seed(seed),
            crossed: List::new(),
            updating: List::new(),
            changed: List::new(),
            unfinished: List::new(),
            is_going_on: false,
            delayed: DelayedDrop::default(),
            news: false,
            log: Log::default(),
            visits: 0,
            allowance: u64::MAX,
            last_visit: None,
        }
    }

    /// Makes room for the addresses of so many elements of tasks, inherits and links of messages, which is never given
    /// back. Until there are more, growth of the tables moves nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out.
    pub fn set_places(&mut self, elements: usize, inherits: usize, links: usize) -> Result<(), NoMemory> {
        self.elements.set_places(elements)?;
        self.inherits.set_places(inherits)?;
        self.links.set_places(links)
    }

    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub fn trim(&mut self) -> bool {
        let Importance { elements, inherits, inherit_index, links, .. } = self;
        elements.trim() || inherit_index.trim(inherits) || inherits.trim() || links.trim()
    }

    /// Goes on with a round of compaction.
    pub fn compact(&mut self, compaction: &mut Compaction) {
        self.elements.compact(compaction, |_, _| {});
        self.inherits.compact(compaction, |_, _| {});
        self.links.compact(compaction, |_, _| {});
    }

    /// Returns true if there are no tasks, inherits and linked messages.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty() && self.inherits.is_empty() && self.links.is_empty()
    }
}
