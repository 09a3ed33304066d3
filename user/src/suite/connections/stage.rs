//! The tasks of an example, and the test that directs them.
//!
//! A test starts children of the right application types and waits for them to [stop](super::actor::stop) at places with
//! names. It sees what the stopped thread has, and the boosts of all tasks. What it sees is stable as long as the threads
//! that could change it are stopped; what ends later "when a worker is idle" it polls for.

use super::actor::{DIRECTOR, Probe, TAG_SIZE};
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::suite::personas::announce_system_persona;
use crate::suite::tasks::child;
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now, sleep};
use crate::{check, inspect, names, policy};
use abi::PortName;
use abi::inspect::{NameRecord, TaskRecord, VoucherRecord, kind};
use abi::mig::NDR;
use abi::policy::{PolicyState, TASK_POLICY_STATE, TASK_SUPPRESSION_POLICY};
use abi::port::MACH_PORT_RIGHT_SEND;
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use alloc::format;
use alloc::vec::Vec;
use core::cell::RefCell;
use dispatch::qos::Priority;
use zerocopy::FromBytes;

/// Milliseconds for anything that has to happen. It happens at once, but the host may be busy.
const LIMIT: u64 = 20_000;

/// What a message of an app's main thread asks for: the class of interactive work, capped.
pub(super) const IN: u32 = Priority::of(Qos::UserInitiated).0;

/// The persona of the system's daemons.
pub(super) const SYSTEM_PERSONA: u32 = 1;

/// The persona of apps.
pub(super) const APP_PERSONA: u32 = 100;

/// A test with its tasks.
pub(super) struct Stage {
    port: Port,
    /// Stops that the test has not asked for yet.
    stops: RefCell<Vec<Stop>>,
}

/// A thread that has stopped.
pub(super) struct Stop {
    tag: [u8; TAG_SIZE],
    pub(super) probe: Probe,
    /// The thread.
    pub(super) thread: PortName,
    request: Option<Message>,
}

/// A task of an example.
pub(super) struct Player {
    task: PortName,
    exit: Port,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let port = port_with_send();
        announce_system_persona();
        // The name service may not have heard yet of the end of an earlier stage.
        eventually("the name is free", || names::register(DIRECTOR, port.name()).is_ok());
        Stage { port, stops: RefCell::default() }
    }

    /// Starts a child that runs the function of this name.
    pub(super) fn start(&self, name: &str, app_type: AppType, role: Role) -> Player {
        self.start_as(name, app_type, role, |_| {})
    }

    /// Starts a child with further arguments of its task.
    pub(super) fn start_as(&self, name: &str, kind: AppType, role: Role, change: impl FnOnce(&mut Spawn)) -> Player {
        let exit = Port::new();
        let mut spawn = child(name).policy(kind, role, Qos::Unspecified).exit_port(exit.name());
        change(&mut spawn);
        Player { task: spawn.start().expect("the child starts"), exit }
    }

    /// Starts APP: an application in the foreground, of persona 100.
    pub(super) fn app(&self, name: &str) -> Player {
        self.start_as(name, AppType::AppDefault, Role::Foreground, |spawn| spawn.args.persona = APP_PERSONA)
    }

    /// Starts A or B: an adaptive daemon of the system.
    pub(super) fn daemon(&self, name: &str) -> Player {
        self.start_as(name, AppType::DaemonAdaptive, Role::Unspecified, |spawn| {
            spawn.args.persona = SYSTEM_PERSONA;
        })
    }

    /// Starts S: a standard daemon.
    pub(super) fn standard(&self, name: &str) -> Player {
        self.start(name, AppType::DaemonStandard, Role::Unspecified)
    }

    /// Starts D: a background daemon.
    pub(super) fn background(&self, name: &str) -> Player {
        self.start(name, AppType::DaemonBackground, Role::Unspecified)
    }

    /// Waits until a thread stops at the place of this name.
    pub(super) fn at(&self, tag: &str) -> Stop {
        self.at_within(tag, LIMIT).unwrap_or_else(|| panic!("no thread stops at {tag:?}"))
    }

    /// Returns the thread that stops at the place of this name within some milliseconds.
    pub(super) fn at_within(&self, tag: &str, milliseconds: u64) -> Option<Stop> {
        let deadline = now() + milliseconds * MILLISECOND;
        loop {
            let mut stops = self.stops.borrow_mut();
            if let Some(index) = stops.iter().position(|stop| stop.is_at(tag)) {
                return Some(stops.remove(index));
            }
            let left = deadline.saturating_sub(now()).div_ceil(MILLISECOND);
            stops.push(Stop::of(Message::receive_within(self.port.name(), left as u32).ok()?));
        }
    }

    /// Waits until no thread of a daemon that rests has a voucher: all holders in its memory are gone.
    pub(super) fn await_rest(&self, name: &str) {
        let tag = format!("{name} rests");
        eventually("nothing is left", || self.pass(&tag).is_empty());
    }

    /// Waits until a thread stops at the place of this name, and lets it go on.
    pub(super) fn pass(&self, tag: &str) -> Probe {
        self.at(tag).go_on()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = port::deallocate(self.port.name());
    }
}

impl Stop {
    fn of(message: Message) -> Stop {
        let body = &message.body()[NDR.len()..];
        let (tag, rest) = body.split_at(TAG_SIZE);
        let probe = Probe::read_from_prefix(rest).expect("the probe is complete").0;
        let tag = tag.try_into().expect("the tag is complete");
        Stop { tag, probe, thread: message.descriptor(0).name, request: Some(message) }
    }

    fn is_at(&self, tag: &str) -> bool {
        let end = self.tag.iter().position(|&byte| byte == 0).unwrap_or(TAG_SIZE);
        &self.tag[..end] == tag.as_bytes()
    }

    /// Lets the thread go on. Returns what it had.
    pub(super) fn go_on(mut self) -> Probe {
        let request = self.request.take().expect("a thread goes on once");
        // The task may have ended.
        Message::reply(&request).bytes(&NDR).send_or_destroy();
        self.probe
    }

    /// Returns the thread, to be looked at when it has gone on.
    pub(super) fn thread_kept(&self) -> Thread {
        port::mod_refs(self.thread, MACH_PORT_RIGHT_SEND, 1).expect("the stop has a right");
        Thread(self.thread)
    }
}

/// A thread of a player.
pub(super) struct Thread(PortName);

impl Thread {
    /// Returns the voucher that the thread has in the kernel, as a number; 0 for none, and if it has ended.
    pub(super) fn voucher(&self) -> u64 {
        task::thread_info(self.0).map_or(0, |info| info.voucher)
    }

    /// Returns the thread's effective priority before the limits of its task; 0 if it has ended.
    pub(super) fn effective(&self) -> u32 {
        task::thread_info(self.0).map_or(0, |info| info.effective)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let _ = port::deallocate(self.0);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = port::deallocate(self.thread);
    }
}

/// Returns the number of names of the task with a number.
pub(super) fn names_of(pid: u64) -> u32 {
    let mut names = 0;
    let count = |task: &TaskRecord| {
        if u64::from(task.pid) == pid {
            names = task.names;
        }
    };
    inspect::list(kind::TASKS, 0, count).expect("the caller is user 0");
    names
}

/// Returns the number of the kernel voucher of a probe's object, by its name in the task; 0 for none.
pub(super) fn voucher_named(probe: &Probe) -> u64 {
    let (mut port, mut voucher) = (0, 0);
    let find_name = |record: &NameRecord| {
        if record.name == probe.voucher_name {
            port = record.object;
        }
    };
    inspect::list(kind::NAMES, probe.own, find_name).expect("the caller is user 0");
    let find_voucher = |record: &VoucherRecord| {
        if port != 0 && record.port == port {
            voucher = record.voucher;
        }
    };
    inspect::list(kind::VOUCHERS, 0, find_voucher).expect("the caller is user 0");
    voucher
}

impl Player {
    fn policy(&self) -> PolicyState {
        const WORDS: u32 = (size_of::<PolicyState>() / 4) as u32;
        /// The NDR record, the code and the number of words.
        const BEFORE: usize = NDR.len() + 8;
        let reply = policy::task_policy(self.task, TASK_POLICY_STATE, WORDS).expect("the caller is user 0");
        PolicyState::read_from_prefix(&reply.body()[BEFORE..]).expect("the reply is that long").0
    }

    /// Returns true if the task is boosted.
    pub(super) fn is_boosted(&self) -> bool {
        self.policy().imp_assertcnt > 0
    }

    /// Returns how often the boost of the task has begun or ended.
    pub(super) fn transitions(&self) -> u64 {
        self.policy().imp_transitions
    }

    /// Waits until the task is not boosted any more.
    pub(super) fn await_end_of_boost(&self) {
        eventually("the boost ends", || !self.is_boosted());
    }

    /// Puts an application into App Nap, or takes it out.
    pub(super) fn set_nap(&self, naps: bool) {
        let mut nap = [0; 16];
        (nap[0], nap[1]) = (naps.into(), naps.into());
        check::equal("the nap", policy::set_task_policy(self.task, TASK_SUPPRESSION_POLICY, &nap), Ok(()));
    }

    /// Ends the task.
    pub(super) fn end(self) {
        task::terminate(self.task).expect("the task is alive");
        check::equal("the exit status", self.await_exit(), ExitStatus::TERMINATED);
    }

    /// Waits for the end of the task.
    pub(super) fn await_exit(self) -> ExitStatus {
        let status = task::wait_for_exit(self.exit.name()).expect("the exit message comes");
        port::deallocate(self.task).expect("the name exists");
        status
    }
}

/// Waits until a condition holds.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = now() + LIMIT * MILLISECOND;
    while !holds() {
        assert!(now() < deadline, "{what}: not in time");
        sleep(1);
    }
}
