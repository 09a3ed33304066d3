//! Starting a program as a new task (errata 6, importance 2.2).

use crate::calls::stack::stack_block;
use crate::calls::{memory_error, put_result};
use crate::credentials::SystemPersonas;
use crate::ids::{CoalitionId, Context, PortId, TaskId, ThreadId};
use crate::ipc::budget::Source;
use crate::ipc::copy_in::Dead;
use crate::ipc::entry::EntryRight;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::lifetime::NewTask;
use crate::limits::STRINGS_MAX;
use crate::machine::{Machine, NoMemory, UserAddr};
use crate::outcome::Outcome;
use crate::policy::spawn::Asked;
use crate::policy::{Marks, TaskPolicy, ThreadPolicy};
use crate::sched::thread::{Continuation, Rest};
use crate::task::program::{Image, Loaded};
use crate::task::start::{Range, SpawnRequest, Start, Strings};
use crate::task::{Task, frames};
use crate::trap_frame::TrapFrame;
use abi::code::*;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::qos::Priority;
use abi::task::*;
use abi::{KernReturn, PortName};
use heapless::String;
use zerocopy::IntoBytes;

/// The watch ports of a child.
type WatchPorts = heapless::Vec<PortId, { WATCH_PORTS_MAX as usize }>;

/// The length of the longest file name in a bundle.
const NAME_MAX: u64 = 256;

/// Pages of a program that are loaded in the step that creates its task. Most of that step is other work.
const FIRST_PAGES: u64 = 8;

/// Pages of a program that are loaded in one later piece. Each takes some 2,800 instructions.
const PIECE_PAGES: u64 = 32;

/// Bytes of arguments and environment up to which a task is started in one step.
const SHORT_STRINGS: usize = 1024;

/// What a parent may give to a child.
#[derive(Debug)]
struct Checked {
    /// The child's watch ports.
    watched: WatchPorts,
    /// The personas of the system, with those that the parent announces.
    personas: SystemPersonas,
}

impl Kernel {
    /// Starts a program as a child of the caller, and writes the caller's name for the child's control port to
    /// `result`. A large program is loaded in pieces, between which the caller stays in the kernel.
    ///
    /// # Errors
    /// Those of `begin_spawn`, of [`load_some`](crate::task::Tasks::load_some) and of `finish_spawn`. A child that was
    /// created is then being taken apart, and nothing else has changed.
    pub(crate) fn spawn(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        request: &SpawnRequest,
        result: UserAddr,
    ) -> Outcome {
        let (task, mut start, checked) = match self.begin_spawn(machine, caller, request, result) {
            Ok(begun) => begun,
            Err(code) => return Outcome::Code(code),
        };
        let is_short = start.strings.size() <= SHORT_STRINGS;
        match self.tasks.load_some(machine, task, &mut start.loading, FIRST_PAGES) {
            Ok(true) if is_short => self.finish_spawn(machine, caller, task, &start, Some(checked)),
            Ok(_) => self.start_later(caller, task, start),
            Err(code) => self.give_up_spawn(task, code),
        }
    }

    /// Goes on with the start of a child: loads a piece of its program, then maps its stack, then makes its first thread.
    pub(crate) fn go_on_starting(&mut self, machine: &mut dyn Machine, caller: Context, task: TaskId) -> Outcome {
        let starting = self.tasks.get_mut(task).filter(|task| task.is_live());
        // Without it, the child has been ended by another task.
        let Some(mut start) = starting.and_then(|task| task.start.pop()) else { return Outcome::Code(KERN_FAILURE) };
        self.ipc.refund(self.ipc.space(self.tasks[task].space).budget(), start.cost());
        if start.has_stack {
            return self.finish_spawn(machine, caller, task, &start, None);
        }
        let piece = if start.loading.is_complete() {
            start.has_stack = true;
            self.tasks.map_stack(machine, task)
        } else {
            self.tasks.load_some(machine, task, &mut start.loading, PIECE_PAGES).map(|_| ())
        };
        match piece {
            Ok(()) => self.start_later(caller, task, start),
            Err(code) => self.give_up_spawn(task, code),
        }
    }

    /// Keeps the start of a child, with which the caller goes on after others have had their turn.
    fn start_later(&mut self, caller: Context, task: TaskId, start: Start) -> Outcome {
        let kept = self.ipc.charged(self.ipc.space(self.tasks[task].space).budget(), start.cost(), |_| {
            let mut place = store::try_with_capacity(1)?;
            place.push(start);
            Ok::<_, NoMemory>(place)
        });
        match kept {
            Ok(place) => {
                self.tasks[task].start = place;
                self.sched.set_continuation(caller.thread, Continuation::rest(Rest::Start(task)));
                self.step.choose_again();
                Outcome::Pending
            }
            Err(NoMemory) => self.give_up_spawn(task, KERN_RESOURCE_SHORTAGE),
        }
    }

    fn give_up_spawn(&mut self, task: TaskId, code: KernReturn) -> Outcome {
        self.end_task(task, ExitStatus::TERMINATED);
        Outcome::Code(code)
    }

    /// Checks what a caller asks for, and creates the child with nothing loaded.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if the caller is not user 0 and asks for another user or group, for a coalition of its own, or
    /// for more than it may have itself: see `child_policy` and [`Identity::of_child`](crate::credentials::Identity::of_child); `KERN_INVALID_NAME`
    /// if the bundle has no such file; those of `read_strings` and `check_rights`; `KERN_FAILURE` if the file is not a
    /// program; `KERN_RESOURCE_SHORTAGE` if memory or the number of tasks is used up. A child that was created is then
    /// being taken apart, and nothing else has changed.
    fn begin_spawn(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        request: &SpawnRequest,
        result: UserAddr,
    ) -> Result<(TaskId, Start, Checked), KernReturn> {
        let parent = caller.task;
        let credentials = self.tasks[parent].credentials;
        let chosen = |asked: u32, own: u32| match asked {
            SPAWN_INHERIT => Ok(own),
            other if other == own || credentials.uid == 0 => Ok(other),
            _ => Err(KERN_NO_ACCESS),
        };
        let (uid, gid) = (chosen(request.uid, credentials.uid)?, chosen(request.gid, credentials.gid)?);
        let privileged = credentials.uid == 0;
        let (policy, marks) = self.child_policy(parent, request.policy, privileged)?;
        let identity = self.tasks[parent]
            .identity
            .of_child(credentials.pid, request.persona, request.properties, privileged)
            .map_err(|_| KERN_NO_ACCESS)?;
        let personas = self.known_personas(request.system_personas, privileged)?;
        let (image, file_name) = self.find_image(machine, parent, request)?;
        let strings = self.read_strings(machine, parent, request)?;
        let name = name_of_program(&strings.arguments).unwrap_or(file_name);
        let checked = Checked { watched: self.check_rights(machine, caller, request)?, personas };
        let budget = Source::Parent(self.ipc.space(caller.space).budget(), request.kernel_bytes);
        let frames = frames::Source::Parent(parent, request.pages);
        let loading = self.tasks.begin_loading(machine, &name, image)?;
        let coalition = self.coalition_of_child(parent, request.own_coalition, privileged)?;
        let start_frames = loading.frames();
        let new = NewTask { name, uid, gid, identity, policy, marks, coalition, budget, frames, start_frames };
        let task = self.create_task(machine, new).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        Ok((task, Start { request: *request, result, strings, loading, has_stack: false }, checked))
    }

    /// Checks that a caller has the rights that it gives to a child, and returns the child's watch ports.
    ///
    /// # Errors
    /// `KERN_INVALID_CAPABILITY` if the bootstrap or exit port or a watch port gives no right of the kind;
    /// `KERN_MEMORY_ERROR` if the names of the watch ports cannot be read; `KERN_RESOURCE_SHORTAGE` if memory runs out.
    fn check_rights(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        request: &SpawnRequest,
    ) -> Result<WatchPorts, KernReturn> {
        let watched = self.find_watch_ports(machine, caller, request.watch_ports)?;
        if request.bootstrap != MACH_PORT_NULL {
            let found = self.ipc.lookup(caller.space, request.bootstrap).map(|entry| entry.right);
            if !found.is_some_and(has_send_right) {
                return Err(KERN_INVALID_CAPABILITY);
            }
        }
        if request.exit_port != MACH_PORT_NULL {
            self.ipc
                .can_copy_in(&mut self.step, caller.space, request.exit_port, request.exit_disposition, Dead::Refused)
                .map_err(|error| match error {
                    KERN_RESOURCE_SHORTAGE => error,
                    _ => KERN_INVALID_CAPABILITY,
                })?;
        }
        Ok(watched)
    }

    /// Makes the first thread of a child whose program is loaded, and gives the child what its parent asked for.
    /// `checked` is what the parent may give; without it the parent may have lost rights since it asked.
    ///
    /// # Errors
    /// Those of `first_thread`, of `announce_child`, of `check_rights` and of `known_personas`; `KERN_RESOURCE_SHORTAGE` if
    /// memory runs out. The child is then being taken apart.
    fn finish_spawn(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        task: TaskId,
        start: &Start,
        checked: Option<Checked>,
    ) -> Outcome {
        let Start { request, result, strings, loading, has_stack } = start;
        let mut make = |checked: Option<Checked>| {
            let checked = match checked {
                Some(checked) => checked,
                None => {
                    let privileged = self.tasks[caller.task].credentials.uid == 0;
                    let personas = self.known_personas(request.system_personas, privileged)?;
                    Checked { watched: self.check_rights(machine, caller, request)?, personas }
                }
            };
            let announced = self.vouchers.add_system_personas(request.system_personas);
            let announced = announced.map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)?;
            let mut begin = || {
                if !has_stack {
                    self.tasks.map_stack(machine, task)?;
                }
                let thread = self.first_thread(machine, task, loading.loaded(), strings)?;
                self.announce_child(machine, caller, task, *result)?;
                Ok(thread)
            };
            let thread = begin().inspect_err(|_: &KernReturn| self.vouchers.remove_personas(announced))?;
            Ok((checked, thread))
        };
        match make(checked) {
            // The parent's rights move to the child last, because that cannot fail.
            Ok((Checked { watched, personas }, thread)) => {
                self.sched.resume(&mut self.step, thread).expect("the new thread is suspended");
                self.give_ports_to_child(caller, task, request);
                let space = self.tasks[task].space;
                watched.iter().for_each(|&port| self.ipc.bind_watch_port(port, space));
                self.tasks.system_personas = personas;
                self.vouchers.set_system_personas(request.system_personas);
                Outcome::Code(KERN_SUCCESS)
            }
            Err(code) => self.give_up_spawn(task, code),
        }
    }

    /// Returns the policy and the marks of a child that `parent` asks for.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if a parent that is not privileged asks for more than it may have itself.
    fn child_policy(&self, parent: TaskId, asked: Asked, privileged: bool) -> Result<(TaskPolicy, Marks), KernReturn> {
        let Task { policy, space, .. } = &self.tasks[parent];
        let element = self.ipc.element_of(*space).and_then(|id| self.ipc.importance().element(id));
        let child = asked.of_child(policy, element.map_or(Marks::default(), |element| element.marks()));
        if privileged || policy.may_start(&child.0) { Ok(child) } else { Err(KERN_NO_ACCESS) }
    }

    /// Returns the coalition of a child, or `None` if it begins one of its own.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if a parent that is not privileged asks for one of its own: it would get more turns on the
    /// processor.
    fn coalition_of_child(
        &self,
        parent: TaskId,
        own: bool,
        privileged: bool,
    ) -> Result<Option<CoalitionId>, KernReturn> {
        match (own, privileged) {
            (false, _) => Ok(Some(self.tasks[parent].coalition)),
            (true, true) => Ok(None),
            (true, false) => Err(KERN_NO_ACCESS),
        }
    }

    /// Returns the personas of the system with those that a parent announces.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if a parent that is not privileged announces any; `KERN_FAILURE` if one of them is known
    /// already.
    fn known_personas(&self, announced: SystemPersonas, privileged: bool) -> Result<SystemPersonas, KernReturn> {
        if announced != SystemPersonas::default() && !privileged {
            return Err(KERN_NO_ACCESS);
        }
        self.tasks.system_personas.with(announced).map_err(|_| KERN_FAILURE)
    }

    /// Returns the watch ports of a child: live ports to which the caller has send rights.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if the names cannot be read; `KERN_INVALID_CAPABILITY` if one of them is no send right.
    fn find_watch_ports(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        names: Range,
    ) -> Result<WatchPorts, KernReturn> {
        if names.size == 0 {
            return Ok(WatchPorts::new());
        }
        let mut watched = [MACH_PORT_NULL; WATCH_PORTS_MAX as usize];
        let bytes = &mut watched.as_mut_bytes()[..names.size as usize];
        machine.copy_in(caller.address_space, names.start, bytes).map_err(memory_error)?;
        let watched = &watched[..names.size as usize / size_of::<PortName>()];
        let port_of = |&name: &PortName| {
            let right = self.ipc.lookup(caller.space, name)?.right;
            if has_send_right(right) { right.port() } else { None }
        };
        watched.iter().map(port_of).collect::<Option<WatchPorts>>().ok_or(KERN_INVALID_CAPABILITY)
    }

    /// Gives a parent a name for the control port of a new child, and writes the name to `result`.
    ///
    /// # Errors
    /// `KERN_NO_SPACE` if the space is full; `KERN_RESOURCE_SHORTAGE` if memory or the budget is used up;
    /// `KERN_MEMORY_ERROR` if the name cannot be written. Nothing has changed then.
    fn announce_child(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        child: TaskId,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        let right = Right::Send(self.ipc.make_send(self.tasks[child].control_port));
        let name = self.ipc.copy_out_or_destroy(&mut self.step, caller.space, right)?;
        let written = put_result(machine, caller, result, name.as_bytes());
        if written.is_err() {
            self.ipc.destroy_name(&mut self.sched, &mut self.step, caller.space, name);
        }
        written
    }

    /// Creates a task, loads a program into it as a whole and makes its first thread ready. For the first task.
    ///
    /// # Errors
    /// Those of [`begin_loading`](crate::task::Tasks::begin_loading), [`load_some`](crate::task::Tasks::load_some) and
    /// `first_thread`; `KERN_RESOURCE_SHORTAGE` if memory is used up. A task that was created is then being taken apart.
    pub(crate) fn start_program(
        &mut self,
        machine: &mut dyn Machine,
        new: NewTask,
        image: Image,
        strings: &Strings,
    ) -> Result<TaskId, KernReturn> {
        let mut loading = self.tasks.begin_loading(machine, &new.name, image)?;
        let new = NewTask { start_frames: loading.frames(), ..new };
        let task = self.create_task(machine, new).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let mut start = || {
            while !self.tasks.load_some(machine, task, &mut loading, PIECE_PAGES)? {}
            self.tasks.map_stack(machine, task)?;
            self.first_thread(machine, task, loading.loaded(), strings)
        };
        match start() {
            Ok(thread) => {
                self.sched.resume(&mut self.step, thread).expect("the new thread is suspended");
                Ok(task)
            }
            Err(code) => {
                self.end_task(task, ExitStatus::TERMINATED);
                Err(code)
            }
        }
    }

    /// Gives a task whose program is loaded and whose stack is mapped its first thread, which is suspended.
    ///
    /// # Errors
    /// Those of [`fill_stack`](crate::task::Tasks::fill_stack); `KERN_RESOURCE_SHORTAGE` if memory or the task's budget
    /// is used up.
    fn first_thread(
        &mut self,
        machine: &mut dyn Machine,
        task: TaskId,
        loaded: &Loaded,
        strings: &Strings,
    ) -> Result<ThreadId, KernReturn> {
        let random = [self.next_seed(), self.next_seed()];
        let stack = self.tasks.fill_stack(machine, task, |top| stack_block(top, strings, loaded, random))?;
        let frame = TrapFrame::starting_at(loaded.entry, stack, 0);
        let qos = self.tasks[task].policy.main_thread_qos(self.first_task.is_none());
        self.create_thread(task, frame, ThreadPolicy::requesting(Priority::of(qos))).map_err(|_| KERN_RESOURCE_SHORTAGE)
    }

    /// Returns the file to start, and its name.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if the name cannot be read; `KERN_INVALID_NAME` if it is too long or the bundle has no such
    /// file.
    fn find_image(
        &mut self,
        machine: &mut dyn Machine,
        parent: TaskId,
        request: &SpawnRequest,
    ) -> Result<(Image, String<32>), KernReturn> {
        let space = self.tasks[parent].address_space;
        let Range { start, size } = request.image;
        if !request.image_is_name {
            return Ok((Image::Memory { space, start, size }, String::new()));
        }
        let mut bytes = [0; NAME_MAX as usize];
        let bytes = bytes.get_mut(..size as usize).ok_or(KERN_INVALID_NAME)?;
        machine.copy_in(space, start, bytes).map_err(|_| KERN_MEMORY_ERROR)?;
        let file_name = core::str::from_utf8(bytes).map_err(|_| KERN_INVALID_NAME)?;
        let file = self.bundle.file(file_name).ok_or(KERN_INVALID_NAME)?;
        Ok((Image::Bundle(file), shortened(file_name)))
    }

    /// Reads the arguments and the environment from the caller's memory.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out; `KERN_MEMORY_ERROR` if they cannot be read; `KERN_INVALID_ARGUMENT`
    /// if one of them does not end with a zero byte, or there are too many.
    fn read_strings(
        &mut self,
        machine: &mut dyn Machine,
        parent: TaskId,
        request: &SpawnRequest,
    ) -> Result<Strings, KernReturn> {
        let space = self.tasks[parent].address_space;
        let mut read = |range: Range| {
            let mut bytes = store::try_vec(0u8, range.size as usize).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
            machine.copy_in(space, range.start, &mut bytes).map_err(|_| KERN_MEMORY_ERROR)?;
            if bytes.last().is_some_and(|&last| last != 0) { Err(KERN_INVALID_ARGUMENT) } else { Ok(bytes) }
        };
        let strings = Strings::new(read(request.arguments)?, read(request.environment)?);
        let count: usize = strings.counts.iter().sum();
        if count > STRINGS_MAX { Err(KERN_INVALID_ARGUMENT) } else { Ok(strings) }
    }

    fn take_right(&mut self, of: Context, name: PortName, disposition: Disposition) -> Carried {
        self.ipc.take_right(&mut self.sched, &mut self.step, of.space, name, disposition)
    }

    /// Gives a child its bootstrap port, which is the parent's if the request has none, and the right to which its exit
    /// message goes. The caller has checked that the parent has them.
    fn give_ports_to_child(&mut self, parent: Context, task: TaskId, request: &SpawnRequest) {
        self.tasks[task].bootstrap = match request.bootstrap {
            MACH_PORT_NULL => self.copy_bootstrap(parent.task),
            name => self.take_right(parent, name, Disposition::COPY_SEND),
        };
        if request.exit_port != MACH_PORT_NULL {
            let right = self.take_right(parent, request.exit_port, request.exit_disposition);
            if let Carried::Right(Right::SendOnce(right)) = right {
                self.tasks[task].exit_port = Some(right);
            }
        }
    }
}

/// Returns the name that a program has by its first argument, if there is one.
fn name_of_program(arguments: &[u8]) -> Option<String<32>> {
    // What a name is made of is bounded, because the argument may be very long.
    let first = &arguments[..arguments.len().min(NAME_MAX as usize)];
    let first = first.split(|&byte| byte == 0).next()?;
    let text = core::str::from_utf8(first).or_else(|error| match error.error_len() {
        None => Ok(core::str::from_utf8(&first[..error.valid_up_to()]).expect("it is valid up to there")),
        Some(_) => Err(error),
    });
    Some(shortened(text.ok()?)).filter(|name| !name.is_empty())
}

/// Returns a name for logs and listings. A longer one is cut off, and what could disturb a terminal is left out.
fn shortened(name: &str) -> String<32> {
    // The common case is fast.
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && let Ok(whole) = String::try_from(name)
    {
        return whole;
    }
    let mut short = String::new();
    for character in name.chars().filter(|character| !character.is_control()) {
        if short.push(character).is_err() {
            break;
        }
    }
    short
}

/// Returns true if a name with this right has send rights.
fn has_send_right(right: EntryRight) -> bool {
    matches!(right, EntryRight::Send { .. } | EntryRight::Receive { send_urefs: 1.., .. })
}
