//! Making and ending names: allocate, construct, destruct, deallocate, destroy (mach-ipc 2.2 to 2.4).

use super::valid;
use crate::ipc::names::Holding;
use crate::ipc::port::Home;
use crate::ipc::right::{SendOnceRight, SendRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::*;

impl Kernel {
    /// `mach_port_allocate`: a receive right, a port set or a dead name under a new name.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for other kinds, `KERN_NO_SPACE`, `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
    pub(crate) fn port_allocate(&mut self, task: TaskId, right: u32) -> Result<PortName, KernReturn> {
        check_allocatable(right)?;
        self.make_room_for_name(task)?;
        let holding = self.new_holding(task, right)?;
        let name = self.tasks[task].space.add(holding).expect("no send right is registered");
        self.house(holding, task, name);
        Ok(name)
    }

    /// `mach_port_allocate_name`: the same under a chosen name.
    ///
    /// # Errors
    /// Those of [`port_allocate`](Kernel::port_allocate), and for the name `KERN_INVALID_VALUE`, `KERN_NO_SPACE`,
    /// `KERN_FAILURE`, `KERN_NAME_EXISTS` (mach-ipc 2.2).
    pub(crate) fn port_allocate_name(&mut self, task: TaskId, right: u32, name: PortName) -> Result<(), KernReturn> {
        check_allocatable(right)?;
        valid(name, KERN_INVALID_VALUE)?;
        if self.tasks[task].space.check_chosen(name)?.is_some() {
            return Err(KERN_NAME_EXISTS);
        }
        self.grow_space_to(task, name)?;
        let holding = self.new_holding(task, right)?;
        self.tasks[task].space.add_chosen(name, holding);
        self.house(holding, task, name);
        Ok(())
    }

    /// What a new name of this kind denotes. A port has no home yet.
    fn new_holding(&mut self, task: TaskId, right: u32) -> Result<Holding, KernReturn> {
        Ok(match right {
            MACH_PORT_RIGHT_RECEIVE => {
                let port = self.new_port(Home::Limbo, task).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                Holding::Receive { port, send_urefs: 0 }
            }
            MACH_PORT_RIGHT_PORT_SET => {
                Holding::PortSet { set: self.new_set(task).map_err(|_| KERN_RESOURCE_SHORTAGE)? }
            }
            _ => Holding::DeadName { urefs: 1 },
        })
    }

    fn house(&mut self, holding: Holding, task: TaskId, name: PortName) {
        if let Holding::Receive { port, .. } = holding {
            self.settle(port, task, name);
        }
    }

    /// `mach_port_construct`: a receive right with options.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT`, `KERN_DENIED` for options of other systems' services; `KERN_NO_SPACE`,
    /// `KERN_RESOURCE_SHORTAGE`; `KERN_INVALID_VALUE` for a queue limit out of range. Nothing has changed then.
    pub(crate) fn port_construct(
        &mut self,
        task: TaskId,
        options: &PortOptions,
        context: u64,
    ) -> Result<PortName, KernReturn> {
        let flags = ConstructFlags::from_bits_truncate(options.flags);
        check_exclusive_flags(flags)?;
        if flags.contains(ConstructFlags::QLIMIT) && options.mpl_qlimit > MACH_PORT_QLIMIT_MAX {
            // The order of the specification: without room for a name that is the error.
            self.make_room_for_name(task)?;
            return Err(KERN_INVALID_VALUE);
        }
        let name = self.port_allocate(task, MACH_PORT_RIGHT_RECEIVE)?;
        let port = self.named_receive_right(task, name).expect("it has just been allocated");
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
            self.join_send(task, name, right);
        }
        Ok(name)
    }

    /// `mach_port_destruct`: ends the receive right and so many references to the send right of a name.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, `KERN_INVALID_RIGHT`, `KERN_INVALID_VALUE`, `KERN_INVALID_ARGUMENT` in the order of
    /// mach-ipc 2.3, `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
    pub(crate) fn port_destruct(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        send_delta: i32,
        guard: u64,
    ) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_NAME)?;
        let Holding::Receive { port, send_urefs } = self.named(task, name)?.holding else {
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
        self.tasks[task].space.reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.change_send_references(m, task, name, send_delta).expect("the delta was checked");
        self.end_receive_right(m, task, name, None);
        Ok(())
    }

    /// `mach_port_deallocate`: one reference less.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, or `KERN_INVALID_RIGHT` for a receive right alone.
    pub(crate) fn port_deallocate(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
    ) -> Result<(), KernReturn> {
        if !name.is_valid() {
            return Ok(());
        }
        match self.named(task, name)?.holding {
            Holding::Send { .. } | Holding::Receive { send_urefs: 1.., .. } => {
                self.change_send_references(m, task, name, -1)?;
            }
            Holding::Receive { .. } => return Err(KERN_INVALID_RIGHT),
            Holding::SendOnce { .. } | Holding::PortSet { .. } => self.destroy_name(m, task, name),
            Holding::DeadName { .. } => self.release_dead_name(task, name, 1),
        }
        Ok(())
    }

    /// `mach_port_destroy`: the whole name, whatever its references.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, or `KERN_INVALID_RIGHT` for a guarded port.
    pub(crate) fn port_destroy(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) -> Result<(), KernReturn> {
        if !name.is_valid() {
            return Ok(());
        }
        if let Holding::Receive { port, .. } = self.named(task, name)?.holding {
            let state = &self.ports[port];
            if state.guard.guarded && state.context != 0 {
                return Err(KERN_INVALID_RIGHT);
            }
        }
        self.destroy_name(m, task, name);
        Ok(())
    }

    /// Ends everything a name denotes and frees it. Guards do not protect against this.
    pub(crate) fn destroy_name(&mut self, m: &mut dyn Machine, task: TaskId, name: PortName) {
        let Some(entry) = self.entry(task, name) else { panic!("{name:?} is destroyed but does not exist") };
        match entry.holding {
            Holding::Send { port, .. } => {
                let request = self.cancel_request(task, name);
                self.tasks[task].space.remove(name);
                self.destroy_send(m, SendRight::taken_from_name(port));
                self.notify_port_deleted(m, request, name);
            }
            Holding::SendOnce { port } => {
                let request = self.cancel_request(task, name);
                self.tasks[task].space.remove(name);
                self.destroy_send_once(m, SendOnceRight::taken_from_name(port));
                self.notify_port_deleted(m, request, name);
            }
            Holding::Receive { port, send_urefs } => {
                let mut no_senders = None;
                if send_urefs > 0 {
                    self.tasks[task].space.change(name, Holding::Receive { port, send_urefs: 0 });
                    no_senders = self.count_down_send(SendRight::taken_from_name(port));
                }
                self.end_receive_right(m, task, name, no_senders);
            }
            Holding::PortSet { set } => {
                self.tasks[task].space.remove(name);
                self.destroy_set(set);
            }
            Holding::DeadName { .. } => self.tasks[task].space.remove(name),
        }
    }

    /// Ends the receive right of a name. A send right in it stays, and is dead if the port is. There is room to register
    /// it. `no_senders` is told only when the port is dead (mach-ipc 2.4), like a request of a name that goes.
    pub(super) fn end_receive_right(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        no_senders: Option<(SendOnceRight, u32)>,
    ) {
        let entry = self.tasks[task].space.get_mut(name).expect("the name was looked up");
        let name_ends = matches!(entry.holding, Holding::Receive { send_urefs: 0, .. });
        // The request stays on the port, where it is ended below.
        let request = if name_ends { entry.request.take() } else { None };
        let right = self.move_receive(m, task, name);
        let port = right.port();
        self.destroy_receive(m, right);
        if let Some((notify, count)) = no_senders {
            self.notify_no_senders_after_death(m, port, notify, count);
        }
        if let Some(request) = request {
            self.end_detached_request(m, port, request);
        }
    }

    /// Tells who had made a request by a name that is gone.
    pub(super) fn notify_port_deleted(
        &mut self,
        m: &mut dyn Machine,
        request: Option<crate::ipc::request::Request>,
        name: PortName,
    ) {
        if let Some(request) = request {
            self.notify(m, request.notify, crate::ipc::notify::Notification::PortDeleted(name));
        }
    }

    /// Grows a table until a chosen name has a place in it, unless that is more than the budget allows.
    pub(super) fn grow_space_to(&mut self, task: TaskId, name: PortName) -> Result<(), KernReturn> {
        let cost = self.tasks[task].space.cost_of_reaching(name.index());
        self.charge(task, cost).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.refund(task, cost);
        while name.index() >= self.tasks[task].space.capacity() {
            self.grow_space(task)?;
        }
        Ok(())
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
