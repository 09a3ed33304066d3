//! The driver: it runs rounds and checks the kernel after each.

use super::{HELLO, INTRODUCTION, PROGRESS};
use crate::growth::grow_tables;
use crate::message::{Message, is_lost, port_with_send};
use crate::monitor::{self, console::Console};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::thread::Builder;
use crate::time::{MILLISECOND, now, sleep, wait_until};
use crate::{inspect, policy, print, println};
use abi::PortName;
use abi::debug::{Counts, Memory};
use abi::inspect::{TaskRecord, kind};
use abi::policy::TASK_CATEGORY_POLICY;
use abi::port::Disposition;
use abi::qos::Role;
use abi::task::{EXIT_MESSAGE_ID, SPAWN_SHARE_OF, SPAWN_SHARE_PARTS};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};
use heapless::String;

/// Players that the driver starts in each round. They run as this user, whom the kernel trusts with nothing.
const PLAYERS: u64 = 3;
const PLAYER_UID: u32 = 1000;
/// What each gets of the memory that is left: a small part, so that there is room for all of them on a small machine.
const PLAYER_SHARE: u64 = SPAWN_SHARE_OF + SPAWN_SHARE_PARTS / 8;
/// Milliseconds by the machine's clock after which the driver ends the players of a round.
const ROUND_LIMIT: u64 = 20_000;
/// Milliseconds in which all tasks must end then, and what they leave must be destroyed.
const END_LIMIT: u64 = 60_000;
/// Looks after which a round ends if no player has told of a step: those that are left wait for each other.
const IDLE_LOOKS: u32 = 25;
/// Milliseconds between two looks at the tasks of a round.
const LOOK: u32 = 20;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of the first round. Each further round has the next one.
    pub seed: u64,
    /// Rounds; 0 for as many as there are until something is typed.
    pub rounds: u64,
}

/// Something is typed: the round that runs is the last one.
static STOP: AtomicBool = AtomicBool::new(false);

/// A task of a round.
struct Seen {
    pid: u32,
    /// The steps that it has told.
    steps: u64,
}

struct Round {
    port: Port,
    /// The driver's number. All tasks of rounds have higher ones.
    own: u32,
    seen: Vec<Seen>,
    /// Send rights to the inboxes of players.
    inboxes: Vec<PortName>,
    exits: u64,
}

/// More names than a round lets the driver have.
const NAMES_MAX: usize = 4_096;

/// The room of vectors: more than there can be tasks in a round. They have it from the start, because a heap that grows would
/// change the counts.
const ROOM: usize = 2_048;

/// Runs rounds and returns the exit status: 0 if nothing was wrong.
pub fn run(plan: &Plan) -> i32 {
    // Above the players, whatever class they have.
    policy::set_task_policy(port::task_self(), TASK_CATEGORY_POLICY, &[Role::Control as u32])
        .expect("the driver is user 0");
    if plan.rounds == 0 {
        let listen = || {
            STOP.store(Console::read_one().is_ok(), Ordering::Relaxed);
            // Its end would change the counts.
            let _ = wait_until(u64::MAX);
        };
        Builder::new().detach(Box::new(listen)).expect("there is room for a thread");
        // The thread has begun to wait, and is counted before the first round.
        sleep(1);
    }
    let (mut steps, mut tasks, mut round) = (0, 0, 0);
    grow_tables(NAMES_MAX);
    let heap = task::settled_memory(END_LIMIT).free;
    let failed = loop {
        let seed = plan.seed.wrapping_add(round);
        print!("seed {seed} ... ");
        let (mut players, began) = (Round::new(), now());
        let result = players.run(seed);
        let made = (players.steps(), players.seen.len());
        (steps, tasks, round) = (steps + made.0, tasks + made.1, round + 1);
        players.end();
        if result.and_then(|()| compare(heap, task::settled_memory(END_LIMIT))).is_err() {
            break Some(seed);
        }
        println!("{} steps of {} tasks in {} ms", made.0, made.1, (now() - began) / MILLISECOND);
        if round == plan.rounds || STOP.load(Ordering::Relaxed) {
            break None;
        }
    };
    println!("\n{steps} steps of {tasks} tasks in {round} rounds, first seed {}", plan.seed);
    println!("kernel heap: {heap} bytes free before, {} after", task::settled_memory(END_LIMIT).free);
    if let Some(seed) = failed {
        println!("FAILED with seed {seed}");
    }
    i32::from(failed.is_some())
}

impl Round {
    fn new() -> Round {
        let own = task::pid() as u32;
        let (seen, inboxes) = (Vec::with_capacity(ROOM), Vec::with_capacity(ROOM));
        Round { port: port_with_send(), own, seen, inboxes, exits: 0 }
    }

    fn steps(&self) -> u64 {
        self.seen.iter().map(|task| task.steps).sum()
    }

    /// Destroys the port with both of its rights.
    fn end(self) {
        port::destroy(self.port.into_name()).expect("the driver has it");
    }

    /// Runs one round. The error is reported.
    fn run(&mut self, seed: u64) -> Result<(), ()> {
        let before = task::counts();
        for player in 0..PLAYERS {
            self.start(seed, player);
        }
        let deadline = now() + ROUND_LIMIT * MILLISECOND;
        let (mut made, mut idle) = ((0, 0), 0);
        while self.is_playing() && idle < IDLE_LOOKS && now() < deadline {
            self.serve();
            // Steps and tasks: both only grow.
            let all = (self.steps(), self.exits);
            idle = if all == made { idle + 1 } else { 0 };
            made = all;
        }
        let deadline = now() + END_LIMIT * MILLISECOND;
        while self.is_playing() {
            task::terminate_younger().expect("the driver is user 0");
            self.serve();
            if now() > deadline {
                println!("\n  tasks do not end; who waits for what:");
                monitor::print_waits(self.own);
                return Err(());
            }
        }
        self.give_back();
        // It panics if something is wrong.
        inspect::check().expect("the driver is user 0");
        loop {
            let after = task::counts();
            if after == before {
                return Ok(());
            }
            self.serve();
            if now() > deadline {
                report(&before, &after);
                return Err(());
            }
        }
    }

    fn start(&mut self, seed: u64, player: u64) {
        let mut number = String::<20>::new();
        let _ = write!(number, "{}", seed.wrapping_mul(PLAYERS).wrapping_add(player));
        let mut spawn = Spawn::program("fuzz").argument("play").argument(&number).argument("0");
        (spawn.args.uid, spawn.args.gid) = (PLAYER_UID, PLAYER_UID);
        let spawn = spawn
            .kernel_bytes(PLAYER_SHARE)
            .pages(PLAYER_SHARE)
            .bootstrap(self.port.name())
            .exit_port(self.port.name());
        let started = spawn.start().expect("there is room for a player");
        port::destroy_right(started, Disposition::PORT_SEND);
    }

    /// Lists the tasks of the round. Returns true if there is one.
    fn is_playing(&mut self) -> bool {
        let (mut any, own) = (false, self.own);
        inspect::list(kind::TASKS, 0, |task: &TaskRecord| any |= task.pid > own).expect("the driver is user 0");
        any
    }

    /// Treats the messages that come until some time has passed.
    fn serve(&mut self) {
        let end = now() + u64::from(LOOK) * MILLISECOND;
        while now() < end {
            match Message::receive_any(self.port.name(), Some(LOOK)) {
                Ok(message) => self.treat(message),
                Err(code) if is_lost(code) => {}
                Err(_) => return,
            }
        }
    }

    /// Treats a message. Players may send anything, so that all fields are in doubt.
    fn treat(&mut self, mut message: Message) {
        let pid = message.trailer().msgh_audit[5];
        let words = message.view().and_then(|view| Some([view.word(0)?, view.word(1)?]));
        match (message.message_id(), words) {
            (PROGRESS, Some([low, high])) if !message.is_complex() => {
                let steps = u64::from(high) << 32 | u64::from(low);
                match self.seen.iter().position(|seen| seen.pid == pid) {
                    Some(at) => self.seen[at].steps = self.seen[at].steps.max(steps),
                    None if self.seen.len() < ROOM => self.seen.push(Seen { pid, steps }),
                    None => {}
                }
            }
            (HELLO, _) => {
                if let Some(port) = message.take_port(0) {
                    let is_inbox = port.disposition == Disposition::PORT_SEND && port.name.is_valid();
                    if is_inbox && self.inboxes.len() < ROOM {
                        self.introduce(port.name);
                    } else {
                        port::destroy_right(port.name, port.disposition);
                    }
                }
            }
            (EXIT_MESSAGE_ID, _) => self.exits += 1,
            _ => {}
        }
        message.destroy();
    }

    /// Gives the right to a new inbox to the others, and theirs to its player.
    fn introduce(&mut self, inbox: PortName) {
        for &other in &self.inboxes {
            for (to, right) in [(other, inbox), (inbox, other)] {
                let message = Message::copy_send(to).id(INTRODUCTION).port(right, Disposition::COPY_SEND);
                message.send_or_destroy();
            }
        }
        self.inboxes.push(inbox);
    }

    /// Gives back the rights of the players that have ended.
    fn give_back(&mut self) {
        self.serve();
        for inbox in core::mem::take(&mut self.inboxes) {
            port::destroy_right(inbox, Disposition::PORT_SEND);
        }
    }
}

/// Compares the free bytes of the kernel's heap before the first round and after one. An error is reported.
fn compare(before: u64, after: Memory) -> Result<(), ()> {
    let Memory { free, unsettled, .. } = after;
    if (free, unsettled) == (before, 0) {
        return Ok(());
    }
    println!("\n  the kernel's heap is not as before");
    println!(
        "  free bytes: {before} before, {free} after{}",
        if unsettled > 0 { ", and it has not come to rest" } else { "" }
    );
    Err(())
}

/// Tells which counts differ.
fn report(before: &Counts, after: &Counts) {
    println!("\n  something is left behind");
    for ((name, before), after) in Counts::NAMES.iter().zip(before.values()).zip(after.values()) {
        if before != after {
            println!("  {name}: {before} before, {after} after");
        }
    }
}
