//! The beginning and end of tasks and threads.
//!
//! A task ends in this order (errata 4): its control port no longer refers to it, and its threads end; then go its
//! receive rights, what is left of its budget, all other names, its own ports and its bootstrap port, and its memory;
//! last the exit message is sent. All but the first is deferred work.

use crate::credentials::{Credentials, Identity};
use crate::heap::footprint_of_single;
use crate::ids::{CoalitionId, KernelObject, PortId, TaskId, ThreadId};
use crate::ipc::Ipc;
use crate::ipc::budget::Source;
use crate::ipc::entry::EntryRight;
use crate::ipc::port::PORT_COST;
use crate::ipc::right::Carried;
use crate::ipc::space::Space;
use crate::ipc::waiters::Look;
use crate::kernel::Kernel;
use crate::limits::{REAP_SLICE, THREAD_PIECES, THREADS_PER_TASK_MAX};
use crate::machine::{Machine, NoMemory};
use crate::policy::{Marks, TaskPolicy, ThreadPolicy};
use crate::sched::coalition::COALITION_COST;
use crate::sched::run_time::Used;
use crate::sched::thread::{SendWait, Thread, Wait};
use crate::sched::{Belongings, ThreadList};
use crate::step::{Progress, WORK_COST, Work};
use crate::task::regions::{REGION_COST, REGIONS_AT_FIRST, Regions};
use crate::task::start::Start;
use crate::task::{Ending, Stage, Task, frames};
use crate::trace::Event;
use crate::trap_frame::TrapFrame;
use abi::event::kind;
use abi::port::PortName;
use abi::task::{EXIT_MESSAGE_ID, ExitStatus};
use alloc::vec::Vec;
use heapless::String;
use voucher::importance::TaskElement;
use voucher::managers::bank::BankElement;

/// The number of entries of an ended task's space that one piece of work may look at to find a name.
const FREE_ENTRIES_PIECE: u32 = 64;

/// The cost of a thread on the budget of its task, in bytes, with the port that it may have.
pub(crate) const THREAD_COST: usize = footprint_of_single::<Thread>() + PORT_COST;

/// The cost of a task on its budget, in bytes: its records here, in importance and in the bank, and its two ports.
pub(crate) const TASK_COST: usize = footprint_of_single::<Task>()
    + footprint_of_single::<Space>()
    + footprint_of_single::<TaskElement>()
    + footprint_of_single::<BankElement>()
    + Work::PER_OBJECT * WORK_COST
    + 2 * PORT_COST
    + REGIONS_AT_FIRST * REGION_COST;

/// The places on the work list for a task and its control port.
const WORK_PER_TASK: usize = Work::PER_OBJECT + Work::PER_PORT;

/// The identity and policy of a task to be created.
#[derive(Debug)]
pub struct NewTask {
    /// See [`Task::name`].
    pub name: String<32>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// See [`Task::identity`].
    pub identity: Identity,
    /// See [`Task::policy`].
    pub policy: TaskPolicy,
    /// Whether it gives and takes importance.
    pub marks: Marks,
    /// Its coalition; it begins one if there is none.
    pub coalition: Option<CoalitionId>,
    /// Where its budget comes from.
    pub budget: Source,
    /// Where its page frames come from.
    pub frames: frames::Source,
    /// The page frames that it starts with.
    pub start_frames: u64,
}

impl Kernel {
    /// Creates a task without threads, names or memory, and gives it a pid.
    ///
    /// # Errors
    /// [`NoMemory`] if memory or the parent's budget is used up, there are too many tasks, or all pids are used up;
    /// nothing has changed.
    pub(crate) fn create_task(&mut self, machine: &mut dyn Machine, new: NewTask) -> Result<TaskId, NoMemory> {
        let seed = self.next_seed();
        let Kernel { tasks, ipc, sched, step, vouchers, .. } = self;
        tasks.make_room()?;
        ipc.make_room_for_task()?;
        let coalition_cost = match new.coalition {
            Some(_) => 0,
            None => sched.reserve_coalition().map(|()| COALITION_COST)?,
        };
        let cost = TASK_COST + coalition_cost;
        let credentials = Credentials { uid: new.uid, gid: new.gid, pid: tasks.next_pid() };
        let frames = tasks.frames_for(new.frames, new.start_frames)?;
        let budget = ipc.open_budget(new.budget, cost + THREAD_COST)?;
        let charged = ipc.charge(budget, cost).inspect_err(|_| ipc.close_budget(budget));
        let undo_charge = |ipc: &mut Ipc| {
            ipc.close_budget(budget);
            ipc.refund(budget, cost);
        };
        let bank =
            charged.and_then(|()| vouchers.begin_task(credentials, new.identity).inspect_err(|_| undo_charge(ipc)))?;
        let free_before = machine.free_frames();
        let mut reserve = || {
            step.reserve_work(WORK_PER_TASK)?;
            step.reserve_policy_change()
                .and_then(|()| machine.create_address_space().inspect_err(|_| step.release_policy_change()))
                .inspect_err(|_| step.release_work(WORK_PER_TASK))
        };
        let address_space = reserve().inspect_err(|_| {
            vouchers.end_task(bank);
            undo_charge(ipc);
        })?;
        // From here on nothing fails.
        step.trace.record(|| Event::task_begun(credentials.pid, new.identity.parent, &new.name));
        let coalition = new.coalition.unwrap_or_else(|| sched.begin_coalition(budget));
        sched.join_coalition(coalition);
        let space = ipc.insert_space(budget, seed);
        let frames = tasks.take_frames(frames, free_before - machine.free_frames());
        Ok(tasks.insert(|task, pid| {
            ipc.begin_importance(space, (task, pid), new.marks, new.policy.live_policy());
            Task {
                name: new.name,
                credentials,
                identity: new.identity,
                space,
                coalition,
                regions: Regions::default(),
                frames,
                address_space,
                threads: ThreadList::default(),
                policy: new.policy,
                policy_noted: false,
                control_port: ipc.insert_task_port(KernelObject::Task(task)),
                name_port: None,
                bootstrap: Carried::Null,
                debug_port: Carried::Null,
                bank: Some(bank),
                ended_threads: Used::default(),
                exit_port: None,
                start: Vec::new(),
                ended: None,
            }
        }))
    }

    /// Creates a suspended thread in a live task.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out, the task's budget is used up or the task has too many threads; nothing has
    /// changed.
    pub(crate) fn create_thread(
        &mut self,
        task: TaskId,
        frame: TrapFrame,
        policy: ThreadPolicy,
    ) -> Result<ThreadId, NoMemory> {
        let Kernel { tasks, ipc, sched, step, .. } = self;
        let Task { space, address_space, coalition, policy: ref task_policy, ref mut threads, credentials, .. } =
            tasks[task];
        if threads.len() >= THREADS_PER_TASK_MAX {
            return Err(NoMemory);
        }
        let effective = policy.effective(&task_policy.effective());
        let belongings = Belongings { task, space, address_space, coalition };
        let made = ipc.charged(ipc.space(space).budget(), THREAD_COST, |_| {
            sched.create(step, threads, belongings, frame, policy, (effective.base_priority, effective.power()))
        })?;
        let number = sched[made].number();
        step.trace.record(|| Event::new(kind::THREAD_BEGUN, [number, credentials.pid.into()]));
        Ok(made)
    }

    /// Returns the control port of a thread. The first call for a thread makes the port.
    ///
    /// # Errors
    /// [`NoMemory`] if the port cannot be made; nothing has changed.
    pub(crate) fn thread_control_port(&mut self, thread: ThreadId) -> Result<PortId, NoMemory> {
        if let Some(port) = self.sched[thread].control_port() {
            return Ok(port);
        }
        let made = self.ipc.new_kernel_port(&mut self.step, KernelObject::Thread(thread))?;
        self.sched[thread].set_control_port(made);
        Ok(made)
    }

    /// Terminates a thread: at once, or, if it is running, when its processor leaves the kernel. Until then the step
    /// may still use it.
    pub(crate) fn terminate_thread(&mut self, thread: ThreadId) {
        if !self.sched.end_when_leaving(&mut self.step, thread) {
            self.end_thread(thread);
        }
    }

    /// Ends a thread at once. Its wait is given up, a message that it was going to send or that was on its way back to
    /// it is destroyed (mach-ipc 6.6), its voucher is released, and the work that its trap left becomes background work.
    /// A task ends with its last thread, and one that the thread was starting ends before it begins.
    pub(crate) fn end_thread(&mut self, thread: ThreadId) {
        let Kernel { ipc, sched, step, .. } = self;
        ipc.end_thread(sched, step, thread);
        let sent = match sched[thread].wait() {
            Some(&Wait::Send(SendWait { message, .. })) => Some(message),
            _ => sched[thread].given_back(),
        };
        let queue = ipc.wait_queue(sched[thread].wait_place());
        sched.leave_wait(thread, queue);
        if let Some(message) = sent {
            ipc.destroy_message(step, message);
        }
        self.settle_thread(thread);
        let Kernel { tasks, ipc, sched, step, .. } = self;
        let (task, number) = (sched[thread].task(), sched[thread].number());
        let child = sched[thread].starts();
        let pid = tasks[task].credentials.pid;
        step.trace.record(|| Event::new(kind::THREAD_ENDED, [number, pid.into()]));
        let control_port = sched.remove(step, &mut tasks[task].threads, thread);
        ipc.refund(ipc.space(tasks[task].space).budget(), THREAD_COST);
        if let Some(port) = control_port {
            ipc.destroy_port(step, port);
        }
        if tasks[task].threads.is_empty() {
            self.end_task(task, ExitStatus::exited(0));
        }
        if let Some(child) = child.filter(|&child| self.tasks.contains(child)) {
            self.end_task(child, ExitStatus::TERMINATED);
            // Another task may have given it many names, which have been looked at. Nothing else fits the slice.
            self.step.spend(REAP_SLICE);
        }
    }

    /// Ends a task, unless it has ended already. Its control port no longer refers to it and its threads do not run any
    /// more; everything is taken apart piece by piece.
    pub(crate) fn end_task(&mut self, task: TaskId, status: ExitStatus) {
        let ending = &mut self.tasks[task];
        if !ending.is_live() {
            return;
        }
        ending.ended = Some(Ending { status, stage: Stage::Threads });
        self.ipc.begin_termination(ending.space);
        let mut look = Look::new();
        ending.exit_port.iter().for_each(|to| self.ipc.look_at_receiver(&self.sched, to.port(), &mut look));
        self.ipc.look_at_names(&self.sched, ending.space, &mut look);
        self.step.urge(look.most_urgent());
        let mut next = self.tasks[task].threads.front();
        while let Some(thread) = next {
            next = self.sched.next_sibling(&self.tasks[task].threads, thread);
            self.sched.stop_for_ever(&mut self.step, thread);
        }
        self.step.later(Work::Task(task));
        let pid = self.tasks[task].credentials.pid;
        self.step.trace.record(|| Event::new(kind::TASK_ENDED, [pid.into(), status.0.into()]));
    }

    /// Takes an ended task apart by one piece: a thread, a name, its ports or some memory.
    pub(crate) fn take_apart_task(&mut self, machine: &mut dyn Machine, task: TaskId) -> Progress {
        let stage = self.tasks[task].ended.expect("a task that is taken apart has ended").stage;
        let next = match stage {
            Stage::Threads => match self.tasks[task].threads.front() {
                Some(thread) => {
                    self.end_thread(thread);
                    self.step.spend(THREAD_PIECES);
                    Stage::Threads
                }
                None => Stage::ReceiveRights(0),
            },
            Stage::ReceiveRights(index) => match self.next_name(task, index) {
                Some((name, next)) => {
                    name.into_iter().for_each(|name| self.end_receive_name(task, name));
                    Stage::ReceiveRights(next)
                }
                None => self.end_budget(task),
            },
            Stage::Budget => self.end_budget(task),
            Stage::Names(index) => match self.next_name(task, index) {
                Some((name, next)) => {
                    name.into_iter().for_each(|name| self.destroy_name(task, name));
                    Stage::Names(next)
                }
                None if self.ipc.take_apart_space(self.tasks[task].space) => Stage::Names(index),
                None => Stage::Ports,
            },
            Stage::Ports => {
                self.end_task_ports(task);
                Stage::Memory
            }
            Stage::Memory => {
                if !self.tasks.unmap_some(machine, task) {
                    self.forget_task(machine, task);
                    return Progress::Done;
                }
                self.step.spend(REAP_SLICE);
                Stage::Memory
            }
        };
        self.tasks[task].ended.as_mut().expect("a task that is taken apart has ended").stage = next;
        Progress::More
    }

    /// Moves the budget of one child to the parent's, or, if there is none left, closes the budget of a task and gives
    /// back the page frames that it does not use. Returns the part that is taken apart next.
    fn end_budget(&mut self, task: TaskId) -> Stage {
        let budget = self.ipc.space(self.tasks[task].space).budget();
        if self.ipc.move_child_budget(budget) {
            return Stage::Budget;
        }
        self.ipc.close_budget(budget);
        self.tasks.close_frames(task);
        Stage::Names(0)
    }

    /// Returns the first name from index `from` on, if there is one within [`FREE_ENTRIES_PIECE`] entries, and the
    /// index from which to look next. Returns `None` at the end of the table.
    fn next_name(&self, task: TaskId, from: u32) -> Option<(Option<PortName>, u32)> {
        self.ipc.next_name(self.tasks[task].space, from, from + FREE_ENTRIES_PIECE)
    }

    /// Destroys a name if it has a receive right: these go before all other names (mach-ipc 6.6 step 4).
    fn end_receive_name(&mut self, task: TaskId, name: PortName) {
        let entry = self.ipc.space(self.tasks[task].space).get(name).expect("the name has just been found");
        if matches!(entry.right, EntryRight::Receive { .. }) {
            self.destroy_name(task, name);
        }
    }

    fn destroy_name(&mut self, task: TaskId, name: PortName) {
        self.ipc.destroy_name(&mut self.sched, &mut self.step, self.tasks[task].space, name);
    }

    /// Ends a task as a giver and receiver of importance and in the bank, and destroys its own ports and its rights to
    /// the bootstrap port and the port for debuggers.
    fn end_task_ports(&mut self, task: TaskId) {
        if self.step.trace.is_on() {
            // Afterwards the task's pid is not known any more.
            self.record_boosts();
        }
        let Kernel { tasks, ipc, step, vouchers, .. } = self;
        let ending = &mut tasks[task];
        ipc.end_importance(ending.space);
        if let Some(bank) = ending.bank.take() {
            vouchers.end_task(bank);
        }
        ipc.destroy_carried(step, ending.bootstrap.take());
        ipc.destroy_carried(step, ending.debug_port.take());
        ipc.destroy_port(step, ending.control_port);
        if let Some(port) = ending.name_port {
            ipc.destroy_port(step, port);
        }
    }

    /// Removes a task of which only the address space is left, and sends the exit message.
    fn forget_task(&mut self, machine: &mut dyn Machine, task: TaskId) {
        let Kernel { tasks, ipc, sched, step, .. } = self;
        let gone = tasks.remove(task);
        if let Some(budget) = sched.leave_coalition(gone.coalition) {
            ipc.refund(budget, COALITION_COST);
        }
        let free_before = machine.free_frames();
        machine.destroy_address_space(gone.address_space);
        tasks.end_frames(&gone.frames, machine.free_frames() - free_before);
        let budget = ipc.space(gone.space).budget();
        ipc.remove_space(gone.space);
        let start = gone.start.iter().map(Start::cost).sum::<usize>();
        ipc.refund(budget, TASK_COST + (gone.regions.paid() - REGIONS_AT_FIRST) * REGION_COST + start);
        step.release_policy_change();
        // The places of the control port are released when that is removed.
        step.release_work(Work::PER_OBJECT);
        let status = gone.ended.expect("a task that is removed has ended").status;
        if let Some(to) = gone.exit_port {
            ipc.send_promised(step, to, EXIT_MESSAGE_ID, Some(status.0));
        }
        step.trim_later();
        if Some(task) == self.first_task {
            self.exit_status = Some(status);
        }
    }

    /// Returns a copy of a task's right to its bootstrap port, for a child or for a reply.
    pub(crate) fn copy_bootstrap(&mut self, task: TaskId) -> Carried {
        self.ipc.copy_carried_send(&self.tasks[task].bootstrap)
    }

    /// Returns a copy of a task's right to its port for debuggers, for a reply.
    pub(crate) fn copy_debug_port(&mut self, task: TaskId) -> Carried {
        self.ipc.copy_carried_send(&self.tasks[task].debug_port)
    }
}
