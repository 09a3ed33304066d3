//! Long destruction, cut into pieces (errata 4).
//!
//! Destroying one message can destroy ports, whose messages carry more ports, and so on, without bound. Nothing here
//! recurses: what is to be destroyed goes to the end of a list, and the list is worked off in slices, between which all
//! invariants hold and other threads can run. The lists go through the objects themselves, so nothing is allocated.
//!
//! During a step [`Kernel::reap`](crate::kernel::Kernel) collects what the step destroys. What is left when the step ends
//! waits with the thread that caused it, which does not return before it is done; or, if that thread ended or there was
//! none, on the list of orphans.

use crate::ipc::message::MessageId;
use crate::ipc::port::PortId;
use crate::ipc::port_set::SetId;
use crate::kernel::Kernel;
use crate::limits::REAP_SLICE;
use crate::machine::Machine;
use crate::task::TaskId;
use abi::code::MACH_RCV_PORT_CHANGED;

/// Something that is being taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message with its rights.
    Message(MessageId),
    /// A dead port with its messages, senders and requests.
    Port(PortId),
    /// A port whose armed requests fire.
    Armed(PortId),
    /// A port set.
    Set(SetId),
    /// A task that has ended, with its threads, rights and memory.
    Task(TaskId),
}

/// Whether anything of an item is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be.
    More,
    /// There is, and it waits until what is on the list now is gone.
    Later,
    /// It is gone.
    Done,
}

/// Items in the order in which they are worked off.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReapList {
    ends: Option<(Item, Item)>,
}

impl ReapList {
    /// A list without items.
    pub const fn new() -> ReapList {
        ReapList { ends: None }
    }

    /// Whether nothing is to be done.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_none()
    }
}

impl Kernel {
    /// Where an item keeps what comes after it.
    fn next_of(&mut self, item: Item) -> &mut Option<Item> {
        match item {
            Item::Message(id) => &mut self.messages[id].reap_next,
            Item::Port(id) => &mut self.ports[id].reap_next,
            Item::Armed(id) => &mut self.ports[id].armed_next,
            Item::Set(id) => &mut self.sets[id].reap_next,
            Item::Task(id) => &mut self.tasks[id].reap_next,
        }
    }

    /// Adds an item, which is on no list, to those of this step.
    pub(crate) fn reap_later(&mut self, item: Item) {
        *self.next_of(item) = None;
        self.sched.reconsider();
        self.reap.ends = match self.reap.ends {
            Some((head, tail)) => {
                *self.next_of(tail) = Some(item);
                Some((head, item))
            }
            None => Some((item, item)),
        };
    }

    /// Adds items to those that nobody waits for.
    pub(crate) fn add_orphans(&mut self, list: ReapList) {
        let Some((head, tail)) = list.ends else { return };
        self.orphans.ends = match self.orphans.ends {
            Some((first, last)) => {
                *self.next_of(last) = Some(head);
                Some((first, tail))
            }
            None => Some((head, tail)),
        };
    }

    fn next_to_reap(&mut self) -> Option<Item> {
        let (head, tail) = self.reap.ends?;
        let next = self.next_of(head).take();
        self.reap.ends = next.map(|next| (next, tail));
        Some(head)
    }

    /// Puts an item back in front, of which something is left.
    fn reap_on(&mut self, item: Item) {
        let next = self.reap.ends.map(|(head, _)| head);
        *self.next_of(item) = next;
        self.reap.ends = Some((item, self.reap.ends.map_or(item, |(_, tail)| tail)));
    }

    /// Works off one slice of this step's items. What that destroys in turn is added at the end.
    pub(crate) fn reap_slice(&mut self, m: &mut dyn Machine) {
        for _ in 0..REAP_SLICE {
            let Some(item) = self.next_to_reap() else { return };
            let progress = match item {
                Item::Message(id) => self.reap_message(m, id),
                Item::Port(id) => self.reap_port(m, id),
                Item::Armed(id) => self.reap_armed(m, id),
                Item::Set(id) => self.reap_set(id),
                Item::Task(id) => self.reap_task(m, id),
            };
            match progress {
                Progress::More => self.reap_on(item),
                Progress::Later => self.reap_later(item),
                Progress::Done => {}
            }
        }
    }

    /// Works off one slice of what nobody waits for.
    pub(crate) fn reap_orphans(&mut self, m: &mut dyn Machine) {
        debug_assert!(self.reap.is_empty(), "a step's own items come first");
        self.reap = core::mem::take(&mut self.orphans);
        self.reap_slice(m);
        self.orphans = core::mem::take(&mut self.reap);
    }

    /// Takes a set apart by one piece: those who wait on it, then its members.
    fn reap_set(&mut self, set: SetId) -> Progress {
        if let Some(receiver) = self.sets[set].receivers.first() {
            self.finish_wait(receiver);
            self.threads[receiver].frame.set_code(MACH_RCV_PORT_CHANGED);
        } else if let Some(membership) = self.sets[set].members.front() {
            self.end_membership(membership);
        } else {
            self.remove_set(set);
            return Progress::Done;
        }
        Progress::More
    }
}
