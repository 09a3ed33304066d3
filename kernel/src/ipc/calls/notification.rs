//! request_notification (mach-ipc 2.8).

use super::valid;
use crate::ipc::names::{Holding, add_urefs};
use crate::ipc::notify::Notification;
use crate::ipc::port::PortId;
use crate::ipc::request::{Request, RequestKind};
use crate::ipc::right::{Carried, Right, SendOnceRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::message::*;
use store::Link;

/// A refusal with the right that was to be registered: the caller destroys it.
type Refused = (KernReturn, Option<SendOnceRight>);

impl Kernel {
    /// `mach_port_request_notification`: registers `notify`, or cancels with null; returns what was registered before.
    ///
    /// # Errors
    /// Those of mach-ipc 2.8. `notify` is destroyed then.
    pub(crate) fn port_request_notification(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        message_id: i32,
        sync: u32,
        notify: Carried,
    ) -> Result<Option<SendOnceRight>, KernReturn> {
        let notify = match notify {
            Carried::Null => None,
            Carried::Right(Right::SendOnce(right)) if self.live_port(right.port()).is_some() => Some(right),
            Carried::Right(Right::SendOnce(right)) => {
                self.consume_send_once(right);
                return Err(KERN_INVALID_CAPABILITY);
            }
            Carried::Dead => return Err(KERN_INVALID_CAPABILITY),
            Carried::Right(other) => panic!("the caller makes a send-once right, not {other:?}"),
        };
        let registered = match message_id {
            MACH_NOTIFY_PORT_DESTROYED => self.request_port_destroyed(task, name, sync, notify),
            MACH_NOTIFY_NO_SENDERS => self.request_no_senders(m, task, name, sync, notify),
            MACH_NOTIFY_DEAD_NAME => self.request_by_name(m, task, name, RequestKind::DeadName, sync, notify),
            MACH_NOTIFY_SEND_POSSIBLE => {
                let kind = RequestKind::SendPossible { armed: sync != 0 };
                self.request_by_name(m, task, name, kind, sync, notify)
            }
            _ => Err((KERN_INVALID_VALUE, notify)),
        };
        registered.map_err(|(code, unused)| {
            if let Some(right) = unused {
                self.destroy_send_once(m, right);
            }
            code
        })
    }

    fn request_port_destroyed(
        &mut self,
        task: TaskId,
        name: PortName,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        if sync != 0 {
            return Err((KERN_INVALID_VALUE, notify));
        }
        let port = match self.receive_right_for_request(task, name) {
            Ok(port) => port,
            Err(code) => return Err((code, notify)),
        };
        let state = &mut self.ports[port];
        if state.port_destroyed.is_some() {
            return Err((KERN_FAILURE, notify));
        }
        state.port_destroyed = notify;
        Ok(None)
    }

    fn request_no_senders(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        let port = match self.receive_right_for_request(task, name) {
            Ok(port) => port,
            Err(code) => return Err((code, notify)),
        };
        let state = &mut self.ports[port];
        let previous = state.no_senders.take();
        let count = state.make_send_count;
        match notify {
            Some(notify) if state.send_rights == 0 && sync <= count => self.notify_no_senders(m, notify, count),
            notify => state.no_senders = notify,
        }
        Ok(previous)
    }

    fn receive_right_for_request(&mut self, task: TaskId, name: PortName) -> Result<PortId, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        self.named_receive_right(task, name)
    }

    /// The requests of which a name has one, of either kind.
    fn request_by_name(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        kind: RequestKind,
        sync: u32,
        notify: Option<SendOnceRight>,
    ) -> Result<Option<SendOnceRight>, Refused> {
        if !name.is_valid() {
            return Err((KERN_INVALID_ARGUMENT, notify));
        }
        let Some(entry) = self.entry(task, name) else { return Err((KERN_INVALID_NAME, notify)) };
        let Some(notify) = notify else {
            return Ok(self.cancel_request(task, name).map(|request| request.notify));
        };
        match entry.holding {
            Holding::PortSet { .. } => Err((KERN_INVALID_RIGHT, Some(notify))),
            Holding::DeadName { urefs } => {
                if kind == RequestKind::DeadName && sync == 0 {
                    return Err((KERN_INVALID_ARGUMENT, Some(notify)));
                }
                self.tasks[task].space.change(name, Holding::DeadName { urefs: add_urefs(urefs, 1) });
                self.notify(m, notify, Notification::DeadName(name));
                Ok(None)
            }
            holding => {
                let port = holding.port().expect("everything else is a right to a port");
                let once = matches!(holding, Holding::SendOnce { .. });
                let possible_now = once || self.is_kernel_port(port) || !self.ports[port].is_full();
                let previous = self.cancel_request(task, name);
                if kind == (RequestKind::SendPossible { armed: true }) && possible_now {
                    self.notify(m, notify, Notification::SendPossible(name));
                } else if let Err(notify) =
                    self.register_request(port, Request { notify, task, name, kind, link: Link::default() })
                {
                    self.restore_request(port, previous);
                    return Err((KERN_RESOURCE_SHORTAGE, Some(notify)));
                }
                Ok(previous.map(|request| request.notify))
            }
        }
    }

    /// Puts back a request that was to be replaced. Its slot is free, so this cannot fail for want of memory.
    fn restore_request(&mut self, port: PortId, request: Option<Request>) {
        let Some(request) = request else { return };
        let restored = self.register_request(port, request);
        assert!(restored.is_ok(), "the slot that was given up is still free");
    }
}
