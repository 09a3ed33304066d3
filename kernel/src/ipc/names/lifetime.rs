//! Allocation and destruction of names: allocate, construct, destruct, deallocate, destroy (mach-ipc 2.2 to 2.4).

use super::valid;
use crate::ids::{PortId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::entry::EntryRight;
use crate::ipc::kernel_message::Notification;
use crate::ipc::right::{SendOnceRight, SendRight};
use crate::sched::Scheduling;
use crate::step::Step;
use crate::trace::Event;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::event::kind;
use abi::port::*;

impl Ipc {
    /// `mach_port_allocate`: makes a port, a port set or a dead name, as `right` says, and returns a new name for it.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for other kinds; `KERN_NO_SPACE` if the space is full; `KERN_RESOURCE_SHORTAGE` if memory
    /// or the budget is used up. Nothing has changed then.
    pub fn port_allocate(&mut self, step: &mut Step, space: SpaceId, right: u32) -> Result<PortName, KernReturn> {
        check_allocatable(right)?;
        self.make_room_for_name(space)?;
        let entry = self.new_entry(step, space, right)?;
        let name = self.spaces[space].add(entry).expect("only send rights are indexed");
        self.attach_new(entry, space, name);
        Ok(name)
    }

    /// `mach_port_allocate_name`: makes a port, a port set or a dead name, as `right` says, under a chosen name.
    ///
    /// # Errors
    /// Those of [`port_allocate`](Ipc::port_allocate) and of
    /// [`check_chosen`](super::super::space::Space::check_chosen); `KERN_INVALID_VALUE` for `MACH_PORT_NULL` and
    /// `MACH_PORT_DEAD`; `KERN_NAME_EXISTS` if the name is in use (mach-ipc 2.2).
    pub fn port_allocate_name(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        right: u32,
        name: PortName,
    ) -> Result<(), KernReturn> {
        check_allocatable(right)?;
        valid(name, KERN_INVALID_VALUE)?;
        if self.spaces[space].check_chosen(name)?.is_some() {
            return Err(KERN_NAME_EXISTS);
        }
        self.grow_space_to(space, name)?;
        let entry = self.new_entry(step, space, right)?;
        self.spaces[space].add_chosen(name, entry);
        self.attach_new(entry, space, name);
        Ok(())
    }

    /// Makes the object for a new name. The receive right of a port is still in limbo.
    fn new_entry(&mut self, step: &mut Step, space: SpaceId, right: u32) -> Result<EntryRight, KernReturn> {
        let budget = self.spaces[space].budget();
        Ok(match right {
            MACH_PORT_RIGHT_RECEIVE => {
                let port = self.new_port(step, budget).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                EntryRight::Receive { port, send_urefs: 0 }
            }
            MACH_PORT_RIGHT_PORT_SET => {
                EntryRight::PortSet { set: self.new_set(step, budget).map_err(|_| KERN_RESOURCE_SHORTAGE)? }
            }
            _ => EntryRight::DeadName { urefs: 1 },
        })
    }

    fn attach_new(&mut self, entry: EntryRight, space: SpaceId, name: PortName) {
        if let EntryRight::Receive { port, .. } = entry {
            self.attach(port, space, name);
        }
    }

    /// `mach_port_construct`: makes a port with these options and this context, and returns a new name for its receive
    /// right.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` or `KERN_DENIED` for options of services that Tally does not have; `KERN_NO_SPACE` if
    /// the space is full; `KERN_RESOURCE_SHORTAGE` if memory or the budget is used up; `KERN_INVALID_VALUE` for a queue
    /// limit out of range. Nothing has changed then.
    pub fn port_construct(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        options: &PortOptions,
        context: u64,
    ) -> Result<PortName, KernReturn> {
        let flags = ConstructFlags::from_bits_truncate(options.flags);
        check_exclusive_flags(flags)?;
        if flags.contains(ConstructFlags::QLIMIT) && options.mpl_qlimit > MACH_PORT_QLIMIT_MAX {
            // In the order of the specification, an error of the new name comes before this one.
            self.make_room_for_name(space)?;
            return Err(KERN_INVALID_VALUE);
        }
        let name = self.port_allocate(step, space, MACH_PORT_RIGHT_RECEIVE)?;
        let port = self.named_receive_right(space, name).expect("the port has just been allocated");
        let state = &mut self.ports[port];
        state.context = context;
        state.guard.guarded = flags.contains(ConstructFlags::CONTEXT_AS_GUARD);
        state.guard.strict = state.guard.guarded && flags.contains(ConstructFlags::STRICT);
        state.guard.immovable = state.guard.guarded && flags.contains(ConstructFlags::IMMOVABLE_RECEIVE);
        if flags.contains(ConstructFlags::QLIMIT) {
            state.set_queue_limit(options.mpl_qlimit, self.limits.strict_reply);
        }
        if flags.contains(ConstructFlags::TEMPOWNER) {
            self.set_temp_owner(port);
        }
        if flags.intersects(ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::DENAP_RECEIVER) {
            self.accept_donation(port);
        }
        if flags.contains(ConstructFlags::INSERT_SEND_RIGHT) {
            let right = self.make_send(port);
            self.join_send(space, name, right);
        }
        Ok(name)
    }

    /// `mach_port_destruct`: ends the receive right of a name and adds `send_delta` to the user references of its send
    /// right.
    ///
    /// # Errors
    /// In the order of mach-ipc 2.3: `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_RIGHT` if it has no
    /// receive right, or `send_delta` is not 0 and it has no send right; `KERN_INVALID_VALUE` if `send_delta` is
    /// positive; `KERN_INVALID_ARGUMENT` if the port is guarded and `guard` is not the guard; `KERN_INVALID_VALUE` if
    /// there are fewer references; `KERN_RESOURCE_SHORTAGE` if memory runs out for the send right that stays. Nothing
    /// has changed then.
    pub fn port_destruct(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        send_delta: i32,
        guard: u64,
    ) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_NAME)?;
        let EntryRight::Receive { port, send_urefs } = self.named(space, name)?.right else {
            return Err(KERN_INVALID_RIGHT);
        };
        if send_delta != 0 && send_urefs == 0 {
            return Err(KERN_INVALID_RIGHT);
        }
        if send_delta > 0 {
            return Err(KERN_INVALID_VALUE);
        }
        let state = &self.ports[port];
        if state.guard.guarded && state.context != guard {
            return Err(KERN_INVALID_ARGUMENT);
        }
        if send_delta.unsigned_abs() > u32::from(send_urefs) {
            return Err(KERN_INVALID_VALUE);
        }
        self.spaces[space].reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.change_send_references(sched, step, space, name, send_delta).expect("the delta was checked");
        self.end_receive_right(sched, step, space, name);
        Ok(())
    }

    /// `mach_port_deallocate`: takes one user reference of a send right, send-once right, port set or dead name.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_RIGHT` if it denotes a receive right alone.
    /// Nothing has changed then.
    pub fn port_deallocate(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
    ) -> Result<(), KernReturn> {
        if !name.is_valid() {
            return Ok(());
        }
        match self.named(space, name)?.right {
            EntryRight::Send { .. } | EntryRight::Receive { send_urefs: 1.., .. } => {
                self.change_send_references(sched, step, space, name, -1)?;
            }
            EntryRight::Receive { .. } => return Err(KERN_INVALID_RIGHT),
            EntryRight::SendOnce { .. } | EntryRight::PortSet { .. } => self.destroy_name(sched, step, space, name),
            EntryRight::DeadName { .. } => self.release_dead_name(space, name, 1),
        }
        Ok(())
    }

    /// `mach_port_destroy`: ends all rights that a name denotes and frees it, whatever its user references.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_RIGHT` if it denotes the receive right of a port
    /// with a guard other than 0. Nothing has changed then.
    pub fn port_destroy(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
    ) -> Result<(), KernReturn> {
        if !name.is_valid() {
            return Ok(());
        }
        if let EntryRight::Receive { port, .. } = self.named(space, name)?.right {
            let state = &self.ports[port];
            if state.guard.guarded && state.context != 0 {
                return Err(KERN_INVALID_RIGHT);
            }
        }
        self.destroy_name(sched, step, space, name);
        Ok(())
    }

    /// Records that the rights end that a name denotes.
    #[cold]
    fn record_end(&self, step: &mut Step, space: SpaceId, name: PortName, right: EntryRight) {
        let (right, port) = match right {
            EntryRight::Receive { port, .. } => (MACH_PORT_RIGHT_RECEIVE, port),
            EntryRight::SendOnce { port } => (MACH_PORT_RIGHT_SEND_ONCE, port),
            EntryRight::Send { port, .. } => (MACH_PORT_RIGHT_SEND, port),
            _ => return,
        };
        step.trace.record(|| Event::right(kind::RIGHT_DEAD, port, self.pid_of(space), name, right));
    }

    /// Ends all rights that a name denotes and frees it, whether its port is guarded or not.
    pub(crate) fn destroy_name(&mut self, sched: &mut Scheduling, step: &mut Step, space: SpaceId, name: PortName) {
        let Some(entry) = self.lookup(space, name) else { panic!("{name:?} does not exist") };
        if step.trace.is_on() {
            self.record_end(step, space, name, entry.right);
        }
        match entry.right {
            EntryRight::Send { port, .. } => {
                let request = self.cancel_request(space, name);
                self.spaces[space].remove(name);
                self.destroy_send(step, SendRight::counted(port));
                self.notify_port_deleted(step, request, name);
            }
            EntryRight::SendOnce { port } => {
                let request = self.cancel_request(space, name);
                self.spaces[space].remove(name);
                self.destroy_send_once(step, SendOnceRight::counted(port));
                self.notify_port_deleted(step, request, name);
            }
            EntryRight::Receive { port, send_urefs } => {
                let mut no_senders = None;
                if send_urefs > 0 {
                    self.spaces[space].change(name, EntryRight::Receive { port, send_urefs: 0 });
                    no_senders = self.count_down_send(SendRight::counted(port));
                }
                if self.ports[port].port_destroyed.is_none() {
                    self.leave_no_senders_to_port(port, no_senders.take());
                }
                self.end_receive_right(sched, step, space, name);
                if let Some((notify, count)) = no_senders {
                    self.notify(step, notify, Notification::NoSenders(count));
                }
            }
            EntryRight::PortSet { set } => {
                self.spaces[space].remove(name);
                self.destroy_set(sched, step, set);
            }
            EntryRight::DeadName { .. } => self.spaces[space].remove(name),
        }
    }

    /// Puts the no-senders request back into a port that is about to die together with its last send right. The
    /// notification then follows those about rights in the port's messages (errata 4).
    fn leave_no_senders_to_port(&mut self, port: PortId, request: Option<(SendOnceRight, u32)>) {
        if let Some((notify, count)) = request {
            let dying = &mut self.ports[port];
            dying.no_senders = Some(notify);
            dying.no_senders_count = Some(count);
        }
    }

    /// Ends the receive right of a name. A send right of the name stays, and a place for it in the index of send rights
    /// is [reserved](super::super::space::Space::reserve_send_name).
    pub(super) fn end_receive_right(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
    ) {
        let entry = self.spaces[space].get(name).expect("the caller has looked the name up");
        let EntryRight::Receive { port, send_urefs } = entry.right else { panic!("{name:?} has no receive right") };
        let mut request = None;
        if send_urefs == 0 && self.ports[port].port_destroyed.is_none() {
            self.leave_request_to_port(space, name);
        } else if send_urefs == 0 {
            request = self.cancel_request(space, name);
        }
        let right = self.move_receive(sched, step, space, name);
        self.destroy_receive(step, right);
        self.notify_port_deleted(step, request, name);
    }
}

fn check_allocatable(right: u32) -> Result<(), KernReturn> {
    match right {
        MACH_PORT_RIGHT_RECEIVE | MACH_PORT_RIGHT_PORT_SET | MACH_PORT_RIGHT_DEAD_NAME => Ok(()),
        _ => Err(KERN_INVALID_VALUE),
    }
}

/// Refuses options of services that Tally does not have (mach-ipc 2.3).
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` or `KERN_DENIED`, by the option.
fn check_exclusive_flags(flags: ConstructFlags) -> Result<(), KernReturn> {
    let services =
        flags & (ConstructFlags::TG_BLOCK_TRACKING | ConstructFlags::SERVICE_PORT | ConstructFlags::CONNECTION_PORT);
    match services.iter().count() {
        0 => Ok(()),
        1 if services == ConstructFlags::CONNECTION_PORT => Err(KERN_INVALID_ARGUMENT),
        1 => Err(KERN_DENIED),
        _ => Err(KERN_INVALID_ARGUMENT),
    }
}
