//! A kernel with tasks whose threads do what the test says, one trap at a time.

use crate::calls::Form;
use crate::machine::FakeMachine;
use crate::message::{MachMsg, Msg, Received};
use crate::program::{archive, program, spawn_args};
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

/// A thread of a task, and where the test puts things in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub task: TaskId,
    pub thread: ThreadId,
    pub space: AddressSpace,
    /// Its name for its own task.
    pub self_port: PortName,
    /// Its send right to init, which passes rights on to those who have no other way yet.
    pub to_init: PortName,
    /// The receive right of the port where init delivers.
    pub inbox: PortName,
    /// Init's names for the task and for the inbox.
    pub task_port: PortName,
    pub(super) at_init: PortName,
    /// Its memory: [`MEMORY_PAGES`] pages that are its own.
    pub(super) memory: u64,
}

/// Pages of memory that an actor has for messages and results.
pub const MEMORY_PAGES: u64 = 40;

/// Offsets in an actor's memory.
const STACK: u64 = 64;
pub(super) const RESULT: u64 = 1024;
pub(super) const RESULT2: u64 = 2048;
pub(super) const BUFFER: u64 = 4096;
/// Bytes in an actor's message buffer.
pub const BUFFER_SIZE: u32 = 36 * 4096;

/// What became of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// It returned this in `rax`.
    Done(u64),
    /// The thread waits, or is suspended.
    Blocked,
    /// The thread is gone.
    Ended,
}

impl Ret {
    /// The code it returned.
    #[track_caller]
    pub fn code(self) -> KernReturn {
        match self {
            Ret::Done(value) => KernReturn(value as u32 as i32),
            other => panic!("a code was expected, the trap is {other:?}"),
        }
    }

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
    /// The first task, from which the others are spawned.
    pub init: Actor,
    /// Whether all invariants are checked after every step.
    pub checked: bool,
    /// How calls of `mach_port` are made.
    pub form: Form,
}

impl World {
    pub fn new() -> World {
        World::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> World {
        let bundle = Vec::leak(archive("init", &program()));
        let mut machine = FakeMachine::new();
        let mut kernel = Kernel::new(Config { bundle, seed: 0, clock: FakeMachine::clock(), limits }).unwrap();
        let Ok(Next::Run(thread)) = kernel.boot(&mut machine) else { panic!("init runs") };
        let task = kernel.sched[thread].task();
        let nobody = Actor::new(task, thread, AddressSpace(0), 0);
        let mut world = World { kernel, machine, init: nobody, checked: true, form: Form::Trap };
        let mut init = world.set_up_actor(task, thread);
        init.inbox = world.port(init);
        init.to_init = init.inbox;
        world.init = init;
        // It is always ready: the threads that a test is about go first.
        world.set_base(thread, 0, true);
        world
    }

    /// Gives a task's thread memory to work with and a name for its task.
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

    /// A new task with one thread, a child of init.
    pub fn task(&mut self) -> Actor {
        self.task_of(AppType::None, Role::Unspecified)
    }

    /// A new task of a kind.
    pub fn task_of(&mut self, app_type: AppType, role: Role) -> Actor {
        let (init, bootstrap) = (self.init, self.init.inbox);
        self.insert_right(init, bootstrap, bootstrap, Disposition::MAKE_SEND).unwrap();
        let args =
            TaskSpawnArgs { app_type: app_type as u32, role: role as u32, bootstrap_port: bootstrap, ..spawn_args() };
        let (mut actor, task_port) = self.spawn(init, args).unwrap();
        self.deallocate(init, bootstrap).unwrap();
        actor.task_port = task_port;
        actor.inbox = self.port(actor);
        let bootstrap = abi::mig::task::GET_SPECIAL_PORT;
        let request = Msg::copy_send(actor.self_port).id(bootstrap).body(&NDR).words(&[TASK_BOOTSTRAP_PORT]);
        actor.to_init = self.rpc(actor, request).unwrap().descriptor(0).name;
        actor.at_init = self.give_send(actor, actor.inbox, init);
        actor
    }

    /// Spawns a program that does nothing, with the parent's name for it.
    pub fn spawn(&mut self, parent: Actor, args: TaskSpawnArgs) -> Result<(Actor, PortName), KernReturn> {
        let name = self.start_spawn(parent, args)?;
        let task = self.newest_task();
        let thread = self.kernel.tasks[task].threads.front().unwrap();
        Ok((self.set_up_actor(task, thread), name))
    }

    /// Spawns the smallest program, which has not run yet; returns the parent's name for the task.
    pub fn start_spawn(&mut self, parent: Actor, args: TaskSpawnArgs) -> Result<PortName, KernReturn> {
        self.spawn_image(parent, &program(), args)
    }

    /// The same for any program.
    pub fn spawn_image(&mut self, parent: Actor, image: &[u8], args: TaskSpawnArgs) -> Result<PortName, KernReturn> {
        self.put(parent, BUFFER, image);
        let args = TaskSpawnArgs {
            image: parent.memory + BUFFER,
            image_size: image.len() as u64,
            image_kind: SPAWN_IMAGE_BYTES,
            ..args
        };
        self.put(parent, RESULT2, args.as_bytes());
        let size = size_of::<TaskSpawnArgs>() as u64;
        self.call_for_name(parent, tally::TASK_SPAWN, &[parent.memory + RESULT2, size, parent.memory + RESULT])
    }

    /// The task that was made last.
    pub fn newest_task(&self) -> TaskId {
        self.kernel.tasks.iter().max_by_key(|(_, task)| task.credentials.pid).unwrap().0
    }

    /// Another thread of an actor's task, with memory of its own.
    pub fn thread(&mut self, actor: Actor) -> Actor {
        self.try_thread(actor).unwrap()
    }

    /// The same, if the task can have one.
    pub fn try_thread(&mut self, actor: Actor) -> Result<Actor, KernReturn> {
        let (me, size) = (u64::from(actor.self_port.0), MEMORY_PAGES * PAGE_SIZE);
        self.put(actor, RESULT, &0u64.to_le_bytes());
        let memory = [me, actor.memory + RESULT, size, u64::from(VM_FLAGS_ANYWHERE)];
        self.call(actor, mach::MACH_VM_ALLOCATE, &memory)?;
        let memory = u64::from_le_bytes(self.get(actor, RESULT, 8).try_into().unwrap());
        let args = [me, 0x40_0000, memory + STACK, 0, 0, actor.memory + RESULT];
        self.call_for_name(actor, tally::THREAD_CREATE, &args)?;
        let thread = self.kernel.tasks[actor.task].threads.back().unwrap();
        Ok(Actor { thread, memory, ..actor })
    }

    /// Ends a task, if it has not ended, as its parent would.
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

    /// Lets a task end itself.
    pub fn exit(&mut self, task: TaskId) {
        let Some(thread) = self.kernel.tasks[task].threads.front() else { return };
        self.run(thread);
        self.kernel.sched[thread].frame_mut().rax = unix::EXIT.into();
        let _ = self.event(Event::Trap);
        self.settle();
    }

    /// Init gives up the names of what died.
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

    /// Gives a thread a base priority, whatever its policy.
    pub fn set_base(&mut self, thread: ThreadId, base: u8, timeshare: bool) {
        self.kernel.sched.set_base(&mut self.kernel.step, thread, base, timeshare);
    }

    /// How many objects of each kind there are.
    pub fn counts(&self) -> abi::debug::Counts {
        self.kernel.counts(&self.machine)
    }

    /// Writes into an actor's memory.
    pub fn put(&mut self, actor: Actor, offset: u64, bytes: &[u8]) {
        self.machine.write(actor.space, UserAddr(actor.memory + offset), bytes);
    }

    /// Reads an actor's memory.
    pub fn get(&self, actor: Actor, offset: u64, size: usize) -> Vec<u8> {
        self.machine.read(actor.space, UserAddr(actor.memory + offset), size).expect("an actor's memory is there")
    }

    /// The address of an actor's message buffer.
    pub fn buffer(&self, actor: Actor) -> u64 {
        actor.memory + BUFFER
    }

    /// The address where single results go.
    pub fn result(&self, actor: Actor) -> u64 {
        actor.memory + RESULT
    }

    /// Lets the kernel finish what it still has to do for any thread, without letting time pass.
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
            let _ = self.event(Event::Timer);
        }
        panic!("what is to be destroyed is never done");
    }

    /// Lets time pass in one go, and what is due happen.
    pub fn advance(&mut self, by: Nanos) {
        self.machine.advance(by);
        let _ = self.event(Event::Timer);
        self.settle();
    }

    /// Makes a trap as an actor's thread and finishes what it leaves to be done.
    pub fn trap(&mut self, actor: Actor, number: u32, args: &[u64]) -> Ret {
        self.start_trap(actor, number, args);
        self.settle();
        self.state(actor)
    }

    /// Makes a trap without looking after it.
    pub fn start_trap(&mut self, actor: Actor, number: u32, args: &[u64]) {
        let mut slots = [0; 9];
        slots[..args.len()].copy_from_slice(args);
        let [a, b, c, d, e, f, stack @ ..] = slots;
        if args.len() > 6 {
            self.put(actor, STACK + 8, stack.as_bytes());
        }
        let before = self.run(actor.thread);
        self.restore_schedule(actor.thread, before);
        self.settle_choice(actor.thread);
        let frame = self.kernel.sched[actor.thread].frame_mut();
        frame.rax = u64::from(number) | 0xDEAD_BEEF_0000_0000;
        (frame.rdi, frame.rsi, frame.rdx) = (a, b, c);
        (frame.r10, frame.r8, frame.r9) = (d, e, f);
        if actor.memory != 0 {
            frame.rsp = actor.memory + STACK;
        }
        let _ = self.event(Event::Trap);
    }

    /// What became of the last trap of a thread.
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

    /// Makes a trap that writes a word to the actor's result.
    pub fn call_for_word(&mut self, actor: Actor, number: u32, args: &[u64]) -> Result<u32, KernReturn> {
        self.put(actor, RESULT, &0xAAAA_AAAAu32.to_le_bytes());
        self.call(actor, number, args)?;
        Ok(u32::from_le_bytes(self.get(actor, RESULT, 4).try_into().unwrap()))
    }

    /// Makes a trap that writes a name to the actor's result.
    pub fn call_for_name(&mut self, actor: Actor, number: u32, args: &[u64]) -> Result<PortName, KernReturn> {
        self.call_for_word(actor, number, args).map(PortName)
    }

    /// `mach_msg`, with everything given.
    pub fn mach_msg(&mut self, actor: Actor, args: &MachMsg) -> Ret {
        self.start_mach_msg(actor, args);
        self.settle();
        self.state(actor)
    }

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

    /// Puts a message into the actor's buffer and sends it.
    pub fn send_with(&mut self, actor: Actor, message: &Msg, options: MsgOption, timeout: u32) -> Ret {
        let bytes = message.encode();
        self.put(actor, BUFFER, &bytes);
        let options = options | MsgOption::SEND_MSG;
        let send_size = bytes.len() as u32;
        self.mach_msg(actor, &MachMsg { options, send_size, timeout, ..MachMsg::default() })
    }

    /// Sends a message; it must not block.
    #[track_caller]
    pub fn send(&mut self, actor: Actor, message: &Msg) -> Result<(), KernReturn> {
        self.send_with(actor, message, MsgOption::empty(), 0).code().ok()
    }

    /// Sends a message unless the queue is full.
    #[track_caller]
    pub fn try_send(&mut self, actor: Actor, message: &Msg) -> Result<(), KernReturn> {
        self.send_with(actor, message, MsgOption::SEND_TIMEOUT, 0).code().ok()
    }

    /// Starts to receive without a timeout.
    pub fn receive(&mut self, actor: Actor, name: PortName, options: MsgOption) -> Ret {
        let options = options | MsgOption::RCV_MSG;
        let args = MachMsg { options, receive_name: name, receive_size: BUFFER_SIZE, ..MachMsg::default() };
        self.mach_msg(actor, &args)
    }

    /// Receives what is there, with all options and a buffer size.
    pub fn poll_with(
        &mut self,
        actor: Actor,
        name: PortName,
        options: MsgOption,
        size: u32,
    ) -> Result<Received, KernReturn> {
        let options = options | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        self.put(actor, BUFFER, &[0xEE; 256]);
        let args = MachMsg { options, receive_name: name, receive_size: size, ..MachMsg::default() };
        self.mach_msg(actor, &args).code().ok()?;
        Ok(self.received(actor))
    }

    /// Receives what is there, with the longest trailer.
    pub fn poll(&mut self, actor: Actor, name: PortName) -> Result<Received, KernReturn> {
        self.poll_with(actor, name, MsgOption::trailer_elements(7), BUFFER_SIZE)
    }

    /// What is in the actor's buffer.
    pub fn received(&self, actor: Actor) -> Received {
        let size = u32::from_le_bytes(self.get(actor, BUFFER + 4, 4).try_into().unwrap()) as usize;
        let with_trailer = size.next_multiple_of(4) + MAX_TRAILER_SIZE;
        Received::decode(self.get(actor, BUFFER, with_trailer.clamp(256, BUFFER_SIZE as usize)))
    }

    /// Expects a notification on a port and returns the number in it, or 0.
    #[track_caller]
    pub fn notification(&mut self, actor: Actor, name: PortName, id: i32) -> u32 {
        let message = match self.poll(actor, name) {
            Ok(message) => message,
            Err(code) => panic!("notification {id} was expected on {name:?}, seen: {code:?}"),
        };
        assert_eq!(message.header.msgh_id, id, "the notification's id");
        let trailer = message.trailer();
        assert_eq!(({ trailer.msgh_sender }, { trailer.msgh_audit }), ([0, 1], [0; 8]), "it comes from the kernel");
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

    /// Expects that nothing is queued on a port.
    #[track_caller]
    pub fn expect_empty(&mut self, actor: Actor, name: PortName) {
        if let Ok(message) = self.poll(actor, name) {
            panic!("nothing was expected on {name:?}, seen: {message:x?}", message = message.header);
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
