//! The random calls of the simulation's actors, with mostly valid arguments and injected failures.

use crate::calls::UNUSED_NAME;
use crate::machine::Failure;
use crate::message::{MachMsg, Msg};
use crate::program::{PROGRAM_BASE, spawn_args};
use crate::simulation::{Simulation, TASKS};
use crate::world::{ARGUMENTS, Actor, BUFFER, RESULT, Ret};
use abi::message::*;
use abi::mig;
use abi::port::*;
use abi::task::{EXIT_PORT_MAKE, Exception, SPAWN_SHARE_OF, SPAWN_SHARE_PARTS, TaskSpawnArgs};
use abi::trap::{CLASS_SHIFT, CLASS_TALLY, CLASS_UNIX, mach, tally, unix};
use abi::{KernReturn, PortName};
use kernel::kernel::Event;
use zerocopy::IntoBytes;

impl Simulation {
    /// Picks a name: usually one that the task has, but not the one of its own task port, which most calls need.
    pub fn name(&mut self, actor: Actor) -> PortName {
        match self.random.below(32) {
            0 => MACH_PORT_NULL,
            1 => MACH_PORT_DEAD,
            2 => PortName(self.random.below(64) as u32 * 0x100 + 3 + 4 * self.random.below(4) as u32),
            _ => self.name_of(actor, PortType::all()),
        }
    }

    /// Picks a name of the task that has one of these types.
    pub fn name_of(&mut self, actor: Actor, types: PortType) -> PortName {
        let fits = |&(name, kind): &(PortName, PortType)| name != actor.self_port && kind.intersects(types);
        let names: Vec<_> = self.world.names(actor).into_iter().filter(fits).collect();
        if names.is_empty() { UNUSED_NAME } else { self.random.pick(&names).0 }
    }

    fn disposition(&mut self) -> Disposition {
        const BEHIND_THE_LAST: Disposition = Disposition(Disposition::MAKE_SEND_ONCE.0 + 1);
        self.random.pick(&[
            Disposition::MOVE_SEND,
            Disposition::MOVE_SEND_ONCE,
            Disposition::COPY_SEND,
            Disposition::MAKE_SEND,
            Disposition::MAKE_SEND_ONCE,
            Disposition::MOVE_RECEIVE,
            Disposition::NONE,
            BEHIND_THE_LAST,
        ])
    }

    /// Picks a name and a disposition, which usually fits the name's right.
    fn right(&mut self, actor: Actor, may_move_receive: bool) -> (PortName, Disposition) {
        if self.random.one_in(12) {
            return (self.name(actor), self.disposition());
        }
        let types = PortType::SEND | PortType::RECEIVE | PortType::SEND_ONCE | PortType::DEAD_NAME;
        let name = self.name_of(actor, types);
        let kind =
            self.world.names(actor).iter().find(|entry| entry.0 == name).map_or(PortType::empty(), |entry| entry.1);
        let mut fitting = Vec::new();
        for (right, dispositions) in [
            (PortType::SEND, &[Disposition::COPY_SEND, Disposition::COPY_SEND, Disposition::MOVE_SEND][..]),
            (PortType::RECEIVE, &[Disposition::MAKE_SEND, Disposition::MAKE_SEND_ONCE]),
            (PortType::SEND_ONCE, &[Disposition::MOVE_SEND_ONCE]),
            (PortType::DEAD_NAME, &[Disposition::MOVE_SEND, Disposition::COPY_SEND]),
        ] {
            if kind.intersects(right) {
                fitting.extend(dispositions);
            }
        }
        if may_move_receive && kind.contains(PortType::RECEIVE) {
            fitting.push(Disposition::MOVE_RECEIVE);
        }
        if fitting.is_empty() { (name, self.disposition()) } else { (name, self.random.pick(&fitting)) }
    }

    /// Makes one random call as an actor that can run, sometimes with an injected failure.
    pub fn act(&mut self, actor: Actor) {
        let failure = match self.random.below(40) {
            0 | 1 => Some(Failure::Copy(self.random.below(4))),
            2 => Some(Failure::Memory(self.random.below(3))),
            _ => None,
        };
        self.world.machine.fail(failure);
        if self.random.one_in(20) {
            store::failpoints::arm(Some(self.random.below(8)));
        }
        match self.random.below(96) {
            0..14 => self.message(actor),
            14..24 => self.port_call(actor),
            24..27 => self.set_call(actor),
            27 | 28 => self.notification_call(actor),
            29 | 30 => self.memory(actor),
            31..34 => self.threads(actor),
            34..37 => self.kernel_call(actor),
            37 => self.spawn(actor),
            38 => self.scheduling_call(actor),
            39..54 => self.voucher_call(actor),
            54 => self.policy_call(actor),
            55 => self.thread_policy_call(actor),
            56..59 => self.importance_call(actor),
            59..62 => self.synchronous_call(actor),
            62 => self.bind_servicer(actor),
            63 => self.any_call(actor),
            _ => self.service_call(actor),
        }
        // A call that was not made has left its failure.
        self.clear_failures();
    }

    /// Makes a random call about one name.
    fn port_call(&mut self, actor: Actor) {
        let me = u64::from(actor.self_port.0);
        let [a, b] = [self.name(actor), self.name(actor)].map(|name| u64::from(name.0));
        let port = u64::from(self.name_of(actor, PortType::RECEIVE).0);
        let (result, small, delta) = (self.world.result(actor), self.random.below(8), self.delta());
        let (number, args) = match self.random.below(16) {
            0..3 => (mach::MACH_PORT_ALLOCATE, vec![me, self.random.pick(&[1, 1, 1, 3, 4, small]), result]),
            3 => {
                let options = PortOptions { flags: self.random.next() as u32 & 0x1FF, mpl_qlimit: 2, reserved: [0; 2] };
                self.world.put(actor, ARGUMENTS, options.as_bytes());
                (mach::MACH_PORT_CONSTRUCT, vec![me, actor.memory + ARGUMENTS, small & 1, result])
            }
            4 => (mach::MACH_REPLY_PORT, vec![]),
            5 | 6 => (mach::MACH_PORT_DEALLOCATE, vec![me, a]),
            7 | 8 => (mach::MACH_PORT_MOD_REFS, vec![me, a, small, delta]),
            9 => (mach::MACH_PORT_INSERT_RIGHT, vec![me, a, b, u64::from(self.disposition().0)]),
            10 | 11 => (mach::MACH_PORT_INSERT_RIGHT, vec![me, port, port, 20]),
            12 => (mach::MACH_PORT_DESTRUCT, vec![me, port, delta, small & 1]),
            13 => {
                let call = self.random.pick(&[mach::MACH_PORT_GUARD, mach::MACH_PORT_UNGUARD]);
                (call, vec![me, port, small & 1, small & 2])
            }
            14 => (mach::MACH_PORT_TYPE, vec![me, a, result]),
            _ => {
                self.world.put(actor, ARGUMENTS, &17u32.to_le_bytes());
                (mach::MACH_PORT_GET_ATTRIBUTES, vec![me, port, small, result, actor.memory + ARGUMENTS])
            }
        };
        self.trap(actor, number, &args);
    }

    fn set_call(&mut self, actor: Actor) {
        let me = u64::from(actor.self_port.0);
        let port = u64::from(self.name_of(actor, PortType::RECEIVE).0);
        let set = u64::from(self.name_of(actor, PortType::PORT_SET).0);
        let insert = mach::MACH_PORT_INSERT_MEMBER;
        let call = self.random.pick(&[insert, insert, mach::MACH_PORT_EXTRACT_MEMBER, mach::MACH_PORT_MOVE_MEMBER]);
        let to_nowhere = self.random.one_in(8);
        self.trap(actor, call, &[me, port, if to_nowhere { 0 } else { set }]);
    }

    fn notification_call(&mut self, actor: Actor) {
        let me = u64::from(actor.self_port.0);
        let port = self.name_of(actor, PortType::RECEIVE);
        let of_receive_rights = [MACH_NOTIFY_PORT_DESTROYED, MACH_NOTIFY_NO_SENDERS];
        let [destroyed, no_senders] = of_receive_rights;
        let id = self.random.pick(&[MACH_NOTIFY_SEND_POSSIBLE, destroyed, no_senders, MACH_NOTIFY_DEAD_NAME]);
        let about = if of_receive_rights.contains(&id) { port } else { self.name(actor) };
        let once = self.name_of(actor, PortType::SEND_ONCE);
        let to = self.name_of(actor, PortType::RECEIVE);
        let (notify, disposition) = self.random.pick(&[(to, 21), (to, 21), (once, 18), (MACH_PORT_NULL, 0)]);
        let args = [
            me,
            about.0.into(),
            id as u64,
            self.random.below(2),
            notify.0.into(),
            disposition,
            self.world.result(actor),
        ];
        self.trap(actor, mach::MACH_PORT_REQUEST_NOTIFICATION, &args);
    }

    /// Returns a share for a child: the usual one, an amount, or parts of what its parent has left, which may be too many.
    fn share(&mut self, most: u64) -> u64 {
        match self.random.below(4) {
            0 => self.random.below(most),
            1 => SPAWN_SHARE_OF + self.random.below(SPAWN_SHARE_PARTS + 2),
            _ => 0,
        }
    }

    /// Spawns a child and ends it at once: by exit, by the exit of its thread or by an exception.
    fn spawn(&mut self, actor: Actor) {
        let exit_port = if self.random.one_in(2) { MACH_PORT_NULL } else { self.name_of(actor, PortType::RECEIVE) };
        let bootstrap_port = if self.random.one_in(2) { MACH_PORT_NULL } else { self.name_of(actor, PortType::SEND) };
        let watched = self.name_of(actor, PortType::SEND);
        self.world.put(actor, ARGUMENTS + 1024, &watched.0.to_le_bytes());
        let args = TaskSpawnArgs {
            app_type: self.random.below(8) as u32,
            role: self.random.below(9) as u32,
            persona: self.random.below(3) as u32,
            properties: self.random.below(17) as u32,
            watch_ports: actor.memory + ARGUMENTS + 1024,
            watch_port_count: self.random.below(2) as u32,
            qos_clamp: self.random.below(8) as u32,
            coalition: if self.random.one_in(8) { self.random.below(3) } else { 0 },
            bootstrap_port,
            exit_port,
            exit_disposition: EXIT_PORT_MAKE,
            kernel_bytes: self.share(64 * 1024),
            pages: self.share(80),
            ..spawn_args()
        };
        let before = self.world.kernel.tasks.count();
        let spawned = self.world.start_spawn(actor, args);
        self.clear_failures();
        if spawned.is_err() {
            self.world.settle();
            // A task that was dying before may be gone as well.
            assert!(self.world.kernel.tasks.count() <= before, "a failed spawn leaves no task");
            return;
        }
        let child = self.world.newest_task();
        let thread = self.world.kernel.tasks[child].threads.front().expect("a child has a thread");
        let before = self.world.run(thread);
        match self.random.below(3) {
            0 => self.world.kernel.sched[thread].frame_mut().rax = unix::EXIT.into(),
            1 => self.world.kernel.sched[thread].frame_mut().rax = tally::THREAD_EXIT.into(),
            _ => {
                let event = Event::Exception { kind: Exception::BadAccess, vector: 14, address: 8 };
                let _ = self.world.event(event);
                return;
            }
        }
        self.world.restore_schedule(thread, before);
        let _ = self.world.event(Event::Trap);
    }

    fn scheduling_call(&mut self, actor: Actor) {
        let thread = self.world.trap(actor, mach::THREAD_SELF, &[]);
        let (me, result) = (if let Ret::Done(name) = thread { name } else { 0 }, self.world.result(actor));
        let time = 1 + self.random.below(2_000_000_000);
        let option = self.random.below(4);
        let (number, args) = self.random.pick(&[
            (mach::SWTCH, [0; 4]),
            (mach::SWTCH_PRI, [0; 4]),
            (mach::THREAD_SWITCH, [0, option, 2, 0]),
            (mach::MACH_WAIT_UNTIL, [time, 0, 0, 0]),
            (mach::MACH_TIMEBASE_INFO, [result, 0, 0, 0]),
            (tally::THREAD_SET_QOS, [me, time, 0, 0]),
            (tally::TIME, [0; 4]),
            (tally::CPU_COUNT, [0; 4]),
            (tally::DEBUG_STATE, [1, 0, result, 80]),
            (tally::DEBUG_STATE, [2, me, result, 32]),
            (unix::WRITE, [1, result, option, 0]),
            (unix::GETPID, [0; 4]),
            (unix::THREAD_SELFID, [0; 4]),
        ]);
        self.trap(actor, number, &args);
    }

    /// Changes or asks for the policy of a task.
    fn policy_call(&mut self, actor: Actor) {
        let pid = self.random.below(12);
        let (result, value) = (self.world.result(actor), self.random.below(8));
        let (number, args) = match self.random.below(8) {
            0 => (unix::SETPRIORITY, [4, pid, self.random.pick(&[0, 0x1000, 0x1001]), 0, 0, 0]),
            1 => (unix::SETPRIORITY, [6, pid, value, 0, 0, 0]),
            2 => (unix::PROCESS_POLICY, [1, 10, 7, self.random.below(4), 0, 0]),
            3 => (unix::PROC_INFO, [2, pid, 17, 0, result, 56]),
            4 => (unix::PERSONA, [4, 0, 0, result, 0, 0]),
            _ => return self.task_policy_call(actor, value as u32),
        };
        self.trap(actor, number, &args);
    }

    /// Sends a request for the policy of a task, usually its own.
    fn task_policy_call(&mut self, actor: Actor, value: u32) {
        let nap: [u32; 18] = std::array::from_fn(|n| if matches!(n, 4 | 8) { 0 } else { self.random.below(2) as u32 });
        let (id, words) = match self.random.below(4) {
            0 => (mig::task::POLICY_GET, vec![value, self.random.pick(&[0, 1, 16, 17]), 0]),
            1 => (mig::task::POLICY_SET, vec![1, 1, value]),
            _ => (mig::task::POLICY_SET, [&[3, 16], &nap[2..]].concat()),
        };
        let to = if self.random.one_in(4) { self.name(actor) } else { actor.self_port };
        let reply = self.name_of(actor, PortType::RECEIVE);
        let message = Msg::copy_send(to).id(id).reply_to(reply, Disposition::MAKE_SEND_ONCE);
        let _ = self.world.send_with(actor, &message.body(&mig::NDR).words(&words), MsgOption::SEND_TIMEOUT, 0);
        self.clear_failures();
    }

    /// Changes the policy of a thread of the actor's task.
    fn thread_policy_call(&mut self, actor: Actor) {
        let thread = match self.world.trap(actor, mach::THREAD_SELF, &[]) {
            Ret::Done(name) if !self.random.one_in(6) => name,
            _ => self.name(actor).0.into(),
        };
        let class = self.random.pick(&[0xFF, 0x1FF, 0x4F8, 0x8FF, 0x20FF]);
        let (resource, flags) = (self.random.below(20), self.random.below(32));
        let args = match self.random.below(6) {
            0 | 1 => [0x40, thread, class, resource],
            2 => [0x80, thread, resource, 0],
            3 => [0x100, class, 0, flags],
            4 => [0x200, 0, 0, 0],
            _ => [0x400, thread, class, if resource < 10 { 0 } else { self.world.result(actor) }],
        };
        self.trap(actor, unix::BSDTHREAD_CTL, &args);
    }

    /// Makes any trap with any arguments, except `mach_vm_deallocate`, which would unmap memory that the test uses. An
    /// unknown number is rare, because it ends the task.
    fn any_call(&mut self, actor: Actor) {
        const MACH: [u32; 31] = [
            10, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32, 40, 41, 42, 43, 50, 59, 60, 61, 70, 72,
            76, 77, 89, 90,
        ];
        let number = match self.random.below(200) {
            0 => self.random.next() as u32,
            1 => 3 << CLASS_SHIFT | 3,
            2..20 => CLASS_TALLY | self.random.pick(&[1, 2, 4, 5, 6, 7, 8]),
            20..60 => CLASS_UNIX | self.random.pick(&[4, 20, 33, 96, 323, 336, 372, 478, 494, 515, 516, 1000]),
            _ => 1 << CLASS_SHIFT | self.random.pick(&MACH),
        };
        let me = u64::from(actor.self_port.0);
        let mut args = [me; 7];
        for arg in &mut args[usize::from(self.random.one_in(2))..] {
            *arg = match self.random.below(6) {
                0 => self.random.next(),
                1 => self.random.below(64),
                2 => self.world.result(actor),
                3 => u64::from(self.delta() as u32),
                _ => self.name(actor).0.into(),
            };
        }
        self.trap(actor, number, &args);
    }

    /// Cancels all injected failures.
    pub fn clear_failures(&mut self) {
        store::failpoints::disarm();
        self.world.machine.fail(None);
    }

    fn delta(&mut self) -> u64 {
        let delta: i32 = self.random.pick(&[-1, -1, -1, -2, 1, 2, 65534, 65535, -65535, -65536, i32::MIN]);
        delta as u32 as u64
    }

    pub fn trap(&mut self, actor: Actor, number: u32, args: &[u64]) {
        self.world.start_trap(actor, number, args);
        if !self.skips_settling {
            self.world.settle();
        }
        self.clear_failures();
        if number == unix::PERSONA && !self.skips_settling && self.world.state(actor) == Ret::Done(0) {
            self.seen.saw("an answer about the persona");
        }
        let is_code = number >> CLASS_SHIFT == 1 && !matches!(number, mach::SWTCH | mach::SWTCH_PRI);
        if let (Ret::Done(value), true, false) = (self.world.state(actor), is_code, self.skips_settling) {
            let code = KernReturn(value as u32 as i32);
            let is_name = matches!(number & 0xFF, 26..=29 | 50);
            assert!(is_name || code.name().is_some(), "trap {number:#x} returns {code:?}");
        }
    }

    /// Calls `mach_msg` with a random message and random options.
    fn message(&mut self, actor: Actor) {
        let (to, disposition) = self.right(actor, false);
        let mut message = Msg::to(to, disposition);
        if self.random.one_in(2) {
            let (reply, disposition) = self.right(actor, false);
            message = message.reply_to(reply, disposition);
        }
        if self.random.one_in(3) {
            let (name, copy) = (self.voucher(actor), Disposition::COPY_SEND);
            message = message.voucher(name, self.random.pick(&[copy, copy, copy, Disposition::MOVE_SEND]));
        }
        for _ in 0..self.random.below(5).saturating_sub(1) {
            let (name, disposition) = self.right(actor, true);
            message = message.port(name, disposition);
        }
        let size = self.random.pick(&[0usize, 4, 40, 300, 5000]);
        let mut bytes = message.id(self.random.pick(&[1, 3204, 3206, 3207, 3600])).body(&vec![7; size]).encode();
        if self.random.one_in(20) {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] = self.random.next() as u8;
        }
        self.world.put(actor, BUFFER, &bytes);
        let (send, receive) = (MsgOption::SEND_MSG, MsgOption::RCV_MSG);
        let mut options = self.random.pick(&[send, receive, send | receive]);
        options |= MsgOption::trailer_elements(self.random.below(8) as u32);
        for option in [
            MsgOption::RCV_LARGE,
            MsgOption::SEND_TIMEOUT,
            MsgOption::RCV_TIMEOUT,
            MsgOption::SEND_NOTIFY,
            MsgOption::SEND_NOIMPORTANCE,
            MsgOption::SEND_OVERRIDE,
            MsgOption::SEND_PROPAGATE_QOS,
            MsgOption::RCV_LARGE_IDENTITY,
            MsgOption::RCV_VOUCHER,
            MsgOption::RCV_SYNC_WAIT,
            MsgOption::SEND_SYNC_OVERRIDE,
        ] {
            options.set(option, self.random.one_in(2));
        }
        let from = self.name_of(actor, PortType::RECEIVE | PortType::PORT_SET);
        let args = MachMsg {
            buffer: None,
            options,
            send_size: bytes.len() as u32,
            receive_size: self.random.pick(&[0, 20, 40, 100, 4096, 4096]),
            receive_name: if self.random.one_in(10) { self.name(actor) } else { from },
            timeout: self.random.pick(&[0, 0, 1, 10]),
            priority: self.random.next() as u32,
        };
        self.world.start_mach_msg(actor, &args);
        if !self.skips_settling {
            self.world.settle();
        }
        self.clear_failures();
    }

    fn memory(&mut self, actor: Actor) {
        let me = u64::from(actor.self_port.0);
        let at = self.random.pick(&[0x5000_0000u64, 0x5000_1000, 0x5000_3000, 0xFFFF_FFFF_FFFF_F000, 0]);
        let size = self.random.pick(&[0u64, 1, 4096, 3 * 4096, 60 * 4096, u64::MAX]);
        let result = self.world.result(actor);
        self.world.put(actor, RESULT, &at.to_le_bytes());
        let protection = self.random.below(9);
        let (number, args) = match self.random.below(4) {
            0 | 1 => (mach::MACH_VM_ALLOCATE, vec![me, result, size, 0]),
            2 => (mach::MACH_VM_DEALLOCATE, vec![me, at, size]),
            _ => (mach::MACH_VM_PROTECT, vec![me, at, size, 0, protection]),
        };
        self.trap(actor, number, &args);
    }

    fn threads(&mut self, actor: Actor) {
        let word = self.world.result(actor);
        match self.random.below(12) {
            0 | 1 if self.actors.len() < 2 * TASKS => {
                self.clear_failures();
                if let Ok(thread) = self.world.try_thread(actor) {
                    self.actors.push(thread);
                }
            }
            2 => self.trap(actor, tally::THREAD_EXIT, &[]),
            3 if self.random.one_in(3) => self.trap(actor, unix::EXIT, &[3]),
            4..7 => {
                self.world.put(actor, RESULT, &[0; 4]);
                let microseconds = self.random.below(3) * 1000;
                self.trap(actor, unix::ULOCK_WAIT, &[1, word, 0, microseconds]);
            }
            7 | 8 => {
                let operation = self.random.pick(&[1, 0x101]);
                self.trap(actor, unix::ULOCK_WAKE, &[operation, word]);
            }
            9 => {
                let (me, result) = (u64::from(actor.self_port.0), self.world.result(actor));
                let flags = self.random.below(3);
                self.trap(actor, tally::THREAD_CREATE, &[me, PROGRAM_BASE, result, 0, flags, result]);
            }
            _ => self.trap(actor, mach::THREAD_SELF, &[]),
        }
    }

    /// Sends a well-formed request to a kernel object.
    fn kernel_call(&mut self, actor: Actor) {
        let (a, b) = (self.name(actor), self.name(actor));
        let words = [a.0, self.random.below(8) as u32, b.0, self.random.below(8) as u32];
        let (id, count) = self.random.pick(&[
            (mig::mach_port::DESTROY, 1),
            (mig::mach_port::GET_REFS, 2),
            (mig::mach_port::SET_ATTRIBUTES, 4),
            (mig::mach_port::EXTRACT_RIGHT, 2),
            (mig::mach_port::MOD_REFS, 3),
            (mig::mach_port::ALLOCATE, 1),
            (mig::mach_port::GET_SRIGHTS, 1),
            (mig::mach_port::MOVE_MEMBER, 2),
            (mig::task::GET_SPECIAL_PORT, 1),
            (mig::mach_port::SET_CONTEXT, 3),
            (mig::thread_act::ABORT, 0),
            (mig::thread_act::SUSPEND, 0),
            (mig::thread_act::RESUME, 0),
            (mig::thread_act::TERMINATE, 0),
        ]);
        let to = if self.random.one_in(2) { self.name(actor) } else { actor.self_port };
        let mut message = Msg::copy_send(to).id(id);
        if self.random.one_in(2) {
            message = message.reply_to(self.name_of(actor, PortType::RECEIVE), Disposition::MAKE_SEND_ONCE);
        }
        if count > 0 {
            message = message.body(&mig::NDR).words(&words[..count]);
        }
        let _ = self.world.send_with(actor, &message, MsgOption::SEND_TIMEOUT, 0);
        self.clear_failures();
    }
}
