//! Growing the kernel's tables for the task of a name service once, at the beginning.

use super::registry::Registry;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use abi::message::MACH_NOTIFY_PORT_DESTROYED;
use abi::port::*;
use abi::task::PAGE_SIZE;

/// More names than a full name service has.
const NAMES: usize = 512;
/// More send rights than a full one has.
const SEND_RIGHTS: usize = 192;
/// More regions of memory than its task ever has.
const REGIONS: u64 = 32;
/// An address at which nothing is.
const AT: u64 = 0x5000_0000_0000;

impl Registry {
    /// Makes the kernel's tables of names, send rights and regions of this task as large as programs can make them. In a
    /// living task they stay as large as they have been; so who measures the kernel's memory before and after a program
    /// does this first.
    ///
    /// # Panics
    /// If there is no room.
    pub fn grow_tables(&self) {
        let names = [(); NAMES].map(|()| port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room for a name"));
        names.into_iter().for_each(|name| port::deallocate(name).expect("the name is there"));
        grow_send_rights();
        // With a gap between each two.
        let places = (0..REGIONS).map(|number| AT + 2 * number * PAGE_SIZE);
        for at in places.clone() {
            task::allocate_at(at, PAGE_SIZE, 0).expect("there is memory");
        }
        places.for_each(|at| task::deallocate(at, PAGE_SIZE).expect("the memory is there"));
        self.return_port();
    }

    /// Lets a receive right return for the first time. The port to which it returns keeps the message that was set aside
    /// for its notification: the notification carries a right, and is a message of its own.
    fn return_port(&self) {
        let port = Port::new();
        let (id, once) = (MACH_NOTIFY_PORT_DESTROYED, Disposition::MAKE_SEND_ONCE);
        port::request_notification(port.name(), id, 0, self.returns(), once).expect("the port is new");
        drop(port);
        Message::receive(self.returns()).expect("the right returns").destroy();
    }
}

/// Holds many send rights to ports that are on their way.
fn grow_send_rights() {
    let carrier = port_with_send();
    port::set_queue_limit(carrier.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    let names = [(); SEND_RIGHTS].map(|()| {
        let name = port_with_send().into_name();
        let mut message = Message::copy_send(carrier.name()).port(name, Disposition::MOVE_RECEIVE);
        message.send_within(0).map(|()| name).expect("there is room for a message")
    });
    drop(carrier);
    names.into_iter().for_each(|name| port::deallocate(name).expect("the name is there"));
}
