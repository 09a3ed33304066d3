//! All orders in which the traps of a few threads, and the passing of time, can follow each other.
//!
//! Each thread has a script of a few traps. A schedule says at every point who goes on: a thread that can run and has
//! something left to do, or the clock up to the next deadline. The explorer visits every schedule, each in a fresh world,
//! checks all invariants after every step (among them that nobody waits for what is there: I8, I9), and in the end what
//! became of every message.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, Ret, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::kernel::Event;
use kernel::machine::{Machine, Nanos};
use std::collections::BTreeSet;

/// A trap that a thread is in or has made.
#[derive(Clone, Copy, Default)]
struct Call {
    /// The id of the message it sends.
    sends: Option<i32>,
    receives: bool,
}

/// A world with actors, and what happened to them.
struct Play {
    world: World,
    actors: Vec<Actor>,
    /// Each actor's names for the port that the play is about, or for what stands for it.
    ports: Vec<PortName>,
    calls: Vec<Option<Call>>,
    /// Where each actor can answer to.
    reply_to: Vec<PortName>,
    /// Another name that an actor needs.
    second: Vec<PortName>,
    /// Ids of messages by what became of their sending.
    sent: BTreeSet<i32>,
    refused: BTreeSet<i32>,
    received: Vec<i32>,
    /// What each actor's calls returned.
    codes: Vec<Vec<KernReturn>>,
    next_id: i32,
}

type Step = fn(&mut Play, usize);

impl Play {
    fn new(world: World, players: &[(Actor, PortName)]) -> Play {
        let n = players.len();
        Play {
            world,
            actors: players.iter().map(|player| player.0).collect(),
            ports: players.iter().map(|player| player.1).collect(),
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

    /// A call of `mach_msg` by a player. A message gets an id of its own.
    fn mach_msg(&mut self, player: usize, message: Option<Msg>, receive: Option<PortName>, timeout: Option<u32>) {
        let actor = self.actors[player];
        let mut call = Call { sends: None, receives: receive.is_some() };
        let mut args = MachMsg { receive_size: 4096, timeout: timeout.unwrap_or(0), ..MachMsg::default() };
        if let Some(message) = message {
            self.next_id += 1;
            call.sends = Some(self.next_id);
            let bytes = message.id(self.next_id).encode();
            self.world.put(actor, 4096, &bytes);
            (args.send_size, args.options) = (bytes.len() as u32, MsgOption::SEND_MSG);
        }
        if let Some(name) = receive {
            args.receive_name = name;
            args.options |= MsgOption::RCV_MSG;
        }
        if timeout.is_some() {
            args.options |= MsgOption::SEND_TIMEOUT | MsgOption::RCV_TIMEOUT;
        }
        self.calls[player] = Some(call);
        self.world.start_mach_msg(actor, &args);
    }

    /// Whether a player's last trap is over.
    fn is_free(&self, player: usize) -> bool {
        let thread = self.world.kernel.sched.get(self.actors[player].thread);
        thread.is_some_and(|thread| !thread.has_continuation())
            && matches!(self.world.state(self.actors[player]), Ret::Done(_))
    }

    /// Notes what the calls that are over returned.
    fn note(&mut self) {
        for player in 0..self.actors.len() {
            if !self.is_free(player) {
                continue;
            }
            let Some(call) = self.calls[player].take() else { continue };
            let code = self.world.state(self.actors[player]).code();
            self.codes[player].push(code);
            if let Some(id) = call.sends {
                let refused = code != KERN_SUCCESS && code.0 & 0x4000 == 0;
                if refused {
                    self.refused.insert(id)
                } else {
                    self.sent.insert(id)
                };
            }
            if call.receives && code == KERN_SUCCESS {
                let message = self.world.received(self.actors[player]);
                self.received.push(message.header.msgh_id);
                self.reply_to[player] = message.header.msgh_remote_port;
            }
        }
    }

    /// Time passes up to the next deadline.
    fn pass_time(&mut self) {
        let by = self.world.kernel.sched.earliest_deadline() - self.world.machine.now();
        self.world.machine.advance(by);
        let _ = self.world.event(Event::Timer);
    }

    /// What is still queued on a port: the player takes it.
    fn drain(&mut self, player: usize, name: PortName) -> Vec<i32> {
        let actor = self.actors[player];
        std::iter::from_fn(|| self.world.poll(actor, name).ok().map(|message| message.header.msgh_id)).collect()
    }

    /// Every message sent was received once, and no other.
    fn each_message_arrived_once(&self, left: &[i32]) {
        let all: Vec<i32> = self.received.iter().chain(left).copied().collect();
        let unique: BTreeSet<i32> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "a message arrived twice: {all:?}");
        assert_eq!(unique, self.sent, "what was sent is what arrived");
    }
}

struct Configuration {
    prepare: fn() -> Play,
    scripts: &'static [&'static [Step]],
    check: fn(&mut Play),
}

/// Who can go on: players, and the clock as the number behind them.
fn choices(play: &Play, left: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..left.len()).filter(|&player| left[player] > 0 && play.is_free(player)).collect();
    if play.world.kernel.sched.earliest_deadline() != Nanos::MAX {
        all.push(left.len());
    }
    all
}

/// Runs one schedule: the choices given, then always the first. Returns all choices made and how many there were to make.
fn run(configuration: &Configuration, given: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let baseline = World::new().counts();
    let mut play = (configuration.prepare)();
    let mut left: Vec<usize> = configuration.scripts.iter().map(|script| script.len()).collect();
    let mut path = Vec::new();
    loop {
        play.note();
        let choices = choices(&play, &left);
        if choices.is_empty() {
            break;
        }
        let pick = given.get(path.len()).map_or(0, |choice| choice.0);
        path.push((pick, choices.len()));
        match choices[pick] {
            clock if clock == left.len() => play.pass_time(),
            player => {
                let script = configuration.scripts[player];
                let step = script[script.len() - left[player]];
                left[player] -= 1;
                step(&mut play, player);
            }
        }
    }
    play.world.settle();
    play.note();
    (configuration.check)(&mut play);
    for actor in play.actors.clone() {
        play.world.end_task(actor);
    }
    play.world.settle();
    let init = play.world.init;
    while play.world.poll(init, init.inbox).is_ok() {}
    play.world.release_dead_names();
    assert_eq!(play.world.counts(), baseline, "everything ends with the tasks");
    path
}

/// Visits all schedules; returns how many there are.
fn explore(configuration: &Configuration) -> usize {
    let mut schedules = 0;
    let mut path: Vec<(usize, usize)> = Vec::new();
    loop {
        let given = path.clone();
        let outcome = std::panic::catch_unwind(|| run(configuration, &given));
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

/// Client, server with two threads: the client's send_right, the server's port, the reply port as the client's last name.
fn client_and_server() -> Play {
    let mut w = World::new();
    let (client, server) = (w.task(), w.task());
    let helper = w.thread(server);
    let (port, send_right) = w.connect(client, server);
    let reply = w.port(client);
    let mut play = Play::new(w, &[(client, send_right), (server, port), (helper, port)]);
    play.second[0] = reply;
    play
}

/// A request with a send-once right for the answer, and up to 5 ms for sending and waiting.
fn ask(play: &mut Play, player: usize) {
    let reply = play.second[player];
    let request = Msg::copy_send(play.ports[player]).reply_to(reply, D::MAKE_SEND_ONCE);
    play.mach_msg(player, Some(request), Some(reply), Some(5));
}

/// Receives without a timeout.
fn receive(play: &mut Play, player: usize) {
    play.mach_msg(player, None, Some(play.ports[player]), None);
}

/// Receives for up to 2 ms.
fn receive_for_a_while(play: &mut Play, player: usize) {
    play.mach_msg(player, None, Some(play.ports[player]), Some(2));
}

/// Answers the last request, if there was one, and receives the next.
fn answer_and_receive(play: &mut Play, player: usize) {
    let to = std::mem::replace(&mut play.reply_to[player], MACH_PORT_NULL);
    let answer = to.is_valid().then(|| Msg::to(to, D::MOVE_SEND_ONCE));
    play.mach_msg(player, answer, Some(play.ports[player]), None);
}

fn send(play: &mut Play, player: usize) {
    play.mach_msg(player, Some(Msg::copy_send(play.ports[player])), None, None);
}

/// Sends, waiting for room for up to 3 ms.
fn send_for_a_while(play: &mut Play, player: usize) {
    play.mach_msg(player, Some(Msg::copy_send(play.ports[player])), None, Some(3));
}

fn destroy_port(play: &mut Play, player: usize) {
    let (actor, name) = (play.actors[player], play.ports[player]);
    let args = [actor.self_port.0, name.0, MACH_PORT_RIGHT_RECEIVE, u32::MAX].map(u64::from);
    play.world.start_trap(actor, mach::MACH_PORT_MOD_REFS, &args);
}

fn exit(play: &mut Play, player: usize) {
    play.world.start_trap(play.actors[player], abi::trap::unix::EXIT, &[0]);
}

/// When the server is gone each request that was accepted has had one answer, be it that the right for it was destroyed.
fn each_request_is_answered_once(play: &mut Play) {
    play.world.end_task(play.actors[1]);
    play.world.settle();
    play.note();
    assert!(play.is_free(0), "the client's calls end, whatever the server does");
    let mut answers = play.drain(0, play.second[0]).len();
    answers += play.codes[0].iter().filter(|&&code| code == KERN_SUCCESS).count();
    let accepted = play.codes[0].iter().filter(|code| code.0 == 0 || code.0 & 0x4000 != 0).count();
    assert_eq!(answers, accepted, "answers of all kinds, for {:?}", play.codes[0]);
    for code in &play.codes[0] {
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

/// Two senders in one task, a receiver with two threads in another; the queue has room for one message.
fn narrow_queue() -> Play {
    let mut w = World::new();
    let (sender, receiver) = (w.task(), w.task());
    let (impatient, helper) = (w.thread(sender), w.thread(receiver));
    let (port, send_right) = w.connect(sender, receiver);
    w.set_qlimit(receiver, port, 1).unwrap();
    Play::new(w, &[(sender, send_right), (impatient, send_right), (receiver, port), (helper, port)])
}

fn narrow_queue_check(play: &mut Play) {
    let mut left = Vec::new();
    while let Some(player) = [2, 3].into_iter().find(|&player| play.is_free(player)) {
        let more = play.drain(player, play.ports[player]);
        play.note();
        if more.is_empty() {
            break;
        }
        left.extend(more);
    }
    assert!(play.calls[0].is_none() && play.calls[1].is_none(), "nobody waits for room that is there");
    play.each_message_arrived_once(&left);
    assert!(play.refused.is_disjoint(&play.received.iter().chain(&left).copied().collect()));
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

/// The receive right travels to another task while messages are sent and received.
fn travelling_port() -> Play {
    let mut w = World::new();
    let (sender, owner, heir) = (w.task(), w.task(), w.task());
    let mover = w.thread(owner);
    let (port, send_right) = w.connect(sender, owner);
    w.set_qlimit(owner, port, 2).unwrap();
    let (mailbox, to_heir) = w.connect(owner, heir);
    let mut play = Play::new(w, &[(sender, send_right), (owner, port), (mover, to_heir), (heir, mailbox)]);
    play.second[2] = port;
    play
}

/// Sends the port away that the player keeps as its second name.
fn move_port(play: &mut Play, player: usize) {
    let message = Msg::copy_send(play.ports[player]).port(play.second[player], D::MOVE_RECEIVE);
    play.world.put(play.actors[player], 4096, &message.encode());
    let size = message.encode().len() as u32;
    let args = MachMsg { options: MsgOption::SEND_MSG, send_size: size, ..MachMsg::default() };
    play.world.start_mach_msg(play.actors[player], &args);
}

/// Takes a port out of the message that is there, if it is, to receive from it.
fn take_port(play: &mut Play, player: usize) {
    let has_it = play.second[player].is_valid();
    if !has_it && let Ok(message) = play.world.poll(play.actors[player], play.ports[player]) {
        play.ports[player] = message.descriptor(0).name;
        play.second[player] = play.ports[player];
    }
}

/// Receives from the port if it has come, else looks for it once more.
fn receive_from_port(play: &mut Play, player: usize) {
    if !play.second[player].is_valid() {
        return take_port(play, player);
    }
    play.mach_msg(player, None, Some(play.ports[player]), Some(0));
}

fn travelling_port_check(play: &mut Play) {
    take_port(play, 3);
    let mut left = play.drain(3, play.ports[3]);
    play.world.settle();
    play.note();
    left.extend(play.drain(3, play.ports[3]));
    assert!(play.calls[0].is_none(), "the sender finds room wherever the port is");
    play.each_message_arrived_once(&left);
    let expected = [KERN_SUCCESS, MACH_RCV_TIMED_OUT, MACH_RCV_PORT_CHANGED, MACH_RCV_INVALID_NAME];
    assert!(play.codes[1].iter().all(|code| expected.contains(code)), "seen: {:?}", play.codes[1]);
}

#[test]
fn messages_travel_with_their_port_and_arrive_once() {
    let configuration = Configuration {
        prepare: travelling_port,
        scripts: &[&[send, send, send], &[receive_for_a_while, receive_for_a_while], &[move_port], &[take_port]],
        check: travelling_port_check,
    };
    assert!(explore(&configuration) >= 100);
    let configuration = Configuration {
        scripts: &[&[send, send], &[receive], &[move_port], &[take_port, receive_from_port]],
        ..configuration
    };
    assert!(explore(&configuration) >= 50);
}

/// One thread waits on a set, one on its member, while a third takes the member out.
fn set_and_member() -> Play {
    let mut w = World::new();
    let (sender, receiver) = (w.task(), w.task());
    let (on_port, changer) = (w.thread(receiver), w.thread(receiver));
    let (port, send_right) = w.connect(sender, receiver);
    let set = w.allocate(receiver, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let args = [receiver.self_port.0, port.0, set.0].map(u64::from);
    w.call(receiver, mach::MACH_PORT_INSERT_MEMBER, &args).unwrap();
    let mut play = Play::new(w, &[(sender, send_right), (receiver, set), (on_port, port), (changer, port)]);
    play.second[3] = set;
    play
}

fn change_member(play: &mut Play, player: usize, call: u32) {
    let args = [play.actors[player].self_port.0, play.ports[player].0, play.second[player].0].map(u64::from);
    play.world.start_trap(play.actors[player], call, &args);
}

fn take_member_out(play: &mut Play, player: usize) {
    change_member(play, player, mach::MACH_PORT_EXTRACT_MEMBER);
}

fn put_member_in(play: &mut Play, player: usize) {
    change_member(play, player, mach::MACH_PORT_INSERT_MEMBER);
}

fn destroy_set(play: &mut Play, player: usize) {
    let args = [play.actors[player].self_port.0, play.second[player].0, MACH_PORT_RIGHT_PORT_SET, u32::MAX];
    play.world.start_trap(play.actors[player], mach::MACH_PORT_MOD_REFS, &args.map(u64::from));
}

fn set_and_member_check(play: &mut Play) {
    let left = play.drain(3, play.ports[3]);
    play.each_message_arrived_once(&left);
    let waits = [1, 2].map(|player| play.calls[player].is_some());
    assert!(left.is_empty() || !waits[1], "a message is there for the thread that waits on the port");
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
