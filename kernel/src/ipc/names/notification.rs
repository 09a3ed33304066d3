//! Requests for notifications: request_notification (mach-ipc 2.8).

use super::valid;
use crate::ids::{PortId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::entry::{EntryRight, add_urefs};
use crate::ipc::kernel_message::Notification;
use crate::ipc::request::{Request, RequestKind};
use crate::ipc::right::{Carried, Right, SendOnceRight};
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::message::*;
use voucher::importance::SendMode;

/// The reason for a refusal, and the right that was not registered, which the caller destroys.
type Refused = (KernReturn, Option<SendOnceRight>);

impl Ipc {
    /// `mach_port_request_notification`: registers `notify` for a notification, in place of the right registered
    /// before, which is returned; [`Carried::Null`] only cancels (mach-ipc 2.8). If its event has happened already, the
    /// notification is noted at once and not registered. The meaning of `sync`:
    ///
    /// | notification | `sync` |
    /// |---|---|
    /// | port-destroyed | 0 |
    /// | no-senders | the notification is sent at once only if the make-send count is at least this |
    /// | send-possible | other than 0: the request is armed, or sent at once if the queue has room |
    /// | dead-name | other than 0: a dead name is accepted, and the notification sent at once |
    ///
    /// # Errors
    /// `KERN_INVALID_CAPABILITY` if the port of `notify` is dead; `KERN_INVALID_VALUE` for an unknown notification, or
    /// for port-destroyed with `sync`; `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_RIGHT` or
    /// `KERN_INVALID_ARGUMENT` if the notification is not for this kind of name; `KERN_FAILURE` if a port-destroyed
    /// request exists; `KERN_RESOURCE_SHORTAGE` if memory or the budget is used up or the port has too many requests.
    /// `notify` is destroyed then.
    pub fn port_request_notification(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        message_id: i32,
        sync: u32,
        notify: Carried,
    ) -> Result<Option<SendOnceRight>, KernReturn> {
        let notify = match notify {
            Carried::Null => None,
            Carried::Right(Right::SendOnce(right)) if self.live_port(right.port()).is_some() => Some(right),
            Carried::Right(Right::SendOnce(right)) => {
                self.consume_send_once(step, right);
                return Err(KERN_INVALID_CAPABILITY);
            }
            Carried::Dead => return Err(KERN_INVALID_CAPABILITY),
            Carried::Right(other) => panic!("{other:?} is not a send-once right"),
        };
        let registered = match message_id {
            MACH_NOTIFY_PORT_DESTROYED => self.request_port_destroyed(space, name, sync, notify),
            MACH_NOTIFY_NO_SENDERS => self.request_no_senders(step, space, name, sync, notify),
            MACH_NOTIFY_DEAD_NAME => self.request_by_name(step, space, name, RequestKind::DeadName, sync, notify),
            MACH_NOTIFY_SEND_POSSIBLE => {
                let kind = RequestKind::SendPossible { armed: sync != 0 };
                self.request_by_name(step, space, name, kind, sync, notify)
            }
            _ => Err((KERN_INVALID_VALUE, notify)),
        };
        registered.map_err(|(code, unused)| {
            if let Some(right) = unused {
                self.destroy_send_once(step, right);
            }
            code
        })
    }

    fn request_port_destroyed(
        &mut self,
        space: SpaceId,
        name: PortName,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        if sync != 0 {
            return Err((KERN_INVALID_VALUE, notify));
        }
        let port = match self.receive_right_for_request(space, name) {
            Ok(port) => port,
            Err(code) => return Err((code, notify)),
        };
        let state = &mut self.ports[port];
        if state.is_special_reply() {
            return Err((KERN_INVALID_RIGHT, notify));
        }
        if state.port_destroyed.is_some() {
            return Err((KERN_FAILURE, notify));
        }
        state.port_destroyed = notify;
        Ok(None)
    }

    fn request_no_senders(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        let port = match self.receive_right_for_request(space, name) {
            Ok(port) => port,
            Err(code) => return Err((code, notify)),
        };
        let state = &mut self.ports[port];
        let previous = state.no_senders.take();
        let count = state.make_send_count;
        match notify {
            Some(notify) if state.send_rights == 0 && sync <= count => {
                self.notify(step, notify, Notification::NoSenders(count))
            }
            notify => state.no_senders = notify,
        }
        Ok(previous)
    }

    fn receive_right_for_request(&mut self, space: SpaceId, name: PortName) -> Result<PortId, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        self.named_receive_right(space, name)
    }

    /// Registers, replaces or cancels the dead-name or send-possible request of a name.
    fn request_by_name(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        kind: RequestKind,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        if !name.is_valid() {
            return Err((KERN_INVALID_ARGUMENT, notify));
        }
        let Some(entry) = self.lookup(space, name) else { return Err((KERN_INVALID_NAME, notify)) };
        let Some(notify) = notify else {
            return Ok(self.cancel_request(space, name).map(|request| request.notify));
        };
        match entry.right {
            EntryRight::PortSet { .. } => Err((KERN_INVALID_RIGHT, Some(notify))),
            EntryRight::DeadName { urefs } => {
                if kind == RequestKind::DeadName && sync == 0 {
                    return Err((KERN_INVALID_ARGUMENT, Some(notify)));
                }
                self.spaces[space].change(name, EntryRight::DeadName { urefs: add_urefs(urefs, 1) });
                self.notify(step, notify, Notification::DeadName(name));
                Ok(None)
            }
            right => {
                let port = right.port().expect("other entries are rights to ports");
                let once = matches!(right, EntryRight::SendOnce { .. });
                let possible_now = once || self.is_kernel_port(port) || !self.ports[port].is_full();
                let previous = self.cancel_request(space, name);
                let is_first = !self.ports[port].requests.any_armed();
                if kind == (RequestKind::SendPossible { armed: true }) && possible_now {
                    self.notify(step, notify, Notification::SendPossible(name));
                } else if let Err(notify) =
                    self.register_request(port, Request::new(notify, (space, self.spaces[space].budget()), name, kind))
                {
                    self.restore_request(port, previous);
                    return Err((KERN_RESOURCE_SHORTAGE, Some(notify)));
                } else if kind == (RequestKind::SendPossible { armed: true }) && is_first {
                    self.arm_send_possible_boost(port, space, SendMode::Normal);
                }
                Ok(previous.map(|request| request.notify))
            }
        }
    }

    /// Puts back a request that was not replaced after all. The place and the cost that it had are free, so this
    /// succeeds.
    fn restore_request(&mut self, port: PortId, request: Option<Request>) {
        let Some(request) = request else { return };
        let restored = self.register_request(port, request);
        assert!(restored.is_ok(), "the place of the removed request is free");
    }
}
