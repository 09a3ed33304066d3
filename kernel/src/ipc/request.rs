//! Requests for dead-name and send-possible notifications: one slot per name, in a table of the port (mach-ipc 2.8).

use crate::ipc::notify::Notification;
use crate::ipc::port::PortId;
use crate::ipc::right::SendOnceRight;
use crate::kernel::Kernel;
use crate::limits::REQUESTS_PER_PORT_MAX;
use crate::machine::{Machine, NoMemory};
use crate::reap::Item;
use crate::task::TaskId;
use abi::port::PortName;
use store::Chunks;

/// What a request waits for. Both kinds get a dead-name notification if the port dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The port's death.
    DeadName,
    /// Room in the queue; an armed request fires with the next message received.
    SendPossible {
        /// The queue was found full.
        armed: bool,
    },
}

const ARMED: RequestKind = RequestKind::SendPossible { armed: true };

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Whom to tell.
    pub notify: SendOnceRight,
    /// In which task the request was made.
    pub task: TaskId,
    /// By which name.
    pub name: PortName,
    /// For what.
    pub kind: RequestKind,
}

/// The requests on one port.
#[derive(Debug, Default)]
pub struct Requests {
    slots: Chunks<Slot, 4>,
    /// First free slot; the list goes on in the slots.
    free: Option<u32>,
    /// First armed request; the list goes on in the slots.
    armed: Option<u32>,
    /// First other request; the list goes on in the slots.
    unarmed: Option<u32>,
}

/// A slot with its neighbours in whichever list it is.
#[derive(Debug, Default)]
struct Slot {
    request: Option<Request>,
    previous: Option<u32>,
    next: Option<u32>,
}

/// What one request costs its task's budget.
pub(crate) const REQUEST_COST: usize = size_of::<Slot>();

impl Requests {
    /// Whether any request is armed.
    #[inline(always)]
    pub fn any_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// The request in a slot.
    pub fn get(&self, slot: u32) -> &Request {
        self.slots[slot as usize].request.as_ref().expect("a name's request exists")
    }

    /// All requests with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Request)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| slot.request.as_ref().map(|request| (at as u32, request)))
    }

    fn reserve(&mut self) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        if self.free.is_some() {
            return Ok(());
        }
        let first = self.slots.len();
        if first >= REQUESTS_PER_PORT_MAX {
            return Err(NoMemory);
        }
        self.slots.grow()?;
        for at in (first..self.slots.len()).rev() {
            self.slots[at].next = self.free;
            self.free = Some(at as u32);
        }
        Ok(())
    }

    fn insert(&mut self, request: Request) -> u32 {
        let at = self.free.expect("the caller makes room first");
        let slot = &mut self.slots[at as usize];
        self.free = slot.next;
        slot.request = Some(request);
        self.link(at);
        at
    }

    fn list_of(&mut self, at: u32) -> &mut Option<u32> {
        if self.get(at).kind == ARMED { &mut self.armed } else { &mut self.unarmed }
    }

    fn link(&mut self, at: u32) {
        let first = self.list_of(at).replace(at);
        if let Some(first) = first {
            self.slots[first as usize].previous = Some(at);
        }
        let slot = &mut self.slots[at as usize];
        (slot.previous, slot.next) = (None, first);
    }

    fn unlink(&mut self, at: u32) {
        let Slot { previous, next, .. } = self.slots[at as usize];
        match previous {
            Some(previous) => self.slots[previous as usize].next = next,
            None => *self.list_of(at) = next,
        }
        if let Some(next) = next {
            self.slots[next as usize].previous = previous;
        }
    }

    fn take(&mut self, at: u32) -> Request {
        self.unlink(at);
        let slot = &mut self.slots[at as usize];
        slot.next = self.free;
        self.free = Some(at);
        slot.request.take().expect("a request is taken once")
    }

    fn arm(&mut self, at: u32) {
        self.unlink(at);
        self.slots[at as usize].request.as_mut().expect("a request that is armed exists").kind = ARMED;
        self.link(at);
    }
}

impl Kernel {
    /// Registers a request on a live port and notes it at the name by which it is made, which has none.
    ///
    /// # Errors
    /// Gives the right back if there is no memory or the budget is used up; nothing has changed.
    pub(super) fn register_request(&mut self, port: PortId, request: Request) -> Result<(), SendOnceRight> {
        let (task, name) = (request.task, request.name);
        if self.charge(task, REQUEST_COST).is_err() {
            return Err(request.notify);
        }
        if self.ports[port].requests.reserve().is_err() {
            self.refund(task, REQUEST_COST);
            return Err(request.notify);
        }
        let slot = self.ports[port].requests.insert(request);
        self.tasks[task].space.get_mut(name).expect("the name exists").request = Some(slot);
        Ok(())
    }

    /// Removes the request that a name has on its live port, if it has one.
    pub(super) fn cancel_request(&mut self, task: TaskId, name: PortName) -> Option<Request> {
        let entry = self.tasks[task].space.get_mut(name)?;
        let slot = entry.request.take()?;
        let port = entry.holding.port().expect("a request belongs to a right");
        self.refund(task, REQUEST_COST);
        Some(self.ports[port].requests.take(slot))
    }

    /// A name is about to disappear while its port lives: its request becomes a port-deleted notification.
    pub(super) fn delete_request(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) {
        if let Some(request) = self.cancel_request(task, name) {
            self.notify(m, request.notify, Notification::PortDeleted(name));
        }
    }

    /// The send-possible request that a name of a live port has: its port and slot.
    fn send_possible_request(&self, task: TaskId, name: PortName) -> Option<(PortId, u32)> {
        let entry = self.tasks[task].space.get(name)?;
        let (port, slot) = (entry.holding.port()?, entry.request?);
        (self.ports[port].requests.get(slot).kind != RequestKind::DeadName).then_some((port, slot))
    }

    /// Whether a name of a live port has a send-possible request.
    pub(super) fn has_send_possible_request(&self, task: TaskId, name: PortName) -> bool {
        self.send_possible_request(task, name).is_some()
    }

    /// Arms the send-possible request that a name of a live port has; tells whether it has one.
    pub(super) fn arm_request(&mut self, task: TaskId, name: PortName) -> bool {
        let Some((port, slot)) = self.send_possible_request(task, name) else { return false };
        self.ports[port].requests.arm(slot);
        true
    }

    /// A message of the port is received: its armed requests will fire before the thread that caused it goes on.
    #[inline]
    pub(super) fn fire_armed_requests(&mut self, port: PortId) {
        let port_state = &mut self.ports[port];
        if port_state.requests.any_armed() && !core::mem::replace(&mut port_state.armed_listed, true) {
            self.reap_later(Item::Armed(port));
        }
    }

    /// Fires one armed request of a live port; tells whether there was one.
    pub(crate) fn fire_one_armed_request(&mut self, m: &mut dyn Machine, port: PortId) -> bool {
        let Some(slot) = self.ports[port].requests.armed else { return false };
        let Request { notify, task, name, .. } = self.ports[port].requests.take(slot);
        self.refund(task, REQUEST_COST);
        self.tasks[task].space.get_mut(name).expect("a request's name exists").request = None;
        self.notify(m, notify, Notification::SendPossible(name));
        true
    }

    /// The port died: tells one of those who made a request, whose name becomes a dead name; tells whether there was one.
    pub(crate) fn fire_one_dead_name_request(&mut self, m: &mut dyn Machine, port: PortId) -> bool {
        let requests = &mut self.ports[port].requests;
        let Some(slot) = requests.unarmed.or(requests.armed) else { return false };
        let Request { notify, task, name, .. } = requests.take(slot);
        self.refund(task, REQUEST_COST);
        // The name may have been found dead, or freed, since the port died.
        if let Some(task) = self.tasks.get_mut(task)
            && task.space.get(name).is_some_and(|entry| entry.holding.port() == Some(port))
        {
            task.space.bury(name);
        }
        self.notify(m, notify, Notification::DeadName(name));
        true
    }
}
