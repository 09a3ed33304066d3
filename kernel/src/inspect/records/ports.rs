//! Records of ports and messages.

use super::window::Window;
use super::word;
use crate::ids::{KernelObject, MessageId, PortId};
use crate::ipc::message::Message;
use crate::ipc::port::{Home, Port, Role};
use crate::ipc::right::Carried;
use crate::kernel::Kernel;
use abi::KernReturn;
use abi::inspect::*;
use store::Id;
use voucher::importance::Source;

impl Kernel {
    pub(super) fn port_record(&self, id: PortId, port: &Port) -> PortRecord {
        let (home, pid, home_object) = self.home_of(port);
        let status = port.status();
        let boosts = port.boosts();
        let flags = [
            (boosts.accepts_donation(), PORT_DONATION),
            (boosts.is_temp_owner(), PORT_TEMPOWNER),
            (matches!(port.role(), Role::SpecialReply { .. }), PORT_SPECIAL_REPLY),
            (port.guard().guarded, PORT_GUARDED),
        ];
        PortRecord {
            port: id.to_bits(),
            home,
            pid,
            home_object,
            messages: status.mps_msgcount,
            limit: status.mps_qlimit,
            send_rights: port.send_rights(),
            send_once_rights: status.mps_sorights,
            boosts: word(boosts.count()),
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
            servicer: self.servicer_of(id).unwrap_or(0),
        }
    }

    /// Returns where the receive right of a port is: the kind of place, the task, and the object.
    fn home_of(&self, port: &Port) -> (u32, u32, u64) {
        match port.home() {
            Home::Space { space, name } => (home::TASK, self.ipc.pid_of(space).unwrap_or(0), name.0.into()),
            Home::Transit(to) => (home::TRANSIT, 0, to.to_bits()),
            Home::Limbo => (home::LIMBO, 0, 0),
            Home::Kernel(object) => (home::KERNEL, self.pid_behind(object), object.kind().into()),
            Home::Dead => (home::DEAD, 0, 0),
        }
    }

    /// Returns the pid of the task that a kernel object is, or that it belongs to; 0 for the host and for vouchers.
    fn pid_behind(&self, object: KernelObject) -> u32 {
        let task = match object {
            KernelObject::Task(task) | KernelObject::TaskName(task) => Some(task),
            KernelObject::Thread(thread) => self.sched.get(thread).map(|thread| thread.task()),
            KernelObject::Host | KernelObject::Voucher(_) => None,
        };
        task.and_then(|task| self.tasks.get(task)).map_or(0, |task| task.credentials.pid)
    }

    /// Lists the first messages in the queue of a port, or all messages of the kernel if `port` is 0.
    ///
    /// # Errors
    /// Those of the window.
    pub(super) fn list_messages(&self, window: &mut Window<'_>, port: ObjectNumber) -> Result<(), KernReturn> {
        let Some(port) = Id::from_bits(port).filter(|&port| self.ipc.port_table().contains(port)) else {
            return window.list(self.ipc.message_table(), |id, message| {
                (!message.is_spare()).then(|| self.message_record(id, message))
            });
        };
        let mut queue = self.ipc.queue_of(port);
        // The queue cannot be entered in its middle, so that a call lists its beginning only.
        window.list_places(QUEUE_LISTED, |_| queue.next().map(|id| self.message_record(id, self.ipc.message(id))))
    }

    fn message_record(&self, id: MessageId, message: &Message) -> MessageRecord {
        let port = match &message.destination {
            Carried::Right(right) => right.port().to_bits(),
            _ => 0,
        };
        let importance = self.ipc.importance();
        let link = self.ipc.link_of(id).and_then(|link| importance.link(link));
        let element = link.and_then(|link| link.source()).map(|source| match source {
            Source::Task(element) => element,
            Source::Inherit(inherit) => importance.inherit(inherit).expect("a link's inherit is alive").to(),
        });
        MessageRecord {
            message: id.to_bits(),
            port,
            id: message.header().msgh_id as u32,
            size: word(message.size),
            sender: message.sender.pid,
            flags: self.ipc.message_flags(id),
            qos: message.priority.to_pthread(),
            donor: element.map_or(0, |element| self.pid_of_element(element)),
            voucher: self.ipc.voucher_in(id).map_or(0, |voucher| voucher.to_bits()),
        }
    }
}
