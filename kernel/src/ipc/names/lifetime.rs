//! Making and ending names: allocate, construct, destruct, deallocate, destroy (mach-ipc 2.2 to 2.4).

use super::valid;
use crate::ids::{PortId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::kernel_message::Notification;
use crate::ipc::right::{SendOnceRight, SendRight};
use crate::ipc::space::EntryRight;
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::*;

impl Ipc {
    /// `mach_port_allocate`: a receive right, a port set or a dead name under a new name.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for other kinds, `KERN_NO_SPACE`, `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
    pub fn port_allocate(&mut self, step: &mut Step, space: SpaceId, right: u32) -> Result<PortName, KernReturn> {
        check_allocatable(right)?;
        self.make_room_for_name(space)?;
        let entry = self.new_entry(step, space, right)?;
        let name = self.spaces[space].add(entry).expect("no send right is registered");
        self.attach_new(entry, space, name);
        Ok(name)
    }

    /// `mach_port_allocate_name`: the same under a chosen name.
    ///
    /// # Errors
    /// Those of [`port_allocate`](Ipc::port_allocate), and for the name `KERN_INVALID_VALUE`, `KERN_NO_SPACE`,
    /// `KERN_FAILURE`, `KERN_NAME_EXISTS` (mach-ipc 2.2).
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

    /// Makes what a new name of this kind denotes. A port is not in the space yet.
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

    /// `mach_port_construct`: a receive right with options.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT`, `KERN_DENIED` for options of other systems' services; `KERN_NO_SPACE`,
    /// `KERN_RESOURCE_SHORTAGE`; `KERN_INVALID_VALUE` for a queue limit out of range. Nothing has changed then.
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
            // The order of the specification: without room for a name that is the error.
            self.make_room_for_name(space)?;
            return Err(KERN_INVALID_VALUE);
        }
        let name = self.port_allocate(step, space, MACH_PORT_RIGHT_RECEIVE)?;
        let port = self.named_receive_right(space, name).expect("it has just been allocated");
        let state = &mut self.ports[port];
        state.context = context;
        state.guard.guarded = flags.contains(ConstructFlags::CONTEXT_AS_GUARD);
        state.guard.strict = state.guard.guarded && flags.contains(ConstructFlags::STRICT);
        state.guard.immovable = state.guard.guarded && flags.contains(ConstructFlags::IMMOVABLE_RECEIVE);
        if flags.contains(ConstructFlags::QLIMIT) {
            state.qlimit = options.mpl_qlimit;
        }
        if flags.contains(ConstructFlags::TEMPOWNER) {
            state.accept_donation(true);
        }
        if flags.intersects(ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::DENAP_RECEIVER) {
            state.accept_donation(false);
        }
        if flags.contains(ConstructFlags::INSERT_SEND_RIGHT) {
            let right = self.make_send(port);
            self.join_send(space, name, right);
        }
        Ok(name)
    }

    /// `mach_port_destruct`: ends the receive right and so many references to the send right of a name.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, `KERN_INVALID_RIGHT`, `KERN_INVALID_VALUE`, `KERN_INVALID_ARGUMENT` in the order of
    /// mach-ipc 2.3, `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
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

    /// `mach_port_deallocate`: one reference less.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, or `KERN_INVALID_RIGHT` for a receive right alone.
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

    /// `mach_port_destroy`: the whole name, whatever its references.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, or `KERN_INVALID_RIGHT` for a guarded port.
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

    /// Ends everything a name denotes and frees it. Guards do not protect against this.
    pub(crate) fn destroy_name(&mut self, sched: &mut Scheduling, step: &mut Step, space: SpaceId, name: PortName) {
        let Some(entry) = self.lookup(space, name) else { panic!("{name:?} is destroyed but does not exist") };
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
                self.destroy_set(step, set);
            }
            EntryRight::DeadName { .. } => self.spaces[space].remove(name),
        }
    }

    /// Leaves the no-senders request of a port to the port, which is about to die together with its last send right: the
    /// notification then follows those of the port's messages (errata 4).
    fn leave_no_senders_to_port(&mut self, port: PortId, request: Option<(SendOnceRight, u32)>) {
        if let Some((notify, count)) = request {
            let dying = &mut self.ports[port];
            dying.no_senders = Some(notify);
            dying.no_senders_count = Some(count);
        }
    }

    /// Ends the receive right of a name. A send right in it stays, and is dead if the port is. There is room to register
    /// it.
    pub(super) fn end_receive_right(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
    ) {
        let entry = self.spaces[space].get(name).expect("the caller found the name");
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

/// Options that belong to services Tally does not have (mach-ipc 2.3).
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
