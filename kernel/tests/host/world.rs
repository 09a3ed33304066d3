//! A kernel with tasks whose threads make the traps that the test chooses, one at a time.

use crate::calls::Form;
use crate::machine::FakeMachine;
use crate::message::{MachMsg, Msg, Received};
use crate::program::{PROGRAM_BASE, archive, program, spawn_args};
use abi::code::*;
use abi::message::*;
use abi::mig::NDR;
use abi::port::*;
use abi::qos::{AppType, Role};
use abi::task::*;
use abi::trap::{mach, tally, unix};
use abi::{KernReturn, PortName};
use kernel::ids::TaskId;
use kernel::ids::ThreadId;
use kernel::ipc::space::Space;
use kernel::kernel::{Config, Event, Kernel, Next};
use kernel::limits::Limits;
use kernel::machine::{AddressSpace, Nanos, UserAddr};
use kernel::sched::thread::State;
use zerocopy::IntoBytes;

/// A thread of a task, with the names and the memory that a test uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub task: TaskId,
    pub thread: ThreadId,
    pub space: AddressSpace,
    /// The task's name for its own control port.
    pub self_port: PortName,
    /// The task's send right to init, which passes rights on between tasks that cannot reach each other yet.
    pub to_init: PortName,
    /// The task's receive right of the port to which init sends.
    pub inbox: PortName,
    /// Init's name for the task's control port.
    pub task_port: PortName,
    /// Init's send right to the inbox.
    pub(super) at_init: PortName,
    /// The address of the thread's own memory, which has [`MEMORY_PAGES`] pages.
    pub(super) memory: u64,
}

/// The number of pages that an actor has for messages and results.
pub const MEMORY_PAGES: u64 = 40;

/// Offsets in an actor's memory. The arguments on the stack lie behind the return address of a trap stub.
const STACK: u64 = 64;
const STACK_ARGUMENTS: u64 = STACK + 8;
/// Traps write single results here.
pub const RESULT: u64 = 1024;
/// Structures that traps read lie here.
pub const ARGUMENTS: u64 = 2048;
/// The message buffer.
pub const BUFFER: u64 = 4096;
/// The size of an actor's message buffer in bytes.
pub const BUFFER_SIZE: u32 = 36 * 4096;

/// The beginning of a receive buffer before each receive, so that tests see which bytes the kernel writes.
pub const UNWRITTEN: [u8; 256] = [UNWRITTEN_BYTE; 256];
pub const UNWRITTEN_BYTE: u8 = 0xEE;
/// The trailer elements that give the longest trailer.
pub const ALL_TRAILER_ELEMENTS: u32 = 7;

/// The outcome of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The trap returned this value in `rax`.
    Done(u64),
    /// The thread waits or is suspended.
    Blocked,
    /// The thread has ended.
    Ended,
}

impl Ret {
    /// Returns the trap's return code.
    #[track_caller]
    pub fn code(self) -> KernReturn {
        match self {
            Ret::Done(value) => KernReturn(value as u32 as i32),
            other => panic!("a code was expected, the trap is {other:?}"),
        }
    }

    /// Returns the name that the trap returned.
    #[track_caller]
    pub fn name(self) -> PortName {
        match self {
            Ret::Done(value) => PortName(value as u32),
            other => panic!("a name was expected, the trap is {other:?}"),
        }
    }
}

pub struct World {
    pub kernel: Kernel,
    pub machine: FakeMachine,
    /// The first task, the parent of the others.
    pub init: Actor,
    /// True if all invariants are checked after every step.
    pub checked: bool,
    /// The form of `mach_port` calls.
    pub form: Form,
}

impl World {
    pub fn new() -> World {
        World::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> World {
        World::with_config(crate::shortcuts::as_asked(limits), 0)
    }

    /// A world where names are handed out in an order that the seed determines.
    pub fn with_seed(seed: u64) -> World {
        World::with_config(crate::shortcuts::as_asked(Limits::default()), seed)
    }

    fn with_config(limits: Limits, seed: u64) -> World {
        let bundle = Vec::leak(archive("init", &program()));
        let mut machine = FakeMachine::new();
        let mut kernel = Kernel::new(Config { bundle, seed, clock: FakeMachine::clock(), limits }).unwrap();
        let Ok(Next::Run(thread)) = kernel.boot(&mut machine) else { panic!("init runs") };
        let task = kernel.sched[thread].task();
        let placeholder = Actor::new(task, thread, AddressSpace(0), 0);
        let mut world = World { kernel, machine, init: placeholder, checked: true, form: Form::Trap };
        let mut init = world.set_up_actor(task, thread);
        init.inbox = world.port(init);
        init.to_init = init.inbox;
        world.init = init;
        // Init is always ready. With the lowest priority it never runs before the threads of the test.
        world.set_base(thread, 0, true);
        world
    }

    /// Allocates memory for a task's first thread and gets it a name for its task.
    fn set_up_actor(&mut self, task: TaskId, thread: ThreadId) -> Actor {
        let space = self.kernel.tasks[task].address_space;
        let stack = self.kernel.sched[thread].frame().rsp - 4096;
        let mut actor = Actor::new(task, thread, space, stack);
        actor.self_port = self.trap(actor, mach::TASK_SELF, &[]).name();
        let size = MEMORY_PAGES * PAGE_SIZE;
        self.put(actor, RESULT, &0u64.to_le_bytes());
        let args = [u64::from(actor.self_port.0), stack + RESULT, size, u64::from(VM_FLAGS_ANYWHERE)];
        self.trap(actor, mach::MACH_VM_ALLOCATE, &args).code().ok().unwrap();
        actor.memory = u64::from_le_bytes(self.get(actor, RESULT, 8).try_into().unwrap());
        actor
    }

    /// Spawns a task with one thread as a child of init.
    pub fn task(&mut self) -> Actor {
        self.task_of(AppType::None, Role::Unspecified)
    }

    /// Spawns a task of an application type and role as a child of init.
    pub fn task_of(&mut self, app_type: AppType, role: Role) -> Actor {
        self.task_with(TaskSpawnArgs { app_type: app_type as u32, role: role as u32, ..spawn_args() })
    }

    /// Spawns a task with these arguments as a child of init.
    pub fn task_with(&mut self, args: TaskSpawnArgs) -> Actor {
        let (init, bootstrap) = (self.init, self.init.inbox);
        self.insert_right(init, bootstrap, bootstrap, Disposition::MAKE_SEND).unwrap();
        let (mut actor, task_port) = self.spawn(init, TaskSpawnArgs { bootstrap_port: bootstrap, ..args }).unwrap();
        self.deallocate(init, bootstrap).unwrap();
        actor.task_port = task_port;
        actor.inbox = self.port(actor);
        let bootstrap = abi::mig::task::GET_SPECIAL_PORT;
        let request = Msg::copy_send(actor.self_port).id(bootstrap).body(&NDR).words(&[TASK_BOOTSTRAP_PORT]);
        actor.to_init = self.rpc(actor, request).unwrap().descriptor(0).name;
        actor.at_init = self.give_send(actor, actor.inbox, init);
        actor
    }

    /// Spawns the smallest program; returns its actor and the parent's name for the task.
    pub fn spawn(&mut self, parent: Actor, args: TaskSpawnArgs) -> Result<(Actor, PortName), KernReturn> {
        let name = self.start_spawn(parent, args)?;
        let task = self.newest_task();
        let thread = self.kernel.tasks[task].threads.front().unwrap();
        Ok((self.set_up_actor(task, thread), name))
    }

    /// Spawns the smallest program, which does not run yet; returns the parent's name for the task.
    pub fn start_spawn(&mut self, parent: Actor, args: TaskSpawnArgs) -> Result<PortName, KernReturn> {
        self.spawn_image(parent, &program(), args)
    }

    /// Spawns the program `image`, which does not run yet; returns the parent's name for the task.
    pub fn spawn_image(&mut self, parent: Actor, image: &[u8], args: TaskSpawnArgs) -> Result<PortName, KernReturn> {
        self.put(parent, BUFFER, image);
        let args = TaskSpawnArgs {
            image: parent.memory + BUFFER,
            image_size: image.len() as u64,
            image_kind: SPAWN_IMAGE_BYTES,
            ..args
        };
        self.put(parent, ARGUMENTS, args.as_bytes());
        let size = size_of::<TaskSpawnArgs>() as u64;
        self.call_for_name(parent, tally::TASK_SPAWN, &[parent.memory + ARGUMENTS, size, parent.memory + RESULT])
    }

    /// Returns the task that was created last.
    pub fn newest_task(&self) -> TaskId {
        self.kernel.tasks.iter().max_by_key(|(_, task)| task.credentials.pid).unwrap().0
    }

    /// Creates another thread of an actor's task, with memory of its own.
    pub fn thread(&mut self, actor: Actor) -> Actor {
        self.try_thread(actor).unwrap()
    }

    /// Creates another thread of an actor's task, with memory of its own, if the task may have one more.
    pub fn try_thread(&mut self, actor: Actor) -> Result<Actor, KernReturn> {
        let (me, size) = (u64::from(actor.self_port.0), MEMORY_PAGES * PAGE_SIZE);
        self.put(actor, RESULT, &0u64.to_le_bytes());
        let memory = [me, actor.memory + RESULT, size, u64::from(VM_FLAGS_ANYWHERE)];
        self.call(actor, mach::MACH_VM_ALLOCATE, &memory)?;
        let memory = u64::from_le_bytes(self.get(actor, RESULT, 8).try_into().unwrap());
        let args = [me, PROGRAM_BASE, memory + STACK, 0, 0, actor.memory + RESULT];
        self.call_for_name(actor, tally::THREAD_CREATE, &args)?;
        let thread = self.kernel.tasks[actor.task].threads.back().unwrap();
        Ok(Actor { thread, memory, ..actor })
    }

    /// Terminates a task as its parent would, if it still lives.
    pub fn end_task(&mut self, actor: Actor) {
        if !self.kernel.tasks.contains(actor.task) {
            return;
        }
        let terminate = Msg::copy_send(actor.task_port).id(abi::mig::task::TERMINATE);
        match self.send(self.init, &terminate) {
            Ok(()) | Err(MACH_SEND_INVALID_DEST) => {}
            Err(code) => panic!("{code:?}"),
        }
    }

    /// Makes a task exit.
    pub fn exit(&mut self, task: TaskId) {
        let Some(thread) = self.kernel.tasks[task].threads.front() else { return };
        self.run(thread);
        self.kernel.sched[thread].frame_mut().rax = unix::EXIT.into();
        let _ = self.event(Event::Trap);
        self.settle();
    }

    /// Makes init deallocate all its dead names.
    pub fn release_dead_names(&mut self) {
        let init = self.init;
        for (name, _) in self.names(init) {
            if self.port_type(init, name) == Ok(PortType::DEAD_NAME) {
                self.destroy(init, name).unwrap();
            }
        }
    }

    /// Returns a task's names.
    pub fn space_of(&self, task: TaskId) -> &Space {
        self.kernel.ipc.space(self.kernel.tasks[task].space)
    }

    /// Returns how much of a task's budget is used.
    pub fn used(&self, task: TaskId) -> usize {
        self.kernel.ipc.used(self.space_of(task).budget()).expect("a live task has a budget")
    }

    /// Sets a thread's base priority and mode, whatever its policy says.
    pub fn set_base(&mut self, thread: ThreadId, base: u8, timeshare: bool) {
        self.kernel.sched.set_base(&mut self.kernel.step, thread, base, timeshare);
        self.refresh_push(thread);
    }

    /// Returns the number of objects of each kind.
    pub fn counts(&self) -> abi::debug::Counts {
        self.kernel.counts(&self.machine)
    }

    /// Writes into an actor's memory.
    pub fn put(&mut self, actor: Actor, offset: u64, bytes: &[u8]) {
        self.machine.write(actor.space, UserAddr(actor.memory + offset), bytes);
    }

    /// Reads an actor's memory.
    pub fn get(&self, actor: Actor, offset: u64, size: usize) -> Vec<u8> {
        self.machine.read(actor.space, UserAddr(actor.memory + offset), size).expect("an actor's memory is mapped")
    }

    /// Returns the address of an actor's message buffer.
    pub fn buffer(&self, actor: Actor) -> u64 {
        actor.memory + BUFFER
    }

    /// Returns the address to which traps write single results.
    pub fn result(&self, actor: Actor) -> u64 {
        actor.memory + RESULT
    }

    /// Runs the kernel until no thread has a continuation that can go on and no background work is left, in no time.
    pub fn settle(&mut self) {
        loop {
            let waiting = self.kernel.sched.iter().find(|(_, thread)| thread.has_continuation() && thread.can_go_on());
            let Some((thread, _)) = waiting else { break };
            let before = self.run(thread);
            let _ = self.event(Event::Timer);
            self.restore_schedule(thread, before);
        }
        for _ in 0..10_000 {
            if !self.kernel.step.has_background_work() {
                return;
            }
            self.kernel.sched.raise_background(&mut self.kernel.step, 127);
            let _ = self.event(Event::Timer);
        }
        panic!("the background work never ends");
    }

    /// Advances the clock once, raises a timer interrupt and settles.
    pub fn advance(&mut self, by: Nanos) {
        self.machine.advance(by);
        let _ = self.event(Event::Timer);
        self.settle();
    }

    /// Makes a trap as an actor's thread and settles.
    pub fn trap(&mut self, actor: Actor, number: u32, args: &[u64]) -> Ret {
        self.start_trap(actor, number, args);
        self.settle();
        self.state(actor)
    }

    /// Makes a trap as an actor's thread and leaves the work that it deferred.
    pub fn start_trap(&mut self, actor: Actor, number: u32, args: &[u64]) {
        let mut slots = [0; 9];
        slots[..args.len()].copy_from_slice(args);
        let [a, b, c, d, e, f, stack @ ..] = slots;
        if args.len() > 6 {
            self.put(actor, STACK_ARGUMENTS, stack.as_bytes());
        }
        let before = self.run(actor.thread);
        self.restore_schedule(actor.thread, before);
        self.settle_choice(actor.thread);
        let frame = self.kernel.sched[actor.thread].frame_mut();
        // The kernel must ignore the upper half.
        frame.rax = u64::from(number) | 0xDEAD_BEEF_0000_0000;
        (frame.rdi, frame.rsi, frame.rdx) = (a, b, c);
        (frame.r10, frame.r8, frame.r9) = (d, e, f);
        if actor.memory != 0 {
            frame.rsp = actor.memory + STACK;
        }
        let _ = self.event(Event::Trap);
    }

    /// Returns the outcome of a thread's last trap.
    pub fn state(&self, actor: Actor) -> Ret {
        match self.kernel.sched.get(actor.thread) {
            None => Ret::Ended,
            Some(thread) if matches!(thread.state(), State::Waiting(_) | State::Suspended) => Ret::Blocked,
            Some(thread) => Ret::Done(thread.frame().rax),
        }
    }

    /// Makes a trap that returns a code.
    pub fn call(&mut self, actor: Actor, number: u32, args: &[u64]) -> Result<(), KernReturn> {
        self.trap(actor, number, args).code().ok()
    }

    /// Makes a trap that writes a word to the address [`result`](World::result).
    pub fn call_for_word(&mut self, actor: Actor, number: u32, args: &[u64]) -> Result<u32, KernReturn> {
        // A trap that succeeds must overwrite these bytes.
        self.put(actor, RESULT, &0xAAAA_AAAAu32.to_le_bytes());
        self.call(actor, number, args)?;
        Ok(u32::from_le_bytes(self.get(actor, RESULT, 4).try_into().unwrap()))
    }

    /// Makes a trap that writes a name to the address [`result`](World::result).
    pub fn call_for_name(&mut self, actor: Actor, number: u32, args: &[u64]) -> Result<PortName, KernReturn> {
        self.call_for_word(actor, number, args).map(PortName)
    }

    /// Calls `mach_msg` and settles.
    pub fn mach_msg(&mut self, actor: Actor, args: &MachMsg) -> Ret {
        self.start_mach_msg(actor, args);
        self.settle();
        self.state(actor)
    }

    /// Calls `mach_msg` and leaves the work that it deferred.
    pub fn start_mach_msg(&mut self, actor: Actor, args: &MachMsg) {
        let words = [
            args.buffer.unwrap_or(self.buffer(actor)),
            u64::from(args.options.bits()),
            u64::from(args.send_size),
            u64::from(args.receive_size),
            u64::from(args.receive_name.0),
            u64::from(args.timeout),
            u64::from(args.priority),
        ];
        self.start_trap(actor, mach::MACH_MSG, &words);
    }

    /// Puts a message into the actor's buffer and sends it with options and a timeout.
    pub fn send_with(&mut self, actor: Actor, message: &Msg, options: MsgOption, timeout: u32) -> Ret {
        let bytes = message.encode();
        self.put(actor, BUFFER, &bytes);
        let options = options | MsgOption::SEND_MSG;
        let send_size = bytes.len() as u32;
        self.mach_msg(actor, &MachMsg { options, send_size, timeout, ..MachMsg::default() })
    }

    /// Sends a message. The send must not block.
    #[track_caller]
    pub fn send(&mut self, actor: Actor, message: &Msg) -> Result<(), KernReturn> {
        self.send_with(actor, message, MsgOption::empty(), 0).code().ok()
    }

    /// Sends a message without waiting for room.
    #[track_caller]
    pub fn try_send(&mut self, actor: Actor, message: &Msg) -> Result<(), KernReturn> {
        self.send_with(actor, message, MsgOption::SEND_TIMEOUT, 0).code().ok()
    }

    /// Receives without a timeout, which may block.
    pub fn receive(&mut self, actor: Actor, name: PortName, options: MsgOption) -> Ret {
        let options = options | MsgOption::RCV_MSG;
        let args = MachMsg { options, receive_name: name, receive_size: BUFFER_SIZE, ..MachMsg::default() };
        self.mach_msg(actor, &args)
    }

    /// Receives without waiting, with options and a buffer size.
    pub fn poll_with(
        &mut self,
        actor: Actor,
        name: PortName,
        options: MsgOption,
        size: u32,
    ) -> Result<Received, KernReturn> {
        let options = options | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        self.put(actor, BUFFER, &UNWRITTEN);
        let args = MachMsg { options, receive_name: name, receive_size: size, ..MachMsg::default() };
        self.mach_msg(actor, &args).code().ok()?;
        Ok(self.received(actor))
    }

    /// Receives without waiting, with the longest trailer.
    pub fn poll(&mut self, actor: Actor, name: PortName) -> Result<Received, KernReturn> {
        self.poll_with(actor, name, MsgOption::trailer_elements(ALL_TRAILER_ELEMENTS), BUFFER_SIZE)
    }

    /// Parses the actor's buffer as a received message.
    pub fn received(&self, actor: Actor) -> Received {
        let size = u32::from_le_bytes(self.get(actor, BUFFER + 4, 4).try_into().unwrap()) as usize;
        let with_trailer = size.next_multiple_of(4) + MAX_TRAILER_SIZE;
        Received::decode(self.get(actor, BUFFER, with_trailer.clamp(256, BUFFER_SIZE as usize)))
    }

    /// Receives a notification, which must have this id, and returns the number in it, or 0.
    #[track_caller]
    pub fn notification(&mut self, actor: Actor, name: PortName, id: i32) -> u32 {
        let message = match self.poll(actor, name) {
            Ok(message) => message,
            Err(code) => panic!("notification {id} was expected on {name:?}, seen: {code:?}"),
        };
        assert_eq!(message.header.msgh_id, id, "the notification's id");
        let trailer = message.trailer();
        assert_eq!(({ trailer.msgh_sender }, { trailer.msgh_audit }), ([0, 1], [0; 8]), "the kernel is the sender");
        match id {
            MACH_NOTIFY_SEND_ONCE => {
                assert_eq!(message.header.msgh_size, 24);
                0
            }
            MACH_NOTIFY_PORT_DESTROYED => {
                assert_eq!(message.header.msgh_size, 40);
                assert_eq!(message.descriptor(0).disposition, Disposition::PORT_RECEIVE);
                message.descriptor(0).name.0
            }
            _ => {
                assert_eq!(message.header.msgh_size, 36);
                assert_eq!(message.body()[..8], NDR);
                message.words()[2]
            }
        }
    }

    /// Checks that no message is queued on a port or in a set.
    #[track_caller]
    pub fn expect_empty(&mut self, actor: Actor, name: PortName) {
        if let Ok(message) = self.poll(actor, name) {
            panic!("no message was expected on {name:?}, seen: {message:x?}", message = message.header);
        }
    }
}

impl Actor {
    fn new(task: TaskId, thread: ThreadId, space: AddressSpace, memory: u64) -> Actor {
        let none = MACH_PORT_NULL;
        let (self_port, to_init, inbox, task_port, at_init) = (none, none, none, none, none);
        Actor { task, thread, space, self_port, to_init, inbox, task_port, at_init, memory }
    }
}
