//! Root queues, and the lists of what waits for a worker (dispatch 5.1, 5.10).

use super::{Effects, Item};
use crate::continuation::Continuation;
use crate::process::process;
use crate::qos::{Qos, QueuePriority};
use crate::sync::atomic::{AtomicU32, Ordering};
use alloc::vec::Vec;

/// A root queue: where all queues end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Root {
    /// The class.
    pub class: Qos,
    /// An item gets a worker although others run.
    pub overcommit: bool,
}

impl Root {
    /// Returns what the queue says about the priority of its items.
    pub(crate) fn word(self) -> QueuePriority {
        QueuePriority { overcommit: self.overcommit, ..QueuePriority::root(self.class) }
    }

    /// Returns the number by which events and debuggers call it.
    pub(crate) const fn number(self) -> u64 {
        abi::debugger::global_queue(self.class, self.overcommit)
    }

    /// Appends a client's work.
    #[inline(never)]
    pub(crate) fn push(self, continuation: Continuation, class: Qos) {
        let mut effects = Effects::default();
        process().queues.pool.push(self, Item::Work(continuation), class, &mut effects);
        effects.apply();
    }

    /// Returns the class of the list for an item that was pushed with a class. The default root passes items of every
    /// other class on, another root only those of a higher one (dispatch L-7).
    fn list_class(self, class: Qos) -> Qos {
        match self.class {
            Qos::DEFAULT if class != Qos::Unspecified => class,
            own => own.max(class),
        }
    }
}

/// Where a queue is in the lists: a key, or 0. It changes under the lock of the pool.
#[derive(Debug, Default)]
pub(crate) struct ReadySlot(AtomicU32);

impl ReadySlot {
    /// Returns true if the queue waits in the lists. The caller holds the queue's lock, under which it gets there; a
    /// worker may take it away at any time.
    pub(crate) fn is_used(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn key(&self) -> Option<usize> {
        (self.0.load(Ordering::Relaxed) as usize).checked_sub(1)
    }

    fn set(&self, key: Option<usize>) {
        self.0.store(key.map_or(0, |key| key as u32 + 1), Ordering::Relaxed);
    }
}

/// An item that waits for a worker.
pub(crate) struct Job {
    /// The item.
    pub item: Item,
    /// The root on which it was pushed, whose base and identity it gets.
    pub root: Root,
    /// The class of the worker that takes it.
    pub class: Qos,
}

/// The number of lists: two for each class.
const LISTS: usize = 2 * Qos::CLASSES.len();

/// The lists, one for each class and kind of root. An item can be taken from the middle of one.
#[derive(Default)]
pub(crate) struct Ready {
    nodes: Vec<Node>,
    free: Vec<usize>,
    lists: [List; LISTS],
    /// The number of pushes so far, by which the items of two lists have an order.
    pushes: u64,
}

#[derive(Clone, Copy, Default)]
struct List {
    first: Option<usize>,
    last: Option<usize>,
}

struct Node {
    job: Option<Job>,
    number: u64,
    previous: Option<usize>,
    next: Option<usize>,
}

fn list_of(class: Qos, overcommit: bool) -> usize {
    (class as usize - 1) * 2 + usize::from(overcommit)
}

impl Ready {
    /// Appends an item. Returns the class of its list, and true if it is the first there.
    pub(crate) fn push(&mut self, item: Item, root: Root, class: Qos) -> (Qos, bool) {
        let class = root.list_class(class);
        self.pushes += 1;
        let job = Job { item, root, class };
        let node = Node { job: Some(job), number: self.pushes, previous: None, next: None };
        let key = match self.free.pop() {
            Some(key) => {
                self.nodes[key] = node;
                key
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        if let Some(slot) = self.nodes[key].job.as_ref().and_then(|job| job.item.slot()) {
            slot.set(Some(key));
        }
        (class, self.link(key, list_of(class, root.overcommit)))
    }

    /// Appends a node to a list; returns true if it is the first.
    fn link(&mut self, key: usize, list: usize) -> bool {
        let last = self.lists[list].last.replace(key);
        (self.nodes[key].previous, self.nodes[key].next) = (last, None);
        match last {
            Some(last) => self.nodes[last].next = Some(key),
            None => self.lists[list].first = Some(key),
        }
        last.is_none()
    }

    fn unlink(&mut self, key: usize, list: usize) {
        let (previous, next) = (self.nodes[key].previous, self.nodes[key].next);
        match previous {
            Some(previous) => self.nodes[previous].next = next,
            None => self.lists[list].first = next,
        }
        match next {
            Some(next) => self.nodes[next].previous = previous,
            None => self.lists[list].last = previous,
        }
    }

    /// Moves a queue to the list of a higher class (dispatch 5.4). Returns `None` if it is in no list, else whether it
    /// overcommits and is the first in a new list.
    pub(crate) fn raise(&mut self, slot: &ReadySlot, class: Qos) -> Option<(bool, bool)> {
        let key = slot.key()?;
        let job = self.nodes[key].job.as_mut()?;
        let overcommit = job.root.overcommit;
        if job.class >= class {
            return Some((overcommit, false));
        }
        let list = list_of(job.class, overcommit);
        job.class = class;
        self.unlink(key, list);
        Some((overcommit, self.link(key, list_of(class, overcommit))))
    }

    /// Takes the oldest item of the highest class.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let mut classes = Qos::CLASSES.into_iter().rev();
        let class = classes.find(|&class| self.waits(class, false) || self.waits(class, true))?;
        let heads = [false, true].map(|overcommit| self.lists[list_of(class, overcommit)].first);
        let key = heads.into_iter().flatten().min_by_key(|&key| self.nodes[key].number)?;
        let job = self.nodes[key].job.take()?;
        self.unlink(key, list_of(class, job.root.overcommit));
        self.free.push(key);
        if let Some(slot) = job.item.slot() {
            slot.set(None);
        }
        Some(job)
    }

    /// Returns what is at a place: `None` behind the last one, else the item that waits there, if one does.
    pub(crate) fn at(&self, place: usize) -> Option<Option<&Job>> {
        self.nodes.get(place).map(|node| node.job.as_ref())
    }

    /// Returns true if something waits in a list.
    pub(crate) fn waits(&self, class: Qos, overcommit: bool) -> bool {
        self.lists[list_of(class, overcommit)].first.is_some()
    }
}
