//! All orders in which the traps of a few threads and the expiry of deadlines can follow each other.
//!
//! Each thread has a script of a few traps. A schedule chooses at every point which one makes the next step: a thread
//! that is not blocked and has a trap left, or the clock, which advances to the next deadline. The explorer visits
//! every schedule, each in a new world. It checks all invariants after every step (among them I8 and I9: no thread
//! waits for a message or for room that is there) and the fate of every message at the end.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::kernel::Event;
use kernel::machine::{Machine, Nanos};
use std::collections::BTreeSet;

/// The bit that is set in the codes of receive errors and clear in those of send errors.
const RECEIVE_ERROR: i32 = 0x4000;

/// The last call of `mach_msg` of a thread.
#[derive(Clone, Copy, Default)]
struct Call {
    /// The id of the message that the call sends.
    sends: Option<i32>,
    receives: bool,
}

/// One run of a configuration: a world with a few threads, and the results of their calls. The vectors have one element
/// for each thread.
struct Run {
    world: World,
    actors: Vec<Actor>,
    /// The actor's name for the port under test.
    ports: Vec<PortName>,
    /// The call that the actor is in.
    calls: Vec<Option<Call>>,
    /// The reply right of the last message that the actor received.
    reply_to: Vec<PortName>,
    /// A second name, if the actor's script needs one.
    second: Vec<PortName>,
    /// The ids of messages whose send succeeded, and of those whose send failed.
    sent: BTreeSet<i32>,
    refused: BTreeSet<i32>,
    received: Vec<i32>,
    /// The codes that the actor's calls returned.
    codes: Vec<Vec<KernReturn>>,
    next_id: i32,
}

type Step = fn(&mut Run, usize);

impl Run {
    fn new(world: World, actors: &[(Actor, PortName)]) -> Run {
        let n = actors.len();
        Run {
            world,
            actors: actors.iter().map(|index| index.0).collect(),
            ports: actors.iter().map(|index| index.1).collect(),
            calls: vec![None; n],
            reply_to: vec![MACH_PORT_NULL; n],
            second: vec![MACH_PORT_NULL; n],
            sent: BTreeSet::new(),
            refused: BTreeSet::new(),
            received: Vec::new(),
            codes: vec![Vec::new(); n],
            next_id: 1000,
        }
    }

    /// Makes an actor call `mach_msg`. A message gets a unique id.
    fn mach_msg(&mut self, index: usize, message: Option<Msg>, receive: Option<PortName>, timeout: Option<u32>) {
        let actor = self.actors[index];
        let mut call = Call { sends: None, receives: receive.is_some() };
        let mut args = MachMsg { receive_size: 4096, timeout: timeout.unwrap_or(0), ..MachMsg::default() };
        if let Some(message) = message {
            self.next_id += 1;
            call.sends = Some(self.next_id);
            let bytes = message.id(self.next_id).encode();
            self.world.put(actor, BUFFER, &bytes);
            (args.send_size, args.options) = (bytes.len() as u32, MsgOption::SEND_MSG);
        }
        if let Some(name) = receive {
            args.receive_name = name;
            args.options |= MsgOption::RCV_MSG;
        }
        if timeout.is_some() {
            args.options |= MsgOption::SEND_TIMEOUT | MsgOption::RCV_TIMEOUT;
        }
        self.calls[index] = Some(call);
        self.world.start_mach_msg(actor, &args);
    }

    /// Returns true if the actor's last trap has returned.
    fn is_free(&self, index: usize) -> bool {
        let thread = self.world.kernel.sched.get(self.actors[index].thread);
        thread.is_some_and(|thread| !thread.has_continuation())
            && matches!(self.world.state(self.actors[index]), Ret::Done(_))
    }

    /// Records the results of all calls that have returned.
    fn record_results(&mut self) {
        for index in 0..self.actors.len() {
            if !self.is_free(index) {
                continue;
            }
            let Some(call) = self.calls[index].take() else { continue };
            let code = self.world.state(self.actors[index]).code();
            self.codes[index].push(code);
            if let Some(id) = call.sends {
                let refused = code != KERN_SUCCESS && code.0 & RECEIVE_ERROR == 0;
                if refused {
                    self.refused.insert(id)
                } else {
                    self.sent.insert(id)
                };
            }
            if call.receives && code == KERN_SUCCESS {
                let message = self.world.received(self.actors[index]);
                self.received.push(message.header.msgh_id);
                self.reply_to[index] = message.header.msgh_remote_port;
            }
        }
    }

    /// Advances the clock to the next deadline. A sender whose time is over takes its message back.
    fn pass_time(&mut self) {
        let by = self.world.kernel.sched.earliest_deadline() - self.world.machine.now();
        self.world.machine.advance(by);
        let _ = self.world.event(Event::Timer);
        self.world.settle();
    }

    /// Receives all messages that are still queued on a port; returns their ids.
    fn drain(&mut self, index: usize, name: PortName) -> Vec<i32> {
        let actor = self.actors[index];
        std::iter::from_fn(|| self.world.poll(actor, name).ok().map(|message| message.header.msgh_id)).collect()
    }

    /// Checks that exactly the messages sent have arrived, each once. `left` are the ids of messages drained at the
    /// end.
    fn assert_each_message_arrived_once(&self, left: &[i32]) {
        let all: Vec<i32> = self.received.iter().chain(left).copied().collect();
        let unique: BTreeSet<i32> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "a message arrived twice: {all:?}");
        assert_eq!(unique, self.sent, "the messages that arrived are those that were sent");
    }
}

struct Configuration {
    prepare: fn() -> Run,
    scripts: &'static [&'static [Step]],
    check: fn(&mut Run),
}

/// Returns the possible next steps: the indices of actors, and the index behind the last actor for the clock.
fn choices(run: &Run, left: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..left.len()).filter(|&index| left[index] > 0 && run.is_free(index)).collect();
    if run.world.kernel.sched.earliest_deadline() != Nanos::MAX {
        all.push(left.len());
    }
    all
}

/// Runs one schedule: the given choices, then always the first. Returns each choice with the number of alternatives.
fn run_schedule(configuration: &Configuration, given: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let baseline = World::new().counts();
    let mut run = (configuration.prepare)();
    let mut left: Vec<usize> = configuration.scripts.iter().map(|script| script.len()).collect();
    let mut path = Vec::new();
    loop {
        run.record_results();
        let choices = choices(&run, &left);
        if choices.is_empty() {
            break;
        }
        let pick = given.get(path.len()).map_or(0, |choice| choice.0);
        path.push((pick, choices.len()));
        match choices[pick] {
            clock if clock == left.len() => run.pass_time(),
            index => {
                let script = configuration.scripts[index];
                let step = script[script.len() - left[index]];
                left[index] -= 1;
                step(&mut run, index);
            }
        }
    }
    run.world.settle();
    run.record_results();
    (configuration.check)(&mut run);
    for actor in run.actors.clone() {
        run.world.end_task(actor);
    }
    run.world.settle();
    let init = run.world.init;
    while run.world.poll(init, init.inbox).is_ok() {}
    run.world.release_dead_names();
    assert_eq!(run.world.counts(), baseline, "all objects of the tasks are gone");
    path
}

/// Visits all schedules in depth-first order; returns their number.
fn explore(configuration: &Configuration) -> usize {
    let mut schedules = 0;
    let mut path: Vec<(usize, usize)> = Vec::new();
    loop {
        let given = path.clone();
        let outcome = std::panic::catch_unwind(|| run_schedule(configuration, &given));
        path = outcome.unwrap_or_else(|panic| {
            eprintln!("the schedule that begins with {given:?} fails");
            std::panic::resume_unwind(panic)
        });
        schedules += 1;
        while path.last().is_some_and(|&(pick, of)| pick + 1 == of) {
            path.pop();
        }
        match path.last_mut() {
            Some(choice) => choice.0 += 1,
            None => return schedules,
        }
    }
}

/// A client with a reply port as its second name, and a server with two threads.
fn client_and_server() -> Run {
    let mut w = World::new();
    let (client, server) = (w.task(), w.task());
    let helper = w.thread(server);
    let (port, send_right) = w.connect(client, server);
    let reply = w.port(client);
    let mut run = Run::new(w, &[(client, send_right), (server, port), (helper, port)]);
    run.second[0] = reply;
    run
}

/// Sends a request with a reply right and waits for the answer, 5 ms at most.
fn ask(run: &mut Run, index: usize) {
    let reply = run.second[index];
    let request = Msg::copy_send(run.ports[index]).reply_to(reply, D::MAKE_SEND_ONCE);
    run.mach_msg(index, Some(request), Some(reply), Some(5));
}

/// Receives without a timeout.
fn receive(run: &mut Run, index: usize) {
    run.mach_msg(index, None, Some(run.ports[index]), None);
}

/// Receives with a timeout of 2 ms.
fn receive_for_a_while(run: &mut Run, index: usize) {
    run.mach_msg(index, None, Some(run.ports[index]), Some(2));
}

/// Answers the last request, if there was one, and receives the next in the same call.
fn answer_and_receive(run: &mut Run, index: usize) {
    let to = std::mem::replace(&mut run.reply_to[index], MACH_PORT_NULL);
    let answer = to.is_valid().then(|| Msg::to(to, D::MOVE_SEND_ONCE));
    run.mach_msg(index, answer, Some(run.ports[index]), None);
}

fn send(run: &mut Run, index: usize) {
    run.mach_msg(index, Some(Msg::copy_send(run.ports[index])), None, None);
}

/// Sends with a timeout of 3 ms.
fn send_for_a_while(run: &mut Run, index: usize) {
    run.mach_msg(index, Some(Msg::copy_send(run.ports[index])), None, Some(3));
}

fn destroy_port(run: &mut Run, index: usize) {
    let (actor, name) = (run.actors[index], run.ports[index]);
    let args = [actor.self_port.0, name.0, MACH_PORT_RIGHT_RECEIVE, u32::MAX].map(u64::from);
    run.world.start_trap(actor, mach::MACH_PORT_MOD_REFS, &args);
}

fn exit(run: &mut Run, index: usize) {
    run.world.start_trap(run.actors[index], abi::trap::unix::EXIT, &[0]);
}

/// Ends the server, and checks that each accepted request had one answer: a reply, or the notification that its reply
/// right was destroyed.
fn each_request_is_answered_once(run: &mut Run) {
    run.world.end_task(run.actors[1]);
    run.world.settle();
    run.record_results();
    assert!(run.is_free(0), "the client's last call has returned");
    let mut answers = run.drain(0, run.second[0]).len();
    answers += run.codes[0].iter().filter(|&&code| code == KERN_SUCCESS).count();
    let accepted = run.codes[0].iter().filter(|code| code.0 == 0 || code.0 & RECEIVE_ERROR != 0).count();
    assert_eq!(answers, accepted, "answers of all kinds, for {:?}", run.codes[0]);
    for code in &run.codes[0] {
        let expected = [KERN_SUCCESS, MACH_RCV_TIMED_OUT, MACH_SEND_TIMED_OUT, MACH_SEND_INVALID_DEST];
        assert!(expected.contains(code), "the client's call returns {code:?}");
    }
}

#[test]
fn a_request_is_answered_once_in_every_schedule() {
    let configuration = Configuration {
        prepare: client_and_server,
        scripts: &[&[ask, ask, ask], &[receive, answer_and_receive, answer_and_receive, answer_and_receive], &[]],
        check: each_request_is_answered_once,
    };
    assert!(explore(&configuration) >= 30);
}

#[test]
fn a_request_is_answered_once_even_if_the_server_port_dies_at_any_time() {
    let configuration = Configuration {
        prepare: client_and_server,
        scripts: &[
            &[ask, ask, ask],
            &[receive, answer_and_receive, answer_and_receive, answer_and_receive],
            &[destroy_port],
        ],
        check: each_request_is_answered_once,
    };
    assert!(explore(&configuration) >= 100);
}

#[test]
fn a_request_is_answered_once_even_if_the_server_exits_at_any_time() {
    let configuration = Configuration {
        prepare: client_and_server,
        scripts: &[&[ask, ask, ask], &[receive, answer_and_receive, answer_and_receive, answer_and_receive], &[exit]],
        check: each_request_is_answered_once,
    };
    assert!(explore(&configuration) >= 100);
}

/// A task with two senders and a task with two receivers, for a queue that has room for one message.
fn narrow_queue() -> Run {
    let mut w = World::new();
    let (sender, receiver) = (w.task(), w.task());
    let (timed, helper) = (w.thread(sender), w.thread(receiver));
    let (port, send_right) = w.connect(sender, receiver);
    w.set_qlimit(receiver, port, 1).unwrap();
    Run::new(w, &[(sender, send_right), (timed, send_right), (receiver, port), (helper, port)])
}

fn narrow_queue_check(run: &mut Run) {
    let mut left = Vec::new();
    while let Some(index) = [2, 3].into_iter().find(|&index| run.is_free(index)) {
        let more = run.drain(index, run.ports[index]);
        run.record_results();
        if more.is_empty() {
            break;
        }
        left.extend(more);
    }
    assert!(run.calls[0].is_none() && run.calls[1].is_none(), "no sender waits, since the queue has room");
    run.assert_each_message_arrived_once(&left);
    assert!(run.refused.is_disjoint(&run.received.iter().chain(&left).copied().collect()));
}

#[test]
fn accepted_messages_arrive_once_and_refused_messages_never() {
    let configuration = Configuration {
        prepare: narrow_queue,
        scripts: &[
            &[send, send],
            &[send_for_a_while, send_for_a_while],
            &[receive_for_a_while, receive_for_a_while],
            &[receive_for_a_while],
        ],
        check: narrow_queue_check,
    };
    assert!(explore(&configuration) >= 2000);
}

/// A sender, an owner with two threads, one of which moves the receive right, and the task that gets it.
fn moving_port() -> Run {
    let mut w = World::new();
    let (sender, owner, new_owner) = (w.task(), w.task(), w.task());
    let mover = w.thread(owner);
    let (port, send_right) = w.connect(sender, owner);
    w.set_qlimit(owner, port, 2).unwrap();
    let (mailbox, to_new_owner) = w.connect(owner, new_owner);
    let mut run = Run::new(w, &[(sender, send_right), (owner, port), (mover, to_new_owner), (new_owner, mailbox)]);
    run.second[2] = port;
    run
}

/// Sends away the receive right under the actor's second name.
fn move_port(run: &mut Run, index: usize) {
    let message = Msg::copy_send(run.ports[index]).port(run.second[index], D::MOVE_RECEIVE);
    run.world.put(run.actors[index], BUFFER, &message.encode());
    let size = message.encode().len() as u32;
    let args = MachMsg { options: MsgOption::SEND_MSG, send_size: size, ..MachMsg::default() };
    run.world.start_mach_msg(run.actors[index], &args);
}

/// Receives the moved receive right, if it has come, so that the actor can receive from it.
fn take_port(run: &mut Run, index: usize) {
    let has_port = run.second[index].is_valid();
    if !has_port && let Ok(message) = run.world.poll(run.actors[index], run.ports[index]) {
        run.ports[index] = message.descriptor(0).name;
        run.second[index] = run.ports[index];
    }
}

/// Receives from the moved port if it has come; otherwise polls for it once more.
fn receive_from_port(run: &mut Run, index: usize) {
    if !run.second[index].is_valid() {
        return take_port(run, index);
    }
    run.mach_msg(index, None, Some(run.ports[index]), Some(0));
}

fn moving_port_check(run: &mut Run) {
    take_port(run, 3);
    let mut left = run.drain(3, run.ports[3]);
    run.world.settle();
    run.record_results();
    left.extend(run.drain(3, run.ports[3]));
    assert!(run.calls[0].is_none(), "the sender finds room wherever the port is");
    run.assert_each_message_arrived_once(&left);
    let expected = [KERN_SUCCESS, MACH_RCV_TIMED_OUT, MACH_RCV_PORT_CHANGED, MACH_RCV_INVALID_NAME];
    assert!(run.codes[1].iter().all(|code| expected.contains(code)), "seen: {:?}", run.codes[1]);
}

#[test]
fn messages_travel_with_their_port_and_arrive_once() {
    let configuration = Configuration {
        prepare: moving_port,
        scripts: &[&[send, send, send], &[receive_for_a_while, receive_for_a_while], &[move_port], &[take_port]],
        check: moving_port_check,
    };
    assert!(explore(&configuration) >= 100);
    let configuration = Configuration {
        scripts: &[&[send, send], &[receive], &[move_port], &[take_port, receive_from_port]],
        ..configuration
    };
    assert!(explore(&configuration) >= 50);
}

/// A sender, and a task with a thread that waits on a set, one that waits on its member, and one that changes the set.
fn set_and_member() -> Run {
    let mut w = World::new();
    let (sender, receiver) = (w.task(), w.task());
    let (on_port, changer) = (w.thread(receiver), w.thread(receiver));
    let (port, send_right) = w.connect(sender, receiver);
    let set = w.allocate(receiver, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let args = [receiver.self_port.0, port.0, set.0].map(u64::from);
    w.call(receiver, mach::MACH_PORT_INSERT_MEMBER, &args).unwrap();
    let mut run = Run::new(w, &[(sender, send_right), (receiver, set), (on_port, port), (changer, port)]);
    run.second[3] = set;
    run
}

fn change_member(run: &mut Run, index: usize, call: u32) {
    let args = [run.actors[index].self_port.0, run.ports[index].0, run.second[index].0].map(u64::from);
    run.world.start_trap(run.actors[index], call, &args);
}

fn take_member_out(run: &mut Run, index: usize) {
    change_member(run, index, mach::MACH_PORT_EXTRACT_MEMBER);
}

fn put_member_in(run: &mut Run, index: usize) {
    change_member(run, index, mach::MACH_PORT_INSERT_MEMBER);
}

fn destroy_set(run: &mut Run, index: usize) {
    let args = [run.actors[index].self_port.0, run.second[index].0, MACH_PORT_RIGHT_PORT_SET, u32::MAX];
    run.world.start_trap(run.actors[index], mach::MACH_PORT_MOD_REFS, &args.map(u64::from));
}

fn set_and_member_check(run: &mut Run) {
    let left = run.drain(3, run.ports[3]);
    run.assert_each_message_arrived_once(&left);
    let waits = [1, 2].map(|index| run.calls[index].is_some());
    assert!(left.is_empty() || !waits[1], "no thread waits on a port that has a message");
}

#[test]
fn a_message_reaches_one_waiter_on_the_set_or_its_member() {
    let configuration = Configuration {
        prepare: set_and_member,
        scripts: &[&[send, send], &[receive], &[receive_for_a_while], &[take_member_out, put_member_in]],
        check: set_and_member_check,
    };
    assert!(explore(&configuration) >= 300);
    let configuration =
        Configuration { scripts: &[&[send, send], &[receive, receive], &[receive], &[destroy_set]], ..configuration };
    assert!(explore(&configuration) >= 50);
}
