//! The actors as the narrator sees them.

use super::talk::{self, Hello, MEET, SHARE, THREADS_MAX};
use crate::message::{Message, call_object};
use crate::policy;
use crate::port::Port;
use crate::task::{self, Spawn};
use crate::usage::{self, Usage};
use abi::PortName;
use abi::message::MsgOption;
use abi::mig::thread_act;
use abi::policy::{PolicyState, SuppressionPolicy, TASK_POLICY_STATE, TASK_SUPPRESSION_POLICY};
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use heapless::Vec;
use zerocopy::FromBytes;

/// A part in the play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the actor in its reports, and its argument.
    pub who: u32,
    /// Its name.
    pub name: &'static str,
    /// What it is, in plain words.
    pub description: &'static str,
    /// The type of the task.
    pub app_type: AppType,
    /// The role of the task.
    pub role: Role,
}

/// A task that plays a part.
#[derive(Debug)]
pub struct Actor {
    /// The part.
    pub part: &'static Part,
    /// The task's number.
    pub pid: u32,
    task: PortName,
    port: PortName,
    threads: Vec<PortName, THREADS_MAX>,
    exit: Port,
}

/// What an actor gets besides what it starts with. The demo runs on small machines.
const ACTOR_BYTES: u64 = 48 * 1024;
const ACTOR_PAGES: u64 = 32;

/// What the kernel says about an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The base priority of its main thread.
    pub priority: u32,
    /// The boosts by messages that it has not received.
    pub sent: u32,
    /// The boosts that vouchers hold.
    pub held: u32,
    /// The flags of its importance.
    pub flags: u32,
    /// How often a boost of it has begun.
    pub begun: u64,
}

impl Actor {
    /// Starts the actor and waits until it is ready.
    pub fn start(part: &'static Part, narrator: PortName) -> Actor {
        let exit = Port::new();
        let spawn =
            Spawn::program_as("demo", part.name).argument(part.name).kernel_bytes(ACTOR_BYTES).pages(ACTOR_PAGES);
        let spawn = spawn.policy(part.app_type, part.role, Qos::Unspecified);
        let task = spawn.bootstrap(narrator).exit_port(exit.name()).start().expect("an actor starts");
        let Hello { pid, port, threads } = Hello::receive(narrator);
        Actor { part, pid, task, port, threads, exit }
    }

    /// Returns an actor that runs already, whose main thread is this one.
    pub fn running(part: &'static Part, pid: u32, thread: PortName) -> Actor {
        let task = task::for_pid(pid).expect("the narrator may have the task");
        let threads = [thread].into_iter().collect();
        Actor { part, pid, task, port: MACH_PORT_NULL, threads, exit: Port::new() }
    }

    /// Sends the actor an order.
    pub fn order(&self, id: i32, words: &[u32]) {
        Message::copy_send(self.port).id(id).words(words).send().expect("the actor is alive");
    }

    /// Tells the actor whom to ask.
    pub fn meet(&self, other: &Actor) {
        let order = Message::copy_send(self.port).id(MEET).port(other.port, Disposition::COPY_SEND);
        talk::send(order, MsgOption::empty());
    }

    /// Tells the actor, an app, to share something with another one.
    pub fn share_with(&self, other: &Actor) {
        let order = Message::copy_send(self.port).id(SHARE).port(other.port, Disposition::COPY_SEND);
        talk::send(order, MsgOption::empty());
    }

    /// Looks at the actor. None if it has ended.
    pub fn look(&self) -> Option<Look> {
        let thread = task::thread_info(self.threads[0]).ok()?;
        let reply = policy::task_policy(self.task, TASK_POLICY_STATE, 16).ok()?;
        // The policy follows the NDR record, the code and the count of words.
        let state = PolicyState::read_from_prefix(reply.body().get(16..)?).ok()?.0;
        let (all, held) = (state.imp_assertcnt, state.imp_externcnt);
        let (priority, flags) = (thread.base_priority, state.flags as u32);
        Some(Look { priority, sent: all - held, held, flags, begun: state.imp_transitions })
    }

    /// Returns what the actor has used, and what for.
    pub fn usage(&self) -> Usage {
        usage::of_task(self.pid.into()).expect("the actor is alive")
    }

    /// Begins or ends the actor's nap.
    pub fn nap(&self, naps: bool) {
        let word = u32::from(naps);
        let nap = SuppressionPolicy { active: word, lowpri_cpu: word, suppressed_cpu: word, ..Default::default() };
        let words: &[u32] = &zerocopy::transmute!(nap) as &[u32; 16];
        policy::set_task_policy(self.task, TASK_SUPPRESSION_POLICY, words).expect("the narrator may set the policy");
    }

    /// Suspends or resumes the actor's threads.
    pub fn run(&self, runs: bool) {
        let call = if runs { thread_act::RESUME } else { thread_act::SUSPEND };
        for &thread in &self.threads {
            call_object(thread, call, &[]).expect("the thread is alive");
        }
    }

    /// Ends the actor and waits until nothing is left of it.
    pub fn end(&self) {
        task::terminate(self.task).expect("the actor has not ended");
        let status = task::wait_for_exit(self.exit.name());
        assert_eq!(status, Ok(ExitStatus::TERMINATED), "the actor ends");
    }
}
