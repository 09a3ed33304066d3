//! Requests for dead-name and send-possible notifications (mach-ipc 2.8). A name has at most one. Its port has two
//! lists of them: the armed ones, which fire with the next message received, and the others.

use super::Ipc;
use super::kernel_message::Notification;
use super::right::SendOnceRight;
use crate::heap::footprint_of_part;
use crate::ids::{BudgetId, PortId, RequestId, SpaceId, tag};
use crate::limits::REQUESTS_PER_PORT_MAX;
use crate::step::{Step, Work};
use abi::port::PortName;
use store::{Arena, Link, List};

/// The event for which a request waits. If the port dies first, the first two kinds get a dead-name notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The port's death.
    DeadName,
    /// Room in the queue.
    SendPossible {
        /// A send by the request's name has found the queue full: the request fires with the next message received.
        armed: bool,
    },
    /// The name is gone because the receive right ended by it. A port-deleted notification follows the port's messages.
    PortDeleted,
}

const ARMED: RequestKind = RequestKind::SendPossible { armed: true };

/// A request for a notification.
#[derive(Debug)]
pub struct Request {
    /// The right to which the notification goes.
    pub(super) notify: SendOnceRight,
    /// The space of the name.
    pub(super) space: SpaceId,
    /// The budget that it is on.
    pub(super) budget: BudgetId,
    /// The name that the request is about.
    pub(super) name: PortName,
    /// The event for which it waits.
    pub(super) kind: RequestKind,
    /// Its place in a list of its port.
    link: Link<tag::Request>,
}

impl Request {
    /// Returns a request that is not registered yet.
    pub(super) fn new(
        notify: SendOnceRight,
        (space, budget): (SpaceId, BudgetId),
        name: PortName,
        kind: RequestKind,
    ) -> Request {
        Request { notify, space, budget, name, kind, link: Link::default() }
    }
}

/// The cost of a request on the budget of its space, in bytes.
pub(super) const REQUEST_COST: usize = footprint_of_part(AllRequests::OBJECT_SIZE, TOGETHER);

/// The requests of all ports.
pub(super) type AllRequests = Arena<Request, TOGETHER, tag::Request>;

/// Requests that are allocated together.
const TOGETHER: usize = 64;

/// A list of a port's requests.
#[derive(Debug)]
pub enum OfPort {}

store::linked!(Request as tag::Request, OfPort: link);

/// The requests about one port.
#[derive(Debug, Default)]
pub struct Requests {
    armed: List<tag::Request, OfPort>,
    unarmed: List<tag::Request, OfPort>,
}

impl Requests {
    /// Returns the number of requests.
    pub fn count(&self) -> usize {
        self.armed.len() + self.unarmed.len()
    }

    /// Returns true if any request is armed.
    #[inline(always)]
    pub fn any_armed(&self) -> bool {
        !self.armed.is_empty()
    }

    /// Returns all requests.
    pub fn iter<'a>(&self, requests: &'a AllRequests) -> impl Iterator<Item = (RequestId, &'a Request)> {
        self.armed.iter(requests).chain(self.unarmed.iter(requests)).map(|id| (id, &requests[id]))
    }

    fn list_for(&mut self, kind: RequestKind) -> &mut List<tag::Request, OfPort> {
        if kind == ARMED { &mut self.armed } else { &mut self.unarmed }
    }
}

impl Ipc {
    /// Registers a request about a live port, at the port and at its name, which must not have one.
    ///
    /// # Errors
    /// The right to which the notification would go, if memory runs out, the budget is used up or the port has too many
    /// requests; nothing has changed.
    pub(super) fn register_request(&mut self, port: PortId, request: Request) -> Result<(), SendOnceRight> {
        let Request { space, budget, name, kind, .. } = request;
        let full = self.ports[port].requests.count() >= REQUESTS_PER_PORT_MAX;
        if full || self.charged(budget, REQUEST_COST, |ipc| ipc.requests.reserve()).is_err() {
            return Err(request.notify);
        }
        let id = self.requests.insert_reserved(|_| request);
        self.ports[port].requests.list_for(kind).push_back(&mut self.requests, id);
        self.spaces[space].get_mut(name).expect("the name exists").request = Some(id);
        Ok(())
    }

    /// Removes a request from its port. The caller removes it from its name.
    fn take_request(&mut self, port: PortId, id: RequestId) -> Request {
        let kind = self.requests[id].kind;
        self.ports[port].requests.list_for(kind).remove(&mut self.requests, id);
        let request = self.requests.remove(id).expect("the request has not been removed before");
        self.refund(request.budget, REQUEST_COST);
        request
    }

    /// Changes the event for which a registered request waits.
    fn set_request_kind(&mut self, port: PortId, id: RequestId, kind: RequestKind) {
        let on_port = &mut self.ports[port].requests;
        on_port.list_for(self.requests[id].kind).remove(&mut self.requests, id);
        self.requests[id].kind = kind;
        on_port.list_for(kind).push_back(&mut self.requests, id);
    }

    /// Removes the request of a name from the name and from its live port, if it has one.
    pub(super) fn cancel_request(&mut self, space: SpaceId, name: PortName) -> Option<Request> {
        let entry = self.spaces[space].get_mut(name)?;
        let id = entry.request.take()?;
        let port = entry.right.port().expect("a name with a request has a right to a port");
        Some(self.take_request(port, id))
    }

    /// Removes the request of a name that is about to be removed, if it has one, and notes a port-deleted notification.
    pub(super) fn delete_request(&mut self, step: &mut Step, space: SpaceId, name: PortName) {
        let request = self.cancel_request(space, name);
        self.notify_port_deleted(step, request, name);
    }

    /// Notes a port-deleted notification for a request whose name has been removed, if there was one.
    pub(super) fn notify_port_deleted(&mut self, step: &mut Step, request: Option<Request>, name: PortName) {
        if let Some(request) = request {
            self.notify(step, request.notify, Notification::PortDeleted(name));
        }
    }

    /// Turns the request of a name that is about to be removed into one for a port-deleted notification, and leaves it
    /// at the port, which is about to die. The notification then follows those about rights in the port's messages
    /// (errata 4).
    pub(super) fn leave_request_to_port(&mut self, space: SpaceId, name: PortName) {
        let entry = self.spaces[space].get_mut(name).expect("the name exists");
        let port = entry.right.port().expect("a name with a request has a right to a port");
        if let Some(id) = entry.request.take() {
            self.set_request_kind(port, id, RequestKind::PortDeleted);
        }
    }

    /// Returns the port of a name and the name's send-possible request, if it has one. The port is alive.
    fn send_possible_request(&self, space: SpaceId, name: PortName) -> Option<(PortId, RequestId)> {
        let entry = self.spaces[space].get(name)?;
        let (port, id) = (entry.right.port()?, entry.request?);
        matches!(self.requests[id].kind, RequestKind::SendPossible { .. }).then_some((port, id))
    }

    /// Returns true if a name, whose port is alive, has a send-possible request.
    pub(crate) fn has_send_possible_request(&self, space: SpaceId, name: PortName) -> bool {
        self.send_possible_request(space, name).is_some()
    }

    /// Arms the send-possible request of a name whose port is alive. Returns true if it has one.
    pub(crate) fn arm_request(&mut self, space: SpaceId, name: PortName) -> bool {
        let Some((port, id)) = self.send_possible_request(space, name) else { return false };
        self.set_request_kind(port, id, ARMED);
        true
    }

    /// Notes that the armed requests of a port have to fire, because a message is received. They fire before the thread
    /// that caused this goes on.
    #[inline]
    pub(crate) fn fire_armed_requests(&mut self, step: &mut Step, port: PortId) {
        if self.ports[port].requests.any_armed() {
            self.note_armed(step, port);
        }
    }

    /// Notes the work of a live port that fires armed requests and raises the queue limit, unless it is noted.
    pub(super) fn note_armed(&mut self, step: &mut Step, port: PortId) {
        if !core::mem::replace(&mut self.ports[port].armed_listed, true) {
            step.later(Work::Armed(port));
        }
    }

    /// Fires one armed request of a live port. Returns true if there was one.
    pub(super) fn fire_one_armed_request(&mut self, step: &mut Step, port: PortId) -> bool {
        let Some(id) = self.ports[port].requests.armed.front() else { return false };
        let Request { notify, space, name, .. } = self.take_request(port, id);
        self.spaces[space].get_mut(name).expect("the name of a request exists").request = None;
        self.notify(step, notify, Notification::SendPossible(name));
        true
    }

    /// Fires one of the dead-name, send-possible and port-deleted requests of a dead port. Returns true if there was
    /// one.
    pub(super) fn fire_one_dead_name_request(&mut self, step: &mut Step, port: PortId) -> bool {
        let Requests { armed, unarmed } = &self.ports[port].requests;
        let Some(id) = unarmed.front().or(armed.front()) else { return false };
        let Request { notify, space, name, kind, .. } = self.take_request(port, id);
        if kind == RequestKind::PortDeleted {
            self.notify(step, notify, Notification::PortDeleted(name));
            return true;
        }
        // Since the port's death the name may have been turned into a dead name already, or freed.
        if let Some(space) = self.spaces.get_mut(space)
            && space.get(name).is_some_and(|entry| entry.right.port() == Some(port))
        {
            space.make_dead_name(name);
        }
        self.notify(step, notify, Notification::DeadName(name));
        true
    }
}
