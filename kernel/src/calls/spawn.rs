//! Starting a program as a new task (errata 6, importance 2.2).

use crate::calls::{memory_error, put_result};
use crate::credentials::SystemPersonas;
use crate::ids::{Context, PortId, TaskId};
use crate::ipc::budget::{Portion, Source};
use crate::ipc::copy_in::Dead;
use crate::ipc::entry::EntryRight;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::lifetime::NewTask;
use crate::limits::ARGUMENTS_SIZE_MAX;
use crate::machine::{Machine, NoMemory, UserAddr};
use crate::policy::spawn::Asked;
use crate::policy::{Marks, TaskPolicy, ThreadPolicy};
use crate::task::program::{Image, Loaded};
use crate::task::{Task, frames};
use crate::trap_frame::TrapFrame;
use abi::code::*;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::qos::{AppType, Priority, Qos, Role};
use abi::task::*;
use abi::{KernReturn, PortName};
use alloc::vec::Vec;
use heapless::String;
use zerocopy::IntoBytes;

// Types of the entries behind a program's environment (System V ABI, "auxiliary vector").
const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_ENTRY: u64 = 9;
const AT_RANDOM: u64 = 25;

/// The watch ports of a child.
type WatchPorts = heapless::Vec<PortId, { WATCH_PORTS_MAX as usize }>;

/// The length of the longest file name in a bundle.
const NAME_MAX: u64 = 256;

/// A range that a program claims to have in its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    start: UserAddr,
    size: u64,
}

/// The decoded arguments of `task_spawn`. Its numbers are in range; the memory and names have not been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnRequest {
    image: Range,
    image_is_name: bool,
    arguments: Range,
    environment: Range,
    policy: Asked,
    uid: u32,
    gid: u32,
    persona: u32,
    properties: Properties,
    system_personas: SystemPersonas,
    kernel_bytes: Portion,
    pages: Portion,
    watch_ports: Range,
    bootstrap: PortName,
    exit_port: PortName,
    exit_disposition: Disposition,
}

impl SpawnRequest {
    /// Decodes arguments and checks those that can be checked without looking at memory or names.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if an argument is out of range.
    pub(crate) fn decode(args: &TaskSpawnArgs) -> Result<SpawnRequest, KernReturn> {
        let range = |start, size| Range { start: UserAddr(start), size };
        let given = |persona: u32| (persona != 0).then_some(persona);
        let exit_disposition = match args.exit_port {
            MACH_PORT_NULL => Disposition::NONE,
            _ => match u8::try_from(args.exit_disposition).map(Disposition) {
                Ok(given @ (Disposition::MAKE_SEND_ONCE | Disposition::MOVE_SEND_ONCE)) => given,
                _ => return Err(KERN_INVALID_ARGUMENT),
            },
        };
        let known = [args.system_persona, args.system_proxy_persona];
        if known.contains(&PERSONA_ID_NONE)
            || args.watch_port_count > WATCH_PORTS_MAX
            || args.image_kind > SPAWN_IMAGE_BYTES
            || args.qos_clamp > Qos::UserInteractive as u32
            || args.arguments_size.saturating_add(args.environment_size) > ARGUMENTS_SIZE_MAX
        {
            return Err(KERN_INVALID_ARGUMENT);
        }
        Ok(SpawnRequest {
            image: range(args.image, args.image_size),
            image_is_name: args.image_kind == SPAWN_IMAGE_NAME,
            arguments: range(args.arguments, args.arguments_size),
            environment: range(args.environment, args.environment_size),
            policy: Asked {
                app_type: AppType::from_number(args.app_type).ok_or(KERN_INVALID_ARGUMENT)?,
                role: Role::from_number(args.role).ok_or(KERN_INVALID_ARGUMENT)?,
                qos_clamp: Qos::from_number(args.qos_clamp),
            },
            uid: args.uid,
            gid: args.gid,
            persona: args.persona,
            properties: Properties::from_bits(args.properties).ok_or(KERN_INVALID_ARGUMENT)?,
            system_personas: SystemPersonas { system: given(known[0]), proxy: given(known[1]) },
            kernel_bytes: portion(args.kernel_bytes)?,
            pages: portion(args.pages)?,
            watch_ports: range(args.watch_ports, u64::from(args.watch_port_count) * size_of::<PortName>() as u64),
            bootstrap: args.bootstrap_port,
            exit_port: args.exit_port,
            exit_disposition,
        })
    }
}

/// Returns what an argument asks for of the caller's budget.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for no parts, or for more than all.
fn portion(argument: u64) -> Result<Portion, KernReturn> {
    match argument {
        0 => Ok(Portion::Usual),
        amount if amount < SPAWN_SHARE_OF => Ok(Portion::Amount(amount)),
        parts => match parts - SPAWN_SHARE_OF {
            parts @ 1..=SPAWN_SHARE_PARTS => Ok(Portion::Parts(parts)),
            _ => Err(KERN_INVALID_ARGUMENT),
        },
    }
}

/// The strings for the stack of a program's first thread.
#[derive(Debug)]
pub(crate) struct Strings {
    /// Arguments, each ended by a zero byte.
    pub arguments: Vec<u8>,
    /// Environment, in the same form.
    pub environment: Vec<u8>,
}

impl Kernel {
    /// Starts a program as a child of the caller, and writes the caller's name for the child's control port to
    /// `result`.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if the caller is not user 0 and asks for another user or group, or for more than it may have
    /// itself: see `child_policy`, `known_personas` and [`Identity::of_child`](crate::credentials::Identity::of_child);
    /// `KERN_INVALID_NAME` if the bundle has no such file; `KERN_INVALID_ARGUMENT` if the strings do not end with a zero
    /// byte or take more than half of the child's stack; `KERN_INVALID_CAPABILITY` if the bootstrap or exit port or a
    /// watch port gives no right of the kind; `KERN_FAILURE` if a persona of the system is known already;
    /// `KERN_MEMORY_ERROR` if memory of the caller cannot be accessed; `KERN_FAILURE` if the file is not a program;
    /// `KERN_NO_SPACE` if the caller's space is full, or the program is where the child's stack goes;
    /// `KERN_RESOURCE_SHORTAGE` if memory, a budget or the number of tasks is used up. A child that was created is then
    /// being taken apart, and nothing else has changed.
    pub(crate) fn spawn(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        request: &SpawnRequest,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
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
        let system_personas = self.known_personas(request.system_personas, privileged)?;
        self.vouchers.add_system_personas(request.system_personas).map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)?;
        let (image, file_name) = self.find_image(machine, parent, request)?;
        let strings = self.read_strings(machine, parent, request)?;
        let name = name_of_program(&strings.arguments).unwrap_or(file_name);
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
        let budget = Source::Parent(self.ipc.space(caller.space).budget(), request.kernel_bytes);
        let frames = frames::Source::Parent(parent, request.pages);
        let new = NewTask { name, uid, gid, identity, policy, marks, budget, frames, start_frames: 0 };
        let task = self.start_program(machine, new, &image, &strings)?;
        // The parent's rights move to the child last, because that cannot fail.
        match self.announce_child(machine, caller, task, result) {
            Ok(()) => {
                self.give_ports_to_child(caller, task, request);
                let space = self.tasks[task].space;
                watched.iter().for_each(|&port| self.ipc.bind_watch_port(port, space));
                self.tasks.system_personas = system_personas;
                self.vouchers.set_system_personas(request.system_personas);
            }
            Err(code) => {
                self.end_task(task, ExitStatus::TERMINATED);
                return Err(code);
            }
        }
        Ok(())
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

    /// Creates a task, loads a program into it and makes its first thread ready.
    ///
    /// # Errors
    /// Those of [`read_program`](crate::task::Tasks::read_program),
    /// [`load_program`](crate::task::Tasks::load_program) and [`make_stack`](crate::task::Tasks::make_stack);
    /// `KERN_RESOURCE_SHORTAGE` if memory, the task's budget or the number of tasks is used up. A task that was created
    /// is then being taken apart.
    pub(crate) fn start_program(
        &mut self,
        machine: &mut dyn Machine,
        new: NewTask,
        image: &Image,
        strings: &Strings,
    ) -> Result<TaskId, KernReturn> {
        let qos = new.policy.main_thread_qos(self.first_task.is_none());
        let program = self.tasks.read_program(machine, &new.name, image)?;
        let new = NewTask { start_frames: program.frames(), ..new };
        let task = self.create_task(machine, new).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let random = [self.next_seed(), self.next_seed()];
        let started = self.tasks.load_program(machine, task, image, &program).and_then(|loaded| {
            let stack = self.tasks.make_stack(machine, task, |top| stack_block(top, strings, &loaded, random))?;
            let frame = TrapFrame::starting_at(loaded.entry, stack, 0);
            let policy = ThreadPolicy::requesting(Priority::of(qos));
            self.create_thread(task, frame, policy).map_err(|_| KERN_RESOURCE_SHORTAGE)
        });
        match started {
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
    /// if one of them does not end with a zero byte.
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
        Ok(Strings { arguments: read(request.arguments)?, environment: read(request.environment)? })
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
    let first = arguments.split(|&byte| byte == 0).next().filter(|first| !first.is_empty())?;
    Some(shortened(core::str::from_utf8(first).ok()?)).filter(|name| !name.is_empty())
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

/// Returns the block at the top of a program's stack: argc, argv, envp, the auxiliary vector, then the strings. It ends
/// at `top` and begins at a multiple of 16.
///
/// # Errors
/// `KERN_RESOURCE_SHORTAGE` if memory runs out.
fn stack_block(top: u64, strings: &Strings, loaded: &Loaded, random: [u64; 2]) -> Result<Vec<u8>, KernReturn> {
    let Strings { arguments, environment } = strings;
    let count = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == 0).count();
    let random = random.map(u64::to_le_bytes);
    let strings_size = arguments.len() + environment.len() + size_of_val(&random);
    let strings_start = (top - strings_size as u64) & !15;
    let auxiliary = [
        (AT_PHDR, loaded.headers.unwrap_or(0)),
        (AT_PHENT, 56),
        (AT_PHNUM, if loaded.headers.is_some() { loaded.header_count } else { 0 }),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_ENTRY, loaded.entry),
        (AT_RANDOM, strings_start + (arguments.len() + environment.len()) as u64),
        (AT_NULL, 0),
    ];
    let words = 1 + count(arguments) + 1 + count(environment) + 1 + 2 * auxiliary.len();
    let start = (strings_start - 8 * words as u64) & !15;
    let mut block = store::try_vec(0, (top - start) as usize).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
    let mut at = 0;
    let mut put = |word: u64| {
        block[at..at + 8].copy_from_slice(&word.to_le_bytes());
        at += 8;
    };
    put(count(arguments) as u64);
    for (list, first) in [(arguments, strings_start), (environment, strings_start + arguments.len() as u64)] {
        let mut string = first;
        for text in list.split_inclusive(|&byte| byte == 0) {
            put(string);
            string += text.len() as u64;
        }
        put(0);
    }
    for (kind, value) in auxiliary {
        put(kind);
        put(value);
    }
    let offset = (strings_start - start) as usize;
    for (bytes, at) in [(arguments, offset), (environment, offset + arguments.len())] {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let offset = offset + arguments.len() + environment.len();
    block[offset..offset + 16].copy_from_slice(random.as_flattened());
    Ok(block)
}
