//! Requests for dead-name and send-possible notifications: at most one per name, on two lists of the port (mach-ipc 2.8).

use crate::ipc::notify::Notification;
use crate::ipc::port::PortId;
use crate::ipc::right::SendOnceRight;
use crate::kernel::Kernel;
use crate::limits::REQUESTS_PER_PORT_MAX;
use crate::machine::Machine;
use crate::reap::Item;
use crate::task::TaskId;
use abi::port::PortName;
use store::{Arena, Id, Link, Linked, List};

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
    /// Nothing: the name went with the port, and who made the request is told last (mach-ipc 2.8).
    Deleted,
}

const ARMED: RequestKind = RequestKind::SendPossible { armed: true };

/// Names a request.
pub type RequestId = Id<Request>;

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
    /// Its place on a list of the port.
    pub link: Link<Request>,
}

/// What one request costs its task's budget.
pub(crate) const REQUEST_COST: usize = size_of::<Request>();

/// A list of a port's requests.
#[derive(Debug)]
pub enum OfPort {}

impl Linked<OfPort> for Request {
    fn link(&mut self) -> &mut Link<Request> {
        &mut self.link
    }
    fn link_ref(&self) -> &Link<Request> {
        &self.link
    }
}

/// The requests on one port.
#[derive(Debug, Default)]
pub struct Requests {
    armed: List<Request, OfPort>,
    unarmed: List<Request, OfPort>,
}

impl Requests {
    /// Number of requests.
    pub fn count(&self) -> usize {
        self.armed.len() + self.unarmed.len()
    }

    /// Whether any request is armed.
    #[inline(always)]
    pub fn any_armed(&self) -> bool {
        !self.armed.is_empty()
    }

    /// All requests.
    pub fn iter<'a>(&self, requests: &'a Arena<Request>) -> impl Iterator<Item = (RequestId, &'a Request)> {
        self.armed.iter(requests).chain(self.unarmed.iter(requests)).map(|id| (id, &requests[id]))
    }

    fn list_for(&mut self, kind: RequestKind) -> &mut List<Request, OfPort> {
        // Of a dead port the armed requests are the last, and a deleted name's comes behind them.
        if matches!(kind, ARMED | RequestKind::Deleted) { &mut self.armed } else { &mut self.unarmed }
    }
}

impl Kernel {
    /// Registers a request on a live port and notes it at the name by which it is made, which has none.
    ///
    /// # Errors
    /// Gives the right back if there is no memory, the budget is used up or the port has too many requests; nothing has
    /// changed.
    pub(super) fn register_request(&mut self, port: PortId, request: Request) -> Result<(), SendOnceRight> {
        let Request { task, name, kind, .. } = request;
        let full = self.ports[port].requests.count() >= REQUESTS_PER_PORT_MAX;
        if full || self.charge(task, REQUEST_COST).is_err() {
            return Err(request.notify);
        }
        if self.requests.reserve().is_err() {
            self.refund(task, REQUEST_COST);
            return Err(request.notify);
        }
        let id = self.requests.insert_reserved(|_| request);
        self.ports[port].requests.list_for(kind).push_back(&mut self.requests, id);
        self.tasks[task].space.get_mut(name).expect("the name exists").request = Some(id);
        Ok(())
    }

    /// Takes a request off its port.
    fn take_request(&mut self, port: PortId, id: RequestId) -> Request {
        let kind = self.requests[id].kind;
        self.ports[port].requests.list_for(kind).remove(&mut self.requests, id);
        let request = self.requests.remove(id).expect("a request is taken once");
        self.refund(request.task, REQUEST_COST);
        request
    }

    /// Removes the request that a name has on its live port, if it has one.
    pub(super) fn cancel_request(&mut self, task: TaskId, name: PortName) -> Option<Request> {
        let entry = self.tasks[task].space.get_mut(name)?;
        let id = entry.request.take()?;
        let port = entry.holding.port().expect("a request belongs to a right");
        Some(self.take_request(port, id))
    }

    /// A name is about to disappear while its port lives: its request becomes a port-deleted notification.
    pub(super) fn delete_request(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) {
        if let Some(request) = self.cancel_request(task, name) {
            self.notify(m, request.notify, Notification::PortDeleted(name));
        }
    }

    /// Ends the request of a name that is gone: at once if the port lives on, otherwise when everything else about the
    /// port's death has been told (errata 2).
    pub(super) fn end_detached_request(&mut self, m: &mut dyn Machine, port: PortId, id: RequestId) {
        if self.live_port(port).is_some() {
            let Request { notify, name, .. } = self.take_request(port, id);
            return self.notify(m, notify, Notification::PortDeleted(name));
        }
        let on_port = &mut self.ports[port].requests;
        on_port.list_for(self.requests[id].kind).remove(&mut self.requests, id);
        self.requests[id].kind = RequestKind::Deleted;
        on_port.armed.push_back(&mut self.requests, id);
    }

    /// The send-possible request that a name of a live port has, and the port.
    fn send_possible_request(&self, task: TaskId, name: PortName) -> Option<(PortId, RequestId)> {
        let entry = self.tasks[task].space.get(name)?;
        let (port, id) = (entry.holding.port()?, entry.request?);
        (self.requests[id].kind != RequestKind::DeadName).then_some((port, id))
    }

    /// Whether a name of a live port has a send-possible request.
    pub(super) fn has_send_possible_request(&self, task: TaskId, name: PortName) -> bool {
        self.send_possible_request(task, name).is_some()
    }

    /// Arms the send-possible request that a name of a live port has; tells whether it has one.
    pub(super) fn arm_request(&mut self, task: TaskId, name: PortName) -> bool {
        let Some((port, id)) = self.send_possible_request(task, name) else { return false };
        let on_port = &mut self.ports[port].requests;
        on_port.list_for(self.requests[id].kind).remove(&mut self.requests, id);
        self.requests[id].kind = ARMED;
        on_port.armed.push_back(&mut self.requests, id);
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
        let Some(id) = self.ports[port].requests.armed.front() else { return false };
        let Request { notify, task, name, .. } = self.take_request(port, id);
        self.tasks[task].space.get_mut(name).expect("a request's name exists").request = None;
        self.notify(m, notify, Notification::SendPossible(name));
        true
    }

    /// The port died: tells who made a request by the name that had the receive right.
    pub(super) fn fire_deleted_name_request(&mut self, m: &mut dyn Machine, port: PortId) {
        let id = self.ports[port].requests.armed.front().expect("the caller found a request");
        let Request { notify, name, .. } = self.take_request(port, id);
        self.notify(m, notify, Notification::PortDeleted(name));
    }

    /// The port died: tells one of those who made a request, whose name becomes a dead name; tells whether there was one.
    pub(crate) fn fire_one_dead_name_request(&mut self, m: &mut dyn Machine, port: PortId) -> bool {
        let Requests { armed, unarmed } = &self.ports[port].requests;
        let Some(id) = unarmed.front().or(armed.front()) else { return false };
        if self.requests[id].kind == RequestKind::Deleted {
            return false;
        }
        let Request { notify, task, name, .. } = self.take_request(port, id);
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
